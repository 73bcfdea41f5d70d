"""The POSIX backend's hands: drafts, renames that refuse or exchange, removals and copies, all by directory handle.

Renames: POSIX has none that refuses a taken name; systems that do override `_rename_new` and `_exchange`. Elsewhere a
file gets its new name as a second link, or a placeholder of our own takes the name first; and a file to replace is
compared just before instead of just after.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final

from rootcellar.confine._open import Displaced, Draft, Kind, Overwrite, Stat
from rootcellar.confine._posix_look import LISTING, TRIES, PosixLook
from rootcellar.confine.drafts import private_name

_UNSYNCABLE: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)
_NO_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_NO_LINKS: Final = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)
CHUNK: Final = 1 << 20  # one read of a copy: long enough to be fast, short enough to be cancelled


class PosixBackend(PosixLook):
    """The component walk, with changes."""

    def draft(self, directory: int) -> Draft:
        """Make a file with a private name."""
        name = private_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return Draft(os.open(name, flags, 0o666, dir_fd=directory), name)

    def keep(self, source: int, draft: int) -> None:
        """Owner first (it clears bits), then attributes and ACL, then the mode."""
        old, new = os.fstat(source), os.fstat(draft)
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.fchmod(draft, 0o600)  # the mode a new file gets may let the old group in
            os.fchown(draft, old.st_uid, old.st_gid)
        self._keep_attributes(source, draft)
        os.fchmod(draft, stat.S_IMODE(old.st_mode) & 0o777)

    def _keep_attributes(self, source: int, draft: int) -> None:
        """Nothing more is portable."""

    def like(self, source: int, copy: int) -> None:
        """Mode and times; the attributes as far as this file system takes them."""
        old = os.fstat(source)
        with contextlib.suppress(OSError):
            self._keep_attributes(source, copy)
        os.fchmod(copy, stat.S_IMODE(old.st_mode) & 0o777)
        os.utime(copy, ns=(old.st_atime_ns, old.st_mtime_ns))

    def publish_new(self, directory: int, draft: Draft, name: str) -> None:
        """Rename without replacing."""
        assert draft.name is not None
        self.rename(directory, draft.name, directory, name, Overwrite.REFUSE)
        draft.name = None

    def publish_over(self, directory: int, draft: Draft, name: str, expected: Stat) -> None:
        """Swap the two names, look at what came out, and swap back if it is not what we meant to replace."""
        if not _same(self.lstat(directory, name), expected):
            raise Displaced
        ours = self.fstat(draft.fd).identity
        private = self._named(directory, draft)
        try:
            self._exchange(directory, private, name)
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
            os.rename(private, name, src_dir_fd=directory, dst_dir_fd=directory)
            draft.name = None
            return
        for _ in range(TRIES):
            try:
                is_expected = _same(self.lstat(directory, private), expected)
            except OSError:  # what came out cannot be seen: back with it
                self._exchange(directory, private, name)
                raise
            if is_expected:
                with contextlib.suppress(OSError):  # it is done; `discard` tries again
                    os.unlink(private, dir_fd=directory)
                    draft.name = None
                return
            if self._identity(directory, name) != ours:
                break  # something newer already stands there: what we took out is older than it
            self._exchange(directory, private, name)
            if self._identity(directory, private) == ours:
                break  # everything is as it was
        self._drop(directory, draft, ours)
        raise Displaced

    def _identity(self, directory: int, name: str) -> tuple[int, int] | None:
        try:
            return self.lstat(directory, name).identity
        except FileNotFoundError:
            return None

    def _drop(self, directory: int, draft: Draft, ours: tuple[int, int]) -> None:
        """After a lost race: our draft goes; what we took out and could not put back keeps its private name."""
        if draft.name is not None and self._identity(directory, draft.name) != ours:
            draft.name = None

    def _named(self, directory: int, draft: Draft) -> str:  # noqa: ARG002 - Linux needs it
        """Give the draft's private name."""
        assert draft.name is not None
        return draft.name

    def discard(self, directory: int, draft: Draft) -> None:
        """Close; remove the private name if there is one."""
        with contextlib.suppress(OSError):
            os.close(draft.fd)
        if draft.name is not None:
            with contextlib.suppress(OSError):
                os.unlink(draft.name, dir_fd=directory)
            draft.name = None

    def rewrite(self, directory: int, name: str, expected: Stat) -> int:
        """Open for writing without truncating; it must still be the same file."""
        fd = self.open_regular(directory, name, os.O_WRONLY)
        if self.fstat(fd).identity != expected.identity:
            os.close(fd)
            raise Displaced
        return fd

    def rename(self, source: int, name: str, target: int, new: str, overwrite: Overwrite) -> None:
        """Rename by handles; where the system cannot refuse a taken name itself, take the name first."""
        if overwrite is Overwrite.REPLACE:
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
            return
        try:
            self._rename_new(source, name, target, new)
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
            if self.lstat(source, name).kind is Kind.DIRECTORY:
                os.mkdir(new, 0o700, dir_fd=target)
                self._rename_over_own(source, name, target, new, Kind.DIRECTORY)
            else:
                self._rename_by_link(source, name, target, new)

    def _rename_by_link(self, source: int, name: str, target: int, new: str) -> None:
        """A second name cannot be one that is taken; then the first goes. A kill in between leaves both."""
        try:
            os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            placeholder = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=target)
            with contextlib.suppress(OSError):
                os.close(placeholder)
            self._rename_over_own(source, name, target, new, Kind.FILE)
            return
        try:
            os.unlink(name, dir_fd=source)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=target)
            raise

    def _rename_over_own(self, source: int, name: str, target: int, new: str, kind: Kind) -> None:
        """Making the new name would have failed had it been taken; this replaces at most our empty placeholder."""
        try:
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
        except OSError:
            with contextlib.suppress(OSError):
                self.remove(target, new, kind)
            raise

    def _rename_new(self, source: int, name: str, target: int, new: str) -> None:  # noqa: ARG002
        """Rename that refuses a taken name; ENOSYS where the system has none."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _exchange(self, directory: int, one: str, other: str) -> None:  # noqa: ARG002
        """Exchange two names in one step; ENOSYS where the system cannot."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def make_directory(self, directory: int, name: str, mode: int = 0o777) -> None:
        """Make a directory with the mode a new one gets there."""
        os.mkdir(name, mode, dir_fd=directory)

    def like_directory(self, source: int, copy: int) -> None:
        """`like`, on descriptors that are open for it."""
        with contextlib.suppress(OSError):
            reading = os.open(".", LISTING, dir_fd=source)
            try:
                writing = os.open(".", LISTING, dir_fd=copy)
                try:
                    self.like(reading, writing)
                finally:
                    os.close(writing)
            finally:
                os.close(reading)

    def make_link(self, directory: int, name: str, target: str) -> None:
        """Make a link."""
        os.symlink(target, name, dir_fd=directory)

    def remove(self, directory: int, name: str, kind: Kind) -> None:
        """Remove one name."""
        (os.rmdir if kind is Kind.DIRECTORY else os.unlink)(name, dir_fd=directory)

    def copy_some(self, source: int, target: int, count: int) -> int:
        """Read and write."""
        data = os.read(source, min(count, CHUNK))
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        return len(data)

    def sync_file(self, fd: int) -> None:
        """`fsync`; a file system without it is not an error."""
        _sync(fd)

    def sync_directory(self, directory: int) -> None:
        """`fsync` on a descriptor that may be synced."""
        with contextlib.suppress(OSError):  # unreadable, or ill: the change is made, and durable when the system likes
            listing = os.open(".", LISTING, dir_fd=directory)
            try:
                _sync(listing)
            finally:
                os.close(listing)


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _UNSYNCABLE:
            raise


def _same(found: Stat, expected: Stat) -> bool:
    """Whether this is the file that was read, unchanged since (a rename moves ctime, so it does not count)."""
    return (found.identity, found.size, found.mtime_ns) == (expected.identity, expected.size, expected.mtime_ns)

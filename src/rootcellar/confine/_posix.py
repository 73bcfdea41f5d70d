"""The POSIX backend: one `openat(O_NOFOLLOW)` per component. Whole on macOS and other systems, half of Linux's.

Threats and rules are in `_open.py`. POSIX oddities met here:
- `openat(fd, "link/", O_NOFOLLOW)` follows the link, so no name ever ends in a slash (`split` drops them).
- `O_DIRECTORY|O_NOFOLLOW` on a link answers ENOTDIR on Linux and ELOOP on macOS; only `readlink` tells for sure.
- Opening a FIFO or a device acts on it (wakes its writer, rewinds a tape), so the name is described first and opened
  only when it is a regular file, with O_NONBLOCK and O_NOCTTY for the case that it changed in between; then the
  descriptor itself is described.
- A directory that may be searched and not read needs O_PATH (Linux) or O_SEARCH (macOS).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from typing import TYPE_CHECKING, Final

from rootcellar.confine._open import DRAFT_PREFIX, Displaced, Draft, Kind, LinkFound, OddFile, Overwrite, Stat
from rootcellar.errors import BadName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BY_TYPE: Final = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.LINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
    stat.S_IFCHR: Kind.DEVICE,
    stat.S_IFBLK: Kind.DEVICE,
}
HANDLE: Final = getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY)) | os.O_DIRECTORY | os.O_NOFOLLOW
_LISTING: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_QUIET: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_UNSYNCABLE: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)
_NO_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_TRIES: Final = 8  # names that change under us; past it the caller is told
CHUNK: Final = 1 << 20  # one read of a copy: long enough to be fast, short enough to be cancelled


def described(found: os.stat_result) -> Stat:
    """Put a stat result into our words."""
    return Stat(
        kind=_BY_TYPE.get(stat.S_IFMT(found.st_mode), Kind.OTHER),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
        mode=stat.S_IMODE(found.st_mode),
        dev=found.st_dev,
        ino=found.st_ino,
        nlink=found.st_nlink,
        uid=found.st_uid,
        gid=found.st_gid,
        atime_ns=found.st_atime_ns,
    )


class PosixBackend:
    """The component walk."""

    label: str = "walk"
    levels_max: int = 48  # macOS starts a process with 256 descriptors; two walks at once, and room for the rest
    folds_names: bool = sys.platform == "darwin"

    # Strings

    def split(self, path: str) -> tuple[str, list[str]]:
        """Cut at slashes."""
        names = [name for name in path.split("/") if name not in ("", ".")]
        if path.endswith(("/", "/.")) or path == ".":
            names.append(".")
        return ("/" if path.startswith("/") else ""), names

    def check(self, name: str) -> str:
        """Refuse NUL and what the system's encoding cannot write; escapes that spell a real character become it."""
        if "\0" in name:
            raise BadName("the name holds a NUL character", "leave it out")
        if name.isascii():
            return name
        try:
            return os.fsdecode(os.fsencode(name))
        except UnicodeEncodeError:
            raise BadName("the name holds a character that no file name can have here", "leave it out") from None

    # The ambient door

    def real_path(self, path: str) -> str:
        """Resolve every link."""
        return os.path.realpath(path, strict=True)

    def open_root(self, real: str) -> int:
        """Open, then look whether the name still leads to what was opened without any link."""
        handle = os.open(real, HANDLE)
        try:
            if os.path.realpath(real, strict=True) != real or not os.path.samestat(os.fstat(handle), os.lstat(real)):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        except BaseException:
            os.close(handle)
            raise
        return handle

    # Directories

    def open_below(self, directory: int, names: Sequence[str]) -> int | None:  # noqa: ARG002 - no such call here
        """Never: there is no call that refuses links on the way."""
        return None

    def enter(self, directory: int, name: str) -> int:
        """Open one directory; ask what stands in the way when that fails."""
        for _ in range(_TRIES):
            try:
                return os.open(name, HANDLE, dir_fd=directory)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                try:
                    raise LinkFound(os.readlink(name, dir_fd=directory)) from None
                except OSError as other:
                    if other.errno == errno.EINVAL and error.errno == errno.ENOTDIR:
                        raise error from None
                    if other.errno not in (errno.EINVAL, errno.ENOENT):
                        raise
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def up(self, directory: int) -> int:
        """Open the parent, whatever it is by now."""
        return os.open("..", HANDLE, dir_fd=directory)

    def scan(self, directory: int) -> Iterator[tuple[str, Kind]]:
        """Read the directory; kinds come from the listing itself where the file system gives them."""
        listing = os.open(".", _LISTING, dir_fd=directory)
        try:
            with os.scandir(listing) as found:
                for entry in found:
                    if entry.is_file(follow_symlinks=False):
                        yield entry.name, Kind.FILE
                    elif entry.is_dir(follow_symlinks=False):
                        yield entry.name, Kind.DIRECTORY
                    elif entry.is_symlink():
                        yield entry.name, Kind.LINK
                    else:
                        with contextlib.suppress(FileNotFoundError):
                            yield entry.name, self.lstat(listing, entry.name).kind
        finally:
            os.close(listing)

    def close(self, directory: int) -> None:
        """Close a directory handle."""
        os.close(directory)

    # One name

    def lstat(self, directory: int, name: str) -> Stat:
        """`fstatat` without following; `.` is the handle itself."""
        if name == ".":
            return described(os.fstat(directory))
        return described(os.stat(name, dir_fd=directory, follow_symlinks=False))

    def read_link(self, directory: int, name: str) -> str:
        """Read a link's text."""
        return os.readlink(name, dir_fd=directory)

    def open_file(self, directory: int, name: str) -> int:
        """Describe, open, describe again."""
        return self._open_regular(directory, name, os.O_RDONLY)

    def _open_regular(self, directory: int, name: str, flags: int) -> int:
        for _ in range(_TRIES):
            kind = self.lstat(directory, name).kind
            if kind is Kind.LINK:
                raise LinkFound(os.readlink(name, dir_fd=directory))
            if kind is not Kind.FILE:
                raise OddFile(kind)
            try:
                fd = os.open(name, flags | _QUIET, dir_fd=directory)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENXIO):  # became a link, a socket or a FIFO without a reader
                    continue
                raise
            kind = described(os.fstat(fd)).kind
            if kind is Kind.FILE:
                return fd
            os.close(fd)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def fstat(self, fd: int) -> Stat:
        """Describe an open file."""
        return described(os.fstat(fd))

    # Changes

    def draft(self, directory: int) -> Draft:
        """Make a file with a private name."""
        name = f"{DRAFT_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
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
        assert draft.name is not None  # noqa: S101
        self.rename(directory, draft.name, directory, name, Overwrite.REFUSE)
        draft.name = None

    def publish_over(self, directory: int, draft: Draft, name: str, expected: Stat) -> None:
        """Swap the two names, look at what came out, and swap back if it is not what we meant to replace."""
        if not _same(self.lstat(directory, name), expected):
            raise Displaced
        private = self._named(directory, draft)
        try:
            self._exchange(directory, private, name)
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
            os.rename(private, name, src_dir_fd=directory, dst_dir_fd=directory)
            draft.name = None
            return
        ours = self.fstat(draft.fd).identity
        for _ in range(_TRIES):
            if _same(self.lstat(directory, private), expected):
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
        """After a lost race: our draft goes; what we took out by mistake and could not put back stays, under its name."""
        if draft.name is not None and self._identity(directory, draft.name) != ours:
            draft.name = None

    def _named(self, directory: int, draft: Draft) -> str:  # noqa: ARG002 - Linux needs it
        """Give the draft's private name."""
        assert draft.name is not None  # noqa: S101
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
        fd = self._open_regular(directory, name, os.O_WRONLY)
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
            self._rename_by_placeholder(source, name, target, new)

    def _rename_by_placeholder(self, source: int, name: str, target: int, new: str) -> None:
        """Making the new name fails when it is taken; the rename then replaces at most our own empty placeholder."""
        if self.lstat(source, name).kind is Kind.DIRECTORY:
            os.mkdir(new, 0o700, dir_fd=target)
            undo = os.rmdir
        else:
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=target))
            undo = os.unlink
        try:
            os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
        except OSError:
            with contextlib.suppress(OSError):
                undo(new, dir_fd=target)
            raise

    def _rename_new(self, source: int, name: str, target: int, new: str) -> None:  # noqa: ARG002
        """Rename that refuses a taken name; ENOSYS where the system has none."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _exchange(self, directory: int, one: str, other: str) -> None:  # noqa: ARG002
        """Exchange two names in one step; ENOSYS where the system cannot."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def make_directory(self, directory: int, name: str) -> None:
        """Make a directory with the mode a new one gets there."""
        os.mkdir(name, dir_fd=directory)

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
        try:
            listing = os.open(".", _LISTING, dir_fd=directory)
        except OSError:
            return  # unreadable: its names become durable when the system likes
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

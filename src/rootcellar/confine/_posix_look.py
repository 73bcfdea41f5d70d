"""The POSIX backend's eyes: one `openat(O_NOFOLLOW)` per component. Whole on macOS and others, half of Linux's.

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
import stat
import sys
from typing import TYPE_CHECKING, Final

from rootcellar.confine._open import Kind, LinkFound, OddFile, Stat, shut
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
LISTING: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_QUIET: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
TRIES: Final = 8  # names that change under us; past it the caller is told


def described(found: os.stat_result) -> Stat:
    """Put a stat result into our words."""
    mode = found.st_mode
    return Stat(
        _BY_TYPE.get(stat.S_IFMT(mode), Kind.OTHER), found.st_size, found.st_mtime_ns, found.st_ctime_ns,
        stat.S_IMODE(mode), found.st_dev, found.st_ino, found.st_nlink, found.st_uid, found.st_gid, found.st_atime_ns,
    )  # fmt: skip


class PosixLook:
    """The component walk, as far as nothing is changed."""

    label: str = "posix"
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
            plain = os.path.realpath(real, strict=True) == real
            if plain and os.path.samestat(os.fstat(handle), os.lstat(real)):
                return handle
        except OSError:
            shut(handle)
            raise
        shut(handle)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    # Directories

    def open_below(self, directory: int, names: Sequence[str]) -> int | None:  # noqa: ARG002 - no such call here
        """Never: there is no call that refuses links on the way."""
        return None

    def enter(self, directory: int, name: str) -> int:
        """Open one directory; ask what stands in the way when that fails."""
        for _ in range(TRIES):
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
        listing = os.open(".", LISTING, dir_fd=directory)
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
            shut(listing)

    def close(self, directory: int) -> None:
        """Close a directory handle."""
        shut(directory)

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
        return self.open_regular(directory, name, os.O_RDONLY)

    def open_regular(self, directory: int, name: str, flags: int) -> int:
        """Open with these flags what is, before and after, a regular file."""
        for _ in range(TRIES):
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
            try:
                is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
            except OSError:
                shut(fd)
                raise
            if is_regular:
                return fd
            shut(fd)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def fstat(self, fd: int) -> Stat:
        """Describe an open file."""
        return described(os.fstat(fd))

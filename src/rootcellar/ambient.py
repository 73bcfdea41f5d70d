"""The other door: our own files and the hosts' configs, read and replaced whole, never the user's files.

Threats: a crash or a full disk half-way, a second installer, a host that writes the same file, a symlinked dotfile, a
file that others may not read. Algorithm of `replace`:

1. follow symlinks once, to the real file; everything below happens beside it, so the link stays a link
2. write a new file next to it (same directory, same mode, owner and attributes), flush it to the disk
3. read the real file again: another byte or another file than the one that was planned on ends here, as `Stale`
4. rename over it, flush the directory

A killed process leaves at most the new file of step 2; the next holder of the lock (`locks.py`) sweeps it away.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rootcellar.errors import (
    Busy,
    Denied,
    Failed,
    LinkLoop,
    NoSpace,
    NotFound,
    ReadOnly,
    Refusal,
    Stale,
    TooLarge,
    WrongKind,
)

HOST_FILE_BYTES_MAX = 64 * 1024 * 1024  # the largest config seen was 10 MB
BACKUPS_KEPT = 5
_PRIVATE_FILE, _PRIVATE_DIRECTORY = 0o600, 0o700
SCRAP = ".rootcellar-new-"


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as it was when read: its real path behind links, its bytes (None: no such file) and who it was."""

    path: str
    real: str
    data: bytes | None
    mode: int = _PRIVATE_FILE
    owner: tuple[int, int] = (-1, -1)
    identity: tuple[int, int] = (0, 0)


def shown(path: str) -> str:
    """The path with `~` for the home directory."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path == home or path.startswith(home + os.sep) else path


def read(path: str) -> Reading:
    """The file at `path`, whole; a missing one reads as None. Refuses what is not a regular file."""
    with refusing(path):
        real = os.path.realpath(path)
        try:
            fd = os.open(real, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return Reading(path, real, None)
        except NotADirectoryError:
            raise WrongKind(f"`{shown(path)}` lies in something that is not a directory") from None
        except PermissionError:
            if os.path.isdir(real):
                raise _kind_refused(path) from None
            raise
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _kind_refused(path)
            if status.st_size > HOST_FILE_BYTES_MAX:
                raise TooLarge(f"`{shown(path)}` is larger than {HOST_FILE_BYTES_MAX >> 20} MiB")
            data = file.read()
        return Reading(
            path,
            real,
            data,
            stat.S_IMODE(status.st_mode),
            (status.st_uid, status.st_gid),
            (status.st_dev, status.st_ino),
        )


def _kind_refused(path: str) -> WrongKind:
    what = "a directory" if os.path.isdir(path) else "not a regular file"
    return WrongKind(f"`{shown(path)}` is {what}, where a config file was expected", "move it away, then try again")


def check_writable(reading: Reading) -> None:
    """Refuse now what `replace` would refuse later: read-only, other owners, other links, no permission."""
    with refusing(reading.path):
        if reading.data is None:
            parent = _existing_parent(reading.real)
            if not os.path.isdir(parent):
                raise WrongKind(f"`{shown(parent)}` is not a directory", "move it away, then try again")
            if not os.access(parent, os.W_OK | os.X_OK):
                raise Denied(f"`{shown(parent)}` may not be written", "give yourself write permission there")
            return
        status = os.stat(reading.real)
        if not status.st_mode & 0o222 or not os.access(reading.real, os.W_OK):
            raise ReadOnly(f"`{shown(reading.path)}` is read-only", "make it writable, or add the entry by hand")
        if not os.access(os.path.dirname(reading.real), os.W_OK | os.X_OK):
            raise Denied(
                f"`{shown(os.path.dirname(reading.real))}` may not be written", "give yourself write permission there"
            )
        if status.st_nlink > 1 + _scraps_of(reading.real):
            raise WrongKind(
                f"`{shown(reading.path)}` has other names (hard links), which replacing it would part",
                "make it a symbolic link, or add the entry by hand",
            )


def _scraps_of(real: str) -> int:
    """How many names of a file are our own: whoever is killed while making it leaves one."""
    beside = glob.glob(os.path.join(glob.escape(os.path.dirname(real)), SCRAP + "*"))
    return sum(os.path.samefile(path, real) for path in beside)


def _existing_parent(path: str) -> str:
    parent = os.path.dirname(path)
    while not os.path.lexists(parent) and os.path.dirname(parent) != parent:
        parent = os.path.dirname(parent)
    return parent


def missing_directories(path: str) -> tuple[str, ...]:
    """The directories that must be made before a file can stand at `path`, the outermost first."""
    missing: list[str] = []
    parent = os.path.dirname(os.path.realpath(path))
    while not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    return tuple(reversed(missing))


def replace(reading: Reading, data: bytes, *, new_mode: int = _PRIVATE_FILE) -> None:
    """Put `data` in the place of what was read: all of it or none, and only if nobody wrote in between.

    `new_mode` is for a file that did not exist; an existing one keeps mode, owner and extended attributes.
    """
    with refusing(reading.path):
        check_writable(reading)
        directory = os.path.dirname(reading.real)
        os.makedirs(directory, mode=_PRIVATE_DIRECTORY, exist_ok=True)
        scrap = os.path.join(directory, f"{SCRAP}{os.getpid()}-{secrets.token_hex(4)}")
        try:
            _write_new(scrap, reading, data, new_mode)
            _check_unchanged(reading)
            _put(scrap, reading)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scrap)
            raise
        _flush_directory(directory)


def _write_new(scrap: str, reading: Reading, data: bytes, new_mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(scrap, flags, _PRIVATE_FILE), "wb") as file:
        file.write(data)
        file.flush()
        if reading.data is None:
            os.chmod(scrap, new_mode)
        else:
            _keep_attributes(file.fileno(), scrap, reading)
        os.fsync(file.fileno())


def _keep_attributes(fd: int, scrap: str, reading: Reading) -> None:
    if (hasattr(os, "fchown") and os.fstat(fd).st_uid != reading.owner[0]) or os.fstat(fd).st_gid != reading.owner[1]:
        try:
            os.fchown(fd, *reading.owner)
        except PermissionError:
            raise Denied(
                f"`{shown(reading.path)}` belongs to someone else, and would not any more", "add the entry by hand"
            ) from None
    if hasattr(os, "listxattr"):
        for name in os.listxattr(reading.real):
            with contextlib.suppress(OSError):  # some belong to the system, which sets them itself
                os.setxattr(fd, name, os.getxattr(reading.real, name))
    os.chmod(scrap, reading.mode)  # last: a change of owner clears bits


def _check_unchanged(reading: Reading) -> None:
    now = read(reading.path)
    if (now.data, now.real, now.identity) != (reading.data, reading.real, reading.identity):
        raise Stale(f"`{shown(reading.path)}` changed meanwhile", "run the same command again")


def _put(scrap: str, reading: Reading) -> None:
    if reading.data is not None:
        os.replace(scrap, reading.real)
        return
    try:
        os.link(scrap, reading.real)  # unlike a rename, this never takes the place of a newcomer
    except FileExistsError:
        raise Stale(f"`{shown(reading.path)}` appeared meanwhile", "run the same command again") from None
    except OSError:  # a file system without links
        os.rename(scrap, reading.real)
        return
    with contextlib.suppress(OSError):  # it is done: what cannot be tidied now is swept by the next holder of the lock
        os.unlink(scrap)


def _flush_directory(directory: str) -> None:
    if os.name == "posix":
        with contextlib.suppress(OSError):  # the new file stands, whatever the disk says of its directory
            fd = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def remove(reading: Reading) -> None:
    """Take away the file that was read, unless somebody wrote in between."""
    with refusing(reading.path):
        check_writable(reading)
        _check_unchanged(reading)
        os.unlink(reading.real)


def remove_empty_directories(paths: tuple[str, ...]) -> None:
    """Take away those of these directories that are empty, the innermost first."""
    for path in reversed(paths):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def back_up(reading: Reading, directory: str) -> str | None:
    """Keep a dated copy of what was read under `directory`, private, and only the last few of them."""
    if reading.data is None:
        return None
    with refusing(directory):
        key = hashlib.sha256(os.fsencode(reading.real)).hexdigest()[:12]
        shelf = os.path.join(directory, f"{os.path.basename(reading.real)}-{key}")
        os.makedirs(shelf, mode=_PRIVATE_DIRECTORY, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        copy = os.path.join(shelf, f"{stamp}-{time.time_ns() % 1_000_000_000:09d}")
        _write_new(copy, Reading(copy, copy, None), reading.data, _PRIVATE_FILE)
        for old in sorted(os.listdir(shelf))[:-BACKUPS_KEPT]:
            os.unlink(os.path.join(shelf, old))
        return copy


def exists(path: str) -> bool:
    """Whether anything stands at `path`, links followed."""
    return os.path.exists(path)


def real_path(path: str) -> str:
    """The real path behind links, whether or not anything is there."""
    return os.path.realpath(path)


def is_directory(path: str) -> bool:
    """Whether a directory stands at `path`, links followed."""
    return os.path.isdir(path)


def is_executable(path: str) -> bool:
    """Whether `path` is a file that may be run."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def matching(pattern: str) -> tuple[str, ...]:
    """The paths that a pattern with `*` matches now, in order; a plain path matches itself, there or not."""
    return tuple(sorted(glob.glob(pattern))) if "*" in pattern else (pattern,)


def on_path(command: str) -> str | None:
    """Where a command is found on PATH, or None."""
    return shutil.which(command)


def listed(directory: str) -> tuple[str, ...]:
    """The names in one of our own directories, sorted; none where it does not exist."""
    try:
        return tuple(sorted(entry.name for entry in Path(directory).iterdir()))
    except OSError:
        return ()


_REFUSALS: dict[int, tuple[type[Refusal], str, str]] = {
    errno.EACCES: (Denied, "may not be read or written", "give yourself permission, or add the entry by hand"),
    errno.EPERM: (Denied, "may not be changed", "clear its attributes, or add the entry by hand"),
    errno.EROFS: (ReadOnly, "is on a read-only file system", "add the entry where that file comes from"),
    errno.ENOSPC: (NoSpace, "has no space left on its disk", "free some space, then try again"),
    errno.EDQUOT: (NoSpace, "is over its disk quota", "free some space, then try again"),
    errno.EFBIG: (NoSpace, "is over a file size limit", "raise the limit, then try again"),
    errno.ELOOP: (LinkLoop, "is a symbolic link that leads to itself", "mend the link, then try again"),
    errno.EISDIR: (WrongKind, "is a directory, where a config file was expected", "move it away, then try again"),
    errno.ENOTDIR: (WrongKind, "lies in something that is not a directory", "move that away, then try again"),
    errno.ENOENT: (NotFound, "lies in a directory that does not exist", "make that directory, then try again"),
    errno.EBUSY: (Busy, "is in use", "close the program that uses it, then try again"),
}


@contextlib.contextmanager
def refusing(path: str) -> Iterator[None]:
    """Turns what the operating system says into a refusal that names the file."""
    try:
        yield
    except OSError as error:
        kind, what, hint = _REFUSALS.get(error.errno or 0, (Failed, f"failed: {error.strerror}", ""))
        raise kind(f"`{shown(path)}` {what}", hint) from error

"""Where a worker stands: in the database's own directory, held by handle, with nothing else in reach.

Threats: the directory, or the file, is exchanged for a link while it is opened; a side file (`-wal`, `-shm`,
`-journal`) is a link to, or another name of, a file elsewhere; a crafted journal names a file to be deleted; a FIFO
or a device instead of a file; SQL or a bug in SQLite that opens by name.

Algorithm: open the directory; prove that the name in it is the entry (device, inode, regular, one name); make that
directory the process's own by handle (`fchdir`) and give up all others (Landlock). From then on SQLite is given the
bare name and a VFS that never makes it longer, so the main file and its side files can only be found in the
directory held, whatever happens to the names above it. When SQLite has opened, the descriptors it gained must be
the entry and nothing else, before the first statement. A directory that holds the entry's only name is the entry's
directory: a swap can make the proof fail, never pass.

Windows: a process's own directory cannot be moved while it is, and identity is (volume, index) of the file.
"""

# ruff: noqa: PTH116, PTH208 - by handle and by bare name: pathlib would make paths of them

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import apsw

from rootcellar import errors, limits
from rootcellar.confine import _landlock

if sys.platform != "win32":
    import resource

SIDES: Final = ("-wal", "-shm", "-journal")
_JOURNAL_MAGIC: Final = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_DIRECTORY: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
LOOK: Final = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A file as the server proved it to be: directory and name as spelled now, and the identity that must be found."""

    directory: str
    name: str
    device: int
    inode: int


# The name makes SQLite3 Multiple Ciphers put its own VFS on top of ours. The other way round it would not know the
# files apart: the main file would be encrypted, its write-ahead log and its journal would lie there in plain.
VFS: Final = "multipleciphers-held"
_MEMORY: Final = "memdb"  # SQLite's own


class HeldVfs(apsw.VFS):
    """The system's VFS, except that a name stays as given: relative to the directory held."""

    def __init__(self) -> None:
        super().__init__("held", "win32" if sys.platform == "win32" else "unix")

    def xFullPathname(self, name: str) -> str:  # noqa: N802 - SQLite's name
        """The name itself."""
        return name

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """A file without a name is SQLite's own, for a sort: it lies in memory, within the heap's limit."""
        if name is None:
            return apsw.VFSFile(_MEMORY, None, flags)
        return super().xOpen(name, flags)


def stand(place: Place) -> int:
    """Enter the directory that holds the entry, by handle; returns the handle. Hostile if it is not there."""
    if sys.platform == "win32":
        os.chdir(place.directory)
        prove(place)
        return -1
    try:
        handle = os.open(place.directory, _DIRECTORY)
    except OSError as error:
        raise errors.Stale(f"the directory of `{place.name}` is gone", "list the directory again") from error
    os.fchdir(handle)
    prove(place)
    return handle


def prove(place: Place) -> os.stat_result:
    """What the name means now, which must be the entry: this inode, a regular file, with no other name."""
    try:
        found = os.stat(place.name, follow_symlinks=False)
    except OSError as error:
        raise errors.Stale(f"`{place.name}` is gone", "list the directory again") from error
    if not stat.S_ISREG(found.st_mode):
        raise errors.Hostile(f"`{place.name}` is no longer a regular file", "look at it with `list_directory`")
    if (found.st_dev, found.st_ino) != (place.device, place.inode):
        raise errors.Stale(f"`{place.name}` was exchanged while it was opened", "try again")
    if found.st_nlink > 1:
        raise errors.Hostile(
            f"`{place.name}` has another name elsewhere (a hard link)", "copy it: a copy has one name and can be opened"
        )
    prove_sides(place.name, found.st_dev)
    return found


def prove_sides(name: str, device: int) -> None:
    """The files SQLite keeps beside the database are files of their own, in this directory only."""
    for suffix in SIDES:
        try:
            side = os.stat(name + suffix, follow_symlinks=False)
        except OSError:
            continue
        if not stat.S_ISREG(side.st_mode) or side.st_nlink > 1 or side.st_dev != device:
            raise errors.Hostile(
                f"`{name}{suffix}` is a link, or no regular file", "move it away: SQLite would write through it"
            )


def side_sizes(name: str) -> dict[str, int]:
    """The side files that exist, and their sizes."""
    sizes = {}
    for suffix in SIDES:
        with suppress(OSError):
            sizes[suffix] = os.stat(name + suffix, follow_symlinks=False).st_size
    return sizes


def refuse_foreign_journal(name: str) -> bool:
    """Whether a journal with an unfinished change is there; Hostile when it names a file other than the database.

    A rollback journal that ends with the name of a super-journal makes SQLite read that file and delete it.
    """
    try:
        handle = os.open(name + "-journal", LOOK)
    except OSError:
        return False
    try:
        size = os.fstat(handle).st_size
        start = os.read(handle, len(_JOURNAL_MAGIC))
        os.lseek(handle, max(0, size - len(_JOURNAL_MAGIC)), os.SEEK_SET)
        end = os.read(handle, len(_JOURNAL_MAGIC))
    finally:
        os.close(handle)
    if size > len(_JOURNAL_MAGIC) and end == _JOURNAL_MAGIC:
        raise errors.Hostile(
            f"`{name}-journal` names another file, which SQLite would delete",
            "move the journal away if you do not know it",
        )
    return start == _JOURNAL_MAGIC


def descriptors() -> dict[int, tuple[int, int]]:
    """The regular files this process has open: descriptor to identity. Empty where the system does not tell."""
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    found = {}
    with suppress(OSError):
        for text in os.listdir(folder):
            with suppress(OSError, ValueError):
                seen = os.fstat(int(text))
                if stat.S_ISREG(seen.st_mode):
                    found[int(text)] = (seen.st_dev, seen.st_ino)
    return found


def prove_opened(place: Place, before: dict[int, tuple[int, int]]) -> None:
    """What SQLite has just opened is the entry and nothing else."""
    prove_gained(place, before)
    prove(place)


def prove_gained(place: Place, before: dict[int, tuple[int, int]]) -> None:
    """The descriptors that were not there before are the entry's; says nothing where the system tells none."""
    now, entry = descriptors(), (place.device, place.inode)
    gained = {identity for number, identity in now.items() if before.get(number) != identity}
    if now and (not gained <= {entry} or entry not in now.values()):
        raise errors.Stale(f"`{place.name}` was exchanged while it was opened", "try again")


def stamp(name: str) -> tuple[int, ...]:
    """What changes when the database changes: size and times of the main file and of the write-ahead log."""
    main = os.stat(name, follow_symlinks=False)
    told = [main.st_ino, main.st_size, main.st_mtime_ns, main.st_ctime_ns]
    with suppress(OSError):
        log = os.stat(name + "-wal", follow_symlinks=False)
        if log.st_size:
            told += [log.st_size, log.st_mtime_ns]
    return tuple(told)


def fence(handles: list[tuple[int, str]]) -> str:
    """Give up every file but those below the handles (`"read"` or `"write"`); returns why not, empty when done.

    Everything the worker will import must be imported by now: its own program files are out of reach afterwards.
    """
    cap_resources()
    if sys.platform != "linux":
        return "Landlock exists on Linux only"
    rights = {"read": _landlock.READ, "write": _landlock.WRITE}
    allowances = [_landlock.Allowance(handle, rights[access], "the database") for handle, access in handles]
    with suppress(OSError):
        random = os.open("/dev/urandom", os.O_RDONLY | os.O_CLOEXEC)
        allowances.append(_landlock.Allowance(random, _landlock.Right.READ_FILE, "randomness"))
    try:
        _landlock.restrict_this_thread(allowances)
    except OSError as error:
        return str(error)
    return ""


def cap_resources() -> None:
    """Bound the memory of this process, and let it leave no core file: it may hold keys."""
    apsw.hard_heap_limit(limits.SQLITE_HEAP_BYTES_MAX)
    if sys.platform == "win32":
        return
    caps: Any = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, limits.WORKER_BYTES_MAX))
    for what, most in caps:
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))

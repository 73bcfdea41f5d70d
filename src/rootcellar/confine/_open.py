"""What an operating system must offer the wall: acts on ONE plain name in an open directory, or on an open handle.

Threats: a path, a link, a rename by another process or by the model itself that leads a call outside a root; special
files that block, eat or answer for others; torn or lost writes; names that mean another file than they were shown for.

Algorithm, shared by every backend (`resolve.py`): a root is a directory handle. A path is walked one component at a
time from it; each directory is opened relative to the one before, never following a link. A link is read and its
target spliced into the path still to walk; `..` goes back to the handle before. What would leave the root is refused
before anything outside is touched. The verb then acts on (parent handle, last name), again without following.
A backend therefore never sees a path, except in `real_path` and `open_root`.

Rules for a backend:
- Directory handles are opaque ints, closed with `close`. File handles are C descriptors (`os.read`, `os.close` work).
- `name` is one component: not empty, no separator, no NUL, never `..`; `.` means the directory itself.
- No method follows a link. `enter` and `open_file` raise `LinkFound` when `name` is one.
- Failures are `OSError` with an errno (translated from NTSTATUS on Windows) or a Refusal; never another exception.
- No method leaks a handle when it raises.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Kind(Enum):
    """What a name is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    FIFO = "fifo"
    SOCKET = "socket"
    DEVICE = "device"
    OTHER = "other"


class Overwrite(Enum):
    """Whether something that already has the name may be replaced."""

    REFUSE = "refuse"
    REPLACE = "replace"


class Stat(NamedTuple):
    """What the file system says about one name; times are nanoseconds since 1970. A tuple, for a walk makes many."""

    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int  # permission bits only
    dev: int
    ino: int
    nlink: int
    uid: int = 0
    gid: int = 0
    atime_ns: int = 0

    @property
    def identity(self) -> tuple[int, int]:
        """Which file this is, whatever its name."""
        return self.dev, self.ino


class LinkFound(Exception):  # noqa: N818 - a signal for the walker, never seen outside `confine`
    """The name is a link; the walker decides where it leads."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


class OddFile(Exception):  # noqa: N818 - becomes WrongKind with the entry's name
    """The name is no regular file, so it is not opened for content."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


class Displaced(Exception):  # noqa: N818 - the writer starts again, or answers Stale
    """The file to replace is no longer the one that was read; nothing has been changed."""


@dataclass(slots=True)
class Draft:
    """A new file being written: its descriptor and, where it needs one, its private name."""

    fd: int
    name: str | None


# How our own unfinished files are called: the prefix, the process id, a random part. Never shown, never opened for
# anyone, and removed by the next write in that directory when their process is gone.
DRAFT_PREFIX = ".rootcellar-"


class Backend(Protocol):
    """One operating system's way to act on a name in an open directory."""

    @property
    def label(self) -> str:
        """`openat2`, `walk`, `posix`, `macos` or `windows`: for tests and `doctor`."""

    @property
    def levels_max(self) -> int:
        """How many directory handles one walk keeps open; deeper ones are reopened with `up`."""

    @property
    def folds_names(self) -> bool:
        """Whether names that differ in case or normalisation usually mean one file (macOS, Windows)."""

    # Strings: nothing is opened
    def split(self, path: str) -> tuple[str, list[str]]:
        r"""Cut an argument into its anchor (`""` when relative, `/`, `C:\`, `\\server\share\`) and components.

        `.` and empty components are dropped, `..` stays; a path that ends in a separator or in `.` keeps one last `.`
        (it must be a directory). A form that is neither absolute nor relative (`C:x`, `\x`) is BadName.
        """

    def check(self, name: str) -> str:
        """Give the component as the system spells it, or raise BadName: NUL, lone surrogates, devices, streams."""

    # The ambient door: for roots only
    def real_path(self, path: str) -> str:
        """Give the absolute path with every link resolved; OSError when it is not there."""

    def open_root(self, real: str) -> int:
        """Open a directory by a path that holds no link (checked again here); ENOTDIR for a file."""

    # Directories
    def open_below(self, directory: int, names: Sequence[str]) -> int | None:
        """Open a directory some levels down in one step, or None when a link, `..` or an old kernel forbids it."""

    def enter(self, directory: int, name: str) -> int:
        """Open one directory; LinkFound for a link, ENOTDIR for anything else."""

    def up(self, directory: int) -> int:
        """Open the parent. The caller compares its identity before use; ENOTSUP where `levels_max` is unbounded."""

    def scan(self, directory: int) -> Iterator[tuple[str, Kind]]:
        """Give every name but `.` and `..` with its kind, unsorted. Needs no stat where the system tells the kind."""

    def close(self, directory: int) -> None:
        """Close a directory handle."""

    # One name
    def lstat(self, directory: int, name: str) -> Stat:
        """Describe the name itself, not what a link leads to."""

    def read_link(self, directory: int, name: str) -> str:
        """Give a link's text with `/` or the system's separators; EINVAL when it is no link."""

    def open_file(self, directory: int, name: str) -> int:
        """Open a regular file for reading, never blocking; LinkFound, OddFile, OSError."""

    def fstat(self, fd: int) -> Stat:
        """Describe an open file descriptor."""

    # Changes
    def draft(self, directory: int) -> Draft:
        """Start an empty file in this directory, without a public name, with the mode a new file gets there.

        `keep` or `like` come before its first byte, so that no content is ever readable by more people than may.
        """

    def keep(self, source: int, draft: int) -> None:
        """Give a draft the mode (never setuid), owner, xattrs and ACL of the file it replaces; EPERM if it can't."""

    def like(self, source: int, copy: int) -> None:
        """Give a copy the mode (never setuid), times and, as far as possible, xattrs of its source."""

    def publish_new(self, directory: int, draft: Draft, name: str) -> None:
        """Give the draft its name in one step; EEXIST when it is taken. The draft's descriptor stays open."""

    def publish_over(self, directory: int, draft: Draft, name: str, expected: Stat) -> None:
        """Put the draft in the place of `name` in one step; Displaced when that is not `expected` any more."""

    def discard(self, directory: int, draft: Draft) -> None:
        """Close the draft's descriptor and remove what it left; never raises."""

    def rewrite(self, directory: int, name: str, expected: Stat) -> int:
        """Open a file for writing in place (the fallback when its owner cannot be kept); Displaced, OddFile."""

    def rename(self, source: int, name: str, target: int, new: str, overwrite: Overwrite) -> None:
        """Move a name in one step; REFUSE never replaces (EEXIST), without a race. EXDEV across file systems."""

    def make_directory(self, directory: int, name: str, mode: int = 0o777) -> None:
        """Make a directory; EEXIST."""

    def like_directory(self, source: int, copy: int) -> None:
        """Give a copied directory the mode, times and, as far as possible, xattrs of its source; both are handles."""

    def make_link(self, directory: int, name: str, target: str) -> None:
        """Make a symbolic link; EEXIST."""

    def remove(self, directory: int, name: str, kind: Kind) -> None:
        """Remove a file, a link or an empty directory; the kind says which call to use."""

    def copy_some(self, source: int, target: int, count: int) -> int:
        """Copy up to `count` bytes from one descriptor's position to the other's, sharing blocks where possible."""

    def sync_file(self, fd: int) -> None:
        """Make the file's bytes durable."""

    def sync_directory(self, directory: int) -> None:
        """Make the directory's names durable, as far as can be; never raises, for the change is made by then."""


def shut(fd: int) -> None:
    """Close what was only read, or is durable already: it is closed whatever the answer, and nothing is lost."""
    with contextlib.suppress(OSError):
        os.close(fd)


def choose() -> Backend:
    """Give this system's backend."""
    if sys.platform == "win32":
        from rootcellar.confine import _windows

        return _windows.WindowsBackend()
    if sys.platform == "linux":
        from rootcellar.confine import _linux

        return _linux.LinuxBackend()
    if sys.platform == "darwin":
        from rootcellar.confine import _macos

        return _macos.MacBackend()
    from rootcellar.confine import _posix

    return _posix.PosixBackend()

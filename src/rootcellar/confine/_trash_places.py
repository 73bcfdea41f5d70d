"""Finding a trash on Linux (freedesktop.org Trash specification 1.0), by handles; threats are in `trash.py`."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rootcellar.errors import Denied

_HANDLE: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(slots=True)
class Place:
    """One trash directory, opened; `top` is how many components of the path lie below its mount's top directory."""

    words: str
    files: int
    info: int
    top: int | None = None
    opened: list[int] = field(default_factory=list)

    def recorded(self, path: str) -> str:
        """The path as the info file holds it: absolute at home, relative to the top directory elsewhere."""
        spelled = path if self.top is None else "/".join(path.split("/")[-self.top :])
        return urllib.parse.quote(os.fsencode(spelled))

    def close(self) -> None:
        while self.opened:
            os.close(self.opened.pop())


def place_of_mount(directory: int) -> Place:
    """The home trash if it is on the same mount, else the one at the mount's top; EXDEV if none can be had."""
    mount = _mount(directory)
    with contextlib.suppress(Denied):
        home = home_place()
        if _mount(home.files) == mount:
            return home
        home.close()
    top, depth = _top_of(directory, mount)
    opened = [top]
    try:
        for names in _top_trashes(top):
            with contextlib.suppress(OSError):
                for name in names:
                    opened.append(_own_directory(opened[-1], name))
                return _opened("the trash of its disk", opened.pop(), depth + 1)
    finally:
        for fd in opened:
            os.close(fd)
    raise OSError(errno.EXDEV, "no trash on this mount")


def _top_trashes(top: int) -> Iterator[Sequence[str]]:
    """The two places of the specification; the shared one only when it is a real, sticky directory."""
    mine = str(os.getuid())
    with contextlib.suppress(OSError):
        shared = os.stat(".Trash", dir_fd=top, follow_symlinks=False)
        if stat.S_ISDIR(shared.st_mode) and shared.st_mode & stat.S_ISVTX:
            yield (".Trash", mine)
    yield (f".Trash-{mine}",)


def home_place() -> Place:
    """`$XDG_DATA_HOME/Trash`, made if need be; Denied if it cannot be."""
    data = os.environ.get("XDG_DATA_HOME", "")
    path = os.path.join(data if os.path.isabs(data) else os.path.expanduser("~/.local/share"), "Trash")  # noqa: PTH111, PTH117, PTH118 - surrogates stay
    try:
        os.makedirs(path, 0o700, exist_ok=True)  # noqa: PTH103
        return _opened("the trash", os.open(path, _HANDLE), None)
    except OSError as error:
        raise Denied("the trash cannot be opened", "Check the permissions of the trash directory") from error


def _opened(words: str, trash: int, top: int | None) -> Place:
    """Open `files` and `info` below a trash directory, whose handle is then closed."""
    place = Place(words, -1, -1, top, [trash])
    try:
        for name in ("files", "info"):
            place.opened.append(_own_directory(trash, name))
    except OSError:
        place.close()
        raise
    place.files, place.info = place.opened[1:]
    return place


def _own_directory(parent: int, name: str) -> int:
    """Open a directory of ours, making it if need be; never through a link, never somebody else's."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    fd = os.open(name, _HANDLE | os.O_NOFOLLOW, dir_fd=parent)
    if name != ".Trash" and os.fstat(fd).st_uid != os.getuid():
        os.close(fd)
        raise PermissionError(errno.EPERM, "a trash that belongs to somebody else")
    return fd


def _top_of(directory: int, mount: object) -> tuple[int, int]:
    """The top directory of a mount and how deep below it the directory is, climbing by handle."""
    here, depth = os.open(".", _HANDLE, dir_fd=directory), 0
    while True:
        above = os.open("..", _HANDLE, dir_fd=here)
        if _mount(above) != mount or os.path.samestat(os.fstat(above), os.fstat(here)):
            os.close(above)
            return here, depth
        os.close(here)
        here, depth = above, depth + 1


def _mount(fd: int) -> object:
    """Which mount a handle is on: a bind mount of one disk is another mount, and no rename crosses it."""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as facts:  # noqa: PTH123
        for line in facts:
            if line.startswith("mnt_id:"):
                return os.fstat(fd).st_dev, int(line.split()[1])
    return os.fstat(fd).st_dev

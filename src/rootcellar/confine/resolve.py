"""The one walker: from a root's handle to (parent directory handle, last name), whatever the path and its links say.

Threats: `..` and links that leave; links swapped in while we look; directories moved while we stand in them; names
that look like another; seals dodged by a link. Algorithm (see `_open.py`): one plain name at a time, relative to the
handle before, links read and spliced in by us, `..` back along the handles we came by, never by asking the system
(except to reopen an ancestor, and then its identity must be the one remembered). Every real name is shown to the
guard before it is touched. Most paths have no link and no `..`: those take one call where the system has it, and
then the last name is looked at like any other.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from rootcellar import limits
from rootcellar.confine import names
from rootcellar.confine._open import Backend, Kind, LinkFound, OddFile, Stat
from rootcellar.confine.refusals import outside
from rootcellar.errors import Exists, NameTooLong, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STEPS_MAX: Final = 4_096  # beyond the asked components: what links may add
_AT_ONCE: Final = 3_500  # bytes in one call; PATH_MAX is 4096


class Ending(Enum):
    """What the last name may be."""

    FOLLOW = "it is there; a link is followed"
    ITSELF = "it is there; a link is the thing meant"
    NEW = "it may be missing; a link is followed to what it would make"


@dataclass(slots=True)
class Place:
    """Where a path led: a name in an open directory. `parts` is its real location, every link resolved."""

    directory: int
    name: str  # "." for the root itself
    parts: tuple[str, ...]
    stat: Stat | None  # None: nothing has that name
    through_link: bool = False  # the asked last name is a link to this
    as_directory: bool = False  # asked with a slash at the end


class Footing(Protocol):
    """What the walker needs of a root."""

    @property
    def backend(self) -> Backend:
        """How to act on this system."""

    @property
    def handle(self) -> int:
        """The root's directory."""

    def relative(self, path: str) -> list[str] | None:
        """The components below this root of an absolute path that spells it, or None."""


class Guard(Protocol):
    """Asked about every real name before it is touched."""

    def __call__(self, parents: tuple[str, ...], name: str) -> None:
        """Raise the Refusal, or let it pass."""


class Trail:
    """The directories from a root (or another open directory) down to where we stand; few of them open at once."""

    __slots__ = ("_backend", "_identities", "_oldest", "_open", "names")

    def __init__(self, backend: Backend, base: int) -> None:
        self._backend = backend
        self._open: list[int | None] = [base]  # the base is never closed here
        self._identities: list[tuple[int, int] | None] = [None]
        self._oldest = 1  # below this level, but for the base, handles are closed
        self.names: list[str] = []

    @property
    def top(self) -> int:
        """The directory where we stand."""
        handle = self._open[-1]
        assert handle is not None
        return handle

    def push(self, name: str) -> None:
        """Go down into a directory; LinkFound, OSError."""
        self.adopt(name, self._backend.enter(self.top, name))

    def adopt(self, name: str, handle: int) -> None:
        """Stand in a directory that is open already; the trail closes it."""
        self._open.append(handle)
        self._identities.append(None)
        self.names.append(name)
        if len(self._open) - self._oldest > self._backend.levels_max:
            oldest = self._open[self._oldest]
            if oldest is not None:
                self._identities[self._oldest] = self._backend.lstat(oldest, ".").identity
                self._backend.close(oldest)
                self._open[self._oldest] = None
            self._oldest += 1

    def pop(self) -> str:
        """Go back to the directory we came by; the name of the one left. ESTALE when it is not its parent any more."""
        leaving = self.top
        level = len(self._open) - 2
        if self._open[level] is None:
            parent = self._open[level] = self._backend.up(leaving)
            self._oldest = level
            if self._backend.lstat(parent, ".").identity != self._identities[level]:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        self._open.pop()
        self._identities.pop()
        self._backend.close(leaving)
        return self.names.pop()

    def clear(self) -> None:
        """Back to the base."""
        while len(self._open) > 1:
            handle = self._open.pop()
            if handle is not None:
                self._backend.close(handle)
        del self._identities[1:]
        self._oldest = 1
        self.names.clear()


@contextmanager
def find(ground: Footing, asked: tuple[str, ...], ending: Ending, guard: Guard) -> Iterator[Place]:
    """Lead a path to its place; its handles are closed when the block ends."""
    as_directory = asked[-1:] == (".",)
    parts = asked[:-1] if as_directory else asked
    trail = Trail(ground.backend, ground.handle)
    try:
        place = _straight(ground, parts, ending, guard, trail) or _Walk(ground, parts, ending, guard, trail).lead()
        place.as_directory = as_directory
        if as_directory and place.stat is not None and place.stat.kind is not Kind.DIRECTORY:
            raise OddFile(place.stat.kind)
        yield place
    finally:
        trail.clear()


def _straight(ground: Footing, parts: tuple[str, ...], ending: Ending, guard: Guard, trail: Trail) -> Place | None:
    """The short way: no link, no `..`, no escape in a name. None for anything else, also for every failure."""
    if not parts:
        return Place(ground.handle, ".", (), ground.backend.lstat(ground.handle, "."))
    for index, name in enumerate(parts):
        if name == ".." or names.meant(name) != name:
            return None
        guard(parts[:index], name)
    if len(parts) > 1 and not _descend(ground.backend, trail, parts[:-1]):
        return None
    name, stat, is_told = parts[-1], None, True
    try:
        stat = ground.backend.lstat(trail.top, name)
        is_told = stat.kind is not Kind.LINK or ending is Ending.ITSELF
    except FileNotFoundError:
        is_told = ending is Ending.NEW and not names.can_look_alike(name)
    except OSError:
        is_told = False
    if is_told:
        return Place(trail.top, name, parts, stat)
    trail.clear()
    return None


def _descend(backend: Backend, trail: Trail, parts: Sequence[str]) -> bool:
    """Open the directory at the end of plain names, in one call for as many as a call can take."""
    start = 0
    while start < len(parts):
        end, size = start, 0
        while end < len(parts) and size < _AT_ONCE:
            size += 4 * len(parts[end]) + 1
            end += 1
        handle = backend.open_below(trail.top, parts[start:end])
        if handle is None:
            trail.clear()
            return False
        trail.clear()
        trail.adopt("", handle)
        start = end
    return True


class _Walk:
    """One walk, component by component."""

    def __init__(self, ground: Footing, parts: tuple[str, ...], ending: Ending, guard: Guard, trail: Trail) -> None:
        self.ground, self.backend, self.trail = ground, ground.backend, trail
        self.guard, self.ending = guard, ending
        self.asked = "/".join(map(names.told, parts))
        self.todo = [(name, True) for name in reversed(parts)]  # the flag: asked for, not read from a link
        self.steps_left = len(parts) + _STEPS_MAX
        self.hops_left = limits.LINK_HOPS_MAX
        self.through_link = False

    def lead(self) -> Place:
        """Walk to the end."""
        while self.todo:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise NameTooLong(f"`{names.clipped(self.asked)}` goes through too many names", "use a shorter path")
            name, was_asked = self.todo.pop()
            if name == ".":
                continue
            if name == "..":
                self._back()
                continue
            place = self._step(name, was_asked)
            if place is not None:
                return place
        return self._here()

    def _back(self) -> None:
        if not self.trail.names:
            raise outside(names.clipped(self.asked))
        self.trail.pop()

    def _here(self) -> Place:
        """The path ended in `.` or `..`: the directory where we stand, by its name in its parent."""
        if not self.trail.names:
            return Place(self.trail.top, ".", (), self.backend.lstat(self.trail.top, "."))
        stat = self.backend.lstat(self.trail.top, ".")
        name = self.trail.pop()
        return Place(self.trail.top, name, (*self.trail.names, name), stat, self.through_link)

    def _step(self, asked: str, was_asked: bool) -> Place | None:  # noqa: FBT001 - of one private walk
        is_last = not any(name != "." for name, _ in self.todo)
        if is_last and self.todo and self.ending is Ending.ITSELF:
            is_last = False  # `link/.` is what the link leads to
        name, stat = self._look(asked, was_asked, is_last)
        if stat is not None and stat.kind is Kind.LINK and not (is_last and self.ending is Ending.ITSELF):
            self.through_link = self.through_link or (is_last and was_asked)
            self._splice(self.backend.read_link(self.trail.top, name))
            return None
        if is_last and not self.todo:
            if stat is None and self.ending is not Ending.NEW:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return Place(self.trail.top, name, (*self.trail.names, name), stat, self.through_link)
        if stat is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        try:
            self.trail.push(name)
        except LinkFound as link:
            self._splice(link.target)
        return None

    def _splice(self, target: str) -> None:
        """Put a link's target in front of what is left to walk."""
        self.hops_left -= 1
        if self.hops_left < 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not target:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        anchor, found = self.backend.split(target)
        if anchor:
            below = self.ground.relative(target)
            if below is None:
                raise outside(names.clipped(self.asked))
            self.trail.clear()
            found = below
        self.todo += [(self.backend.check(name), False) for name in reversed(found)]

    def _look(self, asked: str, was_asked: bool, is_last: bool) -> tuple[str, Stat | None]:  # noqa: FBT001
        """Find the name that is meant in the directory where we stand: itself, or a look-alike if only one is there."""
        parents = tuple(self.trail.names)
        for name in dict.fromkeys((names.meant(asked), asked) if was_asked else (asked,)):
            self.guard(parents, name)
            try:
                return name, self.backend.lstat(self.trail.top, name)
            except FileNotFoundError:
                continue
        if not was_asked or not names.can_look_alike(asked):
            return asked, None
        alike = self._alike(asked)
        if alike and is_last and self.ending is Ending.NEW:
            raise Exists(
                f"`{names.shown(alike[0])}` exists, and `{names.told(asked)}` would look just like it",
                "use the existing name, or one that looks different",
            )
        if len(alike) > 1:
            told = " and ".join(f"`{name.encode('ascii', 'backslashreplace').decode()}`" for name in alike[:2])
            raise NotFound(f"`{names.told(asked)}` could be {told}", "rename one of them so that they look different")
        if not alike:
            return asked, None
        self.guard(parents, alike[0])
        return alike[0], self.backend.lstat(self.trail.top, alike[0])

    def _alike(self, asked: str) -> list[str]:
        wanted = names.folded(asked)
        try:
            return sorted(name for name, _ in self.backend.scan(self.trail.top) if names.folded(name) == wanted)
        except PermissionError:
            return []  # searchable, not readable: only exact names work here

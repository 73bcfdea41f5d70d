"""A tree, one directory after the other: bounded in handles and memory, never through a link, never into a seal.

Every stat is done on the open handle of its directory: one made later, after the handle's number was given to another
directory, would describe a file outside. Trees of any depth work; deep ancestors are closed and reopened (`Trail`).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from rootcellar import limits
from rootcellar.confine import names
from rootcellar.confine._open import DRAFT_PREFIX, Kind, LinkFound, Stat
from rootcellar.confine.refusals import refusal
from rootcellar.confine.resolve import Trail
from rootcellar.errors import Refusal, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rootcellar.confine.entry import Entry
    from rootcellar.confine.seals import Seals


class Cancel(Protocol):
    """The caller's way to take a request back."""

    @property
    def cancelled(self) -> bool:
        """Whether it was."""

    def check(self) -> None:
        """Raise Cancelled if it was."""


class Details(Enum):
    """How much is found out about each name of a walk."""

    KIND = "the kind, from the listing itself"
    STAT = "size, times and mode: one more system call for each"


@dataclass(slots=True)
class Walked:
    """One name of a walk, before what is below it; `parents` are the raw names between the walk's start and it."""

    start: Entry
    parents: tuple[str, ...]
    name: str
    kind: Kind
    sealed: bool
    stat: Stat | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The raw names from the walk's start to this one."""
        return (*self.parents, self.name)

    @property
    def shown(self) -> str:
        """The path from the walk's start, for people and models."""
        return "/".join(map(names.shown, self.parts))

    @property
    def entry(self) -> Entry:
        """The entry itself, to be opened from its root like any other."""
        return self.start.below(self.parts)


Unread = Callable[[Walked, Refusal], None]


def walk_below(
    start: Entry,
    trail: Trail,
    *,
    above: tuple[str, ...],
    details: Details = Details.KIND,
    ignore: Callable[[Walked], bool] | None = None,
    unread: Unread | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Walked]:
    """Yield every name below the trail's directory, parents first, sorted in each directory.

    `above` is the directory's real place. What `ignore` says yes to is neither yielded nor entered; what cannot be
    listed is told to `unread`. TooLarge past `WALK_ENTRIES_MAX` names.
    """
    seals = start.root.seals
    parents: tuple[str, ...] = ()
    levels = [_Level(start, trail.top)]
    count = levels[0].count
    while levels:
        level = levels[-1]
        for name, kind in level.left:
            if cancel is not None and cancel.cancelled:
                cancel.check()
            found = Walked(start, parents, name, kind, level.may_hold_seals and seals.hold((*above, *parents), name))
            if (details is Details.STAT and not _describe(found, trail)) or (ignore is not None and ignore(found)):
                continue
            yield found
            if kind is Kind.DIRECTORY and not found.sealed and (below := _enter(found, trail, unread)) is not None:
                levels.append(below)
                parents = (*parents, name)
                count += below.count
                break
        else:
            levels.pop()
            if levels:
                trail.pop()
                parents = parents[:-1]
        if count > limits.WALK_ENTRIES_MAX:
            raise TooLarge(f"`{start}` holds over {limits.WALK_ENTRIES_MAX} names", "name a directory in it")


class _Level:
    """The names of a directory that are still to come, sorted, without our own unfinished files."""

    __slots__ = ("count", "left", "may_hold_seals")

    def __init__(self, start: Entry, directory: int) -> None:
        found = sorted(start.root.backend.scan(directory), key=itemgetter(0))
        alone = [name for name, _ in found]
        at = bisect.bisect_left(alone, DRAFT_PREFIX)
        if at < len(alone) and alone[at].startswith(DRAFT_PREFIX):
            found = [item for item in found if not item[0].startswith(DRAFT_PREFIX)]
        self.left = iter(found)
        self.count = len(found)
        self.may_hold_seals = start.root.seals.may_hold_any(alone)


def _describe(found: Walked, trail: Trail) -> bool:
    """Fill in the stat, on the handle of the directory that is open right now; False when the name is gone."""
    try:
        found.stat = found.start.root.backend.lstat(trail.top, found.name)
    except FileNotFoundError:
        return False
    found.kind = found.stat.kind
    return True


def _enter(found: Walked, trail: Trail, unread: Unread | None) -> _Level | None:
    """Go into a directory and list it; None when it is gone, became a link, or is closed to us (which is told)."""
    try:
        trail.push(found.name)
    except (LinkFound, FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if unread is not None:
            unread(found, refusal(error, found.shown))
        return None
    try:
        return _Level(found.start, trail.top)
    except OSError as error:
        trail.pop()
        if unread is not None:
            unread(found, refusal(error, found.shown))
        return None


def sealed_below(seals: Seals, start: Entry, trail: Trail, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The raw names, below a directory, of everything sealed."""
    for found in walk_below(start, trail, above=above):
        if found.sealed and seals.hold((*above, *found.parents), found.name):
            yield found.parts

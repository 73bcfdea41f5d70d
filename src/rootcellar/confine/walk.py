"""A tree, one directory after the other: bounded in handles and memory, never through a link, never into a seal.

Every stat is done on the open handle of its directory: one made later, after the handle's number was given to another
directory, would describe a file outside. Trees of any depth work; deep ancestors are closed and reopened (`Trail`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
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

_CHECK_EVERY = 256  # entries between two looks at the cancellation


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
    may_hold = seals.may_hold
    parents: tuple[str, ...] = ()
    levels = [_listing(start, trail.top)]
    count = len(levels[0])
    while levels:
        if not levels[-1]:
            levels.pop()
            if levels:
                trail.pop()
                parents = parents[:-1]
            continue
        name, kind = levels[-1].pop()
        if cancel is not None and not len(levels[-1]) % _CHECK_EVERY:
            cancel.check()
        sealed = may_hold(name) and seals.hold((*above, *parents), name)
        found = Walked(start, parents, name, kind, sealed)
        if (details is Details.STAT and not _describe(found, trail)) or (ignore is not None and ignore(found)):
            continue
        yield found
        if kind is Kind.DIRECTORY and not sealed and (below := _enter(found, trail, unread)) is not None:
            levels.append(below)
            parents = (*parents, name)
            count += len(below)
            if count > limits.WALK_ENTRIES_MAX:
                raise TooLarge(f"`{start}` holds over {limits.WALK_ENTRIES_MAX} names", "name a directory in it")


def _describe(found: Walked, trail: Trail) -> bool:
    """Fill in the stat, on the handle of the directory that is open right now; False when the name is gone."""
    try:
        found.stat = found.start.root.backend.lstat(trail.top, found.name)
    except FileNotFoundError:
        return False
    found.kind = found.stat.kind
    return True


def _enter(found: Walked, trail: Trail, unread: Unread | None) -> list[tuple[str, Kind]] | None:
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
        return _listing(found.start, trail.top)
    except OSError as error:
        trail.pop()
        if unread is not None:
            unread(found, refusal(error, found.shown))
        return None


def _listing(start: Entry, directory: int) -> list[tuple[str, Kind]]:
    """The names of a directory, last first, without our own unfinished files."""
    found = [item for item in start.root.backend.scan(directory) if not item[0].startswith(DRAFT_PREFIX)]
    found.sort(reverse=True)
    return found


def sealed_below(seals: Seals, start: Entry, trail: Trail, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The raw names, below a directory, of everything sealed."""
    for found in walk_below(start, trail, above=above):
        if found.sealed and seals.hold((*above, *found.parents), found.name):
            yield found.parts

"""Names found by pattern in a tree: `search_files`."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from rootcellar import limits
from rootcellar.confine import Cancel, Details, Entry, Kind, Stat, Walked
from rootcellar.errors import Refusal
from rootcellar.text import cursor as cursors
from rootcellar.text.glob import Glob, Globs
from rootcellar.text.leaving import Honour, Leaving

SECONDS_MAX: Final = 20.0  # then what was found so far is the answer
COUNT_SECONDS_MAX: Final = 1.0  # how long a full page goes on counting
PROGRESS_EVERY: Final = 4_096  # names

Progress = Callable[[int, str], None]


class Wanted(Enum):
    """Which kinds of names are meant."""

    FILES = "files"
    DIRECTORIES = "directories"
    ANY = "any"


class Order(Enum):
    """What comes first."""

    PATH = "path"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for."""

    globs: tuple[Glob, ...]  # any of them
    exclude: tuple[Glob, ...] = ()  # none of them; a directory that matches is not entered
    wanted: Wanted = Wanted.ANY
    order: Order = Order.PATH
    honour: Honour = Honour.IGNORE_FILES

    @property
    def mark(self) -> tuple[object, ...]:
        """What tells this query from others."""
        globs = [(glob.pattern, glob.regex.flags) for glob in (*self.globs, *self.exclude)]
        return ("find", globs, len(self.globs), self.wanted.value, self.order.value, self.honour.value)


@dataclass(frozen=True, slots=True)
class Hit:
    """One name that matches; `path` is relative to where the search began, as shown."""

    path: str
    kind: Kind
    sealed: bool
    stat: Stat | None


@dataclass(slots=True)
class Found:
    """One page of hits, and how much more there is."""

    hits: list[Hit] = field(default_factory=list)
    total: int = 0  # matches seen, those of earlier pages too
    complete: bool = True  # the whole tree was seen, so `total` is exact
    timed_out: bool = False
    cursor: str | None = None
    ignored: int = 0  # directories and files that ignore files left out
    unread: list[tuple[str, str]] = field(default_factory=list)  # directories that could not be listed, and why


def find(
    start: Entry,
    query: Query,
    *,
    cursor: str | None = None,
    hits_max: int = limits.LIST_ENTRIES_MAX,
    chars_max: int = limits.ANSWER_CHARS_MAX,
    cancel: Cancel | None = None,
    progress: Progress | None = None,
    seconds_max: float = SECONDS_MAX,
) -> Found:
    """Every name below a directory that matches, a page at a time; nothing below a link or a seal is entered."""
    search = _Search(start, query, hits_max, chars_max, time.monotonic() + seconds_max, progress)
    after = None if cursor is None else cursors.read(cursor, (str(start), query.mark), _SHAPES[query.order])
    matches = search.matches(cancel)
    if query.order is Order.NEWEST:
        search.newest(matches, None if after is None else (-int(after[0]), tuple(map(str, after[1:]))))
    else:
        search.in_order(matches, () if after is None else tuple(map(str, after)))
    search.found.ignored = len(search.leaving.left_out) + search.leaving.files
    return search.found


_SHAPES: Final[dict[Order, Sequence[type[int | str]]]] = {Order.PATH: (str,), Order.NEWEST: (int, str)}


class _Search:
    """One search under way."""

    def __init__(
        self, start: Entry, query: Query, hits_max: int, chars_max: int, deadline: float, progress: Progress | None
    ) -> None:
        self.start, self.query, self.deadline, self.progress = start, query, deadline, progress
        self.hits_left, self.chars_left = max(1, hits_max), chars_max
        self.found, self.without = Found(), Globs(query.exclude)
        self.leaving = Leaving(start, query.honour, self._excluded if query.exclude else None)

    def _excluded(self, found: Walked) -> bool:
        return self.without.match(found.parents, found.name)

    def _unread(self, found: Walked, why: Refusal) -> None:
        self.found.unread.append((found.shown, why.message))

    def matches(self, cancel: Cancel | None) -> Iterator[Walked]:
        """The names that match, in the walk's order, until the deadline."""
        details = Details.STAT if self.query.order is Order.NEWEST else Details.KIND
        wanted, seen, match = self.query.wanted, 0, Globs(self.query.globs).match
        for found in self.start.walk(details=details, ignore=self.leaving, unread=self._unread, cancel=cancel):
            seen += 1
            if not seen % 256 and time.monotonic() > self.deadline:
                self.found.complete = False
                self.found.timed_out = True
                return
            if self.progress is not None and not seen % PROGRESS_EVERY:
                self.progress(seen, f"{seen:,} names seen, {self.found.total:,} match")
            if wanted is not Wanted.ANY and (found.kind is Kind.DIRECTORY) is not (wanted is Wanted.DIRECTORIES):
                continue
            if match(found.parents, found.name):
                yield found

    def in_order(self, matches: Iterator[Walked], after: tuple[str, ...]) -> None:
        """Take a page in the walk's order, then count on for a while."""
        last: tuple[str, ...] = ()
        full = False
        counted_until = self.deadline
        for found in matches:
            self.found.total += 1
            if full:
                if time.monotonic() > counted_until:
                    self.found.complete = False
                    break
            elif found.parts > after:
                full = not self._take(found)
                if full:
                    counted_until = min(self.deadline, time.monotonic() + COUNT_SECONDS_MAX)
                else:
                    last = found.parts
        if full or (self.found.timed_out and last):
            self.found.cursor = cursors.write(last, (str(self.start), self.query.mark))

    def newest(self, matches: Iterator[Walked], after: tuple[int, tuple[str, ...]] | None) -> None:
        """Take the page of the newest ones after a place; the whole tree is seen, one page of it is held."""

        def keyed() -> Iterator[tuple[int, tuple[str, ...], Walked]]:
            for found in matches:
                self.found.total += 1
                age = -(found.stat.mtime_ns if found.stat else 0)
                if after is None or (age, found.parts) > after:
                    yield age, found.parts, found

        best = heapq.nsmallest(self.hits_left + 1, keyed(), key=lambda item: item[:2])
        for age, parts, found in best:
            if not self._take(found):
                break
            last = (age, parts)
        else:
            return
        self.found.cursor = cursors.write([-last[0], *last[1]], (str(self.start), self.query.mark))

    def _take(self, found: Walked) -> bool:
        """Put a match on the page, unless the page is full; the first one always fits."""
        hit = Hit(found.shown, found.kind, found.sealed, found.stat)
        if self.hits_left == 0 or (self.found.hits and self.chars_left < len(hit.path)):
            return False
        self.hits_left -= 1
        self.chars_left -= len(hit.path) + 1
        self.found.hits.append(hit)
        return True

"""Changes as people and models read them: one line each, when, what, where; and what may be seen of them.

Of changes that touched anything outside the roots in force nothing is told, not even that they are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.confine.resolve import Ending
from rootcellar.errors import BadArgument, NotFound, OutsideRoots
from rootcellar.journal import facts as fact
from rootcellar.journal.changes import Change, Filter, Recorded, State

if TYPE_CHECKING:
    from rootcellar.confine import Entry, Roots
    from rootcellar.journal.store import Store

_PATHS_TOLD: Final = 3
_PAGES_LOOKED_AT: Final = 200
_SPAN: Final = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Shown = Callable[[str], str | None]  # an absolute path as it is shown; None where nothing may be told of it


@dataclass(frozen=True, slots=True)
class Listed:
    """Changes that may be seen, the newest first; the cursor continues them."""

    changes: tuple[Change, ...]
    cursor: str = ""


def inside(roots: Roots) -> Shown:
    """Paths as these roots show them; None for what lies outside."""

    def shown(path: str) -> str | None:
        anchor, parts = roots.roots[0].backend.split(path)
        try:
            return str(roots.at(anchor, tuple(parts)))
        except OutsideRoots:
            return None

    return shown


def visible(change: Change, shown: Shown) -> bool:
    """Whether all that a change touched may be told."""
    return all(shown(path) is not None for path in places(change))


def page(store: Store, asked: Filter, cursor: str, shown: Shown, kind: str = "") -> Listed:
    """One page of what may be seen; `kind` is the first word of the steps' kinds, empty for any."""
    found: list[Change] = []
    for _ in range(_PAGES_LOOKED_AT):
        got = store.changes(asked, cursor, limits.JOURNAL_PAGE - len(found))
        cursor = got.cursor
        found += [change for change in got.changes if visible(change, shown) and _is_of(change, kind)]
        if not cursor or len(found) >= limits.JOURNAL_PAGE:
            break
    return Listed(tuple(found), cursor)


def everything(store: Store, since: float, shown: Shown) -> list[Change]:
    """What was changed since then and is not undone; an undo of what was changed since then is no change."""
    return list(_everything(store, since, shown))


def _everything(store: Store, since: float, shown: Shown) -> Iterator[Change]:
    cursor = ""
    while True:
        got = store.changes(Filter(since=since), cursor)
        for change in got.changes:
            if change.state is State.DONE and visible(change, shown) and not _undoes_since(store, change, since):
                yield change
        cursor = got.cursor
        if not cursor:
            return


def newest(store: Store) -> Change | None:
    """The newest change that is neither undone nor an undo."""
    cursor = ""
    while True:
        got = store.changes(Filter(), cursor)
        for change in got.changes:
            if change.state is State.DONE and not change.undoes:
                return change
        cursor = got.cursor
        if not cursor:
            return None


def _undoes_since(store: Store, change: Change, since: float) -> bool:
    """Whether it only takes back what was itself changed since then."""
    try:
        return bool(change.undoes) and all(store.change(known).at >= since for known in change.undoes.split())
    except NotFound:
        return False


def line(change: Change, shown: Shown, zone: tzinfo | None) -> str:
    """One change in one line."""
    at = datetime.fromtimestamp(change.at, zone).strftime("%Y-%m-%d %H:%M:%S")
    return "  ".join([change.id, at, change.tool, where(change, shown), *_marks(change)])


def places(change: Change) -> list[str]:
    """The absolute paths it touched, each once; of rows, their database's."""
    return list(dict.fromkeys(path for step in change.steps for path in places_of(step)))


def places_of(step: Recorded) -> Sequence[str]:
    """The absolute paths a step touched."""
    return [fact.path(step.facts["at"])] if step.kind.startswith("database.") else step.paths


def where(change: Change, shown: Shown) -> str:
    """What it touched, the first few."""
    paths = places(change)
    told = ", ".join(shown(path) or "?" for path in paths[:_PATHS_TOLD])
    return told + (f" and {len(paths) - _PATHS_TOLD:,} more" if len(paths) > _PATHS_TOLD else "")


def _marks(change: Change) -> list[str]:
    marks = [f"({change.host})"] if change.host else []
    if change.undoes:
        marks.append(f"undoes {', '.join(change.undoes.split()[:_PATHS_TOLD])}")
    if change.state is State.UNDONE:
        marks.append(f"undone by {change.undone_by}" if change.undone_by else "undone")
    if change.interrupted:
        marks.append("was interrupted")
    return marks


def _is_of(change: Change, kind: str) -> bool:
    return not kind or any(step.kind.startswith(f"{kind}.") for step in change.steps)


def when(text: str, now: datetime) -> float:
    """The time that `10m`, `2h`, `3d` ago means, or `2026-11-21T10:00`; in the zone of `now` where it names none."""
    if span := _SPAN.fullmatch(text.strip()):
        return (now - timedelta(**{_UNITS[span[2]]: int(span[1])})).timestamp()
    try:
        meant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadArgument(f"`{text[:40]}` is no time", "use `30s`, `10m`, `2h`, `3d`, or `2026-11-21T10:00`") from None
    return (meant if meant.tzinfo else meant.replace(tzinfo=now.tzinfo)).timestamp()


def real_path(entry: Entry) -> str:
    """The real absolute path of an entry, whether or not it is there any more; a name for the index."""
    try:
        with entry.find(Ending.NEW) as place:
            return fact.path(fact.at(entry.at(place.parts)))
    except NotFound:
        if entry.parent.parts == entry.parts:
            raise
        above = real_path(entry.parent)
        return above + ("\\" if "\\" in above and not above.startswith("/") else "/") + str(entry.parts[-1])

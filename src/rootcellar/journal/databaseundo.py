"""Undo of database changes: rows put back as they were, or the whole file, through SQLite, or not at all.

A rehearsal is the check: the undo is done, row by row, in a transaction that is rolled back. What is undone is recorded
like any change: rows by the same content read the other way round, a whole file by a copy of what it is now.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from rootcellar.errors import NotFound, Stale
from rootcellar.journal import facts as fact
from rootcellar.journal.databases import DatabaseRecord
from rootcellar.sqlite import Databases, KeptFiles, KeptRows, Run, Way

if TYPE_CHECKING:
    from rootcellar.confine import Cancel, Entry, Roots
    from rootcellar.journal.changes import Recorded
    from rootcellar.journal.drafting import Draft
    from rootcellar.journal.store import Store
    from rootcellar.journal.undo import Taking
    from rootcellar.sqlite import Changed, Database

_SHOWN_CHARS: Final = 10_000


class Drafting(Protocol):
    """What a recording offers beside `undo.Taking`: the draft of the call."""

    def draft(self) -> Draft:
        """The record of this call."""


class DatabaseUndoer:
    """Undoes `database.*` steps."""

    def __init__(self, databases: Callable[[], Databases], store: Store) -> None:
        self._databases, self._store = databases, store

    def check(self, step: Recorded, roots: Roots, cancel: Cancel) -> None:
        """Refusal if it cannot be undone now."""
        self._rehearse(step, roots, cancel)

    def preview(self, step: Recorded, roots: Roots, cancel: Cancel) -> str:
        """What undoing would do to which rows."""
        found = self._rehearse(step, roots, cancel)
        shown = step.facts["at"]["shown"]
        if found is None:
            return f"`{shown}`: nothing to do"
        if _is_new(step):
            return f"`{shown}` is removed: the change made it"
        if step.kind == "database.whole":
            return f"`{shown}` is put back whole, as it was before ({sum(step.facts['sizes']):,} bytes)"
        count = sum(found.rows.values())
        return _bounded([f"`{shown}`: {count:,} row{'' if count == 1 else 's'} put back", *found.sample])

    def show(self, step: Recorded) -> str:
        """What the step did."""
        facts = step.facts
        line = f"changed the database `{facts['at']['shown']}`: {facts['summary']}"
        if facts["sealed"]:
            line += " (encrypted: an undo with `dry_run` shows the rows)"
        return _bounded([line, *facts["sample"]])

    def undo(self, step: Recorded, roots: Roots, taking: Taking, cancel: Cancel) -> None:
        """Do it, recorded by `taking`, which is a call's recording."""
        entry = fact.entry(roots, step.facts["at"])
        draft: Draft = taking.draft()  # type: ignore[attr-defined]  # `Drafting`, which every recording is
        if self._is_undone(step, entry):
            draft.amend(draft.step("database.nothing", _nothing(step), (), (), step), {})
            return
        database = self._open(entry, cancel)
        if _is_new(step):
            database.remove_if(step.facts["expected"], entry.remove)
            return
        record = DatabaseRecord(self._store, draft, entry)
        record.undoing = step
        if step.kind == "database.whole":
            database.restore(self._files(step), Run.KEEP, record)
        else:
            record.same_rows(step)
            database.revert(self._rows(step), _way(step), Run.KEEP, record)

    # what both do

    def _rehearse(self, step: Recorded, roots: Roots, cancel: Cancel) -> Changed | None:
        """Do it and take it back; None when there is nothing to do."""
        entry = fact.entry(roots, step.facts["at"])
        if self._is_undone(step, entry):
            return None
        database = self._open(entry, cancel)
        if step.kind == "database.whole":
            return database.restore(self._files(step), Run.DRY)
        return database.revert(self._rows(step), _way(step), Run.DRY)

    def _is_undone(self, step: Recorded, entry: Entry) -> bool:
        """Whether the old state is there already."""
        if step.kind == "database.nothing":
            return True
        try:
            size = entry.stat().size
        except NotFound:
            if _is_new(step):
                return True
            raise Stale(f"`{entry}` is gone", "put it back first: `list_changes` may show where it went") from None
        return _is_new(step) and not size

    def _open(self, entry: Entry, cancel: Cancel) -> Database:
        return self._databases().open(entry, cancel)

    def _rows(self, step: Recorded) -> KeptRows:
        facts = step.facts
        return KeptRows(tuple(facts["sizes"]), lambda: self._read(step), facts["proof"], facts["sealed"])

    def _files(self, step: Recorded) -> KeptFiles:
        facts = step.facts
        return KeptFiles((*facts["sizes"], 0, 0)[:2], lambda: self._read(step), facts["expected"], facts["sealed"])

    def _read(self, step: Recorded) -> Callable[[], bytes]:
        """What is kept of a step, one content after the other, in chunks; empty at the end."""
        stream = itertools.chain.from_iterable(self._store.chunks(kept.hash) for kept in step.contents)
        return lambda: next(stream, b"")


def _is_new(step: Recorded) -> bool:
    """Whether the change filled a file that was empty, or that it made."""
    return step.kind == "database.whole" and not sum(step.facts["sizes"])


def _way(step: Recorded) -> Way:
    return Way.BACK if step.facts["back"] else Way.FORTH


def _nothing(step: Recorded) -> dict[str, object]:
    told = {"at": step.facts["at"], "sealed": step.facts["sealed"], "sample": []}
    return {**told, "summary": "nothing to do, it was as before already"}


def _bounded(lines: list[str]) -> str:
    text = "\n".join(lines)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "\n..."

"""A root with databases, a store, and calls that change databases and are undone as the server does it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from journal.cellar import Call, Calm
from rootcellar.confine import Entry, Grant, Ground, Roots
from rootcellar.journal.changes import Change
from rootcellar.journal.databases import DatabaseRecord, DatabaseSettler
from rootcellar.journal.databaseundo import DatabaseUndoer
from rootcellar.journal.drafting import Draft
from rootcellar.journal.evidence import file_happened
from rootcellar.journal.fileundo import FileUndoer
from rootcellar.journal.store import Store
from rootcellar.journal.undo import Chain, Undo
from rootcellar.policy import Policy
from rootcellar.sqlite import Changed, Databases, Import


class DbCall:
    """One call's recording: the witness of its files, and the draft that database steps ask for."""

    def __init__(self, store: Store, tool: str, undoes: str = "") -> None:
        self.call = Call(store, tool, undoes)
        self.store = store
        self.take_back, self.about_to = self.call.take_back, self.call.about_to
        self.nothing, self.recorded, self.forget = self.call.nothing, self.call.recorded, self.call.forget

    def draft(self) -> Draft:
        return self.call.draft

    def recorder(self, entry: Entry) -> DatabaseRecord:
        return DatabaseRecord(self.store, self.draft(), entry)


class DbCellar:
    """`place/root` holds the databases, `place/journal` the store."""

    def __init__(self, place: Path, databases: Databases) -> None:
        self.place, self.root, self.databases = place, place / "root", databases
        self.root.mkdir(parents=True, exist_ok=True)
        settlers: dict[str, Any] = {"file": file_happened, "database": DatabaseSettler(lambda: databases)}
        self.store = Store(str(place / "journal"), settlers=settlers)
        undoers: dict[str, Any] = {
            "file": FileUndoer(self.store),
            "database": DatabaseUndoer(lambda: databases, self.store),
        }
        self.journal = Undo(self.store, undoers)
        self.ground = Ground()

    def roots(self) -> Roots:
        return self.ground.roots([Grant(str(self.root))], Policy())

    def entry(self, name: str) -> Entry:
        return self.roots().entry(name)

    def make(self, name: str, script: str) -> Path:
        """A database made by another program."""
        path = self.root / name
        with closing(sqlite3.connect(path)) as made:
            made.executescript(script)
        return path

    def change(self, name: str, sql: str, params: Any = (), *, create: bool = False) -> Change | None:
        """`change_database`: its change, or None when nothing was changed."""
        call = DbCall(self.store, "change_database")
        entry = self.roots().witnessed(call).entry(name)

        def act() -> Changed:
            opened = self.databases.create(entry) if create else self.databases.open(entry)
            return opened.change(sql, params, record=call.recorder(entry))

        return self._call(call.draft(), act)

    def imported(self, name: str, rows: str, table: str) -> Change:
        """`import_table`."""
        call = DbCall(self.store, "import_table")
        roots = self.roots().witnessed(call)
        opened = self.databases.open(roots.entry(name))

        def act() -> None:
            opened.import_file(roots.entry(rows), Import(table), record=call.recorder(roots.entry(name)))

        change = self._call(call.draft(), act)
        assert change is not None
        return change

    def done(self, name: str, sql: str, params: Any = ()) -> Change:
        """A change that must change something."""
        change = self.change(name, sql, params)
        assert change is not None
        return change

    def undo(self, *ids: str, chain: Chain = Chain.ALONE) -> Change | None:
        """Undo, as a change of its own."""
        plan = self.journal.plan(ids, chain)
        call = DbCall(self.store, "undo_change", " ".join(plan.ids))
        roots = self.roots().witnessed(call)
        return self._call(call.draft(), lambda: self.journal.run(plan, roots, call, Calm()))

    def preview(self, *ids: str) -> list[str]:
        return self.journal.preview(self.journal.plan(ids), self.roots(), Calm())

    def _call(self, draft: Draft, act: Callable[[], Any]) -> Change | None:
        try:
            act()
        except BaseException:
            draft.abandon()
            raise
        return draft.seal("did it")

    def close(self) -> None:
        self.store.close(5)

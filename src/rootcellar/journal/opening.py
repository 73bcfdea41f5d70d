"""The whole journal, put together: the store, what settles and undoes each kind of step, and the order of undoing."""

from __future__ import annotations

from dataclasses import dataclass

from rootcellar.journal.databases import DatabaseSettler
from rootcellar.journal.databaseundo import DatabaseUndoer
from rootcellar.journal.evidence import file_happened
from rootcellar.journal.fileundo import FileUndoer
from rootcellar.journal.shelf import Settler
from rootcellar.journal.store import Store
from rootcellar.journal.undo import Undo, Undoer
from rootcellar.sqlite import Databases


@dataclass(frozen=True, slots=True)
class Journal:
    """One user's journal, as a server or a command uses it."""

    store: Store
    undo: Undo

    @classmethod
    def at(cls, directory: str, databases: Databases) -> Journal:
        """The journal in this directory; nothing is opened or made yet. On the main thread, before any is fenced."""
        settlers: dict[str, Settler] = {"file": file_happened, "database": DatabaseSettler(lambda: databases)}
        store = Store(directory, settlers=settlers)
        undoers: dict[str, Undoer] = {
            "file": FileUndoer(store),
            "database": DatabaseUndoer(lambda: databases, store),
        }
        return cls(store, Undo(store, undoers))

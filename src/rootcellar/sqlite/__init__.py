"""SQLite databases inside the roots: asked, explored and changed, each in a worker process of its own.

What the tools use (each body is a few lines):

    databases = Databases(keys)                # once, on the main thread, before any thread is fenced in
    databases.list(entry, cancel)              -> list[Listing]        list_databases
    database = databases.open(entry, cancel)   -> Database             refuses whatever is no database
    database.describe(table, samples).         -> str                  describe_database
    database.query(Query(sql, params, rows, cursor))  -> Page          query_database
    database.explain(sql, params)              -> Plan                 query_database(explain=true)
    database.cells(Query(...))                 -> Cells                typed rows: images, the journal
    database.change(sql, params, Run.KEEP)     -> Changed              change_database
    database.change(sql, params, Run.DRY)      -> Changed              change_database(dry_run=true)
    databases.create(entry, cancel)            -> Database             change_database(create=true)
    database.import_file(source, Import(...))  -> Imported             import_table
    database.export(sql, params, target, form) -> Exported             export_table
    database.backup(target)                    -> Exported             backup_database
    database.check()                           -> Checked              check_database
    database.search(word, rows)                -> Found                search_database

Every result but `describe`'s and `cells`' has `text()`. `Page.cursor` goes into the next `Query`; its `sql` may
then be left out. `change(..., record=r)`, `import_file`, `revert` and `restore` tell a `Recorder` before a change is
kept and after: the journal's place. A Refusal raised there rolls the change back. `effect(sql, params)` says READ,
WRITE or DESTROY before anything is done.

Imported by the server and by the worker alike, so nothing is imported here until it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rootcellar.sqlite.cipher import Key, KeyProvider, NoKeys
    from rootcellar.sqlite.database import Database, Databases
    from rootcellar.sqlite.keeping import KeptFiles, KeptRows, Recorder, Run, Way
    from rootcellar.sqlite.marks import Query
    from rootcellar.sqlite.process import command_line
    from rootcellar.sqlite.results import Changed, Checked, Exported, Found, Imported, Listing, Plan
    from rootcellar.sqlite.rows import Cells, Page
    from rootcellar.sqlite.transfer import Import

__all__ = [
    "Cells",
    "Changed",
    "Checked",
    "Database",
    "Databases",
    "Exported",
    "Found",
    "Import",
    "Imported",
    "KeptFiles",
    "KeptRows",
    "Key",
    "KeyProvider",
    "Listing",
    "NoKeys",
    "Page",
    "Plan",
    "Query",
    "Recorder",
    "Run",
    "Way",
    "command_line",
]

_HOMES = {
    "cipher": ("Key", "KeyProvider", "NoKeys"),
    "database": ("Database", "Databases"),
    "keeping": ("KeptFiles", "KeptRows", "Recorder", "Run", "Way"),
    "marks": ("Query",),
    "process": ("command_line",),
    "results": ("Changed", "Checked", "Exported", "Found", "Imported", "Listing", "Plan"),
    "rows": ("Cells", "Page"),
    "transfer": ("Import",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """A public name, from the module that holds it."""
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)

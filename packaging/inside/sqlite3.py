"""What aiosqlite asks of the standard library's `sqlite3`: names, and nothing that works.

The database worker gives aiosqlite connections of its own (apsw: one SQLite, pinned). The standard module would bring a
second, older SQLite into the bundle, so this file stands in its place there.
"""

from __future__ import annotations


class Error(Exception):
    """Never raised."""


class DatabaseError(Error):
    """Never raised."""


class IntegrityError(DatabaseError):
    """Never raised."""


class NotSupportedError(DatabaseError):
    """Never raised."""


class OperationalError(DatabaseError):
    """Never raised."""


class ProgrammingError(DatabaseError):
    """Never raised."""


class Warning(Exception):  # noqa: A001, N818 - the standard library's name
    """Never raised."""


class Connection:
    """Never made."""


class Cursor:
    """Never made."""


class Row:
    """Never made."""


SQLITE_OK, SQLITE_DENY, SQLITE_DROP_TABLE = 0, 1, 11
sqlite_version = "none: this program has one SQLite, behind `apsw`"
sqlite_version_info = (0, 0, 0)
paramstyle = "qmark"


def connect(*_: object, **__: object) -> Connection:
    """Refuse: the worker makes its connections itself."""
    raise NotSupportedError(sqlite_version)


def register_adapter(*_: object) -> None:
    """Nothing to adapt."""


def register_converter(*_: object) -> None:
    """Nothing to convert."""

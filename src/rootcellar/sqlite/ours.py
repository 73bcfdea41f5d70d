"""Our own databases (the journal's index): opened by path, durable when asked to be, errors as refusals.

Nothing here is for a user's database: no wall, no authorizer, SQL of our own only. Several processes share one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final

import apsw

from rootcellar import errors, limits

_FAULTS: Final[tuple[tuple[type[apsw.Error], type[errors.Refusal], str, str], ...]] = (
    (apsw.FullError, errors.NoSpace, "{name} cannot be written: the disk is full", "free some space, then try again"),
    (apsw.BusyError, errors.Busy, "{name} is in use by another server", "try again in a moment"),
    (apsw.LockedError, errors.Busy, "{name} is in use by another server", "try again in a moment"),
    (apsw.ProtocolError, errors.Busy, "{name} is in use by another server", "try again in a moment"),
    (apsw.ReadOnlyError, errors.Denied, "{name} cannot be written", "check the permissions of its directory"),
    (apsw.PermissionsError, errors.Denied, "{name} cannot be opened", "check the permissions of its directory"),
    (apsw.CantOpenError, errors.Denied, "{name} cannot be opened", "check its directory, and how many files are open"),
    (apsw.CorruptError, errors.Corrupt, "{name} is damaged", "move it away: a new one is made"),
    (apsw.NotADBError, errors.Corrupt, "{name} is damaged", "move it away: a new one is made"),
    (apsw.NoMemError, errors.Busy, "{name} cannot be written: memory is short", "try again in a moment"),
)
Value = str | int | float | bytes | None
Row = tuple[Value, ...]


class Durable(Enum):
    """What a power cut may take."""

    NOW = "FULL"  # nothing: the transaction is on the disk when it ends
    SOON = "NORMAL"  # the last transactions; never a part of one


class OwnDatabase:
    """One connection to a database of ours, in WAL mode; for one thread at a time."""

    def __init__(self, path: str, name: str, schema: str, *, vfs: str = "") -> None:
        """Open it, or make it; `name` is what a refusal calls it."""
        self._name = name
        with self._spoken():
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            self._raw = apsw.Connection(path, flags=flags, vfs=vfs or None)
            try:
                self._raw.set_busy_timeout(int(limits.BUSY_S * 1000))
                for pragma in ("journal_mode = WAL", "foreign_keys = ON", "temp_store = MEMORY", "mmap_size = 0"):
                    self._raw.execute(f"PRAGMA {pragma}").fetchall()
                self._durable: Durable | None = None
                with self.changing(Durable.SOON):
                    self._raw.execute(schema)
            except BaseException:
                with suppress(apsw.Error):
                    self._raw.close()
                raise

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run one statement; its rows, if it has any."""
        with self._spoken():
            return list(self._raw.execute(sql, tuple(values)))

    @contextmanager
    def changing(self, durable: Durable) -> Iterator[None]:
        """One transaction, all or nothing; it holds the write lock from its beginning."""
        with self._spoken():
            if durable is not self._durable:
                self._raw.execute(f"PRAGMA synchronous = {durable.value}").fetchall()
                self._durable = durable
            self._raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._spoken():
                self._raw.execute("COMMIT")
        except BaseException:
            with suppress(apsw.Error):
                if self._raw.in_transaction:
                    self._raw.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let go of the file."""
        with suppress(apsw.Error):
            self._raw.close()

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Let nothing but refusals out."""
        try:
            yield
        except apsw.ConstraintError as error:
            raise errors.Constraint(f"{self._name} already holds this", str(error)) from error
        except apsw.Error as error:
            for kind, fault, message, hint in _FAULTS:
                if isinstance(error, kind):
                    raise fault(message.format(name=self._name), hint) from error
            raise errors.Failed(f"{self._name} could not be read or written: {error}", "check the disk") from error

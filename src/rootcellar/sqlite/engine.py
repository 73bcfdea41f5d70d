"""A DB-API connection over apsw, as much of it as aiosqlite drives: one SQLite, bundled and pinned, for every file.

Why apsw-sqlite3mc: SQLite 3.54 (older ones delete files named in a crafted journal, or write out of bounds on a
crafted full-text table), plain and SQLCipher files in one library (two in a process ignore each other's locks),
limits, DEFENSIVE, a VFS of our own and sessions on every Python we support. aiosqlite gives it a thread and leaves
the worker's loop free to interrupt.

Here each statement is prepared under the profile in force, its facts are kept, and rows are counted against a
budget.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import lexer
from rootcellar.sqlite.acts import Act, Done
from rootcellar.sqlite.rows import lines
from rootcellar.sqlite.statement import ACTS, Fact, Profile, refusal_of
from rootcellar.sqlite.wire import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Began: TypeAlias = "Callable[[apsw.Cursor, str], bool]"
_ROWS_AT_ONCE: Final = 32  # told together, which is quicker
_LIGHT_ROW_BYTES: Final = 1 << 16  # heavier ones come one by one: a page of them may not fit into memory
LIBRARY_MIN: Final = (3, 54, 0)
_OK, _DENY = apsw.SQLITE_OK, apsw.SQLITE_DENY
_SHADOWS: Final = ("INSERT", "UPDATE", "DELETE")

_LIMITS: Final = (
    (apsw.SQLITE_LIMIT_LENGTH, limits.SQLITE_VALUE_BYTES_MAX),
    (apsw.SQLITE_LIMIT_SQL_LENGTH, limits.SQL_BYTES_MAX),
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_VDBE_OP, 250_000),
    (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (apsw.SQLITE_LIMIT_EXPR_DEPTH, 500),
    (apsw.SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 100),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
)
_SWITCHES: Final = (
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
    (apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0),
)
_SETTINGS: Final = ("temp_store=2", "mmap_size=0", "cell_size_check=ON", "foreign_keys=ON")  # none reads the file


def library_version() -> tuple[int, ...]:
    """The version of the SQLite that serves."""
    return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))


def harden(raw: apsw.Connection) -> None:
    """Limits, switches and settings that hold for every connection; before any statement on the file."""
    for number, value in _LIMITS:
        raw.limit(number, value)
    for number, value in _SWITCHES:
        raw.config(number, value)
    for setting in _SETTINGS:
        raw.execute(f"PRAGMA {setting}").fetchall()


def _weight(row: Sequence[Cell]) -> int:
    """The bytes of a row's texts and blobs."""
    return sum(len(cell) for cell in row if isinstance(cell, str | bytes))


@dataclass(slots=True)
class Budget:
    """How many rows and bytes an answer may hold, and how many rows before them were answered already."""

    rows: int
    bytes: int
    skip: int = 0


class Fetched(list[tuple[Cell, ...]]):
    """Rows within a budget, their columns, the statement's facts, and the name of the budget that cut them."""

    def __init__(self, rows: Iterable[tuple[Cell, ...]] = ()) -> None:
        super().__init__(rows)
        self.cut = ""
        self.names: tuple[str, ...] = ()
        self.facts: tuple[Fact, ...] = ()
        self.lines: list[str] = []  # the rows as text, where a budget counted their bytes


class Connection:
    """What aiosqlite drives. Every method but `interrupt` is called on aiosqlite's thread."""

    def __init__(self, raw: apsw.Connection) -> None:
        self.raw = raw
        self.profile = Profile.OURS
        self.denial = ""
        self.stopped = ""
        self.budget: Budget | None = None
        self._facts: list[Fact] = []
        self._denied = Fact("")
        self._warmed = -1
        self.key = ""
        self.past: Connection | None = None  # a second one, which sees what is committed while this one changes
        raw.authorizer = self._authorize

    # what aiosqlite calls
    def execute(self, sql: str, parameters: Any = ()) -> Cursor | Done:  # noqa: ANN401 - DB-API
        """One statement, started: its facts are known and its first row is ready. Or an act, done."""
        if isinstance(sql, Act):
            return sql.done(self)
        cursor = Cursor(self)
        cursor.execute(sql, parameters)
        return cursor

    def executemany(self, sql: str, rows: Iterable[Sequence[Cell]]) -> Cursor:
        """One statement for each of many rows, prepared once, in C."""
        cursor = Cursor(self)
        cursor.executemany(sql, rows)
        return cursor

    def cursor(self) -> Cursor:
        """A cursor that has run nothing."""
        return Cursor(self)

    def commit(self) -> None:
        """End the transaction, kept."""
        if self.raw.in_transaction:
            self.ours("COMMIT")

    def rollback(self) -> None:
        """End the transaction, undone."""
        if self.raw.in_transaction:
            self.ours("ROLLBACK")

    def close(self) -> None:
        """Let go of the file. A read-only connection to a WAL database cannot lock to tidy up: that is no failure."""
        if self.past is not None:
            self.past.close()
        try:
            self.raw.close(True)
        except (apsw.IOError, apsw.ReadOnlyError, apsw.BusyError):
            return

    def interrupt(self) -> None:
        """Stop what runs; from any thread."""
        self.raw.interrupt()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self.raw.in_transaction

    # what the worker calls
    @property
    def facts(self) -> tuple[Fact, ...]:
        """The acts of the statement prepared last."""
        return tuple(self._facts)

    def ours(self, sql: str, parameters: Any = ()) -> list[tuple[Cell, ...]]:  # noqa: ANN401 - DB-API
        """All rows of a statement of our own, whatever profile is in force."""
        profile, self.profile = self.profile, Profile.OURS
        try:
            return list(self.raw.execute(sql, parameters))
        finally:
            self.profile = profile

    def run(self, sql: str, parameters: Any, began: Began) -> apsw.Cursor:  # noqa: ANN401
        """Start SQL under the profile in force; `began` sees each statement between its facts and its first step."""
        self.denial, self._facts = "", []
        try:
            return self._start(sql, parameters, began)
        except (apsw.AuthError, apsw.SQLError):
            if not self.denial or not self._is_shadow() or not self._warm():
                raise
        self.denial, self._facts = "", []
        return self._start(sql, parameters, began)

    def names_of(self, sql: str, parameters: Any) -> tuple[str, ...]:  # noqa: ANN401
        """The columns of a statement, which is prepared and not run."""
        found: list[str] = []

        def began(traced: apsw.Cursor, _text: str) -> bool:
            found.extend(name for name, _type in traced.get_description())
            return False

        with suppress(apsw.ExecTraceAbort):
            self.run(sql, parameters, began)
        return tuple(found)

    def forget_facts(self) -> None:
        """The next statement's facts start empty."""
        self._facts = []

    def _start(self, sql: str, parameters: Any, began: Began) -> apsw.Cursor:  # noqa: ANN401
        cursor = self.raw.cursor()
        cursor.exec_trace = lambda traced, text, _bindings: began(traced, text)
        return cursor.execute(sql, parameters, can_cache=False)

    def _authorize(
        self, code: int, first: str | None, second: str | None, schema: str | None, within: str | None
    ) -> int:
        if self.profile is Profile.OURS:
            return _OK
        fact = Fact(ACTS.get(code, f"ACT_{code}"), first, second, schema, within)
        self._facts.append(fact)
        why = refusal_of(self.profile, fact)
        if not why:
            return _OK
        if not self.denial:
            self.denial, self._denied = why, fact
        return _DENY

    def _is_shadow(self) -> bool:
        """R-trees prepare writes on their own tables when they are first touched, even for a read."""
        inner = (self._denied.first or "").endswith(("_node", "_rowid", "_parent"))
        return inner and self._denied.act in _SHADOWS

    def _warm(self) -> bool:
        """Touch every virtual table once with nothing refused; False when that was done for this schema already."""
        version = int(str(self.ours("PRAGMA schema_version")[0][0]))
        if self._warmed == version:
            return False
        self._warmed = version
        virtual = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage = 0 LIMIT 500"
        for (name,) in self.ours(virtual):
            try:
                self.ours(f"SELECT 1 FROM {lexer.quoted(str(name))} LIMIT 0")
            except apsw.Error:
                continue
        return True


class Cursor:
    """One statement's rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw: apsw.Cursor | None = None
        self._sql = ""
        self._has_begun = False
        self.names: tuple[str, ...] = ()

    def execute(self, sql: str, parameters: Any = ()) -> Cursor:  # noqa: ANN401 - DB-API
        """Exactly one statement: what follows it refuses it before it runs."""
        self._sql = sql
        self._raw = self._connection.run(sql, parameters, self._began)
        if not self._has_begun:
            raise errors.BadSql("there is no statement in `sql`", "send one")
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Cell]]) -> Cursor:
        """One statement for each row."""
        self._raw = self._connection.raw.executemany(sql, rows)
        return self

    def _began(self, traced: apsw.Cursor, text: str) -> bool:
        if not lexer.is_blank(self._sql[len(text) :]):
            raise errors.Forbidden("more than one statement was given", "send one statement at a time")
        if self._connection.profile is Profile.READ and not (traced.is_readonly or self._is_pragma()):
            if lexer.first_keyword(text) == "VACUUM":
                raise errors.Forbidden("`VACUUM` would write the file anew, or another one", "use `backup_database`")
            raise errors.Forbidden("the statement would change the database", "use `change_database` for changes")
        self._has_begun = traced.has_vdbe
        self.names = tuple(name for name, _type in traced.get_description()) if traced.has_vdbe else ()
        return True

    def _is_pragma(self) -> bool:
        """`PRAGMA journal_mode` only tells the mode, yet its program could change it: the authorizer saw no value."""
        return any(fact.act == "PRAGMA" for fact in self._connection.facts)

    @property
    def description(self) -> tuple[tuple[str, None, None, None, None, None, None], ...]:
        """DB-API's description: names only."""
        return tuple((name, None, None, None, None, None, None) for name in self.names)

    def fetchone(self) -> tuple[Cell, ...] | None:
        """The next row."""
        return next(self._raw or iter(()), None)

    def fetchall(self) -> Fetched:
        """Every row that is left, or as many as the connection's budget admits: one hop between threads, not three."""
        fetched = Fetched()
        fetched.names, fetched.facts = self.names, self._connection.facts
        budget = self._connection.budget
        if budget is None:
            fetched.extend(self._raw or ())
        else:
            self._spend(fetched, budget)
        self.close()
        return fetched

    def _spend(self, fetched: Fetched, budget: Budget) -> None:
        """Take rows until the rows or the bytes are spent."""
        source, spent, many = self._skipped(budget.skip), 0, 1
        while some := list(itertools.islice(source, many)):
            if self._connection.stopped:
                raise apsw.InterruptError(self._connection.stopped)
            many = _ROWS_AT_ONCE if _weight(some[-1]) < _LIGHT_ROW_BYTES else 1
            for row, told in zip(some, lines(some), strict=True):
                if len(fetched) >= budget.rows:
                    fetched.cut = "rows"
                    return
                spent += len(told) + 1
                if spent > budget.bytes and fetched:
                    fetched.cut = "bytes"
                    return
                fetched.append(row)
                fetched.lines.append(told)

    def _skipped(self, rows: int) -> Iterator[tuple[Cell, ...]]:
        """The rows after the first ones."""
        for number, row in enumerate(self._raw or ()):
            if number >= rows:
                yield row
            elif self._connection.stopped:
                raise apsw.InterruptError(self._connection.stopped)

    def close(self) -> None:
        """Let the statement go."""
        if self._raw is not None:
            self._raw.close(True)

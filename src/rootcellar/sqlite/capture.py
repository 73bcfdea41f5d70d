"""What a change does to rows, kept while it is done: each row as it was before, and as it is after.

While the script runs, SQLite's pre-update hook names every row it touches, whoever touches it: the statement, a
trigger, a cascade, a REPLACE. Only the names are kept then. Afterwards a second connection, which still sees what was
committed before (the write lock is ours), copies those rows as they were, and the first one as they are: inside
SQLite, so every value keeps its type and its bits. Two images come of it, each a small database: tables `b0, b1, ...`
in one (before), `a0, a1, ...` in the other (after), and in the first a table `m` with what else there is to know.

What rows cannot tell (a table dropped or altered, a virtual table, a page of statistics) raises NeedsWhole: then the
whole file as it was is kept instead. Tables, indexes, views and triggers that are only made are told by their SQL.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted` or ours, values are bound

from __future__ import annotations

import hashlib
import json
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import limits
from rootcellar.sqlite import lexer, references, shelf
from rootcellar.sqlite.shapes import Shape, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.statement import Fact
    from rootcellar.sqlite.wire import Cell, Json

_MADE: Final = frozenset({"CREATE_TABLE", "CREATE_INDEX", "CREATE_VIEW", "CREATE_TRIGGER"})
_ROWS: Final = frozenset({"INSERT", "UPDATE", "DELETE"})
_WHOLE: Final = frozenset(
    {"ALTER_TABLE", "ANALYZE", "CREATE_VTABLE", "DROP_INDEX", "DROP_TABLE", "DROP_TRIGGER", "DROP_VIEW", "DROP_VTABLE"}
)
_ODD: Final = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('virtual', 'shadow')"
_SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid"
_COUNTERS: Final = "SELECT name, rowid, seq FROM main.sqlite_sequence"
_HEADER_BYTES: Final = 100  # counters of our own memory are in it
SETTINGS: Final = ("user_version", "application_id")


class NeedsWhole(Exception):  # noqa: N818 - not a failure: the change is done again, another way
    """Rows cannot tell this change: keep the file."""


@dataclass(slots=True)
class Touched:
    """The rows of one table that were named so far: by rowid, or by the values of their key."""

    shape: Shape
    keys: dict[Any, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Images:
    """What is kept of a change: rows before and after, sealed with the database's key if it has one."""

    before: bytes
    after: bytes
    rows: dict[str, int]  # rows touched, by table
    made: tuple[str, ...]
    empty: bool
    target: str


def begin(connection: Connection) -> None:
    """Take the write lock."""
    connection.ours("PRAGMA cache_spill = ON")
    connection.ours("BEGIN IMMEDIATE")


def begin_captured(connection: Connection) -> None:
    """The same, with nothing written before the commit: what was committed before stays readable beside us."""
    connection.ours("PRAGMA cache_spill = OFF")  # heard outside a transaction only
    connection.ours("BEGIN IMMEDIATE")


class Capture:
    """Of one change, in its transaction; `connection` changes, `past` sees the state before."""

    def __init__(self, connection: Connection, past: Connection) -> None:
        self.connection, self.past = connection, past
        self.touched: dict[str, Touched] = {}
        self.made: tuple[str, ...] = ()
        self.why = ""
        self._odd = {str(name) for (name,) in past.ours(_ODD)}
        self._new_tables: set[str] = set()

    def start(self) -> None:
        """From now on every touched row is named."""
        self.connection.raw.preupdate_hook(self._sees)

    def stop(self) -> None:
        """No longer."""
        self.connection.raw.preupdate_hook(None)

    def look(self, facts: Sequence[Fact]) -> None:
        """Before a statement runs: NeedsWhole if rows will not tell what it does."""
        for fact in facts:
            name = fact.first or ""
            if fact.act in _WHOLE or (fact.act in _ROWS and (name in self._odd or name.startswith("sqlite_stat"))):
                raise NeedsWhole(f"{fact.act} {name}")

    # while it runs

    def _sees(self, event: apsw.PreUpdate) -> None:
        name = event.table_name
        if name in self._new_tables:
            return
        table = self.touched.get(name) or self._meet(name)
        if table is None:
            return
        keys = table.keys
        if table.shape.rowid:
            keys[event.rowid] = None
            if event.opcode == apsw.SQLITE_UPDATE:
                keys[event.rowid_new] = None
        else:
            self._key(event, table)
        if len(keys) > limits.ROWS_KEPT_MAX:
            self._give_up("too many rows")

    def _meet(self, name: str) -> Touched | None:
        """The first row of a table; None for one that is new, which is kept whole."""
        if self.why:
            return None
        if name in self._odd:
            self._give_up(f"`{name}` is the inside of a virtual table")
            return None
        shape = shape_of(self.past.ours, name)
        if shape is None:
            if self.past.ours("SELECT 1 FROM main.sqlite_schema WHERE name = ?", (name,)):
                self._give_up(f"rows of `{name}` have no name")
            self._new_tables.add(name)
            return None
        self.touched[name] = Touched(shape)
        return self.touched[name]

    def _key(self, event: apsw.PreUpdate, table: Touched) -> None:
        places = table.shape.places
        try:
            if event.opcode != apsw.SQLITE_INSERT:
                old = event.old or ()
                table.keys[tuple(old[n] for n in places)] = None
            if event.opcode != apsw.SQLITE_DELETE:
                new = event.new or ()
                table.keys[tuple(new[n] for n in places)] = None
        except UnicodeDecodeError:
            self._give_up("a key is not UTF-8")

    def _give_up(self, why: str) -> None:
        self.why = self.why or why

    # afterwards

    def shapes(self) -> list[Touched]:
        """The tables touched, those that are new left out."""
        return [one for one in self.touched.values() if one.keys]

    def images(self) -> Images:
        """Both images. The transaction is open still; nothing of ours is left in it."""
        if self.why:
            raise NeedsWhole(self.why)
        made = self._made()
        self.made = tuple(name for _, name, _, _ in made)
        new = [shape for kind, name, _, _ in made if kind == "table" and (shape := self._new(name))]
        old = self.shapes()
        known = references.touching(
            references.references(self.connection.ours), [one.shape.name for one in old] + [one.name for one in new]
        )
        before, after = self._past_image(old, new, known), self._image(old, new, known)
        meta, empty = self._meta(old, new, made)
        before.ours("CREATE TABLE temp.m (v)")
        before.ours("INSERT INTO temp.m VALUES (?)", (json.dumps(meta),))
        try:
            images = [one.raw.serialize("temp") for one in (before, after)]
        finally:
            _clear(before)
            _clear(after)
        if sum(map(len, images)) > limits.ROWS_KEPT_BYTES_MAX:
            raise NeedsWhole("too much in rows")
        key = self.connection.key
        rows = self.counts()
        target = hashlib.blake2b(memoryview(images[0])[_HEADER_BYTES:], digest_size=20).hexdigest()
        return Images(shelf.seal(images[0], key), shelf.seal(images[1], key), rows, self.made, empty, target)

    def counts(self) -> dict[str, int]:
        """How many rows of each table were touched, whoever touched them."""
        return {one.shape.name: len(one.keys) for one in self.shapes()}

    def _new(self, name: str) -> Shape:
        shape = shape_of(self.connection.ours, name)
        if shape is None:
            raise NeedsWhole(f"rows of `{name}` have no name")
        return shape

    def _made(self) -> list[tuple[str, str, str, str]]:
        """What the schema has that it had not; NeedsWhole when anything else has become of it."""
        past, now = (
            {tuple(map(_text, row)): None for row in one.ours(_SCHEMA)} for one in (self.past, self.connection)
        )
        made = [row for row in now if row not in past]
        if any(row not in now for row in past) or any(name.startswith("sqlite_") and sql for _, name, _, sql in made):
            raise NeedsWhole("the schema")
        return [(kind, name, table, sql) for kind, name, table, sql in made if sql]

    def _past_image(self, old: list[Touched], new: list[Shape], known: Sequence[references.Reference]) -> Connection:
        past = self.past
        past.ours("PRAGMA temp.auto_vacuum = FULL")
        for place, one in enumerate(old):
            _copy(past, one, f"b{place}")
        for place, shape in enumerate(new, len(old)):
            past.ours(shape.image_sql(f"temp.b{place}"))
        references.note_orphans(past.ours, known, [one.shape for one in old], "temp", "b")
        return past

    def _image(self, old: list[Touched], new: list[Shape], known: Sequence[references.Reference]) -> Connection:
        connection = self.connection
        connection.ours("PRAGMA temp.auto_vacuum = FULL")
        for place, one in enumerate(old):
            _copy(connection, one, f"a{place}")
        for place, shape in enumerate(new, len(old)):
            connection.ours(shape.image_sql(f"temp.a{place}"))
            columns = ", ".join(shape.table_columns)
            connection.ours(f"INSERT INTO temp.a{place} SELECT {columns} FROM {shape.table}")
        references.note_orphans(connection.ours, known, [one.shape for one in old] + new, "temp", "a")
        return connection

    def _meta(self, old: list[Touched], new: list[Shape], made: list[tuple[str, str, str, str]]) -> tuple[Json, bool]:
        counters = _differences(*(counters_of(one) for one in (self.past, self.connection)))
        settings = _differences(*(settings_of(one) for one in (self.past, self.connection)))
        tables = [[one.shape.name, one.shape.sql] for one in old] + [[one.name, one.sql] for one in new]
        meta: Json = {
            "tables": tables, "old": len(old), "made": [list(row) for row in made],
            "counters": counters, "settings": settings,
        }  # fmt: skip
        return meta, not (old or made or counters or settings)


def _text(value: Cell) -> str:
    return value if isinstance(value, str) else ""


def _copy(connection: Connection, one: Touched, image: str) -> None:
    """The named rows, as this connection sees them, into a temporary table."""
    shape, ours = one.shape, connection.ours
    ours(shape.image_sql(f"temp.{image}"))
    into, columns = ", ".join(shape.image_columns), ", ".join(f"t.{column}" for column in shape.table_columns)
    if shape.rowid and not ours("SELECT 1 FROM main.sqlite_schema WHERE name = 'carray' COLLATE NOCASE"):
        keys = apsw.carray(array("q", sorted(one.keys)))
        rows = f"SELECT {columns} FROM {shape.table} AS t WHERE t.{shape.rowid} IN carray(?)"
        ours(f"INSERT INTO temp.{image} ({into}) {rows}", (keys,))
        return
    names = ", ".join(shape.image_key)
    ours(f"CREATE TABLE temp.keys ({names})")
    keyed = ((key,) for key in one.keys) if shape.rowid else iter(one.keys)
    connection.raw.executemany(f"INSERT INTO temp.keys VALUES ({', '.join('?' * len(shape.image_key))})", keyed)
    rows = f"SELECT {columns} FROM temp.keys AS k CROSS JOIN {shape.table} AS t ON {shape.found('k', 't')}"
    ours(f"INSERT OR IGNORE INTO temp.{image} ({into}) {rows}")
    ours("DROP TABLE temp.keys")


def _clear(connection: Connection) -> None:
    for (name,) in connection.ours("SELECT name FROM temp.sqlite_schema WHERE type = 'table'"):
        connection.ours(f"DROP TABLE temp.{lexer.quoted(str(name))}")


def counters_of(connection: Connection) -> dict[str, list[Cell]]:
    """The AUTOINCREMENT counters: name to place and value."""
    if not connection.ours("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'"):
        return {}
    return {str(name): [rowid, seq] for name, rowid, seq in connection.ours(_COUNTERS)}


def settings_of(connection: Connection) -> dict[str, Cell]:
    """The numbers in the header that a `PRAGMA` sets."""
    return {name: connection.ours(f"PRAGMA {name}")[0][0] for name in SETTINGS}


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """What differs, as it was and as it is."""
    names = dict.fromkeys([*before, *after])
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}

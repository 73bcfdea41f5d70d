"""How rows of a table are found again and compared: by rowid or by key, value by value, type by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from rootcellar.sqlite import lexer
from rootcellar.sqlite.wire import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


Ask: TypeAlias = "Callable[..., list[tuple[Cell, ...]]]"  # a statement of ours on some connection: all its rows
_ROWIDS: Final = ("rowid", "_rowid_", "oid")
_COLUMNS_MAX: Final = 1_990  # SQLite's 2,000, less what an image adds


@dataclass(frozen=True, slots=True)
class Shape:
    """A table: its stored columns, and what names one row of it. An empty `rowid` means the key does."""

    name: str
    columns: tuple[str, ...]
    rowid: str
    key: tuple[int, ...]  # places of the primary key's columns within `columns`, in the table's order
    places: tuple[int, ...]  # of the same columns within the whole row, as the hook tells it
    sql: str

    @property
    def table(self) -> str:
        """The table, as SQL names it."""
        return f"main.{lexer.quoted(self.name)}"

    @property
    def image_columns(self) -> tuple[str, ...]:
        """The columns of its image: the rowid first, if there is one."""
        return (("k",) if self.rowid else ()) + tuple(f"c{n}" for n in range(len(self.columns)))

    @property
    def table_columns(self) -> tuple[str, ...]:
        """The same in the table itself, quoted."""
        return ((self.rowid,) if self.rowid else ()) + tuple(lexer.quoted(name) for name in self.columns)

    @property
    def image_key(self) -> tuple[str, ...]:
        """The columns of an image that name a row."""
        return ("k",) if self.rowid else tuple(f"c{n}" for n in self.key)

    @property
    def table_key(self) -> tuple[str, ...]:
        """The same in the table itself, quoted."""
        return (self.rowid,) if self.rowid else tuple(lexer.quoted(self.columns[n]) for n in self.key)

    def image_sql(self, image: str) -> str:
        """What makes an image: values as they are, no affinity, no collation."""
        if self.rowid:
            return f"CREATE TABLE {image} (k INTEGER PRIMARY KEY{''.join(f', {c}' for c in self.image_columns[1:])})"
        columns, key = ", ".join(self.image_columns), ", ".join(self.image_key)
        return f"CREATE TABLE {image} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"

    def found(self, image: str, table: str) -> str:
        """The condition that finds a row's namesake: by the table's own rules, so that its index serves."""
        pairs = zip(self.table_key, self.image_key, strict=True)
        return " AND ".join(f"{table}.{column} = {image}.{place}" for column, place in pairs)

    def same(self, image: str, table: str) -> str:
        """The condition that a row is its image to the last bit: 1 is not 1.0, and `a` is not `A`."""
        pairs = zip(self.table_columns, self.image_columns, strict=True)
        return _all([_equal(f"{table}.{column}", f"{image}.{place}") for column, place in pairs])


def _equal(one: str, other: str) -> str:
    return f"(+{one} IS +{other} COLLATE BINARY AND typeof({one}) = typeof({other}))"


def _all(conditions: Sequence[str]) -> str:
    """All of them, as a balanced tree: a chain of 2,000 would be too deep."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_all(conditions[:half])} AND {_all(conditions[half:])})"


_TABLE: Final = """
    SELECT l.type, l.wr, s.sql FROM pragma_table_list AS l JOIN main.sqlite_schema AS s ON s.name = l.name
    WHERE l.schema = 'main' AND s.type = 'table' AND l.name = ?"""
_COLUMNS: Final = "SELECT name, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid"
_KEY_INDEX: Final = "SELECT count(*) FROM pragma_index_list(?) WHERE origin = 'pk'"


def shape_of(ask: Ask, name: str) -> Shape | None:
    """The shape of a table; None where rows cannot be named from SQL, or are not what they seem (virtual tables)."""
    found = ask(_TABLE, (name,))
    if not found or found[0][0] != "table":
        return None
    columns = ask(_COLUMNS, (name,))
    stored = [(str(column), int(str(pk))) for column, pk, hidden in columns if hidden == 0]
    if len(stored) > _COLUMNS_MAX:
        return None
    key = tuple(n for n, (_, pk) in enumerate(stored) if pk)
    rowid = ""
    if not found[0][1]:
        rowid = _rowid(ask, name, [str(row[0]) for row in columns], [stored[n][0] for n in key])
        if not rowid:
            return None
    elif any(hidden == _VIRTUAL for _, _, hidden in columns):
        return None  # the hook cannot tell such a row
    places = tuple(n for n, (_, pk, _) in enumerate(columns) if pk)
    return Shape(name, tuple(column for column, _ in stored), rowid, key, places, str(found[0][2]))


_VIRTUAL: Final = 2


def _rowid(ask: Ask, name: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """A name by which SQL reaches the rowid, quoted; empty when other columns have taken them all."""
    if len(key) == 1 and not ask(_KEY_INDEX, (name,))[0][0]:
        return lexer.quoted(key[0])  # an INTEGER PRIMARY KEY is the rowid: no index stands behind it
    taken = {column.casefold() for column in columns}
    return next((word for word in _ROWIDS if word not in taken), "")

"""What became of rows, a line each: what a dry run shows, what is asked for consent, what an undo would do."""

# ruff: noqa: S608 - names are quoted by `lexer.quoted` or ours

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rootcellar.sqlite.rows import cell_text
from rootcellar.sqlite.wire import BadText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rootcellar.sqlite.shapes import Ask, Shape
    from rootcellar.sqlite.wire import Cell

    Row = tuple[Cell, ...]
_CELL_CHARS: Final = 160
_SEEN: Final = 1_000


def told(ask: Ask, shape: Shape, images: tuple[str, str], most: int) -> list[str]:
    """The first rows that differ between two images of a table, which both lie within one connection's reach."""
    if most <= 0:
        return []
    here, there = (_rows(ask, shape, image, f"LIMIT {_SEEN}") for image in images)
    return lines(shape, here, there, most)


def lines(shape: Shape, before: dict[Row, Row], after: dict[Row, Row], most: int) -> list[str]:
    """A line for each row that is not the same."""
    found: list[str] = []
    for key in dict.fromkeys([*before, *after]):
        if len(found) >= most:
            break
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            found.append(f"inserted {shape.name}: {_line(new)}")
        elif new is None and old is not None:
            found.append(f"deleted {shape.name}: {_line(old)}")
        elif old is not None and new is not None and repr(old) != repr(new):
            found.append(f"updated {shape.name}: {_delta(shape, key, old, new)}")
    return found


def _delta(shape: Shape, key: Row, old: Row, new: Row) -> str:
    """The row's name, then each value that changed."""
    places = set(shape.key)
    named = [_cell(old[n]) for n in shape.key] if shape.key else [f"rowid {cell_text(key[0])}"]
    changed = [
        f"{_cell(was)} -> {_cell(now)}"
        for n, (was, now) in enumerate(zip(old, new, strict=True))
        if repr(was) != repr(now) and n not in places
    ]
    return "|".join([*named, *changed])


def _line(row: Row) -> str:
    return "|".join(_cell(cell) for cell in row)


def _cell(value: Cell) -> str:
    shown = cell_text(value)
    return shown if len(shown) <= _CELL_CHARS else shown[:_CELL_CHARS] + "..."


def _rows(ask: Ask, shape: Shape, image: str, rest: str) -> dict[Row, Row]:
    """Rows of an image by their key."""
    return _picked(ask, f"SELECT {_cells(shape.image_columns)} FROM {image} {rest}", (), shape)


def named_rows(ask: Ask, shape: Shape, keys: Sequence[Row]) -> dict[Row, Row]:
    """The rows of these keys in the table itself."""
    where = " AND ".join(f"{column} = ?" for column in shape.table_key)
    found: dict[Row, Row] = {}
    for key in keys:
        found |= _picked(ask, f"SELECT {_cells(shape.table_columns)} FROM {shape.table} WHERE {where}", key, shape)
    return found


def _cells(columns: Sequence[str]) -> str:
    """Text as bytes, for it may be no UTF-8."""
    return ", ".join(
        f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END, typeof({name}) = 'text'"
        for name in columns
    )


def _picked(ask: Ask, sql: str, bound: Row, shape: Shape) -> dict[Row, Row]:
    """Rows by their key, text decoded where it can be, the rowid left out."""
    codec = str(ask("PRAGMA encoding")[0][0])  # UTF-8, UTF-16le, UTF-16be: Python knows them by these names
    rows: dict[Row, Row] = {}
    skip = 1 if shape.rowid else 0
    for raw in ask(sql, bound):
        row = tuple(_text(cell, codec) if is_text else cell for cell, is_text in zip(raw[::2], raw[1::2], strict=True))
        rows[row[:1] if shape.rowid else tuple(row[n] for n in shape.key)] = row[skip:]
    return rows


def _text(value: Cell, codec: str) -> Cell:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode(codec)
    except UnicodeDecodeError:
        return BadText(value)

"""Foreign keys around changed rows: which references lead nowhere, found without looking at the rows that stayed.

An undo puts rows back with SQLite's own enforcement off, for its actions (cascades) would do things of their own. What
it may not do is leave a reference that leads nowhere, unless that reference led nowhere before the change as well.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import apsw

from rootcellar.sqlite import lexer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rootcellar.sqlite.shapes import Ask, Shape
    from rootcellar.sqlite.wire import Cell

_ALL: Final = """
    SELECT l.name, f.id, f."table", f."from", f."to" FROM pragma_table_list AS l, pragma_foreign_key_list(l.name) AS f
    WHERE l.schema = 'main' AND l.type = 'table' ORDER BY l.name, f.id, f.seq"""
_KEY: Final = "SELECT name FROM pragma_table_xinfo(?) WHERE pk > 0 ORDER BY pk"


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table that name a row of another."""

    child: str
    columns: tuple[str, ...]
    parent: str
    keys: tuple[str, ...]
    number: int  # within the child

    def note(self, place: int) -> str:
        """The table of an image that holds the references of the child's image which led nowhere already."""
        return f"d{place}_{self.number}"


def references(ask: Ask) -> tuple[Reference, ...]:
    """Every foreign key of the database."""
    rows: defaultdict[tuple[str, int], list[tuple[Cell, ...]]] = defaultdict(list)
    for row in ask(_ALL):
        rows[str(row[0]), int(str(row[1]))].append(row)
    found = []
    for (child, number), parts in rows.items():
        parent = str(parts[0][2])
        keys = [part[4] for part in parts]
        if None in keys:
            keys = [row[0] for row in ask(_KEY, (parent,))]
        if len(keys) == len(parts):
            columns = tuple(str(part[3]) for part in parts)
            found.append(Reference(child, columns, parent, tuple(map(str, keys)), number))
    return tuple(found)


def touching(all_of_them: Sequence[Reference], names: Sequence[str]) -> tuple[Reference, ...]:
    """Those from or to one of these tables."""
    folded = {name.casefold() for name in names}
    return tuple(one for one in all_of_them if one.child.casefold() in folded or one.parent.casefold() in folded)


def _places(shape: Shape, columns: Sequence[str]) -> list[str] | None:
    """Where an image keeps these columns; None when it does not (a generated column)."""
    folded = {name.casefold(): f"c{n}" for n, name in enumerate(shape.columns)}
    found = [folded.get(column.casefold(), "") for column in columns]
    return found if all(found) else None


def _orphans(one: Reference, shape: Shape, image: str) -> str:
    """The distinct references of an image that lead nowhere in the database as it is."""
    places = _places(shape, one.columns)
    if places is None:
        return ""
    named = ", ".join(f"i.{place}" for place in places)
    there = " AND ".join(f"i.{place} NOT NULL" for place in places)
    pairs = zip(one.keys, places, strict=True)
    found = " AND ".join(f"p.{lexer.quoted(key)} = i.{place}" for key, place in pairs)
    missing = f"NOT EXISTS (SELECT 1 FROM main.{lexer.quoted(one.parent)} AS p WHERE {found})"
    return f"SELECT DISTINCT {named} FROM {image} AS i WHERE {there} AND {missing}"


def note_orphans(ask: Ask, known: Sequence[Reference], shapes: Sequence[Shape], schema: str, letter: str) -> None:
    """Beside the images: which of their references lead nowhere now."""
    for place, shape in enumerate(shapes):
        for one in known:
            if one.child.casefold() != shape.name.casefold():
                continue
            sql = _orphans(one, shape, f"{schema}.{letter}{place}")
            if sql and _some(ask, sql):
                ask(f"CREATE TABLE {schema}.{one.note(place)} AS {sql}")


def _some(ask: Ask, sql: str) -> bool:
    try:
        return bool(ask(f"SELECT 1 FROM ({sql}) LIMIT 1"))
    except apsw.SQLError:  # a reference to a table or a column that is not there: nothing can be said of it
        return False


def broken(ask: Ask, known: Sequence[Reference], shapes: Mapping[int, Shape], images: tuple[str, str]) -> str:
    """A reference that an undo would leave without its row, in words; empty when there is none.

    `images` are the schemas and letters of both sides: `("became.a", "was.b")` when rows go back from `a` to `b`.
    """
    gone, back = images
    for place, shape in shapes.items():
        for one in known:
            if one.child.casefold() == shape.name.casefold():
                sql = _orphans(one, shape, f"{back}{place}")
                note = f"{back.split('.')[0]}.{one.note(place)}"
                if sql and _some(ask, f"{sql} EXCEPT SELECT * FROM {note}" if _is(ask, note) else sql):
                    return f"`{one.child}` would refer to a row of `{one.parent}` that is gone since"
            if one.parent.casefold() == shape.name.casefold():
                sql = _left(one, shape, f"{gone}{place}")
                if sql and _some(ask, sql):
                    return f"rows of `{one.child}` refer to rows of `{one.parent}` that the change made"
    return ""


def _left(one: Reference, shape: Shape, image: str) -> str:
    """Rows that refer to what was in an image and is in the table no more."""
    places = _places(shape, one.keys)
    if places is None:
        return ""
    named = ", ".join(f"i.{place}" for place in places)
    pairs = list(zip(one.keys, places, strict=True))
    found = " AND ".join(f"p.{lexer.quoted(key)} = i.{place}" for key, place in pairs)
    columns = ", ".join(f"c.{lexer.quoted(column)}" for column in one.columns)
    vanished = (
        f"SELECT {named} FROM {image} AS i WHERE NOT EXISTS"
        f" (SELECT 1 FROM main.{lexer.quoted(one.parent)} AS p WHERE {found})"
    )
    return f"SELECT 1 FROM main.{lexer.quoted(one.child)} AS c WHERE ({columns}) IN ({vanished})"


def _is(ask: Ask, table: str) -> bool:
    schema, name = table.split(".")
    return bool(ask(f"SELECT 1 FROM {schema}.sqlite_schema WHERE name = ?", (name,)))

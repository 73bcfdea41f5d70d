"""What is in a database, said once and bounded: tables, columns, keys, indexes, triggers, how many rows.

    music.db: 11 tables, 1 view; 50,312 rows in all; 4,096-byte pages, 1,024 of them; journal delete
    Album (347 rows)
      AlbumId INTEGER primary key
      Title TEXT not null
      ArtistId INTEGER not null -> Artist(ArtistId)
      index IFK_AlbumArtistId (ArtistId)

A count is exact, `about` (from how densely the rowids lie), `over`, or `uncounted` when its time was spent.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import limits
from rootcellar.sqlite import faults, lexer, reading
from rootcellar.sqlite.engine import Budget
from rootcellar.sqlite.rows import header

if TYPE_CHECKING:
    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.wire import Json

_FULL_TABLES_MAX: Final = 40  # more are listed, not described
_LISTED_MAX: Final = 1_000
_FEW_ROWS: Final = 5_000  # counted one by one
_COUNT_EXACT_MAX: Final = 100_000
_COUNT_S: Final = 0.5
_COUNTED_AT_ONCE: Final = 50
_GENERATED: Final = {2: "virtual", 3: "stored"}
_SQL_CHARS_MAX: Final = 2_000
_SAMPLES_MAX: Final = 20

_OBJECTS: Final = """
    SELECT name, type, ncol, wr, strict FROM pragma_table_list
    WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"""
_COLUMNS: Final = """
    SELECT x.name, x.type, x."notnull", x.dflt_value, x.pk, x.hidden FROM pragma_table_xinfo(?) AS x
    WHERE x.hidden <> 1 ORDER BY x.cid"""
_INDEXES: Final = """
    SELECT i.name, i."unique", i.origin, i.partial,
      (SELECT group_concat(coalesce(c.name, '<expression>') || iif(c."desc", ' desc', ''), ', ')
       FROM pragma_index_xinfo(i.name) AS c WHERE c.key = 1)
    FROM pragma_index_list(?) AS i WHERE i.origin <> 'pk' ORDER BY i.seq"""
_FOREIGN: Final = """
    SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq"""


@dataclass(slots=True)
class Table:
    """One table or view, as the lists tell it."""

    name: str
    kind: str
    columns: int
    marks: tuple[str, ...]
    rows: str = ""
    lines: list[str] = field(default_factory=list)


async def describe(session: Session, request: Json) -> Json:
    """The whole database, or one table with its SQL and, if wanted, sample rows."""
    wanted, samples = str(request.get("table") or ""), min(int(request.get("samples", 0)), _SAMPLES_MAX)

    def told(connection: Connection) -> tuple[str, list[str]]:
        return _one(connection, session.name, wanted) if wanted else ("", _all(connection, session.name))

    async def described(_db: object) -> Json:
        name, lines = await session.do("describe", told)
        if name and samples:
            sql, budget = f"SELECT * FROM {lexer.quoted(name)}", Budget(samples, limits.ANSWER_CHARS_MAX // 4)
            with suppress(apsw.SQLError):  # a view of tables that are gone: said above
                rows = await reading.fetch(session, sql, (), budget)
                lines += [header(rows.names), *rows.lines]
        return {"text": "\n".join(lines)}

    return await session.read(described)


def _ask(connection: Connection, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows of a question of ours."""
    return connection.ours(sql, values)


def _all(connection: Connection, database: str) -> list[str]:
    tables = [_table(row) for row in _ask(connection, _OBJECTS)]
    counted = _count(connection, [t for t in tables if t.kind != "view"])
    lines = [_title(connection, database, tables, counted)]
    if len(tables) > _FULL_TABLES_MAX:
        lines.append(
            f"Too many to describe at once: name one with `table`. The first {min(len(tables), _LISTED_MAX):,}:"
        )
        return lines + [f"{_heading(table)}, {table.columns} columns" for table in tables[:_LISTED_MAX]]
    triggers = _triggers(connection)
    for table in tables:
        lines.append(_heading(table))
        lines += _told(connection, table, triggers[table.name])
    return lines


def _one(connection: Connection, database: str, name: str) -> tuple[str, list[str]]:
    """One table: its name as it is spelled there, and what there is to tell."""
    found = _ask(connection, f"SELECT * FROM ({_OBJECTS}) WHERE name = ? COLLATE NOCASE", (name,))
    if not found:
        raise faults.refusal(apsw.SQLError(f"no such table: {name}"), database, "", connection)
    table = _table(found[0])
    if table.kind != "view":
        _count(connection, [table])
    lines = [_heading(table)]
    lines += _told(connection, table, _triggers(connection)[table.name])
    sql = _ask(connection, "SELECT sql FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')", (table.name,))
    if sql and sql[0][0]:
        lines.append(str(sql[0][0])[:_SQL_CHARS_MAX])
    return table.name, lines


def _table(row: tuple[Any, ...]) -> Table:
    name, kind, columns, without_rowid, strict = row
    marks = [word for word, on in (("without rowid", without_rowid), ("strict", strict)) if on]
    if kind == "virtual":
        marks.append("virtual")
    return Table(str(name), str(kind), int(columns), tuple(marks))


def _heading(table: Table) -> str:
    parts = [part for part in (table.rows, *table.marks) if part]
    told = f" ({', '.join(parts)})" if parts else ""
    return f"{'view ' if table.kind == 'view' else ''}{header([table.name])}{told}"


def _title(connection: Connection, database: str, tables: list[Table], counted: int | None) -> str:
    views = sum(table.kind == "view" for table in tables)
    ours = [
        _ask(connection, f"PRAGMA {name}")[0][0]
        for name in ("page_count", "page_size", "journal_mode", "encoding", "user_version")
    ]
    pages, size, journal, encoding, version = ours
    parts = [_plural(len(tables) - views, "table") + (f", {_plural(views, 'view')}" if views else "")]
    if counted is not None:
        parts.append(f"{counted:,} rows in all")
    parts.append(f"{pages * size:,} bytes")
    parts.append(f"journal {journal}")
    if encoding != "UTF-8":
        parts.append(str(encoding))
    if version:
        parts.append(f"user_version {version}")
    return f"{database}: {'; '.join(parts)}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _count(connection: Connection, tables: list[Table]) -> int | None:
    """Say of each table how many rows it has; the exact sum, or None when any count is not exact."""
    until, total, exact = time.monotonic() + _COUNT_S, 0, True
    for start in range(0, len(tables), _COUNTED_AT_ONCE):
        some = tables[start : start + _COUNTED_AT_ONCE]
        if time.monotonic() > until:
            for table in some:
                table.rows, exact = "uncounted", False
            continue
        for table, counted in zip(some, _count_some(connection, some), strict=True):
            if counted is None:
                table.rows, exact = "unreadable", False
                continue
            number, word = counted
            table.rows = f"{word}{_plural(number, 'row')}"
            total, exact = total + number, exact and not word
    return total if exact else None


def _count_some(connection: Connection, tables: list[Table]) -> list[tuple[int, str] | None]:
    """Several tables in one statement; one by one where one of them is large, or cannot be read (None)."""
    few = ", ".join(_count_few(table) for table in tables)
    try:
        counts: list[Any] = list(_ask(connection, f"SELECT {few}")[0])
    except apsw.InterruptError:
        raise
    except apsw.Error:
        counts = [None] * len(tables)
    found: list[tuple[int, str] | None] = []
    for table, count in zip(tables, counts, strict=True):
        if count is not None and count <= _FEW_ROWS:
            found.append((int(count), ""))
            continue
        try:
            found.append(_count_one(connection, table))
        except apsw.InterruptError:
            raise
        except apsw.Error:
            found.append(None)
    return found


def _count_few(table: Table) -> str:
    return f"(SELECT count(*) FROM (SELECT 1 FROM {lexer.quoted(table.name)} LIMIT {_FEW_ROWS + 1}))"


def _count_one(connection: Connection, table: Table) -> tuple[int, str]:
    """Exact up to a bound; beyond it `about` from how densely the rowids lie at both ends, or else `over`."""
    name = lexer.quoted(table.name)
    counted = int(_ask(connection, f"SELECT {_count_few(table)}")[0][0])
    if counted <= _FEW_ROWS:
        return counted, ""
    if table.kind != "table" or "without rowid" in table.marks:
        counted = int(
            _ask(connection, f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {_COUNT_EXACT_MAX + 1})")[0][0]
        )
        return (counted, "") if counted <= _COUNT_EXACT_MAX else (_COUNT_EXACT_MAX, "over ")
    rowid = next(word for word in ("rowid", "_rowid_", "oid", "") if word not in _column_names(connection, table))
    if not rowid:
        return _FEW_ROWS, "over "
    ends: list[Any] = [
        _ask(connection, f"SELECT {rowid} FROM {name} ORDER BY {rowid}{way} LIMIT 1 OFFSET {skip}")[0][0]
        for way, skip in (("", 0), ("", _FEW_ROWS), (" DESC", _FEW_ROWS), (" DESC", 0))
    ]
    near = (ends[1] - ends[0]) + (ends[3] - ends[2])
    about = int((ends[3] - ends[0]) * (2 * _FEW_ROWS) // near) + 1
    if about <= 2 * _COUNT_EXACT_MAX:
        return int(_ask(connection, f"SELECT count(*) FROM {name}")[0][0]), ""
    return about, "about "


def _column_names(connection: Connection, table: Table) -> set[str]:
    return {str(name).lower() for (name,) in _ask(connection, "SELECT name FROM pragma_table_xinfo(?)", (table.name,))}


def _triggers(connection: Connection) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, table, sql in _ask(connection, "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'"):
        when = " ".join(str(sql).split("BEGIN")[0].split()[2:])[:120] if sql else ""
        found[str(table)].append(f"trigger {when or name}")
    return found


def _told(connection: Connection, table: Table, triggers: list[str]) -> list[str]:
    """What there is to tell of it, indented; a view of tables that are gone says so."""
    try:
        lines = _details(connection, table, triggers)
    except apsw.InterruptError:
        raise
    except apsw.Error as error:
        lines = [f"unreadable: {str(error)[:200]}"]
    return [f"  {text}" for text in lines]


def _details(connection: Connection, table: Table, triggers: list[str]) -> list[str]:
    """Columns with what holds for them, then keys over several columns, indexes and triggers."""
    columns = _ask(connection, _COLUMNS, (table.name,))
    keys = [str(row[0]) for row in sorted(columns, key=lambda row: row[4]) if row[4]]
    foreign: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in _ask(connection, _FOREIGN, (table.name,)):
        foreign[int(row[0])].append(row)
    single = {str(rows[0][2]): rows[0] for rows in foreign.values() if len(rows) == 1}
    lines = [_column(row, keys, single) for row in columns]
    if len(keys) > 1:
        lines.append(f"primary key ({', '.join(keys)})")
    several = [rows for rows in foreign.values() if len(rows) > 1]
    lines += [f"({', '.join(str(row[2]) for row in rows)}) -> {_target(rows)}" for rows in several]
    for name, unique, origin, partial, over in _ask(connection, _INDEXES, (table.name,)):
        word = "unique" if origin == "u" else f"{'unique ' if unique else ''}index {name}"
        lines.append(f"{word} ({over}){' partial' if partial else ''}")
    return lines + triggers


def _column(row: tuple[Any, ...], keys: list[str], single: dict[str, tuple[Any, ...]]) -> str:
    name, kind, not_null, default, _, hidden = row
    parts = [header([str(name)]), str(kind or "").strip()]
    if keys == [name]:
        parts.append("primary key")
    if not_null:
        parts.append("not null")
    if default is not None:
        parts.append(f"default {str(default)[:80]}")
    if hidden in _GENERATED:
        parts.append(f"generated ({_GENERATED[hidden]})")
    if str(name) in single:
        parts.append(f"-> {_target([single[str(name)]])}")
    return " ".join(part for part in parts if part)


def _target(rows: list[tuple[Any, ...]]) -> str:
    columns = [str(row[3]) for row in rows if row[3]]
    acts = [
        f" on {what} {how.lower()}"
        for what, how in (("update", rows[0][4]), ("delete", rows[0][5]))
        if how != "NO ACTION"
    ]
    return f"{rows[0][1]}{f'({chr(44).join(columns)})' if columns else ''}{''.join(acts)}"

"""What is in a database, said once and bounded: tables, columns, keys, indexes, triggers, how many rows.

    music.db: 11 tables, 1 view; 50,312 rows in all; 4,096-byte pages, 1,024 of them; journal delete
    Album (347 rows)
      AlbumId INTEGER primary key
      Title TEXT not null
      ArtistId INTEGER not null -> Artist(ArtistId)
      index IFK_AlbumArtistId (ArtistId)

A count is exact, `about` (from the largest rowid or from ANALYZE), `over`, or `uncounted` when its time was spent.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import limits
from rootcellar.sqlite import faults, lexer
from rootcellar.sqlite.engine import Budget
from rootcellar.sqlite.rows import header, line

if TYPE_CHECKING:
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.wire import Json

_FULL_TABLES_MAX: Final = 40  # more are listed, not described
_LISTED_MAX: Final = 1_000
_COUNT_EXACT_MAX: Final = 100_000
_COUNT_S: Final = 0.5
_COUNTED_AT_ONCE: Final = 50
_GENERATED: Final = {2: "virtual", 3: "stored"}
_SQL_CHARS_MAX: Final = 2_000

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

    async def told(_db: object) -> Json:
        if request.get("table"):
            return {"text": "\n".join(await _one(session, request["table"], int(request.get("samples", 0))))}
        return {"text": "\n".join(await _all(session))}

    return await session.read(told)


async def _all(session: Session) -> list[str]:
    tables = [_table(row) for row in await session.all(_OBJECTS)]
    counted = await _count(session, [t for t in tables if t.kind != "view"])
    lines = [await _title(session, tables, counted)]
    if len(tables) > _FULL_TABLES_MAX:
        lines.append(
            f"Too many to describe at once: name one with `table`. The first {min(len(tables), _LISTED_MAX):,}:"
        )
        return lines + [f"{_heading(table)}, {table.columns} columns" for table in tables[:_LISTED_MAX]]
    triggers = await _triggers(session)
    for table in tables:
        lines.append(_heading(table))
        lines += [f"  {text}" for text in await _details(session, table, triggers[table.name])]
    return lines


async def _one(session: Session, name: str, samples: int) -> list[str]:
    found = await session.all(f"SELECT * FROM ({_OBJECTS}) WHERE name = ? COLLATE NOCASE", (name,))
    if not found:
        connection = session.held()
        raise faults.refusal(apsw.SQLError(f"no such table: {name}"), session.name, "", connection)
    table = _table(found[0])
    if table.kind != "view":
        await _count(session, [table])
    lines = [_heading(table)]
    lines += [f"  {text}" for text in await _details(session, table, (await _triggers(session))[table.name])]
    sql = await session.all("SELECT sql FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')", (table.name,))
    if sql and sql[0][0]:
        lines.append(str(sql[0][0])[:_SQL_CHARS_MAX])
    if samples:
        lines += await _samples(session, table.name, samples)
    return lines


async def _samples(session: Session, name: str, samples: int) -> list[str]:
    """The first rows, as `query_database` would show them."""
    sql = f"SELECT * FROM {lexer.quoted(name)}"
    try:
        rows = await session.fetch(sql, (), Budget(min(samples, 20), limits.ANSWER_CHARS_MAX // 4))
    except UnicodeDecodeError:
        return ["(no sample: the rows hold text that is not UTF-8; query them)"]
    return [header(rows.names), *(line(row) for row in rows)]


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


async def _title(session: Session, tables: list[Table], counted: int | None) -> str:
    views = sum(table.kind == "view" for table in tables)
    ours = [
        (await session.all(f"PRAGMA {name}"))[0][0]
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
    return f"{session.name}: {'; '.join(parts)}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


async def _count(session: Session, tables: list[Table]) -> int | None:
    """Say of each table how many rows it has; the exact sum, or None when any count is not exact."""
    until, total, exact = time.monotonic() + _COUNT_S, 0, True
    for start in range(0, len(tables), _COUNTED_AT_ONCE):
        some = tables[start : start + _COUNTED_AT_ONCE]
        if time.monotonic() > until:
            for table in some:
                table.rows, exact = "uncounted", False
            continue
        for table, (number, is_exact) in zip(some, await _count_some(session, some), strict=True):
            if number < 0:
                table.rows, exact = "unreadable", False
                continue
            table.rows = f"{'' if is_exact else 'about '}{_plural(number, 'row')}"
            total, exact = total + number, exact and is_exact
    return total if exact else None


async def _count_some(session: Session, tables: list[Table]) -> list[tuple[int, bool]]:
    """Several tables in one statement; one by one where one of them cannot be read, or is large. -1: unreadable."""
    bound = _COUNT_EXACT_MAX
    sql = ", ".join(f"(SELECT count(*) FROM (SELECT 1 FROM {lexer.quoted(t.name)} LIMIT {bound + 1}))" for t in tables)
    try:
        counts = list((await session.all(f"SELECT {sql}"))[0])
    except apsw.InterruptError:
        raise
    except apsw.Error:
        counts = [-1] * len(tables)
    found = []
    for table, count in zip(tables, counts, strict=True):
        if 0 <= count <= bound:
            found.append((int(count), True))
            continue
        try:
            found.append(await _count_one(session, table))
        except apsw.InterruptError:
            raise
        except apsw.Error:
            found.append((-1, False))
    return found


async def _count_one(session: Session, table: Table) -> tuple[int, bool]:
    """Exact up to a bound; beyond it from ANALYZE or the largest rowid."""
    name = lexer.quoted(table.name)
    bound = _COUNT_EXACT_MAX
    counted = int((await session.all(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {bound + 1})"))[0][0])
    if counted <= bound:
        return counted, True
    if await session.all("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'"):
        known = await session.all("SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?", (table.name,))
        if known[0][0]:
            return max(counted, int(known[0][0])), False
    if "without rowid" not in table.marks and table.kind == "table":
        largest = (await session.all(f"SELECT max(rowid) FROM {name}"))[0][0]
        return max(counted, int(largest)) if isinstance(largest, int) else counted, False
    return counted, False


async def _triggers(session: Session) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, table, sql in await session.all("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'"):
        when = " ".join(str(sql).split("BEGIN")[0].split()[2:])[:120] if sql else ""
        found[str(table)].append(f"trigger {when or name}")
    return found


async def _details(session: Session, table: Table, triggers: list[str]) -> list[str]:
    """Columns with what holds for them, then keys over several columns, indexes and triggers."""
    columns = await session.all(_COLUMNS, (table.name,))
    keys = [str(row[0]) for row in sorted(columns, key=lambda row: row[4]) if row[4]]
    foreign: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in await session.all(_FOREIGN, (table.name,)):
        foreign[int(row[0])].append(row)
    single = {str(rows[0][2]): rows[0] for rows in foreign.values() if len(rows) == 1}
    lines = [_column(row, keys, single) for row in columns]
    if len(keys) > 1:
        lines.append(f"primary key ({', '.join(keys)})")
    several = [rows for rows in foreign.values() if len(rows) > 1]
    lines += [f"({', '.join(str(row[2]) for row in rows)}) -> {_target(rows)}" for rows in several]
    for name, unique, origin, partial, over in await session.all(_INDEXES, (table.name,)):
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

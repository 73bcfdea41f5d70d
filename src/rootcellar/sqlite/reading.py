"""Queries: one page of rows, and where the next begins.

A page is continued in one of two ways. A `SELECT` over one table in the order of its rowid goes on *after a key*:
the statement gets its rowid as a last column and a condition on it, and SQLite's own plan must be the same as
before, else it is not done. Everything else is run again and skips the rows already answered. Every page carries
the file's mark; a continuation says when the database has changed since.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import ground, lexer
from rootcellar.sqlite.engine import Budget, Fetched
from rootcellar.sqlite.marks import Cursor, statement_id
from rootcellar.sqlite.rows import line, picture_of
from rootcellar.sqlite.wire import BadText, Cell, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rootcellar.sqlite.session import Session


CODINGS: Final = {"UTF-8": "utf-8", "UTF-16le": "utf-16-le", "UTF-16be": "utf-16-be"}


async def query(session: Session, request: Json) -> Json:
    """One page as lines, with the cursor that continues it."""
    sql, params = request["sql"], request["params"]
    budget = Budget(request["rows"], request["bytes"])
    at = Cursor.of(request["cursor"]) if request.get("cursor") else None

    async def page(_db: object) -> Json:
        return await _page(session, sql, params, budget, at)

    return await session.read(page)


async def _page(session: Session, sql: str, params: Any, budget: Budget, at: Cursor | None) -> Json:  # noqa: ANN401
    mark = _mark(session)
    if at is not None and at.after is not None:
        keyed = await _keyed(session, sql, params)
        if keyed is None:
            raise errors.Stale("the table this cursor goes through has changed", "run the query again without `cursor`")
        fetched = await fetch(session, keyed.sql(at.after), params, budget)
        names, lines = fetched.names[:-1], [told.rpartition("|")[0] for told in fetched.lines]  # without the key
        last: object = fetched[-1][-1] if fetched else None
    else:
        fetched = await fetch(session, *_skipping(sql, params, budget, at.skip if at else 0))
        names, lines, last = fetched.names, fetched.lines, None
        if fetched.cut and at is None:
            last = await _last_key(session, sql, params, len(lines))
    answer: Json = {"columns": names, "lines": lines, "cut": fetched.cut, "notes": []}
    if fetched.cut:
        skip = (at.skip if at else 0) + len(lines)
        after = last if isinstance(last, int) else None
        answer["cursor"] = Cursor(statement_id(sql, params), mark, skip, after).text()
    elif (image := picture_of(fetched)) is not None:
        answer["image"] = image.data
    if at is not None and at.mark != mark:
        answer["notes"].append("The database has changed since the first page: rows may be missing or come twice.")
    return answer


def _skipping(sql: str, params: Any, budget: Budget, skip: int) -> tuple[str, Any, Budget]:  # noqa: ANN401
    """The statement without its first rows: SQLite skips them where the words allow it, else they are counted away."""
    if skip and lexer.first_keyword(sql) in ("SELECT", "WITH") and not lexer.limits_rows(sql):
        return f"{lexer.body(sql)}\nLIMIT -1 OFFSET {skip}", params, budget
    return sql, params, Budget(budget.rows, budget.bytes, skip)


async def _last_key(session: Session, sql: str, params: Any, rows: int) -> object:  # noqa: ANN401
    """The rowid of the page's last row; None where the statement cannot go on after one."""
    keyed = await _keyed(session, sql, params)
    if keyed is None or not rows:
        return None
    found = await session.fetch(keyed.nth(rows - 1), params, Budget(1, limits.MIB))
    return found[0][0] if found else None


async def cells(session: Session, request: Json) -> Json:
    """Typed rows, lossless."""
    budget = Budget(request["rows"], request["bytes"])

    async def typed(_db: object) -> Json:
        fetched = await fetch(session, request["sql"], request["params"], budget)
        return {"columns": fetched.names, "rows": list(fetched), "cut": fetched.cut}

    return await session.read(typed)


async def fetch(session: Session, sql: str, params: Any, budget: Budget) -> Fetched:  # noqa: ANN401
    """Rows within the budget; text that is not UTF-8 comes as its bytes."""
    try:
        return await session.fetch(sql, params, budget)
    except UnicodeDecodeError:
        names = await session.do("names", lambda connection: connection.names_of(sql, params))
        raw = await session.fetch(_readable(sql, len(names)), params, Budget(budget.rows, budget.bytes, budget.skip))
    coding = CODINGS[str((await session.all("PRAGMA encoding"))[0][0])]
    fetched = Fetched(_told(row, coding) for row in raw)
    fetched.cut, fetched.names, fetched.facts = raw.cut, names, raw.facts
    fetched.lines = [line(row) for row in fetched]
    return fetched


def _mark(session: Session) -> str:
    """A short name for the file's present state."""
    told = repr(ground.stamp(session.name)[1:]).encode()
    return hashlib.blake2s(told, digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Keyed:
    """A `SELECT` that can go on after a rowid."""

    select: lexer.Simple
    key: str

    def sql(self, after: int | None) -> str:
        """The statement with its rowid as last column, from the start or after a key."""
        select = self.select
        conditions = [f"({select.condition}\n)"] if select.condition else []
        if after is not None:
            conditions.append(f"{self.key} {'<' if select.descending else '>'} {after}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f" ORDER BY {self.key}{' DESC' if select.descending else ''}"
        return f"SELECT {select.columns}\n, {self.key} FROM {select.source}{where}{order}"

    def nth(self, row: int) -> str:
        """The rowid of one row, counted from 0."""
        where = f" WHERE ({self.select.condition}\n)" if self.select.condition else ""
        order = f"{self.key}{' DESC' if self.select.descending else ''}"
        return f"SELECT {self.key} FROM {self.select.source}{where} ORDER BY {order} LIMIT 1 OFFSET {row}"


async def _keyed(session: Session, sql: str, params: Any) -> Keyed | None:  # noqa: ANN401
    """The statement as one that can be continued after a key, if SQLite runs it no worse that way."""
    select = lexer.simple_select(sql)
    if select is None:
        return None
    found = await session.all(
        "SELECT wr, type, (SELECT group_concat(name, char(0)) FROM pragma_table_info(l.name) WHERE pk > 0"
        " AND upper(type) = 'INTEGER'), (SELECT count(*) FROM pragma_table_info(l.name) WHERE pk > 0),"
        " EXISTS (SELECT 1 FROM pragma_table_xinfo(l.name) x WHERE lower(x.name) = 'rowid')"
        " FROM pragma_table_list AS l WHERE schema = 'main' AND name = ? COLLATE NOCASE",
        (select.table,),
    )
    if not found or found[0][0] or found[0][1] != "table" or found[0][4]:
        return None
    alias = found[0][2] if found[0][3] == 1 else None
    by = select.order_column.casefold()
    if by and by not in ("rowid", str(alias).casefold() if alias else "rowid"):
        return None
    keyed = Keyed(select, f"{select.source}.rowid")
    try:
        plain, continued = await _plan(session, sql, params), await _plan(session, keyed.sql(None), params)
    except (apsw.Error, errors.Refusal):
        return None
    return keyed if plain == continued else None


async def _plan(session: Session, sql: str, params: Any) -> list[str]:  # noqa: ANN401
    """SQLite's plan, in its words."""
    fetched = await session.fetch(f"EXPLAIN QUERY PLAN {sql}", params, Budget(100, limits.MIB))
    return [str(row[-1]) for row in fetched]


def _readable(sql: str, columns: int) -> str:
    """The same rows with text as tagged bytes: for answers that hold text which is not UTF-8."""
    names = ", ".join(f"c{number}" for number in range(columns))
    cells = ", ".join(
        f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END, typeof({name}) = 'text'"
        for name in (f"c{number}" for number in range(columns))
    )
    return f"WITH q({names}) AS (\n{lexer.body(sql)}\n) SELECT {cells} FROM q"


def _told(row: Sequence[Cell], coding: str) -> tuple[Cell, ...]:
    """A row of `_readable` with its text decoded where it can be."""
    return tuple(_text(value, coding) if is_text else value for value, is_text in zip(row[::2], row[1::2], strict=True))


def _text(value: Cell, coding: str) -> Cell:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode(coding)
    except UnicodeDecodeError:
        return BadText(value)

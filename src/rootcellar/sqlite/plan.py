"""SQLite's query plan as a tree, with the scans that want an index pointed out."""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.sqlite.engine import Budget
from rootcellar.sqlite.statement import Profile

if TYPE_CHECKING:
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.wire import Json

_SCAN: Final = re.compile(r"SCAN (?:TABLE )?(\S+)(?: AS \S+)?$")
_AUTOMATIC: Final = re.compile(r"SEARCH (\S+) USING AUTOMATIC (?:PARTIAL )?(?:COVERING )?INDEX \(([^)]*)\)")
_MANY_ROWS: Final = 1_000
_STEPS_MAX: Final = 500


async def explain(session: Session, request: Json) -> Json:
    """The plan of a statement, which is not run."""

    async def plan(_db: object) -> Json:
        connection = session.held()
        profile, connection.profile = connection.profile, Profile.CHANGE  # a change may be explained where none is made
        try:
            steps = await session.fetch(
                f"EXPLAIN QUERY PLAN {request['sql']}", request["params"], Budget(_STEPS_MAX, limits.MIB)
            )
        finally:
            connection.profile = profile
        rows = [(int(str(step[0])), int(str(step[1])), str(step[3])) for step in steps]
        return {"lines": _tree(rows), "hints": await _hints(session, [detail for _, _, detail in rows])}

    return await session.read(plan)


def _tree(steps: list[tuple[int, int, str]]) -> list[str]:
    """Each step below the one it works for."""
    depth: dict[int, int] = {0: -1}
    lines = []
    for number, parent, detail in steps:
        depth[number] = depth.get(parent, -1) + 1
        lines.append("  " * depth[number] + detail)
    return lines


async def _hints(session: Session, details: list[str]) -> list[str]:
    """What an index would save."""
    hints = []
    for detail in details:
        if automatic := _AUTOMATIC.match(detail):
            table, terms = automatic.groups()
            columns = ", ".join(re.findall(r"(\w+)=\?", terms))
            hints.append(f"an index on {table}({columns}) is built anew for every run of this query: create it once")
        elif (scan := _SCAN.match(detail)) and await _is_large(session, scan.group(1)):
            hints.append(
                f"every row of {scan.group(1)} is read: an index on the columns it is filtered or joined by saves that"
            )
        elif detail.startswith("USE TEMP B-TREE"):
            hints.append(f"rows are sorted ({detail[16:].lower()}): an index in that order saves it")
    return list(dict.fromkeys(hints))


async def _is_large(session: Session, table: str) -> bool:
    """Whether a scan of this table costs anything; aliases and subqueries are left alone."""
    found = await session.all(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", (table,)
    )
    if not found:
        return False
    quoted = str(found[0][0]).replace('"', '""')
    counted = await session.all(f'SELECT count(*) FROM (SELECT 1 FROM "{quoted}" LIMIT {_MANY_ROWS})')
    return bool(counted[0][0] >= _MANY_ROWS)

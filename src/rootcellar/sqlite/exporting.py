"""Export: a query's rows as CSV, TSV, JSON, JSON Lines, Markdown or a database of their own.

The query runs under the READ profile, in one snapshot, and its rows leave in chunks that the server writes. NULL is an
empty CSV field and `null` in JSON, a blob is hexadecimal in CSV and base64 in JSON.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import base64
import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors
from rootcellar.sqlite import care, lexer
from rootcellar.sqlite.engine import Cursor
from rootcellar.sqlite.rows import cell_text
from rootcellar.sqlite.wire import Cell, Json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.talk import Talk

_BATCH_ROWS: Final = 2_000
_CHUNK_CHARS: Final = 1 << 20


async def export_rows(session: Session, request: Json, talk: Talk) -> Json:
    """Run the query and send its rows out."""
    await session.close()
    await session.reopen_locked()

    def work(connection: Connection) -> Json:
        cursor = Cursor(connection)
        cursor.execute(request["sql"], request["params"])
        if request["format"] == "sqlite":
            return _into_database(connection, cursor, request, talk)
        return _as_text(connection, cursor, request["format"], talk)

    return await session.do("export", work)


def _as_text(connection: Connection, cursor: Cursor, form: str, talk: Talk) -> Json:
    shape = _SHAPES[form](cursor.names)
    count, waiting, size = 0, [next(shape)], 0
    for rows in _batches(connection, cursor):
        text = shape.send(rows)
        count, size = count + len(rows), size + len(text)
        waiting.append(text)
        if size > _CHUNK_CHARS:
            talk.chunk("".join(waiting).encode("utf-8", "surrogatepass"))
            waiting, size = [], 0
        talk.progress(count, None, f"{count:,} rows")
    waiting.append(shape.send(()))
    talk.chunk("".join(waiting).encode("utf-8", "surrogatepass"))
    return {"rows": count}


def _batches(connection: Connection, cursor: Cursor) -> Iterator[Sequence[tuple[Cell, ...]]]:
    batch: list[tuple[Cell, ...]] = []
    while (row := cursor.fetchone()) is not None:
        batch.append(row)
        if len(batch) >= _BATCH_ROWS:
            yield batch
            batch = []
        if connection.stopped:
            raise apsw.InterruptError(connection.stopped)
    if batch:
        yield batch


Shape = "Generator[str, Sequence[tuple[Cell, ...]], None]"


def _separated(delimiter: str) -> Callable[[Sequence[str]], Any]:
    def shape(names: Sequence[str]) -> Any:  # noqa: ANN401 - a generator of texts
        sink = io.StringIO()
        writer = csv.writer(sink, delimiter=delimiter, lineterminator="\n")
        writer.writerow(names)
        rows = yield _taken(sink)
        while rows:
            writer.writerows([[_plain(cell) for cell in row] for row in rows])
            rows = yield _taken(sink)
        yield ""

    return shape


def _taken(sink: io.StringIO) -> str:
    text = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return text


def _plain(cell: Cell) -> object:
    return cell.hex() if isinstance(cell, bytes) else repr(cell) if isinstance(cell, float) else cell


def _lines(names: Sequence[str]) -> Any:  # noqa: ANN401 - a generator of texts
    keys = _keys(names)
    rows = yield ""
    while rows:
        rows = yield "".join(_object(keys, row) + "\n" for row in rows)
    yield ""


def _list(names: Sequence[str]) -> Any:  # noqa: ANN401 - a generator of texts
    keys = _keys(names)
    rows = yield "["
    comma = "\n"
    while rows:
        text = comma + ",\n".join(_object(keys, row) for row in rows)
        comma = ",\n"
        rows = yield text
    yield "\n]\n"


def _keys(names: Sequence[str]) -> list[str]:
    """Equal names are told apart: an object cannot hold one twice."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        keys.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return keys


def _object(keys: list[str], row: Sequence[Cell]) -> str:
    return json.dumps(dict(zip(keys, map(_json, row), strict=True)), ensure_ascii=False)


def _json(cell: Cell) -> object:
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode("ascii")
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell


def _markdown(names: Sequence[str]) -> Any:  # noqa: ANN401 - a generator of texts
    rows = yield f"| {' | '.join(map(_cell, names))} |\n|{'---|' * len(names)}\n"
    while rows:
        rows = yield "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)
    yield ""


def _cell(cell: Cell) -> str:
    text = cell if isinstance(cell, str) else "" if cell is None else cell_text(cell)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", "<br>")


_SHAPES: Final[dict[str, Callable[[Sequence[str]], Any]]] = {
    "csv": _separated(","),
    "tsv": _separated("\t"),
    "jsonl": _lines,
    "json": _list,
    "markdown": _markdown,
}
FORMATS: Final = (*_SHAPES, "sqlite")


def _into_database(connection: Connection, cursor: Cursor, request: Json, talk: Talk) -> Json:
    """A new database with one table of the rows."""
    target = care.open_beside(request["beside"])
    try:
        names, table, count = _keys(cursor.names), lexer.quoted(request["table"]), 0
        if not names:
            raise errors.BadArgument("the statement gives no rows", "export a SELECT")
        target.execute("BEGIN").fetchall()
        target.execute(f"CREATE TABLE {table} ({', '.join(map(lexer.quoted, names))})").fetchall()
        insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})"
        for rows in _batches(connection, cursor):
            target.executemany(insert, rows)
            count += len(rows)
            talk.check()
            talk.progress(count, None, f"{count:,} rows")
        target.execute("COMMIT").fetchall()
    finally:
        target.close()
    return {"rows": count}

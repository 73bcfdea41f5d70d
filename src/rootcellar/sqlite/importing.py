"""Import: rows of a file into a table, at nearly the speed of `executemany`, all or nothing unless told otherwise.

The file comes in chunks from the server, which alone may read it. Batches of rows go to SQLite in C; only a batch
that fails is gone through row by row, to name its lines. When a later value does not fit the type that the first
batch suggested, the import starts over with that column as text: nothing is ever rounded to fit a guess.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import gc
import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import faults, lexer, tabular
from rootcellar.sqlite.capture import Capture, NeedsWhole, begin, begin_captured
from rootcellar.sqlite.change import decide, recorded, whole
from rootcellar.sqlite.session import undo
from rootcellar.sqlite.statement import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.tabular import Batch
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

_FLAT: Final = frozenset({str, float, type(None)})
_ROWS_A_STATEMENT: Final = 50  # more are no quicker
_CELLS_A_STATEMENT: Final = 1_000
_NUMERIC: Final = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL", "DATE")


class Again(Exception):  # noqa: N818 - not a failure: the import starts over
    """These columns are text after all."""

    def __init__(self, columns: set[str]) -> None:
        super().__init__()
        self.columns = columns


@dataclass(slots=True)
class Load:
    """One import: where to, what came in, what was wrong."""

    connection: Connection
    table: str
    skip_bad: bool
    columns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    insert: str = ""
    insert_many: str = ""
    many: int = 1
    created: bool = False
    rows: int = 0
    bad: list[str] = field(default_factory=list)
    bad_count: int = 0

    def put(self, batch: Batch) -> None:
        """Insert a batch; rows that fail are named with their lines."""
        width, rows, lines = len(self.columns), batch.rows, batch.lines
        if set(map(len, rows)) - {width}:
            rows, lines = self._sized(rows, lines, width)
        if self.created:
            self._still_fit(rows)
        self.connection.ours("SAVEPOINT batch")
        try:
            self._insert(rows)
        except (apsw.ConstraintError, apsw.MismatchError):
            self.connection.ours("ROLLBACK TO batch")
            self._one_by_one(rows, lines)
        else:
            self.rows += len(rows)
        self.connection.ours("RELEASE batch")

    def _insert(self, rows: list[Any]) -> None:
        """Many rows a statement, and the rest one by one: in C, and each statement has its price."""
        whole, raw = len(rows) - len(rows) % self.many, self.connection.raw
        cells = itertools.chain.from_iterable(itertools.islice(rows, whole))
        raw.executemany(self.insert_many, zip(*[cells] * (self.many * len(self.columns)), strict=False))
        raw.executemany(self.insert, rows[whole:])

    def _sized(self, rows: list[Any], lines: Sequence[int], width: int) -> tuple[list[Any], list[int]]:
        """Rows of the right width; the others are bad, blank lines aside."""
        good, kept = [], []
        for row, number in zip(rows, lines, strict=True):
            if len(row) == width:
                good.append(row)
                kept.append(number)
            elif row:
                self._is_bad(number, f"{len(row)} values for {width} columns")
        return good, kept

    def _still_fit(self, rows: list[Any]) -> None:
        misfits = set()
        for index, kind in enumerate(self.kinds):
            if kind in ("INTEGER", "REAL"):
                column = list(map(itemgetter(index), rows))
                if isinstance(column[0] if column else 0, str) and not _all_fit(column, kind):
                    misfits.add(self.columns[index])
        if misfits:
            raise Again(misfits)

    def _one_by_one(self, rows: list[Any], lines: Sequence[int]) -> None:
        for row, number in zip(rows, lines, strict=True):
            try:
                self.connection.raw.execute(self.insert, row)
                self.rows += 1
            except (apsw.ConstraintError, apsw.MismatchError) as error:
                self._is_bad(number, str(error))
            if self.connection.stopped:
                raise apsw.InterruptError(self.connection.stopped)

    def _is_bad(self, number: int, why: str) -> None:
        self.bad_count += 1
        if len(self.bad) < limits.BAD_ROWS_TOLD_MAX:
            self.bad.append(f"line {number}: {why}")
        if not self.skip_bad and self.bad_count >= limits.BAD_ROWS_TOLD_MAX:
            self.refuse_bad()

    def refuse_bad(self) -> None:
        """All or nothing: one bad row and nothing is imported."""
        if self.bad and not self.skip_bad:
            more = self.bad_count - len(self.bad)
            told = "; ".join(self.bad) + (f"; and {more} more" if more else "")
            raise errors.Constraint(f"nothing was imported: {told}", "mend these lines, or import without the bad rows")


def _all_fit(column: list[Any], kind: str) -> bool:
    try:
        return tabular.fits(column, kind)
    except TypeError:
        return False


async def import_rows(session: Session, request: Json, talk: Talk) -> Json:
    """Import the chunks that come in; `again` in the answer names columns to be text on another try.

    `again` may be empty: then rows cannot tell the change, and the next try is asked to have the file kept (`whole`).
    """
    if request.get("ask") and request.get("whole"):
        try:
            return await whole(session, talk, lambda connection: _import(connection, request, talk))
        except Again as again:
            return {"again": sorted(again.columns)}

    def work(connection: Connection) -> Json:
        begin_captured(connection) if request.get("ask") else begin(connection)
        capture = Capture(connection, session.past(connection)) if request.get("ask") else None
        try:
            if capture is None:
                return _import(connection, request, talk)
            capture.start()
            try:
                answer = _import(connection, request, talk)
            finally:
                capture.stop()
            return answer | recorded(capture, talk)
        except BaseException:
            undo(connection)
            raise
        finally:
            connection.profile = Profile.CHANGE

    try:
        answer = await session.do("import", work)
    except Again as again:
        return {"again": sorted(again.columns)}
    except (NeedsWhole, apsw.NoMemError):
        if not request.get("ask"):
            raise
        return {"again": []}
    await decide(session, {"dry": request["dry"], "ask": request.get("ask")}, talk, answer)
    return answer


def _import(connection: Connection, request: Json, talk: Talk) -> Json:
    """All of it, in the open transaction."""
    connection.profile = Profile.OURS
    load = Load(connection, request["table"], bool(request["skip_bad"]))
    with _no_collection():
        _load(load, request, talk)
    load.refuse_bad()
    talk.check()
    return {
        "table": load.table, "created": load.created, "rows_in": load.rows, "bad": load.bad,
        "bad_count": load.bad_count, "columns": list(load.columns), "kinds": list(load.kinds),
        "effect": "write", "affected": {load.table: load.rows}, "schema": load.created, "returned": [],
    }  # fmt: skip


@contextmanager
def _no_collection() -> Iterator[None]:
    """Rows hold no cycles: looking for some among millions of cells costs half as much again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _load(load: Load, request: Json, talk: Talk) -> None:
    batches = _batches(load, request, talk)
    first = next(batches, None)
    if first is None:
        raise errors.BadArgument("the file holds no rows", "check the file")
    total = request.get("bytes")
    for batch in itertools.chain((first,), batches):
        load.put(batch)
        talk.check()
        talk.progress(talk.taken_bytes, total, f"{load.rows:,} rows")
        if load.connection.stopped:
            raise apsw.InterruptError(load.connection.stopped)


def _batches(load: Load, request: Json, talk: Talk) -> Iterator[Batch]:
    """Batches whose columns the table has been made or matched for."""
    pieces = tabular.texts(talk.chunks())
    if request["format"] in ("csv", "tsv"):
        delimiter = "\t"
        if request["format"] == "csv":
            delimiter, pieces = tabular.delimiter_of(pieces)
        batches = tabular.separated(pieces, delimiter)
        first = next(batches, None)
        if first is None:
            return
        named = tabular.is_header(first.rows) if request.get("header") is None else request["header"]
        width = len(first.rows[0])
        names = tabular.distinct(first.rows[0] if named else [""] * width)
        if named:
            first = tabular.Batch(first.rows[1:], first.lines[1:])
        _prepare(load, names, [row for row in first.rows if len(row) == width], set(request["text_columns"]))
        yield first
        yield from batches
        return
    values = tabular.objects(pieces, lines=request["format"] == "jsonl")
    yield from _of_objects(load, values, set(request["text_columns"]))


def _of_objects(load: Load, values: Iterator[tuple[int, Any]], as_text: set[str]) -> Iterator[Batch]:
    while batch := list(itertools.islice(values, tabular.BATCH_ROWS)):
        if not load.columns:
            names = tabular.columns_of([value for _, value in batch])
            if not names:
                raise errors.BadArgument("the rows are no JSON objects", "each row must be an object with named values")
            rows = [[tabular.flat(value.get(name)) for name in names] for _, value in batch if isinstance(value, dict)]
            _prepare(load, names, rows, as_text)
        names, known, rows, lines = load.columns, set(load.columns), [], []
        for number, value in batch:
            if not isinstance(value, dict) or not value.keys() <= known:
                extra = next(iter(value.keys() - known), "") if isinstance(value, dict) else ""
                why = value if isinstance(value, tabular.Broken) else f"no column `{extra}`" if extra else "no object"
                load._is_bad(number, why)  # noqa: SLF001 - same module
                continue
            rows.append([cell if type(cell) in _FLAT else tabular.flat(cell) for cell in map(value.get, names)])
            lines.append(number)
        yield tabular.Batch(rows, lines)


def _prepare(load: Load, names: tuple[str, ...], rows: list[Any], as_text: set[str]) -> None:
    """Make the table, or match the names with the columns it has."""
    connection = load.connection
    known = connection.ours("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0", (load.table,))
    if known:
        load.columns, load.kinds = _matched(connection, load.table, names, known)
    else:
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        kinds = tuple("TEXT" if n in as_text else tabular.type_of(c) for n, c in zip(names, columns, strict=True))
        load.columns, load.kinds, load.created = names, kinds, True
        told = ", ".join(f"{lexer.quoted(n)} {k}".strip() for n, k in zip(names, kinds, strict=True))
        connection.ours(f"CREATE TABLE {lexer.quoted(load.table)} ({told})")
        connection.raw.preupdate_hook(None)  # a new table is kept whole, and nothing hangs on it yet: name no rows
    values = ", ".join("nullif(?, '')" if kind.upper().startswith(_NUMERIC) else "?" for kind in load.kinds)
    into = ", ".join(lexer.quoted(name) for name in load.columns)
    load.insert = f"INSERT INTO {lexer.quoted(load.table)} ({into}) VALUES ({values})"
    load.many = max(1, min(_ROWS_A_STATEMENT, _CELLS_A_STATEMENT // len(load.kinds)))
    load.insert_many = load.insert + f", ({values})" * (load.many - 1)


def _matched(
    connection: Connection, table: str, names: tuple[str, ...], known: list[Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The table's own spelling and type of each name; a file without names fills the columns in order."""
    folded = {str(name).casefold(): (str(name), str(kind)) for name, kind in known}
    if all(name.startswith("column") and name[6:].isdigit() for name in names) and len(names) == len(known):
        return tuple(str(name) for name, _ in known), tuple(str(kind) for _, kind in known)
    for name in names:
        if name.casefold() not in folded:
            error = apsw.SQLError(f"table {table} has no column named {name}")
            raise faults.refusal(error, "", "", connection)
    found = [folded[name.casefold()] for name in names]
    return tuple(name for name, _ in found), tuple(kind for _, kind in found)

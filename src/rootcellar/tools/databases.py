"""Tools over SQLite databases: each call goes to a worker process that stands in the database's own directory.

A call only waits for its worker, so these tools have a lane of their own: slow SQL holds up no search in files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from rootcellar import keys, limits
from rootcellar.confine import Entry, Lane
from rootcellar.errors import BadArgument, NotFound, NotText, Refusal, TooLarge
from rootcellar.policy import Effect
from rootcellar.sqlite import Database, Databases, Import, Page, Query, Run
from rootcellar.text import media
from rootcellar.tools.answers import Said, Shown
from rootcellar.toolset import Call, Toolset

DATABASES = Toolset("databases")

# Made when the server is, before any thread is fenced in: its workers are started from there.
OPEN: Final = Databases(keys.served())

Params = Annotated[
    list[Any] | dict[str, Any] | None,
    WithJsonSchema({"type": ["array", "object"], "description": "for `?` or `:name`"}),
]
_INT64: Final = 1 << 63
Rows = Annotated[int, Field(ge=1, le=limits.QUERY_ROWS_MAX)]


def _bound(params: list[Any] | dict[str, Any] | None) -> list[Any] | dict[str, Any]:
    """Values that SQLite can hold: one that it cannot would end the worker, not the statement."""
    values = params.values() if isinstance(params, dict) else params or ()
    for value in values:
        if not isinstance(value, str | int | float | None):
            raise BadArgument("`params` holds a list or an object", "send its JSON as a text")
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise BadArgument("`params` holds a number of more than 64 bits", "send it as a text")
    return params or []


def _opened(call: Call, database: str) -> Database:
    return OPEN.open(call.roots.entry(database), call.cancel)


@DATABASES.tool("List databases", Effect.READ, Lane.LONG)
def list_databases(call: Call, *, path: str = ".") -> Said:
    """Find the SQLite databases in a folder, whatever their names: size, tables, encrypted, WAL."""
    found = OPEN.list(call.roots.entry(path), call.cancel)
    return Said(text="\n".join(one.line() for one in found), note=f"[{len(found):,} databases]")


@DATABASES.tool("Describe a database", Effect.READ, Lane.DATABASE)
def describe_database(
    call: Call,
    *,
    database: str,
    table: str = "",
    samples: Annotated[int, Field(ge=0, le=20, description="rows of `table` to show")] = 0,
    check: Annotated[bool, Field(description="check its integrity instead")] = False,
) -> Said:
    """See the schema: tables, columns, keys, indexes, row counts; of one `table` also its SQL and sample rows. Do it
    before querying."""
    opened = _opened(call, database)
    if not check:
        return Said(text=opened.describe(table, samples))
    told, unfenced = opened.check().text(), OPEN.pool.unfenced
    return Said(text=told, note=f"[its worker is not fenced in: {unfenced}]" if unfenced else "")


@DATABASES.tool("Query a database", Effect.READ, Lane.DATABASE)
def query_database(
    call: Call,
    *,
    database: str,
    sql: str = "",
    params: Params = None,
    limit: Rows = limits.QUERY_ROWS_DEFAULT,
    cursor: str = "",
    explain: Annotated[bool, Field(description="the plan and missing indexes; nothing is run")] = False,
) -> Said | Shown:
    """Read with one SELECT; nothing is changed. Long results come in pages: send `cursor` back for the next. An image
    selected alone is shown."""
    opened = _opened(call, database)
    if explain:
        return Said(text=opened.explain(sql, _bound(params)).text())
    if not sql and not cursor:
        raise BadArgument("`sql` is missing", "send a SELECT, or the cursor of one")
    return _shown(opened.query(Query(sql, _bound(params), limit, cursor)))


def _shown(page: Page) -> Said | Shown:
    """A page as text; the image where it is the only cell and can be shown."""
    if page.image is None:
        return Said(text=page.text())
    try:
        made = media.image(page.image.data, page.image.kind)
    except (NotText, TooLarge) as why:
        return Said(text=page.text(), note=f"[not shown: {why.message}]")
    return Shown(kind="image", mime=made.mime, data=made.data, note=f"[{page.columns[0]}: {made.note}]")


@DATABASES.tool("Change a database", Effect.DESTROY, Lane.DATABASE)
def change_database(
    call: Call, *, database: str, sql: str, params: Params = None, dry_run: bool = False, create: bool = False
) -> Said:
    """Run a statement or script in one transaction, all or nothing. dry_run tells what it would change and takes it
    back. create makes a new database."""
    entry = call.roots.entry(database)
    run = Run.DRY if dry_run else Run.KEEP
    if not create:
        return Said(text=OPEN.open(entry, call.cancel).change(sql, _bound(params), run).text())
    with _nothing_left_empty(entry):
        return Said(text=OPEN.create(entry, call.cancel).change(sql, _bound(params), run).text())


@contextmanager
def _nothing_left_empty(entry: Entry) -> Iterator[None]:
    """A new file that stayed empty (a dry run, a script that failed) is taken away again; one found empty stays."""
    was_there = False
    with suppress(NotFound):
        entry.stat()
        was_there = True
    try:
        yield
    finally:
        with suppress(Refusal):
            if not was_there and not entry.stat().size:
                entry.remove()


@DATABASES.tool("Import a table", Effect.WRITE, Lane.DATABASE)
def import_table(
    call: Call,
    *,
    database: str,
    path: str,
    table: str,
    skip_bad: Annotated[bool, Field(description="leave bad rows out, not refuse all")] = False,
) -> Said:
    """Put the rows of a CSV, TSV, JSON or JSONL file into a table, made if missing."""
    if not table:
        raise BadArgument("`table` is empty", "name the table that gets the rows")
    wanted = Import(table=table, skip_bad=skip_bad)
    return Said(text=_opened(call, database).import_file(call.roots.entry(path), wanted, call.progress).text())


@DATABASES.tool("Export rows", Effect.WRITE, Lane.DATABASE)
def export_table(
    call: Call,
    *,
    database: str,
    path: str,
    sql: str = "",
    table: str = "",
    params: Params = None,
    format: Literal["csv", "tsv", "json", "jsonl", "markdown", "sqlite"] | None = None,  # noqa: A002 - its name on the wire
) -> Said:
    """Write a table, or the rows of a SELECT, into a new file, in the format of its name or `format`."""
    opened = _opened(call, database)
    if bool(sql) == bool(table):
        raise BadArgument("give `sql` or `table`", "one of them says what to export")
    name = table.replace('"', '""')
    statement = sql or f'SELECT * FROM "{name}"'  # noqa: S608 - quoted, and read by the read profile
    done = opened.export(statement, _bound(params), call.roots.entry(path), format or "", call.progress)
    return Said(text=done.text())


@DATABASES.tool("Back up a database", Effect.WRITE, Lane.DATABASE)
def backup_database(call: Call, *, database: str, path: str) -> Said:
    """Copy a database into a new file, consistently, even while in use."""
    return Said(text=_opened(call, database).backup(call.roots.entry(path), call.progress).text())


@DATABASES.tool("Search a database", Effect.READ, Lane.DATABASE)
def search_database(call: Call, *, database: str, word: str, limit: Rows = limits.QUERY_ROWS_DEFAULT) -> Said:
    """Find a word in every text column of every table, full-text indexes first."""
    return Said(text=_opened(call, database).search(word, limit).text())

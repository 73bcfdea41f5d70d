"""Between a database and files: what the server's side of import, export and backup does.

The server alone reads and writes the files, through their entries; the worker sees bytes. Only a copy that is itself a
database is written by SQLite: into a new, empty file that the server made, in a worker that ends with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rootcellar import errors, limits
from rootcellar.sqlite.marks import Cursor, statement_id
from rootcellar.sqlite.process import Listener
from rootcellar.sqlite.results import Exported, Imported
from rootcellar.sqlite.wire import Json

if TYPE_CHECKING:
    from rootcellar.confine import Content, Entry, Stat
    from rootcellar.sqlite.database import Database, Progress

Asking = Callable[[Json, Callable[[], bytes]], Json]
_CHUNK_BYTES: Final = 1 << 20
_TRIES_MAX: Final = 6
FORMATS: Final = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".md": "markdown", ".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite",
}  # fmt: skip

__all__ = ["FORMATS", "Import", "backup", "cursor_statement", "export", "format_of", "import_file", "statement_id"]


@dataclass(frozen=True, slots=True)
class Import:
    """What is to be imported how: an empty `form` goes by the file's name; `header` None looks at the first line."""

    table: str
    form: str = ""
    header: bool | None = None
    skip_bad: bool = False


def cursor_statement(cursor: str) -> str:
    """The statement a cursor belongs to."""
    return Cursor.of(cursor).statement


def format_of(name: str, wanted: str) -> str:
    """The format asked for, or the one the name's ending says."""
    found = wanted or FORMATS.get("." + name.lower().rpartition(".")[2], "")
    if not found:
        raise errors.BadArgument(
            f"the name `{name}` does not tell its format",
            "give it an ending: .csv, .tsv, .json, .jsonl (an export also takes `format`)",
        )
    return found


def import_file(ask: Asking, source: Entry, wanted: Import) -> Imported:
    """Stream the file to the worker; again with a column as text when its values did not fit the first guess.

    The worker names no column when rows cannot tell the change: then it is done again with the whole file kept.
    """
    form = format_of(source.name, wanted.form or _looked_at(source))
    if form not in ("csv", "tsv", "json", "jsonl"):
        raise errors.BadArgument(f"`{form}` cannot be imported", "import CSV, TSV, JSON or JSON Lines")
    as_text: set[str] = set()
    whole = False
    with source.open_read() as content:
        for _ in range(_TRIES_MAX):
            request: Json = {
                "verb": "import", "table": wanted.table, "format": form, "header": wanted.header, "dry": False,
                "skip_bad": wanted.skip_bad, "text_columns": sorted(as_text), "bytes": content.size, "sql": "",
                "whole": whole,
            }  # fmt: skip
            told = ask(request, _feed(content))
            if "again" not in told:
                return Imported(
                    told["table"], told["created"], told["rows_in"], tuple(told["columns"]), tuple(told["kinds"]),
                    tuple(told["bad"]), told["bad_count"],
                )  # fmt: skip
            as_text |= set(told["again"])
            whole = whole or not told["again"]
    raise errors.BadArgument("the columns' types could not be settled", "make the table first, then import into it")


def _looked_at(source: Entry) -> str:
    """The format of a text file whose name does not tell it, by its first character."""
    if "." in source.name and not source.name.lower().endswith((".txt", ".dat", ".data")):
        return ""
    with source.open_read() as content:
        start = content.read_at(0, 512).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"[": "json", b"{": "jsonl"}.get(start, "csv")


def _feed(content: Content) -> Callable[[], bytes]:
    at = 0

    def feed() -> bytes:
        nonlocal at
        data = content.read_at(at, _CHUNK_BYTES)
        at += len(data)
        return data

    return feed


def export(
    database: Database, statement: tuple[str, object], target: Entry, form: str, progress: Progress | None
) -> Exported:
    """Rows into a new file, whole or not at all."""
    sql, params = statement
    form = format_of(target.name, form)
    request: Json = {"verb": "export", "sql": sql, "params": params, "format": form}
    if form == "sqlite":
        request["table"] = "rows"
        told, size = _beside(database, request, target, progress)
        return Exported(str(target), told["rows"], size)
    parts: list[bytes] = []
    size = 0

    def sink(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size > limits.EXPORT_BYTES_MAX:
            raise errors.TooLarge(
                f"the export is over {limits.EXPORT_BYTES_MAX // limits.MIB} MiB",
                "export fewer rows, or to a `.sqlite` file",
            )
        parts.append(data)

    told = database.ask_to_read(request, limits.TRANSFER_S, Listener(sink=sink, progress=progress))
    target.create(b"".join(parts))
    return Exported(str(target), told["rows"], size)


def backup(database: Database, target: Entry, progress: Progress | None) -> Exported:
    """A copy that is a database, whole or not at all."""
    _, size = _beside(database, {"verb": "copy", "sql": ""}, target, progress)
    return Exported(str(target), -1, size)


def _same(before: Stat, after: Stat, name: str) -> None:
    if after.identity != before.identity:
        raise errors.Stale(f"`{name}` was exchanged while it was written", "try again")


def _beside(database: Database, request: Json, target: Entry, progress: Progress | None) -> tuple[Json, int]:
    """Let a worker fill a new, empty file; take the file away again if that fails."""
    target.create(b"")
    try:
        stat = target.stat()
        told = database.ask_beside(request, target, Listener(progress=progress))
        after = target.stat()
        _same(stat, after, str(target))
    except BaseException:
        with suppress(errors.Refusal):
            target.remove()
        raise
    return told, after.size

"""Looking after a database: check it, copy it while it is in use, find a word anywhere in it."""


# ruff: noqa: S608 - names are quoted by `lexer.quoted`, values are bound, the rest is the caller's own statement

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors
from rootcellar.sqlite import cipher, ground, lexer
from rootcellar.sqlite.engine import harden
from rootcellar.sqlite.ground import Place
from rootcellar.sqlite.header import SALT_BYTES
from rootcellar.sqlite.reading import CODINGS
from rootcellar.sqlite.rows import cell_text
from rootcellar.sqlite.statement import Profile

if TYPE_CHECKING:
    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

_FINDINGS_MAX: Final = 20
_REFERENCES: Final = (
    """SELECT "table" || ' row ' || coalesce(rowid, '?') || ': no such ' || parent FROM pragma_foreign_key_check"""
    f" LIMIT {_FINDINGS_MAX}"
)
_PAGES_A_STEP: Final = 500
_WORD_BYTES_MAX: Final = 480  # escaped it still fits SQLite's limit on patterns
_SNIPPET_CHARS: Final = 120
_HITS_A_TABLE_MAX: Final = 20
_OPS_BETWEEN_LOOKS: Final = 20_000


async def check(session: Session, request: Json) -> Json:
    """Integrity, references, size: the findings, or that there are none."""
    del request

    async def told(_db: object) -> Json:
        integrity = await _findings(session, f"PRAGMA integrity_check({_FINDINGS_MAX})")
        references = await _findings(session, _REFERENCES)
        pages, free, size, journal = [
            (await session.all(f"PRAGMA {name}"))[0][0]
            for name in ("page_count", "freelist_count", "page_size", "journal_mode")
        ]
        sides = ground.side_sizes(session.name)
        return {
            "ok": integrity == ["ok"] and not references,
            "integrity": integrity, "references": references,
            "bytes": pages * size, "free_bytes": free * size, "page_size": size, "journal": journal,
            "log_bytes": sides.get("-wal", 0), "encrypted": bool(session.opening.key),
        }  # fmt: skip

    await session.close()  # what the file holds now, not what was read of it before
    return await session.read(told)


async def _findings(session: Session, sql: str) -> list[str]:
    """What a check finds; that it cannot go on is a finding too."""
    try:
        return [str(row[0])[:300] for row in await session.all(sql)]
    except apsw.CorruptError as error:
        return [str(error)[:300]]


_BESIDE: dict[str, int] = {}


def hold(beside: Json) -> int:
    """Open the directory of a second, new file and prove the file in it, before the fence goes up."""
    handle = os.open(beside["directory"], os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    found = os.stat(beside["name"], dir_fd=handle, follow_symlinks=False)
    refill = bool(beside.get("refill"))  # it has the original's mode and owner, and bytes that are not wanted
    if (found.st_dev, found.st_ino) != (beside["device"], beside["inode"]) or (found.st_size and not refill):
        raise errors.Stale(f"`{beside['name']}` was exchanged while it was opened", "try again")
    if refill:
        filled = os.open(beside["name"], os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, dir_fd=handle)
        os.close(filled)
    _BESIDE[beside["name"]] = handle
    return handle


def open_beside(beside: Json, key: str = "", salt: bytes = b"") -> apsw.Connection:
    """The second, new file as a database; proven to be it. It needs no side files: it is worth nothing until whole."""
    place = Place(beside["directory"], beside["name"], beside["device"], beside["inode"])
    before = ground.descriptors()
    folder = f"/proc/self/fd/{_BESIDE[place.name]}" if sys.platform == "linux" else place.directory
    raw = apsw.Connection(f"{folder}/{place.name}", flags=apsw.SQLITE_OPEN_READWRITE, vfs=ground.VFS)
    try:
        ground.prove_gained(place, before)
        harden(raw)
        if key:
            cipher.unlock(raw, key, salt)
        raw.execute("PRAGMA journal_mode = MEMORY").fetchall()
        raw.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    except BaseException:
        raw.close()
        raise
    return raw


def _salt(name: str) -> bytes:
    handle = os.open(name, ground.LOOK)
    try:
        return os.read(handle, SALT_BYTES)
    finally:
        os.close(handle)


async def copy(session: Session, request: Json, talk: Talk) -> Json:
    """A consistent copy, taken while others may write, into a new file; with the same key, found by the same salt."""
    await session.close()
    salt = (
        _salt(session.name) if session.opening.key else b""
    )  # before SQLite has locks that a closed handle would drop
    await session.reopen_locked()

    def work(connection: Connection) -> Json:
        target = open_beside(request["beside"], session.opening.key, salt)
        profile, connection.profile = connection.profile, Profile.OURS
        connection.ours("BEGIN")
        try:
            connection.ours("SELECT count(*) FROM sqlite_schema")  # one snapshot: writers cannot make it start over
            with target.backup("main", connection.raw, "main") as backup:
                while not backup.done:
                    talk.check()
                    backup.step(_PAGES_A_STEP)
                    done = backup.page_count - backup.remaining
                    talk.progress(done, backup.page_count, f"{done:,} of {backup.page_count:,} pages")
            pages = target.execute("PRAGMA page_count").get
            finding = target.execute("PRAGMA quick_check(1)").get
        finally:
            connection.rollback()
            connection.profile = profile
            target.close()
        if finding != "ok":
            raise errors.Corrupt(
                f"the copy of `{session.name}` is damaged, as the original is",
                "`describe_database` tells more",
            )
        return {"pages": pages}

    return await session.do("copy", work)


async def search(session: Session, request: Json) -> Json:
    """Where a word stands, in every text column of every table, within a time and a number of hits."""
    until = time.monotonic() + float(request["search_s"])
    if len(request["word"].encode("utf-8", "replace")) > _WORD_BYTES_MAX:
        raise errors.BadArgument(f"`word` is longer than {_WORD_BYTES_MAX} bytes", "search for a part of it")

    def work(connection: Connection) -> Json:
        connection.raw.set_progress_handler(lambda: time.monotonic() > until, _OPS_BETWEEN_LOOKS)
        try:
            return _search(connection, request["word"], int(request["rows"]), until)
        finally:
            connection.raw.set_progress_handler(None)

    return await session.read(lambda _db: session.do("search", work))


def _search(connection: Connection, word: str, most: int, until: float) -> Json:
    tables = connection.ours(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"
        " AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY type DESC, name"
    )
    hits: list[str] = []
    searched, cut = 0, ""
    for name, kind, without_rowid in tables:
        if len(hits) >= most or time.monotonic() > until:
            cut = "rows" if len(hits) >= most else "time"
            break
        try:
            hits += _hits(
                connection, (str(name), str(kind), bool(without_rowid)), word, min(_HITS_A_TABLE_MAX, most - len(hits))
            )
        except apsw.InterruptError:
            if connection.stopped:
                raise
            cut = "time"
            break
        except (apsw.Error, UnicodeDecodeError):
            continue
        searched += 1
    return {"lines": hits, "searched": searched, "tables": len(tables), "cut": cut}


def _hits(connection: Connection, table: tuple[str, str, bool], word: str, most: int) -> list[str]:
    """A full-text table is asked by its index, any other column by column."""
    name, kind, without_rowid = table
    quoted = lexer.quoted(name)
    sql = connection.ours("SELECT sql FROM sqlite_schema WHERE name = ?", (name,))
    columns = [
        str(column)
        for column, declared in connection.ours(
            "SELECT name, upper(type) FROM pragma_table_xinfo(?) WHERE hidden <> 1", (name,)
        )
        if _may_hold_text(str(declared))
    ]
    if not columns:
        return []
    key = "NULL" if without_rowid else f"{quoted}.rowid"
    chosen = ", ".join(lexer.quoted(column) for column in columns)
    bound: tuple[Any, ...]
    if kind == "virtual" and "using fts" in str(sql[0][0]).lower():
        where, bound = f"{quoted} MATCH ?", ('"' + word.replace('"', '""') + '"',)
    else:
        where = " OR ".join(f"{lexer.quoted(column)} LIKE ?1 ESCAPE '~'" for column in columns)
        bound = ("%" + word.replace("~", "~~").replace("%", "~%").replace("_", "~_") + "%",)
    try:
        rows = connection.ours(f"SELECT {key}, {chosen} FROM {quoted} WHERE {where} LIMIT {most}", bound)
    except UnicodeDecodeError:
        chosen = ", ".join(f"CAST({lexer.quoted(column)} AS BLOB)" for column in columns)
        found = connection.ours(f"SELECT {key}, {chosen} FROM {quoted} WHERE {where} LIMIT {most}", bound)
        coding = CODINGS[str(connection.ours("PRAGMA encoding")[0][0])]
        rows = [
            (row[0], *(cell.decode(coding, "replace") if isinstance(cell, bytes) else cell for cell in row[1:]))
            for row in found
        ]
    return [_hit(name, columns, row, word) for row in rows]


def _may_hold_text(declared: str) -> bool:
    return not declared or any(part in declared for part in ("CHAR", "TEXT", "CLOB", "STRING", "JSON", "ANY"))


def _hit(table: str, columns: list[str], row: Any, word: str) -> str:  # noqa: ANN401 - a row of cells
    folded = word.casefold()
    for column, cell in zip(columns, row[1:], strict=True):
        if isinstance(cell, str) and (at := cell.casefold().find(folded)) >= 0:
            start = max(0, at - _SNIPPET_CHARS // 3)
            piece = cell[start : start + _SNIPPET_CHARS]
            told = f"{'...' if start else ''}{cell_text(piece)}{'...' if start + _SNIPPET_CHARS < len(cell) else ''}"
            return f"{table}.{column}{'' if row[0] is None else f' rowid {row[0]}'}: {told}"
    return f"{table}{'' if row[0] is None else f' rowid {row[0]}'}"

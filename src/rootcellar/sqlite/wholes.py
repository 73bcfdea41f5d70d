"""A whole database as it was, for what rows cannot tell: kept as the bytes of its files, put back through SQLite.

The server copies the files (main, and write-ahead log if there is one) while the worker holds the write lock and has
changed nothing: nobody can commit, a checkpoint only repeats what the log says, and of an encrypted file the copy is as
encrypted. What the change came to is kept as a fingerprint of all pages, so that an undo knows whether anybody has
changed anything since. Putting back is SQLite's own backup into the file, one transaction like any other: a program
that has the file open goes on, and a kill leaves the one state or the other.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`, the rest is ours

from __future__ import annotations

import hashlib
import itertools
import marshal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import apsw

from rootcellar import errors
from rootcellar.sqlite import ground, lexer, shelf
from rootcellar.sqlite.capture import SETTINGS
from rootcellar.sqlite.session import undo
from rootcellar.sqlite.statement import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

# Of the header: journal mode, change counter, schema cookie, version-valid-for and library version. They change
# without anything else changing (https://sqlite.org/fileformat2.html).
_FLEETING: Final = ((18, 20), (24, 28), (40, 44), (92, 100))
_HEADER_BYTES: Final = 100
_PAGES_A_STEP: Final = 1_000
_FULL: Final = 1
_MARSHAL: Final = 2  # the format that says the same of the same
_ROWS_AT_ONCE: Final = 2_000
_COLUMNS: Final = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid"
_VIRTUAL: Final = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0 LIMIT 1"


def files_size(session: Session) -> int:
    """Of the file and of its write-ahead log: what a copy of both would take."""
    main = ground.prove(session.opening.place).st_size
    return main + ground.side_sizes(session.name).get("-wal", 0)


def settle_pages(connection: Connection) -> None:
    """Have all that a commit would still write written now: full-text indexes, and the tail of a self-trimming file."""
    connection.ours("SAVEPOINT settled")
    connection.ours("RELEASE settled")
    if connection.ours("PRAGMA auto_vacuum")[0][0] == _FULL:
        connection.ours("PRAGMA incremental_vacuum")


def may_still_move(connection: Connection) -> bool:
    """Whether a commit might write pages of its own all the same."""
    return connection.ours("PRAGMA auto_vacuum")[0][0] == _FULL or bool(connection.ours(_VIRTUAL))


def fingerprint(raw: apsw.Connection) -> str:
    """Of every page as this connection sees it, uncommitted ones too; an empty file has one as well."""
    try:
        pages = raw.serialize("main")
    except apsw.NoMemError:
        raise errors.TooLarge("the database is too large to be compared", "do it in smaller parts") from None
    head = bytearray(pages[:_HEADER_BYTES])
    for start, end in _FLEETING:
        head[start:end] = bytes(len(head[start:end]))
    digest = hashlib.blake2b(head, digest_size=20)
    digest.update(memoryview(pages)[_HEADER_BYTES:])
    return digest.hexdigest()


def digest_of(raw: apsw.Connection) -> str:
    """Of the pages, and of what they hold: rows put back after a later change lie elsewhere on the same pages."""
    return f"{fingerprint(raw)}-{_held(raw)}"


def _is(raw: apsw.Connection, digest: str) -> bool:
    pages, _, held = digest.partition("-")
    return fingerprint(raw) == pages or (bool(held) and _held(raw) == held)


def _held(raw: apsw.Connection) -> str:
    """The schema in its order, every row with its rowid, and the header's numbers."""
    digest = hashlib.blake2b(digest_size=20)
    schema = raw.execute("SELECT type, name, tbl_name, sql, rootpage FROM main.sqlite_schema ORDER BY rowid").fetchall()
    digest.update(marshal.dumps([row[:4] for row in schema], _MARSHAL))
    digest.update(marshal.dumps([raw.execute(f"PRAGMA main.{name}").get for name in SETTINGS], _MARSHAL))
    for kind, name, _, _, root in schema:
        if kind == "table" and root:
            _add_rows(raw, str(name), digest)
    return digest.hexdigest()


def _add_rows(raw: apsw.Connection, name: str, digest: hashlib.blake2b) -> None:
    table = f"main.{lexer.quoted(name)} NOT INDEXED"
    columns = [lexer.quoted(str(row[0])) for row in raw.execute(_COLUMNS, (name,))]
    exact = ", ".join(f"CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END, typeof({c})" for c in columns)
    for wanted in (f"rowid, {', '.join(columns)}", ", ".join(columns), f"rowid, {exact}", exact):
        part, cursor = hashlib.blake2b(digest_size=20), raw.cursor()
        try:
            cursor.execute(f"SELECT {wanted} FROM {table}")
            while rows := list(itertools.islice(cursor, _ROWS_AT_ONCE)):
                part.update(marshal.dumps(rows, _MARSHAL))
        except (UnicodeDecodeError, apsw.SQLError):  # text that is not UTF-8; a table without rowids
            continue
        finally:
            cursor.close(True)  # a statement left open would keep the file from being put back
        digest.update(part.digest())
        return
    raise errors.Corrupt(f"the table `{name}` cannot be read", "`describe_database` tells how far")


async def settle(session: Session, request: Json) -> Json:
    """1 when the database is as the change left it, -1 when it is as it was before, 0 when it is neither."""

    def work(connection: Connection) -> Json:
        connection.profile = Profile.OURS
        try:
            if request["before"] and fingerprint(connection.raw) == request["before"]:
                return {"verdict": -1}
            return {"verdict": int(_is(connection.raw, request["after"]))}
        finally:
            connection.profile = session.opening.profile

    await session.close()
    await session.reopen_locked()
    return await session.do("compare", work)


async def restore(session: Session, request: Json, talk: Talk) -> Json:
    """Put the database back as the files that come in say, if it still is as `expected`; a dry one only looks."""
    key = session.opening.key if request["sealed"] else ""
    parts = list(request["sizes"])

    files: list[bytes] = []

    def prepare(connection: Connection) -> Json:
        data = b"".join(talk.chunks())
        files.extend((data[: parts[0]], data[parts[0] :]))
        profile, connection.profile = connection.profile, Profile.OURS
        connection.ours("BEGIN IMMEDIATE")
        try:
            if not _is(connection.raw, request["expected"]):
                raise errors.Stale(
                    f"`{session.name}` was changed since", "undo what came later first, or copy what you need out of it"
                )
            with _opened(files, key) as was:
                told = "" if request["dry"] else digest_of(was)
            before = fingerprint(connection.raw)
        finally:
            connection.profile = profile
        return {"digest": told, "before": before, "version": connection.raw.data_version()}

    def put_back(connection: Connection) -> None:
        connection.rollback()
        with _opened(files, key) as was:
            _back_up(connection.raw, was, prepared["version"], session.name)

    try:
        prepared = await session.do("compare", prepare)
        answer = {"digest": prepared["digest"], "is_whole": True, "target": prepared["before"], "sealed": bool(key)}
        if request["hold"]:  # the server takes the file away while nobody can write to it
            await talk.may_commit(answer)
        elif not request["dry"]:
            if not await talk.may_commit({"whole": files_size(session)}) or not await talk.may_commit(answer):
                raise errors.Declined("the change was not kept", "")
            talk.check()
            await session.do("put back", put_back)
    finally:
        await session.do("rollback", undo)
        session.held().profile = Profile.CHANGE
    return answer


@contextmanager
def _opened(files: Sequence[bytes], key: str) -> Iterator[apsw.Connection]:
    """The database that these files were."""
    with shelf.laid(*files) as title, shelf.opened(title, key) as raw:
        yield raw


def _back_up(raw: apsw.Connection, was: apsw.Connection, version: int, name: str) -> None:
    """Page by page under one write lock; nothing if anybody committed between the comparison and the lock."""
    with raw.backup("main", was, "main") as backup:
        backup.step(0)
        if raw.data_version() != version:
            raise errors.Stale(f"`{name}` was changed just now", "look at it again")
        while not backup.done:
            backup.step(_PAGES_A_STEP)

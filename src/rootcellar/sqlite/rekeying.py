"""In the worker: a database is written anew under another key (or none) beside the old one, and proven equal to it.

Threats: a crash in the middle; another program that writes meanwhile; a new file that does not open, or lacks a row.

1. nobody else may write: a write-ahead log is folded into the file (refused while another program has it open), then
   the write lock is taken and held until the server has put the new file in the old one's place
2. the copy is made with the old key into a file that the server made and that was emptied here; then it is rekeyed.
   Pages of a SQLCipher file have 4,096 bytes, so that other programs open it
3. the copy is closed, opened with the new key as any program would, checked, and compared with the original: the
   schema, the numbers in the header, and every row of every table
4. the server is asked (`Talk.may_commit`) and either exchanges the files or says no; the old file was never changed
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted`

from __future__ import annotations

import hashlib
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import care, cipher, ground, lexer
from rootcellar.sqlite.connect import Opening
from rootcellar.sqlite.engine import harden
from rootcellar.sqlite.session import undo

if TYPE_CHECKING:
    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

_PAGE_BYTES: Final = 4096  # SQLCipher 4's
_PAGES_A_STEP: Final = 500
_NUMBERS: Final = ("user_version", "application_id", "encoding", "auto_vacuum")
_CLOSING_S: Final = limits.CONNECTION_IDLE_S + 2  # our own readers let go by then
_LOOK_AGAIN_S: Final = 0.05
_ROWS_BETWEEN_LOOKS: Final = 5_000


async def rekey(session: Session, request: Json, talk: Talk) -> Json:
    """Write the database under `new_key` (empty: plain) into the file beside, and wait until it has taken its place."""
    beside, new_key = request["beside"], str(request["new_key"])
    was_wal = await session.do("lock", _locked)
    try:
        told: Json = await session.do(
            "rekey", lambda _held: _written(session.opening, beside, (session.opening.key, new_key), talk, was_wal)
        )
        if sys.platform == "win32":  # an open file cannot be replaced there
            await session.close()
        if not await talk.may_commit(told):
            raise errors.Declined("the database was left as it was", "")
        was_wal = ""  # it is the new file that has the log's mode now
    finally:
        if session.connection is not None:
            await session.do("unlock", lambda held: _unlocked(held, was_wal))
        await session.close()
    return told


def _locked(connection: Connection) -> str:
    """Take the write lock, the log folded into the file; "wal" if there was one."""
    mode = str(connection.ours("PRAGMA journal_mode")[0][0])
    if mode == "wal":
        until = time.monotonic() + _CLOSING_S
        while not _folded(connection):
            if time.monotonic() > until or connection.stopped:
                raise errors.Busy("another program has the database open", "close it there, then try again")
            time.sleep(_LOOK_AGAIN_S)
    connection.ours("BEGIN IMMEDIATE")
    return "wal" if mode == "wal" else ""


def _folded(connection: Connection) -> bool:
    """Whether the log is part of the file now: nobody else has the database open."""
    with suppress(apsw.BusyError):
        return bool(connection.ours("PRAGMA journal_mode = DELETE")[0][0] == "delete")
    return False


def _unlocked(connection: Connection, mode: str) -> None:
    undo(connection)
    if mode:
        with suppress(apsw.Error):
            connection.ours(f"PRAGMA journal_mode = {mode}")


def _written(opening: Opening, beside: Json, keys: tuple[str, str], talk: Talk, mode: str) -> Json:
    """The new file, whole and proven; what is told of it."""
    old_key, new_key = keys
    source = _reader(opening)
    try:
        target = care.open_beside(beside, old_key)
        try:
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    talk.check()
                    backup.step(_PAGES_A_STEP)
                    done = backup.page_count - backup.remaining
                    talk.progress(done, backup.page_count, f"{done:,} of {backup.page_count:,} pages copied")
            _rekey(target, old_key, new_key)
        finally:
            target.close()
        seen = care.open_beside(beside, new_key)
        try:
            findings = [str(row[0])[:200] for row in seen.execute("PRAGMA integrity_check(3)")]
            if findings != ["ok"]:
                raise errors.Corrupt(
                    f"the new file is damaged, as the original may be: {findings[0]}", "`describe_database` checks it"
                )
            rows, digest = _content(seen, talk)
            if (rows, digest) != _content(source, talk):
                raise errors.Failed("the new file does not hold what the original holds", "nothing was changed")
            if mode:
                seen.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        finally:
            seen.close()
    finally:
        source.close()
    return {"rows": rows}


def _reader(opening: Opening) -> apsw.Connection:
    """A second connection: a backup cannot read through the one that holds the write lock."""
    before = ground.descriptors()
    raw = apsw.Connection(opening.place.name, flags=apsw.SQLITE_OPEN_READONLY, vfs=ground.VFS)
    try:
        ground.prove_opened(opening.place, before)
        harden(raw)
        if opening.key:
            cipher.unlock(raw, opening.key)
    except BaseException:
        raw.close()
        raise
    return raw


def _rekey(raw: apsw.Connection, old_key: str, new_key: str) -> None:
    if new_key and not old_key:
        if raw.execute("PRAGMA page_size").get != _PAGE_BYTES:
            raw.execute(f"PRAGMA page_size = {_PAGE_BYTES}").fetchall()
            raw.limit(apsw.SQLITE_LIMIT_ATTACHED, 1)
            raw.execute("VACUUM").fetchall()
        raw.execute("PRAGMA cipher = 'sqlcipher'").fetchall()
        raw.execute("PRAGMA legacy = 4").fetchall()
    raw.limit(apsw.SQLITE_LIMIT_ATTACHED, 1)  # pages change their size, for which SQLite vacuums
    literal = new_key.replace("'", "''")
    if raw.execute(f"PRAGMA rekey = '{literal}'", can_cache=False).get != "ok":
        raise errors.Failed("the key could not be changed", "nothing was changed")


def _content(raw: apsw.Connection, talk: Talk) -> tuple[int, str]:
    """How many rows there are, and a digest of the header's numbers, the schema and every row."""
    digest, rows = hashlib.blake2b(digest_size=16), 0

    def add(value: Any) -> None:  # noqa: ANN401 - a row of cells
        digest.update(repr(value).encode("utf-8", "surrogatepass"))

    for name in _NUMBERS:
        add(raw.execute(f"PRAGMA {name}").get)
    schema = list(raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"))
    add(schema)
    real = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    for (name,) in list(raw.execute(real)):
        if str(name).startswith("sqlite_stat"):
            continue
        add(name)
        for row in raw.execute(f"SELECT CAST(0 AS INT), * FROM {lexer.quoted(str(name))} NOT INDEXED"):
            rows += 1
            add(row)
            if not rows % _ROWS_BETWEEN_LOOKS:
                talk.check()
    return rows, digest.hexdigest()

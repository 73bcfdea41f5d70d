"""From a proven place to a connection that leaves the file as it found it.

Reading a WAL database normally creates `-wal` and `-shm` beside it. While nobody else writes there is no need: with
no log present the main file alone is the whole database, so it is read as it lies (`immutable`) and the answer
counts only if the file's stamp is the same afterwards; if it is not, the read is done again under SQLite's own
locks. A change that another program left unfinished (a hot journal) is rolled back first, as SQLite would, but only
when the journal names no other file.
"""

from __future__ import annotations

import os
import time
import urllib.parse
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import cipher, ground
from rootcellar.sqlite.engine import Connection, harden
from rootcellar.sqlite.ground import Place
from rootcellar.sqlite.statement import Profile

_VERSION_BYTES: Final = slice(18, 20)
_WAL: Final = b"\x02\x02"
_CACHE_KIB: Final = 16_000
_SETTLED_NS: Final = 50_000_000  # a file changed this recently may change again within one tick of its clock
_HOT_JOURNAL: Final = (apsw.SQLITE_READONLY_ROLLBACK, apsw.SQLITE_READONLY_RECOVERY, apsw.SQLITE_READONLY_CANTLOCK)


class Way(Enum):
    """How the file is read."""

    LOCKED = "locked"
    AS_IT_LIES = "as it lies"


@dataclass(slots=True)
class Opening:
    """All that is needed to connect, again and again."""

    place: Place
    profile: Profile
    writable: str  # "write" where the root admits changes, so that a hot journal may be rolled back, else "read"
    key: str = field(default="", repr=False)


def connect(opening: Opening, way: Way) -> Connection:
    """A hardened connection to the proven file."""
    place = opening.place
    ground.prove(place)
    hot = ground.refuse_foreign_journal(place.name)
    if hot and opening.profile is Profile.READ and opening.writable == "write":
        _recover(opening)
    raw = _open(
        opening, apsw.SQLITE_OPEN_READONLY if opening.profile is Profile.READ else apsw.SQLITE_OPEN_READWRITE, way
    )
    try:
        connection = Connection(raw)
        _first_look(connection, opening)
    except BaseException:
        with suppress(apsw.Error):
            raw.close()
        raise
    if opening.profile is Profile.READ:
        connection.ours("PRAGMA query_only = ON")
        connection.ours("PRAGMA temp_store = FILE")  # `HeldVfs` keeps it in memory: sorts go by parts, at half the cost
    connection.profile = opening.profile
    connection.key = opening.key
    return connection


def past_of(connection: Connection, opening: Opening) -> Connection:
    """A second connection, which reads what is committed while the first one changes it; opened once."""
    if connection.past is None:
        connection.past = Connection(_open(opening, apsw.SQLITE_OPEN_READONLY, Way.LOCKED))
    return connection.past


def way_now(opening: Opening) -> Way:
    """Whether the main file alone is the whole database, and has been for a moment."""
    if opening.profile is not Profile.READ or opening.key:
        return Way.LOCKED
    with suppress(OSError):
        if any(ground.side_sizes(opening.place.name).values()):
            return Way.LOCKED
        handle = os.open(opening.place.name, ground.LOOK)
        try:
            start, seen = os.read(handle, 100), os.fstat(handle)
        finally:
            os.close(handle)
        settled = time.time_ns() - max(seen.st_ctime_ns, seen.st_mtime_ns) > _SETTLED_NS
        if start[_VERSION_BYTES] == _WAL and settled:
            return Way.AS_IT_LIES
    return Way.LOCKED


def tidy(opening: Opening) -> None:
    """After our last connection: let SQLite take away the side files that only our reading made."""
    sizes = ground.side_sizes(opening.place.name)
    if opening.writable != "write" or sizes.get("-wal", 1) or "-shm" not in sizes:
        return
    with suppress(apsw.Error, errors.Refusal, OSError):
        raw = _open(opening, apsw.SQLITE_OPEN_READWRITE, Way.LOCKED)
        raw.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        raw.close()


def _open(opening: Opening, flags: int, way: Way) -> apsw.Connection:
    """Open, harden, and prove that SQLite opened the entry; nothing has been read yet."""
    name = opening.place.name
    if way is Way.AS_IT_LIES or opening.profile is Profile.CHANGE:  # an undo attaches what was kept, by its address
        flags |= apsw.SQLITE_OPEN_URI
        name = f"file:{urllib.parse.quote(name, errors='surrogateescape')}"
    if way is Way.AS_IT_LIES:
        name += "?immutable=1"
    before = ground.descriptors()
    raw = apsw.Connection(name, flags=flags, vfs=ground.VFS)
    try:
        ground.prove_opened(opening.place, before)
        raw.set_busy_timeout(int(limits.BUSY_S * 1000))
        harden(raw)
        if opening.key:
            cipher.unlock(raw, opening.key)
    except BaseException:
        raw.close()
        raise
    return raw


def _recover(opening: Opening) -> None:
    """Roll an unfinished change back, as the next writer would; a journal whose writer still lives is left to it."""
    raw = _open(opening, apsw.SQLITE_OPEN_READWRITE, Way.LOCKED)
    try:
        raw.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    finally:
        raw.close()


def _first_look(connection: Connection, opening: Opening) -> None:
    """Read the schema once: a wrong key, a damaged file and a hot journal show here."""
    name = opening.place.name
    try:
        connection.ours("SELECT count(*) FROM sqlite_schema")
        connection.ours(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except apsw.NotADBError:
        if opening.key:
            raise errors.NeedsKey(
                f"the stored key does not open `{name}`", "store the right one: `rootcellar secret set --database PATH`"
            ) from None
        raise
    except (apsw.ReadOnlyError, apsw.CantOpenError) as error:
        if getattr(error, "extendedresult", 0) in _HOT_JOURNAL:
            raise errors.Busy(
                f"`{name}` holds another program's unfinished change, and this root is read-only",
                "open it once with the program that wrote it",
            ) from None
        raise

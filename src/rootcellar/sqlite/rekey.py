"""Encrypt, decrypt or rekey a database: our side of it. The old file stays until the new one is proven, its key kept.

The new file is made beside the old one, with its mode and owner, by a worker (`rekeying`), which holds the write lock.
Then, in this order: the new file's key is kept under the new file's identity (its salt) and read back; the new file
takes the old one's name in one step. Whatever fails before that step leaves everything as it was; a process killed
between the two leaves a key that opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING

from rootcellar import errors, limits
from rootcellar.confine import Entry, Overwrite
from rootcellar.sqlite.database import Database, place_of
from rootcellar.sqlite.header import SALT_BYTES
from rootcellar.sqlite.process import Listener

if TYPE_CHECKING:
    from rootcellar.sqlite.cipher import Key
    from rootcellar.sqlite.database import Progress
    from rootcellar.sqlite.wire import Json


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What stands at the name now."""

    rows: int
    size: int
    salt: bytes  # empty when it is plain


def rekey(
    database: Database, key: Key | None, keep: Callable[[bytes], None], progress: Progress | None = None
) -> Rekeyed:
    """Write the database anew under `key` (None: plain); `keep` is given the new salt before the old file goes."""
    entry = database.entry
    beside = entry.parent.child(f"{entry.name}.new-{token_hex(4)}")
    entry.copy(beside)
    made: list[Rekeyed] = []

    def exchange(told: Json) -> None:
        new = beside.stat()
        if new.identity != stat.identity:
            raise errors.Stale(f"`{beside}` was exchanged while it was written", "try again")
        salt = b""
        if key is not None:
            with beside.open_read() as content:
                salt = content.read_at(0, SALT_BYTES)
            keep(salt)
        if entry.stat().identity != database.stat.identity:
            raise errors.Stale(f"`{entry}` was exchanged meanwhile", "try again")
        beside.move(entry, Overwrite.REPLACE)
        made.append(Rekeyed(int(told["rows"]), new.size, salt))

    try:
        stat = beside.stat()
        _, directory, name = place_of(beside)
        request: Json = {
            "verb": "rekey", "sql": "", "new_key": key.reveal() if key else "",
            "beside": {"directory": directory, "name": name, "device": stat.dev, "inode": stat.ino, "refill": True},
        }  # fmt: skip
        database.ask_to_change(request, limits.TRANSFER_S, Listener(prepared=exchange, progress=progress))
    except BaseException as error:
        if not made:
            _scrap(beside)
            raise
        if not isinstance(error, errors.Refusal):
            raise
    return made[0]  # once the files are exchanged it is done, whatever becomes of the worker


def _scrap(beside: Entry) -> None:
    with suppress(errors.Refusal):
        beside.remove()

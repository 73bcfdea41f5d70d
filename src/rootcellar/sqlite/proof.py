"""Did a change happen whose process is gone? Told by a few rows that it left different, not by a guess.

A change is all or nothing, so any row of it tells: its digest before and after is noted with the change, and compared
with what stands there now. What speaks must agree; rows that somebody has changed since say nothing. Of an encrypted
database the note is encrypted as its rows are.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar.sqlite import differences, shelf
from rootcellar.sqlite.capture import counters_of, settings_of
from rootcellar.sqlite.shapes import shape_of

if TYPE_CHECKING:
    from rootcellar.sqlite.capture import Capture
    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.shapes import Ask, Shape
    from rootcellar.sqlite.wire import Json

_ROWS_NOTED: Final = 6
_ROWS_TRIED: Final = 60
_TOUCHED_MAX: Final = 256


def _digest(value: object, key: str = "") -> str:
    """With the key of an encrypted database nobody without it can guess what was named."""
    secret = hashlib.sha256(key.encode()).digest() if key else b""
    return hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=10, key=secret).hexdigest()


def places(capture: Capture, key: str) -> list[str]:
    """Names for what is touched, table by table and row by row; none for a change of many rows."""
    found = [_digest(name, key) for name in capture.made]
    count = sum(len(one.keys) for one in capture.shapes())
    if count <= _TOUCHED_MAX:
        found += [f"{_digest(one.shape.name, key)}/{_digest(row, key)}" for one in capture.shapes() for row in one.keys]
    return found


def noted(capture: Capture, key: str) -> str:
    """What will tell, as text."""
    rows: list[Any] = []
    for one in capture.shapes():
        found = 0
        for named in list(one.keys)[:_ROWS_TRIED]:
            plain = named if isinstance(named, tuple) else (named,)
            if any(isinstance(value, bytes) for value in plain):
                continue
            before, after = (_row(where.ours, one.shape, plain) for where in (capture.past, capture.connection))
            if before != after:
                rows.append([one.shape.name, list(plain), before, after])
                found += 1
            if found >= _ROWS_NOTED:
                break
    told = {
        "rows": rows, "made": list(capture.made),
        "counters": [counters_of(one) for one in (capture.past, capture.connection)],
        "settings": [settings_of(one) for one in (capture.past, capture.connection)],
    }  # fmt: skip
    text = json.dumps(told)
    return base64.b64encode(shelf.seal(_page(text), key)).decode() if key else text


def _page(text: str) -> bytes:
    raw = apsw.Connection(":memory:")
    try:
        raw.execute("CREATE TABLE m (v)").fetchall()
        raw.execute("INSERT INTO m VALUES (?)", (text,)).fetchall()
        return raw.serialize("main")
    finally:
        raw.close()


def _read(note: str, key: str) -> Json:
    if note.startswith("{"):
        return dict(json.loads(note))
    with shelf.laid(shelf.unseal(base64.b64decode(note), key)) as title:
        raw = shelf.connect(title, "")
        try:
            return dict(json.loads(raw.execute("SELECT v FROM m").get))
        finally:
            raw.close()


def _row(ask: Ask, shape: Shape, key: tuple[Any, ...]) -> str:
    """The digest of a row; empty when it is not there."""
    found = differences.named_rows(ask, shape, [key])
    return _digest([[type(cell).__name__, cell] for cell in found[key]]) if key in found else ""


async def evidence(session: Session, request: Json) -> Json:
    """1 when the database is as the change left it, -1 when it is as it was before, 0 when neither is sure."""
    note = _read(request["proof"], session.opening.key)

    def work(connection: Connection) -> Json:
        return {"verdict": _verdict(connection, note) * (-1 if request["back"] else 1)}

    await session.close()
    return await session.read(lambda _db: session.do("evidence", work))


def _verdict(connection: Connection, note: Json) -> int:
    voices = set()
    for name, key, before, after in note["rows"]:
        shape = shape_of(connection.ours, name)
        now = _row(connection.ours, shape, tuple(key)) if shape is not None else None
        voices |= {1} if now == after else {-1} if now == before else set()
    for name in note["made"]:
        voices.add(1 if connection.ours("SELECT 1 FROM main.sqlite_schema WHERE name = ?", (name,)) else -1)
    for (before, after), is_now in (
        (note["settings"], settings_of(connection)),
        (note["counters"], counters_of(connection)),
    ):
        for name in {*before, *after}:
            if before.get(name) != after.get(name):
                now_there = is_now.get(name)
                voices |= {1} if now_there == after.get(name) else {-1} if now_there == before.get(name) else set()
    return voices.pop() if len(voices) == 1 else 0

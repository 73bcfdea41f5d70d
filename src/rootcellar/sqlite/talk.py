"""What a verb says and hears while it works: progress, chunks in, chunks out, and the word before a commit."""

from __future__ import annotations

import asyncio
import queue
import time
from typing import TYPE_CHECKING, Final

from rootcellar import errors
from rootcellar.sqlite.wire import Json, Kind, frame, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRESS_EVERY_S: Final = 0.2


class Talk:
    """The line to the server during one request. `stopped` says why the request should end, if it should."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.stopped = ""
        self.taken_bytes = 0
        self.words: asyncio.Queue[Kind] = asyncio.Queue()
        self._incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._send = send
        self._told_at = 0.0

    def heard(self, kind: Kind, payload: bytes) -> None:
        """A frame that belongs to the request in hand."""
        if kind is Kind.CHUNK:
            self._incoming.put(payload)
        elif kind is Kind.END:
            self._incoming.put(None)
        else:
            self.words.put_nowait(kind)

    def stop(self, why: str) -> None:
        """The request should end: whoever waits for chunks or for a word stops waiting."""
        self.stopped = why
        self._incoming.put(None)
        self.words.put_nowait(Kind.ROLLBACK)

    def begin(self) -> None:
        """A new request: nothing is left of the one before."""
        self.stopped, self.taken_bytes, self._told_at = "", 0, 0.0
        while not self._incoming.empty():
            self._incoming.get()
        while not self.words.empty():
            self.words.get_nowait()

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell how far it is, a few times a second at most."""
        now = time.monotonic()
        if now - self._told_at >= _PROGRESS_EVERY_S:
            self._told_at = now
            self._send(frame(Kind.PROGRESS, pack([done, total, message])))

    def chunk(self, data: bytes) -> None:
        """Hand bytes out."""
        self.check()
        self._send(frame(Kind.CHUNK, data))

    def chunks(self) -> Iterator[bytes]:
        """The bytes coming in, until their end; each is acknowledged as it is taken. Blocks: not for the loop."""
        while (data := self._incoming.get()) is not None:
            self._send(frame(Kind.MORE))
            self.taken_bytes += len(data)
            yield data
        self.check()

    async def may_commit(self, prepared: Json) -> bool:
        """Say what is about to be committed, and wait for the word."""
        self._send(frame(Kind.PREPARED, pack(prepared)))
        return await self.words.get() is Kind.COMMIT

    def check(self) -> None:
        """Raise once the request was taken back or ran out of time."""
        if self.stopped == "time":
            raise errors.TimedOut("it took longer than it may", "do it in smaller parts")
        if self.stopped:
            raise errors.Cancelled("the request was taken back", "")

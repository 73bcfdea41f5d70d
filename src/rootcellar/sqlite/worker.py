"""The process that runs SQL for one database: killable, and fenced into the database's own directory.

It reads requests from its standard input and writes answers to its standard output (`wire`). The loop stays free
while aiosqlite's thread runs SQL, so a deadline or a cancellation interrupts it; what cannot be interrupted (one
opcode that burns for seconds) is ended by the server, which kills the process. End of input ends it: a change in
flight is rolled back.

Started as `python -m rootcellar.sqlite.worker`, or as the hidden `worker` command of the frozen binary.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import (
    care,
    change,
    exporting,
    faults,
    ground,
    importing,
    plan,
    proof,
    reading,
    rekeying,
    reverting,
    schema,
    wholes,
)
from rootcellar.sqlite.connect import Opening
from rootcellar.sqlite.engine import LIBRARY_MIN, library_version
from rootcellar.sqlite.ground import HeldVfs, Place
from rootcellar.sqlite.session import Session
from rootcellar.sqlite.statement import Profile
from rootcellar.sqlite.talk import Talk
from rootcellar.sqlite.wire import HEAD, Json, Kind, frame, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_VERBS: Final[dict[str, Callable[..., Awaitable[Json]]]] = {
    "query": reading.query,
    "cells": reading.cells,
    "explain": plan.explain,
    "describe": schema.describe,
    "check": care.check,
    "settle": wholes.settle,
    "evidence": proof.evidence,
    "search": care.search,
}
_TALKING_VERBS: Final[dict[str, Callable[..., Awaitable[Json]]]] = {
    "change": change.change,
    "revert": reverting.revert,
    "restore": wholes.restore,
    "import": importing.import_rows,
    "export": exporting.export_rows,
    "copy": care.copy,
    "rekey": rekeying.rekey,
}
_ODD: Final = (UnicodeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, OSError)
_READ_BYTES: Final = 1 << 18
_EXIT_S: Final = 0.5


class Worker:
    """Frames in, frames out, one request at a time."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        self._waiting = bytearray()
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._session: Session | None = None
        self._talk = Talk(self._send)
        self._serial = 0
        self._vfs = HeldVfs()

    async def serve(self) -> None:
        """Answer until the input ends."""
        self._listen()
        while True:
            try:
                got = await asyncio.wait_for(self._requests.get(), limits.CONNECTION_IDLE_S)
            except TimeoutError:
                await self._let_go()
                got = await self._requests.get()
            if got is None:
                break
            await self._answer(unpack(got))
        await self._let_go()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        if sys.platform != "win32":
            os.set_blocking(self._source, False)
            with suppress(PermissionError):  # the system waits for pipes only, not for a file or /dev/null
                loop.add_reader(self._source, self._readable)
                return
            os.set_blocking(self._source, True)
        threading.Thread(target=self._pump, args=(loop,), daemon=True).start()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Windows' pipes cannot be waited for by the loop: a thread reads them."""
        while True:
            data = os.read(self._source, _READ_BYTES)
            loop.call_soon_threadsafe(self._take, data)
            if not data:
                return

    def _readable(self) -> None:
        try:
            data = os.read(self._source, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._source)
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Cut frames; a cancellation is acted on at once, the rest waits its turn."""
        if not data:
            self._end()
            return
        self._waiting += data
        while len(self._waiting) >= HEAD.size:
            size, number = HEAD.unpack_from(self._waiting)
            if len(self._waiting) < HEAD.size + size:
                return
            payload = bytes(self._waiting[HEAD.size : HEAD.size + size])
            del self._waiting[: HEAD.size + size]
            kind = Kind(number)
            if kind is Kind.REQUEST:  # whatever is left of the request before came earlier, and is forgotten
                self._talk.begin()
                self._requests.put_nowait(payload)
            elif kind is Kind.CANCEL:
                if unpack(payload) == self._serial:
                    self._stop("cancelled")
            else:
                self._talk.heard(kind, payload)

    def _end(self) -> None:
        """The server is gone: stop what runs, and leave in time even if it will not stop."""
        self._stop("ended")
        self._requests.put_nowait(None)
        timer = threading.Timer(_EXIT_S, os._exit, (0,))
        timer.daemon = True
        timer.start()

    def _stop(self, why: str) -> None:
        self._talk.stop(why)
        if self._session is not None:
            self._session.stop(why)

    async def _answer(self, request: Json) -> None:
        self._serial = int(request.get("serial", 0))
        timer = asyncio.get_running_loop().call_later(
            float(request.get("deadline_s", limits.QUERY_S)), self._stop, "time"
        )
        try:
            answer = await self._do(request)
        except errors.Refusal as error:
            answered = frame(Kind.REFUSED, pack(_told(error)))
        except MemoryError:
            answered = frame(
                Kind.REFUSED, pack(_told(errors.TooLarge("the answer needs too much memory", "select less")))
            )
        else:
            answered = frame(Kind.ANSWER, pack(answer))
        finally:
            timer.cancel()
            self._serial = 0
            if self._session is not None:
                self._session.go_on()
        self._send(answered)

    async def _do(self, request: Json) -> Json:
        verb = request["verb"]
        if verb == "stand":
            return self._stand(request)
        session = self._session
        if session is None:
            raise errors.Failed("the worker has no database yet", "try again")
        ground.prove(session.opening.place)
        ground.refuse_foreign_journal(session.name)
        try:
            if verb in _VERBS:
                return await _VERBS[verb](session, request)
            return await _TALKING_VERBS[verb](session, request, self._talk)
        except apsw.InterruptError:
            raise self._why_stopped(request) from None
        except apsw.Error as error:
            if self._talk.stopped:
                raise self._why_stopped(request) from None
            raise faults.refusal(error, session.name, str(request.get("sql", "")), session.connection) from None
        except _ODD as error:
            raise _told_odd(error, session.name) from error

    def _why_stopped(self, request: Json) -> errors.Refusal:
        if self._talk.stopped == "time":
            seconds = request.get("deadline_s", limits.QUERY_S)
            return errors.TimedOut(
                f"the statement ran over its {seconds:g} s", "ask for less, or see with `explain` what takes so long"
            )
        return errors.Cancelled("the statement was taken back", "")

    def _stand(self, request: Json) -> Json:
        """Enter the database's directory and give up everything else; once."""
        if library_version() < LIBRARY_MIN:
            raise errors.Failed("the SQLite library is too old to be safe", "reinstall Rootcellar")
        place = Place(request["directory"], request["name"], request["device"], request["inode"])
        opening = Opening(place, Profile(request["profile"]), request["writable"], request.get("key", ""))
        handles = [(ground.stand(place), opening.writable)]
        if request.get("beside"):
            handles.append((care.hold(request["beside"]), "write"))
        why_not = ground.fence(handles)
        self._session = Session(opening)
        return {"fence": why_not}

    async def _let_go(self) -> None:
        if self._session is not None:
            with suppress(apsw.Error, errors.Refusal, OSError):
                await self._session.close()

    def _send(self, data: bytes) -> None:
        """All of it; the server reads whenever it has asked."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._sink, view) :]


def _told_odd(error: Exception, name: str) -> errors.Refusal:
    """What is no fault of SQLite's: bytes that are no text, values that do not fit, a file that cannot be read."""
    if isinstance(error, UnicodeEncodeError):
        return errors.BadArgument("the text holds lone surrogates", "send text that UTF-8 can hold")
    if isinstance(error, UnicodeDecodeError):
        hint = "select `CAST(column AS BLOB)`, or name the columns with `AS`"
        return errors.NotText(f"`{name}` holds text, or names, that are not UTF-8", hint)
    if isinstance(error, KeyError):
        return errors.BadArgument(f"`params` has no value for {error}", "send one for each name")
    if isinstance(error, OSError):
        return errors.Failed(f"reading `{name}` failed: {error.strerror}", "try again")
    return errors.Failed(f"the database cannot do that: {str(error)[:200]}", "ask it another way")


def _told(error: errors.Refusal) -> Json:
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}


def main() -> NoReturn:
    """Serve on the standard streams; nothing else may print there."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if sys.platform == "win32":
        _binary(source, sink)
    try:
        with suppress(BrokenPipeError):
            asyncio.run(Worker(source, sink).serve())
    finally:
        kind, error, trace = sys.exc_info()
        if kind is not None and error is not None:  # aiosqlite's thread would keep a failed worker alive
            sys.excepthook(kind, error, trace)
            sys.stderr.flush()
        os._exit(0 if kind is None else 1)  # no clean-up behind the fence: it would look for the system's libraries


def _binary(*descriptors: int) -> None:
    """Windows translates line ends on descriptors unless told otherwise."""
    msvcrt: Any = __import__("msvcrt")
    for descriptor in descriptors:
        msvcrt.setmode(descriptor, os.O_BINARY)  # type: ignore[attr-defined,unused-ignore]


if __name__ == "__main__":
    main()

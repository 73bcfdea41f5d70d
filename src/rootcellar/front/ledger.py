"""The ledger: who is owed an answer, what may start, and what waits to be sent.

A request is open under its client's id until something claims it; only who claimed it may answer it. Towards the engine
it carries an id of ours that is never used twice, so that no late or doubled answer reaches another request.
One lock guards everything, and every method here is called with it held; nothing here waits, but for `take_output`.
Standard library only.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from rootcellar import limits
from rootcellar.front import calls, eras, frames
from rootcellar.front.frames import INTERNAL_ERROR, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.front.calls import Batch, Call, Session
    from rootcellar.front.eras import Message
    from rootcellar.front.frames import RequestId
    from rootcellar.front.port import Engine

_WRITE_BYTES = 256 * limits.KIB


class Ledger:
    """The open requests of one client."""

    def __init__(self, write_now: Callable[[bytes], int]) -> None:
        self._write_now = write_now
        self.lock = lock = threading.Lock()
        self.output_ready = threading.Condition(lock)
        self.room = threading.Condition(lock)
        self.calm = threading.Condition(lock)
        self.admission: Final = calls.Admission()
        self.batches: Final = calls.BatchAnswers()
        self.open: dict[RequestId, Call] = {}  # by the client's id
        self.sessions: dict[str, Session] = {}  # by connection
        self.asked: dict[int, tuple[str, Any]] = {}  # our requests to the client: connection, the engine's id
        self.keys = itertools.count(1)
        self.engine: Engine | None = None
        self.broken = ""  # why no engine will ever come
        self.deaf = False  # nobody reads what we write
        self.ending = False
        self._outgoing: deque[bytes] = deque()

    def engine_is(self, engine: Engine | None) -> None:
        """From now on `engine` takes what may start."""
        self.engine = engine
        self.admit()

    def admit(self) -> None:
        """Start what may start, and wake who waits for the room."""
        while self.engine and (call := self.admission.next()):
            if call.key or not call.session.retired:
                connection = call.session.connection or self._connect(call, self.engine)
                self.engine.accept(connection, call.message())
            call.params = None  # ours no longer: a large write is not held twice
        if self.admission.may_read():
            self.room.notify()
        if self.admission.paced():
            self.output_ready.notify()  # the writer is the one with a clock
        if self.ending:
            self.calm.notify()

    def fail_all(self, message: str) -> None:
        """Answer every open request with an error."""
        for call in list(self.open.values()):
            self.claim(call)
            self.fail(call, message)

    def is_owing(self) -> bool:
        """Whether any answer is still owed to someone who hears it."""
        return bool(self.open) and not self.deaf

    def is_waited_for(self) -> bool:
        """Whether one of them may come by itself: a listen stream lasts until it is ended."""
        return self.is_owing() and any(call.method != "subscriptions/listen" for call in self.open.values())

    def take_output(self) -> bytes:
        """The next bytes for the client; waits for them."""
        while not self._outgoing:
            if not self.output_ready.wait(limits.STARTS_PAUSE_S if self.admission.paced() else None):
                self.admission.burst = 0
                self.admit()
        data = self._outgoing.popleft()
        if self._outgoing:
            parts = [data]
            size = len(data)
            while self._outgoing and (size := size + len(self._outgoing[0])) <= _WRITE_BYTES:
                parts.append(self._outgoing.popleft())
            data = b"".join(parts)
        return data

    def connections(self) -> list[str]:
        """The names of those that are open."""
        return list(self.sessions)

    def _connect(self, call: Call, engine: Engine) -> str:
        session = call.session
        connection = f"{session.era}-{next(self.keys)}"
        session.connection = connection
        self.sessions[connection] = session
        if session.greeting is not None and call.method != "initialize":  # the one before it broke
            engine.accept(connection, {"id": next(self.keys), "method": "initialize", "params": session.greeting})
            if session.greeted and call.method != "notifications/initialized":
                engine.accept(connection, {"method": "notifications/initialized"})
        return connection

    def claim(self, call: Call) -> bool:
        """Whether the request was still owed its one answer; now whoever asked owes it."""
        if self.open.get(call.id) is not call:
            return False
        del self.open[call.id]
        return True

    def settle(self, call: Call) -> None:
        """The engine has nothing to do with `call`, or nothing any more."""
        call.session.open_calls -= 1
        self.close_if_over(call.session)

    def close_if_over(self, session: Session) -> None:
        """End a session that another one replaced, once its last call is over."""
        if session.retired and not session.open_calls and session.connection:
            del self.sessions[session.connection]
            if self.engine:
                self.engine.close(session.connection)
            session.connection = None

    def fail(self, call: Call, message: str) -> None:
        """Answer `call`, which the caller has claimed, with an error of ours."""
        if not call.started:
            self.admission.drop(call)
            self.settle(call)
        self.answer(encoded(call.id, {"error": {"code": INTERNAL_ERROR, "message": message}}), call.batch, call.id)

    def answer(self, data: bytes, batch: Batch | None, key: object) -> None:
        """Send one answer, alone or with the rest of its batch."""
        self.put(self.batches.add(batch, data, key) if batch else data)

    def put(self, data: bytes | None) -> None:
        """Send one line; None is nothing to say."""
        if data is None or self.deaf:
            return
        data += b"\n"
        if not self.admission.unsent_bytes:  # nothing to wait behind: spares the hand-over to the writer's thread
            data = data[self._write_now(data) :]
        if data:
            self._outgoing.append(data)
            self.admission.unsent_bytes += len(data)
            self.output_ready.notify()


def encoded(key: object, message: Message) -> bytes:
    """The response to `key` (or `eras.ABSENT`) with the result or error that `message` holds."""
    outcome = {"result": message["result"]} if "result" in message else {"error": message["error"]}
    head: Message = {"jsonrpc": "2.0"} if key is eras.ABSENT else {"jsonrpc": "2.0", "id": key}
    try:
        return frames.encode({**head, **outcome})
    except Fault as fault:
        return frames.encode({**head, "error": {"code": fault.code, "message": fault.message}})

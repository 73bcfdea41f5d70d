"""What the front keeps of each request while it is open, and how many it lets run.

Standard library only: this is on the path to the first answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rootcellar import limits
from rootcellar.front import frames

if TYPE_CHECKING:
    from rootcellar.front.eras import Era, Message
    from rootcellar.front.frames import RequestId


class Session:
    """One conversation with the engine: the only modern one, or what one `initialize` began.

    The engine's connection behind it may die and be replaced; the greeting is then said again on the client's behalf.
    """

    __slots__ = ("connection", "era", "greeted", "greeting", "open_calls", "retired", "roots_told")

    def __init__(self, era: Era, greeting: Message | None = None) -> None:
        self.era: Era = era
        self.greeting = greeting  # the params of `initialize`
        self.greeted = False  # the client has said `notifications/initialized`
        self.roots_told = False  # `roots/list_changed` is on its way and no call has come since
        self.connection: str | None = None  # the engine's name for it; None until first needed, and after a crash
        self.open_calls = 0
        self.retired = False  # a later `initialize` took its place: ends with its last call


class Batch:
    """The answers to one JSON-RPC batch, held until all are there."""

    __slots__ = ("parts", "waiting")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.waiting = 1  # its own reading counts as one, so that it cannot end early


class Call:
    """One request, or one notification that must keep its place among requests."""

    __slots__ = ("batch", "cost", "dropped", "id", "key", "method", "params", "session", "started")

    def __init__(self, session: Session, method: str, params: Message | None, cost: int) -> None:
        self.session = session
        self.method = method
        self.params = params
        self.cost = cost + limits.MESSAGE_OVERHEAD_BYTES
        self.id: RequestId = None  # the client's
        self.key = 0  # the engine's; 0 for a notification
        self.batch: Batch | None = None
        self.started = False
        self.dropped = False  # taken back by the client, or answered otherwise: nothing more is sent for it

    def message(self) -> Message:
        """What the engine is told."""
        told: Message = {"method": self.method}
        if self.key:
            told["id"] = self.key
        if self.params is not None:
            told["params"] = self.params
        return told


class Admission:
    """Decides what may start, from what is queued, running and unsent. Its owner holds the lock.

    Reading stops before memory fills, starting stops while answers pile up, and a burst starts a few at a time so that
    a client that has stopped reading is noticed before hundreds of answers are on their way to it.
    """

    __slots__ = ("burst", "queue", "queued_bytes", "running", "unsent_bytes")

    def __init__(self) -> None:
        self.queue: deque[Call] = deque()
        self.queued_bytes = 0
        self.running: dict[int, Call] = {}
        self.unsent_bytes = 0
        self.burst = 0

    def enqueue(self, call: Call) -> None:
        """`call` waits for its turn."""
        self.queue.append(call)
        self.queued_bytes += call.cost

    def drop(self, call: Call) -> None:
        """`call` is answered no more; if it was still queued it never starts."""
        call.dropped = True
        if not call.started:
            self.queued_bytes -= call.cost

    def next(self) -> Call | None:
        """The call to start now, if any."""
        while self.queue:
            if not self.queue[0].dropped and not self._has_room():
                return None
            call = self.queue.popleft()
            if call.dropped:
                continue
            self.queued_bytes -= call.cost
            call.started = True
            if call.key:
                self.running[call.key] = call
                self.burst += 1
            return call
        return None

    def finish(self, key: int) -> Call | None:
        """The running call `key` has ended."""
        self.burst = max(0, self.burst - 1)
        return self.running.pop(key, None)

    def paced(self) -> bool:
        """Whether only the pace of a burst holds the queue up: then a short pause lifts it."""
        return bool(self.queue) and self.burst >= limits.STARTS_MAX

    def may_read(self) -> bool:
        """Whether there is room for another message."""
        queued_max, unsent_max = limits.QUEUED_BYTES_MAX, limits.UNSENT_BYTES_MAX
        return self.queued_bytes < queued_max and self.queued_bytes + self.unsent_bytes < queued_max + unsent_max

    def _has_room(self) -> bool:
        return (
            len(self.running) < limits.IN_FLIGHT_MAX
            and self.unsent_bytes < limits.UNSENT_BYTES_MAX
            and self.burst < limits.STARTS_MAX
        )


class BatchAnswers:
    """Bounds what unfinished batches hold. Its owner holds the lock."""

    __slots__ = ("_held_bytes",)

    def __init__(self) -> None:
        self._held_bytes = 0

    def add(self, batch: Batch, part: bytes, key: object) -> bytes | None:
        """One member's answer; the whole line once it was the last."""
        if isinstance(key, str | int) and self._held_bytes + len(part) > limits.UNSENT_BYTES_MAX:
            error = {"code": frames.INTERNAL_ERROR, "message": "the batch's answers are too large; call these singly"}
            part = frames.encode({"jsonrpc": "2.0", "id": key, "error": error})
        batch.parts.append(part)
        self._held_bytes += len(part)
        return self.settle(batch)

    def settle(self, batch: Batch) -> bytes | None:
        """One member needs no (further) answer; the whole line once it was the last and there is one."""
        batch.waiting -= 1
        if batch.waiting or not batch.parts:
            return None
        self._held_bytes -= sum(map(len, batch.parts))
        return b"[" + b",".join(batch.parts) + b"]"

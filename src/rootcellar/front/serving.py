"""The front: owns the wire, never waits for the engine, and ends in time.

    wire -> reader thread -> ledger -> engine thread (the SDK, behind `port.Engine`) -> ledger -> writer thread -> wire

It starts in tens of milliseconds and answers what needs no engine (faults, `ping`, the snapshot) while the engine is
still being imported on its own thread. `exchange` says which message goes where, `ledger` who is owed an answer.
Standard library only.
"""

from __future__ import annotations

import gc
import queue
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from rootcellar import limits
from rootcellar.front import exchange, frames, instant, ledger, wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.front.instant import Snapshot
    from rootcellar.front.port import Engine

_READ_BYTES = 64 * limits.KIB
_SWITCH_S = 0.0005  # threads hand over in time for a ping, whatever they compute
_EOF, _STDOUT, _SIGNAL, _BROKEN = "end of input", "stdout closed", "signal", "broken"
_ROOM_S = 0.25  # how often a reader that waits for room looks whether the client has left
_WRITE_S = 0.05  # of EXIT_S: for the last bytes


def serve(engine: Callable[[], Engine], snapshot: Snapshot = instant.nothing) -> NoReturn:
    """Serve the client on stdin and stdout until it leaves; ends the process (0, or 1 if the engine never ran).

    `engine` is called on a thread of its own and may import what it likes. `snapshot` gives the answers that need none
    (see `instant`). Call it on the main thread.
    """
    try:
        taken = wire.Wire.take()
    except OSError:  # no stdin or no stdout: nobody to serve
        wire.leave(0)
    wire.leave(Front(taken, engine, snapshot).run())


class Front:
    """One client, from its first byte to the end of the process."""

    def __init__(self, taken: wire.Wire, make: Callable[[], Engine], snapshot: Snapshot) -> None:
        self._wire = taken
        self._make = make
        self._ledger = ledger.Ledger(taken.write_now)
        self._exchange = exchange.Exchange(self._ledger, snapshot)
        self._endings: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._engines = 0

    def run(self) -> int:
        """Serve; the exit code."""
        sys.setswitchinterval(_SWITCH_S)
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):  # each system has its own
                signal.signal(getattr(signal, name), lambda *_: self._endings.put(_SIGNAL))
        for work in (self._read, self._write, self._keep_engine):
            threading.Thread(target=work, name=f"front{work.__name__}", daemon=True).start()
        return self._end(self._await_ending())

    def _await_ending(self) -> str:
        while True:
            try:  # Windows runs signal handlers only between waits
                return self._endings.get(timeout=0.1 if sys.platform == "win32" else None)
            except queue.Empty:
                continue

    def _end(self, reason: str) -> int:
        """Let what runs finish, then stop it, within `limits.EXIT_S`."""
        book = self._ledger
        deadline = time.monotonic() + limits.EXIT_S
        with book.lock:
            book.ending = True
            book.deaf = book.deaf or reason == _STDOUT
            book.room.notify()
            engine = self._engine
        if engine:
            engine.ending()
        cut = deadline - limits.EXIT_CUT_S if engine else deadline - _WRITE_S
        if reason != _BROKEN:
            self._await_calm(lambda: book.is_waited_for() and not self._in_a_hurry(), cut)
            self._await_calm(book.is_owing, min(cut, time.monotonic() + _WRITE_S))  # listen streams say their last word
        if engine:
            engine.cut()
            self._await_calm(book.is_owing, min(deadline, time.monotonic() + _WRITE_S))
            engine.drain(max(0.0, deadline - time.monotonic() - _WRITE_S))
        with book.lock:
            book.fail_all("the server is ending")
        self._await_calm(lambda: book.admission.unsent_bytes > 0 and not book.deaf, max(deadline, time.monotonic()))
        return 1 if reason == _BROKEN or book.broken else 0

    def _await_calm(self, busy: Callable[[], bool], until: float) -> None:
        with self._ledger.lock:
            while busy() and (left := until - time.monotonic()) > 0:
                self._ledger.calm.wait(min(left, 0.05))

    def _in_a_hurry(self) -> bool:
        """Whether a signal, or a client that has gone, says that nobody waits for what still runs."""
        return not self._endings.empty() and self._endings.get() in (_STDOUT, _SIGNAL)

    def _read(self) -> None:
        reason = _BROKEN
        try:
            lines = frames.Lines()
            while self._may_read() and (chunk := self._wire.read(_READ_BYTES)):
                for line in lines.feed(chunk):
                    self._exchange.line(line)
            for line in lines.rest():
                self._exchange.line(line)
            reason = _EOF
        except wire.StdoutClosed:
            reason = _STDOUT
        finally:
            self._endings.put(reason)

    def _may_read(self) -> bool:
        """Wait for room; False if the client has left meanwhile, or we are about to."""
        book = self._ledger
        while not book.ending:
            with book.lock:
                if book.admission.may_read() or book.room.wait(_ROOM_S):
                    return not book.ending
            if self._wire.source_closed():
                return False
        return False

    def _write(self) -> None:
        book = self._ledger
        try:
            while True:
                with book.lock:
                    data = book.take_output()
                self._wire.write(data)
                with book.lock:
                    book.admission.unsent_bytes -= len(data)
                    book.admit()
        except wire.StdoutClosed:
            book.deaf = True
            self._endings.put(_STDOUT)

    def _keep_engine(self) -> None:
        """One engine after another; an exception that ends one is on stderr before anyone is told of it."""
        while self._engines < limits.ENGINE_STARTS_MAX and not self._ledger.ending:
            self._engines += 1
            thread = threading.Thread(target=self._run_engine, name="engine", daemon=True)
            thread.start()
            thread.join()
            if not self._drop_engine():
                break
        with self._ledger.lock:
            self._ledger.broken = "the server could not start; its log says why"
            self._ledger.fail_all(self._ledger.broken)

    def _run_engine(self) -> None:
        gc.disable()  # importing makes no garbage worth looking for
        try:
            wire.shed_plugins()
            engine = self._make()
            gc.freeze()
        finally:
            gc.enable()
        with self._ledger.lock:
            self._engine = engine
            self._ledger.engine_is(engine)
        engine.run(self._exchange)

    def _drop_engine(self) -> bool:
        """Answer what the engine no longer will; whether there was one at all."""
        book = self._ledger
        with book.lock:
            existed = self._engine is not None
            self._engine = None
            book.engine_is(None)
            connections = list(book.sessions)
        for connection in connections:
            self._exchange.lost(connection)
        return existed

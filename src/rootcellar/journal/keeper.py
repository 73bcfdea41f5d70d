"""The one thread that opens the store's files: started before any wall is up, and never behind one."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from rootcellar.errors import Busy, Refusal
from rootcellar.journal.contents import spoken
from rootcellar.telemetry import LOG

T = TypeVar("T")
_Task = tuple[Callable[[], Any], Future[Any]]
_QUIET_S: Final = 2.0


class Keeper:
    """Does one thing after the other for whoever asks; a daemon, so it never holds up the end."""

    def __init__(self, at_end: Callable[[], None], when_idle: Callable[[], bool]) -> None:
        """`when_idle` is called again and again while nobody asks for anything, until it says that nothing is left."""
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._at_end, self._when_idle = at_end, when_idle
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="journal-keeper", daemon=True)
        self._thread.start()

    def ask(self, act: Callable[[], T]) -> T:
        """Have it done, and wait for what comes of it."""
        if threading.current_thread() is self._thread:
            return act()
        if self._closed:
            raise Busy("the journal is closed, as the server is ending", "try again in a moment")
        future: Future[T] = Future()
        self._tasks.put((act, future))
        return future.result()

    def tell(self, act: Callable[[], object]) -> None:
        """Have it done by and by; a failure is only logged."""
        future: Future[object] = Future()
        future.add_done_callback(_logged)
        self._tasks.put((act, future))

    def close(self, seconds: float) -> None:
        """Do what was asked so far, and end."""
        self._closed = True
        self._tasks.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while task := self._next():
            act, future = task
            try:
                with spoken():
                    outcome = act()
            except BaseException as error:  # noqa: BLE001 - carried whole to the caller, who handles it
                future.set_exception(error)
            else:
                future.set_result(outcome)
                del outcome
            del task, act, future
        self._at_end()

    def _next(self) -> _Task | None:
        """The next task; what is left for quiet times is done before it, if it does not come at once."""
        with contextlib.suppress(queue.Empty):
            return self._tasks.get(timeout=_QUIET_S)
        while self._tasks.empty() and self._idle():
            pass
        return self._tasks.get()

    def _idle(self) -> bool:
        try:
            return self._when_idle()
        except (OSError, Refusal) as error:
            LOG.info("journal: %s", error)
            return False


def _logged(future: Future[object]) -> None:
    if (error := future.exception()) is not None and not isinstance(error, Refusal):
        LOG.warning("journal: %r", error)

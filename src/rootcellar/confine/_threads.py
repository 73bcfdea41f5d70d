"""Threads that end with the process: how one is started, waited for, and given a task."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """One call and where its outcome goes."""

    future: Future[Any]
    function: Callable[[], Any]

    def run(self) -> None:
        """Call it unless it was cancelled first; whatever it raises belongs to whoever waits."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            outcome = self.function()
        except BaseException as error:  # noqa: BLE001 - carried whole to the caller, who handles it
            self.future.set_exception(error)
        else:
            self.future.set_result(outcome)


class Starter:
    """The one unrestricted thread: only it makes pools, spares and errands, as a restriction is inherited."""

    def __init__(self, tick: Callable[[], float | None]) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._tick = tick
        self._poked = False
        start_thread(self._work, "rootcellar-starter")

    def call(self, function: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._tasks.put(Task(future, function))
        return future

    def poke(self) -> None:
        """Have the tick run now; it says itself when it wants to run again."""
        if not self._poked:
            self._poked = True
            self.call(lambda: None)

    def end(self) -> None:
        self._tasks.put(None)

    def _work(self) -> None:
        wait_s = self._tick()
        while True:
            try:
                task = self._tasks.get(timeout=wait_s)
            except queue.Empty:
                pass
            else:
                if task is None:
                    return
                task.run()
                del task
            self._poked = False
            wait_s = self._tick()


def start_thread(body: Callable[[], None], name: str) -> None:
    """Start a daemon: one that is stuck never keeps the process from ending."""
    try:
        threading.Thread(target=body, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "no new thread") from error


def begin_thread(begin: Callable[[], Callable[[], None]], name: str) -> None:
    """Start a thread, wait until it has begun or failed to, and let it go on with what `begin` gave."""
    began: Future[Callable[[], None]] = Future()

    def body() -> None:
        Task(began, begin).run()
        if not began.exception():
            began.result()()

    start_thread(body, name)
    began.result()

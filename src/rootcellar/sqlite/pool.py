"""Worker processes, one or a few per open database: started on demand, reused, watched, killed when they burn.

The threads that ask are fenced in (they may start no program and signal nobody), so one thread of ours, started
with the server and never fenced, does both: the keeper. It starts workers, keeps one spare so that a new database
need not wait for a process, passes a cancellation on, kills what is past its deadline, and ends what nobody has
asked for a minute.

A caller blocks on its worker's pipe. A worker that dies (killed, crashed) costs its call and nothing else: the next
call gets a new one. Readers of one database work side by side up to a limit; it has one writer, and others wait
their turn.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rootcellar import errors, limits
from rootcellar.sqlite.process import Cancel, Worker, start
from rootcellar.sqlite.wire import Json
from rootcellar.telemetry import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
_TICK_S: Final = 0.02
_CALM_S: Final = 1.0
_WAIT_S: Final = 0.05


@dataclass(slots=True)
class _Call:
    """A worker at work: until when, and who may take it back."""

    worker: Worker
    kill_at: float
    cancel: Cancel
    told: bool = False


class Pool:
    """All workers of this server. Make it on the main thread, before any thread is fenced."""

    def __init__(self) -> None:
        self.unfenced = ""  # why the last worker could not give up all other files; empty when it did
        self._changed = threading.Condition()
        self._idle: dict[object, list[Worker]] = {}
        self._working: dict[object, int] = {}
        self._waiting: dict[object, int] = {}
        self._calls: set[int] = set()
        self._watched: dict[int, _Call] = {}
        self._spare: list[Worker] = []
        self._ending: list[tuple[Worker, float]] = []
        self._count = 0
        self._closed = False
        self._calm_at = 0.0
        self._errands: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]] | None] = queue.SimpleQueue()
        self._keeper = threading.Thread(target=self._keep, name="sqlite-keeper", daemon=True)
        self._keeper.start()

    @contextmanager
    def worker(self, key: object, most: int, cancel: Cancel, stand: Json) -> Iterator[Worker]:
        """A worker that stands at the database of this key, for the length of the block."""
        worker = self._take(key, most, cancel)
        try:
            if worker.key != key:
                with self.watched(worker, limits.QUERY_S, cancel):
                    self._note(str(worker.ask(stand).get("fence", "")))
                worker.key = key
            yield worker
        except BaseException:
            worker.doomed = worker.doomed or worker.key != key
            raise
        finally:
            self._give_back(key, worker)

    @contextmanager
    def watched(self, worker: Worker, seconds: float, cancel: Cancel) -> Iterator[None]:
        """While this lasts the keeper watches the time and the caller's word."""
        call = _Call(worker, time.monotonic() + seconds + limits.KILL_GRACE_S, cancel)
        self._watched[id(call)] = call
        if time.monotonic() > self._calm_at - _TICK_S:
            self._errands.put(None)
        try:
            yield
        finally:
            del self._watched[id(call)]

    def close(self) -> None:
        """End every worker, within the time an exit may take; changes in flight are rolled back. Main thread only."""
        with self._changed:
            self._closed = True
            workers = [worker for idle in self._idle.values() for worker in idle] + self._spare
            self._idle, self._spare = {}, []
        workers += [call.worker for call in list(self._watched.values())]
        for worker in workers:
            worker.hang_up()
        self._errands.put(None)
        self._keeper.join(limits.EXIT_S)
        until = time.monotonic() + limits.EXIT_S / 2
        for worker in workers:
            worker.bury(until)
        for worker, _ in self._ending:
            worker.bury(until)

    # for callers

    def _take(self, key: object, most: int, cancel: Cancel) -> Worker:
        with self._changed:
            self._queue_up(key)
            try:
                worker = self._next(key, most, cancel)
            finally:
                self._waiting[key] -= 1
                if not self._waiting[key]:
                    del self._waiting[key]
            if worker is not None:
                return worker
            if self._spare:
                spare = self._spare.pop()
                self._errands.put((self._make_spare, queue.SimpleQueue()))
                return spare
        try:
            worker = self._errand(start)
        except BaseException:
            self._forget(key)
            raise
        self._errands.put((self._make_spare, queue.SimpleQueue()))
        return worker

    def _note(self, unfenced: str) -> None:
        """Say once in the log that workers stand unfenced; whoever checks a database is told too."""
        if unfenced and not self.unfenced:
            LOG.warning("database workers are not fenced in: %s", unfenced)
        self.unfenced = unfenced

    def _queue_up(self, key: object) -> None:
        """One database holds no more callers than it may: others' calls need threads too. With the lock."""
        waiting = self._waiting.get(key, 0)
        if waiting >= limits.WORKER_WAITING_MAX:
            raise errors.Busy(f"{waiting} other calls wait for this database", "try again when they are answered")
        self._waiting[key] = waiting + 1

    def _next(self, key: object, most: int, cancel: Cancel) -> Worker | None:
        """A worker that is free now or in a while; None when a new one may be started. With the lock."""
        until = time.monotonic() + limits.WORKER_WAIT_S
        while True:
            if self._closed:
                raise errors.Cancelled("the server is ending")
            if cancel.cancelled:
                raise errors.Cancelled("the request was taken back")
            if idle := self._idle.get(key):
                worker = idle.pop()
                if worker.process.poll() is not None:  # it died between two calls
                    worker.doomed = True
                    self._count -= 1
                    self._errands.put((partial(self._end, worker), queue.SimpleQueue()))
                    continue
                self._working[key] = self._working.get(key, 0) + 1
                return worker
            if self._may_start(key, most):
                self._working[key] = self._working.get(key, 0) + 1
                self._count += 1
                return None
            if time.monotonic() > until:
                raise errors.Busy("other calls keep this database busy", "try again when they are answered")
            self._changed.wait(_WAIT_S)

    def _may_start(self, key: object, most: int) -> bool:
        """Whether there is room for one more worker of this database; its first may take the room kept for firsts."""
        working = self._working.get(key, 0)
        room = limits.WORKERS_MAX - (limits.WORKERS_RESERVED if working else 0)
        if working >= most or sum(self._working.values()) >= room:
            return False
        return self._count < limits.WORKERS_MAX or self._drop_one()

    def _give_back(self, key: object, worker: Worker) -> None:
        with self._changed:
            self._working[key] -= 1
            if not self._working[key]:
                del self._working[key]
            if worker.doomed or self._closed:
                self._count -= 1
            else:
                worker.idle_since = time.monotonic()
                self._idle.setdefault(key, []).append(worker)
            self._changed.notify_all()
        if worker.doomed or self._closed:
            self._errands.put((lambda: self._end(worker), queue.SimpleQueue()))

    def _forget(self, key: object) -> None:
        with self._changed:
            self._working[key] -= 1
            self._count -= 1
            self._changed.notify_all()

    def _drop_one(self) -> bool:
        """Make room: the worker that has been idle longest goes."""
        found = [(worker.idle_since, key, worker) for key, idle in self._idle.items() for worker in idle]
        if not found:
            return False
        _, key, worker = min(found, key=lambda item: item[0])
        self._idle[key].remove(worker)
        self._count -= 1
        self._errands.put((lambda: self._end(worker), queue.SimpleQueue()))
        return True

    def _errand(self, act: Callable[[], T]) -> T:
        """Have the keeper do something that a fenced thread may not."""
        answer: queue.SimpleQueue[T | OSError] = queue.SimpleQueue()
        self._errands.put((act, answer))
        result = answer.get()
        if isinstance(result, OSError):
            raise errors.Busy("no worker could be started: no memory or processes left", "try again in a moment")
        return result

    # the keeper

    def _keep(self) -> None:
        while True:
            now = time.monotonic()
            if self._watched:
                self._calm_at = now + _CALM_S
            calm = now >= self._calm_at
            with suppress(queue.Empty):
                self._run(self._errands.get(timeout=_CALM_S if calm else _TICK_S))
            if self._closed and not self._watched:
                with suppress(queue.Empty):
                    while True:
                        self._run(self._errands.get_nowait())
                return
            self._watch()
            self._reap()
            self._bury()

    def _run(self, errand: tuple[Callable[[], Any], queue.SimpleQueue[Any]] | None) -> None:
        if errand is not None:
            act, answer = errand
            try:
                answer.put(act())
            except OSError as error:
                answer.put(error)

    def _watch(self) -> None:
        now = time.monotonic()
        for call in list(self._watched.values()):
            if call.cancel.cancelled and not call.told and call.worker.cancel():
                call.told, call.kill_at = True, min(call.kill_at, now + limits.CANCEL_GRACE_S)
            if now > call.kill_at:
                call.worker.why_killed = "cancelled" if call.told else "time"
                with suppress(OSError):
                    call.worker.process.kill()

    def _reap(self) -> None:
        old = time.monotonic() - limits.WORKER_IDLE_S
        with self._changed:
            for key, idle in list(self._idle.items()):
                for worker in [
                    worker for worker in idle if worker.idle_since < old or worker.process.poll() is not None
                ]:
                    idle.remove(worker)
                    self._count -= 1
                    self._end(worker)
                if not idle:
                    del self._idle[key]
            if not self._idle and not self._working:
                while self._spare and self._spare[-1].idle_since < old:
                    self._end(self._spare.pop())

    def _end(self, worker: Worker) -> None:
        """Let a worker go, by its input's end if it listens and by force if it does not; waited for by and by."""
        worker.hang_up()
        if worker.doomed:
            worker.process.kill()
        self._ending.append((worker, time.monotonic() + 2 * limits.KILL_GRACE_S))

    def _bury(self) -> None:
        """Wait for those that have ended; kill those that do not."""
        for worker, until in list(self._ending):
            if worker.process.poll() is not None or time.monotonic() > until:
                worker.bury(0.0)
                self._ending.remove((worker, until))

    def _make_spare(self) -> None:
        if self._spare or self._closed:
            return
        spare = start()
        with self._changed:
            if not self._closed:
                self._spare.append(spare)
                return
        self._end(spare)

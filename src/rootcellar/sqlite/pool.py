"""Worker processes, one or a few per open database: started on demand, reused, watched, killed when they burn.

The threads that ask are fenced in (they may start no program and signal nobody), so one thread of ours, started with the
server and never fenced, does both: the keeper. It starts workers, keeps one spare so that a new database need not wait for a
process, passes a cancellation on, kills what is past its deadline, and ends what nobody has asked for a minute.

A caller blocks on its worker's pipe. A worker that dies (killed, crashed) costs its call and nothing else: the next call
gets a new one. Readers of one database work side by side up to a limit; it has one writer, and others wait their turn.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from rootcellar import errors, limits
from rootcellar.sqlite.wire import HEAD, Json, Kind, frame, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICK_S: Final = 0.02
_CALM_S: Final = 1.0
_WAIT_S: Final = 0.05
_FRAME_BYTES_MAX: Final = 1 << 30
_KEPT_ENVIRONMENT: Final = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "SYSTEMROOT", "TEMP", "TMP", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip


class Cancel(Protocol):
    """The caller's way to take a request back."""

    @property
    def cancelled(self) -> bool:
        """Whether it was."""


class Never:
    """A request that nobody takes back."""

    cancelled = False


def command_line() -> list[str]:
    """How a worker is started: this interpreter with the module, or the frozen program with its hidden command."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "worker"]
    return [sys.executable, "-P", "-m", "rootcellar.sqlite.worker"]


@dataclass(frozen=True, slots=True)
class Listener:
    """What a call wants to hear while it runs, and what it has to send."""

    feed: Callable[[], bytes] | None = None  # the next chunk to send; empty at the end
    sink: Callable[[bytes], None] | None = None
    progress: Callable[[float, float | None, str], None] | None = None
    prepared: Callable[[Json], None] | None = None  # raises to refuse the commit


SILENT: Final = Listener()


class Worker:
    """One process and the pipe to it; used by one caller at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise errors.Failed("a worker was started without pipes", "try again")
        self.process = process
        self.key: object = None
        self.idle_since = time.monotonic()
        self.why_killed = ""
        self._source, self._sink = process.stdout.fileno(), process.stdin.fileno()
        self._writing = threading.Lock()
        self._serial = 0
        self._waiting = bytearray()
        self.doomed = False

    def ask(self, request: Json, listener: Listener = SILENT) -> Json:
        """Send a request and hear it out; the worker's refusal is raised as it was there."""
        self._serial += 1
        try:
            self._write(frame(Kind.REQUEST, pack({**request, "serial": self._serial})))
            if listener.feed is not None:
                self._send_next(listener.feed)
            return self._hear(listener)
        except BaseException as error:
            if not isinstance(error, errors.Refusal) or not getattr(error, "answered", False):
                self.doomed = True  # in the middle of an exchange: nobody else may use this pipe
            raise

    def _hear(self, listener: Listener) -> Json:
        refused: BaseException | None = None
        while True:
            kind, payload = self._frame()
            if kind is Kind.ANSWER:
                return dict(unpack(payload))
            if kind is Kind.REFUSED:
                raise _answered(refused or refusal_of(unpack(payload)))
            if kind is Kind.MORE and listener.feed is not None:
                self._send_next(listener.feed)
            elif kind is Kind.CHUNK and listener.sink is not None:
                listener.sink(payload)
            elif kind is Kind.PROGRESS and listener.progress is not None:
                listener.progress(*unpack(payload))
            elif kind is Kind.PREPARED:
                refused = self._decide(listener, unpack(payload))

    def _decide(self, listener: Listener, prepared: Json) -> BaseException | None:
        """Let the caller record what is about to be kept; what it raises is raised once the worker has rolled back."""
        try:
            if listener.prepared is not None:
                listener.prepared(prepared)
        except errors.Refusal as error:
            self._write(frame(Kind.ROLLBACK))
            return error
        self._write(frame(Kind.COMMIT))
        return None

    def _send_next(self, feed: Callable[[], bytes]) -> None:
        data = feed()
        self._write(frame(Kind.CHUNK, data) if data else frame(Kind.END))

    def cancel(self) -> bool:
        """Ask the worker to stop; False when its pipe is busy just now."""
        if not self._writing.acquire(blocking=False):
            return False
        try:
            os.write(self._sink, frame(Kind.CANCEL, pack(self._serial)))
        except OSError:
            return True
        finally:
            self._writing.release()
        return True

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            with self._writing:
                while view:
                    view = view[os.write(self._sink, view) :]
        except OSError as error:
            raise self.ended() from error

    def _frame(self) -> tuple[Kind, bytes]:
        head = self._read(HEAD.size)
        size, number = HEAD.unpack(head)
        if size > _FRAME_BYTES_MAX:
            self.doomed = True
            raise errors.TooLarge("the database worker's answer is too large", "select less")
        return Kind(number), self._read(size)

    def _read(self, size: int) -> bytes:
        while len(self._waiting) < size:
            data = os.read(self._source, max(1 << 16, min(size - len(self._waiting), 1 << 20)))
            if not data:
                raise self.ended()
            self._waiting += data
        taken = bytes(self._waiting[:size])
        del self._waiting[:size]
        return taken

    def ended(self) -> errors.Refusal:
        """Why there is no answer."""
        self.doomed = True
        if self.why_killed == "cancelled":
            return errors.Cancelled("the statement was taken back")
        if self.why_killed == "time":
            return errors.TimedOut(
                "the statement ran over its time and had to be killed", "ask for less; nothing was changed"
            )
        return errors.Failed("the database worker ended unexpectedly", "try again; `check_database` if it stays so")


def _answered(error: BaseException) -> BaseException:
    """Mark a refusal that came as a whole answer: the worker is ready for the next request."""
    error.answered = True  # type: ignore[attr-defined]
    return error


def refusal_of(told: Json) -> errors.Refusal:
    """The refusal that a worker spelled; an unknown one is plain Failed."""
    kind = getattr(errors, str(told.get("kind")), errors.Failed)
    if not (isinstance(kind, type) and issubclass(kind, errors.Refusal)):
        kind = errors.Failed
    return kind(str(told.get("message", "")), str(told.get("hint", "")))


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
        self._changed = threading.Condition()
        self._idle: dict[object, list[Worker]] = {}
        self._working: dict[object, int] = {}
        self._calls: set[int] = set()
        self._watched: dict[int, _Call] = {}
        self._spare: list[Worker] = []
        self._ending: list[tuple[subprocess.Popen[bytes], float]] = []
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
                    worker.ask(stand)
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
        """End every worker; their changes in flight are rolled back."""
        with self._changed:
            self._closed = True
            workers = [worker for idle in self._idle.values() for worker in idle] + self._spare
            self._idle, self._spare = {}, []
        for worker in workers + [call.worker for call in list(self._watched.values())]:
            self._hang_up(worker)
        self._errands.put(None)

    # for callers

    def _take(self, key: object, most: int, cancel: Cancel) -> Worker:
        with self._changed:
            while True:
                if self._closed:
                    raise errors.Cancelled("the server is ending")
                if cancel.cancelled:
                    raise errors.Cancelled("the request was taken back")
                if idle := self._idle.get(key):
                    worker = idle.pop()
                    self._working[key] = self._working.get(key, 0) + 1
                    return worker
                if self._working.get(key, 0) < most and (self._count < limits.WORKERS_MAX or self._drop_one()):
                    self._working[key] = self._working.get(key, 0) + 1
                    self._count += 1
                    break
                self._changed.wait(_WAIT_S)
            if self._spare:
                spare = self._spare.pop()
                self._errands.put((self._make_spare, queue.SimpleQueue()))
                return spare
        try:
            worker = self._errand(_start)
        except BaseException:
            self._forget(key)
            raise
        self._errands.put((self._make_spare, queue.SimpleQueue()))
        return worker

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

    def _errand(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the act gives
        """Have the keeper do something that a fenced thread may not."""
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
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
                errand = self._errands.get(timeout=_CALM_S if calm else _TICK_S)
                if errand is not None:
                    act, answer = errand
                    try:
                        answer.put(act())
                    except OSError as error:
                        answer.put(error)
            if self._closed and not self._watched:
                return
            self._watch()
            self._reap()
            self._bury()

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
                for worker in [worker for worker in idle if worker.idle_since < old or worker.process.poll() is not None]:
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
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if worker.doomed:
            worker.process.kill()
        self._ending.append((worker.process, time.monotonic() + 2 * limits.KILL_GRACE_S))

    def _bury(self) -> None:
        """Wait for those that have ended; kill those that do not."""
        for process, until in list(self._ending):
            if process.poll() is not None:
                self._ending.remove((process, until))
            elif time.monotonic() > until:
                process.kill()

    def _make_spare(self) -> None:
        if not self._spare and not self._closed:
            self._spare.append(_start())

    def _hang_up(self, worker: Worker) -> None:
        """Close the worker's input: it rolls back and ends by itself."""
        with suppress(OSError, ValueError):
            if worker.process.stdin is not None:
                worker.process.stdin.close()


def _start() -> Worker:
    """A worker process that has no database yet. Keeper only."""
    flags: dict[str, Any] = {"process_group": 0} if sys.platform != "win32" else {"creationflags": 0x08000000}
    environment = {name: value for name, value in os.environ.items() if name.upper().startswith("_PYI")}
    environment |= {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return Worker(
        subprocess.Popen(  # noqa: S603 - our own program
            command_line(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, **flags
        )
    )

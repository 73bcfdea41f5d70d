"""One worker process and the pipe to it, as the server sees it: started, asked, heard out, interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rootcellar import errors
from rootcellar.sqlite.wire import HEAD, Json, Kind, frame, pack, unpack

_FRAME_BYTES_MAX: Final = 1 << 30
_NO_WINDOW: Final = 0x08000000
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


class Watching:
    """A cancellation as a walk takes it."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel

    @property
    def cancelled(self) -> bool:
        """Whether the caller took it back."""
        return self._cancel.cancelled

    def check(self) -> None:
        """Raise Cancelled if so."""
        if self._cancel.cancelled:
            raise errors.Cancelled("the request was taken back")


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


class Lost(errors.Failed):
    """A worker died of itself; `unheard` when it had taken nothing of the request."""

    unheard = False


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

    def hang_up(self) -> None:
        """Close the worker's input: it stops, rolls back and ends by itself."""
        with suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()

    def bury(self, until: float) -> None:
        """Wait for its end until then, by force after that; nothing of it is left."""
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

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
            lost = self.ended()
            if isinstance(lost, Lost):
                lost.unheard = True
            raise lost from error

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
        return Lost("the database worker ended unexpectedly", "try again; `describe_database` if it stays so")


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


def start() -> Worker:
    """A worker process that has no database yet. Keeper only."""
    flags: dict[str, Any] = {"process_group": 0} if sys.platform != "win32" else {"creationflags": _NO_WINDOW}
    environment = {name: value for name, value in os.environ.items() if name.upper().startswith("_PYI")}
    environment |= {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return Worker(
        subprocess.Popen(
            command_line(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0, **flags
        )
    )

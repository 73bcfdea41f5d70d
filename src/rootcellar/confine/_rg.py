"""ripgrep as a child of the calling thread, in a root, with nothing of our environment.

The child only *suggests*: whoever reads its output opens what it names through an `Entry` and shows those bytes, so a
race or a link that leads it elsewhere shows nothing. It begins in the root's open directory (on Linux by its handle,
elsewhere by its path), inherits the thread's Landlock restriction, follows no link, reads no configuration, and is
killed within a tenth of a second when the request is taken back. Only the program that was installed with us is run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import IO, TYPE_CHECKING, Final, Self

from rootcellar import limits
from rootcellar.confine.resolve import Ending
from rootcellar.errors import Busy, Failed

if sys.platform == "linux":
    import resource

if TYPE_CHECKING:
    from rootcellar.confine.entry import Entry
    from rootcellar.confine.walk import Cancel

_CHUNK: Final = 65_536
_QUEUED_CHUNKS: Final = 16  # what the child may be ahead of us
_TURN_S: Final = 0.05  # between two looks at the cancellation
_COMPLAINTS_BYTES_MAX: Final = 65_536
_MEMORY_BYTES_MAX: Final = 2_048 * limits.MIB  # of address space: one line of many gigabytes must not fill the machine
_NAME: Final = "rg.exe" if sys.platform == "win32" else "rg"


@functools.cache
def program() -> str | None:
    """Where our own ripgrep is: beside the frozen program, or among the scripts of this environment; never PATH."""
    for place in _places():
        path = os.path.join(place, _NAME)  # noqa: PTH118 - a candidate, checked below
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - as above
            return os.path.abspath(path)  # noqa: PTH100 - links stay, so the name says where it came from
    return None


def _places() -> Iterator[str]:
    if getattr(sys, "frozen", False):
        yield getattr(sys, "_MEIPASS", "")
        yield os.path.dirname(sys.executable)  # noqa: PTH120 - text only
        return
    yield sysconfig.get_path("scripts")
    with contextlib.suppress(KeyError):
        yield sysconfig.get_path("scripts", f"{os.name}_user")
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("ripgrep") or ():
            if file.name == _NAME:
                yield os.path.dirname(str(file.locate()))  # noqa: PTH120 - text only


class Child:
    """A running ripgrep: its output in pieces, its complaints, its end."""

    def __init__(self, process: subprocess.Popen[bytes], cancel: Cancel | None, deadline: float) -> None:
        self._process = process
        self._cancel = cancel
        self._deadline = deadline
        self._pieces: queue.Queue[bytes] = queue.Queue(_QUEUED_CHUNKS)
        self._complaints = bytearray()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._feed, name="rg-output", daemon=True),
            threading.Thread(target=self._listen, name="rg-complaints", daemon=True),
        ]
        self.timed_out = False
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[bytes]:
        """Give the output as it comes, and nothing (`b""`) while nothing comes, until the end or the deadline.

        Cancelled when the request is taken back.
        """
        while True:
            if self._cancel is not None:
                self._cancel.check()
            left = self._deadline - time.monotonic()
            if left <= 0:
                self.timed_out = True
                return
            try:
                piece = self._pieces.get(timeout=min(left, _TURN_S))
            except queue.Empty:
                yield b""
                continue
            if not piece:
                return
            yield piece

    def _feed(self) -> None:
        assert self._process.stdout is not None
        for piece in _pieces(self._process.stdout):
            if not self._put(piece):
                return
        self._put(b"")

    def _put(self, piece: bytes) -> bool:
        """Hand over a piece, waiting while we are ahead; False once nobody listens."""
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=_TURN_S)
                return True
        return False

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for piece in _pieces(self._process.stderr):
            self._complaints += piece[: max(0, _COMPLAINTS_BYTES_MAX - len(self._complaints))]

    def complaints(self) -> str:
        """What it wrote to its error stream; complete once the output has ended."""
        if not self.timed_out:
            self._threads[1].join(timeout=1.0)
        return self._complaints.decode("utf-8", "replace")

    def end(self) -> int:
        """Kill it if it still runs, and give its exit code."""
        self._stopping.set()
        self._process.kill()
        return self._process.wait()

    def status(self) -> int:
        """Its exit code after the output has ended by itself."""
        try:
            return self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := os.read(stream.fileno(), _CHUNK):
        yield piece


def start(entry: Entry, arguments: Sequence[str], cancel: Cancel | None, deadline: float) -> Child:
    """Run ripgrep in the root of an entry; use the answer in a `with` block. `deadline` is on the monotonic clock."""
    path = program()
    if path is None:
        raise Failed("the search engine is not installed", "install `ripgrep` beside `rootcellar`")
    try:
        process = subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_directory(entry),
            env=_environment(),
            bufsize=0,
            creationflags=0x08000000 if sys.platform == "win32" else 0,  # CREATE_NO_WINDOW
        )
    except BlockingIOError as error:
        raise Busy("the system starts no more processes now", "try again in a moment") from error
    except OSError as error:
        raise Failed(f"the search engine cannot be started ({error.strerror})", "run `rootcellar doctor`") from error
    _bound(process.pid)
    return Child(process, cancel, deadline)


def _directory(entry: Entry) -> str:
    """Where the child begins: the open root itself where a name leads to a handle, else its path."""
    if sys.platform == "linux" and os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - the kernel's own
        return f"/proc/self/fd/{entry.root.handle}"
    return entry.root.real


def _environment() -> dict[str, str]:
    """Nothing of ours but what Windows cannot start a process without."""
    needed = ("SYSTEMROOT",) if sys.platform == "win32" else ()
    return {name: os.environ[name] for name in needed if name in os.environ}


def _bound(pid: int) -> None:
    """Cap the child's memory where the system can; a line of many gigabytes then ends it, not the machine."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))


def place(entry: Entry) -> tuple[str, ...]:
    """The real names between the root and an entry, for the child's command line."""
    with entry.find(Ending.FOLLOW) as found:
        return found.parts

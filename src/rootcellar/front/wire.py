"""What the host gave the process: stdin and stdout, taken away from everything else, and how it leaves.

Promise: from `Wire.take()` on, descriptor 0 is empty and descriptor 1 is stderr, for us, for libraries and for
children; only this object reads from and writes to the client. Bytes go out as they are, also on Windows (no CRLF).
"""

from __future__ import annotations

import os
import select
import sys
from typing import NoReturn

_WINDOWS = sys.platform == "win32"
_GONE = 0 if _WINDOWS else select.POLLERR | select.POLLHUP | select.POLLNVAL


class StdoutClosed(Exception):  # noqa: N818 - an ending, not an accident
    """The client no longer reads: there is nobody to answer."""


class Wire:
    """The client's two pipes, whatever they are: pipes, sockets, files or a terminal."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._input = None if _WINDOWS else select.poll()
        self._output = None if _WINDOWS else select.poll()
        if self._input is not None and self._output is not None:
            self._output.register(sink, select.POLLOUT)
            self._input.register(source, select.POLLIN)
            if not self._lost(sink):  # some systems cannot poll a terminal or a device: then only a write tells
                self._input.register(sink, 0)

    @classmethod
    def take(cls) -> Wire:
        """Take descriptors 0 and 1; `OSError` if either is closed."""
        for descriptor in (0, 1):
            os.fstat(descriptor)
        empty = os.open(os.devnull, os.O_RDWR)
        if empty == 2:  # noqa: PLR2004 - stderr was closed; now nothing else can be mistaken for it
            empty = os.dup(empty)
        source, sink = _above_standard(0), _above_standard(1)
        os.dup2(empty, 0)
        os.dup2(2, 1)
        os.close(empty)
        if sys.stderr is not None:
            sys.stdout = sys.stderr  # so that a stray print keeps its place among the log lines
        return cls(source, sink)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, as soon as there are some; b"" when the client has closed its end.

        Raises: StdoutClosed, if the client stops listening meanwhile.
        """
        while True:
            for descriptor, event in self._input.poll() if self._input else ():
                if descriptor == self._sink and event & _GONE:
                    raise StdoutClosed
            try:
                return os.read(self._source, size)
            except BlockingIOError:  # a non-blocking pipe, and only the other end had news
                continue
            except OSError:  # a terminal that hung up, a closed descriptor
                return b""

    def write(self, data: bytes) -> None:
        """All of `data`, however long the client takes to read it.

        Raises: StdoutClosed.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._sink, rest) :]
            except BlockingIOError:
                if self._output:
                    self._output.poll()
            except OSError:
                raise StdoutClosed from None

    def write_now(self, data: bytes) -> int:
        """How much of `data` could be written without waiting: mostly all of a short line, else nothing."""
        if self._output is None or len(data) > select.PIPE_BUF or not self._output.poll(0):
            return 0
        try:
            return os.write(self._sink, data)
        except OSError:  # `write` will meet it too, and say so
            return 0

    def source_closed(self) -> bool:
        """Whether the client has closed its end, though what it sent is not all read yet."""
        return self._lost(self._source)

    def _lost(self, descriptor: int) -> bool:
        if _WINDOWS:
            return False
        poll = select.poll()
        poll.register(descriptor, 0)
        return any(event & _GONE for _, event in poll.poll(0))


def _above_standard(descriptor: int) -> int:
    """A private copy of `descriptor` that no child inherits."""
    if sys.platform == "win32":
        import msvcrt

        copy = os.dup(descriptor)
        msvcrt.setmode(copy, os.O_BINARY)
        return copy
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def shed_plugins() -> None:
    """Let no `OTEL_*` variable of the user's shell load, or fail to load, a plug-in into this process."""
    for name in [name for name in os.environ if name.upper().startswith("OTEL_")]:
        del os.environ[name]


def leave(code: int) -> NoReturn:
    """End the process now: no thread that is stuck in a read, a lock or a library can hold it."""
    os._exit(code)

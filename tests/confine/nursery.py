"""Servers in a fraction of the time: an interpreter that has loaded everything forks one process for each test.

What is forked is what `python -m rootcellar` becomes after its imports; nothing of the server has run before the fork.
`ROOTCELLAR_COLD=1` starts every server from nothing instead, as does any command of one's own (`ROOTCELLAR_COMMAND`).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, NoReturn


class Born:
    """One forked server, as far as `subprocess.Popen` is needed."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout

    def poll(self) -> int | None:
        """None while it runs; its exit code is not known to us."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Until it is gone; the nursery reaps it."""
        while self.poll() is None:
            time.sleep(0.001)


class Nursery:
    """The warm interpreter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        assert self._line.recv(1) == b"!", "the nursery did not start"

    def close(self) -> None:
        """It ends when its line closes."""
        self._line.close()
        self._process.wait()

    def bear(self, arguments: list[str], env: dict[str, str], cwd: str, log: int) -> Born:
        """Fork a server with pipes of its own."""
        (read_in, write_in), (read_out, write_out) = os.pipe(), os.pipe()
        request = json.dumps({"arguments": arguments, "env": env, "cwd": cwd}).encode()
        with self._lock:
            socket.send_fds(self._line, [len(request).to_bytes(4, "big")], [read_in, write_out, log])
            self._line.sendall(request)
            pid = int.from_bytes(self._line.recv(4, socket.MSG_WAITALL), "big")
        os.close(read_in)
        os.close(write_out)
        return Born(pid, os.fdopen(write_in, "wb", 0), os.fdopen(read_out, "rb"))


_LOCK = threading.Lock()


def nursery() -> Nursery:
    """One for this test run."""
    with _LOCK:
        return _only()


@functools.cache
def _only() -> Nursery:
    made = Nursery()
    atexit.register(made.close)
    return made


def live(request: dict[str, object], fds: list[int]) -> NoReturn:
    """Become the server."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    os.chdir(str(request["cwd"]))
    sys.argv[1:] = request["arguments"]  # type: ignore[call-overload]
    from rootcellar.cli import main

    sys.exit(main())


def serve(line: socket.socket) -> None:
    """Load, then fork for each request until the line closes."""
    import rootcellar.cli
    import rootcellar.engine
    import rootcellar.front
    import rootcellar.server
    from rootcellar.confine import _warm

    _warm.warm(rootcellar.server.WARM)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.freeze()
    line.sendall(b"!")
    while True:
        head, fds, _, _ = socket.recv_fds(line, 4, 3)
        if not head:
            return
        request = json.loads(line.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
        pid = os.fork()
        if not pid:
            line.close()
            live(request, fds)
        for fd in fds:
            os.close(fd)
        line.sendall(pid.to_bytes(4, "big"))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""Proof that an entry works: it is started as the host would start it, and must answer in the host's own time.

Then, where the host has a command for it, the host itself is asked, and its words count: its exit code is 0 either way.
Stdlib only, and on the wire directly: the proof must not share a mistake with the server's own stack.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any

from rootcellar.hosts.host import Host, Machine, Says, Surroundings

CEILING_S = 30.0  # nothing is waited for longer, whatever a host does
END_S = 5.0  # a server that outlives its input this long is broken
ASK_S = 90.0  # hosts start every server they know before they answer
MODERN, LEGACY = "2026-07-28", "2025-11-25"
_META = "io.modelcontextprotocol/"
_SELF = {"name": "rootcellar-install", "version": "1"}
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_ALLOWED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
_ALLOWED_WINDOWS = (
    "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
    "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """What starting an entry showed: seconds to each first answer, the tools it listed, or why it failed."""

    works: bool
    why: str = ""
    discover_s: float | None = None
    initialize_s: float | None = None
    tools: tuple[str, ...] = ()

    def slow_for(self, host: Host) -> bool:
        """Whether that host would have given up before the handshake was done."""
        return self.initialize_s is not None and self.initialize_s > host.limit_s


class Heard(Enum):
    """What the host says of our entry."""

    WELL = "well"
    NOT_WELL = "not well"
    NOT_ASKED = "not asked"


def surroundings(host: Host, env: Mapping[str, str]) -> dict[str, str]:
    """The environment in which this host starts servers, made from the one we have."""
    kept = dict(env)
    if host.surroundings is Surroundings.ALLOWED:
        names = _ALLOWED_WINDOWS if sys.platform == "win32" else _ALLOWED
        return {name: value for name, value in kept.items() if name.upper() in names}
    if host.surroundings is Surroundings.DESKTOP:
        if sys.platform == "win32":
            return {name: value for name, value in kept.items() if name.upper() in _ALLOWED_WINDOWS}
        kept = {name: value for name, value in kept.items() if name in _ALLOWED or name.startswith(("XDG_", "DBUS_"))}
        return kept | {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
    if host.surroundings is Surroundings.ELECTRON:
        leaked = tempfile.gettempdir()  # a directory of somebody else's libraries
        return kept | {"ELECTRON_RUN_AS_NODE": "1", "LD_LIBRARY_PATH": leaked, "VSCODE_PID": "1"}
    return kept


def proved(host: Host, words: Sequence[str], machine: Machine) -> Proof:
    """Start these words in the host's surroundings and complete discover, initialize and a list of tools."""
    proof = _proved(host, words, machine)
    if proof.works and (proof.slow_for(host) or proof.why):
        return _proved(host, words, machine)  # the first start of all reads everything from the disk
    return proof


def _proved(host: Host, words: Sequence[str], machine: Machine) -> Proof:
    started = time.monotonic()
    try:
        with _started(words, surroundings(host, machine.env), _directory(host, machine)) as wire:
            return _talked(host, wire, started)
    except OSError as error:
        return Proof(works=False, why=f"`{words[0]}` does not start: {error.strerror}")


def _directory(host: Host, machine: Machine) -> str:
    """Where the host starts it: desktop programs have no place of their own."""
    return os.sep if host.surroundings is Surroundings.DESKTOP else machine.home


def _talked(host: Host, wire: _Wire, started: float) -> Proof:
    envelope = {
        f"{_META}protocolVersion": MODERN,
        f"{_META}clientInfo": _SELF,
        f"{_META}clientCapabilities": {},
    }
    found = wire.asked("server/discover", {"_meta": envelope}, CEILING_S)
    discover_s = time.monotonic() - started
    if found is None:
        return Proof(works=False, why=wire.silence())
    hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _SELF}
    answer = wire.asked("initialize", hello, CEILING_S)
    initialize_s = time.monotonic() - started
    if answer is None or "serverInfo" not in answer.get("result", {}):
        return Proof(works=False, why="it does not answer `initialize`" if answer is None else _fault(answer))
    wire.told("notifications/initialized")
    listed = wire.asked("tools/list", {}, CEILING_S) or {}
    tools = tuple(str(tool.get("name")) for tool in listed.get("result", {}).get("tools", []))
    if not tools:
        return Proof(False, "it lists no tools", discover_s, initialize_s)
    if not wire.ended():
        return Proof(False, "it does not end when its input ends", discover_s, initialize_s)
    waits = host.probe_s if host.probe_s and discover_s > host.probe_s else host.limit_s
    late = discover_s > waits
    why = f"its first answer took {discover_s:.1f} s, and {host.title} waits {waits:g} s" if late else ""
    return Proof(True, why, discover_s, initialize_s, tools)


def _fault(answer: dict[str, Any]) -> str:
    return f"it answers `initialize` with {json.dumps(answer.get('error', answer))[:200]}"


class _Wire:
    """JSON-RPC, one message a line, over a child's pipes; every wait is bounded."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.errors: list[bytes] = []
        self.last = 0
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        self.stdin = child.stdin
        self.listeners = (
            threading.Thread(target=self._listen, args=(child.stdout,), daemon=True),
            threading.Thread(target=self._listen_errors, args=(child.stderr,), daemon=True),
        )
        for listener in self.listeners:
            listener.start()

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.lines.put(line)
        self.lines.put(b"")

    def _listen_errors(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.errors = [*self.errors[-20:], line]

    def _sent(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a child that is gone is seen by its silence
            self.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self.stdin.flush()

    def told(self, method: str) -> None:
        self._sent({"method": method})

    def asked(self, method: str, params: dict[str, Any], limit: float) -> dict[str, Any] | None:
        """The answer to one request, or None where none came in time."""
        self.last += 1
        self._sent({"id": self.last, "method": method, "params": params})
        end = time.monotonic() + limit
        while (left := end - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                return None
            if not line:
                return None
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and message.get("id") == self.last and "method" not in message:
                    return message
        return None

    def silence(self) -> str:
        """Why nothing came: it ended, or it is slow."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.child.wait(timeout=0.2)
            self.listeners[1].join(timeout=1.0)
            said = b"".join(self.errors).decode(errors="replace").strip().splitlines()
            return f"it ended at once with code {code}" + (f": {said[-1][:200]}" if said else "")
        return f"it did not answer within {CEILING_S:g} s"

    def ended(self) -> bool:
        """Whether it ends when its input ends."""
        with contextlib.suppress(OSError):
            self.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(timeout=END_S)
            return True
        return False


@contextlib.contextmanager
def _started(words: Sequence[str], env: Mapping[str, str], directory: str) -> Iterator[_Wire]:
    child = subprocess.Popen(
        list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(env), cwd=directory
    )
    wire = _Wire(child)
    try:
        yield wire
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        with contextlib.suppress(OSError):
            wire.stdin.close()
        for listener in wire.listeners:  # a grandchild may hold the pipes: it is not waited for
            listener.join(timeout=1.0)


def asked_host(host: Host, command: str, name: str, env: Mapping[str, str], directory: str) -> tuple[Heard, str]:
    """What the host itself says of our entry, in its own words."""
    question = host.question
    if question is None:
        return Heard.NOT_ASKED, ""
    words = [command, *(word.replace("NAME", name) for word in question.arguments)]
    try:
        done = subprocess.run(
            words, check=False, capture_output=True, timeout=ASK_S, cwd=directory, stdin=subprocess.DEVNULL,
            env={**env, **dict(question.env), "NO_COLOR": "1"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Heard.NOT_ASKED, f"`{' '.join(words)}`: {error}"
    text = _ANSI.sub("", (done.stdout + b"\n" + done.stderr).decode(errors="replace"))
    if question.answered_well(text, name):
        return Heard.WELL, "started it" if question.starts is Says.YES else "lists it"
    about = [line.strip() for line in text.splitlines() if name in line] or text.strip().splitlines()[-1:]
    return Heard.NOT_WELL, " ".join(about)[:300]


def is_running(pattern: str, machine: Machine) -> bool:
    """Whether a program that matches the pattern runs now, for all we can see in this home."""
    return bool(pattern) and re.search(pattern, _processes(machine), re.IGNORECASE) is not None


def _processes(machine: Machine) -> str:
    """The programs that run, one a line; "" where the system does not say."""
    if sys.platform == "linux":
        lines = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                homes = [pair for pair in (folder / "environ").read_bytes().split(b"\0") if pair.startswith(b"HOME=")]
                if homes == [f"HOME={machine.home}".encode()]:  # another home's program has other files
                    lines.append((folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace"))
        return "\n".join(lines)
    words = ["ps", "-axo", "comm="]
    if sys.platform == "win32":
        listing = "Get-CimInstance Win32_Process | ForEach-Object ExecutablePath"
        words = ["powershell", "-NoProfile", "-NonInteractive", "-Command", listing]
    try:
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=20.0, encoding="utf-8").stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""

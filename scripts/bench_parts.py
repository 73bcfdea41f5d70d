"""What is timed: a server over its pipes, ripgrep as a process, SQLite in this one. Stdlib only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from bench_peers import Ask, Pages, Task

ANSWER_S = 120.0  # a server that takes longer has no figure
PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.0
MIB = 1_048_576
CONTENT = "".join(f"line {n:05d}: the quick brown fox jumps over the lazy dog and goes on\n" for n in range(14_564))[
    :MIB
]


class NoFigureError(Exception):
    """A contestant did not answer, or answered with an error."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One round: how long it took, the bytes of the answers, their text."""

    seconds: float
    wire: int
    text: str


class Contestant(Protocol):
    """What takes part in a task."""

    name: str

    def round(self, n: int) -> Reply:
        """Do the task once."""

    def cpu_s(self) -> float | None:
        """CPU spent so far, threads and children too; None where the system does not tell."""

    def peak_mb(self) -> float | None:
        """The high-water marks of the memory of the processes alive, summed."""

    def end(self) -> None:
        """Leave no process."""


def family(pid: int) -> list[int]:
    """The process and its living descendants."""
    found, at = [pid], 0
    while at < len(found):
        for children in PROC.glob(f"{found[at]}/task/*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
        at += 1
    return found


class Server:
    """An MCP server in its own process; the clock runs from our encoded request to its answer's last byte."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], root: Path, log: Path) -> None:
        self.name, self.root = name, str(root)
        self.ask: Ask | None = None
        self.pages = Pages.FIRST
        self._asked = 0.0
        self._id = 0
        with log.open("ab") as errors:
            self.born = time.perf_counter()
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=root, env=env, bufsize=MIB
            )
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(1):
            if self._asked and time.perf_counter() - self._asked > ANSWER_S:
                self.process.kill()

    def request(self, method: str, params: Mapping[str, Any]) -> tuple[float, bytes]:
        """The seconds and the line of the answer."""
        assert self.process.stdin
        assert self.process.stdout
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        line, end = json.dumps(message).encode() + b"\n", re.compile(rb'"id": ?%d[,}]' % self._id)
        self._asked = since = time.perf_counter()
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            while answer := self.process.stdout.readline():
                took = time.perf_counter() - since
                if b'"method"' not in answer[:200] and (end.search(answer[:200]) or end.search(answer[-200:])):
                    return took, answer
        except OSError:
            pass
        finally:
            self._asked = 0.0
        raise NoFigureError(f"no answer to {method}")

    def initialize(self) -> Self:
        """The handshake of a client with no capabilities."""
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.request("initialize", client)
        assert self.process.stdin
        self.process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        self.process.stdin.flush()
        return self

    def asked(self, ask: Ask, pages: Pages) -> Self:
        """The same server, with this to do each round."""
        self.ask, self.pages = ask, pages
        return self

    def round(self, n: int) -> Reply:
        """Ask once, and for all pages if that is the task."""
        assert self.ask
        arguments = filled(self.ask.arguments, self.root, n)
        seconds, wire, texts = 0.0, 0, []
        while True:
            took, line = self.request("tools/call", {"name": self.ask.tool, "arguments": arguments})
            seconds, wire = seconds + took, wire + len(line)
            result = json.loads(line).get("result", {"isError": True})
            blocks = result.get("content", ())
            texts.append("\n".join(block.get("text", "") for block in blocks))
            if result.get("isError"):
                raise NoFigureError(texts[-1][:200] or line[:200].decode())
            further = re.search(self.ask.more[1], texts[-1]) if self.ask.more and self.pages is Pages.ALL else None
            if not further or not self.ask.more:
                return Reply(seconds, wire, "\n".join(texts))
            arguments = {**arguments, self.ask.more[0]: further[1]}

    def cpu_s(self) -> float | None:
        """User and system time of the process, its threads and children, ended and living."""
        if not PROC.is_dir():
            return None
        ticks = 0
        for pid in family(self.process.pid):
            with contextlib.suppress(OSError):
                fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks * TICK_S

    def peak_mb(self) -> float | None:
        """VmHWM of the process and its living children, summed."""
        if not PROC.is_dir():
            return None
        kib = 0
        for pid in family(self.process.pid):
            with contextlib.suppress(OSError):
                mark = re.search(r"VmHWM:\s+(\d+)", (PROC / str(pid) / "status").read_text())
                kib += int(mark[1]) if mark else 0
        return kib / 1024

    def end(self) -> None:
        """End of input, and a moment to leave."""
        self._over.set()
        assert self.process.stdin
        assert self.process.stdout
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def filled(value: Any, root: str, n: int) -> Any:
    """The arguments of round `n`."""
    if isinstance(value, str):
        if value in ("{n}", "{content}"):
            return n if value == "{n}" else CONTENT
        for name, text in (("root", root), ("n", str(n)), ("m", str(n + 1)), ("file", f"{n % 100:02d}")):
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, Mapping):
        return {key: filled(part, root, n) for key, part in value.items()}
    return [filled(part, root, n) for part in value] if isinstance(value, list) else value


class Ripgrep:
    """The search engine itself, started anew each round."""

    name = "(ripgrep)"

    def __init__(self, program: str, arguments: Sequence[str], root: Path) -> None:
        self._command, self._root = [program, *arguments], root
        self._cpu = 0.0

    def round(self, _n: int) -> Reply:
        """From the start of the process to its end."""
        since = time.perf_counter()
        process = subprocess.Popen(self._command, cwd=self._root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert process.stdout
        with process.stdout as output:
            text = output.read()
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self._cpu += usage.ru_utime + usage.ru_stime
        process.wait()
        return Reply(time.perf_counter() - since, len(text), text.decode(errors="replace"))

    def cpu_s(self) -> float | None:
        """Of the processes so far."""
        return self._cpu or None

    def peak_mb(self) -> float | None:
        """Not told: its process begins as a copy of this one."""
        return None

    def end(self) -> None:
        """Nothing runs."""


class Sqlite:
    """Python's sqlite3 in this process, on a connection that stays open: no server, no text."""

    name = "(sqlite3)"

    def __init__(self, database: Path, sql: str) -> None:
        self._connection = sqlite3.connect(database, isolation_level=None)
        self._sql, self._cpu = sql, 0.0

    def round(self, n: int) -> Reply:
        """Run the statement and fetch every row; a change is committed. Its bytes are the bare values', as text."""
        sql = filled(self._sql, "", n)
        since, cpu = time.perf_counter(), time.process_time()
        rows = self._connection.execute(sql, (n,) if "?" in sql else ()).fetchall()
        took = time.perf_counter() - since
        self._cpu += time.process_time() - cpu
        return Reply(took, sum(len(str(cell).encode()) for row in rows for cell in row), "")

    def cpu_s(self) -> float | None:
        """Of the queries so far."""
        return self._cpu

    def peak_mb(self) -> float | None:
        """Not its own."""
        return None

    def end(self) -> None:
        """Close the file."""
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Figures:
    """What one contestant took for one task. Ratios are to be taken of `min_ms`: the machine only adds."""

    name: str
    rounds: int
    min_ms: float
    median_ms: float
    p99_ms: float | None
    cpu_ms: float | None
    peak_mb: float | None
    wire: int
    found: int | None


def figures(who: Contestant, times: Sequence[float], cpu_s: float | None, wire: int, found: int | None) -> Figures:
    """The figures of the rounds of one task."""
    ordered, enough = sorted(times), 100
    return Figures(
        who.name,
        len(times),
        ordered[0] * 1e3,
        ordered[len(ordered) // 2] * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3 if len(times) >= enough else None,
        None if cpu_s is None else cpu_s * 1e3 / len(times),
        who.peak_mb(),
        wire,
        found,
    )


def found_in(text: str, task: Task, ask: Ask | None) -> int | None:
    """How many findings an answer shows."""
    return len(re.findall(task.found, text)) // (ask.per_finding if ask else 1) if task.found else None

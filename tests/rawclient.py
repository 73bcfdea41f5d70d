"""A raw client: bytes to a real server process and back, with nothing of any SDK in between."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"roots": {}, "elicitation": {}},
}
Message = dict[str, Any]


class Peer:
    """One server process and the client's end of its pipes."""

    def __init__(self, arguments: list[str], env: dict[str, str], options: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
            **options,
        )
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.errors: list[bytes] = []
        self.reading = threading.Event()
        self.reading.set()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._log)]
        for thread in self.threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
            self.reading.wait()
        self.lines.put(b"")

    def _log(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, *messages: Any) -> None:
        """Send messages, a line each."""
        self.raw(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def get(self, seconds: float = 15) -> Message:
        """The next message; fails the test if none comes."""
        line = self.lines.get(timeout=seconds)
        assert line, f"the server ended: {b''.join(self.errors).decode()}"
        assert line.isascii()
        assert line.endswith(b"\n")
        assert not line.endswith(b"\r\n")
        message: Message = json.loads(line, parse_constant=pytest.fail)
        return message

    def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for a while."""
        try:
            return not self.lines.get(timeout=seconds)
        except queue.Empty:
            return True

    def answer(self, key: Any, seconds: float = 15) -> Message:
        """The next message, which must answer `key`."""
        message = self.get(seconds)
        assert message.get("id") == key, message
        return message

    def hello(self, version: str = "2025-11-25", **capabilities: Any) -> Message:
        """The legacy handshake."""
        self.send(request("hello", "initialize", version=version, capabilities=capabilities))
        answer = self.answer("hello")
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def ready(self) -> Peer:
        """Wait until the engine answers."""
        self.send(request("ready", "tools/list", era="modern"))
        self.answer("ready")
        return self

    def close(self) -> None:
        """End of input."""
        assert self.process.stdin
        self.process.stdin.close()

    def ended(self, seconds: float = 5) -> tuple[int, float]:
        """Exit code, and how long it took from now."""
        since = time.monotonic()
        return self.process.wait(seconds), time.monotonic() - since

    def end(self) -> None:
        """Whatever happened, no process, thread or pipe is left."""
        self.reading.set()
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe
            with contextlib.suppress(OSError):  # what is unsent stays unsent
                pipe.close()

    def rss(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def peak(self) -> float:
        """The most it ever was, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def request(key: Any, method: str, *, era: str = "legacy", **params: Any) -> Message:
    """A request; `initialize` is filled in, and the modern era's envelope added."""
    if method == "initialize":
        version = params.pop("version", "2025-11-25")
        params = {
            "protocolVersion": version,
            "capabilities": params.pop("capabilities", {}),
            "clientInfo": {"name": "test", "version": "0"},
        }
    if era == "modern":
        params["_meta"] = {**params.get("_meta", {}), **ENVELOPE}
    return {"jsonrpc": "2.0", "id": key, "method": method, "params": params}


def call(key: Any, tool: str, *, era: str = "legacy", meta: Message | None = None, **arguments: Any) -> Message:
    """A tool call."""
    params: Message = {"name": tool, "arguments": arguments}
    if meta:
        params["_meta"] = meta
    return request(key, "tools/call", era=era, **params)


def text_of(answer: Message) -> str:
    """The text of a tool's answer."""
    assert "result" in answer, answer
    return str(answer["result"]["content"][0]["text"])

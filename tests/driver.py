"""A host of our own for tests: raw JSON-RPC over a real process's pipes, in either protocol era. Stdlib only."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

Json = dict[str, Any]
META = "io.modelcontextprotocol/"
COMMAND = shlex.split(os.environ.get("ROOTCELLAR_COMMAND", "")) or [sys.executable, "-m", "rootcellar"]
ERAS = ("legacy", "modern")


def uri(path: Path | str) -> str:
    """The `file:` URI of a folder."""
    return Path(path).as_uri()


def yes(_question: Json) -> Json:
    """A user who agrees to everything."""
    return {"action": "accept", "content": {"confirm": True}}


class Host:
    """One server process, as a host of one era sees it. `roots` None: the client has no roots capability.

    `user` answers what is asked of them, by the params of the question ("silence": not at all); None: the client
    cannot ask. `asks` is what the client says of its elicitation: nothing means forms.
    """

    def __init__(
        self,
        *serve: str,
        era: str = "modern",
        roots: Sequence[object] | Callable[[], object] | None = None,
        user: Callable[[Json], object] | None = None,
        asks: Json | None = None,
        version: str = "2025-11-25",
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.era, self.roots, self.version = era, roots, version
        self.user = user
        self._elicitation: Json = {} if user is None else {"elicitation": asks or {}}
        self.questions: list[str] = []
        self.notes: list[Json] = []
        self.asked = 0
        self._id = 0
        self._lock = threading.Lock()
        self._waiting: dict[object, queue.SimpleQueue[Json]] = {}
        environ = {**os.environ, "ROOTCELLAR_CONFIG": os.devnull, **(env or {})}
        self.process = subprocess.Popen(
            [*COMMAND, "serve", *serve],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, cwd=cwd,
        )  # fmt: skip
        self.errors: list[bytes] = []
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()
        if era == "legacy":
            capabilities: Json = {} if roots is None else {"roots": {"listChanged": True}}
            capabilities |= self._elicitation
            self.request(
                "initialize",
                {"protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}},
            )
            self.notify("notifications/initialized")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("method") == "roots/list":
                self.asked += 1
                threading.Thread(target=self._answer, args=(message["id"], self._offered), daemon=True).start()
            elif message.get("method") == "elicitation/create":
                put = functools.partial(self._put, message["params"])
                threading.Thread(target=self._answer, args=(message["id"], put), daemon=True).start()
            elif "id" in message and "method" not in message:
                with self._lock:
                    waiting = self._waiting.pop(message["id"], None)
                if waiting:
                    waiting.put(message)
            else:
                self.notes.append(message)
        with self._lock:
            for waiting in self._waiting.values():
                waiting.put({"error": {"code": 0, "message": "the server has ended"}})

    def _read_errors(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def _offered(self) -> object:
        offered = self.roots() if callable(self.roots) else self.roots
        if isinstance(offered, list | tuple):
            return {"roots": [{"uri": one} if isinstance(one, str) else one for one in offered]}
        return offered

    def _put(self, question: Json) -> object:
        """Put a question to the user."""
        self.questions.append(question["message"])
        return self.user(question) if self.user else {"code": -32601, "message": "no"}

    def _answer(self, number: object, answer: Callable[[], object]) -> None:
        said = answer()
        if said == "silence":
            return
        key = "error" if isinstance(said, dict) and "code" in said else "result"
        self.send({"jsonrpc": "2.0", "id": number, key: said})

    def send(self, message: object) -> None:
        """Put one message on the wire; bytes go as they are."""
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self.process.stdin
        with self._lock:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def notify(self, method: str, params: Json | None = None) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})})

    def start(self, method: str, params: Json | None = None) -> tuple[int, queue.SimpleQueue[Json]]:
        """Send a request; its id, and where its answer will be."""
        with self._lock:
            self._id += 1
            number = self._id
            waiting: queue.SimpleQueue[Json] = queue.SimpleQueue()
            self._waiting[number] = waiting
        params = dict(params or {})
        if self.era == "modern":
            capabilities: Json = {} if self.roots is None else {"roots": {}}
            capabilities |= self._elicitation
            envelope: Json = {META + "protocolVersion": "2026-07-28", META + "clientCapabilities": capabilities}
            envelope[META + "clientInfo"] = {"name": "t", "version": "1"}
            params["_meta"] = {**envelope, **params.get("_meta", {})}
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number, waiting

    def request(self, method: str, params: Json | None = None, timeout: float = 30) -> Json:
        """One request, one answer; a modern server's questions are answered on the way."""
        params = dict(params or {})
        for _round in range(10):
            answer = self.start(method, params)[1].get(timeout=timeout)
            result = answer.get("result", {})
            if result.get("resultType") != "input_required":
                return answer
            self.asked += 1
            answers = {
                key: self._offered() if asked["method"] == "roots/list" else self._put(asked["params"])
                for key, asked in result.get("inputRequests", {}).items()
            }
            params = {**params, "inputResponses": answers, "requestState": result.get("requestState")}
        return answer

    def call(self, tool: str, /, timeout: float = 30, **arguments: Any) -> Json:
        """A tool's result; a protocol error is an AssertionError."""
        answer = self.request("tools/call", {"name": tool, "arguments": arguments}, timeout)
        assert "result" in answer, answer
        result: Json = answer["result"]
        return result

    def text(self, tool: str, /, **arguments: Any) -> str:
        """The text of a call that must not be refused."""
        result = self.call(tool, **arguments)
        assert not result.get("isError"), result
        return "\n".join(block.get("text", "") for block in result["content"])

    def refusal(self, tool: str, /, **arguments: Any) -> tuple[str, str]:
        """The class word and the text of a call that must be refused."""
        result = self.call(tool, **arguments)
        assert result.get("isError"), result
        return result["_meta"]["reason"], result["content"][0]["text"]

    def close(self, timeout: float = 5) -> int:
        """End the input, as hosts do; the exit code."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()
            self.process.wait()
            for reader in self._readers:
                reader.join(timeout)
            for pipe in (self.process.stdout, self.process.stderr):
                assert pipe
                pipe.close()

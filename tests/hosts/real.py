"""Real hosts from npm, each in a home of its own: installed into by our own command, and asked to work in a garden."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from clients import npm
from clients.home import Home
from clients.model import Model
from clients.session import Ground, Json
from driver import COMMAND

SHUT = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9") | {"NO_PROXY": "127.0.0.1,localhost"}
SESSION_S = 180  # a cold host on a busy machine
ANSWER_S = 60
TASK = "Look after the garden."

# Where each program lies once its package is installed (no script of it runs, so some links of npm's lead nowhere).
PROGRAMS = {
    "claude-code": ("@anthropic-ai/claude-code@2.1.329", f"@anthropic-ai/claude-code-{npm.machine()}/claude{npm.EXE}"),
    "codex": ("@openai/codex@0.169.0", ".bin/codex"),
    "gemini-cli": ("@google/gemini-cli@0.61.0", ".bin/gemini"),
    "copilot": ("@github/copilot@1.0.102", ".bin/copilot"),
    "opencode": ("opencode-ai@1.18.33", f"opencode-{npm.machine()}/bin/opencode{npm.EXE}"),
    "cline": ("cline@3.0.65", ".bin/cline"),
    "continue": ("@continuedev/cli@1.5.47", ".bin/cn"),
    "qwen-code": ("@qwen-code/qwen-code@0.24.4", ".bin/qwen"),
    "inspector": ("@modelcontextprotocol/inspector@2.12.0", ".bin/mcp-inspector"),
}


def program(name: str) -> Path:
    """The host's program, installed if it is not there yet."""
    package, path = PROGRAMS[name]
    return npm.installed(name, package) / path


def _nothing(_lived: Lived, _url: str) -> None:
    """The host needs no config of its own."""


class Real(NamedTuple):
    """A host with a model behind it: our id for it, its program, its words and environment, and what it calls our tool."""

    host: str
    program: str
    words: tuple[str, ...]
    tool: str
    env: Mapping[str, str]
    prepare: Callable[[Lived, str], None] = _nothing


@dataclass(frozen=True, slots=True)
class Lived:
    """A home with a real host on PATH, and a garden that is its working folder; no way out but loopback."""

    home: Home
    ground: Ground
    env: dict[str, str]

    @classmethod
    def with_program(cls, home: Home, ground: Ground, name: str, env: Mapping[str, str]) -> Self:
        """The same, with one host."""
        path = f"{program(name).parent}:{Path(npm.node()).parent}:/usr/bin:/bin"
        return cls(home, ground, {**SHUT, "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb", **env})

    def write(self, name: str, text: str) -> Path:
        """A file at home."""
        path = self.home.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def run(self, *words: str) -> str:
        """What the host says; nothing it started is left afterwards."""
        done = self.home.run(list(words), cwd=self.ground.garden, env=self.env, timeout=SESSION_S)
        self.home.end_all()
        return done.stdout + done.stderr

    def ours(self, *words: str) -> dict[str, Any]:
        """What our own command answers; it must end well."""
        done = self.home.run([*COMMAND, *words, "--json"], cwd=self.home.path, env=self.env, timeout=SESSION_S)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return {host["host"]: host for host in json.loads(done.stdout)["hosts"]}

    def installed(self, host: str, *more: str) -> dict[str, Any]:
        """What `install` tells of the host; the garden is granted where it gives no roots."""
        told: dict[str, Any] = self.ours("install", "--host", host, "--root", str(self.ground.garden), "--yes", *more)
        assert told[host]["proof"]["works"], told
        return dict(told[host])


def asked(real: Real, lived: Lived) -> str:
    """One session of the host."""
    words = [word.replace("HOME", str(lived.home.path)) for word in real.words]
    return lived.run(str(program(real.program)), *words)


def with_model(real: Real, home: Home, ground: Ground, model: Model) -> Lived:
    """The host in its home, with its model on loopback and its own config written."""
    env = {name: value.replace("URL", model.url) for name, value in real.env.items()}
    lived = Lived.with_program(home, ground, real.program, env)
    real.prepare(lived, model.url)
    return lived


class AppServer:
    """Codex as the program behind its editors: JSON-RPC over stdio, no model needed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answers: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=ANSWER_S)
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            message = json.loads(line)
            if "id" in message and "method" not in message:
                self._answers.put(message)

    def ask(self, method: str, params: Json) -> Json:
        """One request, one result."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.get(timeout=ANSWER_S)
        assert "result" in answer, answer
        result: Json = answer["result"]
        return result

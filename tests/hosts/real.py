"""Real hosts, installed from npm into `.artefacts/npm`, each in a home of its own with a stand-in for its model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from hosts.homes import Home

TREE = Path(__file__).parents[2] / ".artefacts" / "npm"
PACKAGES = {
    "claude": "@anthropic-ai/claude-code@2.1.329",
    "codex": "@openai/codex@0.169.0",
    "gemini": "@google/gemini-cli@0.61.0",
    "copilot": "@github/copilot@1.0.102",
    "opencode": "opencode-ai@1.18.33",
    "cline": "cline@3.0.65",
    "cn": "@continuedev/cli@1.5.47",
    "qwen": "@qwen-code/qwen-code@0.24.4",
    "mcp-inspector": "@modelcontextprotocol/inspector@2.12.0",
}
NODE = "node@24"
SETTLE_S = 180  # a cold host on a busy machine


def command(name: str) -> Path:
    """The host's command, installed if it is not there yet; its scripts run with a home of their own."""
    TREE.mkdir(parents=True, exist_ok=True)
    home = TREE.parent / "npm-home"
    home.mkdir(exist_ok=True)
    npm = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(TREE)]
    if not (TREE / "package.json").exists():
        (TREE / "package.json").write_text('{"private": true, "allowScripts": {"node": true}}\n', encoding="utf-8")
    wanted = {"node": NODE, name: PACKAGES[name]}
    for package in wanted.values():
        folder = TREE / "node_modules" / package.rpartition("@")[0]
        if not folder.exists():
            env = {**os.environ, "HOME": str(home), "PATH": f"{_node()}:{os.environ['PATH']}"}
            subprocess.run([*npm, package], check=True, env=env, timeout=600, capture_output=True)
    return TREE / "node_modules" / ".bin" / name


def _node() -> Path:
    return TREE / "node_modules" / "node" / "bin"


@dataclass
class Lived:
    """A home with a real host in it."""

    home: Home
    env: dict[str, str]
    folder: Path

    def run(self, words: list[str], *, timeout: float = SETTLE_S) -> str:
        """What the host says; everything it started is gone afterwards."""
        child = subprocess.Popen(
            words, env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        try:
            return child.communicate(timeout=timeout)[0]
        finally:
            self._end(child)

    def _end(self, child: subprocess.Popen[str]) -> None:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
        for folder in Path("/proc").glob("[0-9]*"):  # daemons that a host left behind in this home
            try:
                if f"HOME={self.home.path}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)
            except (OSError, ValueError):
                continue

    def talk(self, words: list[str]) -> Talk:
        """Start a program that speaks JSON-RPC a line at a time."""
        child = subprocess.Popen(
            words, env=self.env, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        return Talk(child, child.stdin, child.stdout)


@dataclass
class Talk:
    """JSON-RPC with a program, one request at a time."""

    child: subprocess.Popen[str]
    stdin: IO[str]
    stdout: IO[str]
    last: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)

    def asked(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one request; what else is said meanwhile is kept."""
        self.last += 1
        self.stdin.write(json.dumps({"id": self.last, "method": method, "params": params}) + "\n")
        self.stdin.flush()
        for line in self.stdout:
            message = json.loads(line)
            if message.get("id") == self.last and "method" not in message:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.heard.append(message)
        raise AssertionError(self.heard)

    def __enter__(self) -> Self:
        """Nothing to do yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.child.kill()
        with self.child:
            pass


def lived(home: Home, name: str, env: Mapping[str, str]) -> Lived:
    """A home with a folder to read, the host on PATH, and nothing of ours yet."""
    folder = home.path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("the cellar is 12 degrees\n", encoding="utf-8")
    (home.path / "secret.txt").write_text("OUTSIDE\n", encoding="utf-8")
    with closing(sqlite3.connect(folder / "cellar.db")) as database:
        database.executescript("CREATE TABLE shelf(name, degrees); INSERT INTO shelf VALUES ('quince', 12.5);")
    path = f"{command(name).parent}:{_node()}:/usr/bin:/bin"
    base = {"HOME": str(home.path), "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb", **env}
    return Lived(home, base, folder)


def ours() -> str:
    """The server's own command."""
    import sysconfig

    found = Path(sysconfig.get_path("scripts")) / "rootcellar"
    assert shutil.which(found)
    return str(found)

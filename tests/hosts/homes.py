"""A throw-away home, our commands run in it as a person would, and a stand-in for the server they install."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rootcellar import setup_cli

SERVER = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    known = {
        "server/discover": {"supportedVersions": ["2026-07-28"]},
        "initialize": {"protocolVersion": "2025-11-25", "serverInfo": {"name": "s", "version": "1"}},
        "tools/list": {"tools": [{"name": "read_file", "inputSchema": {"type": "object"}}]},
    }
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": known[asked["method"]]}), flush=True)
"""


RUN = """\
import os, sys
import platformdirs.unix
from rootcellar import cli, doctor
cli._parser(serving=False)
if "AS_USER" in os.environ:  # the interpreter itself may be where only root can read
    os.setuid(int(os.environ["AS_USER"]))
code = cli.main()
heavy = {"mcp", "pydantic", "anyio"} & set(sys.modules)
sys.exit(f"these commands load {heavy}" if heavy else code)
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        """Its JSON answer, by host."""
        return {host["host"]: host for host in json.loads(self.out)["hosts"]}


@dataclass(frozen=True)
class Home:
    """A home directory that nobody lives in."""

    path: Path
    program: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment of a person who lives here, and has no host on PATH."""
        kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

    def run(self, *words: str, text: str = "") -> Done:
        """Run one of our commands here, in this process."""
        parser = argparse.ArgumentParser("rootcellar")
        setup_cli.add_commands(parser.add_subparsers(dest="command", required=True))
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr("os.environ", self.env)
            patch.setattr("sys.stdin", io.StringIO(text))
            code = setup_cli.run(parser.parse_args(words))
        return Done(code, out.getvalue(), err.getvalue())

    def start(
        self,
        *words: str,
        code: str = RUN,
        env: dict[str, str] | None = None,
        as_user: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start one of our commands here, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self.env | (as_user or {}) | (env or {}), cwd=self.path, text=True, encoding="utf-8", **options,
        )  # fmt: skip

    def run_apart(self, *words: str, **options: Any) -> Done:
        """Run one of our commands here, in a process of its own."""
        with self.start(*words, **options) as child:
            out, err = child.communicate(timeout=60)
        return Done(child.returncode, out, err)

    def install(self, *words: str) -> Done:
        """Install the stand-in, without asking, and without proof unless the words say so."""
        proof = [] if "--proof" in words else ["--no-proof"]
        rest = [word for word in words if word != "--proof"]
        return self.run("install", *rest, *proof, "--yes", "--json", "--command", str(self.program))

    def uninstall(self, *words: str) -> Done:
        """Uninstall without asking."""
        return self.run("uninstall", *words, "--yes", "--json")

    def write(self, name: str, data: bytes | str) -> Path:
        """A file here, with its directories."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path


def nobody() -> dict[str, str]:
    """What makes a child give up root's rights, where the tests run as root."""
    return {"AS_USER": "65534"} if hasattr(os, "geteuid") and os.geteuid() == 0 else {}


def open_to_all(home: Home) -> None:
    """Let other users into a home, and to the way there."""
    for path in (home.path, home.program.parent, *home.path.parents):
        if path == Path(tempfile.gettempdir()):
            return
        path.chmod(0o777)


def program_at(path: Path, source: str = SERVER) -> Path:
    """An executable Python program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    path.chmod(0o755)
    return path

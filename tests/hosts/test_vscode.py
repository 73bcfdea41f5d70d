"""VS Code's engine, as code-server, starts us from the config we wrote and calls our tools with its folder as the root.

A browser nobody sees starts the server from VS Code's own list (`vscode_drive.py`); a small extension calls the tools
through VS Code's own interface (`vscode_caller/`). The picture is kept in `.artefacts/vscode.png`.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import npm
from clients.home import Home
from clients.session import EXPECTED_TOOLS, Ground
from driver import COMMAND

HERE = Path(__file__).parent
PICTURE = npm.ARTEFACTS / "vscode.png"
READY_S, DRIVE_S, CALLS_S = 60, 300, 60

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(npm.BUILD_S + 600),
    pytest.mark.skipif(sys.platform != "linux", reason="code-server and its browser are tried on Linux"),
]


def _browser() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return found or pytest.fail("no browser on PATH: install chromium, then run this again")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home in which VS Code finds an extension that calls tools."""
    with Home(tmp_path / "home") as home:
        place = home.path / ".local/share/code-server/extensions/rootcellar-tests.caller-1.0.0"
        shutil.copytree(HERE / "vscode_caller", place)
        yield home


def _listening(server: subprocess.Popen[str]) -> bool:
    assert server.stdout
    return any("HTTP server listening" in line for line in server.stdout)


def _driven(home: Home, url: str) -> str:
    """What VS Code's own output says, once the server was started from its list."""
    python = npm.python_with("playwright==1.65.2")
    words = [python, str(HERE / "vscode_drive.py"), url, _browser(), "rootcellar", str(PICTURE)]
    env = home.env() | {"ANSWERS": str(home.path / "said.json")}
    with tempfile.TemporaryDirectory() as short:  # a browser keeps a socket there, whose path has a limit
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=DRIVE_S, env=env | {"TMPDIR": short}
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_vs_code_starts_us_from_the_config_we_wrote_and_works_in_its_folder(home: Home, tmp_path: Path) -> None:
    ground, port = Ground.made_in(tmp_path), _free_port()
    steps = [step for step in ground.brief() if step.tool != "write_file"]  # it would ask a person first
    (home.path / "steps.json").write_text(json.dumps([step.call() for step in steps]), "utf-8")
    done = home.run([*COMMAND, "install", "--host", "code-server", "--yes", "--json"])
    [told] = json.loads(done.stdout)["hosts"]
    assert (told["status"], told["proof"]["works"]) == ("approve in code-server", True)
    config = home.path / ".local/share/code-server/User/mcp.json"
    script = npm.built("code-server", "code-server@4.139.1") / "code-server/out/node/entry.js"
    words = [npm.node(), str(script), "--auth", "none", "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry"]
    server = home.start([*words, "--disable-update-check", str(ground.garden)])
    assert _listening(server), home.errors()
    PICTURE.unlink(missing_ok=True)
    seen = _driven(home, f"http://127.0.0.1:{port}/?folder={ground.garden}")
    assert re.search(r"Discovered\s+\d+\s+tools", seen), seen
    assert "Connection state: Running" in seen
    assert PICTURE.stat().st_size > 10_000
    until = time.monotonic() + CALLS_S
    while not (home.path / "said.json").exists():
        assert time.monotonic() < until, seen
        time.sleep(0.1)
    said = json.loads((home.path / "said.json").read_text("utf-8"))
    assert {name.partition("rootcellar_")[2] for name in said["tools"]} >= EXPECTED_TOOLS
    for step, answer in zip(steps, said["answers"], strict=True):
        step.check_told(answer["text"])
    home.end_all()
    assert home.run([*COMMAND, "uninstall", "--yes"]).returncode == 0
    assert not config.exists()

"""VS Code's engine, as code-server, starts us from the config we wrote; the picture is kept in `.artefacts/vscode.png`.

It needs, once: `npm install --prefix .artefacts/code-server code-server@4.139.1` (with the headers of libkrb5), a virtual
environment `.artefacts/pw` with playwright, and a Chromium: `.artefacts/chromium/sys` (its Debian package, unpacked), or
one on PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.homes import Home
from hosts.real import TREE, ours

KEPT = TREE.parent
SERVER = KEPT / "code-server" / "node_modules" / "code-server" / "out" / "node" / "entry.js"
DRIVER = KEPT / "pw" / "bin" / "python"
UNPACKED = KEPT / "chromium" / "sys" / "usr" / "lib"
NODE = TREE / "node_modules" / "node" / "bin" / "node"

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (SERVER.exists() and DRIVER.exists() and NODE.exists()), reason=f"not prepared: {__doc__}"),
]


def _browser() -> str:
    unpacked = UNPACKED / "chromium" / "chromium"
    return str(unpacked) if unpacked.exists() else shutil.which("chromium") or sys.exit("no chromium")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_vs_code_starts_us_from_the_config_we_wrote_and_finds_our_tools(home: Home) -> None:
    folder, port = home.path / "notes", _free_port()
    folder.mkdir()
    done = home.run_apart("install", "--host", "code-server", "--yes", "--json", "--command", ours())
    assert done.hosts["code-server"]["status"] == "approve in code-server"
    words = [str(NODE), str(SERVER), "--auth", "none", "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry"]
    env = home.env | {"PATH": f"{NODE.parent}:/usr/bin:/bin"}
    libraries = f"{UNPACKED / 'x86_64-linux-gnu'}:{UNPACKED / 'chromium'}"
    picture = KEPT / "vscode.png"
    with subprocess.Popen(
        [*words, "--disable-update-check", str(folder)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            assert any("HTTP server listening" in line for line in server.stdout)
            drive = [
                str(DRIVER),
                str(Path(__file__).parent / "vscode_drive.py"),
                f"http://127.0.0.1:{port}/?folder={folder}",
            ]
            seen = subprocess.run(
                [*drive, _browser(), "rootcellar", str(picture)], check=False, capture_output=True, text=True,
                env={**os.environ, "LD_LIBRARY_PATH": libraries, "HOME": str(home.path)}, timeout=400,
            )  # fmt: skip
        finally:
            server.terminate()
    assert re.search(r"Discovered\s+\d+\s+tools", seen.stdout), seen
    assert "Connection state: Running" in seen.stdout
    assert picture.stat().st_size > 10_000
    assert home.run_apart("uninstall", "--yes").code == 0
    assert not (home.path / ".local/share/code-server/User/mcp.json").exists()

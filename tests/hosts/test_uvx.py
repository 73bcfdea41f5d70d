"""`uvx rootcellar install` leaves a lasting command behind, and hosts are given that one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clients import npm
from hosts.homes import Home

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]


def test_a_run_from_uvx_installs_a_tool_and_writes_its_shim(home: Home, tmp_path: Path) -> None:
    uv = npm.uv()
    subprocess.run(
        [uv, "build", "-q", "--wheel", "-o", str(tmp_path / "dist"), str(Path(__file__).parents[2])], check=True
    )
    [wheel] = (tmp_path / "dist").glob("*.whl")
    own = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_", "HTTP"))}
    env = {**own, **home.env, "PATH": f"{Path(uv).parent}:/usr/bin:/bin"}
    words = [uv, "tool", "run", "--python", sys.executable, "--from", str(wheel), "rootcellar"]
    done = subprocess.run(
        [*words, "install", "--host", "cursor", "--yes", "--json"], env=env, check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["hosts"][0]["proof"]["works"]
    written = json.loads((home.path / ".cursor/mcp.json").read_text("utf-8"))["mcpServers"]["rootcellar"]["command"]
    assert written == str(home.path / ".local/bin/rootcellar")
    shutil.rmtree(home.path / ".cache")
    told = subprocess.run([written, "hosts", "--json"], env=env, check=True, capture_output=True, text=True)
    assert json.loads(told.stdout)["hosts"][0]["status"] == "ours"

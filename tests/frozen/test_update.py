"""An update is a new directory and one link moved: what runs keeps running, hosts keep starting the same command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frozen.bundles import Talk, work_with
from frozen.test_traps import PLAIN, copied

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="links are POSIX; Setup.exe's tests are elsewhere"),
]


def switch(base: Path, version: str) -> None:
    """What an installer does last: one rename."""
    new = base / "current.new"
    new.symlink_to(f"versions/{version}")
    new.rename(base / "current")


@pytest.fixture
def base(bundle: Path, tmp_path: Path) -> Path:
    """Two versions side by side, the first one current."""
    base = tmp_path / "Root cellar"
    (base / "versions").mkdir(parents=True)
    for version in ("1", "2"):
        copied(bundle, base / "versions" / version)
    (base / "installed-by").write_text("run\n")
    switch(base, "1")
    return base


def lies_in(pid: int) -> str:
    return str(Path(os.readlink(f"/proc/{pid}/exe")).parent)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_running_server_is_not_broken_by_an_update(base: Path, root: Path) -> None:
    command = [str(base / "current/rootcellar"), "serve", str(root)]
    with Talk(command, env=PLAIN) as old:
        switch(base, "2")
        work_with(old)  # the first search, the first image, the first worker: all after the switch
        assert {lies_in(pid) for pid in [old.process.pid, *old.children()]} == {str(base / "versions/1")}
        with Talk(command, env=PLAIN) as new:
            work_with(new)
            assert {lies_in(pid) for pid in [new.process.pid, *new.children()]} == {str(base / "versions/2")}
        assert "hello" in old.call("read_file", path="hello.txt")
        assert old.end() == 0


def test_update_tells_the_way_and_the_command_that_stays(base: Path, tmp_path: Path) -> None:
    said = []
    for version in ("1", "2"):
        switch(base, version)
        done = subprocess.run(
            [base / "versions" / version / "rootcellar", "update", "--json"],
            env={**PLAIN, "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        said.append(json.loads(done.stdout))
    assert {one["command"] for one in said} == {str(base / "current/rootcellar")}
    assert {one["installed_by"] for one in said} == {"run"}


def test_hosts_are_given_the_command_that_stays(base: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".cursor").mkdir(parents=True)
    env = {**PLAIN, "HOME": str(home)}
    words = [str(base / "current/rootcellar"), "install", "--host", "cursor", "--root", str(home), "--yes", "--json"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["hosts"][0]["proof"]["works"], done.stdout + done.stderr
    written = json.loads((home / ".cursor/mcp.json").read_text())["mcpServers"]["rootcellar"]["command"]
    assert written == str(base / "current/rootcellar")
    switch(base, "2")
    told = subprocess.run([written, "hosts", "--json"], env=env, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["hosts"][0]["status"] == "ours"

"""The installers around the real frozen binary: placed, set up, updated under a running server, and gone again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frozen import bundles
from frozen.bundles import Talk, work_with
from frozen.conftest import filled
from installers.standin import built
from installers.test_deb import System
from installers.test_mcpb import PACKAGE, _told
from installers.test_run import User

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="installers for Linux"),
]
CONFIG = b'{\n  // mine\n  "mcpServers": {}\n}\n'


def _env(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": f"{home}/.local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def two_bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The real bundle, and the same again as if it were the next version."""
    real = bundles.built()
    target = real.name.split("-", 2)[2]
    later = tmp_path_factory.mktemp("later") / f"rootcellar-9.0.0-{target}"
    shutil.copytree(real, later, symlinks=True)
    return real, later


def test_run_installs_serves_updates_under_a_running_server_and_goes(
    two_bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    first, later = (built(bundle, tmp_path / "out" / bundle.name, ".run") for bundle in two_bundles)
    user = User(tmp_path / "Zoë Home")
    user.home.mkdir()
    (user.home / ".cursor").mkdir()
    config = user.home / ".cursor/mcp.json"
    config.write_bytes(CONFIG)
    root = filled(user.home / "cellar")
    user.run("sh", first)
    command = str(user.home / ".local/bin/rootcellar")
    done = json.loads(
        user.run(
            command, "install", "--host", "cursor", "--root", root, "--yes", "--json", PATH=_env(user.home)["PATH"]
        )
    )
    assert done["hosts"][0]["proof"]["works"]
    written = json.loads(config.read_text().replace("// mine", ""))["mcpServers"]["rootcellar"]["command"]
    assert written in {command, str(user.base / "current/rootcellar")}
    told = json.loads(user.run(command, "update", "--json"))
    assert told["installed_by"] == "run"
    with Talk([written, "serve", str(root)], env=_env(user.home)) as old:
        user.run("sh", later)
        assert os.readlink(user.base / "current") == "versions/9.0.0"
        work_with(old)
        with Talk([written, "serve", str(root)], env=_env(user.home)) as new:
            work_with(new)
        assert old.end() == 0
    user.run(user.base / "uninstall", "--take-out-hosts")
    assert config.read_bytes() == CONFIG
    assert not Path(command).exists()
    assert not (user.base / "versions").exists()


@pytest.mark.skipif(shutil.which("dpkg") is None or os.geteuid() != 0, reason="needs dpkg, and root for its owners")
def test_deb_installs_serves_and_updates_under_a_running_server(two_bundles: tuple[Path, Path], tmp_path: Path) -> None:
    first, later = (built(bundle, tmp_path / "out" / bundle.name, ".deb") for bundle in two_bundles)
    system = System(tmp_path / "root")
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "home/zoe"):
        (system.root / folder).mkdir(parents=True)
    (system.root / "var/lib/dpkg/status").touch()
    root = filled(system.home / "cellar")
    system.dpkg("-i", first)
    command = [str(system.base / "current/rootcellar"), "serve", str(root)]
    with Talk(command, env=_env(system.home)) as old:
        system.dpkg("-i", later)
        work_with(old)
        with Talk(command, env=_env(system.home)) as new:
            work_with(new)
        assert old.end() == 0
    told = subprocess.run(
        [command[0], "update", "--json"], env=_env(system.home), check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(told)["installed_by"] == "deb"
    assert json.loads(told)["command"] == command[0]
    system.dpkg("-P", "rootcellar")
    assert system.ours == set()


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here")
def test_mcpb_unpacked_serves_as_its_manifest_says(two_bundles: tuple[Path, Path], tmp_path: Path) -> None:
    packed = built(two_bundles[0], tmp_path / "out", ".mcpb")
    place = tmp_path / "Claude Extensions" / "rootcellar"
    place.parent.mkdir()
    subprocess.run(
        ["node", str(PACKAGE / "dist/cli/cli.js"), "unpack", str(packed), str(place)], check=True, timeout=120
    )
    root = filled(tmp_path / "cellar")
    told = _told(place, tmp_path, folders=[str(root)])
    with Talk([told["command"], *told["args"]], env={**_env(tmp_path), **told["env"]}) as server:
        work_with(server)
    said = subprocess.run(
        [told["command"], "update", "--json"], env=_env(tmp_path), check=True, capture_output=True, text=True
    ).stdout
    assert json.loads(said)["installed_by"] == "mcpb"
    told = _told(place, tmp_path, folders=[str(root)], read_only=True)
    with Talk([told["command"], *told["args"]], env={**_env(tmp_path), **told["env"]}) as server:
        names = {tool["name"] for tool in server.ask("tools/list", {})["tools"]}
    assert "read_file" in names
    assert "write_file" not in names

"""A `.mcpb` that is at hand is Claude Desktop's truth, and its config stays as it is; only a bundle of ours counts."""

from __future__ import annotations

import json
import platform
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hosts.homes import Home
from rootcellar import __version__, bundles
from rootcellar.hosts.host import Machine, Platform
from rootcellar.launching import Origin, Running

CONFIG = "Library/Application Support/Claude/claude_desktop_config.json"
ELSE = "x86_64" if platform.machine().lower() in {"arm64", "aarch64"} else "arm64"
ONLY_IN_DOWNLOADS = Running(Origin.LASTING, "/opt/rootcellar", "/opt/rootcellar/bin/rootcellar")


def _packed(path: Path, **manifest: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"manifest_version": "0.3", "name": "rootcellar", "version": __version__, **manifest}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(said))
    return path


def _machine(home: Home, system: Platform = Platform.MACOS) -> Machine:
    return Machine(system, str(home.path), home.env)


def test_a_bundle_in_downloads_is_found(home: Home) -> None:
    assert bundles.at_hand(ONLY_IN_DOWNLOADS, _machine(home)) is None
    path = _packed(home.path / f"Downloads/rootcellar-{__version__}.mcpb")
    assert bundles.at_hand(ONLY_IN_DOWNLOADS, _machine(home)) == str(path)


NOT_OURS: dict[str, dict[str, Any]] = {
    "another name": {"name": "rootcellar-free"},
    "another version": {"version": "0.0.9"},
    "another system": {"compatibility": {"platforms": ["win32"]}},
    "odd compatibility": {"compatibility": []},
}


@pytest.mark.parametrize("why", NOT_OURS)
def test_a_bundle_that_is_not_this_program_is_not_offered(home: Home, why: str) -> None:
    _packed(home.path / "Downloads/rootcellar.mcpb", **NOT_OURS[why])
    assert bundles.at_hand(ONLY_IN_DOWNLOADS, _machine(home)) is None


def test_what_only_has_the_name_of_a_bundle_is_not_offered(home: Home) -> None:
    home.write("Downloads/rootcellar.mcpb", b"no archive")
    (home.path / "Downloads/folder.mcpb").mkdir()
    with zipfile.ZipFile(home.path / "Downloads/empty.mcpb", "w"):
        pass
    _packed(home.path / f"Downloads/rootcellar-{__version__}-{ELSE}.mcpb")
    assert bundles.at_hand(ONLY_IN_DOWNLOADS, _machine(home)) is None


def test_a_bundle_beside_the_frozen_program_is_preferred(home: Home, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    program = Running(Origin.FROZEN, str(tmp_path / "app"), str(tmp_path / "app" / "rootcellar"))
    assert bundles.at_hand(program, _machine(home)) is None
    _packed(home.path / "Downloads/rootcellar.mcpb")
    beside = _packed(tmp_path / "rootcellar.mcpb")
    assert bundles.at_hand(program, _machine(home)) == str(beside)
    assert bundles.at_hand(replace(program, origin=Origin.LASTING), _machine(home)) != str(beside)


@pytest.fixture
def mac(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home as on a Mac, with Claude Desktop and a bundle in it."""
    monkeypatch.setattr("sys.platform", "darwin")
    home.write(CONFIG, b'{"theme": 1}')
    _packed(home.path / "Downloads/rootcellar.mcpb")
    return home


def test_install_states_the_bundle_and_leaves_the_config_alone(mac: Home) -> None:
    done = mac.install("--host", "claude-desktop", "--host", "cursor")
    told = done.hosts["claude-desktop"]
    assert (done.code, told["status"]) == (0, "open the bundle")
    assert told["file"] == str(mac.path / "Downloads/rootcellar.mcpb")
    assert "`rootcellar install --host claude-desktop --no-bundle`" in told["details"][1]
    assert done.hosts["cursor"]["status"] == "restart Cursor"
    assert (mac.path / CONFIG).read_bytes() == b'{"theme": 1}'


def test_the_config_is_still_edited_where_that_is_wanted_or_was_done_before(mac: Home) -> None:
    done = mac.install("--host", "claude-desktop", "--no-bundle")
    assert done.hosts["claude-desktop"]["act"] == "add"
    assert mac.install("--host", "claude-desktop").hosts["claude-desktop"]["act"] == "already there"
    assert mac.uninstall().code == 0
    assert (mac.path / CONFIG).read_bytes() == b'{"theme": 1}'


def test_where_nothing_opens_bundles_the_config_is_edited(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    _packed(home.path / "Downloads/rootcellar.mcpb")
    assert home.install("--host", "claude-desktop").hosts["claude-desktop"]["act"] == "add"

"""The `.mcpb` bundle: packed and unpacked by the format's own tool, and run as its own code tells a host to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from installers.standin import SCRIPTS, built, bundle_at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.clients,
    pytest.mark.skipif(sys.platform != "linux", reason="the stand-in is a Linux program"),
]
TOOL = SCRIPTS.parent / ".artefacts" / "mcpb"
PACKAGE = TOOL / "node_modules" / "@anthropic-ai" / "mcpb"
AS_A_HOST = """
import { getMcpConfigForManifest } from "%s/dist/index.js";
import { readFileSync } from "fs";
const [, folder, home, given] = process.argv;
const manifest = JSON.parse(readFileSync(folder + "/manifest.json"));
const told = await getMcpConfigForManifest({
  manifest, extensionPath: folder, systemDirs: { HOME: home }, userConfig: JSON.parse(given), pathSeparator: "/",
  logger: { warn: (text) => process.stderr.write(text + "\\n") },
});
console.log(JSON.stringify(told ?? null));
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the stand-in."""
    folder = tmp_path_factory.mktemp("mcpb")
    return built(bundle_at(folder), folder / "out", ".mcpb")


@pytest.fixture(scope="module")
def unpacked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a host unpacks."""
    folder = tmp_path_factory.mktemp("host") / "rootcellar"
    _tool("unpack", bundle, folder)
    return folder


def _tool(*words: str | Path) -> str:
    command = ["node", str(PACKAGE / "dist/cli/cli.js"), *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _told(unpacked: Path, home: Path, **chosen: object) -> Any:
    """The command that the format's own code makes of the manifest and a person's choice."""
    words = ["node", "--input-type=module", "-e", AS_A_HOST % PACKAGE, str(unpacked), str(home), json.dumps(chosen)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def test_the_manifest_names_our_tools_and_the_program_that_is_in_it(bundle: Path, unpacked: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text("utf-8"))
    assert (manifest["manifest_version"], manifest["server"]["type"]) == ("0.3", "binary")
    assert manifest["version"] == "1.0.0"
    assert manifest["compatibility"] == {"platforms": ["linux"]}
    assert {"read_file", "list_roots", "query_database"} <= {tool["name"] for tool in manifest["tools"]}
    assert all(0 < len(tool["description"]) < 400 for tool in manifest["tools"])
    assert os.access(unpacked / manifest["server"]["entry_point"], os.X_OK)
    assert (unpacked / manifest["icon"]).read_bytes().startswith(b"\x89PNG")
    assert "@" not in json.dumps({**manifest, "tools": []})
    assert (unpacked / "server/_internal/kept folder/größe.txt").stat().st_size == 10_000


def test_a_host_starts_it_with_the_chosen_folders_and_the_read_only_switch(unpacked: Path, tmp_path: Path) -> None:
    notes, code = str(tmp_path / "my notes"), str(tmp_path / "code")
    told = _told(unpacked, tmp_path, folders=[notes, code], read_only=True)
    assert told["command"] == f"{unpacked}/server/rootcellar"
    assert told["args"] == ["serve", notes, code]
    assert told["env"] == {"ROOTCELLAR_READ_ONLY": "true"}
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    done = subprocess.run(
        [told["command"], *told["args"]], input=json.dumps(hello) + "\n", check=True, capture_output=True, text=True,
        timeout=60, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **told["env"]},
    )  # fmt: skip
    assert json.loads(done.stdout)["result"]["tools"][0]["name"] == "read_file"


def test_without_a_word_of_the_person_it_is_read_write_and_no_folder_is_no_start(
    unpacked: Path, tmp_path: Path
) -> None:
    told = _told(unpacked, tmp_path, folders=[str(tmp_path)])
    assert told["env"] == {"ROOTCELLAR_READ_ONLY": "false"}
    assert _told(unpacked, tmp_path, folders=[]) is None


def test_what_the_switch_says_is_what_our_settings_understand() -> None:
    from rootcellar.settings import Flags, resolve

    for word, meant in (("true", True), ("false", False)):
        found = resolve(Flags(), {"ROOTCELLAR_READ_ONLY": word}, "", config_name="c", separator=":")
        assert found.policy.read_only is meant


def test_two_bundles_of_one_build_are_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = built(bundle_at(tmp_path), tmp_path / "out", ".mcpb")
    assert again.read_bytes() == bundle.read_bytes()
    with zipfile.ZipFile(again) as packed:
        assert len({item.date_time for item in packed.infolist()}) == 1


def test_a_file_that_the_tool_would_leave_out_stops_the_build(tmp_path: Path) -> None:
    spoiled = bundle_at(tmp_path)
    (spoiled / "_internal" / "needed.log").write_text("x")
    words = [
        sys.executable,
        str(SCRIPTS / "build_installers.py"),
        str(spoiled),
        "--out",
        str(tmp_path),
        "--kind",
        "mcpb",
    ]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "the bundle lacks ['server/_internal/needed.log']" in done.stderr

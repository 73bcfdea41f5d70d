"""`rootcellar update` tells the right way for each way of being installed, and the command that hosts start stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rootcellar import installed, launching
from rootcellar.cli import main
from rootcellar.installed import By
from rootcellar.launching import Origin, Running


def place(base: Path, version: str, word: str | None) -> Running:
    """A frozen program as an installer leaves it."""
    folder = base / "versions" / version
    folder.mkdir(parents=True)
    (folder / "rootcellar").write_text("#!/bin/sh\n")
    (folder / "rootcellar").chmod(0o755)
    (base / "current").unlink(missing_ok=True)
    (base / "current").symlink_to(f"versions/{version}")
    if word is not None:
        (base / "installed-by").write_text(word + "\n")
    return Running(Origin.FROZEN, str(folder), str(folder / "rootcellar"))


@pytest.mark.parametrize(
    ("word", "by"),
    [("deb", By.DEB), ("run", By.RUN), ("setup", By.SETUP), ("pkg", By.PKG), ("", By.ARCHIVE), (None, By.ARCHIVE)],
)
def test_an_installers_word_says_how_to_update(word: str | None, by: By, tmp_path: Path) -> None:
    assert installed.found(place(tmp_path, "1.0", word)).by is by


@pytest.mark.parametrize("inside", [".", "server"])
def test_a_bundle_is_known_by_its_manifest(inside: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"manifest_version": "0.3"}')
    assert installed.found(Running(Origin.FROZEN, str(tmp_path / inside), "")).by is By.MCPB
    (tmp_path / "manifest.json").write_text("[no")
    assert installed.found(Running(Origin.FROZEN, str(tmp_path / inside), "")).by is By.ARCHIVE


@pytest.mark.parametrize(
    ("origin", "file", "by"),
    [
        (Origin.LASTING, "uv-receipt.toml", By.UV_TOOL),
        (Origin.LASTING, "pipx_metadata.json", By.PIPX),
        (Origin.LASTING, "anything", By.PIP),
        (Origin.UVX, "uv-receipt.toml", By.UVX),
        (Origin.PIPX_RUN, "pipx_metadata.json", By.PIPX_RUN),
    ],
)
def test_an_environment_is_known_by_its_receipt(
    origin: Origin, file: str, by: By, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_checkout", lambda: "")
    (tmp_path / file).write_text("")
    assert installed.found(Running(origin, str(tmp_path), "")).by is by


def test_hosts_keep_starting_the_same_command_when_the_version_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    old = place(tmp_path / "app", "1.0", "run")
    before = launching.lasting_command(old)
    new = place(tmp_path / "app", "1.1", "run")
    assert before == str(tmp_path / "app/current/rootcellar")
    assert launching.lasting_command(new) == before == launching.lasting_command(old)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/rootcellar").symlink_to("../app/current/rootcellar")
    assert launching.lasting_command(new) == str(tmp_path / "bin/rootcellar")


def test_an_unpacked_archive_is_started_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    script = tmp_path / "rootcellar"
    script.write_text("")
    script.chmod(0o755)
    assert launching.lasting_command(Running(Origin.FROZEN, str(tmp_path), str(script))) == str(script)


def test_a_checkout_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["update", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["installed_by"] in {"checkout", "pip"}
    assert told["steps"]


def test_every_way_has_its_steps() -> None:
    assert set(By) - set(installed._STEPS) == {By.PIP}

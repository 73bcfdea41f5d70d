"""Where our own things lie: one data directory and one config file, wherever the process was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rootcellar import ours
from rootcellar.errors import BadArgument
from rootcellar.policy import Policy


def test_the_data_directory_is_the_users_own_and_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    found = ours.data_directory({})
    assert found.is_absolute()
    assert "rootcellar" in found.parts
    assert not found.exists()


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_names_nothing(blank: str) -> None:
    assert ours.data_directory({ours.DATA: blank}) == ours.data_directory({})
    assert ours.config_file({ours.CONFIG: blank}) == ours.config_file({})


def test_the_variable_names_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ours.data_directory({ours.DATA: f"{tmp_path}/a/../b"}) == tmp_path / "b"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert ours.data_directory({ours.DATA: "~/cellar"}) == tmp_path / "cellar"


@pytest.mark.parametrize("named", ["cellar", "./cellar", "~nobody-of-that-name/cellar"])
def test_a_place_that_depends_on_where_we_were_started_is_refused(named: str) -> None:
    with pytest.raises(BadArgument, match="not absolute"):
        ours.data_directory({ours.DATA: named})


@pytest.mark.skipif(sys.platform != "linux", reason="the paths of this system")
def test_what_is_ours_is_sealed_inside_a_granted_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = Path.home()
    for path in (ours.data_directory({}) / "hosts" / "x.json", ours.config_file({})):
        assert Policy().seals(path.relative_to(home).parts), path


def test_both_help_pages_and_the_terminal_speak_of_it(tmp_path: Path) -> None:
    def run(*words: str, data: str) -> subprocess.CompletedProcess[str]:
        env = {"HOME": str(tmp_path), "PATH": "", ours.DATA: data}
        return subprocess.run(
            [sys.executable, "-m", "rootcellar", *words], env=env, capture_output=True, text=True, check=False
        )

    assert ours.DATA in run("--help", data="").stdout
    refused = run("hosts", data="relative")
    assert (refused.returncode, "not absolute" in refused.stderr) == (1, True)

"""The doctor looks at everything, says the next step, and its exit code says how bad it is."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hosts.homes import Home
from rootcellar import doctor, setup_cli


def _examined(home: Home, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    parser = argparse.ArgumentParser()
    doctor.add_command(parser.add_subparsers(dest="command"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.environ", home.env)
        chosen = parser.parse_args(["doctor", "--json", *words])
        machine, records = setup_cli.this_machine(), setup_cli.our_records()
        code = doctor.run(chosen, machine, records, home.path / "config.toml")
    return code, {check["about"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_every_part_is_looked_at(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.write(".cursor/mcp.json", b"{}")
    code, checks = _examined(home, capsys)
    parts = {
        "program",
        "our data",
        "folders",
        "second wall",
        "search",
        "SQLite",
        "database worker",
        "keychain",
        "Cursor",
    }
    assert parts <= set(checks)
    assert checks["SQLite"]["level"] == checks["our data"]["level"] == "ok"
    assert all(check["then"] for check in checks.values())
    levels = {check["level"] for check in checks.values()}
    assert code == (3 if "bad" in levels else 1 if "look" in levels else 0)
    assert not (home.path / ".local").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="there is no second wall elsewhere yet")
def test_the_wall_round_the_database_worker_is_asked_of_a_real_one(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _examined(home, capsys)[1]
    stands = told["second wall"]["level"] == "ok"
    assert told["database worker"]["level"] == ("ok" if stands else "look"), told
    assert ("Landlock holds it" in told["database worker"]["what"]) is stands
    assert "database worker" not in _examined(home, capsys, "--quick")[1]


def test_a_worker_that_does_not_start_is_bad(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rootcellar.sqlite import process

    monkeypatch.setattr(process, "command_line", lambda: ["/nowhere/rootcellar", "worker"])
    code, checks = _examined(home, capsys)
    assert (code, checks["database worker"]["level"]) == (3, "bad")


def test_a_data_directory_that_cannot_be_written_is_bad(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.write(".local", b"a file")
    code, checks = _examined(home, capsys)
    assert (code, checks["our data"]["level"]) == (3, "bad")
    assert "may not be written" in checks["our data"]["what"]


def test_a_stale_entry_is_bad_and_the_next_step_is_repair(
    home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home.install("--host", "codex", "--host", "cursor")
    code, checks = _examined(home, capsys)
    assert code in {0, 1}
    assert checks["start by Codex"]["level"] == "ok"
    home.program.rename(tmp_path / "moved")
    (home.path / ".cursor/mcp.json").write_bytes(b'{"mcpServers": {}}')
    code, checks = _examined(home, capsys)
    assert code == 3
    assert checks["Codex"]["then"] == "run `rootcellar repair`"
    assert checks["Cursor"]["what"] == "our entry is gone from ~/.cursor/mcp.json"


def test_an_entry_that_does_not_start_is_bad(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.install("--host", "codex")
    home.program.write_text("#!/bin/sh\necho broken >&2\nexit 4\n", encoding="utf-8")
    code, checks = _examined(home, capsys)
    assert code == 3
    assert checks["start by Codex"]["what"] == "it ended at once with code 4: broken"
    assert "start by Codex" not in _examined(home, capsys, "--quick")[1]


def test_settings_that_cannot_be_meant_are_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.write("config.toml", b'roots = ["~/gone"]\nroots_read_only = ["/"]\n')
    code, checks = _examined(home, capsys)
    assert code == 3
    assert "whole file system" in checks["folder"]["what"]
    home.write("config.toml", b"root = []\n")
    assert "unknown key `root`" in _examined(home, capsys)[1]["settings"]["what"]

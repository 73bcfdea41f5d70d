"""The journal at a terminal, while a server runs and after it has ended: what is printed, and what the exit code says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driver import COMMAND, Host

Told = tuple[int, str, str]
pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOTCELLAR_DATA", str(tmp_path / "data"))
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.md").write_text("one\ntwo\n", "utf-8")
    return root


@pytest.fixture
def made(root: Path) -> Iterator[list[str]]:
    """Three changes, and the server that made them still running."""
    with Host(str(root)) as host:
        host.text("write_file", path="new.md", content="new\n")
        host.text("edit_file", path="a.md", edits=[{"old_text": "two", "new_text": "three"}])
        host.text("delete_file", path="a.md")
        yield [line.split()[0] for line in host.text("list_changes").splitlines()[:3]][::-1]


def run(*arguments: str) -> Told:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def as_json(*arguments: str) -> dict[str, Any]:
    code, out, _ = run(*arguments, "--json")
    told: dict[str, Any] = json.loads(out)
    assert (code != 0) == ("refused" in told)
    return told


def test_changes_are_listed_with_their_places(root: Path, made: list[str]) -> None:
    code, out, _ = run("changes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == made[::-1]
    assert str(root / "a.md") in out
    listed = as_json("changes", "--tool", "edit_file")["changes"]
    assert [(one["change_id"], one["paths"], one["host"]) for one in listed] == [(made[1], [str(root / "a.md")], "t")]
    assert len(as_json("changes", "--path", str(root / "new.md"))["changes"]) == 1
    assert len(as_json("changes", "--path", str(root), "--since", "1h")["changes"]) == 3
    assert as_json("changes", "--host", "another")["changes"] == []


def test_a_change_is_shown_and_undone_beside_a_running_server(root: Path, made: list[str]) -> None:
    code, out, _ = run("show", made[1])
    assert code == 0
    assert "-two\n+three" in out
    code, out, _ = run("undo", "--last", "--dry-run")
    assert (code, "Nothing was changed" in out) == (0, True)
    assert not (root / "a.md").exists()
    told = as_json("undo", "--last")
    assert told["undone"] == [made[2]]
    assert (root / "a.md").read_text("utf-8") == "one\nthree\n"
    assert as_json("changes", "--tool", "undo_change")["changes"][0]["undoes"] == [made[2]]
    assert run("undo", told["change_id"])[0] == 0
    assert not (root / "a.md").exists()


def test_everything_since_a_time_is_undone(root: Path, made: list[str]) -> None:
    assert as_json("undo", "--since", "10m")["undone"] == made[::-1]
    assert os.listdir(root) == ["a.md"]
    assert (root / "a.md").read_text("utf-8") == "one\ntwo\n"
    code, out, _ = run("undo", "--since", "10m")
    assert (code, out) == (0, "There is nothing to undo.\n")


def test_what_stands_on_a_change_is_named_and_undone_as_a_chain(root: Path, made: list[str]) -> None:
    code, _, err = run("undo", made[1])
    assert code == 1
    assert made[2] in err
    assert as_json("undo", made[1])["reason"] == "in_the_way"
    assert as_json("undo", made[1], "--chain")["undone"] == [made[2], made[1]]
    assert (root / "a.md").read_text("utf-8") == "one\ntwo\n"


def test_the_users_own_work_is_never_lost(root: Path, made: list[str]) -> None:
    (root / "new.md").write_text("mine\n", "utf-8")
    code, _, err = run("undo", made[0])
    assert code == 1
    assert "mine" in err
    assert (root / "new.md").read_text("utf-8") == "mine\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["changes"], 0),
        (["undo", "--last"], 0),
        (["show", "c0000000000"], 1),
        (["undo", "c0000000000"], 1),
        (["show"], 2),
        (["undo"], 2),
        (["undo", "--last", "--since", "1h"], 2),
        (["changes", "--since", "once upon a time"], 2),
    ],
)
def test_with_an_empty_journal_every_command_answers_and_makes_nothing(
    root: Path, tmp_path: Path, arguments: list[str], code: int
) -> None:
    assert run(*arguments)[0] == code
    assert not (tmp_path / "data" / "journal").exists()


@pytest.mark.parametrize("command", ["changes", "show", "undo"])
def test_help_teaches_by_example(command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"rootcellar {command} " in out
    assert "exit codes" in out

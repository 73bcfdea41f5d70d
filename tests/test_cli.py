"""The command line: what is printed where, and what the exit code says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from driver import COMMAND, Host
from rawclient import Peer, call
from rootcellar import __version__


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COLUMNS": "100", **(env or {})}
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def test_version_is_one_line() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"rootcellar {__version__}")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_without_a_command_a_terminal_gets_help() -> None:
    import pty

    controller, terminal = pty.openpty()
    done = subprocess.run(COMMAND, stdin=terminal, capture_output=True, text=True, check=False, timeout=60)
    os.close(terminal)
    os.close(controller)
    assert done.returncode == 0
    assert "usage: rootcellar" in done.stdout
    assert "serve" in done.stdout


def test_without_a_command_a_pipe_gets_a_server() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (0, "")


def test_help_teaches() -> None:
    told = run("serve", "--help").stdout
    for word in (
        "--client-roots",
        "narrow",
        "--root-ro",
        "--seal",
        "config.toml",
        "ROOTCELLAR_ROOTS",
        "examples",
        "exit codes",
    ):
        assert word in told
    assert "Exit codes" in run("--help").stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--client-roots", "all"], ["serve", "--no-such-flag"]])
def test_bad_arguments_are_two(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("roots = [", "is not TOML"),
        ("root = ['/x']", "unknown key `root`"),
        ("read_only = 'perhaps'", "must be true or false"),
    ],
)
def test_a_config_that_means_nothing_is_refused_before_anything_is_served(tmp_path: Path, text: str, told: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text, "utf-8")
    done = run("serve", "--config", str(config))
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr


def test_a_config_that_was_named_and_is_not_there_is_refused(tmp_path: Path) -> None:
    done = run("serve", "--config", str(tmp_path / "missing.toml"))
    assert done.returncode == 1
    assert "is not there" in done.stderr


def test_settings_come_from_flags_then_environment_then_the_file(tmp_path: Path) -> None:
    for name in ("flag", "env", "file"):
        (tmp_path / name).mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f"roots = ['{tmp_path / 'file'}']\nseal = ['*.hidden']\n", "utf-8")
    env = {"ROOTCELLAR_CONFIG": str(config)}
    with Host(env=env) as host:
        assert "file" in host.text("list_roots")
        assert host.refusal("write_file", path="x.hidden", content="x")[0] == "sealed"
    env["ROOTCELLAR_ROOTS"] = str(tmp_path / "env")
    with Host(env=env) as host:
        assert host.text("list_roots").startswith("env ")
    with Host(str(tmp_path / "flag"), env=env) as host:
        assert host.text("list_roots").startswith("flag ")


def test_a_folder_without_a_name_is_refused_and_not_taken_for_the_current_directory(tmp_path: Path) -> None:
    done = run("serve", "")
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no name" in done.stderr
    config = tmp_path / "config.toml"
    config.write_text("roots = ['']\n", "utf-8")
    assert run("serve", "--config", str(config)).returncode == 1


def test_a_config_that_notepad_wrote_is_read(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"roots = ['{tmp_path}']\n", "utf-8-sig")
    with Host(env={"ROOTCELLAR_CONFIG": str(config)}) as host:
        assert host.text("list_roots").startswith(tmp_path.name)


NOBODY = """
import os, pwd
os.environ.clear()
def none(*_): raise KeyError
pwd.getpwuid = pwd.getpwnam = none
from rootcellar import cli
cli.main(["serve", {!r}])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the user database is POSIX'")
def test_a_user_without_a_home_reads_and_is_refused_changes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    peer = Peer([sys.executable, "-c", NOBODY.format(str(tmp_path))], {}, {})
    try:
        peer.hello()
        peer.send(call(1, "read_file", path="a.txt"))
        assert peer.answer(1)["result"]["content"][0]["text"] == "hello"
        peer.send(call(2, "write_file", path="b.txt", content="x"))
        assert peer.answer(2)["result"]["isError"]
    finally:
        peer.end()
    assert not (tmp_path / "b.txt").exists()

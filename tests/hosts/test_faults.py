"""What may go wrong half-way: a kill between any two steps, a full disk, a second installer, somebody else's edit."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hosts.homes import RUN, Done, Home, nobody, open_to_all
from rootcellar import ambient, locks
from rootcellar.errors import NoSpace, Stale

CONFIG = ".cursor/mcp.json"
WORDS = ["--host", "cursor", "--yes", "--json"]

# The child kills itself before its nth change to the file system, so every gap between two steps is met.
KILLED = """\
import os, signal, sys
left = [int(os.environ["KILL_AT"])]
def hook(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.link"}:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


# The same gaps, each met by an error of the system instead.
FAILED = """\
import os, sys
left, number, writing = [int(os.environ["FAIL_AT"])], int(os.environ["FAIL_WITH"]), os.O_WRONLY | os.O_RDWR | os.O_CREAT
def hook(event, arguments):
    path = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & writing and ".pyc" not in path
    if writes or event in {"os.rename", "os.mkdir", "os.remove", "os.chmod", "os.chown", "os.link"}:
        left[0] -= 1
        if left[0] == 0:
            os.write(2, b"failed here")
            raise OSError(number, os.strerror(number), path)
sys.addaudithook(hook)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(errno.ENOSPC, id="ENOSPC"),
        pytest.param(errno.EACCES, id="EACCES", marks=pytest.mark.full),
        pytest.param(errno.EIO, id="EIO", marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("before", [None, b'{\r\n\t"mcpServers": {}, // keep\r\n}'], ids=["missing", "there"])
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_an_error_at_any_step_is_a_refusal_and_leaves_the_old_file_or_the_new(
    home: Home, number: int, before: bytes | None, command: str
) -> None:
    if before is not None:
        home.write(CONFIG, before)
    file, start = home.path / CONFIG, _settled(home)
    home.install("--host", "cursor")
    after = file.read_bytes()
    words = ["--no-proof", "--command", str(home.program)] if command == "install" else []
    for step in range(1, 200):
        home.uninstall() if command == "install" else home.install("--host", "cursor")
        fault = {"FAIL_AT": str(step), "FAIL_WITH": str(number)}
        done = home.run_apart(command, *WORDS, *words, code=FAILED + RUN, env=fault)
        now = file.read_bytes() if file.exists() else None
        assert now in {before, after}, step
        assert done.code in {0, 1}, (step, done)
        assert "Traceback" not in done.err, (step, done.err)
        if done.code:
            assert done.hosts["cursor"]["status"] == "refused", step
        else:
            assert now == (after if command == "install" else before), step
        assert home.install("--host", "cursor").code == 0
        assert file.read_bytes() == after
        assert home.uninstall().code == 0
        assert (file.read_bytes() if file.exists() else None) == before, step
        assert _settled(home) == start, step
        if "failed here" not in done.err:
            assert step > 4
            return
    pytest.fail("it never ended by itself")


def _killed_at(home: Home, number: int, *words: str) -> Done:
    return home.run_apart(*words, code=KILLED + RUN, env={"KILL_AT": str(number)})


def _settled(home: Home) -> set[str]:
    """Every file that is not under our own data directory."""
    return {str(path.relative_to(home.path)) for path in home.path.rglob("*") if ".local" not in path.parts}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(
    "before", [None, b"", b'{\r\n\t"mcpServers": {}, // keep\r\n}'], ids=["missing", "empty", "there"]
)
def test_a_kill_between_any_two_steps_of_install_leaves_the_old_file_or_the_new(
    home: Home, before: bytes | None
) -> None:
    if before is not None:
        home.write(CONFIG, before)
    file, start = home.path / CONFIG, _settled(home)
    home.install("--host", "cursor")
    after = file.read_bytes()
    home.uninstall()
    for number in range(1, 200):
        done = _killed_at(home, number, "install", *WORDS, "--no-proof", "--command", str(home.program))
        assert (file.read_bytes() if file.exists() else None) in {before, after}
        assert home.install("--host", "cursor").code == 0
        assert file.read_bytes() == after
        assert home.uninstall().code == 0
        assert (file.read_bytes() if file.exists() else None) == before
        assert _settled(home) == start, f"killed at {number}"
        if done.code == 0:
            assert number > 8
            return
    pytest.fail("it never ended by itself")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("before", [None, b'{"mcpServers": {"a": {}}}'], ids=["missing", "there"])
def test_a_kill_between_any_two_steps_of_uninstall_is_made_good_by_the_next(home: Home, before: bytes | None) -> None:
    if before is not None:
        home.write(CONFIG, before)
    file, start = home.path / CONFIG, _settled(home)
    for number in range(1, 200):
        home.install("--host", "cursor")
        done = _killed_at(home, number, "uninstall", *WORDS)
        assert home.uninstall().code == 0
        assert (file.read_bytes() if file.exists() else None) == before
        assert _settled(home) == start, f"killed at {number}"
        if done.code == 0:
            assert number > 4
            return
    pytest.fail("it never ended by itself")


def _full(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "os.mkdir"])
@pytest.mark.parametrize("before", [None, b"{}"], ids=["missing", "there"])
def test_a_full_disk_at_any_step_changes_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, call: str, before: bytes | None
) -> None:
    if before is not None:
        home.write(CONFIG, before)
    start = _settled(home)
    with monkeypatch.context() as patch:
        patch.setattr(call, _full)
        done = home.install("--host", "cursor")
    if done.code == 0:  # this step is not on the way
        home.uninstall()
    else:
        assert done.hosts["cursor"]["reason"] == "nospace"
    assert _settled(home) == start
    assert before is None or (home.path / CONFIG).read_bytes() == before


def test_a_write_that_stops_half_way_leaves_the_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    reading = ambient.read(str(file))
    monkeypatch.setattr("os.fsync", _full)
    with pytest.raises(NoSpace, match="no space left"):
        ambient.replace(reading, b"x" * 100_000)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_size_limit_is_a_refusal(home: Home) -> None:
    resource = pytest.importorskip("resource")
    file = home.write(CONFIG, data := b'{"a": "' + b"x" * 200_000 + b'"}')
    limit = 100_000

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = home.run_apart("install", *WORDS, "--no-proof", "--command", str(home.program), preexec_fn=small)
    assert done.hosts["cursor"]["reason"] == "nospace"
    assert file.read_bytes() == data


def test_eight_installers_at_once_leave_eight_entries_and_eight_uninstallers_none(home: Home) -> None:
    file = home.write(CONFIG, before := b'{\n  // shared\n  "mcpServers": {},\n}\n')
    common = ["--no-proof", "--command", str(home.program)]
    running = [home.start("install", *WORDS, *common, "--name", f"server{number}") for number in range(8)]
    assert [child.wait(60) for child in running] == [0] * 8
    text = file.read_text("utf-8")
    assert sorted(number for number in range(8) if f'"server{number}"' in text) == list(range(8))
    _close(running)
    running = [home.start("uninstall", *WORDS, "--name", f"server{number}") for number in range(8)]
    assert [child.wait(60) for child in running] == [0] * 8
    _close(running)
    assert file.read_bytes() == before
    assert not (home.path / ".local/share/rootcellar/hosts").exists()


def test_the_same_install_eight_times_at_once_leaves_one_entry(home: Home) -> None:
    common = ["--no-proof", "--command", str(home.program)]
    running = [home.start("install", *WORDS, *common) for _ in range(8)]
    assert [child.wait(60) for child in running] == [0] * 8
    _close(running)
    assert list(json.loads((home.path / CONFIG).read_bytes())["mcpServers"]) == ["rootcellar"]
    home.uninstall()
    assert _settled(home) == set()


def _close(children: list[Any]) -> None:
    for child in children:
        child.communicate()


def test_a_file_that_changes_while_it_is_written_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    reading, fsync = ambient.read(str(file)), os.fsync

    def meddled(fd: int) -> None:
        file.write_bytes(b"theirs")
        fsync(fd)

    monkeypatch.setattr("os.fsync", meddled)
    with pytest.raises(Stale):
        ambient.replace(reading, b"ours")
    assert file.read_bytes() == b"theirs"


def test_a_file_that_appears_while_it_is_made_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, link = tmp_path / "f", os.link
    reading = ambient.read(str(file))

    def meddled(source: str, target: str) -> None:
        file.write_bytes(b"theirs")
        link(source, target)

    monkeypatch.setattr("os.link", meddled)
    with pytest.raises(Stale):
        ambient.replace(reading, b"ours")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"theirs", [file])


def test_a_file_system_without_links_still_gets_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", none)
    ambient.replace(ambient.read(str(tmp_path / "f")), b"x")
    assert (tmp_path / "f").read_bytes() == b"x"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_owner_and_attributes_stay(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    os.setxattr(file, "user.note", b"kept")
    os.chown(file, 65534, 65534)
    file.chmod(0o640)
    ambient.replace(ambient.read(str(file)), b"new")
    status = file.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o640)
    assert os.getxattr(file, "user.note") == b"kept"


def test_a_file_of_somebody_else_is_refused_when_its_owner_cannot_be_kept(home: Home) -> None:
    if not nobody():
        pytest.skip("only root can make such a file")
    file = home.write(CONFIG, b"{}")
    file.chmod(0o666)
    open_to_all(home)
    file.parent.chmod(0o777)
    done = home.run_apart("install", *WORDS, "--no-proof", "--command", str(home.program), as_user=nobody())
    assert done.err == ""
    assert done.hosts["cursor"]["why"] == "`~/.cursor/mcp.json` belongs to someone else, and would not any more"
    assert file.read_bytes() == b"{}"
    assert sorted(path.name for path in file.parent.iterdir()) == ["mcp.json"]


def test_what_a_killed_installer_left_is_swept_by_the_next(home: Home) -> None:
    scrap = home.write(f".cursor/{ambient.SCRAP}999999999-x", b"half")
    living = home.write(f".cursor/{ambient.SCRAP}{os.getpid()}-x", b"half")
    home.install("--host", "cursor")
    assert (scrap.exists(), living.exists()) == (False, True)


def test_a_lock_is_waited_for_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_S", 0.1)
    shelf = str(tmp_path / "locks")
    with locks.locked(str(tmp_path / "f"), shelf):
        with locks.locked(str(tmp_path / "g"), shelf):
            pass
        with pytest.raises(Exception, match="another installer holds"), locks.locked(str(tmp_path / "f"), shelf):
            pass
    assert not (tmp_path / "locks").exists()

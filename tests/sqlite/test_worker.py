"""The process that runs SQL: fenced in, started the same way frozen, and cheap to lose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rootcellar import errors
from rootcellar.confine import Lane, _landlock
from rootcellar.confine.pool import Pools
from rootcellar.sqlite import Databases, Import, Query, command_line, process
from rootcellar.sqlite.engine import LIBRARY_MIN, library_version
from sqlite.dbyard import ONE_OPCODE, Yard

FENCED = """
import os, sys
from rootcellar.sqlite import ground
handle = os.open(sys.argv[1], os.O_RDONLY)
os.fchdir(handle)
assert ground.fence([(handle, sys.argv[3])]) == ""
for path in (sys.argv[2], "/etc/passwd", "/"):
    try:
        os.close(os.open(path, os.O_RDONLY))
        print("reached", path)
    except PermissionError:
        pass
os.close(os.open("inside", os.O_RDONLY))
try:
    os.close(os.open("made", os.O_RDWR | os.O_CREAT))
    print("wrote")
except PermissionError:
    pass
"""


@pytest.mark.skipif(not _landlock.support().abi, reason=_landlock.support().why_not)
@pytest.mark.parametrize(("access", "said"), [("read", ""), ("write", "wrote\n")])
def test_a_fenced_worker_reaches_its_own_directory_and_nothing_else(yard: Yard, access: str, said: str) -> None:
    (yard.root / "inside").touch()
    (yard.outside / "secret").touch()
    arguments = [str(yard.root), str(yard.outside / "secret"), access]
    done = subprocess.run([sys.executable, "-c", FENCED, *arguments], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (said, "")


def test_the_fence_bites_because_without_it_the_same_paths_open(yard: Yard) -> None:
    (yard.outside / "secret").touch()
    os.close(os.open(yard.outside / "secret", os.O_RDONLY))
    os.close(os.open("/etc/passwd", os.O_RDONLY))


def test_a_frozen_program_starts_its_worker_by_a_hidden_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_line()[1:] == ["-P", "-m", "rootcellar.sqlite.worker"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert command_line() == [sys.executable, "worker"]


def test_the_library_is_new_enough_to_be_safe() -> None:
    assert library_version() >= LIBRARY_MIN >= (3, 54, 0)


def workers_at(folder: str) -> list[int]:
    """The processes that stand in this directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd") == folder:
                found.append(int(pid))
        except OSError:
            continue
    return found


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_worker_that_dies_between_calls_costs_nothing(yard: Yard) -> None:
    yard.music()
    database = yard.open("music.db")
    database.query(Query("SELECT 1"))
    (worker,) = workers_at(str(yard.root))
    os.kill(worker, signal.SIGKILL)
    while runs(worker):
        time.sleep(0.001)
    assert yard.one(database, "SELECT count(*) FROM artist") == 50


def test_a_worker_ends_with_its_input(yard: Yard) -> None:
    with subprocess.Popen(command_line(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=yard.root) as worker:
        assert worker.stdin
        worker.stdin.close()
        assert worker.wait(10) == 0


def test_importing_the_package_loads_no_engine() -> None:
    program = "import sys, rootcellar.sqlite.database; print([m for m in ('apsw', 'aiosqlite', 'sqlite3', 'asyncio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_thread_behind_the_wall_can_use_databases(yard: Yard) -> None:
    """Such a thread may start no program, signal nobody and import nothing: the keeper does all that."""
    yard.music()
    (yard.root / "in.csv").write_text("a,b\n1,x\n")
    roots = yard.roots()
    databases = Databases()

    def work() -> str:
        database = databases.open(roots.entry("music.db"))
        database.change("UPDATE artist SET name = 'behind the wall' WHERE id = 1")
        database.import_file(roots.entry("in.csv"), Import("fresh"))
        database.backup(roots.entry("copy.db"))
        database.export("SELECT * FROM fresh", (), roots.entry("out.csv"), "")
        with pytest.raises(errors.TimedOut):
            database.query(Query(ONE_OPCODE, seconds=0.3))
        assert databases.list(roots.entry("."))
        return str(yard.one(database, "SELECT name FROM artist WHERE id = 1"))

    pools = Pools()
    try:
        assert pools.run(roots.roots, Lane.LONG, work).result(60) == "behind the wall"
    finally:
        pools.end()
        databases.close()


NO_LANDLOCK = """
import sys
from rootcellar.confine import _landlock
def refuse(allowances): raise OSError(38, "Landlock is switched off here")
_landlock.restrict_this_thread = refuse
from rootcellar.sqlite.worker import main
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="has a fence elsewhere on no system")
def test_a_worker_that_could_not_be_fenced_in_says_why(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "command_line", lambda: [sys.executable, "-c", NO_LANDLOCK])
    yard.music()
    databases = Databases()
    try:
        assert databases.open(yard.entry("music.db")).check().ok
        assert "Landlock is switched off here" in databases.pool.unfenced
    finally:
        databases.close()


def test_a_worker_that_is_fenced_in_has_nothing_to_say(yard: Yard) -> None:
    yard.music()
    assert yard.open("music.db").check().ok
    assert not (yard.databases.pool.unfenced and _landlock.support().abi)

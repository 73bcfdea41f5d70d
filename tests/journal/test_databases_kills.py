"""Killed at any moment, server or worker, in a change or in an undo: after the next start it happened whole, or not."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from journal.dbcellar import DbCellar
from journal.test_databases import state
from rootcellar.journal.changes import Filter, State
from rootcellar.journal.databases import DatabaseSettler
from rootcellar.sqlite import Databases

MAKER = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from journal.dbcellar import DbCellar
from rootcellar.errors import Refusal
from rootcellar.sqlite import Databases
cellar = DbCellar(Path(sys.argv[1]), Databases())
number = int(sys.argv[3])
while True:
    number += 1
    sql = [
        "INSERT INTO t(n, fill) VALUES (?, randomblob(3000)); UPDATE c SET n = n + 1",
        "UPDATE t SET fill = randomblob(3000); UPDATE c SET n = n + ?*0 + 1",
        "CREATE TABLE made (n); INSERT INTO made VALUES (?); UPDATE c SET n = n + 1",
        "DROP TABLE u; CREATE TABLE u (n); INSERT INTO u VALUES (?); UPDATE c SET n = n + 1",
    ][number % 4]
    os.write(1, b"m")
    try:
        change = cellar.change("a.db", sql, (number,) if "?" in sql else ())
        os.write(1, b"u")
        cellar.undo(change.id)
    except Refusal as refusal:
        os.write(2, str(refusal).encode() + b"\\n")
        os._exit(3)
"""
SCRIPT = """
CREATE TABLE t (n INTEGER PRIMARY KEY, fill); CREATE TABLE c (n); INSERT INTO c VALUES (0); CREATE TABLE u (n);
WITH RECURSIVE x(n) AS (SELECT -1 UNION ALL SELECT n - 1 FROM x LIMIT 30) INSERT INTO t SELECT n, randomblob(2000) FROM x;
"""


def worker_of(server: int) -> int:
    """A worker that stands at the database."""
    children: list[int] = []
    for task in Path(f"/proc/{server}/task").iterdir():
        children += [int(pid) for pid in (task / "children").read_text().split()]
    return next((pid for pid in children if os.readlink(f"/proc/{pid}/cwd").endswith("/root")), server)


def stands_at(pid: str, folder: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(folder)
    except OSError:
        return False


def kill(place: Path, turn: int, chance: random.Random) -> None:
    """Start a server that makes changes and undoes them; kill it, or its worker, some time after it began."""
    tests = os.path.dirname(os.path.dirname(__file__))
    command = [sys.executable, "-c", MAKER, str(place), tests, str(turn * 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as server:
        assert server.stdout
        assert server.stdout.read(chance.randint(1, 4)).startswith(b"m")  # in a change, in its undo, in the next
        time.sleep(chance.random() * 0.1)
        try:
            os.kill(worker_of(server.pid) if turn % 2 else server.pid, signal.SIGKILL)
        except (OSError, ValueError):
            server.kill()
        if turn % 2:  # the server lives on, and must know by itself what came of it
            time.sleep(0.05)
            server.kill()
        server.stdout.read()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # its worker ends when it hears that nobody is there
        if not any(stands_at(pid, place / "root") for pid in os.listdir("/proc") if pid.isdigit()):
            return
        time.sleep(0.01)


def check(place: Path, before: list[object]) -> str:
    """After a kill: each change is whole or absent, as the journal says; all can be undone, to the state before."""
    databases = Databases()
    cellar = DbCellar(place, databases)
    try:
        page = cellar.store.changes(Filter(), "", 1_000)
        assert all(change.state is not State.BEGUN for change in page.changes), "a change was left unsettled"
        standing = [c for c in page.changes if c.state is State.DONE and not c.undoes]
        path = place / "root" / "a.db"
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert other.execute("SELECT n FROM c").fetchone() == (len(standing),), (
                "the journal and the database differ"
            )
        assert len(standing) <= 1
        for change in standing:
            cellar.undo(change.id)
        assert state(path) == before
        assert sorted(p.name for p in (place / "root").iterdir() if p.suffix == ".db") == ["a.db"]
        return "happened" if standing else "did not"
    finally:
        cellar.close()
        databases.close()


def kill_and_check(place: Path, kills: int, mode: str) -> dict[str, int]:
    chance, databases = random.Random(11), Databases()
    cellar = DbCellar(place, databases)
    path = cellar.make("a.db", f"PRAGMA journal_mode = {mode};" + SCRIPT)
    cellar.close()
    databases.close()
    before = state(path)
    found = {"happened": 0, "did not": 0}
    for turn in range(kills):
        kill(place, turn, chance)
        found[check(place, before)] += 1
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_kill_leaves_a_change_and_an_undo_whole_or_absent(tmp_path: Path, mode: str) -> None:
    print(f"5 kills in {mode} mode: {kill_and_check(tmp_path.resolve(), 5, mode)}")


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_many_kills_leave_every_change_and_undo_whole_or_absent(tmp_path: Path, mode: str) -> None:
    print(f"130 kills in {mode} mode: {kill_and_check(tmp_path.resolve(), 130, mode)}")


def test_two_servers_change_and_undo_one_database_at_once(tmp_path: Path) -> None:
    databases = Databases()
    cellar = DbCellar(tmp_path.resolve(), databases)
    path = cellar.make("a.db", "PRAGMA journal_mode = WAL;" + SCRIPT)
    before = state(path)
    program = (
        MAKER.replace("while True:", "for _ in range(12):")
        .replace("UPDATE c SET n = n + 1", "SELECT 1")
        .replace("UPDATE c SET n = n + ?*0 + 1", "DELETE FROM t WHERE n = ?")
    )
    program = program.replace("][number % 4]", "][0]").replace("os._exit(3)", "pass")
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path.resolve()), os.path.dirname(os.path.dirname(__file__)), start],
            stdout=subprocess.DEVNULL,
        )
        for start in ("1000", "9000")
    ]
    for server in servers:
        assert server.wait(120) == 0
    try:
        for change in cellar.store.changes(Filter(), "", 1_000).changes:
            if change.state is State.DONE and not change.undoes:
                cellar.undo(change.id)
        assert state(path) == before
    finally:
        cellar.close()
        databases.close()


SETTLED = [
    "UPDATE c SET n = 5", "DELETE FROM t WHERE n < 0", "INSERT INTO t VALUES (5, 'x')", "DROP TABLE u",
    "CREATE TABLE made (n)", "PRAGMA user_version = 3", "UPDATE t SET n = n + 100",
]  # fmt: skip


@pytest.mark.parametrize("sql", SETTLED)
def test_what_a_dead_server_left_is_settled_by_what_stands_there(tmp_path: Path, sql: str) -> None:
    databases = Databases()
    cellar, settled = DbCellar(tmp_path.resolve(), databases), DatabaseSettler(lambda: databases)
    path = cellar.make("a.db", SCRIPT)
    try:
        (step,) = cellar.done("a.db", sql).steps
        assert settled(step), "it is there"
        undone = cellar.undo(*[change.id for change in cellar.store.changes(Filter()).changes])
        assert undone is not None
        assert not settled(step), "it is not there"
        assert settled(undone.steps[0]), "its undo is"
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE c SET n = 77")
            other.commit()
        assert settled(step) is (sql in ("UPDATE c SET n = 5", "DROP TABLE u")), "where nobody can tell, it is kept"
    finally:
        cellar.close()
        databases.close()

"""Changes are all or nothing, counted, tried first, recorded before they are kept, and survive being killed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from journal.dbkept import Kept
from rootcellar import errors
from rootcellar.policy import Effect
from rootcellar.sqlite import Databases, Query, Run, Way
from sqlite.dbyard import ENDLESS, ONE_OPCODE, Taken, Yard

CHANGED = [
    ("INSERT INTO artist(name) VALUES ('x'), ('y')", (), {"artist": 2}, Effect.WRITE),
    ("UPDATE artist SET name = 'x' WHERE id <= ?", (3,), {"artist": 3}, Effect.WRITE),
    ("UPDATE artist SET name = :n WHERE id = :i", {"n": "x", "i": 4}, {"artist": 1}, Effect.WRITE),
    ("DELETE FROM track", (), {"track": 249}, Effect.DESTROY),
    ("DELETE FROM album WHERE id = 1", (), {"album": 1}, Effect.WRITE),
    (
        "INSERT INTO artist VALUES (?, ?); UPDATE artist SET name = ? WHERE id = ?",
        (900, "a", "b", 900),
        {"artist": 2},
        Effect.WRITE,
    ),
    ("CREATE TABLE z (a); INSERT INTO z VALUES (1); INSERT INTO z VALUES (2)", (), {"z": 2}, Effect.DESTROY),
    ("DROP TABLE track", (), {}, Effect.DESTROY),
    (
        "ALTER TABLE artist ADD COLUMN born INT; UPDATE artist SET born = 1 WHERE id = 1",
        (),
        {"artist": 1},
        Effect.DESTROY,
    ),
]


@pytest.mark.parametrize(("sql", "params", "affected", "effect"), CHANGED, ids=[row[0][:60] for row in CHANGED])
def test_a_change_says_its_effect_and_its_rows_and_a_dry_run_says_the_same(
    yard: Yard, sql: str, params: Any, affected: dict[str, int], effect: Effect
) -> None:
    path = yard.music()
    before = sorted(sqlite3.connect(path).iterdump())
    database = yard.open("music.db")
    dry = database.change(sql, params, Run.DRY)
    assert (dry.affected, dry.effect) == (affected, effect)
    assert sorted(sqlite3.connect(path).iterdump()) == before
    done = database.change(sql, params)
    assert (done.affected, done.effect) == (affected, effect)
    assert sorted(sqlite3.connect(path).iterdump()) != before


def test_a_dry_run_shows_a_sample_of_what_would_change(yard: Yard) -> None:
    yard.music()
    dry = yard.open("music.db").change("UPDATE artist SET name = upper(name) WHERE id <= 2", run=Run.DRY)
    assert dry.text().splitlines() == [
        "Dry run, rolled back; it would change: 2 rows in artist (write)",
        "For example:",
        "updated artist: 1|Artist 1 -> ARTIST 1",
        "updated artist: 2|Artist 2 -> ARTIST 2",
    ]


FAILING = [
    ("INSERT INTO artist VALUES (1000, 'x'); INSERT INTO artist VALUES (1, 'again')", errors.Constraint, "UNIQUE"),
    ("INSERT INTO artist VALUES (1000, 'x'); INSERT INTO artist(name) VALUES (NULL)", errors.Constraint, "NOT NULL"),
    ("DELETE FROM artist WHERE id = 1; INSERT INTO album VALUES (999, 'x', 12345)", errors.Constraint, "FOREIGN KEY"),
    ("INSERT INTO artist VALUES (1000, 'x'); SELEC 1", errors.BadSql, "SELEC"),
    ("INSERT INTO artist VALUES (1000, 'x'); UPDATE artst SET name = 'x'", errors.BadSql, "artst"),
    ("INSERT INTO artist VALUES (?, ?)", errors.BadArgument, "it takes 2, 0 were given"),
    ("-- nothing", errors.BadSql, "no statement"),
]


@pytest.mark.parametrize(("sql", "kind", "words"), FAILING)
def test_a_change_that_fails_anywhere_changes_nothing(
    yard: Yard, sql: str, kind: type[errors.Refusal], words: str
) -> None:
    path = yard.music()
    before = list(sqlite3.connect(path).iterdump())
    with pytest.raises(kind, match=words):
        yard.open("music.db").change(sql)
    assert list(sqlite3.connect(path).iterdump()) == before
    assert yard.open("music.db").change("INSERT INTO artist(name) VALUES ('next')").affected == {"artist": 1}


def test_rows_that_a_statement_returns_are_told(yard: Yard) -> None:
    yard.music()
    done = yard.open("music.db").change("INSERT INTO artist VALUES (77777, 'x') RETURNING id, name")
    assert done.text() == "Changed: 1 row in artist\nid|name\n77777|x"


def test_a_database_is_created_only_when_asked(yard: Yard) -> None:
    with pytest.raises(errors.NotFound):
        yard.open("new.db")
    yard.databases.create(yard.entry("new.db")).change("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    assert yard.one(yard.open("new.db"), "SELECT v FROM t") == 1
    with pytest.raises(errors.Exists):
        yard.databases.create(yard.entry("new.db"))


# The journal's place


def test_a_change_is_recorded_before_it_is_kept_and_its_record_undoes_it(yard: Yard) -> None:
    path = yard.music()
    database = yard.open("music.db")
    before = sorted(sqlite3.connect(path).iterdump())
    kept = Kept(database.entry, lambda: yard.bare("music.db", "SELECT count(*) FROM artist")[0][0])
    database.change(
        "DELETE FROM track WHERE id > 10; UPDATE artist SET name = 'x'; INSERT INTO artist VALUES (500, 'new')",
        record=kept,
    )
    assert kept.seen == [50], "another program still sees the state before"
    assert yard.one(database, "SELECT count(*) FROM artist") == 51
    kept.undo(database)
    assert sorted(sqlite3.connect(path).iterdump()) == before
    database.revert(kept.rows, Way.FORTH)
    assert yard.one(database, "SELECT count(*) FROM artist") == 51


def test_a_record_that_cannot_be_written_keeps_the_change_from_happening(yard: Yard) -> None:
    yard.music()
    database = yard.open("music.db")

    def full() -> None:
        raise errors.NoSpace("the journal is full", "make room")

    kept = Kept(database.entry, full)
    with pytest.raises(errors.NoSpace, match="the journal is full"):
        database.change("DELETE FROM track", record=kept)
    assert yard.one(database, "SELECT count(*) FROM track") == 249
    database.change("DELETE FROM track WHERE id = 1")


def test_an_undo_that_would_clobber_later_work_is_refused(yard: Yard) -> None:
    yard.music()
    database = yard.open("music.db")
    kept = Kept(database.entry)
    database.change("UPDATE artist SET name = 'first' WHERE id = 1", record=kept)
    database.change("UPDATE artist SET name = 'second' WHERE id = 1")
    with pytest.raises(errors.Stale, match="no longer as the change left it"):
        kept.undo(database)
    assert yard.one(database, "SELECT name FROM artist WHERE id = 1") == "second"


# Time, taking back, killing


@pytest.mark.parametrize("bomb", [ENDLESS, ONE_OPCODE], ids=["interruptible", "one opcode"])
def test_a_change_that_is_taken_back_is_rolled_back(yard: Yard, bomb: str) -> None:
    yard.music()
    taken = Taken()
    database = yard.open("music.db", cancel=taken)
    database.change("UPDATE artist SET name = 'kept' WHERE id = 1")
    threading.Timer(0.3, lambda: setattr(taken, "cancelled", True)).start()
    with pytest.raises(errors.Cancelled):
        database.change(f"DELETE FROM track; UPDATE artist SET name = 'lost'; {bomb}")
    taken.cancelled = False
    assert yard.one(database, "SELECT count(*) FROM track") == 249
    assert yard.one(database, "SELECT name FROM artist WHERE id = 1") == "kept"
    assert database.change("DELETE FROM track").affected == {"track": 249}
    assert yard.bare("music.db", "PRAGMA integrity_check") == [("ok",)]


WRITER = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from journal.dbkept import Kept
from sqlite.dbyard import Yard
from rootcellar.sqlite import Databases
yard = Yard(Path(sys.argv[1]), Databases())
database = yard.open("a.db")
for number in range(int(sys.argv[3]), 10**9):
    database.change("INSERT INTO t(n, fill) VALUES (?, randomblob(3000)); UPDATE c SET n = n + 1", (number,))
    os.write(1, b"%d\\n" % number)
"""


def kill_during_commits(yard: Yard, kills: int, journal: str) -> tuple[int, int]:
    """Kill the server, or its worker, in the middle of commits; (commits acknowledged, commits found)."""
    path = yard.make(
        "a.db",
        f"PRAGMA journal_mode = {journal}; CREATE TABLE t (n INTEGER, fill); CREATE TABLE c (n); INSERT INTO c VALUES (0);",
    )
    tests = os.path.dirname(os.path.dirname(__file__))
    acknowledged: set[int] = set()
    chance = random.Random(7)
    for kill in range(kills):
        start = max(acknowledged, default=0) + 1_000
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(yard.base), tests, str(start)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as server:
            assert server.stdout
            acknowledged.add(int(server.stdout.readline()))
            time.sleep(chance.random() * 0.05)
            victim = server.pid if kill % 2 else worker_of(server.pid)
            os.kill(victim, signal.SIGKILL)
            if not kill % 2:
                time.sleep(0.02)
                server.kill()
            acknowledged |= {int(line) for line in server.stdout.read().splitlines() if line}
        rows = yard.open("a.db").cells(Query("SELECT n, (SELECT n FROM c) FROM t", rows=10_000, bytes=10**7)).rows
        found = {row[0] for row in rows}
        assert acknowledged <= found, "an acknowledged commit is missing"
        assert all(row[1] == len(found) for row in rows), "half a transaction"
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(acknowledged), len(found)


def worker_of(server: int) -> int:
    """The writer: the youngest child that stands in the database's directory."""
    children: list[int] = []
    for task in Path(f"/proc/{server}/task").iterdir():
        children += [int(pid) for pid in (task / "children").read_text().split()]
    return next((pid for pid in children if os.readlink(f"/proc/{pid}/cwd").endswith("/root")), server)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_kill_during_commits_loses_nothing_acknowledged(yard: Yard, journal: str) -> None:
    acknowledged, found = kill_during_commits(yard, 5, journal)
    print(f"5 kills in {journal} mode: {acknowledged} commits acknowledged, {found} found, integrity ok")


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_many_kills_during_commits_lose_nothing_acknowledged(yard: Yard, journal: str) -> None:
    acknowledged, found = kill_during_commits(yard, 100, journal)
    print(f"100 kills in {journal} mode: {acknowledged} commits acknowledged, {found} found, integrity ok")


def test_eight_writers_and_eight_readers_at_once_lose_nothing(yard: Yard) -> None:
    yard.make("a.db", "CREATE TABLE t (who INT, n INT); CREATE TABLE c (n INT); INSERT INTO c VALUES (0);")
    failures: list[BaseException] = []
    over = threading.Event()

    def write(who: int) -> None:
        try:
            for number in range(25):
                yard.open("a.db").change("INSERT INTO t VALUES (?, ?); UPDATE c SET n = n + 1", (who, number))
        except errors.Refusal as error:
            failures.append(error)

    def read() -> None:
        try:
            while not over.is_set():
                rows = yard.open("a.db").cells(Query("SELECT (SELECT count(*) FROM t), (SELECT n FROM c)")).rows
                assert rows[0][0] == rows[0][1], "a reader saw half a change"
        except (errors.Refusal, AssertionError) as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(who,)) for who in range(8)]
    readers = [threading.Thread(target=read) for _ in range(8)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert not failures
    assert yard.one(yard.open("a.db"), "SELECT n FROM c") == 200


def test_closing_the_server_ends_its_workers_in_time_and_rolls_back(yard: Yard) -> None:
    yard.music()
    databases = Databases()
    database = databases.open(yard.entry("music.db"))
    database.query(Query("SELECT 1"))
    busy = threading.Thread(
        target=lambda: pytest.raises(errors.Refusal, database.change, f"DELETE FROM track; {ENDLESS}")
    )
    busy.start()
    time.sleep(0.5)
    started = time.monotonic()
    databases.close()
    print(f"closed in {time.monotonic() - started:.2f} s")
    assert time.monotonic() - started < 2
    busy.join(5)
    assert yard.one(yard.open("music.db"), "SELECT count(*) FROM track") == 249

"""What is opened is the entry and nothing else; what is found is left as it was."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rootcellar import errors
from rootcellar.policy import Access
from rootcellar.sqlite import Query
from sqlite.dbyard import OtherProgram, Yard

MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
TABLE = "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('inside');"


def text(path: Path) -> None:
    path.write_text("just a text, long enough to be one\n" * 100)


def truncated(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript("CREATE TABLE t (v); INSERT INTO t SELECT randomblob(3000) FROM json_each('[1,2,3,4,5,6]')")
    os.truncate(path, path.stat().st_size - 4096)


def corrupt(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript("CREATE TABLE t (v); INSERT INTO t SELECT randomblob(3000) FROM json_each('[1,2,3,4,5,6]')")
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xa5" * (4096 - 100)
    path.write_bytes(data)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLE)
    data = bytearray(path.read_bytes())
    data[18:20] = b"\x07\x07"
    path.write_bytes(data)


def encrypted(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def hard_linked(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLE)
    os.link(path, path.parent.parent / "outside" / "other-name.db")


def linked_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLE)
    victim = path.parent.parent / "outside" / "victim"
    victim.write_bytes(b"precious" * 100)
    os.symlink(victim, f"{path}-wal")


def hard_linked_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLE)
    victim = path.parent.parent / "outside" / "victim"
    victim.write_bytes(b"precious" * 100)
    os.link(victim, f"{path}-wal")


def fifo_journal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(TABLE)
    os.mkfifo(f"{path}-journal")


REFUSED: list[tuple[str, Callable[[Path], object], type[errors.Refusal], str]] = [
    ("text", text, errors.NotADatabase, "not a SQLite database"),
    ("short text", lambda path: path.write_text("hi"), errors.NotADatabase, "not a SQLite database"),
    ("empty", lambda path: path.touch(), errors.EmptyFile, "is empty"),
    ("a directory", lambda path: path.mkdir(), errors.WrongKind, "directory"),
    ("a FIFO", lambda path: os.mkfifo(path), errors.WrongKind, "fifo"),
    ("missing", lambda _path: None, errors.NotFound, "a.db"),
    ("truncated", truncated, errors.Truncated, "are missing"),
    ("half a header", lambda path: path.write_bytes(b"SQLite format 3\0" + b"\0" * 20), errors.Truncated, "header"),
    ("corrupt", corrupt, errors.Corrupt, "damaged"),
    ("newer format", newer, errors.NewerFormat, "newer"),
    ("encrypted without a key", encrypted, errors.NeedsKey, "encrypted"),
    ("hard-linked", hard_linked, errors.Hostile, "hard link"),
    ("a linked log", linked_log, errors.Hostile, "-wal` is a link"),
    ("a hard-linked log", hard_linked_log, errors.Hostile, "-wal` is a link"),
    ("a FIFO as journal", fifo_journal, errors.Hostile, "-journal` is a link"),
]


@pytest.mark.parametrize(("make", "kind", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_no_sound_database_has_a_refusal_of_its_own(
    yard: Yard, make: Callable[[Path], object], kind: type[errors.Refusal], words: str
) -> None:
    make(yard.root / "a.db")
    started = time.monotonic()
    with pytest.raises(kind) as refused:
        yard.open("a.db").query(Query("SELECT * FROM t"))
    assert type(refused.value) is kind
    assert words in refused.value.message
    assert refused.value.hint or kind in (errors.NotFound, errors.WrongKind)
    assert time.monotonic() - started < 5
    victim = yard.outside / "victim"
    assert not victim.exists() or victim.read_bytes() == b"precious" * 100


def test_a_locked_database_is_busy_and_not_for_ever(yard: Yard) -> None:
    yard.make("a.db", TABLE)
    with OtherProgram(yard.root / "a.db") as other:
        other.do("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.raises(errors.Busy, match="locked by another program"):
            yard.open("a.db").query(Query("SELECT * FROM t"))
        assert 4 < time.monotonic() - started < 8
        other.do("ROLLBACK")
    assert yard.one(yard.open("a.db"), "SELECT v FROM t") == "inside"


def test_a_database_that_another_program_holds_in_wal_mode_works(yard: Yard) -> None:
    path = yard.make("a.db", TABLE + "PRAGMA journal_mode = WAL;")
    with OtherProgram(path) as other:
        other.do("INSERT INTO t VALUES ('in the log')")
        database = yard.open("a.db")
        assert yard.one(database, "SELECT count(*) FROM t") == 2
        database.change("INSERT INTO t VALUES ('ours')")
        assert other.do("SELECT count(*) FROM t") == [[3]]
        other.do("INSERT INTO t VALUES ('theirs')")
        assert yard.one(yard.open("a.db"), "SELECT count(*) FROM t") == 4


@pytest.mark.parametrize("journal", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
def test_reading_leaves_the_file_and_its_folder_as_found(yard: Yard, journal: str) -> None:
    path = yard.make("a.db", f"PRAGMA journal_mode = {journal}; " + TABLE)
    time.sleep(0.06)  # a file changed this instant is read under locks: the other way has a test below
    before, names, stat = path.read_bytes(), yard.names(), path.stat()
    database = yard.open("a.db")
    assert yard.one(database, "SELECT v FROM t") == "inside"
    database.describe()
    database.check()
    assert (path.read_bytes(), yard.names()) == (before, names)
    assert path.stat().st_mtime_ns == stat.st_mtime_ns


def test_a_wal_database_read_as_it_lies_is_read_again_when_someone_writes(yard: Yard) -> None:
    path = yard.make("a.db", "PRAGMA journal_mode = WAL;" + TABLE)
    os.utime(path)
    for count in range(1, 12):
        database = yard.open("a.db")
        assert yard.one(database, "SELECT count(*) FROM t") == count
        with closing(sqlite3.connect(path)) as other:
            other.execute("INSERT INTO t VALUES ('more')")
            other.commit()


def test_side_files_that_only_our_reading_made_are_taken_away(yard: Yard) -> None:
    path = yard.make("a.db", "PRAGMA journal_mode = WAL;" + TABLE)
    database = yard.open("a.db")
    yard.one(database, "SELECT v FROM t")
    until = time.monotonic() + 4
    while yard.names() != {"a.db"} and time.monotonic() < until:
        time.sleep(0.05)  # the connection is let go a second after the last call
    assert yard.names() == {"a.db"}
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def super_journal(path: Path, victim: Path) -> None:
    """A hot journal that names a super-journal: SQLite reads that file and, finding no open child, deletes it."""
    size = path.stat().st_size
    page = path.read_bytes()[:4096]
    name = str(victim).encode()
    header = struct.pack(">8sIIIII", MAGIC, 1, 0, size // 4096, 512, 4096).ljust(512, b"\0")
    checksum = sum(page[i] for i in range(4096 - 200, 0, -200)) & 0xFFFFFFFF
    record = struct.pack(">I", 1) + page + struct.pack(">I", checksum)
    tail_sum = sum(struct.unpack(f"{len(name)}b", name)) & 0xFFFFFFFF
    tail = struct.pack(">I", 0) + name + struct.pack(">II", len(name), tail_sum) + MAGIC
    Path(f"{path}-journal").write_bytes(header + record + tail)


@pytest.mark.skipif(
    sqlite3.sqlite_version_info >= (3, 53, 3), reason="this Python's own SQLite no longer has the fault"
)
def test_the_crafted_journal_bites_an_old_sqlite(yard: Yard) -> None:
    path = yard.make("a.db", TABLE)
    victim = yard.outside / "victim"
    victim.write_text("precious")
    super_journal(path, victim)
    with closing(sqlite3.connect(path)) as naive, contextlib.suppress(sqlite3.Error):
        naive.execute("SELECT * FROM t").fetchall()
    assert not victim.exists()


@pytest.mark.parametrize("act", ["query", "change", "describe", "backup"])
def test_a_crafted_journal_deletes_nothing(yard: Yard, act: str) -> None:
    path = yard.make("a.db", TABLE)
    victim = yard.outside / "victim"
    victim.write_text("precious")
    super_journal(path, victim)
    database = yard.open("a.db")
    acts: dict[str, Callable[[], object]] = {
        "query": lambda: database.query(Query("SELECT * FROM t")),
        "change": lambda: database.change("DELETE FROM t"),
        "describe": database.describe,
        "backup": lambda: database.backup(yard.entry("copy.db")),
    }
    with pytest.raises(errors.Hostile, match="names another file"):
        acts[act]()
    assert victim.read_text() == "precious"
    assert "copy.db" not in yard.names()


def hot(path: Path) -> None:
    """Leave an unfinished change behind, as a killed program does."""
    child = os.fork()
    if not child:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("PRAGMA cache_size = 1")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE t SET v = v || 'x'")
        other.execute("INSERT INTO t SELECT randomblob(2000) FROM t, t AS u")
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_unfinished_change_is_rolled_back_as_sqlite_would(yard: Yard) -> None:
    path = yard.make("a.db", TABLE, [("INSERT INTO t VALUES (?)", [(f"row {n}",) for n in range(100)])])
    hot(path)
    assert "a.db-journal" in yard.names()
    assert yard.one(yard.open("a.db"), "SELECT count(*) FROM t WHERE v NOT LIKE '%x'") == 101
    assert yard.bare("a.db", "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_unfinished_change_in_a_read_only_root_is_left_and_said(yard: Yard) -> None:
    path = yard.make("a.db", TABLE, [("INSERT INTO t VALUES (?)", [(f"row {n}",) for n in range(100)])])
    hot(path)
    before = path.read_bytes()
    with pytest.raises(errors.Busy, match="unfinished change"):
        yard.open("a.db", Access.READ_ONLY).query(Query("SELECT count(*) FROM t"))
    assert path.read_bytes() == before


def test_a_change_in_a_read_only_root_is_refused(yard: Yard) -> None:
    yard.make("a.db", TABLE)
    with pytest.raises(errors.ReadOnly):
        yard.open("a.db", Access.READ_ONLY).change("DELETE FROM t")
    assert yard.one(yard.open("a.db", Access.READ_ONLY), "SELECT count(*) FROM t") == 1


def test_a_database_that_was_exchanged_is_the_new_one_at_the_next_call(yard: Yard) -> None:
    yard.make("a.db", TABLE)
    assert yard.one(yard.open("a.db"), "SELECT v FROM t") == "inside"
    yard.make("b.db", "CREATE TABLE t (v); INSERT INTO t VALUES ('other')")
    os.replace(yard.root / "b.db", yard.root / "a.db")
    assert yard.one(yard.open("a.db"), "SELECT v FROM t") == "other"

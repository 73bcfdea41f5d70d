"""`rootcellar database encrypt|decrypt|rekey`: whole or not at all, the key kept first, and other programs open it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3  # type: ignore[import-untyped]

from keychain import ring as rings
from keychain.ring import Ring

MARK = "PLAIN-4711"
SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, b BLOB, r REAL);
CREATE TABLE w (k TEXT PRIMARY KEY, v ANY) WITHOUT ROWID;
CREATE INDEX t_v ON t (v);
CREATE VIEW seen AS SELECT v FROM t;
CREATE TRIGGER t_gone AFTER DELETE ON t BEGIN DELETE FROM w WHERE k = old.v; END;
CREATE VIRTUAL TABLE words USING fts5 (text);
INSERT INTO words VALUES ('hello world');
INSERT INTO w VALUES ('x', 1e400), ('y', x'00ff');
PRAGMA user_version = 42; PRAGMA application_id = 4711;
"""


def made(folder: Path, name: str = "a.db", page: int = 4096, journal: str = "DELETE", rows: int = 500) -> Path:
    path = folder / name
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA page_size = {page}")
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.executescript(SCHEMA)
        db.executemany(
            "INSERT INTO t (v, b, r) VALUES (?, ?, ?)", [(f"{MARK} {n}", os.urandom(40), n / 7) for n in range(rows)]
        )
        db.execute("DELETE FROM t WHERE id % 5 = 0")
        db.commit()
    return path


def content(db: Any) -> list[Any]:
    tables = ("SELECT * FROM t ORDER BY id", "SELECT * FROM w ORDER BY k", "SELECT rowid, * FROM words")
    numbers = ("PRAGMA user_version", "PRAGMA application_id")
    return [
        db.execute(sql).fetchall()
        for sql in (*tables, *numbers, "SELECT type, name, sql FROM sqlite_schema ORDER BY 2")
    ]


def plain(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return content(db)


def key_of(ring: Ring, path: Path) -> str:
    """The key as the keychain has it, read as another program would."""
    from jeepney.io.blocking import open_dbus_connection
    from secretstorage import get_default_collection

    name = f"rootcellar:database.{path.read_bytes()[:16].hex()}"
    with open_dbus_connection(ring.address) as connection:
        (item,) = get_default_collection(connection).search_items({"service": name})
        value: bytes = item.get_secret()
    return value.decode()


def sqlcipher(path: Path, key: str) -> sqlcipher3.Connection:
    connection = sqlcipher3.connect(str(path), isolation_level=None)
    literal = key.replace("'", "''")
    connection.execute(f"PRAGMA key = '{literal}'")
    return connection


def told(ring: Ring, *words: str, said: str = "") -> Any:
    return json.loads(ring.run(*words, "--json", said=said).stdout)


@pytest.mark.parametrize(("page", "journal"), [(4096, "DELETE"), (1024, "WAL"), (16384, "DELETE")])
def test_a_database_is_encrypted_rekeyed_and_decrypted_and_is_the_same(
    keyring: Ring, tmp_path: Path, page: int, journal: str
) -> None:
    path = made(tmp_path, page=page, journal=journal)
    path.chmod(0o640)
    before = plain(path)
    assert MARK.encode() in path.read_bytes()
    assert told(keyring, "database", "encrypt", str(path))["rows"] >= 400
    assert MARK.encode() not in path.read_bytes()
    assert not path.read_bytes().startswith(b"SQLite format 3")
    first = key_of(keyring, path)
    with closing(sqlcipher(path, first)) as other:
        assert content(other) == before
        assert other.execute("PRAGMA journal_mode").fetchone() == (journal.lower(),)
    assert "rows" in told(keyring, "database", "rekey", str(path))
    second = key_of(keyring, path)
    assert second != first
    with closing(sqlcipher(path, second)) as other:
        assert content(other) == before
    moved = path.rename(tmp_path / "moved.db")
    assert "rows" in told(keyring, "database", "decrypt", str(moved))
    assert plain(moved) == before
    assert moved.stat().st_mode & 0o777 == 0o640
    with closing(sqlite3.connect(moved)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == (journal.lower(),)
        assert db.execute("SELECT text FROM words WHERE words MATCH 'hello'").fetchone() == ("hello world",)
    assert {one.name for one in tmp_path.iterdir()} <= {"moved.db", "moved.db-wal", "moved.db-shm"}


def test_the_key_is_found_where_the_file_goes_and_not_given_to_what_takes_its_place(
    keyring: Ring, tmp_path: Path
) -> None:
    path = made(tmp_path)
    with closing(sqlcipher(tmp_path / "theirs.db", "their key")) as other:
        other.execute("CREATE TABLE t (v)")
    told(keyring, "database", "encrypt", str(path))
    (tmp_path / "deep").mkdir()
    shutil.copy(path, tmp_path / "copy.db")
    moved = path.rename(tmp_path / "deep" / "b.db")
    shutil.copy(tmp_path / "theirs.db", path)
    for found in (moved, tmp_path / "copy.db"):
        assert all(check["ok"] for check in told(keyring, "secret", "test", "--database", str(found))["checks"])
    other_file = told(keyring, "secret", "test", "--database", str(path))["checks"][1]
    assert not other_file["ok"]
    assert "secret set --database" in other_file["then"]
    assert told(keyring, "secret", "set", "--database", str(path), said="wrong")["reason"] == "needs_key"
    assert told(keyring, "secret", "set", "--database", str(path), said="their key\n")["kept"] is True
    assert told(keyring, "secret", "test", "--database", str(path))["checks"][1]["ok"]
    assert told(keyring, "secret", "remove", "--database", str(path))["removed"]
    assert not told(keyring, "secret", "test", "--database", str(path))["checks"][1]["ok"]


KEYS = {
    "raw": f"x'{bytes(range(32)).hex()}'",
    "raw-with-salt": f"x'{bytes(range(48)).hex()}'",
    "phrase": 'it\'s a "phrase" π',
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys_of_each_kind_are_asked_for_and_open_in_another_program(keyring: Ring, tmp_path: Path, key: str) -> None:
    path = made(tmp_path)
    before = plain(path)
    assert "rows" in told(keyring, "database", "encrypt", "--ask", str(path), said=key)
    with closing(sqlcipher(path, key)) as other:
        assert content(other) == before
    theirs = tmp_path / "theirs.db"
    with closing(sqlcipher(theirs, key)) as other:
        other.execute("CREATE TABLE t (v)")
        other.execute("INSERT INTO t VALUES ('theirs')")
    assert told(keyring, "secret", "set", "--database", str(theirs), said=key)["kept"] is True
    assert "rows" in told(keyring, "database", "decrypt", str(theirs))
    with closing(sqlite3.connect(theirs)) as db:
        assert db.execute("SELECT v FROM t").fetchone() == ("theirs",)


@pytest.mark.parametrize("way", ["at-once", "forgetful", "rude", "deaf"])
def test_without_a_keychain_that_keeps_the_key_the_file_stays_as_it_is(way: str, tmp_path: Path) -> None:
    path = made(tmp_path)
    before = path.read_bytes(), path.stat().st_ino
    with rings.odd(way) as ring:
        assert told(ring, "database", "encrypt", str(path), "--wait", "1")["reason"].startswith("keychain")
    assert (path.read_bytes(), path.stat().st_ino) == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.db"]


def test_a_database_that_others_use_is_not_touched(keyring: Ring, tmp_path: Path) -> None:
    for journal, sql in (("WAL", "SELECT count(*) FROM t"), ("DELETE", "BEGIN IMMEDIATE")):
        path = made(tmp_path, f"{journal}.db", journal=journal)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute(sql).fetchall()
            assert told(keyring, "database", "encrypt", str(path))["reason"] == "busy"
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == (journal.lower(),)
        assert "rows" in told(keyring, "database", "encrypt", str(path))


def test_a_writer_that_kept_the_old_file_open_is_told_and_loses_nothing_silently(keyring: Ring, tmp_path: Path) -> None:
    path = made(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("SELECT count(*) FROM t").fetchall()
        assert "rows" in told(keyring, "database", "encrypt", str(path))
        with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only|attempt to write"):
            other.execute("INSERT INTO t (v) VALUES ('lost')")


REFUSED = [
    ("encrypt", "encrypted.db", "argument"),
    ("decrypt", "plain.db", "argument"),
    ("rekey", "plain.db", "argument"),
    ("encrypt", "no.db", "not_found"),
    ("encrypt", "text.txt", "not_a_database"),
    ("encrypt", "cut.db", "truncated"),
    ("decrypt", "unknown.db", "needs_key"),
    ("encrypt", ".", "type"),
]


@pytest.fixture(scope="module")
def shelf(keyring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    made(folder, "plain.db")
    told(keyring, "database", "encrypt", str(made(folder, "encrypted.db")))
    (folder / "text.txt").write_text("no database\n" * 100)
    (folder / "cut.db").write_bytes(made(folder, "whole.db").read_bytes()[:-4096])
    with closing(sqlcipher(folder / "unknown.db", "unknown")) as other:
        other.execute("CREATE TABLE t (v)")
    return folder


@pytest.mark.parametrize(("verb", "name", "reason"), REFUSED)
def test_what_cannot_be_meant_is_refused(keyring: Ring, shelf: Path, verb: str, name: str, reason: str) -> None:
    before = {one.name: hashlib.sha256(one.read_bytes()).digest() for one in shelf.iterdir()}
    assert told(keyring, "database", verb, str(shelf / name))["reason"] == reason
    assert {one.name: hashlib.sha256(one.read_bytes()).digest() for one in shelf.iterdir()} == before


def killed_somewhere(keyring: Ring, path: Path, delay: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rootcellar", "database", "encrypt", str(path)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=keyring.env, start_new_session=True,
    )  # fmt: skip
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.full)])
def test_killed_at_any_moment_the_file_is_the_old_one_or_the_new_one_with_its_key(
    keyring: Ring, tmp_path: Path, count: int
) -> None:
    ends = {"old": 0, "new": 0}
    for n in range(count):
        path = made(tmp_path, f"{n}.db", rows=4000)
        before = plain(path)
        killed_somewhere(keyring, path, 0.3 + 1.2 * n / count)
        if path.read_bytes().startswith(b"SQLite format 3"):
            ends["old"] += 1
            assert plain(path) == before
        else:
            ends["new"] += 1
            with closing(sqlcipher(path, key_of(keyring, path))) as other:
                assert content(other) == before
    print(ends)

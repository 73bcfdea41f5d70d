"""Encrypted databases are undone like any other, and nothing of them lies in the journal in plain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlcipher3  # type: ignore[import-untyped]

from journal.dbcellar import DbCellar
from rootcellar.errors import NeedsKey
from rootcellar.journal.changes import Change
from rootcellar.sqlite import Databases, Key, Query

RAW = bytes(range(32))


class Keys:
    """One key for every database here."""

    def __init__(self) -> None:
        self.key: Key | None = Key.raw(RAW)

    def key_for(self, database: str, salt: bytes) -> Key | None:
        return self.key


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[DbCellar]:
    databases = Databases(Keys())
    made = DbCellar(tmp_path.resolve(), databases)
    yield made
    made.close()
    databases.close()


def dump(path: Path) -> list[str]:
    other = sqlcipher3.connect(str(path))
    other.execute(f"PRAGMA key = \"x'{RAW.hex()}'\"")
    tables = other.execute("SELECT name, sql FROM sqlite_schema ORDER BY rowid").fetchall()
    found = [str(other.execute(f"SELECT rowid, * FROM {name} ORDER BY rowid").fetchall()) for name, _ in tables]
    found += [str(tables), str(other.execute("PRAGMA integrity_check").fetchall())]
    other.close()
    return found


def all_bytes(change: Change, cellar: DbCellar) -> bytes:
    kept = b"".join(cellar.store.read(one.hash, 1 << 26) for step in change.steps for one in step.contents)
    return kept + repr(change).encode()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_change_of_an_encrypted_database_is_undone_and_lies_nowhere_in_plain(locked: DbCellar, mode: str) -> None:
    path = locked.root / "a.db"
    other = sqlcipher3.connect(str(path))
    other.execute(f"PRAGMA key = \"x'{RAW.hex()}'\"")
    other.execute(f"PRAGMA journal_mode = {mode}")
    other.executescript(
        "CREATE TABLE PLAINTEXT (PLAINWORD INTEGER PRIMARY KEY, v);"
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300) INSERT INTO PLAINTEXT SELECT x, 'PLAIN' || x FROM c"
    )
    other.close()
    for sql in (
        "UPDATE PLAINTEXT SET v = 'PLAINER' || v WHERE PLAINWORD < 200",
        "DELETE FROM PLAINTEXT WHERE PLAINWORD = 7; INSERT INTO PLAINTEXT VALUES (7777, 'PLAINEST')",
        "CREATE TABLE PLAINEST AS SELECT * FROM PLAINTEXT",
        "DROP TABLE PLAINTEXT",
    ):
        before = dump(path)
        change = locked.done("a.db", sql)
        after = dump(path)
        undone = locked.undo(change.id)
        assert undone is not None
        assert dump(path) == before
        locked.undo(undone.id)
        assert dump(path) == after
        locked.undo(change.id)
        assert b"PLAIN" not in all_bytes(change, locked) + all_bytes(undone, locked)
        assert "encrypted" in locked.journal.show(change)[0]
    for found in (locked.place / "journal").rglob("*"):
        assert found.is_dir() or b"PLAIN" not in found.read_bytes(), f"{found.name} holds plain text"


def test_a_new_encrypted_database_is_undone_and_made_again(locked: DbCellar) -> None:
    change = locked.change("new.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", create=True)
    assert change is not None
    undone = locked.undo(change.id)
    assert undone is not None
    assert list(locked.root.iterdir()) == []
    locked.undo(undone.id)
    assert locked.databases.open(locked.entry("new.db")).cells(Query("SELECT a FROM t")).rows == ((1,),)


def test_what_was_kept_under_another_key_is_refused_and_says_so(tmp_path: Path) -> None:
    keys = Keys()
    databases = Databases(keys)
    cellar = DbCellar(tmp_path.resolve(), databases)
    first = cellar.change("a.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", create=True)
    assert first is not None
    change = cellar.done("a.db", "UPDATE t SET a = 2")
    databases.close()
    other = sqlcipher3.connect(str(cellar.root / "a.db"))
    other.execute(f"PRAGMA key = \"x'{RAW.hex()}'\"")
    other.execute(f"PRAGMA rekey = \"x'{bytes(32).hex()}'\"")
    other.close()
    cellar.close()
    keys.key = Key.raw(bytes(32))
    databases = Databases(keys)
    cellar = DbCellar(tmp_path.resolve(), databases)
    with pytest.raises(NeedsKey, match="encrypted with another key"):
        cellar.undo(change.id)
    cellar.close()
    databases.close()

"""Changes of databases are recorded before they are kept, and undone to the last bit, in any order that is free."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from journal.dbcellar import DbCellar
from rootcellar.errors import InTheWay, Refusal, Stale, TooLargeToKeep
from rootcellar.journal.changes import Filter
from rootcellar.journal.undo import Chain
from rootcellar.sqlite import Databases, Run
from sqlite.dbyard import MUSIC

SHOP = (
    MUSIC
    + """
INSERT INTO artist SELECT value, 'Artist ' || value FROM json_each('[1,2,3,4,5,6,7,8,9]');
INSERT INTO album SELECT id, 'Album ' || id, id FROM artist;
INSERT INTO track SELECT album.id * 10 + value, album.id, 'Song', 1.5, 9007199254740993, x'00ff' FROM album, json_each('[1,2,3]');
"""
)


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    made = Databases()
    yield made
    made.close()


@pytest.fixture
def cellar(tmp_path: Path, databases: Databases) -> Iterator[DbCellar]:
    made = DbCellar(tmp_path.resolve(), databases)
    yield made
    made.close()


def state(path: Path) -> list[Any]:
    """All that another program sees: the schema in its order, every row with rowid and types, checks, numbers."""
    with closing(sqlite3.connect(path)) as other:
        other.text_factory = bytes
        found: list[Any] = other.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid"
        ).fetchall()
        for name, sql in other.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall():
            quoted, upper = '"' + name.decode().replace('"', '""') + '"', (sql or b"").upper()
            key = "" if b"WITHOUT ROWID" in upper or b"VIRTUAL" in upper else "rowid, "
            columns = [row[1].decode() for row in other.execute(f"PRAGMA table_xinfo({quoted})") if row[6] != 1]
            types = ", ".join("typeof({})".format('"' + column.replace('"', '""') + '"') for column in columns)
            found.append(
                (name, [repr(row) for row in other.execute(f"SELECT {key}*, {types} FROM {quoted} ORDER BY 1, 2")])
            )
        pragmas = ("integrity_check", "foreign_key_check", "user_version", "application_id", "journal_mode")
        return found + [(pragma, other.execute(f"PRAGMA {pragma}").fetchall()) for pragma in pragmas]


# Anything that rows can tell

SCHEMAS = {
    "plain": ("CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (NULL, NULL)"),
    "key": ("CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE)", "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (-5, 'z')"),
    "autoincrement": ("CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b)", "INSERT INTO t(b) VALUES (1), (2)"),
    "descending key": ("CREATE TABLE t (a INTEGER PRIMARY KEY DESC, b)", "INSERT INTO t VALUES (7, 1), (3, 2)"),
    "null in the key": ("CREATE TABLE t (a, b, PRIMARY KEY (a, b))", "INSERT INTO t VALUES (NULL, 1), (NULL, 1), (2, 2)"),
    "without rowid": ("CREATE TABLE t (b, a TEXT COLLATE NOCASE PRIMARY KEY) WITHOUT ROWID", "INSERT INTO t VALUES (1, 'a'), (2, 'B')"),
    "two keys without rowid": ("CREATE TABLE t (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID", "INSERT INTO t VALUES (1, 2), (1.5, x'00')"),
    "generated": (
        "CREATE TABLE t (a, v AS (a || 'v'), b REAL, s AS (b * 2) STORED UNIQUE)",
        "INSERT INTO t(a, b) VALUES ('x', 1), ('y', 2)",
    ),
    "generated without rowid": ("CREATE TABLE t (a PRIMARY KEY, b, v AS (b + 1)) WITHOUT ROWID", "INSERT INTO t VALUES (1, 2), (3, 4)"),
    "strict": ("CREATE TABLE t (a INT, b ANY) STRICT", "INSERT INTO t VALUES (1, 1.0), (2, '1')"),
    "rowid is taken": ("CREATE TABLE t (rowid TEXT, a, b)", "INSERT INTO t VALUES ('r', 1, 2)"),
    "all rowids are taken": ("CREATE TABLE t (rowid TEXT, _rowid_ TEXT, oid TEXT, a, b)", "INSERT INTO t(a, b) VALUES (1, 2)"),
    "a late column": ("CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, 2); ALTER TABLE t ADD COLUMN c REAL DEFAULT 5"),
    "replaces": (
        "CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE, b NOT NULL ON CONFLICT IGNORE)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
    ),
    "checks": ("CREATE TABLE t (a, b CHECK (b > 0))", "PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (1, -1), (2, 3)"),
    "itself": (
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE)",
        "INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2)",
    ),
    "triggers": (
        "CREATE TABLE t (a, b); CREATE TABLE log (n INTEGER PRIMARY KEY, what);" + """
        CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log(what) VALUES ('i' || new.a); END;
        CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO log(what) VALUES ('u' || new.a); END;
        CREATE TRIGGER d AFTER DELETE ON t BEGIN INSERT INTO log(what) VALUES ('d' || old.a); END""",
        "INSERT INTO t VALUES (1, 2), (3, 4)",
    ),
    "index on words": ("CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (lower(a)) WHERE b > 1", "INSERT INTO t VALUES ('A', 2), ('a', 1)"),
    "a table called carray": ("CREATE TABLE carray (a); CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, 2)"),
    "utf-16": ("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a, b)", "INSERT INTO t VALUES ('é€', 1)"),
    "odd text": ("CREATE TABLE t (a TEXT, b)", "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), CAST(x'00ff' AS TEXT)), (x'41', -0.0)"),
    "odd key": ("CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), 1), ('x', 2)"),
    "trims itself": ("PRAGMA auto_vacuum = FULL; CREATE TABLE t (a, b)", "INSERT INTO t VALUES (1, zeroblob(20000)), (2, 3)"),
}  # fmt: skip
CHANGES = [
    "UPDATE t SET b = 77",
    "UPDATE t SET b = a, a = b WHERE a IS NOT 3",
    "DELETE FROM t",
    "DELETE FROM t WHERE a = 1; INSERT INTO t(a, b) VALUES (1, 5)",
    "INSERT INTO t(a, b) VALUES (1e300, 1)",
    "INSERT OR REPLACE INTO t(a, b) SELECT a, b FROM t",
    "UPDATE t SET a = -9223372036854775807 WHERE a = 1; UPDATE t SET b = 1.0 WHERE b = 1",
    "PRAGMA user_version = 5; PRAGMA application_id = 6; UPDATE t SET a = a",
    "CREATE TABLE z AS SELECT * FROM t; UPDATE t SET b = 3",
    "CREATE INDEX zi ON t (b); CREATE VIEW zv AS SELECT * FROM t; CREATE TRIGGER zt AFTER DELETE ON t BEGIN SELECT 1; END",
    "ALTER TABLE t RENAME TO z",
    "DROP TABLE t",
    "ANALYZE",
    "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f SELECT a FROM t",
    "CREATE VIRTUAL TABLE r USING rtree(i, x, y); INSERT INTO r VALUES (1, 2, 3)",
]  # fmt: skip


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_change_of_any_schema_is_undone_and_done_again_to_the_last_bit(
    cellar: DbCellar, schema: str, mode: str
) -> None:
    made, filled = SCHEMAS[schema]
    path = cellar.make("a.db", f"{made}; PRAGMA journal_mode = {mode}; {filled}")
    refused = 0
    for sql in CHANGES:
        before = state(path)
        try:
            change = cellar.change("a.db", sql)
        except Refusal as refusal:
            print(sql, refusal)
            refused += 1
            assert state(path) == before, f"{sql}: refused, and something is different"
            continue
        after = state(path)
        assert (change is None) <= (after == before), sql
        if change is None:
            continue
        undone = cellar.undo(change.id)
        assert state(path) == before, f"{sql}: undone"
        assert undone is not None
        cellar.undo(undone.id)
        assert state(path) == after, f"{sql}: done again"
        cellar.undo(change.id)
        assert state(path) == before, f"{sql}: undone again"
    assert refused <= 7, "most of them must have been made"


def test_an_undo_in_another_order_is_free_where_rows_are_others_and_refused_where_they_are_not(
    cellar: DbCellar,
) -> None:
    path = cellar.make("a.db", SHOP)
    before = state(path)
    first = cellar.done("a.db", "UPDATE artist SET name = 'x' WHERE id = 1")
    second = cellar.done("a.db", "UPDATE artist SET name = 'y' WHERE id = 2")
    third = cellar.done("a.db", "UPDATE artist SET name = 'z' WHERE id = 1")
    cellar.undo(second.id)
    with pytest.raises(InTheWay, match=third.id):
        cellar.undo(first.id)
    cellar.undo(first.id, chain=Chain.LATER)
    assert state(path) == before


def test_a_large_change_is_undone_beside_others_and_refused_where_its_rows_were_changed(cellar: DbCellar) -> None:
    path = cellar.make(
        "a.db",
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b); WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000) INSERT INTO t SELECT x, x FROM c",
    )
    before = state(path)
    large = cellar.done("a.db", "UPDATE t SET b = -b WHERE a <= 1000")
    beside = cellar.done("a.db", "UPDATE t SET b = 0 WHERE a = 1500")
    over = cellar.done("a.db", "UPDATE t SET b = 0 WHERE a = 700")
    with pytest.raises(Stale, match="row 700 of `t` is no longer as the change left it"):
        cellar.undo(large.id)
    cellar.undo(over.id)
    cellar.undo(large.id)
    cellar.undo(beside.id)
    assert state(path) == before


LATER = [
    ("INSERT INTO artist VALUES (100, 'new')", "INSERT INTO album VALUES (500, 'a', 100)", "refer"),
    ("DELETE FROM track WHERE album_id = 3", "DELETE FROM album WHERE id = 3", "refer"),
    ("DELETE FROM track WHERE id = 11", "INSERT INTO track(id, name) VALUES (11, 'other')", "in the way"),
    ("UPDATE artist SET name = 'x' WHERE id = 1", "UPDATE artist SET name = 'y' WHERE id = 1", "no longer as"),
    ("UPDATE artist SET name = 'x' WHERE id = 1", "ALTER TABLE artist ADD COLUMN born", "altered"),
    ("PRAGMA user_version = 3", "PRAGMA user_version = 4", "set to something else"),
    ("CREATE TABLE z (a)", "INSERT INTO z VALUES (1)", "has more in it"),
    ("CREATE TABLE z (a)", "DROP TABLE z", "altered or dropped"),
    ("CREATE TABLE z (a)", "CREATE INDEX zi ON z (a)", "has more in it"),
    ("DROP VIEW song", "UPDATE artist SET name = 'y' WHERE id = 1", "was changed since"),
]


@pytest.mark.parametrize(("sql", "later", "words"), LATER)
def test_an_undo_never_clobbers_what_another_program_did_since(
    cellar: DbCellar, sql: str, later: str, words: str
) -> None:
    path = cellar.make("a.db", SHOP)
    change = cellar.done("a.db", sql)
    with closing(sqlite3.connect(path)) as other:
        other.execute(later)
        other.commit()
    left = state(path)
    with pytest.raises(Stale, match=words):
        cellar.undo(change.id)
    with pytest.raises(Stale, match=words):
        cellar.preview(change.id)
    assert state(path) == left


def test_the_users_triggers_do_not_fire_when_a_change_is_undone(cellar: DbCellar) -> None:
    path = cellar.make("a.db", SCHEMAS["triggers"][0] + ";" + SCHEMAS["triggers"][1])
    before = state(path)
    change = cellar.done("a.db", "DELETE FROM t; INSERT INTO t VALUES (9, 9)")
    cellar.undo(change.id)
    assert state(path) == before


def test_a_database_that_a_change_made_goes_when_the_change_is_undone_and_comes_again(cellar: DbCellar) -> None:
    change = cellar.change("new.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1)", create=True)
    assert change is not None
    made = state(cellar.root / "new.db")
    undone = cellar.undo(change.id)
    assert undone is not None
    assert list(cellar.root.iterdir()) == []
    cellar.undo(undone.id)
    assert state(cellar.root / "new.db") == made


def test_a_database_that_a_change_made_stays_when_there_is_more_in_it_since(cellar: DbCellar) -> None:
    change = cellar.change("new.db", "CREATE TABLE t (a)", create=True)
    assert change is not None
    with closing(sqlite3.connect(cellar.root / "new.db")) as other:
        other.execute("INSERT INTO t VALUES (1)")
        other.commit()
    with pytest.raises(Stale, match="was changed since"):
        cellar.undo(change.id)


def test_a_new_database_that_nothing_came_of_leaves_no_file(cellar: DbCellar) -> None:
    with pytest.raises(Refusal):
        cellar.change("new.db", "CREATE TABLE t (", create=True)
    assert list(cellar.root.iterdir()) == []


def test_a_change_that_touches_no_row_leaves_no_record(cellar: DbCellar) -> None:
    cellar.make("a.db", SHOP)
    assert cellar.change("a.db", "DELETE FROM artist WHERE id = 12345") is None


def test_what_an_undo_would_do_is_shown_row_by_row(cellar: DbCellar) -> None:
    cellar.make("a.db", SHOP)
    change = cellar.done("a.db", "UPDATE artist SET name = 'x' WHERE id = 1; DELETE FROM track WHERE id = 11")
    assert cellar.preview(change.id)[0].splitlines() == [
        "`a.db`: 2 rows put back", "updated artist: 1|x -> Artist 1", "inserted track: 11|1|Song|1.5|9007199254740993|<blob 2 bytes 00ff>",
    ]  # fmt: skip
    assert cellar.journal.show(change)[0].splitlines() == [
        "changed the database `a.db`: 1 row in artist, 1 row in track", "updated artist: 1|Artist 1 -> x",
        "deleted track: 11|1|Song|1.5|9007199254740993|<blob 2 bytes 00ff>",
    ]  # fmt: skip


def test_what_is_too_large_to_keep_is_told_before_anything_is_changed(
    cellar: DbCellar, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cellar.make("a.db", SHOP)
    before = state(path)
    monkeypatch.setattr("rootcellar.limits.WHOLE_BYTES_MAX", 1000)
    with pytest.raises(TooLargeToKeep, match=r"a copy of `a\.db` would be kept"):
        cellar.change("a.db", "DROP TABLE track")
    assert state(path) == before
    assert cellar.done("a.db", "DELETE FROM track")


def test_an_undo_reads_and_writes_a_database_that_others_have_open(cellar: DbCellar) -> None:
    for mode in ("delete", "wal"):
        path = cellar.make(f"{mode}.db", f"PRAGMA journal_mode = {mode};" + SHOP)
        with closing(sqlite3.connect(path)) as other:
            count = "SELECT count(*) FROM sqlite_schema"
            assert other.execute(count).fetchone() == (6,)
            change = cellar.done(f"{mode}.db", "DROP VIEW song")
            assert other.execute(count).fetchone() == (5,)
            cellar.undo(change.id)
            assert other.execute(count).fetchone() == (6,)


IMPORTS = [
    ("artist", "id,name\n50,new\n51,newer\n"),
    ("fresh", "a,b\n1,x\n2,y\n"),
    ("words", "x\nhello\nworld\n"),
]


@pytest.mark.parametrize(("table", "text"), IMPORTS, ids=[table for table, _ in IMPORTS])
def test_an_import_is_undone_and_done_again(cellar: DbCellar, table: str, text: str) -> None:
    path = cellar.make("a.db", SHOP + "CREATE VIRTUAL TABLE words USING fts5(x);")
    (cellar.root / "rows.csv").write_text(text)
    before = state(path)
    change = cellar.imported("a.db", "rows.csv", table)
    after = state(path)
    assert after != before
    undone = cellar.undo(change.id)
    assert undone is not None
    assert state(path) == before
    cellar.undo(undone.id)
    assert state(path) == after


def test_a_dry_run_counts_what_triggers_and_cascades_do_and_leaves_nothing(cellar: DbCellar) -> None:
    path = cellar.make("a.db", SHOP)
    before = state(path)
    dry = cellar.databases.open(cellar.entry("a.db")).change("DELETE FROM album WHERE id <= 2", run=Run.DRY)
    assert dry.text().splitlines()[:5] == [
        "Dry run, rolled back; it would change: 2 rows in album, 6 rows in track (triggers, references) (write)",
        "For example:", "deleted album: 1|Album 1|1", "deleted album: 2|Album 2|2",
        "deleted track: 11|1|Song|1.5|9007199254740993|<blob 2 bytes 00ff>",
    ]  # fmt: skip
    assert state(path) == before
    assert not cellar.store.changes(Filter()).changes


def test_a_damaged_or_missing_database_refuses_its_undo_and_says_so(cellar: DbCellar) -> None:
    path = cellar.make("a.db", SHOP)
    change = cellar.done("a.db", "DELETE FROM track")
    path.rename(path.with_name("b.db"))
    with pytest.raises(Stale, match=r"`a\.db` is gone"):
        cellar.undo(change.id)

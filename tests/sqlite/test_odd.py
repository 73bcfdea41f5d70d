"""Databases and files as they are found: broken views, names and texts that are no UTF-8, headers that are none."""

from __future__ import annotations

import csv
import time
from typing import Any

import pytest

from rootcellar import errors
from rootcellar.sqlite import Import, Query
from sqlite.dbyard import Yard

BROKEN = "CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE VIEW broken AS SELECT nope FROM nowhere;"


def test_a_view_of_tables_that_are_gone_hides_nothing_else(yard: Yard) -> None:
    yard.make("a.db", BROKEN)
    database = yard.open("a.db")
    told = database.describe()
    assert "view broken\n  unreadable: no such table: main.nowhere" in told
    assert "t (1 row)\n  a" in told
    assert "CREATE VIEW broken" in database.describe("broken", 3)
    with pytest.raises(errors.BadSql, match=r"no such column: b .*`a`"):
        database.query(Query("SELECT b FROM t"))


def test_names_that_are_not_utf8_are_refused_and_no_worker_dies_of_them(yard: Yard) -> None:
    path = yard.make("a.db", "CREATE TABLE t (abc TEXT, def INT); INSERT INTO t VALUES ('a', 1);")
    path.write_bytes(path.read_bytes().replace(b"abc TEXT", b"a\xffc TEXT"))
    database = yard.open("a.db")
    for act in (database.describe, lambda: database.query(Query("SELECT * FROM t"))):
        with pytest.raises(errors.NotText, match="not UTF-8"):
            act()
    assert yard.one(database, "SELECT def AS d FROM t") == 1
    path = yard.make("b.db", "CREATE TABLE t (abc TEXT)")
    path.write_bytes(
        path.read_bytes().replace(b"CREATE TABLE t ", b"CREATE TABLE \xff ").replace(b"tablett", b"table\xff\xff")
    )
    with pytest.raises(errors.BadSql, match="no such table: t"):
        yard.open("b.db").query(Query("SELECT * FROM t"))
    assert yard.one(yard.open("b.db"), "SELECT count(*) FROM sqlite_schema") == 1


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_list_names_tables_of_every_encoding_and_no_inner_ones(yard: Yard, encoding: str) -> None:
    yard.make("a.db", f"PRAGMA encoding = '{encoding}'; CREATE TABLE née (a); CREATE VIRTUAL TABLE ft USING fts5(a);")
    (listing,) = yard.databases.list(yard.entry("."))
    assert listing.tables == ("née", "ft")


PARAMS = [
    ("SELECT :a, :b", {"a": 1}, "no value for 'b'"),
    ("SELECT ?", {"a": 1}, "no name"),
    ("SELECT ?", (1, 2), "takes 1, 2 were given"),
    ("SELECT ?, ?", (1,), "takes 2, 1 were given"),
]


@pytest.mark.parametrize(("sql", "params", "words"), PARAMS, ids=[row[0] + str(row[1]) for row in PARAMS])
def test_parameters_that_do_not_fit_are_refused(yard: Yard, sql: str, params: Any, words: str) -> None:
    yard.make("a.db", "CREATE TABLE t (a)")
    database = yard.open("a.db")
    for act in (lambda: database.query(Query(sql, params)), lambda: database.change(sql, params)):
        with pytest.raises(errors.BadArgument, match=words):
            act()


FILES = [
    ("a.csv", "a;b\n1;x\n", ("a", "b"), [(1, "x")]),
    ("a.txt", "a\tb\n1\tx\n", ("a", "b"), [(1, "x")]),
    ("a", '{"a": 1, "b": "x"}\n', ("a", "b"), [(1, "x")]),
    ("a.txt", '\n[{"a": 1, "b": "x"}]', ("a", "b"), [(1, "x")]),
    ("a.csv", "a,a,\n1,2,3\n", ("a", "a_2", "column3"), [(1, 2, 3)]),
    ("a.csv", "x,x\ny,z\n", ("column1", "column2"), [("x", "x"), ("y", "z")]),
]


@pytest.mark.parametrize(("name", "text", "columns", "rows"), FILES, ids=[row[1][:12] for row in FILES])
def test_a_file_is_taken_for_what_it_is(
    yard: Yard, name: str, text: str, columns: tuple[str, ...], rows: list[Any]
) -> None:
    yard.make("a.db")
    (yard.root / "a.db").write_bytes(b"")
    (yard.root / name).write_text(text)
    database = yard.databases.create(yard.entry("a.db"))
    assert database.import_file(yard.entry(name), Import("t")).columns == columns
    assert yard.bare("a.db", "SELECT * FROM t") == rows


def test_lines_that_are_no_json_are_bad_rows_like_others(yard: Yard) -> None:
    (yard.root / "in.jsonl").write_text('{"a": 1}\nnot json\n{"a": 2}\n')
    database = yard.databases.create(yard.entry("a.db"))
    with pytest.raises(errors.Constraint, match="line 2: not JSON"):
        database.import_file(yard.entry("in.jsonl"), Import("t"))
    done = database.import_file(yard.entry("in.jsonl"), Import("t", skip_bad=True))
    assert (done.rows, done.bad_count) == (2, 1)
    assert done.bad[0].startswith("line 2: not JSON")


def test_what_was_exported_can_be_imported(yard: Yard) -> None:
    yard.music()
    database = yard.open("music.db")
    for form in ("csv", "tsv", "json", "jsonl"):
        database.export("SELECT id, title FROM album", (), yard.entry(f"album.{form}"), "")
        database.import_file(yard.entry(f"album.{form}"), Import(f"again_{form}"))
        assert yard.bare("music.db", f"SELECT * FROM again_{form}") == yard.bare(
            "music.db", "SELECT id, title FROM album"
        )
    with (yard.root / "album.csv").open(newline="") as source:
        assert next(csv.reader(source)) == ["id", "title"]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_sound_text_beside_text_that_is_none_is_read_and_found(yard: Yard, encoding: str) -> None:
    bad = {"UTF-8": "61ff", "UTF-16le": "00d86100", "UTF-16be": "d8000061"}[encoding]
    yard.make(
        "a.db",
        f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('héllo a'), (CAST(x'{bad}' AS TEXT));",
    )
    database = yard.open("a.db")
    assert database.query(Query("SELECT v FROM t")).lines[0] == "héllo a"
    found = database.search("a")
    assert (found.searched, found.tables) == (1, 1)
    assert "t.v rowid 1: héllo a" in found.lines
    with pytest.raises(errors.BadArgument, match="longer than"):
        database.search("x" * 500)


def test_a_change_and_reads_of_a_wal_database_leave_no_side_files(yard: Yard) -> None:
    yard.make("a.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (v)")
    database = yard.open("a.db")
    for number in range(3):
        database.change("INSERT INTO t VALUES (?)", (number,))
        assert yard.one(database, "SELECT count(*) FROM t") == number + 1
    until = time.monotonic() + 20
    while yard.names() != {"a.db"} and time.monotonic() < until:
        time.sleep(0.05)
    assert yard.names() == {"a.db"}

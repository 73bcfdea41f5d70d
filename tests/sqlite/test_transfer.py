"""Files into tables and tables into files: nothing rounded, nothing half done, bad rows named by line."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from rootcellar import errors
from rootcellar.sqlite import Import, Query
from sqlite.dbyard import Taken, Yard

INFERRED = [
    ("id,name\n1,a\n2,b\n", ("id", "name"), ("INTEGER", "TEXT"), [(1, "a"), (2, "b")]),
    ("zip,n\n00123,1\n04500,2\n", ("zip", "n"), ("TEXT", "INTEGER"), [("00123", 1), ("04500", 2)]),
    ("big\n12345678901234567890\n1\n", ("big",), ("TEXT",), [("12345678901234567890",), ("1",)]),
    ("exact\n9007199254740993\n", ("exact",), ("INTEGER",), [(9007199254740993,)]),
    ("price\n0.5\n12\n\n", ("price",), ("REAL",), [(0.5,), (12.0,)]),
    ("digits\n0.12345678901234567890\n", ("digits",), ("TEXT",), [("0.12345678901234567890",)]),
    ("a,b\n1,\n,x\n", ("a", "b"), ("INTEGER", "TEXT"), [(1, ""), (None, "x")]),
    ("phone\n+49 30\n-\n1e5\n", ("phone",), ("TEXT",), [("+49 30",), ("-",), ("1e5",)]),
    ('q\n"a, ""b""\nc"\n', ("q",), ("TEXT",), [('a, "b"\nc',)]),
    ("1,2\n3,4\n", ("column1", "column2"), ("INTEGER", "INTEGER"), [(1, 2), (3, 4)]),
    ("\ufeffid,naïve\n1,é\n", ("id", "naïve"), ("INTEGER", "TEXT"), [(1, "é")]),
    ("neg\n-5\n0\n-0\n", ("neg",), ("TEXT",), [("-5",), ("0",), ("-0",)]),
]


@pytest.mark.parametrize(("text", "columns", "kinds", "rows"), INFERRED, ids=[row[0][:20] for row in INFERRED])
def test_types_are_inferred_only_where_every_value_survives(
    yard: Yard, text: str, columns: tuple[str, ...], kinds: tuple[str, ...], rows: list[Any]
) -> None:
    (yard.root / "in.csv").write_text(text)
    yard.make("a.db")
    done = yard.databases.create(yard.entry("a.db")).import_file(yard.entry("in.csv"), Import("t"))
    assert (done.columns, done.kinds, done.rows) == (columns, kinds, len(rows))
    assert yard.bare("a.db", "SELECT * FROM t") == rows


def test_a_value_far_down_that_does_not_fit_starts_over_and_loses_nothing(yard: Yard) -> None:
    lines = [f"{n},{n}.5" for n in range(30_000)] + ["007,1.5", "30001,n/a"]
    (yard.root / "in.csv").write_text("id,x\n" + "\n".join(lines) + "\n")
    done = yard.databases.create(yard.entry("a.db")).import_file(yard.entry("in.csv"), Import("t"))
    assert done.kinds == ("TEXT", "TEXT")
    assert [",".join(row) for row in yard.bare("a.db", "SELECT * FROM t")] == lines


BAD = [
    ("id,v\n1,a\n2,b,c\n3,d\n", ["line 3: 3 values for 2 columns"]),
    ('id,v\n1,"two\nlines"\n2\n3,x\n', ["line 4: 1 values for 2 columns"]),
    (
        "id,v\n1,a\n1,b\n2,c\n2,d\n",
        ["line 3: UNIQUE constraint failed: t.id", "line 5: UNIQUE constraint failed: t.id"],
    ),
    ("id,v\n1,\n", ["line 2: CHECK constraint failed: v <> ''"]),
]


@pytest.mark.parametrize(("text", "told"), BAD)
def test_bad_rows_are_named_by_line_and_nothing_is_imported(yard: Yard, text: str, told: list[str]) -> None:
    yard.make("a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> ''))")
    (yard.root / "in.csv").write_text(text)
    database = yard.open("a.db")
    with pytest.raises(errors.Constraint) as refused:
        database.import_file(yard.entry("in.csv"), Import("t"))
    assert all(line in refused.value.message for line in told)
    assert yard.bare("a.db", "SELECT count(*) FROM t") == [(0,)]
    done = database.import_file(yard.entry("in.csv"), Import("t", skip_bad=True))
    assert list(done.bad) == told
    good = [row for number, row in enumerate(text.splitlines()[1:], 2)]
    assert done.rows + done.bad_count <= len(good)
    assert yard.bare("a.db", "SELECT count(*) FROM t") == [(done.rows,)]


OTHERS = [
    ("in.tsv", "id\tv\n1\ta b\n", [(1, "a b")]),
    ("in.jsonl", '{"id": 1, "v": "a"}\n\n{"v": 2.5}\n', [(1, "a"), (None, 2.5)]),
    ("in.json", '[{"id": 1, "v": [1, {"x": null}]}, {"id": true, "v": null}]', [(1, '[1, {"x": null}]'), (1, None)]),
]


@pytest.mark.parametrize(("name", "text", "rows"), OTHERS)
def test_other_formats_are_known_by_name(yard: Yard, name: str, text: str, rows: list[Any]) -> None:
    (yard.root / name).write_text(text)
    yard.databases.create(yard.entry("a.db")).import_file(yard.entry(name), Import("t"))
    assert yard.bare("a.db", "SELECT * FROM t") == rows


REFUSED = [
    ("in.bin", b"id\n\xff\xfe\xfa\n", errors.NotText, "not UTF-8"),
    ("in.csv", b"", errors.BadArgument, "no rows"),
    ("in.csv", b'id,v\n1,"never ends\n', errors.NotText, "line"),
    ("in.json", b'{"id": 1}', errors.BadArgument, "no list"),
    ("in.jsonl", b'{"id": 1}\n{"id": \n', errors.Constraint, "line 2: not JSON"),
    ("in.jsonl", b"1\n2\n", errors.BadArgument, "no JSON objects"),
]


@pytest.mark.parametrize(("name", "data", "kind", "words"), REFUSED)
def test_what_is_no_table_is_refused(
    yard: Yard, name: str, data: bytes, kind: type[errors.Refusal], words: str
) -> None:
    (yard.root / name).write_bytes(data)
    database = yard.databases.create(yard.entry("a.db"))
    with pytest.raises(kind, match=words):
        database.import_file(yard.entry(name), Import("t", form="csv" if name == "in.bin" else ""))
    assert yard.bare("a.db", "SELECT count(*) FROM sqlite_schema") == [(0,)]


def test_an_import_into_a_table_says_which_column_is_unknown(yard: Yard) -> None:
    yard.music()
    (yard.root / "in.csv").write_text("nme\nx\n")
    with pytest.raises(errors.BadSql, match="no column named nme") as refused:
        yard.open("music.db").import_file(yard.entry("in.csv"), Import("artist"))
    assert "`name`" in refused.value.hint


def test_a_long_import_tells_its_progress_and_can_be_taken_back(yard: Yard) -> None:
    with (yard.root / "in.csv").open("w") as sink:
        sink.write("id,v\n")
        sink.writelines(f"{n},{'x' * 100}\n" for n in range(400_000))
    taken = Taken()
    database = yard.databases.open(yard.entry(yard.music().name), taken)
    told: list[float] = []

    def progress(done: float, total: float | None, _message: str) -> None:
        told.append(done / (total or 1))
        taken.cancelled = True

    started = time.monotonic()
    with pytest.raises(errors.Cancelled):
        database.import_file(yard.entry("in.csv"), Import("t"), progress)
    taken.cancelled = False
    assert told
    assert 0 < told[0] < 1
    assert time.monotonic() - started < 5
    assert yard.bare("music.db", "SELECT count(*) FROM sqlite_schema WHERE name = 't'") == [(0,)]
    assert yard.one(database, "SELECT count(*) FROM artist") == 50


EXPORTS: list[tuple[str, Any]] = [
    ("out.csv", 'id,name,x,b\n1,"a, ""q""",0.5,00ff\n2,é,,\n'),
    ("out.tsv", 'id\tname\tx\tb\n1\t"a, ""q"""\t0.5\t00ff\n2\té\t\t\n'),
    (
        "out.jsonl",
        '{"id": 1, "name": "a, \\"q\\"", "x": 0.5, "b": "AP8="}\n{"id": 2, "name": "é", "x": null, "b": null}\n',
    ),
    (
        "out.md",
        '| id | name | x | b |\n|---|---|---|---|\n| 1 | a, "q" | 0.5 | <blob 2 bytes 00ff> |\n| 2 | é |  |  |\n',
    ),
]


@pytest.mark.parametrize(("name", "text"), EXPORTS)
def test_a_query_is_exported(yard: Yard, name: str, text: str) -> None:
    yard.make(
        "a.db",
        "CREATE TABLE t (id, name, x, b); INSERT INTO t VALUES (1, 'a, \"q\"', 0.5, x'00ff'), (2, 'é', NULL, NULL)",
    )
    done = yard.open("a.db").export("SELECT * FROM t ORDER BY id", (), yard.entry(name), "")
    assert (yard.root / name).read_text() == text
    assert (done.rows, done.bytes) == (2, len(text.encode()))
    with pytest.raises(errors.Exists):
        yard.open("a.db").export("SELECT * FROM t", (), yard.entry(name), "")


def test_an_export_as_json_is_json(yard: Yard) -> None:
    yard.music()
    yard.open("music.db").export("SELECT * FROM artist", (), yard.entry("out.json"), "")
    assert len(json.loads((yard.root / "out.json").read_text())) == 50


def test_an_export_cannot_change_anything(yard: Yard) -> None:
    yard.music()
    with pytest.raises(errors.Forbidden, match="would change"):
        yard.open("music.db").export("DELETE FROM artist RETURNING *", (), yard.entry("out.csv"), "")
    assert yard.names() == {"music.db"}


def test_an_export_to_a_database_is_one(yard: Yard) -> None:
    yard.music()
    done = yard.open("music.db").export("SELECT id, name FROM artist WHERE id <= ?", (7,), yard.entry("out.sqlite"), "")
    assert done.rows == 7
    assert yard.bare("out.sqlite", "SELECT count(*) FROM rows") == [(7,)]
    with pytest.raises(errors.Forbidden):
        yard.open("music.db").export("DELETE FROM artist RETURNING *", (), yard.entry("bad.sqlite"), "")
    assert yard.names() == {"music.db", "out.sqlite"}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_backup_is_whole_while_others_write(yard: Yard, journal: str) -> None:
    path = yard.make(
        "a.db",
        f"PRAGMA journal_mode = {journal}; CREATE TABLE a (n); CREATE TABLE b (n);",
        [("INSERT INTO a VALUES (?)", [("x" * 500,)] * 5_000), ("INSERT INTO b VALUES (?)", [("x" * 500,)] * 5_000)],
    )
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            yard.open("a.db").change("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            (yard.root / "sub").mkdir(exist_ok=True)
            done = yard.open("a.db").backup(yard.entry(f"sub/copy{number}.db"))
            assert done.bytes == (yard.root / f"sub/copy{number}.db").stat().st_size
    finally:
        over.set()
        writer.join()
    for number in range(3):
        with closing(sqlite3.connect(yard.root / f"sub/copy{number}.db")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert copy.execute("SELECT (SELECT count(*) FROM a) = (SELECT count(*) FROM b)").fetchone() == (1,)
    assert path.exists()
    assert not [name for name in (yard.root / "sub").iterdir() if "-" in name.name]


def test_a_backup_that_fails_leaves_nothing(yard: Yard) -> None:
    yard.make("a.db", "CREATE TABLE t (v); INSERT INTO t SELECT randomblob(3000) FROM json_each('[1,2,3,4,5,6,7,8]')")
    data = bytearray((yard.root / "a.db").read_bytes())
    data[4096:8192] = b"\x55" * 4096
    (yard.root / "a.db").write_bytes(data)
    with pytest.raises(errors.Corrupt):
        yard.open("a.db").backup(yard.entry("copy.db"))
    assert yard.names() == {"a.db"}


def workers_cpu_s() -> float:
    """CPU of this process's children so far, in the system's ticks of 10 ms: a worker's idle neighbours add nothing."""
    ticks = 0
    for listed in Path("/proc/self/task").glob("*/children"):
        for child in listed.read_text().split():
            with suppress(OSError):
                ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a child's CPU time is read from /proc")
def test_an_import_has_sixty_percent_of_the_speed_of_executemany(yard: Yard) -> None:
    path = yard.root / "in.csv"
    with path.open("w") as sink:
        sink.write("id,name,price,city\n")
        sink.writelines(f"{n},Customer number {n},{n / 4},City {n % 97}\n" for n in range(200_000))
    yard.make("ours.db")
    database = yard.databases.create(yard.entry("ours.db"))
    least = {"bare": 9e9, "import": 9e9}
    for number in range(4):  # in turn, by CPU time: whatever else the machine does meets both, and counts for neither
        started = time.process_time()
        with closing(sqlite3.connect(yard.root / f"bare{number}.db")) as bare, path.open(newline="") as source:
            rows = csv.reader(source)
            next(rows)
            bare.execute("CREATE TABLE t (id INTEGER, name TEXT, price REAL, city TEXT)")
            bare.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
            bare.commit()
        least["bare"] = min(least["bare"], time.process_time() - started)
        started = time.process_time() + workers_cpu_s()
        database.import_file(yard.entry("in.csv"), Import(f"t{number}"))
        least["import"] = min(least["import"], time.process_time() + workers_cpu_s() - started)
    ratio = least["bare"] / least["import"]
    print(f"import: {200_000 / least['import']:,.0f} rows a second of CPU, {ratio:.0%} of csv.reader + executemany")
    assert ratio > 0.6


def test_a_word_is_found_wherever_it_stands(yard: Yard) -> None:
    yard.make(
        "a.db",
        "CREATE TABLE note (id INTEGER PRIMARY KEY, title TEXT, body TEXT, n INT); CREATE TABLE k (k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
        "CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO note VALUES (7, 'x', 'the Walrus and 100% sure', 1);"
        "INSERT INTO k VALUES ('a', 'walrus'); INSERT INTO f VALUES ('I am the walrus');",
    )
    database = yard.open("a.db")
    found = database.search("walrus")
    assert found.lines == (
        "f.body rowid 1: I am the walrus", "k.v: walrus", "note.body rowid 7: the Walrus and 100% sure",
    )  # fmt: skip
    assert (found.searched, found.tables, found.cut) == (3, 3, "")
    assert database.search("100%").lines == ("note.body rowid 7: the Walrus and 100% sure",)
    assert not database.search("0_0").lines
    assert yard.one(database, "SELECT count(*) FROM note") == 1
    assert database.query(Query("SELECT snippet(f, 0, '[', ']', '...', 5) AS s FROM f('walrus')")).lines == (
        "I am the [walrus]",
    )

"""Answers are bounded, continued, taken back and never wait for one another."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from rootcellar import errors
from rootcellar.sqlite import Query
from rootcellar.sqlite.wire import BadText
from sqlite.dbyard import ENDLESS, ONE_OPCODE, Taken, Yard


def many(yard: Yard, rows: int = 5_000) -> None:
    yard.make(
        "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INT); CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
        "CREATE INDEX by_n ON t(n); CREATE VIEW s AS SELECT * FROM t;",
        [
            ("INSERT INTO t VALUES (?, ?, ?)", [(i * 3, f"name {i}", i % 7) for i in range(rows)]),
            ("INSERT INTO w VALUES (?, ?)", [(f"k{i:05}", i) for i in range(rows)]),
        ],
    )


PAGED = [
    ("SELECT * FROM t", "key"),
    ("SELECT name FROM t WHERE name LIKE '%9%'", "key"),
    ("SELECT name, id FROM t ORDER BY id DESC", "key"),
    ("SELECT name FROM t WHERE n = :n ORDER BY rowid", "key"),
    ("SELECT name FROM t ORDER BY name", "skip"),
    ("SELECT * FROM t WHERE n > 2 ORDER BY n, id", "skip"),
    ("SELECT * FROM w", "skip"),
    ("SELECT * FROM s", "skip"),
    ("SELECT DISTINCT name FROM t", "skip"),
    ("SELECT a.id, b.k FROM t a JOIN w b ON b.v = a.n ORDER BY 1, 2", "skip"),
    ("SELECT * FROM t LIMIT 1234", "skip"),
    ("SELECT id FROM t UNION ALL SELECT v FROM w", "skip"),
    ("WITH x AS (SELECT * FROM t) SELECT * FROM x -- end", "skip"),
]


@pytest.mark.parametrize(("sql", "way"), PAGED)
def test_pages_joined_are_the_whole_answer(yard: Yard, sql: str, way: str) -> None:
    many(yard)
    database = yard.open("a.db")
    params = {"n": 3} if ":n" in sql else ()
    whole = database.query(Query(sql, params, rows=10_000, bytes=10_000_000)).lines
    lines: list[str] = []
    page = database.query(Query(sql, params, rows=700))
    while True:
        lines += page.lines
        if not page.cursor:
            break
        assert page.cut == "rows"
        page = database.query(Query(cursor=page.cursor, rows=700))
    assert tuple(lines) == whole
    assert len(whole) > 700
    first = database.query(Query(sql, params, rows=3))
    from rootcellar.sqlite.marks import Cursor

    assert (Cursor.of(first.cursor).after is not None) is (way == "key")


def test_a_page_is_cut_by_bytes_and_says_so(yard: Yard) -> None:
    many(yard)
    page = yard.open("a.db").query(Query("SELECT * FROM t", rows=5_000, bytes=2_000))
    assert page.cut == "bytes"
    assert sum(len(line) + 1 for line in page.lines) <= 2_000
    assert "cut by bytes; the rest: cursor " in page.text()


def test_a_cursor_says_when_the_database_has_changed_meanwhile(yard: Yard) -> None:
    many(yard)
    database = yard.open("a.db")
    page = database.query(Query("SELECT * FROM t", rows=10))
    database.change("UPDATE t SET name = 'new' WHERE id = 0")
    page = database.query(Query(cursor=page.cursor, rows=10))
    assert "has changed since the first page" in page.text()


def test_a_cursor_belongs_to_its_statement(yard: Yard) -> None:
    many(yard)
    database = yard.open("a.db")
    page = database.query(Query("SELECT * FROM t", rows=10))
    with pytest.raises(errors.BadArgument, match="another statement"):
        database.query(Query("SELECT * FROM w", cursor=page.cursor))
    with pytest.raises(errors.BadArgument, match="not one of ours"):
        database.query(Query(cursor="bogus"))


def test_the_first_page_of_a_million_rows_comes_in_milliseconds(yard: Yard) -> None:
    with closing(sqlite3.connect(yard.root / "a.db")) as made:
        made.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
        made.execute(
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000)"
            " INSERT INTO t SELECT x, 'value ' || x FROM c"
        )
        made.commit()
    database = yard.open("a.db")
    database.query(Query("SELECT 1"))
    started = time.monotonic()
    page = database.query(Query("SELECT * FROM t"))
    first = time.monotonic() - started
    for _ in range(20):
        page = database.query(Query(cursor=page.cursor))
    print(f"first page of a million rows: {first * 1000:.1f} ms")
    assert first < 0.5
    assert page.lines[0].startswith("2001|")


BOMBS = [
    ("endless recursion", ENDLESS),
    (
        "endless rows",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c WHERE x > 0",
    ),
    ("cross join of cross joins", "SELECT count(*) FROM t a, t b, t c, t d WHERE a.id + b.id + c.id + d.id = -1"),
    ("a huge sort", "SELECT a.name FROM t a, t b, t c ORDER BY a.name || b.name || c.name LIMIT 1"),
    ("one opcode", ONE_OPCODE),
]


@pytest.mark.parametrize("sql", [sql for _, sql in BOMBS], ids=[name for name, _ in BOMBS])
def test_a_bomb_ends_within_its_time_and_the_next_call_works(yard: Yard, sql: str) -> None:
    many(yard)
    database = yard.open("a.db")
    database.query(Query("SELECT 1"))
    started = time.monotonic()
    with pytest.raises((errors.TimedOut, errors.TooLarge)):
        database.query(Query(sql, seconds=0.5))
    assert time.monotonic() - started < 3
    assert yard.one(database, "SELECT count(*) FROM t") == 5_000


MEMORY = [
    "SELECT randomblob(1000000000)",
    "SELECT zeroblob(1000000000)",
    "SELECT hex(zeroblob(60000000))",
    "SELECT printf('%.*c', 900000000, 'x')",
    "SELECT group_concat(name || hex(zeroblob(20000))) FROM t",
    "SELECT replace(hex(zeroblob(3000000)), '0', 'xxxxxxxxxxxxxxxxxxxx')",
    "SELECT x'" + "00" * 600_000 + "'",
    "SELECT " + "(" * 900 + "1" + ")" * 900 + " FROM t WHERE id IN (" + ",".join(["1"] * 500_000) + ")",
]


@pytest.mark.parametrize("sql", MEMORY, ids=[sql[:50] for sql in MEMORY])
def test_a_memory_bomb_is_refused_and_the_next_call_works(yard: Yard, sql: str) -> None:
    many(yard)
    database = yard.open("a.db")
    with pytest.raises((errors.TooLarge, errors.TimedOut, errors.BadSql)):
        database.query(Query(sql))
    assert yard.one(database, "SELECT count(*) FROM t") == 5_000


def test_large_blobs_are_told_not_sent(yard: Yard) -> None:
    yard.make(
        "a.db", "CREATE TABLE t (b)", [("INSERT INTO t VALUES (?)", [(b"\x89PNG\r\n\x1a\n" + b"x" * 10**7,)] * 8)]
    )
    page = yard.open("a.db").query(Query("SELECT b FROM t"))
    assert page.lines[0] == "<blob 10000008 bytes image/png 89504e470d0a1a0a7878787878787878...>"
    assert len(page.text()) < 2_000


@pytest.mark.parametrize("sql", [ENDLESS, ONE_OPCODE], ids=["interruptible", "one opcode"])
def test_a_cancelled_query_ends_within_a_moment(yard: Yard, sql: str) -> None:
    many(yard)
    taken = Taken()
    database = yard.open("a.db", cancel=taken)
    database.query(Query("SELECT 1"))
    took: list[float] = []

    def ask() -> None:
        with pytest.raises(errors.Cancelled):
            database.query(Query(sql))
        took.append(time.monotonic())

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    taken.cancelled = True
    cancelled_at = time.monotonic()
    asking.join(5)
    print(f"cancelled after {(took[0] - cancelled_at) * 1000:.0f} ms")
    assert took[0] - cancelled_at < 0.6  # an idle machine: about 30 ms, and 140 where the worker is killed
    taken.cancelled = False
    assert yard.one(database, "SELECT count(*) FROM t") == 5_000


def test_a_slow_query_delays_no_other_on_the_same_database(yard: Yard) -> None:
    many(yard)
    taken = Taken()
    database = yard.open("a.db")
    endless = yard.open("a.db", cancel=taken)
    slow = threading.Thread(target=lambda: pytest.raises(errors.Cancelled, endless.query, Query(ENDLESS, seconds=60)))
    slow.start()
    time.sleep(0.3)
    database.query(Query("SELECT 1"))
    started = time.monotonic()
    for _ in range(10):
        database.query(Query("SELECT * FROM t WHERE id = 3"))
    assert time.monotonic() - started < 1.5
    assert slow.is_alive()
    taken.cancelled = True
    slow.join()


VALUES: list[Any] = [
    None, 0, -1, 2**53 + 1, -(2**63), 2**63 - 1, 0.1, 1e300, -0.0, float("inf"), float("-inf"), "", "NULL", "007",
    "12345678901234567890", "0.10", "1e5", "naïve 🙂", "a|b", "line\nbreak", "quote ' and \"", "\x00nul\x01",
    "\u202ertl", b"", b"\x00\xff", b"x" * 5000, "x" * 9000,
]  # fmt: skip


def test_cells_come_back_as_they_were_stored(yard: Yard) -> None:
    yard.make(
        "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v)", [("INSERT INTO t(v) VALUES (?)", [(v,) for v in VALUES])]
    )
    cells = yard.open("a.db").cells(Query("SELECT v FROM t ORDER BY id", rows=100))
    found = [row[0] for row in cells.rows]
    assert found == VALUES
    assert [type(value) for value in found] == [type(value) for value in VALUES]


@pytest.mark.parametrize("value", VALUES)
def test_parameters_arrive_as_they_were_sent(yard: Yard, value: Any) -> None:
    yard.make("a.db", "CREATE TABLE t (v)")
    database = yard.open("a.db")
    assert database.cells(Query("SELECT ?, typeof(?)", (value, value))).rows[0][0] == value
    assert database.cells(Query("SELECT :a AS a, @b AS b, $c AS c", {"a": value, "b": 1, "c": "x"})).rows == (
        (value, 1, "x"),
    )


def test_text_that_is_not_utf8_is_told_with_its_bytes(yard: Yard) -> None:
    yard.make("a.db", "CREATE TABLE t (v); INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT)), ('good'), (x'ff');")
    database = yard.open("a.db")
    assert database.cells(Query("SELECT v AS a, v AS a, 7 FROM t")).rows == (
        (BadText(b"a\xffb"), BadText(b"a\xffb"), 7), ("good", "good", 7), (b"\xff", b"\xff", 7),
    )  # fmt: skip
    page = database.query(Query("SELECT v AS a, v AS a FROM t", rows=1))
    assert page.columns == ("a", "a")
    assert page.lines == ("<text 3 bytes, not UTF-8: 61ff62>|<text 3 bytes, not UTF-8: 61ff62>",)
    assert page.cursor


ERRORS = [
    ("SELECT nam FROM t", "no such column: nam at line 1, column 8", "did you mean `name`"),
    ("SELECT *\nFROM tt", "no such table: tt at line 2, column 6", "did you mean `t`?"),
    ("SELECT x.nme FROM t AS x", "no such column: x.nme", "did you mean `name`"),
    ("SELECT * FRM t", 'near "FRM": syntax error at line 1, column 10', "mend the statement"),
    ("SELECT (1", "incomplete input (the statement ends too early)", "finish it"),
    ("SELECT uper(name) FROM t", "no such function: uper", "did you mean `upper`"),
    ("SELECT 'é' || nam FROM t", "no such column: nam at line 1, column 15", "did you mean `name`"),
    (
        "SELECT * FROM t WHERE id = ?",
        "the parameters do not fit the statement: it takes 1, 0 were given",
        "give one value",
    ),
    ("", "there is no statement", "send"),
]


@pytest.mark.parametrize(("sql", "message", "hint"), ERRORS)
def test_an_error_says_where_and_what_was_meant(yard: Yard, sql: str, message: str, hint: str) -> None:
    many(yard, 5)
    with pytest.raises(errors.Refusal) as refused:
        yard.open("a.db").query(Query(sql))
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_an_explained_query_points_out_the_scan(yard: Yard) -> None:
    many(yard)
    database = yard.open("a.db")
    plan = database.explain("SELECT * FROM t WHERE name = 'x' ORDER BY lower(name)")
    assert plan.lines[0] == "SCAN t"
    assert any("every row of t is read" in hint for hint in plan.hints)
    assert any("sorted" in hint for hint in plan.hints)
    assert not database.explain("SELECT * FROM t WHERE id = 1").hints
    assert "SEARCH t USING INTEGER PRIMARY KEY" in database.explain("DELETE FROM t WHERE id = 1").text()
    nested = database.explain("SELECT * FROM t WHERE id IN (SELECT v FROM w)").lines
    assert any(line.startswith("  ") for line in nested)
    assert yard.one(database, "SELECT count(*) FROM t") == 5_000

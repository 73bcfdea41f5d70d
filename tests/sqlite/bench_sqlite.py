"""Measure databases against bare `sqlite3`: `python tests/sqlite/bench_sqlite.py [rows]`. Prints minima and medians."""

from __future__ import annotations

import csv
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rootcellar import errors
from rootcellar.sqlite import Databases, Import, Query
from sqlite.dbyard import ENDLESS, ONE_OPCODE, Taken, Yard

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000


def timed(times: int, act: Callable[[], object]) -> tuple[float, float]:
    """Minimum and median, in milliseconds."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        took.append((time.perf_counter() - started) * 1000)
    return min(took), statistics.median(took)


def row(what: str, ours: tuple[float, float], bare: tuple[float, float] | None = None) -> None:
    against = f"   bare {bare[0]:9.3f} / {bare[1]:9.3f} ms   x{ours[0] / bare[0]:.2f}" if bare else ""
    print(f"{what:34} {ours[0]:9.3f} / {ours[1]:9.3f} ms{against}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        yard = Yard(Path(os.path.realpath(folder)), Databases())
        yard.root.mkdir()
        with closing(sqlite3.connect(yard.root / "a.db")) as made:
            made.execute("CREATE TABLE e (id INTEGER PRIMARY KEY, kind INT, name TEXT, x REAL)")
            made.execute(
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
                " INSERT INTO e SELECT n, n % 97, 'name of number ' || n, n / 3.0 FROM c",
                (ROWS,),
            )
            made.executescript("".join(f"CREATE TABLE t{n} (a INT, b TEXT);" for n in range(20)))
            made.commit()
        print(f"load {os.getloadavg()[0]:.1f}, {ROWS:,} rows; minimum / median")
        started = time.perf_counter()
        database = yard.open("a.db")
        database.query(Query("SELECT 1"))
        print(f"{'first call (spawn, fence, open)':34} {(time.perf_counter() - started) * 1000:9.1f} ms")
        time.sleep(0.5)
        started = time.perf_counter()
        yard.make("b.db", "CREATE TABLE t (v)")
        yard.open("b.db").query(Query("SELECT 1"))
        print(f"{'first call with the spare worker':34} {(time.perf_counter() - started) * 1000:9.1f} ms")
        with closing(sqlite3.connect(yard.root / "a.db", isolation_level=None)) as bare:
            reading(yard, bare)
        writing(yard)
        stopping(yard)
        importing(yard)
        yard.databases.close()


def reading(yard: Yard, bare: sqlite3.Connection) -> None:
    database = yard.open("a.db")
    point, page = "SELECT * FROM e WHERE id = ?", "SELECT * FROM e"
    aggregate = "SELECT kind, count(*), sum(x) FROM e GROUP BY kind"
    row(
        "point select",
        timed(1000, lambda: database.query(Query(point, (77,)))),
        timed(1000, lambda: bare.execute(point, (77,)).fetchall()),
    )
    row(
        "page of 1,000 rows, as text",
        timed(30, lambda: database.query(Query(page, rows=1_000))),
        timed(30, lambda: str(bare.execute(page).fetchmany(1_000))),
    )
    row(
        "aggregate over all rows",
        timed(5, lambda: database.query(Query(aggregate))),
        timed(5, lambda: bare.execute(aggregate).fetchall()),
    )
    row("first page of SELECT *", timed(20, lambda: database.query(Query(page))))
    last = database.query(Query(page)).cursor
    row("next page, after a key", timed(20, lambda: database.query(Query(cursor=last))))
    row("describe (21 tables)", timed(20, database.describe))
    row("search a word", timed(3, lambda: database.search("number 999999")))


def writing(yard: Yard) -> None:
    insert = "INSERT INTO w VALUES (?, ?)"
    yard.make("w.db", "CREATE TABLE w (a, b)")
    yard.make("v.db", "CREATE TABLE w (a, b)")
    database = yard.open("w.db")
    database.change(insert, (0, "x"))

    def ours() -> None:
        for number in range(100):
            yard.open("w.db").change(insert, (number, "x"))

    with closing(sqlite3.connect(yard.root / "v.db")) as bare:

        def theirs() -> None:
            for number in range(100):
                bare.execute(insert, (number, "x"))
                bare.commit()

        row("100 inserts, each a commit", timed(5, ours), timed(5, theirs))
        script = ";".join([insert] * 1000)
        params = [cell for number in range(1000) for cell in (number, "x")]

        def many() -> None:
            bare.executemany(insert, [(number, "x") for number in range(1000)])
            bare.commit()

        row("1,000 inserts, one script", timed(5, lambda: database.change(script, params)), timed(5, many))


def stopping(yard: Yard) -> None:
    for what, sql in (("cancel, interruptible", ENDLESS), ("cancel, one opcode (killed)", ONE_OPCODE)):
        took = []
        for _ in range(5):
            taken = Taken()
            database = yard.open("a.db", cancel=taken)
            database.query(Query("SELECT 1"))
            at: list[float] = []

            def take(taken: Taken = taken, at: list[float] = at) -> None:
                at.append(time.perf_counter())
                taken.cancelled = True

            threading.Timer(0.3, take).start()
            try:
                database.query(Query(sql))
            except errors.Cancelled:
                took.append((time.perf_counter() - at[0]) * 1000)
        row(what, (min(took), statistics.median(took)))
    started = time.perf_counter()
    yard.open("a.db").query(Query("SELECT 1"))
    print(f"{'next call after a kill':34} {(time.perf_counter() - started) * 1000:9.1f} ms")


def importing(yard: Yard) -> None:
    path, rows = yard.root / "in.csv", min(ROWS, 300_000)
    with path.open("w") as sink:
        sink.write("id,name,price,city\n")
        sink.writelines(f"{n},Customer number {n},{n / 4},City {n % 97}\n" for n in range(rows))
    count = iter(range(100))

    def ours() -> None:
        yard.databases.create(yard.entry(f"o{next(count)}.db")).import_file(yard.entry("in.csv"), Import("t"))

    def theirs() -> None:
        with closing(sqlite3.connect(yard.root / f"b{next(count)}.db")) as bare, path.open(newline="") as source:
            read = csv.reader(source)
            next(read)
            bare.execute("CREATE TABLE t (id INTEGER, name TEXT, price REAL, city TEXT)")
            bare.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", read)
            bare.commit()

    mine, bare = timed(4, ours), timed(4, theirs)
    row(f"import {rows:,} CSV rows", mine, bare)
    print(f"{'':34} {rows / mine[0] * 1000:,.0f} rows/s, {bare[0] / mine[0]:.0%} of csv + executemany")


if __name__ == "__main__":
    main()

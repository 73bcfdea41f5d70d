"""What is in a database, said once and bounded; and which databases there are."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from rootcellar import errors
from sqlite.dbyard import OtherProgram, Yard

MUSIC_DESCRIBED = """\
music.db: 3 tables, 1 view; 398 rows in all; {size:,} bytes; journal delete
album (99 rows)
  id INTEGER primary key
  title TEXT not null
  artist_id INTEGER not null -> artist(id)
  index album_by_artist (artist_id)
  trigger album_gone AFTER DELETE ON album
artist (50 rows)
  id INTEGER primary key
  name TEXT not null
view song
  name TEXT
  title TEXT
track (249 rows)
  id INTEGER primary key
  album_id INTEGER -> album(id) on delete cascade
  name TEXT
  seconds REAL
  bytes INTEGER
  cover BLOB"""


def test_a_database_is_described_whole(yard: Yard) -> None:
    path = yard.music()
    assert yard.open("music.db").describe() == MUSIC_DESCRIBED.format(size=path.stat().st_size)


def test_one_table_is_described_with_its_sql_and_rows(yard: Yard) -> None:
    yard.music()
    told = yard.open("music.db").describe("ARTIST", samples=2)
    assert told.splitlines() == [
        "artist (50 rows)",
        "  id INTEGER primary key",
        "  name TEXT not null",
        "CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "id|name",
        "1|Artist 1",
        "2|Artist 2",
    ]
    with pytest.raises(errors.BadSql, match="no such table: artits") as refused:
        yard.open("music.db").describe("artits")
    assert "`artist`" in refused.value.hint


def test_unusual_columns_and_tables_are_told(yard: Yard) -> None:
    yard.make(
        "a.db",
        "CREATE TABLE s (a INT, b TEXT DEFAULT 'x|y', c AS (a + 1) VIRTUAL, d AS (a + 2) STORED, PRIMARY KEY (a, b), UNIQUE (b))"
        " WITHOUT ROWID; CREATE TABLE r (a INT, b TEXT, FOREIGN KEY (a, b) REFERENCES s(a, b)) STRICT;"
        "CREATE UNIQUE INDEX e ON r(lower(b), a DESC) WHERE a > 0; CREATE VIRTUAL TABLE f USING fts5(body);"
        'CREATE TABLE "odd | name" ("x ""y" INT);',
    )
    told = yard.open("a.db").describe()
    for text in (
        "s (0 rows, without rowid)", "b TEXT not null default 'x|y'", "c generated (virtual)", "d generated (stored)",
        "primary key (a, b)", "unique (b)", "r (0 rows, strict)", "(a, b) -> s(a,b)",
        "unique index e (<expression>, a desc) partial", "f (0 rows, virtual)", '"odd | name" (0 rows)', "5 tables" if 0 else "4 tables",
    ):  # fmt: skip
        assert text in told, text
    assert "f_data" not in told


def test_five_hundred_tables_are_listed_not_described(yard: Yard) -> None:
    yard.make(
        "a.db", "".join(f"CREATE TABLE t{n:03} (a, b, c); INSERT INTO t{n:03} VALUES (1, 2, 3);" for n in range(500))
    )
    database = yard.open("a.db")
    database.describe("t001")
    started = time.monotonic()
    told = database.describe()
    print(f"500 tables described in {(time.monotonic() - started) * 1000:.0f} ms, {len(told):,} characters")
    assert "500 tables" in told.splitlines()[0]
    assert "t499 (1 row), 3 columns" in told
    assert len(told) < 20_000


def test_a_large_table_is_counted_about(yard: Yard) -> None:
    yard.make(
        "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"
        " WHERE x < 300000) INSERT INTO t SELECT x, 'v' FROM c;",
    )
    assert "t (about 300,000 rows)" in yard.open("a.db").describe()


COUNTED = [  # a table of 300,000 rows, and what is told of it
    ("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "x * 1000000007", "about 300,000 rows"),
    ("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "x - 150000", "about 300,000 rows"),
    ("CREATE TABLE t (id INTEGER PRIMARY KEY, v)", "min(x, 40000)", "40,000 rows"),
    (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CASE WHEN x < 40000 THEN x ELSE 9223372036854000000 END",
        "40,000 rows",
    ),
    ("CREATE TABLE t (id INTEGER PRIMARY KEY, v) WITHOUT ROWID", "x", "over 100,000 rows"),
    ("CREATE TABLE t (rowid, v)", "1", "about 300,000 rows"),
    ("CREATE TABLE t (rowid, _rowid_, oid DEFAULT 1)", "1", "over 5,000 rows"),
]


@pytest.mark.parametrize(("table", "key", "told"), COUNTED)
def test_how_many_rows_is_exact_or_says_that_it_is_not(yard: Yard, table: str, key: str, told: str) -> None:
    yard.make(
        "a.db",
        f"{table}; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000)"
        f" INSERT OR IGNORE INTO t ({table.partition('(')[2].replace(',', ' ').split(maxsplit=1)[0]}) SELECT {key} FROM c;",
    )
    assert f"t ({told}" in yard.open("a.db").describe()


def test_a_check_tells_what_is_wrong(yard: Yard) -> None:
    yard.music()
    checked = yard.open("music.db").check()
    assert checked.ok
    assert checked.text().startswith("ok: integrity and foreign keys\n")
    with closing(sqlite3.connect(yard.root / "music.db")) as other:
        other.execute("INSERT INTO album VALUES (9999, 'lost', 12345)")
        other.commit()
    assert yard.open("music.db").check().references == ("album row 9999: no such artist",)
    data = bytearray((yard.root / "music.db").read_bytes())
    data[4096 : 7 * 4096] = b"\x77" * (6 * 4096)
    (yard.root / "music.db").write_bytes(data)
    damaged = yard.open("music.db").check()
    assert not damaged.ok
    assert damaged.text().startswith("NOT ok\nintegrity: ")


def test_databases_are_found_by_their_bytes_not_their_names(yard: Yard) -> None:
    yard.music("sub/music.db")
    yard.make("no-ending", "PRAGMA journal_mode = WAL; CREATE TABLE a (x); CREATE TABLE b (x);")
    (yard.root / "fake.db").write_text("not one" * 1000)
    (yard.root / "secret.db").write_bytes(__import__("os").urandom(8192))
    (yard.root / "noise.bin").write_bytes(__import__("os").urandom(8192))
    yard.make("many.db", "".join(f"CREATE TABLE a_rather_long_name_for_a_table_{n} (x);" for n in range(200)))
    found = {listing.path: listing.line() for listing in yard.databases.list(yard.entry("."))}
    assert found["sub/music.db"].endswith("3 tables: artist, album, track)")
    assert "WAL; 2 tables: a, b)" in found["no-ending"]
    assert "200 tables: " in found["many.db"]
    assert "encrypted)" in found["secret.db"]
    assert set(found) == {"sub/music.db", "no-ending", "many.db", "secret.db"}


def test_a_schema_that_changes_meanwhile_is_the_new_one(yard: Yard) -> None:
    yard.music()
    database = yard.open("music.db")
    database.describe()
    with OtherProgram(yard.root / "music.db") as other:
        other.do("CREATE TABLE fresh (v)")
    assert "fresh (0 rows)" in yard.open("music.db").describe()

"""Everything that gets past a weaker read-only mode is refused here, with the reason; good SQL is not."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rootcellar import errors
from rootcellar.sqlite import Query
from sqlite.dbyard import Yard

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT);
INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30);
CREATE TABLE log (what TEXT);
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (parent_id INTEGER REFERENCES parent(id));
CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.v); END;
CREATE VIEW seen AS SELECT v FROM t;
CREATE VIEW evil AS SELECT load_extension('/tmp/x.so') AS x;
CREATE VIEW tokens AS SELECT fts3_tokenizer('simple') AS x;
CREATE INDEX by_v ON t(v);
CREATE VIRTUAL TABLE f USING fts5(body);
INSERT INTO f VALUES ('hello world'), ('another word');
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1);
INSERT INTO box VALUES (1, 0.0, 1.0);
"""
OUT = "{outside}/stolen.db"
CHANGES = "would change"
REFUSED = [
    ("stacked statements", "SELECT 1; DELETE FROM t", "more than one statement"),
    ("stacked after a comment", "SELECT 1 /* ; */ ; -- x\n DROP TABLE t", "more than one statement"),
    ("insert", "INSERT INTO t(v) VALUES ('x')", CHANGES),
    ("insert returning", "INSERT INTO t(v) VALUES ('x') RETURNING id", CHANGES),
    ("with insert", "WITH x AS (SELECT 'y') INSERT INTO t(v) SELECT * FROM x", CHANGES),
    ("with delete", "WITH x AS (SELECT 1) DELETE FROM t WHERE id IN (SELECT * FROM x)", CHANGES),
    ("with update returning", "WITH x AS (SELECT 1) UPDATE t SET v = 'z' RETURNING *", CHANGES),
    ("replace", "REPLACE INTO t VALUES (1, 'x', 1)", CHANGES),
    ("upsert", "INSERT INTO t VALUES (1, 'x', 1) ON CONFLICT DO UPDATE SET v = 'x'", CHANGES),
    ("delete", "DELETE FROM t", CHANGES),
    ("update", "UPDATE t SET v = 'x'", CHANGES),
    ("drop", "DROP TABLE t", CHANGES),
    ("create", "CREATE TABLE z (a)", CHANGES),
    ("create as", "CREATE TABLE z AS SELECT * FROM t", CHANGES),
    ("alter", "ALTER TABLE t RENAME TO u", CHANGES),
    ("reindex", "REINDEX", CHANGES),
    ("analyze", "ANALYZE", CHANGES),
    ("view", "CREATE VIEW z AS SELECT 1", CHANGES),
    ("trigger", "CREATE TRIGGER z AFTER DELETE ON t BEGIN SELECT 1; END", CHANGES),
    ("virtual table", "CREATE VIRTUAL TABLE z USING fts5(a)", CHANGES),
    ("full-text insert", "INSERT INTO f VALUES ('x')", CHANGES),
    ("full-text command", "INSERT INTO f(f) VALUES ('rebuild')", CHANGES),
    ("shadow table", "UPDATE f_data SET block = x''", "may not be modified"),
    ("r-tree insert", "INSERT INTO box VALUES (2, 0, 1)", CHANGES),
    ("r-tree shadow", "DELETE FROM box_node", "may not be modified"),
    ("schema table", "UPDATE sqlite_schema SET sql = ''", "may not be modified"),
    ("attach", f"ATTACH '{OUT}' AS o", "another file"),
    ("attach an expression", f"ATTACH ('{OUT}' || '') AS o", "another file"),
    ("attach a URI", f"ATTACH 'file:{OUT}?mode=rwc' AS o", "another file"),
    ("attach memory", "ATTACH ':memory:' AS o", "another file"),
    ("detach", "DETACH main", "connection"),
    ("vacuum", "VACUUM", "another one"),
    ("vacuum into", f"VACUUM INTO '{OUT}'", "another one"),
    ("vacuum into an expression", f"VACUUM INTO ('{OUT}' || '')", "another one"),
    ("load_extension", "SELECT load_extension('/tmp/x.so')", "function `load_extension`"),
    ("load_extension in a view", "SELECT * FROM evil", "load_extension"),
    ("fts3_tokenizer", "SELECT fts3_tokenizer('simple', x'4141414141414141')", "function `fts3_tokenizer`"),
    ("fts3_tokenizer read", "SELECT hex(fts3_tokenizer('simple'))", "function `fts3_tokenizer`"),
    ("fts3_tokenizer in a view", "SELECT * FROM tokens", "fts3_tokenizer"),
    ("cipher configuration", "SELECT sqlite3mc_config('cipher')", "function `sqlite3mc_config`"),
    ("log", "SELECT sqlite_log(1, 'x')", "function `sqlite_log`"),
    ("writefile", "SELECT writefile('/tmp/x', 'y')", "writefile"),
    ("readfile", "SELECT readfile('/etc/passwd')", "readfile"),
    ("edit", "SELECT edit('x', 'sh')", "edit"),
    ("begin", "BEGIN", "transaction"),
    ("begin exclusive", "BEGIN EXCLUSIVE", "transaction"),
    ("commit", "COMMIT", "transaction"),
    ("savepoint", "SAVEPOINT x", "transaction"),
    ("temp table", "CREATE TEMP TABLE z (a)", "emporary"),
    ("temp view", "CREATE TEMP VIEW z AS SELECT 1", "emporary"),
    ("temp trigger", "CREATE TEMP TRIGGER z AFTER INSERT ON t BEGIN SELECT 1; END", "emporary"),
    ("temp tokenizer table", "CREATE VIRTUAL TABLE temp.z USING fts3tokenize(simple)", "emporary"),
    ("tokenizer table", "SELECT * FROM fts3tokenize('simple')", "inside of the connection"),
    ("array of a pointer", "SELECT * FROM carray(1, 2)", "inside of the connection"),
    ("raw pages", "SELECT data FROM sqlite_dbpage", "sqlite_dbpage"),
    ("statements", "SELECT * FROM sqlite_stmt", "sqlite_stmt"),
    ("where the file is", "SELECT * FROM pragma_database_list", "inside of the connection"),
    ("database_list", "PRAGMA database_list", "`PRAGMA database_list`"),
    ("query_only off", "PRAGMA query_only = OFF", "`PRAGMA query_only`"),
    ("query_only off as a call", "PRAGMA query_only(0)", "`PRAGMA query_only`"),
    ("explained pragma", "EXPLAIN PRAGMA query_only = OFF", "`PRAGMA query_only`"),
    ("journal mode", "PRAGMA journal_mode = WAL", "`PRAGMA journal_mode`"),
    ("journal mode of main", "PRAGMA main.journal_mode = DELETE", "`PRAGMA journal_mode`"),
    ("writable schema", "PRAGMA writable_schema = ON", "`PRAGMA writable_schema`"),
    ("trusted schema", "PRAGMA trusted_schema = ON", "`PRAGMA trusted_schema`"),
    ("locking mode", "PRAGMA locking_mode = EXCLUSIVE", "`PRAGMA locking_mode`"),
    ("user version", "PRAGMA user_version = 7", "`PRAGMA user_version`"),
    ("schema version", "PRAGMA schema_version = 7", "`PRAGMA schema_version`"),
    ("temp directory", "PRAGMA temp_store_directory = '/tmp'", "`PRAGMA temp_store_directory`"),
    ("heap limit", "PRAGMA hard_heap_limit = 1", "`PRAGMA hard_heap_limit`"),
    ("heap limit read", "PRAGMA hard_heap_limit", "`PRAGMA hard_heap_limit`"),
    ("mapped memory", "PRAGMA mmap_size = 1000000000000", "`PRAGMA mmap_size`"),
    ("synchronous", "PRAGMA synchronous = OFF", "`PRAGMA synchronous`"),
    ("foreign keys off", "PRAGMA foreign_keys = OFF", "`PRAGMA foreign_keys`"),
    ("wal checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", "`PRAGMA wal_checkpoint`"),
    ("incremental vacuum", "PRAGMA incremental_vacuum", "`PRAGMA incremental_vacuum`"),
    ("optimize", "PRAGMA optimize", "`PRAGMA optimize`"),
    ("key", "PRAGMA key = 'x'", "`PRAGMA key`"),
    ("rekey", "PRAGMA rekey = 'x'", "`PRAGMA rekey`"),
    ("cipher", "PRAGMA cipher = 'chacha20'", "`PRAGMA cipher`"),
    ("cipher log", "PRAGMA cipher_log = '{outside}/log'", "`PRAGMA cipher_log`"),
    ("unknown pragma", "PRAGMA lock_proxy_file = '/tmp/x'", "`PRAGMA lock_proxy_file`"),
]
ADMITTED = [
    "SELECT * FROM t",
    "SELECT v FROM t WHERE id = 1",
    "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT * FROM c",
    "VALUES (1), (2)",
    "SELECT replace(v, 'o', '0'), substr(v, 1, 2), upper(v), printf('%05d', n) FROM t",
    "SELECT v AS 'drop table', 'insert' FROM t -- delete",
    "SELECT count(*), sum(n), avg(n), group_concat(v) FROM t GROUP BY n > 10",
    "SELECT rank() OVER (ORDER BY n), v FROM t",
    "SELECT * FROM t ORDER BY v LIMIT 2 OFFSET 1",
    "SELECT * FROM t a JOIN t b ON a.id < b.id",
    "SELECT * FROM t UNION SELECT * FROM t",
    "SELECT EXISTS (SELECT 1 FROM t)",
    "SELECT * FROM seen",
    "SELECT * FROM f WHERE f MATCH 'word*'",
    "SELECT highlight(f, 0, '[', ']'), bm25(f) FROM f WHERE f MATCH 'hello'",
    "SELECT * FROM box WHERE x0 < 2",
    "SELECT * FROM json_each('[1, 2]')",
    """SELECT json_extract('{"a": 1}', '$.a'), '{"a": 1}' ->> 'a'""",
    "SELECT date('now'), strftime('%Y', '2024-01-01'), unixepoch('2024-01-01', 'localtime')",
    "SELECT randomblob(4), hex(zeroblob(4)), random() > 0",
    "SELECT * FROM sqlite_schema",
    "SELECT name, type FROM pragma_table_info('t')",
    "PRAGMA table_info(t)",
    "PRAGMA table_xinfo('t')",
    "PRAGMA index_list(t)",
    "PRAGMA foreign_key_list(child)",
    "PRAGMA foreign_key_check",
    "PRAGMA integrity_check",
    "PRAGMA user_version",
    "PRAGMA journal_mode",
    "EXPLAIN QUERY PLAN SELECT * FROM t WHERE v = 'x'",
    "EXPLAIN SELECT * FROM t",
    "SELECT sum(pgsize) FROM dbstat",
    "SELECT v REGEXP 'o' FROM t WHERE 0",
    "SELECT median(n), percentile(n, 50) FROM t",
    "SELECT typeof(n), CAST(n AS TEXT), iif(n > 10, 'a', 'b'), n IS NOT DISTINCT FROM 10 FROM t",
    "SELECT * FROM t WHERE v LIKE '%o%' ESCAPE '~' OR v GLOB 't*'",
    "  SELECT 1 ;  ",
    "/* hello */ SELECT 1",
]


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def made(yard: Yard) -> Yard:
    yard.make("a.db", SCHEMA)
    return yard


@pytest.mark.parametrize(("sql", "why"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_query_that_would_do_more_than_read_is_refused_with_its_reason(made: Yard, sql: str, why: str) -> None:
    before = digest(made.root)
    with pytest.raises((errors.Forbidden, errors.BadSql)) as refused:
        made.open("a.db").query(Query(sql.format(outside=made.outside)))
    assert why in refused.value.message
    assert digest(made.root) == before
    assert not list(made.outside.iterdir())


def test_the_table_bites_where_reading_is_only_a_flag(made: Yard) -> None:
    """A read-only connection still attaches and writes elsewhere: a flag is not enough."""
    stolen = made.outside / "stolen.db"
    with closing(sqlite3.connect(f"file:{made.root}/a.db?mode=ro", uri=True)) as naive:
        naive.execute(f"VACUUM INTO '{stolen}'")
    assert stolen.exists()


@pytest.mark.parametrize("sql", ADMITTED)
def test_a_query_that_reads_is_admitted(made: Yard, sql: str) -> None:
    before = digest(made.root)
    if "REGEXP" in sql:  # SQLite has the operator and no function for it: its own words, not ours
        with pytest.raises(errors.BadSql, match="REGEXP"):
            made.open("a.db").query(Query(sql))
        return
    made.open("a.db").query(Query(sql))
    assert digest(made.root) == before
    assert not list(made.outside.iterdir())


CHANGES_REFUSED = [
    (f"ATTACH '{OUT}' AS o", "another file"),
    ("VACUUM", "VACUUM"),
    (f"VACUUM INTO '{OUT}'", "VACUUM"),
    ("COMMIT; DROP TABLE t", "transaction"),
    ("ROLLBACK", "transaction"),
    ("SAVEPOINT x", "transaction"),
    ("PRAGMA journal_mode = WAL", "`PRAGMA journal_mode`"),
    ("PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = 'x'", "`PRAGMA writable_schema`"),
    ("PRAGMA foreign_keys = OFF", "`PRAGMA foreign_keys`"),
    ("CREATE TEMP TABLE z (a)", "emporary"),
    ("CREATE VIRTUAL TABLE z USING fts3tokenize(simple)", "virtual tables of `fts3tokenize`"),
    ("CREATE VIRTUAL TABLE z USING csv('/etc/passwd')", "virtual tables of `csv`"),
    ("SELECT load_extension('x')", "load_extension"),
    ("INSERT INTO t(v) SELECT fts3_tokenizer('simple')", "fts3_tokenizer"),
    ("PRAGMA rekey = 'x'", "`PRAGMA rekey`"),
    ("UPDATE sqlite_schema SET sql = 'x'", "may not be modified"),
    ("UPDATE f_data SET block = x''", "may not be modified"),
    ("CREATE TRIGGER z AFTER DELETE ON t BEGIN SELECT load_extension('x'); END; DELETE FROM t", "load_extension"),
]


@pytest.mark.parametrize(("sql", "why"), CHANGES_REFUSED)
def test_a_change_never_leaves_the_database_or_the_transaction(made: Yard, sql: str, why: str) -> None:
    before = digest(made.root)
    with pytest.raises(errors.Refusal) as refused:
        made.open("a.db").change("INSERT INTO t(v) VALUES ('first'); " + sql.format(outside=made.outside))
    assert why in refused.value.message
    assert digest(made.root) == before
    assert not list(made.outside.iterdir())

"""SQL -> facts -> effect: what the authorizer reports decides, not the words."""

from __future__ import annotations

import apsw
import pytest

from rootcellar.policy import Effect
from rootcellar.sqlite import lexer
from rootcellar.sqlite.engine import Connection, harden
from rootcellar.sqlite.statement import FUNCTIONS, Profile, effect_of, tables_of

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INT);
CREATE TABLE log (what TEXT);
CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.v); END;
CREATE VIEW seen AS SELECT v FROM t;
CREATE INDEX by_v ON t(v);
CREATE VIRTUAL TABLE f USING fts5(body);
INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2);
"""
R, W, D = Effect.READ, Effect.WRITE, Effect.DESTROY
EFFECTS = [
    ("SELECT * FROM t", R, ()),
    ("WITH x AS (SELECT 1) SELECT * FROM x, t", R, ()),
    ("SELECT v FROM seen", R, ()),
    ("SELECT count(*) FROM t", R, ()),
    ("VALUES (1)", R, ()),
    ("PRAGMA table_info(t)", R, ()),
    ("SELECT * FROM f WHERE f MATCH 'x'", R, ()),
    ("EXPLAIN QUERY PLAN SELECT * FROM t", R, ()),
    ("INSERT INTO t(v) VALUES ('x')", W, ("t",)),
    ("INSERT INTO t(v) VALUES ('x') RETURNING id", W, ("t",)),
    ("REPLACE INTO t VALUES (1, 'x', 1)", W, ("t",)),
    ("INSERT INTO t VALUES (1, 'x', 1) ON CONFLICT(id) DO UPDATE SET v = excluded.v", W, ("t",)),
    ("WITH x AS (SELECT 9) INSERT INTO t(id) SELECT * FROM x", W, ("t",)),
    ("INSERT INTO f(body) VALUES ('word')", W, ("f",)),
    ("UPDATE t SET v = 'x' WHERE id = 1", W, ("t",)),
    ("UPDATE t SET v = 'x' FROM (SELECT 1 AS k) AS s WHERE t.id = s.k", W, ("t",)),
    ("DELETE FROM t WHERE id = 1", W, ("t",)),
    ("DELETE FROM t WHERE id IN (SELECT 1)", W, ("t",)),
    ("WITH x AS (SELECT 1 AS k) DELETE FROM t WHERE id IN (SELECT k FROM x)", W, ("t",)),
    ("REINDEX by_v", W, ()),
    ("ANALYZE", W, ()),
    ("DELETE FROM t", D, ("t",)),
    ("DELETE FROM t WHERE 1", D, ("t",)),
    ("DELETE FROM t WHERE NOT NULL IS NULL", D, ("t",)),
    ("delete /* where id = 1 */ from t -- where", D, ("t",)),
    ("UPDATE t SET v = 'x'", D, ("t",)),
    ("UPDATE t SET v = (SELECT 'y' WHERE 1 = 1)", D, ("t",)),
    ("UPDATE t SET v = 'where' WHERE true", D, ("t",)),
    ("WITH x AS (SELECT 1 WHERE 1) DELETE FROM t", D, ("t",)),
    ("DROP TABLE t", D, ()),
    ("DROP VIEW seen", D, ()),
    ("DROP INDEX by_v", D, ()),
    ("DROP TRIGGER noted", D, ()),
    ("ALTER TABLE t ADD COLUMN z", D, ()),
    ("ALTER TABLE t RENAME TO u", D, ()),
    ("ALTER TABLE t RENAME COLUMN v TO w", D, ()),
    ("ALTER TABLE t DROP COLUMN n", D, ()),
    ("CREATE TABLE z (a)", D, ()),
    ("CREATE TABLE z AS SELECT * FROM t", D, ()),
    ("CREATE INDEX i ON t(n)", D, ()),
    ("CREATE VIEW w AS SELECT 1", D, ()),
    ("CREATE TRIGGER r AFTER DELETE ON t BEGIN SELECT 1; END", D, ()),
    ("CREATE VIRTUAL TABLE g USING fts5(a)", D, ()),
    ("PRAGMA user_version = 3", D, ()),
]


def prepared(sql: str, profile: Profile = Profile.CHANGE) -> Connection:
    """A connection that has prepared the statement, and not run it."""
    raw = apsw.Connection(":memory:")
    harden(raw)
    raw.execute(SCHEMA).fetchall()
    connection = Connection(raw)
    connection.profile = profile
    with pytest.raises(apsw.ExecTraceAbort):
        connection.run(sql, (), lambda _cursor, _text: False)
    return connection


@pytest.mark.parametrize(("sql", "effect", "tables"), EFFECTS, ids=[sql for sql, _, _ in EFFECTS])
def test_an_effect_follows_from_the_facts(sql: str, effect: Effect, tables: tuple[str, ...]) -> None:
    facts = prepared(sql).facts
    assert effect_of(facts, sql) is effect
    if effect is not Effect.READ:
        assert set(tables) <= set(tables_of(facts))


@pytest.mark.parametrize("sql", [sql for sql, effect, _ in EFFECTS if effect is Effect.READ])
def test_what_reads_is_admitted_for_reading(sql: str) -> None:
    assert prepared(sql, Profile.READ).denial == ""


@pytest.mark.parametrize("sql", [sql for sql, effect, _ in EFFECTS if effect is not Effect.READ])
def test_what_changes_is_refused_for_reading(sql: str) -> None:
    raw = apsw.Connection(":memory:")
    raw.execute(SCHEMA).fetchall()
    connection = Connection(raw)
    connection.profile = Profile.READ
    with pytest.raises((apsw.AuthError, apsw.SQLError)):
        connection.run(sql, (), lambda _cursor, _text: True)
    assert "change" in connection.denial


def test_every_function_of_the_library_is_admitted_or_known_to_be_dangerous() -> None:
    raw = apsw.Connection(":memory:")
    known = {name for (name,) in raw.execute("SELECT name FROM pragma_function_list")}
    assert known - FUNCTIONS == {
        "fts3_tokenizer", "geopoly_debug", "load_extension", "optimize", "sqlite3mc_codec_data", "sqlite3mc_config",
        "sqlite3mc_version", "sqlite_log",
    }  # fmt: skip


LEXED = [
    ("select 1; -- end", "select 1"),
    ("select ';' ;;", "select ';'"),
    ("select /* ; */ 1 ;", "select /* ; */ 1"),
    ('select "a;b" , [c;d], `e;f`', 'select "a;b" , [c;d], `e;f`'),
    ("", ""),
]


@pytest.mark.parametrize(("sql", "body"), LEXED)
def test_a_body_ends_with_its_last_word(sql: str, body: str) -> None:
    assert lexer.body(sql) == body


SIMPLE = [
    ("select * from t", True),
    ("select a, b from t where x > 1 order by id desc", True),
    ('SELECT "from" FROM "my table" WHERE a IN (SELECT b FROM u)', True),
    ("select * from t limit 5", False),
    ("select * from t, u", False),
    ("select * from t join u", False),
    ("select * from t x", False),
    ("select distinct a from t", False),
    ("select a from t group by a", False),
    ("select a from t union select 1", False),
    ("select row_number() over () from t", False),
    ("select * from (select 1)", False),
    ("select * from json_each('[1]')", False),
    ("select * from t order by a, b", False),
    ("select * from t order by lower(a)", False),
    ("with t as (select 1) select * from t", False),
    ("values (1)", False),
    ("select 1", False),
]


@pytest.mark.parametrize(("sql", "simple"), SIMPLE)
def test_only_a_plain_select_over_one_table_can_go_on_after_a_key(sql: str, simple: bool) -> None:  # noqa: FBT001
    assert (lexer.simple_select(sql) is not None) is simple

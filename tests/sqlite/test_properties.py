"""The same rows and the same changes as bare SQLite, over schemas and values nobody thought of.

The witness is another library of nearly the same version: an old one spells some reals in text columns differently.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from typing import Any

import pytest
import sqlcipher3  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rootcellar import errors
from rootcellar.sqlite import Query
from sqlite.dbyard import Yard

VALUES = (
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.binary(max_size=20)
)  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
TYPES = st.sampled_from(["", "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "VARCHAR(5)"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[str], list[str], list[list[Any]]]:
    columns = draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=str.casefold))
    columns = [c for c in columns if c.upper() == c.casefold().upper()] or ["a"]
    kinds = draw(st.lists(TYPES, min_size=len(columns), max_size=len(columns)))
    rows = draw(st.lists(st.lists(VALUES, min_size=len(columns), max_size=len(columns)), max_size=12))
    return draw(NAMES), columns, kinds, rows


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tables(), VALUES)
def test_rows_and_changes_are_those_of_bare_sqlite(yard: Yard, table: Any, value: Any) -> None:
    name, columns, kinds, rows = table
    name, file = f"{name}{uuid.uuid4().hex}", "a.db"
    create = f"CREATE TABLE {quoted('t' + name)} ({', '.join(f'{quoted(c)} {k}' for c, k in zip(columns, kinds, strict=True))})"
    insert = f"INSERT INTO {quoted('t' + name)} VALUES ({', '.join('?' * len(columns))})"
    ours = yard.open(file) if "a.db" in yard.names() else yard.databases.create(yard.entry(file))
    with closing(sqlcipher3.connect(":memory:", isolation_level=None)) as bare:
        bare.execute(create)
        ours.change(create)
        for row in rows[:4]:
            ours.change(insert, row)
        if rows[4:]:
            ours.change(";".join([insert] * len(rows[4:])), [cell for row in rows[4:] for cell in row])
        bare.executemany(insert, rows)
        first = quoted(columns[0])
        for sql, params in [
            (f"SELECT * FROM {quoted('t' + name)}", ()),
            (f"SELECT *, typeof({first}) FROM {quoted('t' + name)} WHERE {first} IS ?", (value,)),
            (f"SELECT {first}, count(*) FROM {quoted('t' + name)} GROUP BY 1 ORDER BY 1", ()),
            (f"SELECT max({first}), min({first}) FROM {quoted('t' + name)}", ()),
        ]:
            expected = bare.execute(sql, params)
            found = yard.open(file).cells(Query(sql, params, rows=100))
            assert [repr(row) for row in found.rows] == [repr(row) for row in expected.fetchall()]
            assert list(found.columns) == [item[0] for item in expected.description]
        change = f"UPDATE {quoted('t' + name)} SET {first} = ? WHERE {first} IS NOT ?"
        assert (
            sum(ours.change(change, (value, value)).affected.values()) == bare.execute(change, (value, value)).rowcount
        )
        everything = f"SELECT * FROM {quoted('t' + name)}"
        found = yard.open(file).cells(Query(everything, rows=100))
        assert [repr(row) for row in found.rows] == [repr(row) for row in bare.execute(everything).fetchall()]


SAME_ERRORS = [
    "SELECT", "SELECT * FROM nosuch", "SELECT nosuch FROM t", "SELECT * FROM t WHERE", "SELECT count(*, 1) FROM t",
    "SELECT abs(-9223372036854775808)", "SELECT json('{')", "SELECT a FROM t GROUP BY nosuch", "SELECT 1 UNION SELECT 1, 2",
    "SELECT * FROM t ORDER BY 9", "SELECT sum(a) OVER w FROM t", "SELECT t.* FROM t x", "SELECT (SELECT 1, 2)",
    "SELECT likelihood(1, 2)", "WITH x AS (SELECT 1) SELECT * FROM y", "SELECT 'unclosed", "SELECT a FROM t LIMIT 'x'",
]  # fmt: skip


@pytest.mark.parametrize("sql", SAME_ERRORS)
def test_errors_are_those_of_bare_sqlite(yard: Yard, sql: str) -> None:
    yard.make("a.db", "CREATE TABLE t (a)")
    with closing(sqlite3.connect(yard.root / "a.db")) as bare, pytest.raises(sqlite3.Error) as expected:
        bare.execute(sql).fetchall()
    with pytest.raises(errors.Refusal) as refused:
        yard.open("a.db").query(Query(sql))
    assert str(expected.value).casefold() in refused.value.message.casefold()

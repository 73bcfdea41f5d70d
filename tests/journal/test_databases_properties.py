"""Whatever the schema and whatever the SQL: undone, a database is as it was; refused, nothing has changed."""

from __future__ import annotations

import random
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.dbcellar import DbCellar
from journal.test_databases import state
from rootcellar.errors import Refusal
from rootcellar.sqlite import Databases
from sqlite.test_properties import NAMES, TYPES, VALUES, quoted

ODD_VALUES = VALUES | st.sampled_from([0, 1, 1.0, -0.0, "1", "a", "A", b"a", 2**63 - 1, -(2**63), float("inf")])
SMALL = st.integers(-3, 3)
CONFLICTS = st.sampled_from(["", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE"])
ACTIONS = st.sampled_from(["NO ACTION", "CASCADE", "SET NULL", "RESTRICT", "SET DEFAULT"])


@st.composite
def schemas(draw: st.DrawFn) -> tuple[str, list[tuple[str, list[str]]]]:
    """A script that makes tables, and each table with the columns that can be written."""
    tables: list[tuple[str, list[str]]] = []
    script = ["PRAGMA encoding = 'UTF-16le'"] if draw(st.integers(0, 9)) == 0 else []
    script += [f"PRAGMA auto_vacuum = {draw(st.sampled_from([0, 0, 1, 2]))}"]
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
    for number, raw in enumerate(names):
        name = f"{raw}{number}"
        columns = [c for c in draw(st.lists(NAMES, min_size=2, max_size=4, unique_by=str.casefold)) if c.isprintable()]
        columns = columns if len(columns) > 1 and len({c.upper() for c in columns}) == len(columns) else ["a", "b", "c"]
        rules = [f"{quoted(c)} {draw(TYPES)}" for c in columns]
        without = draw(st.integers(0, 3)) == 0
        shape = draw(st.integers(0, 4))
        if shape == 0 and not without:
            rules[0] = (
                f"{quoted(columns[0])} INTEGER PRIMARY KEY{draw(st.sampled_from(['', ' AUTOINCREMENT', ' DESC']))}"
            )
        elif shape < 3 or without:
            collation = draw(st.sampled_from(["", " COLLATE NOCASE"]))
            rules.append(
                f"PRIMARY KEY ({', '.join(quoted(c) + collation for c in columns[: draw(st.integers(1, 2))])})"
            )
        if draw(st.booleans()):
            rules.insert(
                1, f"{quoted('g!' + name)} AS ({quoted(columns[-1])} || 'x') {draw(st.sampled_from(['', 'STORED']))}"
            )
        if draw(st.booleans()):
            rules.append(f"UNIQUE ({quoted(columns[-1])}){draw(CONFLICTS)}")
        if draw(st.booleans()) and tables:
            parent, theirs = draw(st.sampled_from(tables))
            script.append(
                f"CREATE UNIQUE INDEX IF NOT EXISTS {quoted('pk!' + parent)} ON {quoted(parent)} ({quoted(theirs[0])})"
            )
            on = f"ON DELETE {draw(ACTIONS)} ON UPDATE {draw(ACTIONS)}"
            deferred = draw(st.sampled_from(["", " DEFERRABLE INITIALLY DEFERRED"]))
            rules.append(
                f"FOREIGN KEY ({quoted(columns[-1])}) REFERENCES {quoted(parent)} ({quoted(theirs[0])}) {on}{deferred}"
            )
        constraints = [rule for rule in rules if rule.startswith(("PRIMARY KEY", "UNIQUE (", "FOREIGN KEY"))]
        rules = [rule for rule in rules if rule not in constraints] + constraints
        script.append(f"CREATE TABLE {quoted(name)} ({', '.join(rules)}){' WITHOUT ROWID' if without else ''}")
        if draw(st.booleans()) and tables:
            other, theirs = draw(st.sampled_from(tables))
            event = draw(st.sampled_from(["AFTER INSERT", "AFTER UPDATE", "BEFORE DELETE"]))
            row = "old" if "DELETE" in event else "new"
            script.append(
                f"CREATE TRIGGER {quoted('t!' + name)} {event} ON {quoted(name)} BEGIN UPDATE OR IGNORE {quoted(other)} SET"
                f" {quoted(theirs[-1])} = {row}.{quoted(columns[0])}; INSERT OR IGNORE INTO {quoted(other)} ({quoted(theirs[0])})"
                f" VALUES ({row}.{quoted(columns[-1])}); END"
            )
        tables.append((name, columns))
    return ";\n".join(script), tables


@st.composite
def statements(draw: st.DrawFn, tables: list[tuple[str, list[str]]]) -> tuple[str, list[Any]]:
    """One change with its parameters."""
    name, columns = draw(st.sampled_from(tables))
    table, cells = quoted(name), SMALL | ODD_VALUES
    kind = draw(st.integers(0, 9))
    if kind <= 3:
        rows = draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=4))
        verb = draw(st.sampled_from(["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"]))
        values = ", ".join([f"({', '.join('?' * len(columns))})"] * len(rows))
        into = ", ".join(map(quoted, columns))
        return f"{verb} INTO {table} ({into}) VALUES {values}", [cell for row in rows for cell in row]
    where, bound = draw(
        st.sampled_from(
            [("", False), (f" WHERE {quoted(columns[0])} > ?", True), (f" WHERE {quoted(columns[-1])} IS ?", True)]
        )
    )
    params = [draw(cells)] if bound else []
    if kind <= 5:
        return f"DELETE FROM {table}{where}", params
    if kind <= 8:
        column, other = draw(st.sampled_from(columns)), draw(st.sampled_from(columns))
        value = draw(
            st.sampled_from(["?", f"{quoted(other)}", f"- {quoted(column)}", "CAST(x'ff00' AS TEXT)", "1.0 * ?"])
        )
        verb = draw(st.sampled_from(["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"]))
        return f"{verb} {table} SET {quoted(column)} = {value}{where}", ([draw(cells)] if "?" in value else []) + params
    ddl = [
        "CREATE TABLE made (x); INSERT INTO made VALUES (1)", f"CREATE INDEX madei ON {table} ({quoted(columns[0])})",
        f"ALTER TABLE {table} ADD COLUMN late DEFAULT 7", f"CREATE TABLE made AS SELECT * FROM {table}", "ANALYZE",
        "PRAGMA user_version = 9", f"DROP TABLE {table}", "CREATE VIRTUAL TABLE made USING fts5(x); INSERT INTO made VALUES ('w')",
    ]  # fmt: skip
    return draw(st.sampled_from(ddl)), []


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[tuple[str, list[Any]]], str, int]:
    script, tables = draw(schemas())
    changes = draw(st.lists(statements(tables), min_size=2, max_size=6))
    return script, changes, draw(st.sampled_from(["delete", "wal"])), draw(st.integers(0, 2**32))


@pytest.fixture(scope="module")
def cellar() -> Iterator[DbCellar]:
    databases = Databases()
    with tempfile.TemporaryDirectory() as folder:
        made = DbCellar(Path(folder).resolve(), databases)
        yield made
        made.close()
        databases.close()


def without_counters(found: list[Any]) -> list[Any]:
    return [one for one in found if one[0] != b"sqlite_sequence"]


COUNTS: Counter[str] = Counter()


def live(cellar: DbCellar, history: tuple[str, list[tuple[str, list[Any]]], str, int]) -> None:
    """Make the changes, undo and redo the last, then undo all: some out of order, the rest newest first."""
    script, changes, mode, seed = history
    name = f"{uuid.uuid4().hex}.db"
    path = cellar.make(name, f"{script}; PRAGMA journal_mode = {mode}")
    states, made = [state(path)], []
    for sql, params in changes:
        known = attempt(cellar, path, (sql, params), states)
        if known:
            made.append(known)
    COUNTS["changes"] += len(made)
    if made:
        undone = cellar.undo(made[-1])
        assert undone is not None
        assert state(path) == states[-2], "the last change, undone"
        cellar.undo(undone.id)
        assert state(path) == states[-1], "the last change, done again"
    left, is_in_order = out_of_order(cellar, path, made, random.Random(seed))
    for known in reversed(left):
        try:
            cellar.undo(known)
        except Refusal:  # it stands on what was undone before its turn
            if is_in_order:
                raise
            COUNTS["stuck"] += 1
            break
    else:
        found = state(path)
        if is_in_order:
            assert found == states[0], "all undone, newest first"
        assert without_counters(found) == without_counters(states[0]), "all undone"
        COUNTS["undone"] += len(made)
    COUNTS["histories"] += 1
    path.unlink()


def attempt(cellar: DbCellar, path: Path, statement: tuple[str, list[Any]], states: list[Any]) -> str:
    """One change: its id, and the state after it among the states; nothing of either if it changed nothing."""
    sql, params = statement
    try:
        change = cellar.change(path.name, sql, params)
    except Refusal as refusal:
        COUNTS[f"not made: {type(refusal).__name__}"] += 1
        assert state(path) == states[-1], f"{sql}: refused, and something is different"
        return ""
    now = state(path)
    if change is None:
        assert now == states[-1], f"{sql}: something is different, and nothing is recorded"
        return ""
    states.append(now)
    return change.id


def out_of_order(cellar: DbCellar, path: Path, made: list[str], chance: random.Random) -> tuple[list[str], bool]:
    """Undo half of the changes in any order; what is refused changes nothing. What is left, and whether it was in order."""
    is_in_order, left = True, list(made)
    for known in chance.sample(made, len(made) // 2):
        before = state(path)
        try:
            cellar.undo(known)
        except Refusal:
            COUNTS["refused"] += 1
            assert state(path) == before, "an undo was refused, and something is different"
            continue
        is_in_order = is_in_order and known == left[-1]
        COUNTS["out of order"] += known != left[-1]
        left.remove(known)
    return left, is_in_order


CHECKS = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
]


@settings(max_examples=12, deadline=None, suppress_health_check=CHECKS)
@given(histories())
def test_any_history_is_undone(cellar: DbCellar, history: Any) -> None:
    live(cellar, history)


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(max_examples=2_000, deadline=None, suppress_health_check=CHECKS)
@given(histories())
def test_thousands_of_histories_are_undone(cellar: DbCellar, history: Any) -> None:
    live(cellar, history)


def test_how_many_were_tried() -> None:
    print(dict(COUNTS))
    assert not COUNTS["histories"] or COUNTS["undone"], "nothing was ever undone: the test tells nothing"

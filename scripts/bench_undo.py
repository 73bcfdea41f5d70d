"""What the journal costs a change of a database: a 10,000-row UPDATE with and without it, as times and as a ratio.

`.venv/bin/python scripts/bench_undo.py`: two tables (small; large with an index), both journal modes, the real store.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from rootcellar.confine import Grant, Ground
from rootcellar.journal.databases import DatabaseRecord
from rootcellar.journal.databaseundo import DatabaseUndoer
from rootcellar.journal.store import Store
from rootcellar.policy import Effect, Policy
from rootcellar.sqlite import Databases

_ROUNDS = 7
_MAKE = """
PRAGMA journal_mode = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, price REAL, n INTEGER, words TEXT);
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {rows})
INSERT INTO t SELECT x, 'name ' || x, x * 1.5, x, 'some more words about row ' || x FROM c; {index}
"""
_UPDATE = "UPDATE t SET n = n + 1, name = name || '.' WHERE {where}"
_CASES = (
    ("10,000 of 20,000 rows by key", 20_000, "", "id <= 10000"),
    ("10,000 of 1,000,000 rows, indexed", 1_000_000, "CREATE INDEX by_n ON t (n);", "id % 100 = 0"),
)


def main() -> None:
    """Print a line for each case."""
    databases = Databases()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        place = Path(folder).resolve()
        (place / "root").mkdir()
        store = Store(str(place / "journal"))
        for words, rows, index, where in _CASES:
            for mode in ("delete", "wal"):
                told = _case(place, store, databases, (rows, index, where, mode))
                print(f"UPDATE of {words}, {mode}: {told}")
        store.close(5)
    databases.close()


def _case(place: Path, store: Store, databases: Databases, case: tuple[int, str, str, str]) -> str:
    rows, index, where, mode = case
    path = place / "root" / f"{rows}-{mode}.db"
    with closing(sqlite3.connect(path)) as made:
        made.executescript(_MAKE.format(mode=mode, rows=rows, index=index))
    roots = Ground().roots([Grant(str(place / "root"))], Policy())
    entry, sql = roots.entry(path.name), _UPDATE.format(where=where)
    bare, kept, size = [], [], 0
    for _ in range(_ROUNDS):  # in turns, so that both see the same machine
        start = time.perf_counter()
        databases.open(entry).change(sql)
        bare.append(time.perf_counter() - start)
        start = time.perf_counter()
        draft = store.begin("change_database", "", "", Effect.WRITE)
        databases.open(entry).change(sql, record=DatabaseRecord(store, draft, entry))
        change = draft.seal("")
        kept.append(time.perf_counter() - start)
        assert change is not None
        size = change.bytes_kept
    without, with_it = statistics.median(bare), statistics.median(kept)
    undoer, start = DatabaseUndoer(lambda: databases, store), time.perf_counter()
    undoer.check(change.steps[0], roots, _Calm())
    check = time.perf_counter() - start
    return (
        f"{without * 1e3:.0f} ms, journalled {with_it * 1e3:.0f} ms, ratio {with_it / without:.2f}"
        f" ({size / 1e6:.1f} MB kept before compression; its undo {check * 1e3:.0f} ms)"
    )


class _Calm:
    """Nobody takes the bench back."""

    cancelled = False

    def check(self) -> None:
        """Go on."""


if __name__ == "__main__":
    main()

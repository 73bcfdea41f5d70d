"""Databases to test on: a granted directory, an outside that must stay untouched, and ways to make files in them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rootcellar.confine import Entry, Grant, Ground, Roots
from rootcellar.policy import Access, Policy
from rootcellar.sqlite import Database, Databases, Query

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
# One opcode that burns for seconds: neither a progress handler nor an interrupt reaches it.
ONE_OPCODE = "SELECT instr(replace(hex(zeroblob(3000000)), '0', 'a'), replace(hex(zeroblob(1000000)), '0', 'a') || 'b')"
MUSIC = """
CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE album (id INTEGER PRIMARY KEY, title TEXT NOT NULL, artist_id INTEGER NOT NULL REFERENCES artist(id));
CREATE TABLE track (id INTEGER PRIMARY KEY, album_id INTEGER REFERENCES album(id) ON DELETE CASCADE, name TEXT,
  seconds REAL, bytes INTEGER, cover BLOB);
CREATE INDEX album_by_artist ON album(artist_id);
CREATE VIEW song AS SELECT t.name, a.title FROM track t JOIN album a ON a.id = t.album_id;
CREATE TRIGGER album_gone AFTER DELETE ON album BEGIN DELETE FROM track WHERE album_id = old.id; END;
"""


@dataclass
class Yard:
    """A root, what lies outside it, and the databases of the server."""

    base: Path
    databases: Databases = field(repr=False)
    grounds: list[Ground] = field(default_factory=list, repr=False)

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def outside(self) -> Path:
        return self.base / "outside"

    def roots(self, access: Access = Access.READ_WRITE) -> Roots:
        self.grounds.append(Ground())
        return self.grounds[-1].roots([Grant(str(self.root), access, "granted")], Policy())

    def entry(self, name: str, access: Access = Access.READ_WRITE) -> Entry:
        return self.roots(access).entry(name)

    def open(self, name: str, access: Access = Access.READ_WRITE, cancel: Any = None) -> Database:
        return self.databases.open(self.entry(name, access), cancel)

    def make(self, name: str, script: str = "", rows: Iterable[tuple[str, Sequence[Sequence[Any]]]] = ()) -> Path:
        """A database made by another program: the standard library's SQLite."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as made:
            made.executescript(script)
            for sql, values in rows:
                made.executemany(sql, values)
            made.commit()
        return path

    def music(self, name: str = "music.db", artists: int = 50) -> Path:
        """The music shop."""
        return self.make(
            name,
            MUSIC,
            [
                ("INSERT INTO artist VALUES (?, ?)", [(n, f"Artist {n}") for n in range(1, artists + 1)]),
                (
                    "INSERT INTO album VALUES (?, ?, ?)",
                    [(n, f"Album {n}", n % artists + 1) for n in range(1, 2 * artists)],
                ),
                (
                    "INSERT INTO track VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (n, n % (2 * artists - 1) + 1, f"Song {n}", n * 1.5, n * 1000, None)
                        for n in range(1, 5 * artists)
                    ],
                ),
            ],
        )

    def one(self, database: Database, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first cell of the first row."""
        return database.cells(Query(sql, params)).rows[0][0]

    def bare(self, name: str, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        """What another program sees."""
        with closing(sqlite3.connect(self.root / name)) as other:
            return other.execute(sql, params).fetchall()

    def names(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}


class OtherProgram:
    """Another process with the database open: locks of one's own process are lost when any handle of it is closed."""

    _LOOP = (
        "import json, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps(db.execute(json.loads(line)).fetchall()), flush=True)\n"
    )

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._LOOP, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, sql: str) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(sql) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Taken:
    """A request that can be taken back."""

    cancelled = False

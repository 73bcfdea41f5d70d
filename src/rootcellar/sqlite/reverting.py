"""Rows put back as they were: all of a change, or nothing, and only if nobody has touched those rows since.

Both images of the change (`capture`) are attached. Under the write lock: every row of the after-image must be in its
table still, to the last bit; all of them are deleted, all rows of the before-image inserted, with their rowids. So no
order of keys matters (swaps), and what came later shows as a row in the way. Triggers are off, they have done their
work once; foreign keys are off, for their actions would do it again: that no reference is left hanging is checked.
At the end every row must be what it was, or the undo is taken back. `"redo"` is the same the other way round.
"""

# ruff: noqa: S608 - names are quoted by `lexer.quoted` or ours, values are bound

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors
from rootcellar.sqlite import lexer, references, shelf
from rootcellar.sqlite.capture import SETTINGS
from rootcellar.sqlite.differences import told
from rootcellar.sqlite.session import undo
from rootcellar.sqlite.shapes import Shape, shape_of
from rootcellar.sqlite.statement import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.shapes import Ask
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

_HINT: Final = "undo what came later first, or mend the rows by hand"
_SHOWN: Final = 50


async def revert(session: Session, request: Json, talk: Talk) -> Json:
    """Undo rows; a dry one does it all, tells the rows and takes it back."""
    with ExitStack() as attached:

        def prepare(connection: Connection) -> Json:
            attached.enter_context(_images(connection, request, talk, session.opening.key if request["sealed"] else ""))
            connection.ours("BEGIN IMMEDIATE")
            going = Going(connection.ours, back=request["back"])
            try:
                going.go()
            except apsw.ConstraintError as error:
                raise errors.Stale(f"a row that came later is in the way ({error})", _HINT) from None
            return {
                "rows": going.counts(), "sample": going.sample(), "proof": request["proof"], "is_back": request["back"],
                "sealed": request["sealed"],
            }  # fmt: skip

        try:
            answer = await session.do("revert", prepare)
            if not request["dry"]:
                if not await talk.may_commit(answer):
                    raise errors.Declined("the change was not kept", "")
                talk.check()
                await session.do("commit", lambda connection: connection.commit())
        finally:
            await session.do("rollback", undo)
            await session.close()  # with it go the images, and the switches
    return answer


@contextmanager
def _images(connection: Connection, request: Json, talk: Talk, key: str) -> Iterator[None]:
    """Both images as the schemas `was` and `became`; SQLite as it must be to put rows where they were."""
    data, split = b"".join(talk.chunks()), int(request["sizes"][0])
    images = [shelf.unseal(part, key) for part in (data[:split], data[split:])]
    raw, ours = connection.raw, connection.ours
    connection.profile = Profile.OURS
    raw.limit(apsw.SQLITE_LIMIT_ATTACHED, len(images))
    raw.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    ours("PRAGMA foreign_keys = OFF")
    ours("PRAGMA ignore_check_constraints = ON")
    with shelf.laid(images[0]) as was, shelf.laid(images[1]) as became:
        for title, name in ((was, "was"), (became, "became")):
            ours(f"ATTACH '{shelf.address(title)}' AS {name} KEY ''")
            ours(f"PRAGMA {name}.synchronous = OFF")
        yield


class Going:
    """Rows on their way from one image to the other."""

    def __init__(self, ours: Ask, *, back: bool) -> None:
        self.ours = ours
        self.meta: Json = json.loads(str(self.ours("SELECT v FROM was.m")[0][0]))
        self.here, self.there = ("became.a", "was.b") if back else ("was.b", "became.a")
        self.way = (1, 0) if back else (0, 1)  # which of a pair is expected, which is to be
        self.shapes: dict[int, Shape] = {}
        self.new = dict(enumerate(self.meta["tables"][self.meta["old"] :], self.meta["old"]))
        self.back = back

    def go(self) -> None:
        """All of it; Stale where anything is not as it was left."""
        counters = self._counters()
        self._expect_settings()
        if not self.back:
            self._make()
        self._meet()
        self._expect_rows(self.here)
        known = references.touching(references.references(self.ours), [shape.name for shape in self.shapes.values()])
        for place, shape in self.shapes.items():
            if place not in self.new or not self.back:
                self._delete(place, shape)
        for place, shape in self.shapes.items():
            if place not in self.new or not self.back:
                self._insert(place, shape)
        if self.back:
            self._unmake()
        self._put_counters(counters)
        self._put_settings()
        self._expect_rows(self.there)
        broken = references.broken(self.ours, known, self.shapes, (self.here, self.there))
        if broken:
            raise errors.Stale(broken, _HINT)

    def counts(self) -> dict[str, int]:
        """How many rows are different afterwards, by table."""
        found = {}
        for place, (name, _) in enumerate(self.meta["tables"]):
            counts = [
                int(str(self.ours(f"SELECT count(*) FROM {side}{place}")[0][0])) for side in (self.here, self.there)
            ]
            found[str(name)] = max(counts)
        return found

    def sample(self) -> list[str]:
        """The first rows, as they are and as they will be."""
        lines: list[str] = []
        for place, (name, _) in enumerate(self.meta["tables"]):
            shape = self.shapes.get(place)
            if shape is not None:
                lines += told(self.ours, shape, (f"{self.here}{place}", f"{self.there}{place}"), _SHOWN - len(lines))
            elif len(lines) < _SHOWN:
                lines.append(f"dropped the table {name}")
        return lines

    def _meet(self) -> None:
        """The tables as they are now; Stale if one was altered."""
        for place, (name, sql) in enumerate(self.meta["tables"]):
            shape = shape_of(self.ours, name)
            if shape is None or shape.sql != sql:
                raise errors.Stale(f"the table `{name}` was altered or dropped since", _HINT)
            self.shapes[place] = shape

    def _expect_rows(self, side: str) -> None:
        for place, shape in self.shapes.items():
            image = f"{side}{place}"
            sql = (
                f"SELECT {', '.join(f'i.{column}' for column in shape.image_key)}"
                f" FROM {image} AS i LEFT JOIN {shape.table} AS t ON {shape.found('i', 't')}"
                f" WHERE NOT coalesce({shape.same('i', 't')}, 0) LIMIT 1"
            )
            if wrong := self.ours(sql):
                named = ", ".join(str(value) for value in wrong[0])[:80]
                raise errors.Stale(f"row {named} of `{shape.name}` is no longer as the change left it", _HINT)

    def _delete(self, place: int, shape: Shape) -> None:
        image = f"{self.here}{place}"
        key, named = ", ".join(shape.table_key), ", ".join(shape.image_key)
        self.ours(f"DELETE FROM {shape.table} WHERE ({key}) IN (SELECT {named} FROM {image})")

    def _insert(self, place: int, shape: Shape) -> None:
        into, columns = ", ".join(shape.table_columns), ", ".join(shape.image_columns)
        self.ours(f"INSERT OR ABORT INTO {shape.table} ({into}) SELECT {columns} FROM {self.there}{place}")

    # what a change made

    def _unmake(self) -> None:
        """Drop what the change made, if it is only what the change made."""
        ours, names = self.ours, {name for _, name, _, _ in self.meta["made"]}
        for kind, name, _, sql in self.meta["made"]:
            if ours("SELECT sql FROM main.sqlite_schema WHERE type = ? AND name = ?", (kind, name)) != [(sql,)]:
                raise errors.Stale(f"the {kind} `{name}` was altered or dropped since", _HINT)
        for place, (name, _) in self.new.items():
            count = ours(
                f"SELECT (SELECT count(*) FROM main.{lexer.quoted(name)}) - (SELECT count(*) FROM became.a{place})"
            )
            more = ours("SELECT name FROM main.sqlite_schema WHERE tbl_name = ? AND sql NOT NULL", (name,))
            if count[0][0] or not {str(one) for (one,) in more} <= names:
                raise errors.Stale(f"the table `{name}` has more in it since", _HINT)
        for kind, name, _, _ in reversed(self.meta["made"]):
            ours(f"DROP {kind} IF EXISTS main.{lexer.quoted(name)}")
        for place in self.new:
            self.shapes.pop(place, None)

    def _make(self) -> None:
        """Make again what the change made; its rows come later."""
        for kind, name, _, sql in self.meta["made"]:
            if self.ours("SELECT 1 FROM main.sqlite_schema WHERE name = ?", (name,)):
                raise errors.Stale(f"there is a {kind} `{name}` again", _HINT)
            self.ours(str(sql))

    # counters and settings

    def _counters(self) -> dict[str, tuple[Any, Any]]:
        """The AUTOINCREMENT counters as they shall be: as before the change, unless something has moved them since."""
        if not self.ours("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'"):
            return {}
        now = {
            str(name): (rowid, seq)
            for name, rowid, seq in self.ours("SELECT name, rowid, seq FROM main.sqlite_sequence")
        }
        expected, wanted = self.way
        for name, pair in self.meta["counters"].items():
            left = tuple(pair[expected]) if pair[expected] else None
            if now.get(name) == left:
                now.pop(name, None)
                if pair[wanted]:
                    now[name] = tuple(pair[wanted])
        return now

    def _put_counters(self, counters: dict[str, tuple[Any, Any]]) -> None:
        ours = self.ours
        if not ours("SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'"):
            return
        now = {
            str(name): (rowid, seq) for name, rowid, seq in ours("SELECT name, rowid, seq FROM main.sqlite_sequence")
        }
        if now == counters:
            return
        gone = {name for _, name, _, _ in self.meta["made"]} if self.back else set()
        ours("DELETE FROM main.sqlite_sequence")
        for name, (rowid, seq) in counters.items():
            if name not in gone:
                ours("INSERT INTO main.sqlite_sequence(rowid, name, seq) VALUES (?, ?, ?)", (rowid, name, seq))

    def _expect_settings(self) -> None:
        for name, pair in self.meta["settings"].items():
            if name in SETTINGS and self.ours(f"PRAGMA main.{name}")[0][0] != pair[self.way[0]]:
                raise errors.Stale(f"`{name}` was set to something else since", _HINT)

    def _put_settings(self) -> None:
        for name, pair in self.meta["settings"].items():
            if name in SETTINGS:
                self.ours(f"PRAGMA main.{name} = {int(pair[self.way[1]])}")

"""The index: changes, their steps, and which contents these keep; every method is one transaction.

A content's row exists exactly as long as a step refers to it, so whoever removes the last reference removes the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from rootcellar.journal.changes import Change, Facts, Filter, Form, Kept, Laid, Recorded, State
from rootcellar.journal.schema import SCHEMA
from rootcellar.policy import Effect
from rootcellar.sqlite.ours import Durable, OwnDatabase, Row, Value

_CHANGE: Final = (
    "SELECT seq, id, at, tool, arguments, host, effect, summary, state, undoes, undone_by, interrupted, request_key"
    " FROM change"
)


def _text(facts: Facts) -> str:
    return json.dumps(facts, ensure_ascii=True, separators=(",", ":"))


class Index:
    """The store's database; for the keeper's thread."""

    def __init__(self, path: str, owner: str, vfs: str = "") -> None:
        self._db = OwnDatabase(path, "the journal", SCHEMA, vfs=vfs)
        self._owner = owner

    def close(self) -> None:
        """Let go of it."""
        self._db.close()

    # Recording

    def add_change(self, change: Change) -> int:
        """Begin a change; Constraint if its id or its request key is taken. Inside `recording`."""
        self._db.rows(
            "INSERT INTO change(id, at, tool, arguments, host, effect, summary, state, request_key, owner, undoes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                change.id, change.at, change.tool, change.arguments, change.host, change.effect.value, change.summary,
                State.BEGUN.value, change.request_key or None, self._owner, change.undoes,
            ),
        )  # fmt: skip
        return self._number("SELECT last_insert_rowid()")

    def add_step(self, seq: int, step: Recorded, undoes: int | None) -> tuple[int, list[str]]:
        """Add a step: its order, and the files that were not needed, as their contents are in the store already."""
        self._db.rows(
            "INSERT INTO step(change, n, kind, facts, state, undoes) VALUES (?, ?, ?, ?, ?, ?)",
            (seq, step.n, step.kind, _text(step.facts), State.BEGUN.value, undoes),
        )
        order = self._number("SELECT last_insert_rowid()")
        for path in dict.fromkeys(step.paths):
            self._db.rows("INSERT INTO touched VALUES (?, ?)", (order, os.fsencode(path)))
        spare = []
        for place, kept in enumerate(step.contents):
            self._db.rows("INSERT INTO kept VALUES (?, ?, ?)", (order, place, kept.hash))
            known = self._db.rows("SELECT file FROM content WHERE hash = ?", (kept.hash,))
            if known:
                spare += [kept.laid.file] if kept.laid and kept.laid.file and kept.laid.file != known[0][0] else []
                continue
            assert kept.laid is not None
            laid = kept.laid
            self._db.rows(
                "INSERT INTO content(hash, size, stored, form, file, data) VALUES (?, ?, ?, ?, ?, ?)",
                (kept.hash, kept.size, laid.stored, laid.form.value, laid.file, laid.data),
            )
        return order, spare

    def settle_step(self, order: int, facts: Facts) -> None:
        """A step has happened; what it takes back is undone by that. Inside `recording`."""
        self._db.rows("UPDATE step SET facts = ? WHERE ord = ?", (_text(facts), order))
        self._turn(order, State.DONE)

    def _turn(self, order: int, state: State) -> None:
        """A step is made, or taken back: the step that *it* took back turns the other way, and so on."""
        self._db.rows("UPDATE step SET state = ? WHERE ord = ?", (state.value, order))
        for (undoes,) in self._db.rows("SELECT undoes FROM step WHERE ord = ? AND undoes IS NOT NULL", (order,)):
            self._turn(int(str(undoes)), State.DONE if state is State.UNDONE else State.UNDONE)

    def drop_step(self, order: int) -> list[str]:
        """A step that did not happen; the files that nothing refers to any more."""
        hashes = [str(row[0]) for row in self._db.rows("SELECT hash FROM kept WHERE ord = ?", (order,))]
        self._db.rows("DELETE FROM step WHERE ord = ?", (order,))
        return self._orphans(hashes)

    def seal(self, seq: int, summary: str, *, interrupted: bool) -> bool:
        """End a change; False if no step of it happened, and then nothing of it is left."""
        if not self._number("SELECT count(*) FROM step WHERE change = ?", (seq,)):
            self._db.rows("DELETE FROM change WHERE seq = ?", (seq,))
            return False
        self._db.rows(
            "UPDATE change SET state = 'done', summary = ?, interrupted = ? WHERE seq = ?",
            (summary, int(interrupted), seq),
        )
        self._follow(seq)
        return True

    def _follow(self, seq: int) -> None:
        """Bring the changes that this one takes back, or makes again, up to what their steps say."""
        undone = self._db.rows(
            "WITH RECURSIVE back(ord) AS (SELECT undoes FROM step WHERE change = ? AND undoes IS NOT NULL"
            " UNION SELECT step.undoes FROM step JOIN back USING (ord) WHERE step.undoes IS NOT NULL)"
            " SELECT DISTINCT change FROM step JOIN back USING (ord)",
            (seq,),
        )
        for (other,) in undone:
            left = self._number("SELECT count(*) FROM step WHERE change = ? AND state != 'undone'", (other,))
            by = self._db.rows(
                "SELECT change.id FROM change JOIN step ON step.change = change.seq WHERE step.state = 'done'"
                " AND step.undoes IN (SELECT ord FROM step WHERE change = ?) ORDER BY step.ord DESC LIMIT 1",
                (other,),
            )
            self._db.rows(
                "UPDATE change SET state = ?, undone_by = ? WHERE seq = ?",
                ("done" if left else "undone", by[0][0] if by and not left else "", other),
            )

    def recording(self, durable: Durable) -> AbstractContextManager[None]:
        """One transaction around what is recorded together."""
        return self._db.changing(durable)

    # Caps

    def stored(self) -> int:
        """How many bytes the store holds."""
        return self._number("SELECT stored FROM tally")

    def oldest(self, before: float | None = None) -> list[int]:
        """The changes that may go, oldest first: none that is begun, or held for its undo."""
        return [
            int(str(row[0]))
            for row in self._db.rows(
                "SELECT seq FROM change WHERE state != 'begun' AND held_by = '' AND at < ? ORDER BY seq LIMIT 64",
                (9e99 if before is None else before,),
            )
        ]

    def forget(self, seq: int) -> list[str]:
        """Remove a change; the files that nothing refers to any more. Inside `recording`."""
        hashes = [
            str(row[0]) for row in self._db.rows("SELECT hash FROM kept JOIN step USING (ord) WHERE change = ?", (seq,))
        ]
        self._db.rows("DELETE FROM change WHERE seq = ?", (seq,))
        return self._orphans(hashes)

    def _orphans(self, hashes: Iterable[str]) -> list[str]:
        files = []
        for known in dict.fromkeys(hashes):
            if not self._db.rows("SELECT 1 FROM kept WHERE hash = ? LIMIT 1", (known,)):
                files += [str(row[0]) for row in self._db.rows("SELECT file FROM content WHERE hash = ?", (known,))]
                self._db.rows("DELETE FROM content WHERE hash = ?", (known,))
        return [file for file in files if file]

    def hold(self, ids: Sequence[str], owner: str) -> None:
        """Keep these changes from being forgotten; an empty owner lets them go. Inside `recording`."""
        for known in ids:
            self._db.rows("UPDATE change SET held_by = ? WHERE id = ?", (owner, known))

    def let_go(self, owner: str) -> None:
        """What a process that is gone held. Inside `recording`."""
        self._db.rows("UPDATE change SET held_by = '' WHERE held_by = ?", (owner,))

    # Looking

    def begun_by(self, owner: str) -> list[int]:
        """The changes that a process has not sealed."""
        return [
            int(str(row[0]))
            for row in self._db.rows("SELECT seq FROM change WHERE owner = ? AND state = 'begun'", (owner,))
        ]

    def files(self) -> set[str]:
        """Every content file that is in use."""
        return {str(row[0]) for row in self._db.rows("SELECT file FROM content WHERE file != ''")}

    def content(self, known: str) -> tuple[int, Laid] | None:
        """Where a content lies."""
        rows = self._db.rows("SELECT size, form, stored, file, data FROM content WHERE hash = ?", (known,))
        if not rows:
            return None
        size, form, stored, file, data = rows[0]
        return int(str(size)), Laid(Form(form), int(str(stored)), str(file), data if isinstance(data, bytes) else None)

    def unpacked(self) -> tuple[str, str] | None:
        """A content that nobody has tried to pack, and its file."""
        rows = self._db.rows("SELECT hash, file FROM content WHERE form = 'plain' AND file != '' AND NOT tried LIMIT 1")
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def packed(self, known: str, file: str, name: str, stored: int) -> bool:
        """A content lies packed in another file now, or (no name) it does not pay; False if it has moved meanwhile."""
        values = ("plain", file, 0) if not name else ("zlib", name, stored)
        self._db.rows(
            "UPDATE content SET tried = 1, form = ?, file = ?, stored = CASE WHEN ? THEN ? ELSE stored END"
            " WHERE hash = ? AND file = ?",
            (values[0], values[1], int(bool(name)), stored, known, file),
        )
        return bool(self._number("SELECT changes()"))

    def owner_of(self, key: str) -> tuple[str, str, str] | None:
        """The change of a request key: its id, its state, its process."""
        rows = self._db.rows("SELECT id, state, owner FROM change WHERE request_key = ?", (key,))
        return (str(rows[0][0]), str(rows[0][1]), str(rows[0][2])) if rows else None

    def change(self, seq: int) -> Change | None:
        """A change by its number, begun ones too."""
        return self._one(self._db.rows(f"{_CHANGE} WHERE seq = ?", (seq,)))

    def change_of(self, known: str) -> Change | None:
        """A change by its id."""
        return self._one(self._db.rows(f"{_CHANGE} WHERE id = ?", (known,)))

    def _one(self, rows: list[Row]) -> Change | None:
        return self._read(rows[0]) if rows else None

    def page(self, asked: Filter, before: int, count: int) -> list[tuple[int, Change]]:
        """Changes below a number, the newest first; begun ones only of their own process are left out."""
        wheres: list[str] = ["seq < ?", "state != 'begun'"]
        given: list[Value] = [before]
        for column, value in (("tool", asked.tool), ("host", asked.host)):
            if value:
                wheres.append(f"{column} = ?")
                given.append(value)
        if asked.since is not None:
            wheres.append("at >= ?")
            given.append(asked.since)
        if asked.until is not None:
            wheres.append("at < ?")
            given.append(asked.until)
        if asked.path:
            near, names = _near(asked.path)
            wheres.append(f"seq IN (SELECT change FROM step JOIN touched USING (ord) WHERE {near})")
            given += names
        rows = self._db.rows(f"{_CHANGE} WHERE {' AND '.join(wheres)} ORDER BY seq DESC LIMIT ?", (*given, count))
        return [(int(str(row[0])), self._read(row)) for row in rows]

    def later(self, path: str, order: int, change: str) -> list[tuple[int, str, str, int]]:
        """The steps of other changes on, above or below a path after `order`: order, change, state, undoes."""
        near, names = _near(path)
        later = near.replace("touched.path", "+touched.path")  # by order: what came later is little
        rows = self._db.rows(
            "SELECT DISTINCT step.ord, change.id, step.state, coalesce(step.undoes, 0)"
            " FROM touched CROSS JOIN step USING (ord) JOIN change ON change.seq = step.change"
            f" WHERE touched.ord > ? AND ({later}) AND change.id != ? ORDER BY step.ord DESC",
            (order, *names, change),
        )
        return [(int(str(a)), self.origin(int(str(a))) or str(b), str(c), int(str(d))) for a, b, c, d in rows]

    def remade(self, order: int) -> tuple[str, Recorded] | None:
        """The step that made this one again after its undo, with its change: what that one recorded holds now."""
        rows = self._db.rows(
            "SELECT again.change, again.ord, change.id FROM step AS back JOIN step AS again ON again.undoes = back.ord"
            " JOIN change ON change.seq = again.change WHERE back.undoes = ? AND back.state = 'undone'"
            " AND again.state = 'done' ORDER BY again.ord DESC LIMIT 1",
            (order,),
        )
        if not rows:
            return None
        steps = self._steps(int(str(rows[0][0])))
        return str(rows[0][2]), next(step for step in steps if step.order == rows[0][1])

    def origin(self, order: int) -> str:
        """The change whose effect a step is: of a step that made another again, that of the first of them."""
        while True:
            below = self._db.rows(
                "SELECT back.undoes FROM step JOIN step AS back ON back.ord = step.undoes"
                " WHERE step.ord = ? AND back.undoes IS NOT NULL",
                (order,),
            )
            if not below:
                break
            order = int(str(below[0][0]))
        rows = self._db.rows("SELECT id FROM change JOIN step ON step.change = change.seq WHERE ord = ?", (order,))
        return str(rows[0][0]) if rows else ""

    def _read(self, row: Row) -> Change:
        seq, known, at, tool, arguments, host, effect, summary, state, undoes, undone_by, interrupted, key = row
        return Change(
            str(known), float(str(at)), str(tool), str(arguments), str(host), Effect(effect), str(summary),
            State(state), tuple(self._steps(int(str(seq)))), str(undoes), str(undone_by), bool(interrupted),
            str(key or ""),
        )  # fmt: skip

    def _steps(self, seq: int) -> list[Recorded]:
        found = []
        for order, n, kind, facts, state in self._db.rows(
            "SELECT ord, n, kind, facts, state FROM step WHERE change = ? ORDER BY n", (seq,)
        ):
            kept = self._db.rows(
                "SELECT hash, coalesce(size, 0) FROM kept LEFT JOIN content USING (hash) WHERE ord = ? ORDER BY place",
                (order,),
            )
            paths = self._db.rows("SELECT path FROM touched WHERE ord = ? ORDER BY path", (order,))
            found.append(
                Recorded(
                    int(str(n)), str(kind), json.loads(str(facts)),
                    tuple(Kept(str(known), int(str(size))) for known, size in kept),
                    tuple(os.fsdecode(path) for (path,) in paths if isinstance(path, bytes)), State(state),
                    int(str(order)),
                )
            )  # fmt: skip
        return found

    def _number(self, sql: str, values: Sequence[Value] = ()) -> int:
        return int(str(self._db.rows(sql, values)[0][0]))


def _near(path: str) -> tuple[str, list[Value]]:
    """What finds the paths that are this one, lie below it or hold it."""
    mark = "\\" if "\\" in path and not path.startswith("/") else "/"
    parts = path.split(mark)
    above = {mark.join(parts[:count]) or mark for count in range(1, len(parts) + 1)}
    above |= {name + mark for name in above if name.endswith(":")}
    start = path if path.endswith(mark) else path + mark
    values: list[Value] = [os.fsencode(start), os.fsencode(start[:-1] + chr(ord(mark) + 1))]
    values += [os.fsencode(name) for name in sorted(above)]
    return f"(touched.path >= ? AND touched.path < ?) OR touched.path IN ({', '.join('?' * len(above))})", values

"""What the journal keeps of a change of a database, recorded before it is committed.

`database.rows`: one content, both images of the rows one after the other (`sqlite/capture.py`). `database.whole`: the
database's files as they were, main and write-ahead log. Of an encrypted database both are as encrypted as the file is,
and the facts hold counts only: no name, no value.

A step's paths lie below the database's own: one for each table or row touched, under digests of their names, so that
changes of different rows do not stand in each other's way, and a move of the file stands in the way of all. A change of
many rows has one path of its own: whether it can be undone is decided by the rows themselves.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rootcellar import limits
from rootcellar.confine import Entry, Grant, Ground
from rootcellar.confine.resolve import Ending
from rootcellar.errors import NotFound, Refusal, TooLargeToKeep
from rootcellar.journal import facts as fact
from rootcellar.journal.changes import Kept, Recorded
from rootcellar.policy import Effect, Policy
from rootcellar.sqlite import Changed, Databases

if TYPE_CHECKING:
    from rootcellar.journal.drafting import Draft
    from rootcellar.journal.store import Store

_LOG: Final = "-wal"
_SHOWN: Final = 40  # rows of a change told later


def real(entry: Entry) -> Entry:
    """The same entry at its real place, links resolved."""
    with entry.find(Ending.FOLLOW) as place:
        return entry.at(place.parts)


class DatabaseRecord:
    """Records one call's changes of one database into its draft: a `sqlite.Recorder`."""

    def __init__(self, store: Store, draft: Draft, entry: Entry) -> None:
        self.undoing: Recorded | None = None  # the step that the next one takes back
        self._store, self._draft, self._entry = store, draft, real(entry)
        self._files: list[Kept] = []
        self._step = 0
        self._rows: tuple[Kept, ...] = ()
        self._back = False

    def same_rows(self, step: Recorded) -> None:
        """The next change is this one the other way round: what is kept of it serves again."""
        self._rows, self._back = step.contents, bool(step.facts["back"])

    def keep_whole(self, size: int) -> None:
        """Keep the files as they are; TooLargeToKeep before anything is changed."""
        most = min(limits.WHOLE_BYTES_MAX, self._store.caps.content_bytes_max)
        if size > most:
            raise TooLargeToKeep(
                f"to undo this change a copy of `{self._entry}` would be kept, and it has {size:,} bytes",
                f"up to {most:,} bytes are kept: change rows only, or make a backup and have the user allow it",
            )
        self._release()
        for entry in (self._entry, self._entry.parent.child(self._entry.name + _LOG)):
            with contextlib.suppress(NotFound), entry.open_read() as content:
                self._files.append(self._store.keep(content.fd, content.size))

    def record(self, changed: Changed) -> None:
        """The step, durable."""
        kind, facts, kept = self._whole(changed) if changed.is_whole else self._of_rows(changed)
        self._files = []
        path = fact.path(facts["at"])
        mark = "\\" if "\\" in facts["at"]["anchor"] else "/"
        paths = [path] if changed.is_whole else [f"{path}{mark}{name}" for name in changed.places]
        undoing = self.undoing
        if undoing is not None and not changed.is_whole:
            paths = list(undoing.paths)
        own = f"{path}{mark}~{secrets.token_hex(8)}"
        self._step = self._draft.step(kind, facts, kept, paths or [own], undoing)

    def happened(self, changed: Changed) -> None:
        """It is committed."""
        self._amend({"expected": changed.digest} if changed.is_whole and changed.digest else {})

    def did_not(self) -> None:
        """It was rolled back."""
        self._release()
        if self._step:
            self._draft.drop(self._step)
            self._step = 0

    def unsure(self) -> None:
        """Nobody can tell: what is kept stays kept, and the rows decide when it is to be undone."""
        self._amend({})

    def _amend(self, facts: Mapping[str, Any]) -> None:
        if self._step:
            self._draft.amend(self._step, facts)
            self._step = 0

    def _release(self) -> None:
        if self._files:
            self._store.release(*self._files)
        self._files = []

    def _whole(self, changed: Changed) -> tuple[str, dict[str, Any], list[Kept]]:
        facts = self._told(changed) | {
            "sizes": [kept.size for kept in self._files], "before": changed.target, "expected": changed.digest,
        }  # fmt: skip
        return "database.whole", facts, list(self._files)

    def _of_rows(self, changed: Changed) -> tuple[str, dict[str, Any], list[Kept]]:
        facts = self._told(changed) | {"proof": changed.proof, "made": len(changed.made)}
        if self._rows and self.undoing is not None:
            told = self.undoing.facts
            return "database.rows", facts | {"sizes": told["sizes"], "back": not self._back}, list(self._rows)
        kept = self._store.keep_bytes(changed.images)
        return "database.rows", facts | {"sizes": list(changed.sizes), "back": True}, [kept]

    def _told(self, changed: Changed) -> dict[str, Any]:
        """What can be told later without opening anything; nothing of what an encrypted database holds."""
        facts: dict[str, Any] = {"at": fact.at(self._entry), "sealed": changed.is_sealed}
        if changed.is_sealed:
            return facts | {"summary": _counted(changed), "sample": []}
        return facts | {"summary": changed.summary(), "sample": list(changed.sample[:_SHOWN])}


def _counted(changed: Changed) -> str:
    count = sum(changed.rows.values())
    parts = [f"{count:,} row{'' if count == 1 else 's'}"] if count or not changed.schema else []
    return " and ".join([*parts, *(["the schema"] if changed.schema else [])])


class DatabaseSettler:
    """Whether a database step that a killed server had begun has happened: asked of the database itself, in a worker.

    Where rows were changed by others since, and nothing speaks, it counts as happened: nothing kept is lost, and its
    undo still looks at every row.
    """

    def __init__(self, databases: Callable[[], Databases]) -> None:
        self._databases = databases

    def __call__(self, step: Recorded) -> bool:
        """The store's settler of `database.*` steps; never on a fenced thread."""
        try:
            return self._look(step)
        except Refusal:
            return True

    def _look(self, step: Recorded) -> bool:
        place = step.facts["at"]
        folder = {**place, "parts": place["parts"][:-1]}
        entry = fact.entry(Ground().roots([Grant(fact.path(folder))], Policy()), place)
        if not entry.stat().size and step.kind == "database.whole" and not sum(step.facts["sizes"]):
            return False  # a new file that nothing was ever committed to
        found = self._databases().open(entry).is_there(changed_of(step))
        return found is None or found


def changed_of(step: Recorded) -> Changed:
    """As much of a recorded change as tells whether it is there."""
    facts = step.facts
    if step.kind == "database.whole":
        return Changed(
            Effect.DESTROY, {}, schema=False, is_whole=True, digest=facts["expected"], target=facts["before"]
        )
    return Changed(Effect.WRITE, {}, schema=False, proof=facts["proof"], is_back=not facts["back"])

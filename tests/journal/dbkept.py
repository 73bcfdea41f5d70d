"""A journal of one database in this process's memory: what a test keeps of a change, and undoes it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rootcellar.confine import Entry
from rootcellar.errors import NotFound
from rootcellar.sqlite import Changed, Database, KeptFiles, KeptRows, Run, Way


def bytes_of(data: bytes) -> Callable[[], Callable[[], bytes]]:
    """The same bytes, again and again, in chunks."""

    def begin() -> Callable[[], bytes]:
        parts = iter([*(data[at : at + 100_000] for at in range(0, len(data), 100_000)), b""])
        return lambda: next(parts, b"")

    return begin


@dataclass
class Kept:
    """A recorder that keeps one change."""

    entry: Entry
    look: Callable[[], object] = lambda: None
    files: list[bytes] = field(default_factory=list)
    changed: Changed | None = None
    events: list[str] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)

    def keep_whole(self, size: int) -> None:
        self.events.append("whole")
        self.files = []
        for name in (self.entry.name, self.entry.name + "-wal"):
            try:
                with self.entry.parent.child(name).open_read() as content:
                    self.files.append(content.read_at(0, content.size))
            except NotFound:
                self.files.append(b"")
        assert sum(map(len, self.files)) == size

    def record(self, changed: Changed) -> None:
        self.events.append("record")
        self.seen.append(self.look())
        self.changed = changed

    def happened(self, changed: Changed) -> None:
        self.events.append("happened")
        if changed.digest and changed.is_whole and self.changed:
            self.changed = changed

    def did_not(self) -> None:
        self.events.append("did not")

    def unsure(self) -> None:
        self.events.append("unsure")

    @property
    def rows(self) -> KeptRows:
        assert self.changed
        return KeptRows(self.changed.sizes, bytes_of(self.changed.images), self.changed.proof, self.changed.is_sealed)

    def undo(self, database: Database, run: Run = Run.KEEP, record: Kept | None = None) -> Changed | None:
        """Take the change back."""
        if self.changed is None:
            return None
        if self.changed.is_whole:
            sizes = tuple(map(len, self.files))
            kept = KeptFiles(sizes, bytes_of(b"".join(self.files)), self.changed.digest, self.changed.is_sealed)
            return database.restore(kept, run, record)
        return database.revert(self.rows, Way.BACK, run, record)

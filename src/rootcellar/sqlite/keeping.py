"""A change of a database as the journal meets it: told before it is kept, and what came of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from rootcellar import errors
from rootcellar.confine import UNWATCHED
from rootcellar.sqlite.results import Changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.confine import Entry
    from rootcellar.sqlite.wire import Json


class Run(Enum):
    """Whether a change is kept."""

    KEEP = "keep"
    DRY = "dry"


class Way(Enum):
    """Which way a change is gone: undone, or done again."""

    BACK = "back"
    FORTH = "forth"


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Both images of a change: their sizes, and how to read them from the start, one after the other, in chunks."""

    sizes: tuple[int, ...]
    read: Callable[[], Callable[[], bytes]]
    proof: str = ""
    is_sealed: bool = False

    def request(self, way: Way, run: Run) -> Json:
        """What a worker is asked."""
        back, dry = way is Way.BACK, run is Run.DRY
        return {
            "verb": "revert", "sizes": self.sizes, "back": back, "dry": dry, "proof": self.proof,
            "sealed": self.is_sealed,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """A database's files as they were (main, write-ahead log), and the fingerprint it must have now."""

    sizes: tuple[int, ...]
    read: Callable[[], Callable[[], bytes]]
    expected: str
    is_sealed: bool = False

    def request(self, run: Run) -> Json:
        """What a worker is asked."""
        dry = run is Run.DRY
        return {
            "verb": "restore", "sizes": self.sizes, "expected": self.expected, "dry": dry, "hold": False,
            "sealed": self.is_sealed,
        }  # fmt: skip


class Recorder(Protocol):
    """Who is told of a change. A Refusal raised by `keep_whole` or `record` stops it, and nothing has changed."""

    def keep_whole(self, size: int) -> None:
        """Copy the database's files now: nobody can write to them, and nothing is changed yet."""

    def record(self, changed: Changed) -> None:
        """All that is about to be kept. Durable when this returns: the commit comes next."""

    def happened(self, changed: Changed) -> None:
        """It is committed; `digest` of a whole change may be another than was told before."""

    def did_not(self) -> None:
        """It was rolled back, or never begun: `record` may not have been called, or may have refused."""

    def unsure(self) -> None:
        """The worker died between the word and its answer, and the database does not tell."""


@runtime_checkable
class DatabaseWitness(Protocol):
    """The witness of an entry that also hears of changes inside a database."""

    def database(self, entry: Entry) -> Recorder:
        """Who is told of the changes of this one."""


def recorder_of(entry: Entry, request: Json) -> Recorder | None:
    """Who must be told of a change: the entry's own witness says it, so that no tool can forget. ReadOnly."""
    if request.get("dry") or entry.witness is UNWATCHED:
        return None
    if isinstance(entry.witness, DatabaseWitness):
        return entry.witness.database(entry)
    raise errors.ReadOnly(f"`{entry}` cannot be changed by a tool that only reads", "use another tool")


@dataclass(slots=True)
class Keeping:
    """One call's exchange with its recorder, on the server's side of the pipe."""

    recorder: Recorder | None
    data: bytearray = field(default_factory=bytearray)
    is_told: bool = False
    told: Changed | None = None

    def sink(self, chunk: bytes) -> None:
        """Images, ahead of the question."""
        self.data += chunk

    def prepared(self, told: Json) -> None:
        """The worker's question."""
        if self.recorder is None or told.get("empty"):
            return
        self.is_told = True
        if "whole" in told:
            self.recorder.keep_whole(int(told["whole"]))
            return
        changed = Changed.of(told, bytes(self.data))
        self.recorder.record(changed)
        self.told = changed  # from here on it may be real

    def ended(self, told: Json) -> None:
        """The worker's answer: it is committed."""
        if self.recorder is not None and self.told is not None:
            self.recorder.happened(Changed.of({**told, "sizes": []}))

    def failed(self, error: BaseException, look: Callable[[Changed], bool | None]) -> None:
        """No answer, or a refusal; `look` asks the database itself whether the change is there."""
        if self.recorder is None or not self.is_told:
            return
        if self.told is None or (isinstance(error, errors.Refusal) and getattr(error, "answered", False)):
            self.recorder.did_not()
            return
        try:
            found = look(self.told)
        except errors.Refusal:
            found = None
        if found is None:
            self.recorder.unsure()
        elif found:
            self.recorder.happened(self.told)
        else:
            self.recorder.did_not()

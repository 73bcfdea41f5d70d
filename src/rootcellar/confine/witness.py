"""Who is told of every change before it is real, so that no tool can forget the journal, or lie about its effect.

Every verb that changes something tells the entry's witness: one `Step` for each act that becomes real in one step of
the file system. By then the new content is a finished draft, or there is nothing left to do but the act itself; a
Refusal raised by the witness leaves everything as it was. What the witness answers, the `Ticket`, is told whether it
came about. An act that lost a race and starts again is told as what did not happen, then as a new step.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from rootcellar.errors import ReadOnly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rootcellar.confine._doomed import Trashed
    from rootcellar.confine._open import Stat
    from rootcellar.confine.entry import Entry


class Act(Enum):
    """What is about to happen to the entry."""

    CREATE = "a new file gets its name"
    REPLACE = "new content takes the place of the file's old content"
    MAKE_DIRECTORY = "a new directory"
    COPY = "a finished copy gets its name, `to`"
    MOVE = "the thing itself gets another name, `to`"
    TRASH = "it goes to the system's trash"
    TAKE_BACK = "it comes back from the system's trash"
    REMOVE = "it goes for good"


@dataclass(frozen=True, slots=True)
class Step:
    """What is about to happen, with handles open; they are closed when `about_to` has returned and the act is over."""

    act: Act
    entry: Entry  # at its real place, links resolved
    before: Stat | None = None  # what stands at `entry`
    to: Entry | None = None  # of a copy or a move: at its real place
    over: Stat | None = None  # what stands at `to`, and goes
    old_fd: int | None = None  # the content that goes (REPLACE, REMOVE, and what `over` describes), open for reading
    new_fd: int | None = None  # the finished draft, open for reading
    new_at: int = 0  # where the new content begins in it
    made: Stat | None = None  # the finished new thing, which keeps this identity when it gets its name
    appended_at: int | None = None  # REPLACE: so many first bytes of the new content are the old
    tree: str | None = None  # COPY of a directory: the mark of what it holds (see `mark.py`)
    link: str | None = None  # of a link that goes, or comes back: its text
    in_place: Stat | None = None  # REPLACE that keeps the inode: the file that is rewritten


class Ticket(Protocol):
    """What became of a step; both are told at most once, and neither raises."""

    def happened(self, now: Stat | None = None, trashed: Trashed | None = None) -> None:
        """It is real: what stands there now (at `to` for a copy or a move), or what the trash holds."""

    def did_not(self) -> None:
        """Nothing has changed."""


class Witness(Protocol):
    """Told of every change of the entries that carry it."""

    def about_to(self, step: Step) -> Ticket:
        """Take note before the act; a Refusal raised here stops it, and nothing has changed."""


class _NoTicket:
    """Nobody asks what became of it."""

    def happened(self, now: Stat | None = None, trashed: Trashed | None = None) -> None:
        """Nothing to do."""

    def did_not(self) -> None:
        """Nothing to do."""


class _Unwatched:
    """Nobody looks: for our own use, and for tests."""

    def about_to(self, step: Step) -> Ticket:  # noqa: ARG002 - the protocol's
        """Let it happen."""
        return _NO_TICKET


class _Forbidden:
    """Nothing may change: the witness of tools that only read."""

    def about_to(self, step: Step) -> Ticket:
        """Refuse."""
        raise ReadOnly(f"`{step.to or step.entry}` cannot be changed by a tool that only reads", "use another tool")


_NO_TICKET: Final = _NoTicket()
UNWATCHED: Final[Witness] = _Unwatched()
FORBIDDEN: Final[Witness] = _Forbidden()


@contextmanager
def watched(step: Step) -> Iterator[Ticket]:
    """Tell the witness before the block, and that it did not happen when the block fails."""
    ticket = (step.to or step.entry).witness.about_to(step)
    try:
        yield ticket
    except BaseException:
        ticket.did_not()
        raise

"""What goes to the trash and what is said of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from rootcellar.confine._open import Stat

if TYPE_CHECKING:
    from rootcellar.confine.witness import Ticket

AGAIN: Final = "Look at it again, then delete it"


class Cancel(Protocol):
    """What tells a copy to stop."""

    def check(self) -> None:
        """Raise Cancelled when the caller took the request back."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """The thing to delete: its directory's handle, its name there, its path for the record, and which file it is."""

    directory: int
    name: str
    path: str
    expected: Stat


@dataclass(frozen=True, slots=True)
class Trashed:
    """Where it is now: the trash in words, and the name it has there."""

    place: str
    name: str
    identity: tuple[int, int] | None = None  # which file it is there; a copy on another disk is another


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to come out of the trash: the name it got there, if that is known, and which file it is."""

    name: str
    identity: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """Where it is to go: an open directory, a free name in it, and how that is shown."""

    directory: int
    name: str
    shown: str


# From what is about to come back: a block that is told to the witness.
Told = Callable[[Stat], AbstractContextManager["Ticket"]]

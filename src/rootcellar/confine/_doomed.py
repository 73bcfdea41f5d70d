"""What goes to the trash and what is said of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from rootcellar.confine._open import Stat

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

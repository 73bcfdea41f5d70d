"""What the journal holds: a change is what one call did, in steps; each step is one act, whole or absent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rootcellar.policy import Effect

Facts = Mapping[str, Any]  # JSON: what a step needs to be shown and undone; each kind has its own


class State(Enum):
    """How far a change, or a step of it, has come."""

    BEGUN = "begun"  # recorded; whether it happened is not known yet
    DONE = "done"
    UNDONE = "undone"


class Form(Enum):
    """How a content is stored."""

    PLAIN = "plain"
    ZLIB = "zlib"


@dataclass(frozen=True, slots=True)
class Laid:
    """Where a content lies before a step refers to it: in a file of the store, or here."""

    form: Form
    stored: int  # bytes it takes
    file: str = ""
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A content in the store: its hash and its size as the user knows it."""

    hash: str
    size: int
    laid: Laid | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One step of a change; `order` rises with every step of every process, and says which came later."""

    n: int
    kind: str
    facts: Facts
    contents: tuple[Kept, ...]
    paths: tuple[str, ...]  # real absolute paths; one stands for all that lies below it
    state: State
    order: int


@dataclass(frozen=True, slots=True)
class Change:
    """What one call did."""

    id: str
    at: float  # seconds since 1970
    tool: str
    arguments: str
    host: str
    effect: Effect
    summary: str
    state: State
    steps: tuple[Recorded, ...]
    undoes: str = ""  # the change that this one took back
    undone_by: str = ""
    interrupted: bool = False  # its process ended in the middle of it; it holds what happened
    request_key: str = ""

    @property
    def bytes_kept(self) -> int:
        """How much of the user's content is kept for its undo."""
        return sum(kept.size for step in self.steps for kept in step.contents)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which changes are asked for; what is empty does not matter."""

    path: str = ""  # a real absolute path: what touched it, something below it or something above it
    tool: str = ""
    host: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some changes, the newest first, and the cursor that continues them."""

    changes: tuple[Change, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Caps:
    """What the store may hold; see `limits.py`."""

    bytes_max: int
    age_s: float
    content_bytes_max: int


def below(path: str, above: str) -> bool:
    """Whether a path is another, or lies below it."""
    return path == above or path.startswith(above if above.endswith(("/", "\\")) else above + _separator(above))


def _separator(path: str) -> str:
    return "\\" if "\\" in path and not path.startswith("/") else "/"


def overlaps(one: str, other: str) -> bool:
    """Whether one of two paths is, or holds, the other."""
    return below(one, other) or below(other, one)

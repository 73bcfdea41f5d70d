"""What is seen of an entry: one name of a listing, and the content of an open file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from rootcellar.confine import names, write
from rootcellar.confine._open import Stat, shut

if TYPE_CHECKING:
    from rootcellar.confine.walk import Cancel

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Listed:
    """One name of a directory, described by the directory's own handle; `name` is raw, `shown` is for people."""

    name: str
    stat: Stat
    sealed: bool

    @property
    def shown(self) -> str:
        """The name for people and models."""
        return names.shown(self.name)


class Content:
    """An open regular file, read at any place; closed at the end of its `with` block."""

    __slots__ = ("fd", "stat")

    def __init__(self, fd: int, stat: Stat) -> None:
        self.fd, self.stat = fd, stat

    @property
    def size(self) -> int:
        """How many bytes it held when it was opened."""
        return self.stat.size

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the end of the file."""
        parts, at = [], offset
        while count > 0 and (part := write.read_at(self.fd, at, min(count, _CHUNK))):
            parts.append(part)
            at += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def version(self, cancel: Cancel | None = None) -> str:
        """The version of these bytes; see `version_of`."""
        return write.version_at(self.fd, cancel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shut(self.fd)

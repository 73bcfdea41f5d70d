"""What tells whether a tree is still as it was copied: one number over its names, kinds, sizes and times. Pure."""

from __future__ import annotations

import hashlib
import os
from typing import Final

from rootcellar.confine._open import Kind

_BITS: Final = 128


class Mark:
    """Takes in names in any order."""

    __slots__ = ("_sum",)

    def __init__(self) -> None:
        self._sum = 0

    def add(self, parts: tuple[str, ...], kind: Kind, size: int, mtime_ns: int) -> None:
        """One name below the tree's top; of directories and links only the kind counts, as their times move."""
        told = f"{kind.value} {size} {mtime_ns}" if kind is Kind.FILE else kind.value
        name = b"/".join(map(os.fsencode, parts))
        digest = hashlib.blake2b(name + b"\0" + told.encode(), digest_size=_BITS // 8).digest()
        self._sum = (self._sum + int.from_bytes(digest, "big")) % (1 << _BITS)

    def __str__(self) -> str:
        """The number."""
        return f"{self._sum:032x}"

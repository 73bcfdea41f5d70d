"""Keys of encrypted databases: where they come from, how SQLite is told, and that nobody else is.

Files are SQLCipher 4's, so that other programs open ours and we open theirs. A raw key (32 bytes, or 48 with its
salt) opens in under a millisecond; a passphrase is stretched on every opening (about 150 ms). A key reaches the
worker through its pipe, never an argument, the environment, a log or an error.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import apsw

RAW_KEY_BYTES: Final = (32, 48)
_BLOCK: Final = 512  # the smallest page
_SAMPLE: Final = 4096
_RANDOM_BITS: Final = 7.0  # per byte, of a 512-byte sample; text has under 5, machine code about 6


class Key:
    """A database's key, raw or a passphrase. Shows nothing of itself."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        self._words = words

    @classmethod
    def raw(cls, key: bytes) -> Key:
        """From 32 bytes, or 48 with the file's salt."""
        if len(key) not in RAW_KEY_BYTES:
            message = "a raw key has 32 bytes, or 48 with its salt"
            raise ValueError(message)
        return cls(f"x'{key.hex()}'")

    @classmethod
    def passphrase(cls, words: str) -> Key:
        """From what a person typed."""
        return cls(words)

    def reveal(self) -> str:
        """The key as SQLite takes it: for the worker's pipe, and nothing else."""
        return self._words

    def __repr__(self) -> str:
        """Nothing of the key."""
        return "Key(...)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        """A key is not pickled."""
        message = "a key is not written down"
        raise TypeError(message)


class KeyProvider(Protocol):
    """Where keys live: the OS keychain behind `secrets`, or nothing."""

    def key_for(self, database: str, salt: bytes) -> Key | None:
        """The key of the database at this absolute path, whose salt tells it from all others; None: there is none."""


@dataclass(frozen=True, slots=True)
class NoKeys:
    """A provider without keys."""

    def key_for(self, database: str, salt: bytes) -> Key | None:
        """No key for any database."""
        del database, salt
        return None


def unlock(raw: apsw.Connection, words: str, salt: bytes = b"") -> None:
    """Tell a fresh connection the key, and a new file its salt; whether the key fits shows at the first read."""
    raw.execute("PRAGMA cipher = 'sqlcipher'").fetchall()
    raw.execute("PRAGMA legacy = 4").fetchall()
    if salt:
        raw.execute(f"PRAGMA cipher_salt = '{salt.hex()}'").fetchall()
    literal = words.replace('"', '""')
    raw.execute(f'PRAGMA key = "{literal}"', can_cache=False).fetchall()


def looks_encrypted(start: bytes, size: int) -> bool:
    """Whether a file without a header could be SQLCipher's: whole pages of what looks random, no known magic."""
    if size < _BLOCK or size % _BLOCK or len(start) < _BLOCK:
        return False
    if start.startswith(
        (
            b"PK",
            b"\x1f\x8b",
            b"\xff\xd8",
            b"\x89PNG",
            b"%PDF",
            b"GIF8",
            b"7z",
            b"Rar!",
            b"BZh",
            b"\xfd7zXZ",
            b"\x28\xb5\x2f\xfd",
        )
    ):
        return False
    sample = start[:_SAMPLE]
    counts = Counter(sample)
    bits = -sum(n / len(sample) * math.log2(n / len(sample)) for n in counts.values())
    return bits > _RANDOM_BITS

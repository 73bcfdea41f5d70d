"""Databases that lie in this process's memory and nowhere else, byte for byte as a file would hold them.

What is kept of a user's database for an undo leaves the worker, and comes back, as bytes. Of an encrypted database they
are encrypted with its own key: plain rows exist in this memory only. SQLite3 Multiple Ciphers stands on top of this VFS
as it does on the system's, so an encrypted file, and its write-ahead log, are read here as they were on the disk.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import apsw

from rootcellar import errors
from rootcellar.sqlite import cipher, lexer

if TYPE_CHECKING:
    from collections.abc import Iterator

_VFS: Final = "multipleciphers-shelf"
_SECTOR_BYTES: Final = 4096
_TITLES: Final = itertools.count()
_FILES: Final[dict[str, bytearray]] = {}


class _File:
    """One file in memory, as SQLite reads and writes it; nobody else has it open, so it needs no locks."""

    def __init__(self, title: str) -> None:
        self._data = _FILES.setdefault(title, bytearray())

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's names, here and below
        return bytes(self._data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        gap = offset - len(self._data)
        if gap > 0:
            self._data.extend(bytes(gap))
        self._data[offset : offset + len(data)] = data

    def xTruncate(self, size: int) -> None:  # noqa: N802
        del self._data[size:]

    def xSync(self, flags: int) -> None:  # noqa: N802
        del flags

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._data)

    def xLock(self, level: int) -> None:  # noqa: N802
        del level

    def xUnlock(self, level: int) -> None:  # noqa: N802
        del level

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        del operation, pointer
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return _SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0

    def xClose(self) -> None:  # noqa: N802
        return


class Shelf(apsw.VFS):
    """The VFS of such files; it must outlive every connection to them."""

    def __init__(self) -> None:
        super().__init__("shelf", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # type: ignore[override]  # noqa: N802
        """A file of that name, made if it is not there."""
        flags[1] = flags[0]
        return _File(name.filename() if isinstance(name, apsw.URIFilename) else name or f"unnamed-{next(_TITLES)}")

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        """The name itself."""
        return name

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001
        """Forget a file."""
        del syncdir
        _FILES.pop(filename, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        """Whether there is such a file."""
        del flags
        return pathname in _FILES


_SHELF: Final = Shelf()


@contextmanager
def laid(data: bytes | bytearray, log: bytes | bytearray = b"") -> Iterator[str]:
    """A file of these bytes, with its write-ahead log if it has one, for the length of the block: its name."""
    title = f"laid-{next(_TITLES)}"
    _FILES[title] = bytearray(data)
    if log:
        _FILES[title + "-wal"] = bytearray(log)
    try:
        yield title
    finally:
        for suffix in ("", "-wal", "-journal"):
            _FILES.pop(title + suffix, None)


def contents(title: str) -> bytes:
    """The bytes of a file."""
    return bytes(_FILES[title])


def connect(title: str, key: str) -> apsw.Connection:
    """Open such a file; alone, so that a write-ahead log needs no shared memory."""
    raw = apsw.Connection(title, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs=_VFS)
    try:
        raw.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        raw.execute("PRAGMA temp_store = 2").fetchall()
        if key:
            cipher.unlock(raw, key)
    except BaseException:
        raw.close()
        raise
    return raw


@contextmanager
def opened(title: str, key: str) -> Iterator[apsw.Connection]:
    """Such a file for the length of the block; NeedsKey when it was written with another key."""
    raw = connect(title, key)
    try:
        raw.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        yield raw
    except apsw.NotADBError:
        raise errors.NeedsKey(
            "what is kept of this change is encrypted with another key than the database has now",
            "give the database its old key back, then undo it",
        ) from None
    finally:
        raw.close()


def address(title: str) -> str:
    """Where `ATTACH` finds it, to be read only."""
    return f"file:{title}?vfs={_VFS}&mode=ro"


def seal(image: bytes, key: str) -> bytes:
    """A plain image as an encrypted one; itself where there is no key."""
    if not key:
        return image
    with laid(b"") as title:
        raw = connect(title, key)
        try:
            raw.execute("PRAGMA journal_mode = OFF").fetchall()
            raw.execute(f"PRAGMA encoding = '{_ENCODINGS.get(image[_ENCODING_AT], 'UTF-8')}'").fetchall()
            raw.execute("ATTACH ':memory:' AS plain KEY ''").fetchall()
            raw.deserialize("plain", image)
            raw.execute("BEGIN").fetchall()
            made = "SELECT name, sql FROM plain.sqlite_schema WHERE type = 'table' ORDER BY rowid"
            for name, sql in raw.execute(made).fetchall():
                raw.execute(str(sql)).fetchall()
                raw.execute(_COPY.format(lexer.quoted(str(name)))).fetchall()
            raw.execute("COMMIT").fetchall()
        finally:
            raw.close()
        return contents(title)


def unseal(data: bytes, key: str) -> bytes:
    """What `seal` was given."""
    if not key:
        return data
    with laid(data) as title, opened(title, key) as raw:
        return raw.serialize("main")


_ENCODING_AT: Final = 59  # of the header
_ENCODINGS: Final = {2: "UTF-16le", 3: "UTF-16be"}
_COPY: Final = "INSERT INTO main.{0} SELECT * FROM plain.{0}"

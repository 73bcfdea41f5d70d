"""What a database file says of itself, read as bytes: is it one, which kind, which tables. SQLite is not asked.

Lists must be quick and must not open anything: the header is the file's first 100 bytes, the schema a b-tree whose
root is page 1 (https://sqlite.org/fileformat2.html). Bounded, and silent about what it cannot read; a write-ahead
log is not read, so a table made this minute may be missing from a list.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from rootcellar import errors
from rootcellar.sqlite.cipher import looks_encrypted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAGIC: Final = b"SQLite format 3\x00"
START_BYTES: Final = 4096
SALT_BYTES: Final = 16
_HEADER_BYTES: Final = 100
_NEWEST_READ: Final = 2  # 1 is a rollback journal, 2 a write-ahead log
_NEWEST_SCHEMA: Final = 4
_PAGES_MAX: Final = 200
_TABLES_MAX: Final = 10_000
_INNER, _LEAF = 5, 13
_CODINGS: Final = {2: "utf-16-le", 3: "utf-16-be"}
_INNER_TABLES: Final = (
    "_data", "_idx", "_content", "_docsize", "_config", "_segments", "_segdir", "_stat", "_node", "_parent", "_rowid",
)  # fmt: skip


class Sort(Enum):
    """What the first bytes show."""

    PLAIN = "plain"
    ENCRYPTED = "encrypted, as far as its bytes show"


@dataclass(frozen=True, slots=True)
class Header:
    """A database as its file describes it; an encrypted one describes nothing but its size."""

    sort: Sort
    size: int
    page_size: int = 0
    pages: int = 0
    wal: bool = False
    salt: bytes = b""  # of an encrypted one: its first bytes, which no other file has but its copies


def read_header(start: bytes, size: int, name: str) -> Header:
    """The header, or the refusal that says what the file is instead."""
    if not size:
        raise errors.EmptyFile(
            f"`{name}` is empty: no database yet", "`change_database` with `create: true` makes one in it"
        )
    if not start.startswith(MAGIC):
        if looks_encrypted(start, size):
            return Header(Sort.ENCRYPTED, size, salt=start[:SALT_BYTES])
        if size < _HEADER_BYTES and MAGIC.startswith(start[: len(MAGIC)]):
            raise errors.Truncated(f"`{name}` ends inside its header", "restore a backup")
        raise errors.NotADatabase(f"`{name}` is not a SQLite database", "read it as a file")
    if size < _HEADER_BYTES:
        raise errors.Truncated(f"`{name}` ends inside its header", "restore a backup")
    read_version, schema = start[19], _u32(start, 44)
    if read_version > _NEWEST_READ or schema > _NEWEST_SCHEMA:
        raise errors.NewerFormat(
            f"`{name}` has a format newer than this SQLite", "open it with the program that wrote it"
        )
    raw_size = int.from_bytes(start[16:18], "big")
    page_size = 65_536 if raw_size == 1 else raw_size
    if page_size < 512 or page_size & (page_size - 1):  # noqa: PLR2004 - the format's smallest page
        raise errors.Corrupt(f"`{name}` has a damaged header", "restore a backup")
    pages = _u32(start, 28) if _u32(start, 24) == _u32(start, 92) else size // page_size
    return Header(Sort.PLAIN, size, page_size, pages, read_version == _NEWEST_READ)


def refuse_truncated(header: Header, name: str) -> None:
    """Without a log, a file shorter than its header says has lost its end."""
    if header.pages and header.size < header.pages * header.page_size:
        missing = header.pages * header.page_size - header.size
        raise errors.Truncated(
            f"the last {missing:,} bytes of `{name}` are missing", "restore a backup, or copy the file anew"
        )


def tables(read_at: Callable[[int, int], bytes], header: Header) -> tuple[str, ...] | None:
    """The names of the tables; None where the schema cannot be read without SQLite."""
    if header.sort is not Sort.PLAIN:
        return None
    found: list[str] = []
    try:
        for kind, name in _schema(read_at, header.page_size):
            if kind == "table" and not name.startswith("sqlite_"):
                found.append(name)
                if len(found) >= _TABLES_MAX:
                    break
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    names = set(found)
    return tuple(name for name in found if not (set(_owners(name)) & names))


def _owners(name: str) -> Iterator[str]:
    """The full-text table or R-tree that this would be an inner table of."""
    for ending in _INNER_TABLES:
        if name.endswith(ending):
            yield name.removesuffix(ending)


def _schema(read_at: Callable[[int, int], bytes], page_size: int) -> Iterator[tuple[str, str]]:
    coding = _CODINGS.get(_u32(read_at(0, _HEADER_BYTES), 56), "utf-8")
    waiting: list[int] = [1]
    seen: set[int] = set()
    while waiting and len(seen) < _PAGES_MAX:
        number = waiting.pop()
        if number in seen or number < 1:
            continue
        seen.add(number)
        page = read_at((number - 1) * page_size, page_size)
        at = _HEADER_BYTES if number == 1 else 0
        kind, count = page[at], int.from_bytes(page[at + 3 : at + 5], "big")
        cells = at + (12 if kind == _INNER else 8)
        pointers = struct.unpack_from(f">{count}H", page, cells)
        if kind == _INNER:
            waiting.append(_u32(page, at + 8))
            waiting += [_u32(page, pointer) for pointer in pointers]
        elif kind == _LEAF:
            yield from (_record(page, pointer, coding) for pointer in pointers)


def _record(page: bytes, at: int, coding: str) -> tuple[str, str]:
    """The type and the name of one schema row: the first two texts of the record."""
    _, at = _varint(page, at)
    _, at = _varint(page, at)
    size, first = _varint(page, at)
    type_code, second = _varint(page, first)
    name_code, _ = _varint(page, second)
    start = at + size
    type_bytes, name_bytes = (type_code - 13) // 2, (name_code - 13) // 2
    kind = page[start : start + type_bytes].decode(coding)
    return kind, page[start + type_bytes : start + type_bytes + name_bytes].decode(coding)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        byte = data[at + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 - the last byte has its top bit clear
            return value, at + count + 1
    return value << 8 | data[at + 8], at + 9


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")

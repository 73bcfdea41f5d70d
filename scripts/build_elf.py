"""Linux program files: what they need, and where they look for it. Stdlib only; 64-bit little-endian ELF."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29


@dataclass(frozen=True, slots=True)
class Elf:
    """The dynamic section of one file: its entries with their place in the file, and its strings."""

    data: bytes
    table: int
    entries: tuple[tuple[int, int], ...]
    strings: int

    def text(self, offset: int) -> str:
        """One string."""
        begin = self.strings + offset
        return self.data[begin : self.data.index(0, begin)].decode("utf-8", "surrogateescape")

    def texts(self, *tags: int) -> list[str]:
        """The strings of all entries of these kinds."""
        return [self.text(value) for tag, value in self.entries if tag in tags]

    @property
    def needed(self) -> list[str]:
        """The libraries it needs."""
        return self.texts(_DT_NEEDED)

    @property
    def search_path(self) -> list[str]:
        """Where it looks for them before the system does."""
        return self.texts(_DT_RPATH, _DT_RUNPATH)


def read(path: Path) -> Elf | None:
    """The file's dynamic section; None for what is not a dynamic program or library."""
    with path.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":
            return None
        file.seek(0)
        data = file.read()
    begin, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, begin + size * number) for number in range(count)]
    table = next(((offset, length) for kind, _, offset, _, _, length in segments if kind == _PT_DYNAMIC), None)
    if table is None:
        return None
    entries = []
    for tag, value in struct.iter_unpack("<qQ", data[table[0] : table[0] + table[1]]):
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    address = dict(entries)[_DT_STRTAB]
    strings = next(
        address - virtual + offset
        for kind, _, offset, virtual, _, length in segments
        if kind == _PT_LOAD and virtual <= address < virtual + length
    )
    return Elf(data, table[0], tuple(entries), strings)


def drop_search_path(path: Path) -> None:
    """Take out a search path that names a directory of the machine it was built on; one from its own place stays."""
    elf = read(path)
    if elf is None or not any(one.startswith("/") for one in elf.search_path):
        return
    data = bytearray(elf.data)
    kept = []
    for tag, value in elf.entries:
        if tag in (_DT_RPATH, _DT_RUNPATH) and elf.text(value).startswith("/"):
            begin = elf.strings + value
            data[begin : data.index(0, begin)] = bytes(data.index(0, begin) - begin)
        else:
            kept.append((tag, value))
    kept += [(_DT_NULL, 0)] * (len(elf.entries) - len(kept))
    for number, entry in enumerate(kept):
        struct.pack_into("<qQ", data, elf.table + 16 * number, *entry)
    path.write_bytes(data)

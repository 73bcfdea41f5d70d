"""One bundle for all tests of the frozen binary, and a folder for it to work in."""

from __future__ import annotations

import os
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from frozen import bundles


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The directory that scripts/build made."""
    return bundles.built()


@pytest.fixture
def binary(bundle: Path) -> str:
    """The program in it."""
    return str(bundle / f"rootcellar{bundles.EXE}")


def pixel() -> bytes:
    """A PNG, larger than what is sent as it is: it must be decoded, scaled and encoded."""
    side = 2_000
    rows = zlib.compress((b"\0" + b"\x80" * side * 3) * side)
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to grant, open to every user."""
    folder = tmp_path / "cellar"
    folder.mkdir()
    (folder / "hello.txt").write_text("hello\n")
    (folder / "shift-jis.txt").write_bytes("日本語のテキスト、倉庫の中に。\n".encode("shift_jis") * 20)
    (folder / "pixel.png").write_bytes(pixel())
    with closing(sqlite3.connect(folder / "a.db")) as made:
        made.execute("CREATE TABLE t (x)")
        made.commit()
    for path in (folder, *folder.iterdir()):
        os.chmod(path, 0o777)
    at = tmp_path
    while at != at.parent and at.owner() == folder.owner() and at.is_relative_to("/tmp"):
        at.chmod(at.stat().st_mode | 0o011)  # pytest closes its own to other users
        at = at.parent
    return folder

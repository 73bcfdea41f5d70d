"""One bundle for all tests of the frozen binary, and a folder for it to work in."""

from __future__ import annotations

import sqlite3
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from frozen import bundles

sys.path.insert(0, str(bundles.HERE / "scripts"))


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
    """A folder to grant."""
    return filled(tmp_path / "cellar")


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def filled(folder: Path) -> Path:
    """A folder with one of everything, open to every user."""
    folder.mkdir()
    (folder / "hello.txt").write_text("hello\n")
    (folder / "shift-jis.txt").write_bytes("日本語のテキスト、倉庫の中に。\n".encode("shift_jis") * 20)
    (folder / "pixel.png").write_bytes(pixel())
    with closing(sqlite3.connect(folder / "a.db")) as made:
        made.execute("CREATE TABLE t (x)")
        made.commit()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)
    return folder

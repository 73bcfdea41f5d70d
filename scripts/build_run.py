"""The self-extracting installer for any Linux: packaging/run/head.sh, then the bundle as a gzipped tar.

A script of our own and not makeself's: it unpacks where the program stays, keeps versions side by side, and can be read
from top to bottom. The same bundle gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import build_frozen

HEAD = build_frozen.PACKAGING / "run" / "head.sh"
ICON = build_frozen.HERE / "src" / "rootcellar" / "pages" / "icon.svg"
_WIDTH = 10  # of the numbers in the head: they must not move what they measure


def build(bundle: Path, out: Path, version: str) -> Path:
    """The installer, in `out`."""
    architecture = bundle.name.rpartition("-")[2]
    made = out / f"rootcellar-{version}-linux-{architecture}.run"
    payload = _payload(bundle)
    words = {"VERSION": version, "ARCHITECTURE": architecture, "NAME": made.name}
    words |= {"BYTES": str(len(payload)), "SHA256": hashlib.sha256(payload).hexdigest()}
    head = HEAD.read_text("utf-8")
    for key, value in words.items():
        head = head.replace(f"@{key}@", value)
    length = len(head.encode()) - len("@OFFSET@") + _WIDTH
    head = head.replace("@OFFSET@", str(length + 1).ljust(_WIDTH))
    made.write_bytes(head.encode() + payload)
    made.chmod(0o755)
    return made


def _payload(bundle: Path) -> bytes:
    raw = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="", compresslevel=9) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in sorted(bundle.rglob("*")):
            tar.add(path, path.relative_to(bundle).as_posix(), recursive=False, filter=_plain)
        tar.add(ICON, "rootcellar.svg", filter=_plain)
    return raw.getvalue()


def _plain(item: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nobody's file, of the time of the commit."""
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    item.mtime = build_frozen.epoch()
    item.mode = 0o755 if item.isdir() or item.mode & 0o100 else 0o644
    return item

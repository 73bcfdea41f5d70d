"""The Debian package of a frozen bundle; needs `dpkg-deb`. The same bundle gives the same bytes.

/usr/lib/rootcellar/dist/            what dpkg owns
/usr/lib/rootcellar/versions/V/      the same files, linked by postinst; what runs
/usr/lib/rootcellar/current          -> versions/V
/usr/bin/rootcellar                  -> ../lib/rootcellar/current/rootcellar
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import build_elf
import build_frozen

SOURCES = build_frozen.PACKAGING / "deb"
DESKTOP = build_frozen.PACKAGING / "rootcellar-setup.desktop"
ICON = build_frozen.HERE / "src" / "rootcellar" / "pages" / "icon.svg"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LIBC_LEAST = "2.28"  # of a bundle that names none, and what manylinux wheels were built for


def build(bundle: Path, out: Path, version: str) -> Path:
    """The package, in `out`."""
    architecture = ARCHITECTURES[bundle.name.rpartition("-")[2]]
    made = out / f"rootcellar_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        root = Path(scratch) / "root"
        _placed(bundle, root)
        _control(root, version, architecture, _libc(bundle))
        _aged(root)
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(build_frozen.epoch())}
        words = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(made)]
        subprocess.run(words, check=True, env=env, stdout=subprocess.DEVNULL)
    return made


def _placed(bundle: Path, root: Path) -> None:
    base = root / "usr" / "lib" / "rootcellar"
    shutil.copytree(bundle, base / "dist", symlinks=True)
    (base / "installed-by").write_text("deb\n", encoding="utf-8")
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "rootcellar").symlink_to("../lib/rootcellar/current/rootcellar")
    entry = DESKTOP.read_text("utf-8").replace("@COMMAND@", "/usr/bin/rootcellar").replace("@ICON@", "rootcellar")
    _written(root / "usr/share/applications/rootcellar-setup.desktop", entry)
    _written(root / "usr/share/icons/hicolor/scalable/apps/rootcellar.svg", ICON.read_text("utf-8"))
    bundled = base / "dist" / "THIRD-PARTY-LICENSES.txt"
    licence = (build_frozen.HERE / "LICENSE").read_text("utf-8")
    more = f"\nOf everything bundled: /usr/lib/rootcellar/dist/{bundled.name}\n" if bundled.exists() else ""
    _written(root / "usr/share/doc/rootcellar/copyright", licence + more)


def _control(root: Path, version: str, architecture: str, libc: str) -> None:
    kib = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()) // 1024
    words = {"VERSION": version, "ARCHITECTURE": architecture, "KIB": str(kib), "LIBC": libc}
    for name in ("control", "postinst", "prerm", "postrm"):
        text = (SOURCES / name).read_text("utf-8")
        for key, value in words.items():
            text = text.replace(f"@{key}@", value)
        path = _written(root / "DEBIAN" / name, text)
        path.chmod(0o644 if name == "control" else 0o755)


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


def _aged(root: Path) -> None:
    """One time on everything, and no directory that others may write."""
    for path in [root, *root.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        elif ".so" in path.suffixes and not path.is_symlink():
            path.chmod(0o644)  # loaded, never run
        os.utime(path, (build_frozen.epoch(), build_frozen.epoch()), follow_symlinks=False)


def _libc(bundle: Path) -> str:
    """The oldest C library that every file of the bundle runs with."""
    found = [LIBC_LEAST]
    for path in bundle.rglob("*"):
        if path.is_file() and build_elf.read(path):
            found += re.findall(r"GLIBC_(2\.\d+)\b", path.read_bytes().decode("latin-1"))
    return max(found, key=lambda version: [int(part) for part in version.split(".")])

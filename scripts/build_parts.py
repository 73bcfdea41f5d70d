"""Everything besides the frozen binary: wheel and sdist, archive, installers, the bill of materials, checksums."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import build_frozen
import build_installers
import start

SUMS = "SHA256SUMS"


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def everything(bundle: Path, out: Path) -> list[Path]:
    """All that the tools of this machine can make, with a list of checksums last."""
    made = [*distributions(out), archive(bundle, out), *build_installers.everything(bundle, out)]
    paper = out / f"{bundle.name}.cdx.json"
    shutil.copyfile(bundle / "sbom.cdx.json", paper)
    return [*made, paper, sums([*made, paper], out)]


def distributions(out: Path) -> list[Path]:
    """The wheel and the source distribution."""
    fresh = out / ".packages"
    shutil.rmtree(fresh, ignore_errors=True)
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(build_frozen.epoch())}
    words = [
        start.uv(),
        "build",
        "--quiet",
        "--out-dir",
        str(fresh),
        "--python",
        sys.executable,
        str(build_frozen.HERE),
    ]
    if subprocess.run(words, env=env, check=False).returncode:
        raise build_frozen.BuildError("the wheel could not be built: the lines above say why")
    made = [path for path in sorted(fresh.iterdir()) if path.name.endswith((".whl", ".tar.gz"))]
    kept = [path.replace(out / path.name) for path in made]
    shutil.rmtree(fresh)
    return kept


def archive(bundle: Path, out: Path) -> Path:
    """The bundle in one file, for whoever wants no installer; the same bytes for the same bundle."""
    paths = [bundle, *sorted(bundle.rglob("*"))]
    if sys.platform == "win32":
        made = out / f"{bundle.name}.zip"
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in paths:
                if path.is_file():
                    entry = zipfile.ZipInfo(path.relative_to(out).as_posix(), (1980, 1, 1, 0, 0, 0))
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    packed.writestr(entry, path.read_bytes())
        return made
    made = out / f"{bundle.name}.tar.gz"
    epoch = build_frozen.epoch()

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = epoch
        return entry

    with (
        made.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=epoch) as pressed,
        tarfile.open(fileobj=pressed, mode="w", format=tarfile.PAX_FORMAT) as packed,
    ):
        for path in paths:
            packed.add(path, path.relative_to(bundle.parent).as_posix(), recursive=False, filter=plain)
    return made


def sums(files: list[Path], out: Path) -> Path:
    """`SHA256SUMS` over the files, as `sha256sum --check` reads it; what others listed there before stays."""
    made = out / SUMS
    known = {}
    if made.exists():
        for line in made.read_text("utf-8").splitlines():
            digest, _, name = line.partition("  ")
            if (out / name).is_file():
                known[name] = digest
    for path in files:
        known[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items()))
    made.write_text(text, "utf-8", newline="\n")
    return made

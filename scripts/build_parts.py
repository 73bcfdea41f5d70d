"""Everything besides the frozen binary: wheel and sdist, archive, installers, checksums."""

from __future__ import annotations

from pathlib import Path


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def everything(_bundle: Path, _out: Path) -> list[Path]:
    """All that the tools of this machine can make."""
    return []

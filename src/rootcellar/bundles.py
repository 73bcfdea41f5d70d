"""The `.mcpb` bundle that is at hand: for Claude Desktop better than an edit of its config, which it may overwrite.

Threat: a file in Downloads that only says it is ours. So there a bundle counts only if it is of this very version, and
the user is told where it lies; what lies beside the program came with it.
"""

from __future__ import annotations

import json
import platform
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rootcellar import __version__
from rootcellar.hosts.host import NAME, Machine
from rootcellar.launching import Origin, Running

MANIFEST_BYTES_MAX = 1 << 20
_INTEL, _ARM = ("x86_64", "x64", "amd64"), ("arm64", "aarch64")


def at_hand(program: Running, machine: Machine) -> str | None:
    """The bundle of ours to open on this machine: one that came with the program, else one in Downloads."""
    for path in _beside(program):
        if _fits(path, machine):
            return str(path)
    for path in _bundles(Path(machine.home, "Downloads")):
        if _fits(path, machine) and _manifest(path).get("version") == __version__:
            return str(path)
    return None


def _beside(program: Running) -> Iterator[Path]:
    if program.origin is Origin.FROZEN:
        here = Path(program.prefix)
        for folder in (here, here.parent, here.parent / "share" / "rootcellar", here.parent / "Resources"):
            yield from _bundles(folder)


def _bundles(folder: Path) -> list[Path]:
    """The bundles in a folder, the last in order first: of two versions the later."""
    try:
        return sorted(folder.glob("*.mcpb"), reverse=True)
    except OSError:
        return []


def _fits(path: Path, machine: Machine) -> bool:
    """Whether it is ours, and for this system and processor."""
    manifest = _manifest(path)
    systems = manifest.get("compatibility", {}).get("platforms", [machine.platform.value])
    foreign = _INTEL if platform.machine().lower() in _ARM else _ARM
    processor = not any(word in path.stem.lower() for word in foreign)
    return manifest.get("name") == NAME and machine.platform.value in systems and processor


def _manifest(path: Path) -> dict[str, Any]:
    """What a bundle says of itself; nothing where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("manifest.json").file_size > MANIFEST_BYTES_MAX:
                return {}
            found = json.loads(archive.read("manifest.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("compatibility", {}), dict) else {}

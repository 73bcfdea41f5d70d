"""How this copy came onto the machine, and how a newer one gets there. Looks at files beside the program only.

A frozen program that was placed by an installer stands in BASE/versions/VERSION; BASE/current leads to the version that
hosts start, and BASE/installed-by names the installer in one word. A version that runs is never changed.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from rootcellar.launching import Origin, Running, placed


class By(Enum):
    """What brought this copy here."""

    DEB = "the Debian package"
    RUN = "the self-extracting installer"
    SETUP = "Setup for Windows"
    PKG = "the macOS package"
    MCPB = "a .mcpb bundle"
    ARCHIVE = "an unpacked archive"
    UV_TOOL = "`uv tool install`"
    UVX = "`uvx`"
    PIPX = "`pipx install`"
    PIPX_RUN = "`pipx run`"
    CHECKOUT = "a checkout of the sources"
    PIP = "`pip install`"


@dataclass(frozen=True, slots=True)
class Way:
    """What brought this copy here, where it stands, and what a person does to get a newer one."""

    by: By
    place: str
    steps: tuple[str, ...]


_INSTALLERS = {"deb": By.DEB, "run": By.RUN, "setup": By.SETUP, "pkg": By.PKG}
_STEPS = {
    By.DEB: ("download the newer `rootcellar_VERSION_ARCH.deb`", "sudo apt install ./rootcellar_VERSION_ARCH.deb"),
    By.RUN: ("download the newer `rootcellar-VERSION-linux-ARCH.run`", "sh rootcellar-VERSION-linux-ARCH.run"),
    By.SETUP: ("download the newer `rootcellar-VERSION-ARCH-setup.exe` and open it",),
    By.PKG: ("download the newer `rootcellar-VERSION-macos-ARCH.pkg` and open it",),
    By.MCPB: ("download the newer `rootcellar-VERSION-SYSTEM.mcpb` and open it with your host",),
    By.ARCHIVE: (
        "download the newer archive and unpack it in a folder of its own, beside this one",
        "run `rootcellar install` from there: it gives hosts the new place",
    ),
    By.UV_TOOL: ("uv tool upgrade rootcellar",),
    By.UVX: ("uvx rootcellar@latest --version", "or keep one that lasts: uv tool install rootcellar"),
    By.PIPX: ("pipx upgrade rootcellar",),
    By.PIPX_RUN: ("pipx run --no-cache rootcellar --version", "or keep one that lasts: pipx install rootcellar"),
    By.CHECKOUT: ("git pull", "python3 scripts/test.py --quick"),
}


def found(program: Running) -> Way:
    """How the running program came here."""
    by = _frozen(program.prefix) if program.origin is Origin.FROZEN else _package(program)
    if by is By.PIP:
        return Way(by, program.prefix, (f'"{sys.executable}" -m pip install --upgrade rootcellar',))
    return Way(by, _checkout() or program.prefix, _STEPS[by])


def _frozen(prefix: str) -> By:
    base = placed(prefix)
    if base:
        try:
            word = Path(base, "installed-by").read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            word = ""
        return _INSTALLERS.get(word, By.ARCHIVE)
    near = (Path(prefix), Path(prefix).parent)  # a bundle holds the program in a folder, or at its top
    return By.MCPB if any(_is_manifest(folder / "manifest.json") for folder in near) else By.ARCHIVE


def _is_manifest(path: Path) -> bool:
    try:
        return "manifest_version" in json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False


def _package(program: Running) -> By:
    if program.origin is Origin.UVX:
        return By.UVX
    if program.origin is Origin.PIPX_RUN:
        return By.PIPX_RUN
    if _checkout():
        return By.CHECKOUT
    for name, by in (("uv-receipt.toml", By.UV_TOOL), ("pipx_metadata.json", By.PIPX)):
        if os.path.isfile(os.path.join(program.prefix, name)):
            return by
    return By.PIP


def _checkout() -> str:
    """The folder of the sources, where they are run as they lie there; "" else."""
    try:
        text = metadata.distribution("rootcellar").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return ""
    told = json.loads(text or "{}")
    return Path(__file__).parents[2].as_posix() if told.get("dir_info", {}).get("editable") else ""

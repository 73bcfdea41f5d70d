"""Which command a host should run: absolute, there to stay, and started without a package manager in between.

`uvx` and `pipx run` work from a cache that is emptied, and take seconds before the first answer; so a run from there
first puts a lasting command in place. Everything else already has one: the frozen binary, a tool's shim, a script.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path, PurePath

from rootcellar import __version__
from rootcellar.errors import BadArgument, Failed

INSTALL_S = 300.0  # a cold package index on a slow line
_SCRIPT = "rootcellar.exe" if os.name == "nt" else "rootcellar"


class Origin(Enum):
    """What the running program was started from."""

    FROZEN = "the frozen binary"
    LASTING = "an installed command"
    UVX = "uvx's cache"
    PIPX_RUN = "pipx's cache"


@dataclass(frozen=True, slots=True)
class Running:
    """The running program: what it was started from, its prefix, and its script there."""

    origin: Origin
    prefix: str
    script: str


def running() -> Running:
    """What this process was started from."""
    scripts = sysconfig.get_path("scripts")
    if getattr(sys, "frozen", False):
        return Running(Origin.FROZEN, os.path.dirname(sys.executable), sys.executable)
    return Running(origin_of(sys.prefix), sys.prefix, str(Path(scripts) / _SCRIPT))


def origin_of(prefix: str) -> Origin:
    """What an environment at that place is."""
    parts = PurePath(prefix.replace("\\", "/")).parts
    if any(part.startswith(("archive-v", "environments-v", "builds-v")) for part in parts):
        return Origin.UVX
    if "pipx" in parts and "venvs" not in parts:
        return Origin.PIPX_RUN
    return Origin.LASTING


def lasting_command(program: Running) -> str | None:
    """The absolute command that starts this program and stays; None where it first must be installed."""
    if program.origin in {Origin.UVX, Origin.PIPX_RUN}:
        return None
    script = program.script
    if program.origin is Origin.FROZEN and (base := placed(program.prefix)):
        script = str(Path(base, "current", _SCRIPT))  # whichever version is current when a host starts it
    if not os.access(script, os.X_OK):
        return None
    found = shutil.which("rootcellar")
    if found and os.path.isabs(found) and os.path.realpath(found) == os.path.realpath(script):
        return found  # the shim outlives an upgrade that moves the environment
    return script


def placed(prefix: str) -> str | None:
    """The BASE of a frozen program that an installer placed as BASE/versions/VERSION; None for any other."""
    folder = Path(prefix)
    base = folder.parent.parent
    return str(base) if folder.parent.name == "versions" and (base / "current").is_dir() else None


def named_command(command: str) -> str:
    """A command the user named; refuses what a host could not start."""
    path = os.path.abspath(os.path.expanduser(command))
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise BadArgument(f"`{command}` is not a program that can be run", "name the file of an installed `rootcellar`")
    return path


def install_lasting(program: Running) -> str:
    """Install this very version as a lasting tool, and say where its command is."""
    what = _requirement()
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv and program.origin is not Origin.PIPX_RUN:
        _run([uv, "tool", "install", "--quiet", what])
        return _found(Path(_run([uv, "tool", "dir", "--bin"]).strip()) / _SCRIPT)
    pipx = shutil.which("pipx")
    if pipx:
        _run([pipx, "install", "--quiet", what])
        return _found(Path(_run([pipx, "environment", "--value", "PIPX_BIN_DIR"]).strip()) / _SCRIPT)
    raise Failed(
        "this copy of rootcellar runs from a cache that does not last",
        "install it with `uv tool install rootcellar` or `pipx install rootcellar`, then run `rootcellar install`",
    )


def _requirement() -> str:
    """What to ask the installer for: the place this copy came from, or this version."""
    origin = metadata.distribution("rootcellar").read_text("direct_url.json")
    if origin:
        url = str(json.loads(origin).get("url", ""))
        if url:
            return f"rootcellar @ {url}"
    return f"rootcellar=={__version__}"


def _run(words: list[str]) -> str:
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=INSTALL_S, encoding="utf-8")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"`{' '.join(words)}` failed: {error}") from None
    if done.returncode:
        raise Failed(f"`{' '.join(words)}` failed: {done.stderr.strip()[-500:]}", "run it by hand to see more")
    return done.stdout


def _found(path: Path) -> str:
    if not os.access(path, os.X_OK):
        raise Failed(f"`{path}` is not there after installing", "run `rootcellar install` from the installed command")
    return str(path)

"""The `.mcpb` bundle of a frozen bundle: validated and packed by the format's own tool, which npm brings.

One bundle per system and architecture: the manifest knows no architecture, and its programs are no use elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

import build_frozen
import start

SOURCES = build_frozen.PACKAGING / "mcpb"
TOOL = build_frozen.HERE / ".artefacts" / "mcpb"
TOOL_VERSION = "2.1.2"
PLATFORMS = {"linux": "linux", "macos": "darwin", "windows": "win32"}
_CENTRAL_BYTES = 46  # of an entry in a zip's directory, before its three texts
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def tool() -> list[str] | None:
    """The command of the official tool, fetched once; None without npm."""
    script = TOOL / "node_modules" / "@anthropic-ai" / "mcpb" / "dist" / "cli" / "cli.js"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    package = script.parents[2] / "package.json"
    if not package.exists() or json.loads(package.read_text("utf-8"))["version"] != TOOL_VERSION:
        start.say(f"getting @anthropic-ai/mcpb {TOOL_VERSION}")
        words = [npm, "install", "--prefix", str(TOOL), "--no-audit", "--no-fund", "--loglevel=error"]
        TOOL.mkdir(parents=True, exist_ok=True)
        if subprocess.run([*words, f"@anthropic-ai/mcpb@{TOOL_VERSION}"], check=False).returncode:
            return None
    return [node, str(script)]


def build(bundle: Path, out: Path, version: str, packer: list[str]) -> Path:
    """The bundle, in `out`; refuses a manifest that the tool does not like."""
    target = bundle.name.removeprefix(f"rootcellar-{version}-")
    made = out / f"rootcellar-{version}-{target}.mcpb"
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(bundle, folder / "server", symlinks=False)
        shutil.copy(SOURCES / "icon.png", folder / "icon.png")
        manifest = folder / "manifest.json"
        told = manifest_for(target.partition("-")[0], version)
        manifest.write_text(json.dumps(told, indent=2, ensure_ascii=False), encoding="utf-8")
        run([*packer, "validate", str(manifest)])
        run([*packer, "pack", str(folder), str(made)])
        _complete(folder, made)
    _timeless(made)
    return made


def manifest_for(system: str, version: str) -> dict[str, object]:
    """The manifest for one system; the tools are those of the snapshot that is shipped."""
    entry_point = "server/rootcellar.exe" if system == "windows" else "server/rootcellar"
    text = (SOURCES / "manifest.json").read_text("utf-8")
    words = {"VERSION": version, "ENTRY_POINT": entry_point, "PLATFORM": PLATFORMS[system]}
    for key, value in words.items():
        text = text.replace(f"@{key}@", value)
    manifest: dict[str, object] = json.loads(text)
    manifest["tools"] = [{"name": name, "description": about} for name, about in tools()]
    return manifest


def tools() -> list[tuple[str, str]]:
    """Every tool's name and the first sentence of its description."""
    snapshot = json.loads((build_frozen.HERE / "src" / "rootcellar" / "snapshot.json").read_text("utf-8"))
    listed = snapshot["results"][snapshot["answers"]["read-write"]["2025-11-25 tools/list"]]["tools"]
    return [(tool["name"], " ".join(tool["description"].split("\n\n")[0].split())) for tool in listed]


def run(words: list[str]) -> str:
    """What the tool says; a failure of it is one of ours."""
    env = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, encoding="utf-8")
    if done.returncode:
        raise build_frozen.BuildError(f"`{' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _complete(folder: Path, made: Path) -> None:
    """Refuse a bundle that lacks a file: the tool leaves some out by their names, and does not fail."""
    wanted = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(made) as packed:
        missing = wanted - set(packed.namelist())
    if missing:
        raise build_frozen.BuildError(f"the bundle lacks {sorted(missing)}")


def _timeless(made: Path) -> None:
    """Put one time on every file in the zip, where the tool wrote the time of the packing."""
    year, month, day, hour, minute, second = max(_EARLIEST, _moment())
    clock, date = hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
    data = bytearray(made.read_bytes())
    with zipfile.ZipFile(made) as packed:
        items, place = packed.infolist(), packed.start_dir
    for item in items:
        struct.pack_into("<2H", data, item.header_offset + 10, clock, date)
        struct.pack_into("<2H", data, place + 12, clock, date)
        place += _CENTRAL_BYTES + sum(struct.unpack_from("<3H", data, place + 28))
    made.write_bytes(data)
    with zipfile.ZipFile(made) as packed:
        if packed.testzip() is not None:
            raise build_frozen.BuildError(f"{made.name} is damaged")


def _moment() -> tuple[int, int, int, int, int, int]:
    moment = time.gmtime(build_frozen.epoch())
    return moment.tm_year, moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec

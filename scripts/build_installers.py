"""What a person double-clicks, made from a frozen bundle: every kind whose tools are on this machine.

`python scripts/build_installers.py BUNDLE [--out DIR]` makes them from a bundle that is there already; `scripts/build
--all` calls the same. Signing is done by what the environment names: see packaging/windows and packaging/macos.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import build_deb
import build_frozen
import build_mcpb
import build_run
import start

WINDOWS = build_frozen.PACKAGING / "windows" / "rootcellar.nsi"
MACOS = build_frozen.PACKAGING / "macos" / "build.sh"


KINDS = ("mcpb", "run", "deb", "setup", "pkg")


def everything(bundle: Path, out: Path, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Every installer for the bundle's system; says which could not be made, and why."""
    found = re.fullmatch(r"rootcellar-(.+)-(linux|macos|windows)-(x86_64|aarch64)", bundle.name)
    if found is None:
        raise build_frozen.BuildError(f"`{bundle.name}` does not say its version, system and architecture")
    out.mkdir(parents=True, exist_ok=True)
    here = {"linux": ("mcpb", "run", "deb"), "windows": ("mcpb", "setup"), "macos": ("mcpb", "pkg")}[found[2]]
    makers = {"mcpb": mcpb, "run": build_run.build, "deb": deb, "setup": setup_exe, "pkg": package}
    made = [makers[kind](bundle, out, found[1]) for kind in here if kind in kinds]
    return [path for path in made if path is not None]


def mcpb(bundle: Path, out: Path, version: str) -> Path | None:
    """The bundle that Claude Desktop and others open."""
    packer = build_mcpb.tool()
    return build_mcpb.build(bundle, out, version, packer) if packer else without(".mcpb", "Node.js and npm")


def deb(bundle: Path, out: Path, version: str) -> Path | None:
    """The Debian package."""
    return build_deb.build(bundle, out, version) if shutil.which("dpkg-deb") else without(".deb", "dpkg-deb")


def without(kind: str, tool: str) -> None:
    """Say that a kind is left out."""
    start.say(f"no {kind}: it needs {tool}")


def makensis() -> str | None:
    """The NSIS compiler, on PATH or where its Windows installer puts it."""
    usual = Path(os.environ.get("PROGRAMFILES(X86)", ""), "NSIS", "makensis.exe")
    return shutil.which("makensis") or (str(usual) if usual.is_file() else None)


def setup_exe(bundle: Path, out: Path, version: str) -> Path | None:
    """Setup for Windows. WINDOWS_SIGN, where set, is a command line that signs the file put in place of `%1`."""
    maker = makensis()
    if maker is None:
        return without("Setup.exe", "NSIS (makensis)")
    made = out / f"rootcellar-{version}-{bundle.name.rpartition('-')[2]}-setup.exe"
    kib = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) // 1024
    numbers = ([int(part) for part in re.findall(r"\d+", version)] + [0] * 4)[:4]
    words = {"VERSION": version, "NUMBERS": ".".join(map(str, numbers)), "KIB": str(kib), "PAYLOAD": str(bundle)}
    words |= {"OUT": str(made)} | ({} if sys.platform == "win32" else {"TARGET": "amd64-unicode"})
    if os.environ.get("WINDOWS_SIGN"):
        words["SIGN"] = "yes"
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(build_frozen.epoch())}
    command = [maker, "-V2", "-WX", *(f"-D{key}={value}" for key, value in words.items()), str(WINDOWS)]
    subprocess.run(command, check=True, env=env)
    return made


def package(bundle: Path, out: Path, version: str) -> Path | None:
    """The macOS package; the script says which variables sign and notarise it."""
    if shutil.which("pkgbuild") is None:
        return without(".pkg", "macOS")
    made = out / f"rootcellar-{version}-macos-{bundle.name.rpartition('-')[2]}.pkg"
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(build_frozen.epoch())}
    subprocess.run(["/bin/sh", str(MACOS), str(bundle), version, str(made)], check=True, env=env)
    return made


def main(arguments: list[str]) -> int:
    """Make them; the exit code."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("scripts/build_installers.py", description=__doc__, formatter_class=shape)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, default=build_frozen.HERE / "dist", metavar="DIR")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this (repeatable)")
    chosen = parser.parse_args(arguments)
    for path in everything(chosen.bundle.resolve(), chosen.out.resolve(), chosen.kind or KINDS):
        print(f"{path.stat().st_size / 1e6:7.1f} MB  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

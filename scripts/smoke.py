"""Try artefacts as their users would: `smoke.py DIR`. Places each in a home of its own, talks to it, takes it away.

Runs what this system can run: an archive, a wheel, a .mcpb, a .run, a .deb (as root, or with sudo), Setup.exe, a .pkg.
Exit code 1 when one of them does not answer. Stdlib only.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import start

EXE = start.EXE


def talk(command: list[str], folder: Path, env: dict[str, str]) -> str:
    """Start the server as a host does, read a file through it; the name and version that it gives."""
    (folder / "hello.txt").write_text("hello\n", "utf-8")
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "smoke", "version": "1"}}
    asked = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "hello.txt"}}},
    ]
    process = subprocess.Popen(
        [*command, "serve", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    )  # its errors are ours to show
    assert process.stdin
    assert process.stdout
    try:
        for message in asked:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()
        answers = {}
        while 2 not in answers:  # noqa: PLR2004 - the id above
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{command[0]} ended with {process.wait(10)}")
            message = json.loads(line)
            answers[message.get("id")] = message
        process.stdin.close()
        code = process.wait(10)
    finally:
        process.kill()
        process.wait()
    text = json.dumps(answers[2])
    if "hello" not in text or code:
        raise SystemExit(f"{command[0]} answered {text}, and ended with {code}")
    info = answers[1]["result"]["serverInfo"]
    return f"{info['name']} {info['version']}"


@contextmanager
def archive(file: Path, place: Path) -> Iterator[list[str]]:
    """Unpacked, and run where it lies."""
    if file.suffix == ".zip":
        shutil.unpack_archive(file, place)
    else:
        with tarfile.open(file) as packed:
            packed.extractall(place, filter="data")
    [folder] = place.glob("rootcellar-*")
    yield [str(folder / f"rootcellar{EXE}")]


@contextmanager
def wheel(file: Path, place: Path) -> Iterator[list[str]]:
    """By uv, from an empty cache."""
    os.environ["UV_CACHE_DIR"] = str(place / "cache")
    yield [start.uv(), "tool", "run", "--python", sys.executable, "--from", str(file), "rootcellar"]


@contextmanager
def mcpb(file: Path, place: Path) -> Iterator[list[str]]:
    """Unpacked as a host does, and started as its manifest says."""
    with zipfile.ZipFile(file) as packed:
        for entry in packed.infolist():
            target = Path(packed.extract(entry, place))
            if entry.external_attr >> 16 & 0o111 and target.is_file():
                target.chmod(0o755)
    manifest = json.loads((place / "manifest.json").read_text("utf-8"))
    yield [manifest["server"]["mcp_config"]["command"].replace("${__dirname}", str(place))]


@contextmanager
def run_file(file: Path, place: Path) -> Iterator[list[str]]:
    """For one user, into a home of its own."""
    env = {**os.environ, "HOME": str(place)}
    for name in [name for name in env if name.startswith("XDG_")]:
        del env[name]
    subprocess.run(["sh", file, "--no-setup"], env=env, check=True)
    yield [str(place / ".local" / "bin" / "rootcellar")]
    subprocess.run(["sh", file, "--uninstall", "--take-out-hosts"], env=env, check=True)
    if (place / ".local" / "bin" / "rootcellar").is_symlink():
        raise SystemExit(f"{file.name} leaves its command behind")


def _as_root(*words: object) -> None:
    sudo = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["sudo"]
    subprocess.run([*sudo, *map(str, words)], check=True)


@contextmanager
def deb(file: Path, _place: Path) -> Iterator[list[str]]:
    """For everybody."""
    _as_root("dpkg", "--install", file)
    yield ["/usr/bin/rootcellar"]
    _as_root("dpkg", "--purge", "rootcellar")
    if Path("/usr/lib/rootcellar").exists():
        raise SystemExit(f"{file.name} leaves files behind")


@contextmanager
def setup_exe(file: Path, place: Path) -> Iterator[list[str]]:
    """For one user, silently."""
    base = place / "Rootcellar"
    subprocess.run(f'"{file}" /S /D={base}', check=True)
    yield [str(base / "current" / "rootcellar.exe")]
    subprocess.run(f'"{base / "uninstall.exe"}" /S _?={base}', check=True)


@contextmanager
def package(file: Path, _place: Path) -> Iterator[list[str]]:
    """For everybody on this Mac."""
    _as_root("installer", "-pkg", file, "-target", "/")
    yield ["/Library/Application Support/Rootcellar/current/rootcellar"]


_TARGET = r"-(linux|macos|windows)-\w+"
KINDS = (
    (rf"{_TARGET}\.(tar\.gz|zip)$", ("linux", "darwin", "win32"), archive),
    (r"\.whl$", ("linux", "darwin", "win32"), wheel),
    (r"\.mcpb$", ("linux", "darwin", "win32"), mcpb),
    (r"\.run$", ("linux",), run_file),
    (r"\.deb$", ("linux",), deb),
    (r"-setup\.exe$", ("win32",), setup_exe),
    (r"\.pkg$", ("darwin",), package),
)


def main(arguments: list[str]) -> int:
    """Try all that are there."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    tried = 0
    for file in sorted(Path(arguments[0]).resolve().iterdir()):
        for pattern, systems, placed in KINDS:
            if file.is_file() and re.search(pattern, file.name) and sys.platform in systems:
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                    place, folder = Path(name, "place"), Path(name, "folder")
                    place.mkdir()
                    folder.mkdir()
                    with placed(file, place) as command:
                        print(f"ok  {file.name}: {talk(command, folder, dict(os.environ))}", flush=True)
                tried += 1
    shutil.rmtree(Path(arguments[0], ".packages"), ignore_errors=True)
    return 0 if tried else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

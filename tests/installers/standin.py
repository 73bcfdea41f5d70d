"""A frozen bundle without the freezing: a program that answers as a server would and writes down how it was started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.homes import SERVER, program_at

SCRIPTS = Path(__file__).parents[2] / "scripts"
KINDS = {".run": "run", ".deb": "deb", ".mcpb": "mcpb", ".exe": "setup", ".pkg": "pkg"}  # by the end of the file
PROGRAM = f"""\
import os, sys
if sys.argv[1:2] == ["serve"]:
    exec({SERVER!r})
    sys.exit()
with open(os.path.join(os.environ["HOME"], "said"), "a") as file:
    print(*sys.argv[1:], file=file)
print("rootcellar", "VERSION")
sys.exit(os.path.exists(os.path.join(os.environ["HOME"], "refuse")))
"""


def bundle_at(folder: Path, version: str = "1.0.0", target: str = "linux-x86_64") -> Path:
    """A stand-in for the frozen bundle of that version, with one real program in it that can be left running."""
    made = folder / f"rootcellar-{version}-{target}"
    program_at(made / "rootcellar", PROGRAM.replace("VERSION", version))
    (made / "_internal" / "kept folder").mkdir(parents=True)
    (made / "_internal" / "lazy.txt").write_text(version)
    (made / "_internal" / "kept folder" / "größe.txt").write_text("x" * 10_000, encoding="utf-8")
    (made / "_internal" / "link.txt").symlink_to("lazy.txt")
    shutil.copy2("/bin/cat", made / "_internal" / "holds")
    return made


def built(bundle: Path, out: Path, kind: str, **env: str) -> Path:
    """One installer of a bundle, as `scripts/build --all` makes it."""
    script = str(SCRIPTS / "build_installers.py")
    done = subprocess.run(
        [sys.executable, script, str(bundle), "--out", str(out), "--kind", KINDS[Path(kind).suffix or kind]],
        check=False, capture_output=True, text=True, timeout=170,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1760000000", **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = sorted(out.glob(f"*{kind}"))
    if not found:
        pytest.skip(f"no {kind} on this machine: {done.stderr.strip()}")
    return found[-1]


def running(program: Path) -> subprocess.Popen[bytes]:
    """The real program in a placed version, running until its input ends."""
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

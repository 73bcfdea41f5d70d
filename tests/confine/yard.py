"""A tree language, the backends of this system, and a count of what stays open."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from rootcellar.confine._open import Backend
from rootcellar.confine.ground import Ground
from rootcellar.confine.roots import Grant, Roots
from rootcellar.policy import Access, Policy


def backends() -> list[Backend]:
    """Every backend that works here; each must pass the same tests."""
    if sys.platform == "win32":
        from rootcellar.confine._windows import WindowsBackend

        return [WindowsBackend()]
    from rootcellar.confine._posix import PosixBackend

    found: list[Backend] = [PosixBackend()]
    if sys.platform == "linux":
        from rootcellar.confine._linux import LinuxBackend

        found += [LinuxBackend.walking(), LinuxBackend()]
    if sys.platform == "darwin":
        from rootcellar.confine._macos import MacBackend

        found.append(MacBackend())
    return found


class Place:
    """A base directory with `root/`, the one root, and `OUT/secret` beside it."""

    def __init__(self, base: Path, backend: Backend) -> None:
        self.base, self.backend = base, backend
        self.root, self.out = base / "root", base / "OUT"
        self.root.mkdir(parents=True)
        self.out.mkdir()
        (self.out / "secret").write_bytes(b"SECRET")
        self.ground = Ground(backend)

    def make(self, *lines: str) -> None:
        """`d/` a directory, `f` a file that holds its own path, `l -> t` a link; $ROOT and $OUT are absolute."""
        for line in lines:
            name, _, target = line.partition(" -> ")
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if target:
                path.symlink_to(target.replace("$ROOT", str(self.root)).replace("$OUT", str(self.out)))
            elif name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.write_bytes(name.encode())

    def roots(self, policy: Policy | None = None, access: Access = Access.READ_WRITE) -> Roots:
        """The roots in force."""
        return self.ground.roots([Grant(str(self.root), access)], policy or Policy())

    def outside(self) -> dict[str, bytes | None]:
        """Everything beside the root, to be compared."""
        return {
            str(path.relative_to(self.base)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.base.rglob("*"))
            if self.root not in (path, *path.parents)
        }


def open_descriptors() -> int:
    """How many descriptors this process holds."""
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    return len(os.listdir(folder))


PRELUDE = """
import os, resource, sys
from rootcellar.confine import Grant, Ground, Overwrite
from rootcellar.confine._open import choose
from rootcellar.errors import Refusal
from rootcellar.policy import Policy
backend = choose()  # whatever it imports, it imports before it may not any more
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
entry = Ground(backend).roots([Grant(sys.argv[1])], Policy()).entry
"""


def as_nobody(root: Path, code: str) -> str:
    """Run code as an ordinary user in a process of its own: `entry` makes entries of this root. What it printed."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()

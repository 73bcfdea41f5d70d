"""Fork writers, kill them at random moments, look at what they leave: `kill_loop.py ROOT KILLS WHAT`; JSON on stdout."""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rootcellar.confine import Grant, Ground, Roots, drafts
from rootcellar.policy import Policy

SIZE = 1_000_000
LETTERS = b"abcdefghijklmnopqrstuvwxyz"


def pattern(number: int) -> bytes:
    """Content whose tearing shows: one letter, all through."""
    return bytes([LETTERS[number % 26]]) * (SIZE + number % 7)


def write_forever(roots: Roots, what: str, told: int) -> None:
    """Change files until killed."""
    if what == "in place":
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    entry = roots.entry("f")
    for number in itertools.count(random.randrange(26)):
        if what == "create":
            name = roots.entry(f"new{os.getpid()}-{number}")
            name.create(pattern(number))
        elif what == "edit":
            entry.edit(changed(number))
        elif what == "append":
            entry.append(b"z" * 1000)
        else:
            entry.replace(pattern(number))
        if told:
            os.write(told, b".")
            told = 0


def changed(number: int) -> Callable[[bytes], bytes]:
    """An edit that makes this content."""
    return lambda _old: pattern(number)


def is_whole(data: bytes, what: str) -> bool:
    """Whether this is one of the contents that were ever written, whole."""
    if what == "append":
        return data.rstrip(b"z") == pattern(0) and len(data) % 1000 == len(pattern(0)) % 1000
    return SIZE <= len(data) < SIZE + 7 and data == data[:1] * len(data)


def main(folder: str, kills: int, what: str) -> dict[str, int]:
    """The counts."""
    root = Path(folder)
    for path in (root, *root.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    root.chmod(0o777)
    (root / "f").write_bytes(pattern(0))
    (root / "f").chmod(0o666)
    roots = Ground().roots([Grant(folder)], Policy())
    counts = dict.fromkeys(("kills", "torn", "missing", "left", "left after sweep", "torn after repair", "files"), 0)
    drafts.QUIET_S = 0.0
    for _ in range(kills):
        heard, told = os.pipe()
        pid = os.fork()
        if not pid:
            write_forever(roots, what, told)
        os.close(told)
        select.select([heard], [], [], 20)  # its first write is done
        select.select([], [], [], random.random() * 0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(heard)
        counts["kills"] += 1
        counts["left"] += sum(name.startswith(".rootcellar-") for name in os.listdir(folder))
        files = [path for path in root.iterdir() if not path.name.startswith(".rootcellar-")]
        counts["missing"] += root / "f" not in files
        counts["torn"] += sum(not is_whole(path.read_bytes(), what) for path in files)
        counts["files"] += len(files)
        drafts._looked_at.clear()
        roots.entry("other").replace(b"y")  # whatever is left is repaired or removed by the next write
        (root / "other").unlink()
        counts["left after sweep"] += sum(name.startswith(".rootcellar-") for name in os.listdir(folder))
        counts["torn after repair"] += not is_whole((root / "f").read_bytes(), what)
        for path in root.iterdir():
            if path.name.startswith("new"):
                path.unlink()
    return counts


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3])))

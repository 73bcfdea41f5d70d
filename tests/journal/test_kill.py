"""Servers that are killed at random moments, in the middle of changes and of undos."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and the trash is Linux's")


def kill_loop(kills: int) -> None:
    script = Path(__file__).with_name("kill_journal.py")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        command = [sys.executable, str(script), os.path.realpath(place), str(kills)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=3_000, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    print(counts)
    bad = {name: counts.get(name, 0) for name in ("not settled", "left", "not undone", "torn", "orphans")}
    assert not any(bad.values()), (counts, done.stderr)
    assert counts["kills"] == kills
    assert counts["undone"] > 0


def test_after_a_kill_every_change_is_whole_or_absent_and_can_be_undone() -> None:
    kill_loop(15)


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_after_hundreds_of_kills_every_change_is_whole_or_absent() -> None:
    kill_loop(500)

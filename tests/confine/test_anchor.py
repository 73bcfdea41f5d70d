"""A root's handle is shared by the calls that use it, and nobody ever holds one that is closed."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from rootcellar.confine import Grant, Ground
from rootcellar.confine._open import Backend, choose
from rootcellar.policy import Policy


@pytest.mark.skipif(sys.platform == "win32", reason="counts descriptors")
def test_roots_taken_and_dropped_by_many_threads_are_always_open(tmp_path: Path) -> None:
    class Unhurried(type(choose())):  # type: ignore[misc] # the real one, with time for others to come between
        def close(self, directory: int) -> None:
            time.sleep(0.0002)
            super().close(directory)

    backend: Backend = Unhurried()
    ground, policy, grants = Ground(backend), Policy(), [Grant(str(tmp_path))]
    meant = tmp_path.stat().st_ino
    wrong: list[object] = []
    before = len(os.listdir("/dev/fd"))

    def take() -> None:
        for _ in range(3_000):
            root = ground.roots(grants, policy).roots[0]
            try:
                found = os.fstat(root.handle).st_ino
            except OSError as error:
                found = error.errno or 0
            if found != meant:
                wrong.append(found)
            del root

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(switch)
    print(f"6,000 roots taken, {len(wrong)} with a closed or foreign handle")
    assert not wrong
    assert len(os.listdir("/dev/fd")) <= before

"""A request that is taken back stops the work itself, not only its answer."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driver import ERAS, Host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see the work")
TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
STOPS_WITHIN_S = 0.1


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cancel") / "root"
    with (root.parent / "made").open("w"):
        root.mkdir()
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    for number in range(40_000):
        path = root / f"tree/d{number % 200}/e{number % 7}/f{number}"
        if number < 1_400:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line {number}\n" * 20, "utf-8")
    return root


@pytest.fixture(params=ERAS)
def host(request: pytest.FixtureRequest, root: Path) -> Iterator[Host]:
    with Host(str(root), era=request.param) as host:
        host.text("list_roots")
        yield host


def busy_s(pid: int) -> float:
    """CPU seconds of the process and of its living children."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        total += sum(busy_s(int(child)) for child in children)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return total
    return total + (int(fields[11]) + int(fields[12])) * TICK_S


WORK: list[tuple[str, dict[str, Any]]] = [
    ("get_file_info", {"path": "sparse", "sha256": True}),
    ("copy_file", {"source": "sparse", "destination": "copy"}),
    ("search_text", {"pattern": r"([a-z]+ )+[0-9]{1,40}(zz|yy)+$", "regex": True, "path": "tree"}),
    ("search_files", {"pattern": "**/*no-such-name*/**/x*"}),
    ("directory_tree", {"path": "tree"}),
]


@pytest.mark.parametrize(("tool", "arguments"), WORK, ids=[tool for tool, _ in WORK])
def test_cancelling_ends_the_work(host: Host, root: Path, tool: str, arguments: dict[str, Any]) -> None:
    before = busy_s(host.process.pid)
    number, waiting = host.start("tools/call", {"name": tool, "arguments": arguments})
    begun = time.monotonic()
    while busy_s(host.process.pid) < before + 2 * TICK_S and time.monotonic() < begun + 2:
        time.sleep(0.002)
    host.notify("notifications/cancelled", {"requestId": number})
    time.sleep(STOPS_WITHIN_S)
    after = busy_s(host.process.pid)
    time.sleep(0.3)
    assert busy_s(host.process.pid) - after <= 3 * TICK_S
    assert waiting.empty() or tool in ("search_text", "search_files", "directory_tree"), (
        "a cancelled request gets no answer"
    )
    assert not (root / "copy").exists()
    assert not [name for name in os.listdir(root) if name.startswith(".rootcellar-")]


def test_a_hundred_slow_calls_do_not_hold_up_a_ping(root: Path) -> None:
    with Host(str(root), era="legacy") as host:
        host.text("list_roots")
        for _ in range(100):
            host.start("tools/call", {"name": "get_file_info", "arguments": {"path": "sparse", "sha256": True}})
        took = []
        for _ in range(20):
            begun = time.monotonic()
            host.request("ping")
            took.append(time.monotonic() - begun)
        begun = time.monotonic()
        assert "line" in host.text("read_file", path="tree/d0/e0/f0")
        read_s = time.monotonic() - begun
        print(
            f"ping {1000 * min(took):.1f}-{1000 * max(took):.1f} ms, read {1000 * read_s:.1f} ms beside 100 slow calls"
        )
        assert sorted(took)[len(took) // 2] < 0.05

"""The official SDKs' clients, as a host uses them: each gives a root in its way, lists the tools and works in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients import npm
from clients.home import Home
from clients.session import SECRET, Ground, Plan, Step, check_tools, text
from driver import uri

pytestmark = [pytest.mark.clients, pytest.mark.timeout(npm.INSTALL_S * 2)]
HERE = Path(__file__).parent
MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"


def _python_2() -> list[str]:
    return [sys.executable, str(HERE / "sdk_v2.py")]


def _python_1() -> list[str]:
    return [npm.python_with("mcp==1.30.0"), str(HERE / "sdk_v1.py")]


def _typescript() -> list[str]:
    where = npm.installed("typescript", "@modelcontextprotocol/client@2.4.0")
    return [npm.node(), str(HERE / "sdk.mjs"), str(where)]


@dataclass(frozen=True, slots=True)
class Sdk:
    """A client program, the mode it is run in, and the revision that must come of it."""

    program: Callable[[], list[str]]
    mode: str
    protocol: str


SDKS = {
    "python-2.3-auto": Sdk(_python_2, "auto", MODERN),
    "python-2.3-legacy": Sdk(_python_2, "legacy", HANDSHAKE),
    "python-2.3-pinned": Sdk(_python_2, MODERN, MODERN),
    "python-1.30": Sdk(_python_1, "legacy", HANDSHAKE),
    "typescript-2.4-auto": Sdk(_typescript, "auto", MODERN),
    "typescript-2.4-legacy": Sdk(_typescript, "legacy", HANDSHAKE),
    "typescript-2.4-pinned": Sdk(_typescript, MODERN, MODERN),
}


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return SDKS[request.param]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Home(tmp_path / "home") as home:
        yield home


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground.made_in(tmp_path)


def test_it_works_in_the_roots_it_gives(sdk: Sdk, home: Home, ground: Ground) -> None:
    steps = ground.whole()
    report = Plan(home, sdk.mode, [step.call() for step in steps], ground.roots).carried_out_by(sdk.program())
    assert report["protocol"] == sdk.protocol
    check_tools(report["tools"])
    for step, result in zip(steps, report["results"], strict=True):
        step.check(result)
    ground.check()
    assert (ground.garden / "moved.txt").read_text() == "sown\n"
    assert home.alive(within=1) == {}


def test_it_works_in_the_folder_on_the_command_line(sdk: Sdk, home: Home, ground: Ground) -> None:
    steps = ground.brief()
    plan = Plan(home, sdk.mode, [step.call() for step in steps], granted=(ground.garden,))
    for step, result in zip(steps, plan.carried_out_by(sdk.program())["results"], strict=True):
        step.check(result)
    ground.check()


def test_when_it_changes_its_roots_the_old_ones_are_closed(sdk: Sdk, home: Home, ground: Ground) -> None:
    read, other = (Step("read_file", {"path": str(path)}).call() for path in (ground.notes, ground.secret))
    steps = [read, other, {"roots": [uri(ground.house)]}, read, other, {"roots": []}, read, other]
    results = Plan(home, sdk.mode, steps, ground.roots).carried_out_by(sdk.program())["results"]
    assert [bool(result.get("isError")) for result in results] == [False, True, True, False, True, True]
    assert [SECRET in text(result) for result in results] == [False, False, False, True, False, False]

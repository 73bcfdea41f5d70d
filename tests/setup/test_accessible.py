"""Every step of the window, judged by axe-core: names, roles, contrast, order; in light and in dark."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from setup.browser import Browser
from setup.conftest import Running

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here: it brings axe-core"),
]
AXE = Path(__file__).parents[2] / ".artefacts" / "axe"
VERSION = "4.14.1"
RUN = """
window.found = null;
axe.run(document).then((said) => { window.found = said.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]); });"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The judge, as a script."""
    script = AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        words = ["npm", "install", "--prefix", str(AXE), "--no-audit", "--no-fund", f"axe-core@{VERSION}"]
        AXE.mkdir(parents=True, exist_ok=True)
        subprocess.run(words, check=True, capture_output=True, timeout=200)
    return script.read_text("utf-8")


def _judged(window: Browser, axe: str) -> list[object]:
    found: list[object] = []
    for scheme in ("light", "dark"):
        window.dark(scheme)
        window.run(axe)
        window.run(RUN)
        window.wait("return window.found !== null")
        found += json.loads(json.dumps(window.run("return window.found")))
    return found


def test_no_step_has_anything_to_complain_about(running: Running, window: Browser, axe: str) -> None:
    window.open(running.url)
    window.title("Which applications")
    found = _judged(window, axe)
    window.click("Continue")
    window.title("Which folders")
    window.click("Add ~/Documents")
    found += _judged(window, axe)
    window.click("Choose a folder")
    window.wait("return document.querySelector('#picker-list button')")
    found += _judged(window, axe)
    window.click("Cancel")
    window.click("Continue")
    window.title("This is what will change")
    found += _judged(window, axe)
    window.click("Change 3 files")
    window.title("Done")
    found += _judged(window, axe)
    window.click("Finish")
    window.title("You can close")
    found += _judged(window, axe)
    assert found == []


def test_the_judge_bites(running: Running, window: Browser, axe: str) -> None:
    window.open(running.url)
    window.title("Which applications")
    window.run(
        "document.querySelector('#hosts .main').replaceChildren(); document.querySelector('#hosts p').style.color = '#eee'"
    )
    assert {one[0] for one in _judged(window, axe)} >= {"button-name"}  # type: ignore[index]

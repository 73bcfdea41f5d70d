"""Setup in Firefox: what differs from browser to browser is the dialog, the keys, and being told that a page is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.conftest import Running
from setup.firefox import FIREFOX, Firefox, firefox

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(300),
    pytest.mark.skipif(FIREFOX is None, reason="Firefox is not here (Debian: firefox-esr)"),
]


@pytest.fixture
def fox() -> Iterator[Firefox]:
    """Firefox that nobody sees."""
    with firefox() as opened:
        yield opened


def test_with_the_keyboard_alone_it_is_done_in_firefox(running: Running, fox: Firefox, kept: Path) -> None:
    home = running.home
    fox.open(running.url)
    fox.title("Which applications")
    fox.tab_to("Continue")
    fox.press("Enter")
    fox.title("Which folders")
    fox.tab_to("Choose a folder")
    fox.press("Enter")
    fox.wait("return document.activeElement.closest('#picker-list')")
    fox.press("m")
    assert fox.focus == "Music"
    fox.press("Enter")
    fox.wait("return document.querySelector('#picker-path').value.endsWith('Music')")
    fox.press("Escape")
    assert fox.wait("return !document.querySelector('dialog[open]')")
    fox.tab_to("Add ~/Documents")
    fox.press("Space")
    assert fox.focus == "Read only: ~/Documents"
    fox.press("Space")
    fox.tab_to("Continue")
    fox.press("Enter")
    fox.title("This is what will change")
    fox.photograph(kept / "firefox-review.png")
    fox.tab_to("Change 3 files")
    fox.press("Enter")
    fox.title("Done")
    fox.tab_to("Finish")
    fox.press("Enter")
    fox.title("You can close this page")
    assert running.end()[0] == 0
    written = (home.path / ".codex/config.toml").read_text()
    assert f'"--root-ro", "{home.path}/Documents"' in written


def test_firefox_says_when_the_page_is_left_and_comes_back_after_a_reload(running: Running, fox: Firefox) -> None:
    fox.open(running.url)
    fox.title("Which applications")
    fox.run("location.reload()")
    fox.title("Which applications")
    fox.open("about:blank")
    code, _, err = running.end()
    assert (code, err.endswith("Nothing was changed: the page was closed.\n")) == (1, True)

"""Setup in a real browser: with the mouse, with the keyboard alone, left, reloaded, and opened by a stranger."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.homes import Home
from setup.browser import Browser
from setup.conftest import CONFIGS, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
INSTALL = ["install", "--host", "claude-desktop", "--host", "cursor", "--host", "codex", "--no-proof", "--yes"]


def _at_folders(window: Browser, url: str) -> None:
    window.open(url)
    window.title("Which applications")
    window.click("Continue")
    window.title("Which folders")


def _files(home: Home) -> dict[str, bytes | None]:
    names = (*CONFIGS, ".config/Claude/claude_desktop_config.json")
    return {name: path.read_bytes() if (path := home.path / name).exists() else None for name in names}


def _by_terminal(home: Home) -> dict[str, bytes | None]:
    """What `install` writes for the same choice, and what its `uninstall` leaves."""
    before = _files(home)
    roots = ["--root", str(home.path / "Documents"), "--root-ro", str(home.path / "Projects")]
    assert home.run(*INSTALL, *roots, "--command", str(home.program)).code == 0
    written = _files(home)
    assert home.uninstall().code == 0
    assert _files(home) == before
    return written


def test_with_the_mouse_it_writes_what_install_writes_and_tells_the_truth(
    running: Running, window: Browser, kept: Path
) -> None:
    home = running.home
    wanted = _by_terminal(home)
    window.open(running.url)
    window.title("Which applications")
    assert "line 2, column 1: the text ends too early" in window.text  # Zed's file, which is cut off
    window.photograph(kept / "1-applications.png")
    window.click("Continue")
    window.title("Which folders")
    window.click("Add ~/Documents")
    window.click("Choose a folder")
    window.click("Projects")
    window.wait("return document.querySelector('#picker-path').value.endsWith('Projects')")
    window.photograph(kept / "2-picker.png")
    window.click("Use this folder")
    window.run("document.querySelector('[aria-label=\"Read only: ~/Projects\"]').click()")
    window.photograph(kept / "3-folders.png")
    window.click("Continue")
    window.title("This is what will change")
    assert _files(home) == CONFIGS | {".config/Claude/claude_desktop_config.json": None}  # nothing is done yet
    window.photograph(kept / "4-review.png")
    window.dark("dark")
    window.photograph(kept / "4-review-dark.png")
    window.click("Change 3 files")
    window.title("Done")
    window.photograph(kept / "5-result.png")
    assert _files(home) == wanted
    assert "Restart Cursor" in window.text
    assert "It answered in 0." in window.text
    window.click("Finish")
    window.title("You can close this page")
    code, out, _ = running.end()
    assert (code, "ready" in out) == (0, True)
    assert window.complaints == []


def test_with_the_keyboard_alone_every_step_can_be_done(running: Running, window: Browser) -> None:
    wanted = _by_terminal(running.home)
    window.open(running.url)
    window.title("Which applications")
    window.tab_to("Continue")
    window.press("Enter")
    window.title("Which folders")
    window.tab_to("Add ~/Documents")
    window.press("Space")
    window.tab_to("Choose a folder")
    window.press("Enter")
    window.wait("return document.activeElement.closest('#picker-list')")
    window.press("End")  # the last folder
    assert window.focus == "Projects"
    window.press("Up", "p")  # to the one above, and back by its letter
    window.press("Enter")
    window.wait("return document.activeElement.innerText === 'garden'")
    window.press("Enter")
    window.wait("return document.querySelector('#picker-path').value.endsWith('garden')")
    window.tab_to("Up to the folder above")
    window.press("Enter")
    window.wait("return document.activeElement.innerText === 'garden'")
    window.press("Escape")
    assert window.wait("return !document.querySelector('dialog[open]')")
    assert "Choose a folder" in window.focus  # back where it came from
    window.press("Enter")
    window.wait("return document.activeElement.closest('#picker-list')")
    window.press("p", "Enter")
    window.wait("return document.querySelector('#picker-path').value.endsWith('Projects')")
    window.tab_to("Use this folder")
    window.press("Enter")
    window.wait("return !document.querySelector('dialog[open]')")
    assert window.focus == "Read only: ~/Projects"
    window.press("Space")
    window.tab_to("Continue")
    window.press("Enter")
    window.title("This is what will change")
    window.tab_to("Change 3 files")
    window.press("Enter")
    window.title("Done")
    assert _files(running.home) == wanted
    window.tab_to("Finish")
    window.press("Enter")
    window.title("You can close this page")
    assert running.end()[0] == 0


def test_what_is_set_up_is_shown_and_taking_the_mark_away_takes_the_entry_out(
    running: Running, window: Browser
) -> None:
    home = running.home
    assert home.install("--host", "cursor", "--host", "codex", "--root", str(home.path / "Music")).code == 0
    window.open(running.url)
    window.title("Which applications")
    assert window.text.count("set up") == 2
    for name in ("cursor", "codex", "claude-desktop"):
        window.run("document.querySelector(`input[value=${arguments[0]}]`).click()", name)
    window.click("Continue")
    window.title("Which folders")
    assert "~/Music" in window.text  # what they grant now
    window.click("Continue")
    window.title("This is what will change")
    window.click("Change 2 files")
    window.title("Done")
    assert _files(home) == CONFIGS | {".config/Claude/claude_desktop_config.json": None}
    window.click("Finish")
    assert running.end()[0] == 0


def test_a_page_that_is_closed_changes_nothing_and_ends_the_program(running: Running, window: Browser) -> None:
    _at_folders(window, running.url)
    window.close()
    code, out, err = running.end()
    assert (code, out) == (1, "")
    assert err.endswith("Nothing was changed: the page was closed.\n")
    assert _files(running.home) == CONFIGS | {".config/Claude/claude_desktop_config.json": None}


def test_a_page_that_is_reloaded_goes_on_and_an_address_used_twice_does_not(running: Running, window: Browser) -> None:
    _at_folders(window, running.url)
    origin = running.url.partition("#")[0]
    assert window.run("return location.href") == origin  # the token is gone from the address
    window.run("location.reload()")
    window.title("Which applications")
    window.run("sessionStorage.clear()")  # another tab
    window.open("about:blank")
    window.open(running.url)
    window.title("This page cannot be used")
    assert "This page has been opened before" in window.text or "this page has been opened before" in window.text


def test_when_the_program_is_gone_the_page_says_so(running: Running, window: Browser) -> None:
    _at_folders(window, running.url)
    running.child.kill()
    running.child.wait()
    window.click("Continue")
    window.wait("return document.querySelector('#alert').innerText.includes('not running any more')")


def test_names_that_look_like_markup_are_names(running: Running, window: Browser) -> None:
    name = "<img src=x onerror=document.title='owned'>"
    (running.home.path / "Documents" / name).mkdir()
    _at_folders(window, running.url)
    window.click("Choose a folder")
    window.click("Documents")
    window.wait("return [...document.querySelectorAll('#picker-list button')].some(b => b.innerText.includes('<img'))")
    window.click("<img")
    window.wait("return document.querySelector('#picker-path').value.includes('<img')")
    window.click("Use this folder")
    window.wait("return !document.querySelector('dialog[open]')")
    window.click("Continue")
    window.title("This is what will change")
    assert window.run("return document.querySelectorAll('img').length") == 0
    assert name in window.text
    assert "owned" not in window.run("return document.title")


def test_an_entry_of_somebody_else_is_replaced_where_the_box_is_ticked(running: Running, window: Browser) -> None:
    theirs = b'{"mcpServers": {"rootcellar": {"command": "/theirs"}}}'
    config = running.home.write(".cursor/mcp.json", theirs)
    window.open(running.url)
    window.title("Which applications")
    assert "has an entry that is not ours" in window.text
    window.run("document.querySelector('input[value=cursor]').click()")  # it is not chosen beforehand
    window.click("Continue")
    window.title("Which folders")
    window.click("Continue")
    window.title("This is what will change")
    assert "left alone" in window.text
    window.click("Replace the entry that is there")
    window.wait("return document.querySelector('#replace-cursor')?.checked && document.querySelector('.minus')")
    window.click("Change 3 files")
    window.title("Done")
    assert b"/theirs" not in config.read_bytes()
    window.click("Finish")
    assert running.end()[0] == 0
    assert running.home.uninstall().code == 0
    assert b"/theirs" in config.read_bytes()


NAMELESS = """
const named = (n) => n.getAttribute("aria-label") || (n.labels && n.labels.length && n.labels[0].innerText.trim())
  || n.innerText.trim();
return [...document.querySelectorAll("button, input, summary, dialog, ul, ol, progress")]
  .filter((n) => n.checkVisibility() && !named(n) && !n.getAttribute("aria-labelledby")).map((n) => n.outerHTML)"""
WIDE = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"


def test_every_control_says_what_it_is_and_nothing_is_cut_off_on_a_narrow_screen(
    running: Running, window: Browser, kept: Path
) -> None:
    deep = running.home.path / "Documents" / ("deeply" * 30)
    deep.mkdir()
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    window.emulate("Emulation.setDeviceMetricsOverride", metrics)
    window.open(running.url)
    window.title("Which applications")
    seen = [window.run(NAMELESS), window.run(WIDE)]
    window.click("Continue")
    window.title("Which folders")
    window.click("Add ~/Documents")
    window.click("Choose a folder")
    window.click("Documents")
    window.click("deeply")
    window.wait("return document.querySelector('#picker-path').value.includes('deeply')")
    seen += [window.run(NAMELESS), window.run(WIDE)]
    window.click("Use this folder")
    seen += [window.run(NAMELESS), window.run(WIDE)]
    window.click("Continue")
    window.title("This is what will change")
    seen += [window.run(NAMELESS), window.run(WIDE)]
    assert seen == [[], False] * 4

"""Drives VS Code in a browser nobody sees: starts one MCP server from VS Code's own list, and photographs its output.

Run by `test_vscode.py` with an interpreter that has Playwright: URL, browser, name of the server, file for the picture.
The page stays open until the file that `ANSWERS` names is there: without it VS Code runs no extension.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright  # type: ignore[import-not-found]

WAIT_MS, STEP_MS = 120_000, 200


def _chosen(page: Page, words: str) -> None:
    """Take the row of the open list that says so."""
    row = page.locator(".quick-input-list .monaco-list-row", has_text=words).first
    row.wait_for(timeout=WAIT_MS)
    row.click()


def main(url: str, browser: str, name: str, picture: str) -> None:
    """Start the server, wait until VS Code says what it found, and take the picture."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.locator(".monaco-workbench .explorer-viewlet").wait_for(timeout=WAIT_MS)
        page.keyboard.press("F1")
        page.locator(".quick-input-widget input").first.wait_for(timeout=WAIT_MS)
        page.keyboard.type("MCP: List Servers")
        _chosen(page, "MCP: List Servers")
        _chosen(page, name)
        _chosen(page, "Start Server")
        said = page.locator(".panel .view-line", has_text="Discovered").first
        try:
            said.wait_for(timeout=WAIT_MS)
            print("\n".join(page.locator(".panel .view-line").all_inner_texts()).replace("\xa0", " "))
            answers = Path(os.environ["ANSWERS"])
            for _ in range(WAIT_MS // STEP_MS):
                if answers.exists():
                    break
                page.wait_for_timeout(STEP_MS)
        finally:
            page.screenshot(path=picture)
            chromium.close()


if __name__ == "__main__":
    main(*sys.argv[1:5])

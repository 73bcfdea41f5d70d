"""A real browser that nobody sees: Chromium, driven over the W3C WebDriver protocol with the standard library."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DRIVER = shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
WAIT_S = 40.0
KEYS = {
    "Tab": "\ue004", "Enter": "\ue007", "Space": " ", "Escape": "\ue00c", "Backspace": "\ue003", "Shift": "\ue008",
    "Down": "\ue015", "Up": "\ue013", "End": "\ue010", "Home": "\ue011",
}  # fmt: skip


class Browser:
    """One window."""

    def __init__(self, driver: str, options: Mapping[str, Any]) -> None:
        self._driver = driver
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": options}})
        self._session = f"/session/{made['sessionId']}"

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._driver + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body returns in the page."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, *arguments: Any) -> Any:
        """The first true thing that a function body returns in the page."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if found := self.run(script, *arguments):
                return found
        shown = self.run("return document.body.innerText")
        raise AssertionError(f"never true: {script} {arguments}\n{shown}")

    def title(self, words: str) -> None:
        """Wait for the heading that says so."""
        found = "return [...document.querySelectorAll('h1')].some(h => h.offsetParent && h.textContent.includes(arguments[0]))"
        self.wait(found, words)

    def click(self, words: str) -> None:
        """Press the visible button or label that says so, as a mouse would."""
        find = """
            const from = document.querySelector("dialog[open]") || document;
            const all = [...from.querySelectorAll("button, label, summary")].filter(n => n.offsetParent && !n.disabled);
            return all.find(n => (n.getAttribute("aria-label") || n.innerText).trim().includes(arguments[0])) || null"""
        element = self.wait(find, words)
        self._ask("POST", f"{self._session}/element/{element[ELEMENT]}/click", {})

    def press(self, *names: str) -> None:
        """Press keys, one after the other; other words are typed."""
        actions = []
        for name in names:
            held, _, last = name.rpartition("+")
            typed = [KEYS[last]] if last in KEYS else list(last)
            down = [{"type": "keyDown", "value": KEYS[held]}] if held else []
            up = [{"type": "keyUp", "value": KEYS[held]}] if held else []
            strokes = [{"type": kind, "value": key} for key in typed for kind in ("keyDown", "keyUp")]
            actions += [*down, *strokes, *up]
        self._ask("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    @property
    def focus(self) -> str:
        """What the focused element says of itself to somebody who does not see it."""
        said = """
            const n = document.activeElement;
            const label = n.labels && n.labels.length ? n.labels[0].innerText : "";
            return n.getAttribute("aria-label") || label || n.innerText || n.id || n.tagName"""
        return re.sub(r"\s+", " ", str(self.run(said))).strip()

    def tab_to(self, words: str) -> None:
        """Move the focus with the Tab key until it is on what says so."""
        for _ in range(60):
            if words in self.focus:
                return
            self.press("Tab")
        raise AssertionError(f"Tab never comes to {words!r}; it is at {self.focus!r}")

    def dark(self, scheme: str) -> None:
        """Prefer that colour scheme: `dark` or `light`."""
        feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.emulate("Emulation.setEmulatedMedia", feature)

    def emulate(self, command: str, what: Mapping[str, Any]) -> None:
        """Pretend to be another kind of screen, in the browser's own words."""
        self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": what})

    def photograph(self, path: Path) -> None:
        """A picture of the whole page."""
        height = self.run("return Math.max(700, document.documentElement.scrollHeight)")
        self._ask("POST", f"{self._session}/window/rect", {"width": 900, "height": height + 20})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot")))

    @property
    def text(self) -> str:
        """What the page shows."""
        return str(self.run("return document.body.innerText"))

    @property
    def complaints(self) -> list[str]:
        """What the browser itself had to complain about."""
        return [entry["message"] for entry in self._ask("POST", f"{self._session}/se/log", {"type": "browser"})]

    def close(self) -> None:
        """Close the window, as a person does."""
        self._ask("DELETE", f"{self._session}/window")

    def quit(self) -> None:
        """End the browser."""
        with contextlib.suppress(RuntimeError, OSError):
            self._ask("DELETE", self._session)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a home of its own."""
    assert DRIVER is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        env = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
        with subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
        ) as driver:
            assert driver.stdout is not None
            try:
                port = next(found[1] for line in driver.stdout if (found := re.search(r"on port (\d+)\.", line)))
                arguments = [
                    "--headless=new",
                    "--no-sandbox",
                    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--lang=en",
                ]
                arguments += [f"--user-data-dir={home}/profile", "--window-size=900,760", "--no-first-run"]
                options = {
                    "browserName": "chrome",
                    "goog:chromeOptions": {"args": arguments},
                    "goog:loggingPrefs": {"browser": "ALL"},
                }
                window = Browser(f"http://127.0.0.1:{port}", options)
                try:
                    yield window
                finally:
                    window.quit()
            finally:
                driver.terminate()

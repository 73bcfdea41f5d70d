"""Firefox that nobody sees, driven over its own remote protocol (Marionette): the same verbs as Chromium's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from setup.browser import WAIT_S, Browser

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
COMMANDS = {
    "POST /url": "Navigate", "POST /execute/sync": "ExecuteScript", "POST /actions": "PerformActions",
    "POST /window/rect": "SetWindowRect", "GET /screenshot": "TakeScreenshot", "DELETE /window": "CloseWindow",
}  # fmt: skip
QUIET = """\
user_pref("marionette.port", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.auto", false);
user_pref("browser.shell.checkDefaultBrowser", false);
"""


class Firefox(Browser):
    """One window of Firefox."""

    def __init__(self, port: int) -> None:
        self._session = ""
        self._line = socket.create_connection(("127.0.0.1", port), timeout=90)
        self._last = 0
        self._heard = b""
        self._message()  # its greeting
        self._told("NewSession", {"acceptInsecureCerts": False})

    def _message(self) -> Any:
        while (head := re.match(rb"(\d+):", self._heard)) is None or len(self._heard) < head.end() + int(head[1]):
            more = self._line.recv(1 << 16)
            if not more:
                raise RuntimeError("Firefox has gone")
            self._heard += more
        end = head.end() + int(head[1])
        body, self._heard = self._heard[head.end() : end], self._heard[end:]
        return json.loads(body)

    def _told(self, command: str, given: Mapping[str, Any]) -> Any:
        self._last += 1
        packed = json.dumps([0, self._last, f"WebDriver:{command}", given]).encode()
        self._line.sendall(b"%d:%s" % (len(packed), packed))
        _, _, fault, found = self._message()
        if fault:
            raise RuntimeError(fault["message"])
        return found.get("value", found) if isinstance(found, dict) else found

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if clicked := re.fullmatch(r"/element/(.+)/click", path):
            return self._told("ElementClick", {"id": clicked[1]})
        return self._told(COMMANDS[f"{method} {path}"], body or {})

    def quit(self) -> None:
        """Let go; the process is ended by whoever started it."""
        self._line.close()


@contextlib.contextmanager
def firefox() -> Iterator[Firefox]:
    """Firefox with a home and a profile of its own."""
    assert FIREFOX is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        profile = Path(home, "profile")
        profile.mkdir()
        (profile / "user.js").write_text(QUIET)
        env = {**os.environ, "HOME": home, "MOZ_HEADLESS": "1", "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
        words = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as child:
            try:
                window = _opened(profile)
                try:
                    yield window
                finally:
                    window.quit()
            finally:
                child.terminate()


def _opened(profile: Path) -> Firefox:
    """The window, once Firefox listens: it writes down where."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            return Firefox(int((profile / "MarionetteActivePort").read_text()))
        time.sleep(0.1)
    raise AssertionError("Firefox does not listen")

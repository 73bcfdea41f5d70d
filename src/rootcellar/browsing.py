"""The user's own browser: whether there is one that can show a page of ours, and opening it.

Not `webbrowser`: it also starts browsers inside the terminal, which run no scripts, and hides whether one came up.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

OPENERS = ("xdg-open", "x-www-browser", "gio", "firefox", "chromium", "google-chrome")
WSL_OPENERS = ("wslview",)
ENDS_S = 10.0  # an opener that fails does so at once; one that becomes the browser stays


def opened(url: str) -> bool:
    """Open the address in the browser; False where no browser can be shown, or none of those here came up."""
    if sys.platform == "win32":
        try:
            os.startfile(url)  # noqa: S606 - it takes no command line
        except OSError:
            return False
        return True
    if sys.platform == "darwin":
        # In a script on standard input: the address must not be in a list of processes.
        return _ran(["osascript"], f'open location "{url}"\n')
    return any(_ran(words, "") for words in commands(url, os.environ))


def opened_file(path: str) -> bool:
    """Open a file with the application it belongs to; False where none came up."""
    if sys.platform == "darwin":
        return _ran(["open", path], "")
    return opened(path)


def commands(url: str, env: Mapping[str, str]) -> list[list[str]]:
    """The command lines to try on Linux, the user's own choice first; none without a display."""
    chosen = [word for word in env.get("BROWSER", "").split(os.pathsep) if word]
    found = [_with(url, word.split()) for word in chosen]
    if env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"):
        found += [[name, "open", url] if name == "gio" else [name, url] for name in OPENERS]
    if env.get("WSL_DISTRO_NAME"):
        found += [[name, url] for name in WSL_OPENERS]
    return [words for words in found if shutil.which(words[0], path=env.get("PATH"))]


def _with(url: str, words: list[str]) -> list[str]:
    return [word.replace("%s", url) for word in words] if any("%s" in word for word in words) else [*words, url]


def _ran(words: list[str], script: str) -> bool:
    """Whether the command came up: it ended well, or it is still there."""
    try:
        child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:
        return False
    try:
        child.communicate(script.encode(), timeout=ENDS_S)
    except subprocess.TimeoutExpired:
        child.returncode = 0  # it has become the browser: nobody waits for it, and nobody is warned of that
        return True
    return child.returncode == 0

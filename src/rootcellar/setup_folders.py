"""The folder picker of the Setup page: what one folder holds, and why a folder may not be granted.

It shows names only, of folders only, to the person whose folders they are.
"""

from __future__ import annotations

import contextlib
import os
import string
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rootcellar import limits
from rootcellar.confine.system import why_not
from rootcellar.errors import BadArgument, Denied, NotFound
from rootcellar.hosts.host import Launch, check_launch


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on the page: its path, the name to show, and why it may not be granted, or ""."""

    path: str
    name: str
    why_not: str = ""


def listing(path: str, *, hidden: bool) -> dict[str, Any]:
    """One folder as the picker shows it: the way to it, and the folders in it by name."""
    whole = _whole(path)
    if whole == "":
        return {"path": "", "why_not": "choose a folder in it", "trail": [], "folders": _packed(_drives()), "cut": 0}
    try:
        found = sorted(_inside(whole, hidden=hidden), key=lambda folder: folder.name.casefold())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFound(f"`{path}` is not a folder", "choose another") from None
    except OSError as error:
        raise Denied(f"`{path}` cannot be opened: {error.strerror}", "choose another") from None
    shown, cut = found[: limits.PICKER_FOLDERS_MAX], max(0, len(found) - limits.PICKER_FOLDERS_MAX)
    refused = refusal(whole)
    return {"path": whole, "why_not": refused, "trail": _packed(_trail(whole)), "folders": _packed(shown), "cut": cut}


def refusal(path: str) -> str:
    """Why an existing folder may not be granted, in a few words; "" where it may."""
    if why := why_not(path):
        return why
    try:
        check_launch(Launch("x", (path,)))
    except BadArgument as refused:
        return refused.message.partition("` ")[2] or refused.message
    return ""


def _whole(path: str) -> str:
    """The absolute path that was meant; "" for the list of drives, where there are drives."""
    if not path and os.name == "nt":
        return ""
    return os.path.abspath(os.path.expanduser(path or os.sep))


def _inside(path: str, *, hidden: bool) -> Iterator[Folder]:
    with os.scandir(path) as entries:
        for entry in entries:
            if not hidden and entry.name.startswith("."):
                continue
            with contextlib.suppress(OSError):  # a link that leads nowhere
                if entry.is_dir():
                    yield Folder(entry.path, entry.name, refusal(entry.path))


def _trail(path: str) -> list[Folder]:
    """The folders on the way, the outermost first."""
    found = [path]
    while (parent := os.path.dirname(found[-1])) != found[-1]:
        found.append(parent)
    names = [Folder(step, os.path.basename(step) or step) for step in reversed(found)]
    return [Folder("", "This computer"), *names] if os.name == "nt" else names


def _drives() -> list[Folder]:
    return [Folder(f"{letter}:\\", f"{letter}:") for letter in string.ascii_uppercase if os.path.isdir(f"{letter}:\\")]


def _packed(folders: list[Folder]) -> list[dict[str, str]]:
    return [asdict(folder) for folder in folders]

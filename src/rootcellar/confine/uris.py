"""From what a client calls a root to a path, or to the reason why it is none. Pure: no file is touched.

Clients send `file:` URIs as RFC 8089 has them, and also bare paths (Cursor), `file://localhost/`, drive letters
with an escaped or old-style colon, and things that are no directory at all. A root is what the user picked, so
whatever nobody picks by hand (`..`, an escaped slash, NUL, another machine) is refused instead of interpreted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_to_bytes


class System(Enum):
    """Whose paths: the rules differ, and every one of them is tested everywhere."""

    POSIX = "posix"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class NoPath:
    """Why a root names no directory of this machine."""

    reason: str


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: `C:` is a drive
_DRIVE = re.compile(r"/*([A-Za-z])[:|](?=[/\\]|$)")
_SLASHES = re.compile(rb"%(?:2[fF]|5[cC])")


def path_of(offered: str, system: System) -> str | NoPath:
    """The absolute path that a root's URI (or bare path) names; undecodable bytes as surrogate escapes."""
    if not offered.strip():
        return NoPath("it is empty")
    if system is System.WINDOWS and re.match(r"[A-Za-z]:[/\\]|\\\\|//", offered):
        return _windows(offered)
    if not _SCHEME.match(offered):
        return _bare(offered, system)
    scheme, _, rest = offered.partition(":")
    if scheme.lower() != "file":
        return NoPath(f"`{scheme.lower()}:` is not a place on this machine; only `file:` roots are")
    return _file(rest, system)


def _bare(offered: str, system: System) -> str | NoPath:
    """A path without a scheme, taken as it is."""
    if "\0" in offered:
        return NoPath("it holds a NUL")
    if system is System.WINDOWS:
        return NoPath("it is not an absolute path")
    if not offered.startswith("/"):
        return NoPath("it is not an absolute path")
    return NoPath("it holds `..`") if ".." in offered.split("/") else offered


def _file(rest: str, system: System) -> str | NoPath:
    """What follows `file:`; decoded exactly once."""
    host = ""
    if rest.startswith("//"):
        host, slash, tail = rest[2:].partition("/")
        rest = slash + tail
    if system is System.WINDOWS and _DRIVE.match(host + "/"):
        host, rest = "", f"/{host}{rest}"
    raw = rest.encode("utf-8", "surrogatepass")
    if (_SLASHES if system is System.WINDOWS else re.compile(rb"%2[fF]")).search(raw):
        return NoPath("it holds an escaped slash")
    decoded = unquote_to_bytes(raw)
    if b"\0" in decoded:
        return NoPath("it holds a NUL")
    if host and host.lower() != "localhost":
        return NoPath(f"it is on another machine, `{host}`")
    path = decoded.decode("utf-8", "surrogateescape")
    if system is System.WINDOWS:
        return _windows(path)
    if not path.startswith("/"):
        return NoPath("it is not an absolute path")
    return NoPath("it holds `..`") if ".." in path.split("/") else path


def _windows(path: str) -> str | NoPath:
    """A drive path with backslashes; network shares and device namespaces are not roots."""
    path = path.replace("/", "\\")
    if path.startswith("\\\\") and not _DRIVE.match(path.lstrip("\\")):
        return NoPath("it is a network share or a device, not a folder of this machine")
    drive = _DRIVE.match(path.replace("\\", "/"))
    if drive is None:
        return NoPath("it has no drive letter")
    tail = path[drive.end() :]
    if ".." in tail.split("\\"):
        return NoPath("it holds `..`")
    if "\0" in tail:
        return NoPath("it holds a NUL")
    return f"{drive.group(1).upper()}:{tail or chr(92)}"

"""Where this user's session bus listens, also when the host that started us left `DBUS_SESSION_BUS_ADDRESS` out.

Threats: an address that leads to another user's socket, which would be given our secrets; a stale address. A place
counts only if somebody listens there, and that somebody is this user (the kernel says who, not the file system).
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

VARIABLE: Final = "DBUS_SESSION_BUS_ADDRESS"
_CONNECT_S: Final = 1.0
_ESCAPED: Final = re.compile("%([0-9A-Fa-f]{2})")
_UNSAFE: Final = re.compile(r"[^-0-9A-Za-z_/.\\*]")
_KEPT_MAX: Final = 20


def candidates(env: Mapping[str, str], user: int, home: str) -> Iterator[str]:
    """The addresses worth trying, the likeliest first: what we were told, systemd's place, what `dbus-launch` kept."""
    yield from (address for address in env.get(VARIABLE, "").split(";") if address)
    for folder in dict.fromkeys(filter(None, (env.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"))):
        yield _spelled(f"{folder}/bus")
    with suppress(OSError):
        for kept in sorted(Path(home, ".dbus", "session-bus").iterdir())[:_KEPT_MAX]:
            for line in kept.read_text("utf-8", "replace").splitlines():
                key, _, value = line.partition("=")
                if key == VARIABLE:
                    yield from value.strip("'\"").split(";")


def _spelled(path: str) -> str:
    """A path as an address spells it."""
    return "unix:path=" + _UNSAFE.sub(lambda odd: "".join(f"%{byte:02x}" for byte in os.fsencode(odd[0])), path)


def socket_of(address: str) -> str | None:
    """The socket an address names, as `connect` takes it; None for what is not a Unix socket."""
    transport, _, rest = address.partition(":")
    if transport != "unix":
        return None
    told = dict(part.partition("=")[::2] for part in rest.split(","))
    if "path" in told:
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), told["path"])
    if "abstract" in told:
        return "\0" + _ESCAPED.sub(lambda found: chr(int(found[1], 16)), told["abstract"])
    return None


def is_ours(address: str, user: int) -> bool:
    """Whether this user's own bus listens there."""
    place = socket_of(address)
    if place is None or sys.platform == "win32":
        return False
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_S)
        probe.connect(place)
        if not hasattr(socket, "SO_PEERCRED"):
            return True
        told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", told)[1]) == user
    return False


def find(env: Mapping[str, str], user: int, home: str) -> str | None:
    """The address of this user's session bus, or None."""
    return next((address for address in dict.fromkeys(candidates(env, user, home)) if is_ours(address, user)), None)

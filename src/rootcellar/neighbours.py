"""Who is at the other end of a loopback connection: every user of a machine can connect to every port of it."""

from __future__ import annotations

import os
import socket
import sys

OWNER_LOOKS = 5
OWNER, ESTABLISHED = 7, "01"  # a column of /proc/net/tcp, and what its fourth says of a connection in use


def is_ours(client: tuple[str, int], server_port: int) -> bool:
    """Whether the other end of a loopback connection is a program of this user (or root's); Linux can tell.

    Elsewhere, and where `/proc` is not there, the token alone decides. Only an established connection has an owner:
    of one that was closed meanwhile the kernel says 0. Rows are skipped while others come and go: it is read again.
    """
    if not sys.platform.startswith("linux"):
        return True
    for _ in range(OWNER_LOOKS):
        try:
            owner = _owner(client, server_port)
        except OSError:
            return True
        if owner is not None:
            return owner in {0, os.getuid()}
    return False


def _owner(client: tuple[str, int], server_port: int) -> int | None:
    """The user id of the program at the other end, as far as the kernel's tables show it now."""
    address = int.from_bytes(socket.inet_aton(client[0]), sys.byteorder)
    there, here = f"{address:08X}:{client[1]:04X}", f":{server_port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):  # an IPv6 socket may speak IPv4
        with open(table, encoding="ascii") as rows:
            for row in rows:
                words = row.split()
                if words[1].endswith(there) and words[2].endswith(here) and words[3] == ESTABLISHED:
                    return int(words[OWNER])
    return None

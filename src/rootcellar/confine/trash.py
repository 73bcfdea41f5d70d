"""Deleting puts a thing into the system's trash, from where the user can take it back.

Threats: the name is changed to another file, or its directory moved out of the root, while we work; a trash directory
that somebody else prepared (a link, another owner); a kill in the middle; and a pool whose threads, given the trash,
could reach everything the user ever threw away.

Algorithm on Linux (freedesktop.org Trash specification 1.0), by handles only: find the trash of the file's own mount
(the home trash, else `.Trash/$uid` or `.Trash-$uid` at the top of the mount), make the `.trashinfo` file with O_EXCL,
which takes the name there, then `renameat2(RENAME_NOREPLACE)` from the file's directory handle into `files/`, then look
whether it is the file that was meant; if not, a second errand puts it back. A kill in between leaves at most an info
file without a file, which every desktop ignores. Where no trash can be had on that mount the thing is copied to the
home trash and the original removed, name by name, only where it still is what was copied.

The renaming thread is an errand (`pool.errand`): it is held to the roots and the right to *receive* in this one trash,
so neither it nor any other call can read, change or empty what lies there, and a directory that was moved out of the
root in the meantime is refused by the kernel. On macOS and Windows the system's own call takes a path: it is given one
only after the file behind it was found to be the one meant, and the name is looked at again afterwards.
"""

from __future__ import annotations

import os
import sys

from rootcellar.confine._doomed import AGAIN, Cancel, Doomed, Target, Told, Trashed, Wanted
from rootcellar.confine._open import Backend, Stat
from rootcellar.errors import Exists, Failed, Stale

if sys.platform == "linux":  # here, not when it is needed: a restricted thread cannot import
    from rootcellar.confine import _trash_back, _trash_linux

__all__ = ["Cancel", "Doomed", "Target", "Told", "Trashed", "Wanted", "send", "take_back"]


def send(backend: Backend, doomed: Doomed, cancel: Cancel) -> Trashed:
    """Put it into the trash and say where; Stale if the name has become another file, which then stays."""
    if sys.platform == "linux":
        return _trash_linux.send(backend, doomed, cancel)
    return _send_by_path(backend, doomed)


def take_back(backend: Backend, target: Target, wanted: Wanted, told: Told, cancel: Cancel) -> Stat:
    """Take a thing out of the trash and give it a free name; NotFound if it is not there any more."""
    if sys.platform == "linux":
        return _trash_back.take_back(backend, target, wanted, told, cancel)
    raise Failed(f"`{target.shown}` lies in the system's trash", "take it back there: only the system knows how")


def _send_by_path(backend: Backend, doomed: Doomed) -> Trashed:
    """Give the system's own call a path, between two looks at what is there."""
    from send2trash import send2trash  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if _identity_at(backend, doomed.path) != doomed.expected.identity:
        raise Stale(f"`{doomed.name}` is not where it was", AGAIN)
    send2trash(doomed.path)
    try:
        left = backend.lstat(doomed.directory, doomed.name)
    except OSError:
        return Trashed("the Recycle Bin" if sys.platform == "win32" else "the Trash", doomed.name)
    if left.identity == doomed.expected.identity:
        raise Failed(f"`{doomed.name}` could not be put into the trash", AGAIN)
    raise Exists(f"`{doomed.name}` was put into the trash, and something new has its name", AGAIN)


def _identity_at(backend: Backend, path: str) -> tuple[int, int] | None:
    """Which file the path names, seen through the backend: systems number files in more than one way."""
    above, name = os.path.split(path)
    try:
        directory = backend.open_root(above)
    except OSError:
        return None
    try:
        return backend.lstat(directory, name).identity
    except OSError:
        return None
    finally:
        backend.close(directory)

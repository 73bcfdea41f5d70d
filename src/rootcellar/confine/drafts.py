r"""What a killed process can leave: private names, and rewrites in place that were not finished.

Every private name is `.rootcellar-<process>-<random>`; no entry can have, list or open such a name. The first write of
a process in a directory removes those whose process is gone and that nobody has touched for a minute.

A rewrite in place (only where a new file could not get the old one's owner or attributes) goes: the whole new
content, after one line that says which file it is for, in a draft, durable; the draft gets the private name
`.rootcellar-redo-<process>-<random>`, durable; bytes beyond the old end are written first (a full disk shows here, and
is undone), then the rest, durable; the private name goes. After a crash the file may be torn, and the redo holds all of
it: the next write in the directory finds it and finishes the work, if the file is still the same inode.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from rootcellar.confine._open import DRAFT_PREFIX, Backend, Displaced, Draft, Kind, LinkFound, OddFile, Stat, shut
from rootcellar.confine.names import shown
from rootcellar.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.confine.resolve import Place
    from rootcellar.confine.witness import Ticket

_REDO: Final = f"{DRAFT_PREFIX}redo-"
_CHUNK: Final = 1 << 20
_HEADER_MAX: Final = 4_096
_LOOKED_AT_MAX: Final = 4_096  # directories whose leftovers this process has looked for
_NAMES_MAX: Final = 50_000  # a directory with more names is not searched
QUIET_S: float = 60.0  # a draft untouched for so long has no writer, whatever the process ids say

_looked_at: set[tuple[int, int]] = set()
_guard = threading.Lock()


def private_name() -> str:
    """A name that no entry can have."""
    return f"{DRAFT_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"


def rewrite(
    backend: Backend,
    place: Place,
    draft: Draft,
    old: Stat,
    fill: Callable[[int], object],
    told: Callable[[int], Ticket],
) -> Stat:
    """Change the file in place, so that a crash at any moment can be repaired from the redo."""
    if old.nlink > 1:
        raise Denied(
            f"`{shown(place.name)}` belongs to another user and has other names, which would change with it",
            "write to a copy of it",
        )
    directory = place.directory
    header = json.dumps({"name": place.name, "dev": old.dev, "ino": old.ino}).encode() + b"\n"
    os.write(draft.fd, header)
    fill(draft.fd)
    backend.sync_file(draft.fd)
    size = backend.fstat(draft.fd).size - len(header)
    target = backend.rewrite(directory, place.name, old)
    try:
        now = backend.fstat(target)
        if (now.size, now.mtime_ns) != (old.size, old.mtime_ns):
            raise Displaced
        ticket = told(len(header))
        try:
            stat = _rewritten(backend, directory, draft, target, (len(header), size, old.size))
        except BaseException:
            ticket.did_not()
            raise
        ticket.happened(stat)
        return stat
    finally:
        shut(target)


def _rewritten(backend: Backend, directory: int, draft: Draft, target: int, sizes: tuple[int, int, int]) -> Stat:
    """From a durable redo to the file; `sizes` are the redo's header, the new content and the old."""
    start, size, old = sizes
    redo = f"{_REDO}{os.getpid()}-{secrets.token_hex(8)}"
    backend.publish_new(directory, draft, redo)
    try:
        backend.sync_directory(directory)
        try:
            _copy(draft.fd, start + old, target, old, size - old)
        except OSError:
            os.ftruncate(target, old)
            raise
        _redo(backend, draft.fd, start, size, target)
    finally:
        backend.remove(directory, redo, Kind.FILE)
    return backend.fstat(target)


def _redo(backend: Backend, redo: int, start: int, size: int, target: int) -> None:
    _copy(redo, start, target, 0, size)
    os.ftruncate(target, size)
    backend.sync_file(target)


def _copy(source: int, start: int, target: int, at: int, count: int) -> None:
    os.lseek(source, start, os.SEEK_SET)
    os.lseek(target, at, os.SEEK_SET)
    while count > 0 and (part := os.read(source, min(count, _CHUNK))):
        view = memoryview(part)
        while view:
            view = view[os.write(target, view) :]
        count -= len(part)


def sweep(backend: Backend, directory: int) -> None:
    """Once for each directory: finish or remove what processes that are gone have left. Never an error."""
    with contextlib.suppress(OSError):
        identity = backend.lstat(directory, ".").identity
        with _guard:
            if identity in _looked_at:
                return
            if len(_looked_at) >= _LOOKED_AT_MAX:
                _looked_at.clear()
            _looked_at.add(identity)
        for count, (name, kind) in enumerate(backend.scan(directory)):
            if count >= _NAMES_MAX:
                return
            if name.startswith(DRAFT_PREFIX):
                with contextlib.suppress(OSError, LinkFound, OddFile, Displaced):
                    _clear(backend, directory, name, kind)


def _clear(backend: Backend, directory: int, name: str, kind: Kind) -> None:
    left = backend.lstat(directory, name)
    if time.time() - max(left.mtime_ns, left.ctime_ns) / 1e9 < QUIET_S or not _is_abandoned(name):
        return
    if name.startswith(_REDO) and kind is Kind.FILE:
        _finish(backend, directory, name)
    if kind is Kind.DIRECTORY:
        from rootcellar.confine.removal import remove_tree

        remove_tree(backend, directory, name)
    else:
        backend.remove(directory, name, kind)


def _is_abandoned(name: str) -> bool:
    """Whether the process in the name is gone. Windows removes drafts itself and has no signal 0: never there."""
    digits = name.removeprefix(_REDO).removeprefix(DRAFT_PREFIX).partition("-")[0]
    if sys.platform == "win32" or not digits.isdecimal() or int(digits) == os.getpid():
        return False
    try:
        os.kill(int(digits), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _finish(backend: Backend, directory: int, name: str) -> None:
    """Repair a torn rewrite; the redo is trusted only about a file with the very identity it was made for."""
    redo = backend.open_file(directory, name)
    try:
        header = os.read(redo, _HEADER_MAX).partition(b"\n")[0]
        said: dict[str, Any] = json.loads(header)
        wanted = said["name"]
        if not isinstance(wanted, str) or backend.split(wanted) != ("", [wanted]) or wanted in (".", ".."):
            return  # not one of ours: a name only ever means a file beside the redo
        found = backend.lstat(directory, wanted)
        if found.kind is not Kind.FILE or found.identity != (said["dev"], said["ino"]):
            return
        target = backend.rewrite(directory, wanted, found)
        try:
            _redo(backend, redo, len(header) + 1, backend.fstat(redo).size - len(header) - 1, target)
        finally:
            shut(target)
    except (ValueError, KeyError, TypeError, FileNotFoundError):
        return
    finally:
        shut(redo)

"""One change at a time for each file: a lock by where the file's name is, which stays the same when its inode changes.

The key is the directory's identity and the folded name: names that some disk might take for one file share a turn.
Other processes are not held back; `publish_over` notices what they did and the write starts again.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rootcellar.confine.names import folded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rootcellar.confine._open import Backend
    from rootcellar.confine.resolve import Place

_Key = tuple[int, int, str]
_guard = threading.Lock()
_turns: dict[_Key, tuple[threading.Lock, int]] = {}  # the lock, and how many hold or await it


@contextmanager
def turn(backend: Backend, *places: Place) -> Iterator[None]:
    """Hold these names' turns; several are taken in one order, so two moves never wait for each other."""
    keys = {(*backend.lstat(place.directory, ".").identity, folded(place.name).casefold()) for place in places}
    with ExitStack() as held:
        for key in sorted(keys):
            held.enter_context(_turn(key))
        yield


@contextmanager
def _turn(key: _Key) -> Iterator[None]:
    with _guard:
        lock, users = _turns.get(key, (threading.Lock(), 0))
        _turns[key] = (lock, users + 1)
    try:
        with lock:
            yield
    finally:
        with _guard:
            users = _turns[key][1] - 1
            if users:
                _turns[key] = (lock, users)
            else:
                del _turns[key]

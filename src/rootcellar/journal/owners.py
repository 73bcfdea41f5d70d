"""Which servers live: each holds a lock on a file of its own for as long as its process lives, and no longer."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Final

from rootcellar.locks import take

_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Owners:
    """The directory of locks; `mine` names this process's part in the store."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.mine = f"{os.getpid():x}{secrets.token_hex(4)}"
        self._held = os.open(self._path(self.mine), _FLAGS, 0o600)
        if not take(self._held):
            raise OSError(11, "a new lock is taken")

    def _path(self, owner: str) -> str:
        return os.path.join(self._directory, owner)

    def dead(self, owner: str) -> int | None:
        """Take over from a process that is gone: its lock, to be given to `bury`; None while it lives."""
        if owner == self.mine:
            return None
        fd = os.open(self._path(owner), _FLAGS, 0o600)
        if take(fd):
            return fd
        os.close(fd)
        return None

    def bury(self, owner: str, lock: int) -> None:
        """Forget a process that is gone, and give its lock back."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(owner))
        os.close(lock)

    def names(self) -> list[str]:
        """Everybody who has ever opened the store and was not buried yet."""
        return os.listdir(self._directory)

    def close(self) -> None:
        """Live no more, with nothing left to settle."""
        self.bury(self.mine, self._held)

    def leave(self) -> None:
        """Live no more; whoever comes next settles what is left."""
        os.close(self._held)

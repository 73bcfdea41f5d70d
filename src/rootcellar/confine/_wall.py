"""What a thread is held to: the roots in force, and the few files a child process cannot do without."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final, Protocol

from rootcellar.confine import _landlock
from rootcellar.confine._landlock import NULL_DEVICE, Allowance, Support, support
from rootcellar.errors import Busy, Failed, Refusal
from rootcellar.policy import Access

_SCARCE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
_RENAMES_ABI: Final = 2  # the first ABI that can allow a rename between two directories


class Held(Protocol):
    """A root as the pool sees it: an open directory and what it admits."""

    @property
    def handle(self) -> int:
        """The open directory."""

    @property
    def access(self) -> Access:
        """What may be done below it."""


def wall(roots: Sequence[Held] = ()) -> Support:
    """What will hold threads with these roots; for `doctor` too."""
    found = support()
    if 0 < found.abi < _RENAMES_ABI and any(root.access is Access.READ_WRITE for root in roots):
        return Support(0, "this kernel's Landlock forbids every rename between directories (Linux 5.19 mends it)")
    return found


def allow(allowances: list[Allowance], roots: Sequence[Held], programs: Sequence[str]) -> None:
    """Open what a pool may touch, each with its purpose; the handles are ours, so no inode number is used again."""
    for root in roots:
        rights = _landlock.WRITE if root.access is Access.READ_WRITE else _landlock.READ
        allowances.append(Allowance(os.dup(root.handle), rights, "a root"))
    for path, needed, purpose in (NULL_DEVICE, *(need for program in programs for need in _landlock.needs_of(program))):
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # without it the program may not run; nothing is the wider for it
        allowances.append(Allowance(fd, needed, purpose))


def prove() -> None:
    """Raise OSError if this thread can still list the whole file system: a wall that does not hold is none."""
    try:
        fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    os.close(fd)
    raise OSError(errno.ENOTRECOVERABLE, "the kernel took the restriction and does not enforce it")


def no_wall(error: OSError) -> Refusal:
    """Say that the call was not made, because it could not be made safely."""
    if error.errno in _SCARCE:
        return Busy("the call was not started: no file descriptors, threads or memory left", "Try again in a moment")
    return Failed(f"the call was not started: its thread could not be held to the roots ({error.strerror})")

"""A thing moves to a trash on another disk: copied whole by handles, then removed only where it is what was copied."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rootcellar.confine._open import Backend, Kind, LinkFound, OddFile, Stat
from rootcellar.confine.attributes import Attributes, like_owner
from rootcellar.errors import TooLarge, WrongKind

_LEVELS_MAX: Final = 200  # two handles a level
_CHUNK: Final = 4 << 20
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Spot(NamedTuple):
    """A name in an open directory."""

    directory: int
    name: str


@dataclass(frozen=True, slots=True)
class Copied:
    """One name as it was copied, and what lay below it."""

    stat: Stat
    below: dict[str, Copied] = field(default_factory=dict)


def copy_tree(backend: Backend, source: Spot, target: Spot, expected: Stat, check: Callable[[], None]) -> Copied | None:
    """Copy to a name nobody else uses; None, with nothing left, if it is not what is expected or changes meanwhile."""
    done = False
    try:
        if backend.lstat(*source).identity != expected.identity:
            return None
        copied = _copy(backend, source, target, check, 0)
        done = _unchanged(backend.lstat(*source), copied.stat)
    except (LinkFound, OddFile):
        return None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return None
    else:
        return copied if done else None
    finally:
        if not done:
            _scrap(backend, target)


def remove_copied(backend: Backend, source: Spot, copied: Copied) -> bool:
    """Remove what still is as it was copied; False if something was left because it is not."""
    try:
        if not _unchanged(backend.lstat(*source), copied.stat):
            return False
        if copied.stat.kind is Kind.DIRECTORY:
            inside = backend.enter(*source)
            try:
                gone = [remove_copied(backend, Spot(inside, name), below) for name, below in copied.below.items()]
            finally:
                backend.close(inside)
            if not all(gone):
                return False
        backend.remove(*source, copied.stat.kind)
    except FileNotFoundError:
        return True
    except LinkFound:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _copy(backend: Backend, source: Spot, target: Spot, check: Callable[[], None], level: int) -> Copied:
    check()
    found = backend.lstat(*source)
    if found.kind is Kind.FILE:
        _copy_file(backend, source, target, check)
        return Copied(found)
    if found.kind is Kind.LINK:
        backend.make_link(*target, backend.read_link(*source))
        Attributes.of(found).wear_link(*target)
        return Copied(found)
    if found.kind is not Kind.DIRECTORY:
        raise WrongKind(f"`{source.name}` is a {found.kind.value}, which cannot go to the trash of another disk")
    if level >= _LEVELS_MAX:
        raise TooLarge(f"`{source.name}` lies too deep to go to the trash of another disk", "Delete its parts first")
    with contextlib.ExitStack() as opened:
        inside = backend.enter(*source)
        opened.callback(backend.close, inside)
        backend.make_directory(*target)
        made = backend.enter(*target)
        opened.callback(backend.close, made)
        names = [name for name, _ in backend.scan(inside)]
        below = {name: _copy(backend, Spot(inside, name), Spot(made, name), check, level + 1) for name in names}
        backend.like_directory(inside, made)
        return Copied(found, below)


def _copy_file(backend: Backend, source: Spot, target: Spot, check: Callable[[], None]) -> None:
    """Write under its own name, not as a nameless draft: this thread may not read in the trash."""
    reading = backend.open_file(*source)
    try:
        writing = os.open(target.name, _NEW_FILE, 0o600, dir_fd=target.directory)
        try:
            while backend.copy_some(reading, writing, _CHUNK):
                check()
            like_owner(reading, writing)
            backend.like(reading, writing)
            backend.sync_file(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _scrap(backend: Backend, target: Spot) -> None:
    """Remove a partial copy of ours."""
    with contextlib.suppress(OSError, LinkFound):
        kind = backend.lstat(*target).kind
        if kind is Kind.DIRECTORY:
            inside = backend.enter(*target)
            try:
                for name in [name for name, _ in backend.scan(inside)]:
                    _scrap(backend, Spot(inside, name))
            finally:
                backend.close(inside)
        backend.remove(*target, kind)


def _unchanged(found: Stat, was: Stat) -> bool:
    """Whether a file or link is byte for byte what was copied; a directory only has to be the same one."""
    if was.kind is Kind.DIRECTORY:
        return found.identity == was.identity
    return (found.identity, found.size, found.mtime_ns, found.ctime_ns) == (
        was.identity, was.size, was.mtime_ns, was.ctime_ns,
    )  # fmt: skip

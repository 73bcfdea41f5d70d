"""Removing names and whole trees for good, by handles; and what may leave its place at all.

Nothing that holds a root, or whose seals would be lost, is moved or removed. A removal after a copy takes only what
still is as it was copied: a file that changed or appeared meanwhile stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rootcellar.confine import names
from rootcellar.confine._open import Backend, Displaced, Kind, LinkFound, Stat, shut
from rootcellar.confine.resolve import Ending, Place, Trail
from rootcellar.confine.turns import turn
from rootcellar.confine.walk import Cancel, sealed_below
from rootcellar.confine.witness import UNWATCHED, Act, Step, watched
from rootcellar.errors import Denied, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rootcellar.confine.entry import Entry
    from rootcellar.confine.seals import Seals

Progress = Callable[[float, float | None, str], None]  # bytes done, bytes in all if known, the name at work

_TOLD = 3  # sealed names in a refusal


Known = dict[tuple[str, ...], Stat]  # what was copied, by its names below the start
Target = tuple["Seals", tuple[str, ...]]  # where something is to be moved: that root's seals, the real place in it


@dataclass(slots=True)
class Watch:
    """The caller beside a long piece of work."""

    cancel: Cancel | None = None
    progress: Progress | None = None
    done: int = 0

    def check(self) -> None:
        """Raise Cancelled once the request was taken back."""
        if self.cancel is not None:
            self.cancel.check()

    def add(self, count: int, total: int | None, name: str) -> None:
        """Some more bytes are done."""
        self.done += count
        self.check()
        if self.progress is not None:
            self.progress(float(self.done), total, name)


def remove(entry: Entry, watch: Watch) -> None:
    """Remove for good. A directory that holds something goes only where nobody keeps a record of it."""
    with removable(entry) as (place, stat), turn(entry.root.backend, place):
        backend = entry.root.backend
        if stat.kind is Kind.DIRECTORY and entry.witness is UNWATCHED:
            remove_tree(backend, place.directory, place.name, None, watch)
        else:
            with opened_old(backend, place, stat) as (fd, text):
                step = Step(Act.REMOVE, entry.at(place.parts), stat, old_fd=fd, link=text)
                with watched(step) as ticket:
                    still_there(backend, place, stat)
                    backend.remove(place.directory, place.name, stat.kind)
                    ticket.happened()
        backend.sync_directory(place.directory)


@contextmanager
def opened_old(backend: Backend, place: Place, stat: Stat | None) -> Iterator[tuple[int | None, str | None]]:
    """What is about to go, for its record: a file open for reading, a link's text. Stale if it is another by now."""
    if stat is None or stat.kind not in (Kind.FILE, Kind.LINK):
        yield None, None
        return
    if stat.kind is Kind.LINK:
        yield None, backend.read_link(place.directory, place.name)
        return
    fd = backend.open_file(place.directory, place.name)
    try:
        if backend.fstat(fd).identity != stat.identity:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        yield fd, None
    finally:
        shut(fd)


@contextmanager
def removable(entry: Entry, to: Target | None = None) -> Iterator[tuple[Place, Stat]]:
    """The place of something that may leave it: no root, and nothing sealed in it that would not be sealed at `to`."""
    with entry.find_to_change(Ending.ITSELF) as place:
        if place.stat is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if entry.root.holds_root(place.parts):
            raise Denied(f"`{names.clipped(str(entry))}` is a root, or holds one", "name something in it")
        if place.stat.kind is Kind.DIRECTORY:
            _check_seals(entry, place, to)
        yield place, place.stat


def _check_seals(entry: Entry, place: Place, to: Target | None) -> None:
    backend = entry.root.backend
    handle = backend.enter(place.directory, place.name)
    trail = Trail(backend, handle)
    try:
        held = sealed_below(entry.root.seals, entry, trail, place.parts)
        lost = [parts for parts in held if to is None or not to[0].hold_any((*to[1], *parts))]
    finally:
        trail.clear()
        backend.close(handle)
    if lost:
        told = ", ".join(f"`{'/'.join(map(names.shown, parts))}`" for parts in lost[:_TOLD])
        more = f" and {len(lost) - _TOLD} more" if len(lost) > _TOLD else ""
        raise Sealed(
            f"`{names.clipped(str(entry))}` holds sealed names, which stay where they are: {told}{more}",
            "move or delete its other parts one by one",
        )


def still_there(backend: Backend, place: Place, stat: Stat | None) -> None:
    """Stale unless what is about to go is still what was kept: taking the record took a while."""
    if stat is None or stat.kind is Kind.DIRECTORY:
        return
    now = backend.lstat(place.directory, place.name)
    if (now.identity, now.size, now.mtime_ns) != (stat.identity, stat.size, stat.mtime_ns):
        raise Displaced


def remove_tree(
    backend: Backend,
    directory: int,
    name: str,
    known: Known | None = None,
    watch: Watch | None = None,
) -> bool:
    """Remove a name and all below it; with `known`, only what still is as it was. False if something was left."""
    kind = backend.lstat(directory, name).kind
    if kind is not Kind.DIRECTORY:
        return _remove_leaf(backend, directory, (name, kind), (), known)
    handle = backend.enter(directory, name)
    trail = Trail(backend, handle)
    is_clean = True
    try:
        levels = [list(backend.scan(trail.top))]
        while levels:
            if watch is not None and known is None:
                watch.check()
            if not levels[-1]:
                levels.pop()
                if levels:
                    left = trail.pop()
                    is_clean = _remove_directory(backend, trail.top, left, known) and is_clean
                continue
            below, what = levels[-1].pop()
            if what is Kind.DIRECTORY:
                with contextlib.suppress(LinkFound, FileNotFoundError, NotADirectoryError):
                    trail.push(below)
                    levels.append(list(backend.scan(trail.top)))
            else:
                is_clean = _remove_leaf(backend, trail.top, (below, what), (*trail.names, below), known) and is_clean
    finally:
        trail.clear()
        backend.close(handle)
    return _remove_directory(backend, directory, name, known) and is_clean


def _remove_directory(backend: Backend, directory: int, name: str, known: Known | None) -> bool:
    try:
        backend.remove(directory, name, Kind.DIRECTORY)
    except OSError:
        if known is None:
            raise
        return False
    return True


def _remove_leaf(
    backend: Backend, directory: int, item: tuple[str, Kind], at: tuple[str, ...], known: Known | None
) -> bool:
    name, kind = item
    if known is not None:
        was, now = known.get(at), backend.lstat(directory, name)
        if was is None or (was.identity, was.size, was.mtime_ns) != (now.identity, now.size, now.mtime_ns):
            return False
    with contextlib.suppress(FileNotFoundError):
        backend.remove(directory, name, kind)
    return True

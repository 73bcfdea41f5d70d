"""Changing one file: after a kill or a full disk it holds the old bytes or the new ones, and nothing lies beside it.

A write makes a draft in the file's own directory (by handle), gives it the old file's owner, attributes, ACL and mode,
fills it, makes it durable, and puts it in the old one's place in one step, after and while checking that what it
displaces is what was read. One change at a time for each name in this process; another process's change makes the
write start again (`edit`, `append`) or, where the caller named a version, ends as Stale.

What a replaced file keeps: mode (never setuid or setgid), owner, group, user attributes, ACL, and links to it. What it
does not keep is its inode, on purpose: another hard link may lie outside every root, and would be written through.
Where the owner or the attributes cannot be given to a new file (somebody else's file), the inode is kept and the
bytes are rewritten in place, with a complete durable copy beside them until that is done; see `drafts.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.confine import drafts, names
from rootcellar.confine._open import Backend, Displaced, Draft, Kind, Stat, shut
from rootcellar.confine.refusals import wrong_kind
from rootcellar.confine.resolve import Ending
from rootcellar.confine.turns import turn
from rootcellar.confine.witness import Act, Step, Ticket, watched
from rootcellar.errors import BadName, Denied, Exists, Stale, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rootcellar.confine.entry import Entry
    from rootcellar.confine.resolve import Place
    from rootcellar.confine.walk import Cancel

_TRIES: Final = 32  # other processes that change the same file at the same time
_CHUNK: Final = 1 << 20

# From (the old file's descriptor, its description, the draft's descriptor): write the new content; how many first
# bytes of it are the old content, where that is known.
Fill = Callable[[int, Stat, int], int | None]
Finish = Callable[[int], None]  # what a draft gets after its bytes: times


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit made of a file."""

    stat: Stat
    before: bytes
    after: bytes


def version_of(data: bytes) -> str:
    """The version of these bytes: what `Entry.version` says of a file that holds them."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def version_at(fd: int, cancel: Cancel | None = None) -> str:
    """The version of an open file's bytes."""
    digest, at = hashlib.blake2b(digest_size=8), 0
    while part := read_at(fd, at, _CHUNK):
        digest.update(part)
        at += len(part)
        if cancel is not None:
            cancel.check()
    return digest.hexdigest()


def read_at(fd: int, offset: int, count: int) -> bytes:
    """One read at a place; on Windows, which has no `pread`, the descriptor is ours alone."""
    if hasattr(os, "pread"):
        return os.pread(fd, count, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)


def write_all(fd: int, data: bytes) -> None:
    """Write everything."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[: 16 * _CHUNK]) :]


def create(entry: Entry, data: bytes) -> Stat:
    """Make a file; Exists if the name is taken, also by a link that leads nowhere."""
    with entry.find_to_change(Ending.NEW) as place:
        if place.stat is not None or place.through_link:
            raise _taken(entry, place)
        with turn(entry.root.backend, place):
            return new_file(entry, place, lambda fd: write_all(fd, data))


def replace(entry: Entry, data: bytes, if_version: str | None) -> Stat:
    """Make `data` the content. A missing file is made, unless a version of it is named: then it is Stale."""

    def fill(_old: int, _stat: Stat, draft: int) -> None:
        write_all(draft, data)

    with entry.find_to_change(Ending.NEW) as place:
        return _change(entry, place, fill, data, if_version)


def rewrite(entry: Entry, fill: Fill, finish: Finish) -> Stat:
    """Replace what is there by what `fill` makes of it, with the times `finish` gives it; NotFound if nothing is."""
    with entry.find_to_change(Ending.FOLLOW) as place:
        return _change(entry, place, fill, None, None, finish)


def append(entry: Entry, data: bytes) -> Stat:
    """Add to the end, by a copy (shared blocks where the disk can) that takes the file's place."""
    backend = entry.root.backend

    def fill(old: int, stat: Stat, draft: int) -> int:
        left = stat.size
        while left > 0 and (copied := backend.copy_some(old, draft, left)):
            left -= copied
        write_all(draft, data)
        return stat.size - left

    with entry.find_to_change(Ending.NEW) as place:
        return _change(entry, place, fill, data, None)


def edit(entry: Entry, change: Callable[[bytes], bytes], if_version: str | None) -> Edited:
    """Replace the content by what `change` makes of it; equal bytes are not written again."""
    held: list[tuple[bytes, bytes]] = []

    def fill(old: int, stat: Stat, draft: int) -> None:
        if stat.size > limits.EDIT_BYTES_MAX:
            raise TooLarge(
                f"`{names.clipped(str(entry))}` has {stat.size} bytes, edits go up to {limits.EDIT_BYTES_MAX}",
                "edit a smaller file",
            )
        before = b"".join(_parts(old))
        after = change(before)
        held[:] = [(before, after)]
        if after == before:
            raise _UnchangedBytes
        write_all(draft, after)

    with entry.find_to_change(Ending.FOLLOW) as place:
        try:
            stat = _change(entry, place, fill, None, if_version)
        except _UnchangedBytes:
            stat = entry.root.backend.lstat(place.directory, place.name)
    return Edited(stat, *held[0])


class _UnchangedBytes(Exception):  # noqa: N818 - a signal inside `edit`
    """The edit changes nothing."""


def _parts(fd: int) -> Iterator[bytes]:
    at = 0
    while part := read_at(fd, at, _CHUNK):
        yield part
        at += len(part)


def make_directory(entry: Entry) -> Stat:
    """Make one directory."""
    with entry.find_to_change(Ending.NEW) as place:
        if place.stat is not None or place.through_link:
            raise _taken(entry, place)
        backend = entry.root.backend
        with watched(Step(Act.MAKE_DIRECTORY, entry.at(place.parts))) as ticket:
            backend.make_directory(place.directory, place.name)
            ticket.happened()
        backend.sync_directory(place.directory)
        return backend.lstat(place.directory, place.name)


def _taken(entry: Entry, place: Place) -> Exists:
    if place.stat is not None and place.name == ".":
        return Exists(f"`{entry}` is a root", "name something in it")
    what = "a link" if place.through_link else place.stat.kind.value if place.stat else "something"
    return Exists(
        f"`{names.clipped(str(entry))}` already exists ({what})", "choose another name, or replace what is there"
    )


def _change(
    entry: Entry,
    place: Place,
    fill: Fill,
    new: bytes | None,
    if_version: str | None,
    finish: Finish | None = None,
) -> Stat:
    """Replace the file, or make it with `new`, as often as others interfere."""
    if place.stat is not None and place.stat.kind is not Kind.FILE:
        raise wrong_kind(place.stat.kind, names.clipped(str(entry)))
    with turn(entry.root.backend, place):
        for _ in range(_TRIES):
            try:
                if place.stat is not None:
                    return _over(entry, place, fill, if_version, finish)
                if new is None or if_version is not None:
                    raise Stale(f"`{names.clipped(str(entry))}` is not there any more", "look again, then decide")
                return new_file(entry, place, lambda fd: write_all(fd, new))
            except (Displaced, FileExistsError, FileNotFoundError):
                place.stat = _now(entry.root.backend, place)
    raise Displaced


def _now(backend: Backend, place: Place) -> Stat | None:
    try:
        return backend.lstat(place.directory, place.name)
    except FileNotFoundError:
        if not backend.lstat(place.directory, ".").nlink:
            raise  # the directory itself is gone: there is nothing to try again
        return None


def new_file(entry: Entry, place: Place, fill: Callable[[int], None]) -> Stat:
    """Make a file of what `fill` writes, in one step; FileExistsError if the name is taken by then."""
    if place.as_directory:
        raise BadName(f"`{names.clipped(str(entry))}` names a directory", "leave the slash out to name a file")
    backend = entry.root.backend
    draft = backend.draft(place.directory)
    try:
        fill(draft.fd)
        backend.sync_file(draft.fd)
        stat = backend.fstat(draft.fd)
        with watched(Step(Act.CREATE, entry.at(place.parts), made=stat, new_fd=draft.fd)) as ticket:
            backend.publish_new(place.directory, draft, place.name)
            stat = _again(backend, draft.fd, stat)
            ticket.happened(stat)
    finally:
        backend.discard(place.directory, draft)
    _settle(backend, place)
    return stat


def _over(entry: Entry, place: Place, fill: Fill, if_version: str | None, finish: Finish | None) -> Stat:
    """One attempt to replace the file that is there."""
    backend = entry.root.backend
    with _opened(entry, place) as (source, old):
        if if_version is not None and (version := version_at(source)) != if_version:
            raise Stale(
                f"`{names.clipped(str(entry))}` is now version `{version}`, not `{names.clipped(if_version, 40)}`",
                "read it again, then repeat the change on what it holds now",
            )
        draft = backend.draft(place.directory)
        try:
            try:
                backend.keep(source, draft.fd)
            except PermissionError:
                stat = _in_place(entry, place, draft, (source, old), fill)
            else:
                appended_at = fill(source, old, draft.fd)
                if finish is not None:
                    finish(draft.fd)
                backend.sync_file(draft.fd)
                stat = backend.fstat(draft.fd)
                step = Step(
                    Act.REPLACE, entry.at(place.parts), old, old_fd=source, new_fd=draft.fd, made=stat,
                    appended_at=appended_at,
                )  # fmt: skip
                with watched(step) as ticket:
                    backend.publish_over(place.directory, draft, place.name, old)
                    stat = _again(backend, draft.fd, stat)
                    ticket.happened(stat)
        finally:
            backend.discard(place.directory, draft)
    _settle(backend, place)
    return stat


def _in_place(entry: Entry, place: Place, draft: Draft, source: tuple[int, Stat], fill: Fill) -> Stat:
    """Change somebody else's file, whose inode must stay."""
    fd, old = source

    def told(new_at: int) -> Ticket:
        step = Step(
            Act.REPLACE, entry.at(place.parts), old, old_fd=fd, new_fd=draft.fd, new_at=new_at, in_place=old
        )  # fmt: skip
        return entry.witness.about_to(step)

    return drafts.rewrite(entry.root.backend, place, draft, old, lambda new: fill(fd, old, new), told)


@contextmanager
def _opened(entry: Entry, place: Place) -> Iterator[tuple[int, Stat]]:
    """The file to replace, open for reading, if its owner allows changes at all."""
    backend = entry.root.backend
    source = backend.open_file(place.directory, place.name)
    try:
        old = backend.fstat(source)
        if not old.mode & 0o200:
            raise Denied(
                f"`{names.clipped(str(entry))}` is marked read-only", "ask the user to make it writable, or use a copy"
            )
        yield source, old
    finally:
        shut(source)


def _again(backend: Backend, fd: int, before: Stat) -> Stat:
    """Describe the published file; the change is made, so a failure to look is none of it."""
    try:
        return backend.fstat(fd)
    except OSError:
        return before


def _settle(backend: Backend, place: Place) -> None:
    """Make the new name durable, and remove what killed processes left in this directory."""
    backend.sync_directory(place.directory)
    drafts.sweep(backend, place.directory)


def survive_file_limits() -> None:
    """Let writes over RLIMIT_FSIZE fail with EFBIG instead of ending the process; for the main thread, at the start."""
    import signal

    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

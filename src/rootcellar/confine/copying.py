"""Copies, moves and removals of files and whole trees, by handles.

A copy is built under a private name in its destination's directory and gets its name in one step when it is whole; it
leaves out what is sealed and what is no file, directory or link, and says so. A link is copied as a link, and only if
its text leads inside from its new place. A move is one rename, which never replaces by accident; between disks it is a
copy, then the removal of exactly what was copied: a file that changed or appeared meanwhile stays. Nothing that holds a
root, or whose seals would be lost, is moved or removed.
"""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from rootcellar.confine import names
from rootcellar.confine._open import DRAFT_PREFIX, Backend, Draft, Kind, LinkFound, OddFile, Overwrite, Stat, shut
from rootcellar.confine.attributes import Attributes, like_owner
from rootcellar.confine.drafts import private_name
from rootcellar.confine.mark import Mark
from rootcellar.confine.refusals import outside, wrong_kind
from rootcellar.confine.removal import Known, Watch, opened_old, removable, remove_tree, still_there
from rootcellar.confine.resolve import Ending, Place, Trail
from rootcellar.confine.turns import turn
from rootcellar.confine.witness import Act, Step, watched
from rootcellar.errors import BadArgument, Denied, Exists, Failed, Sealed

if TYPE_CHECKING:
    from rootcellar.confine.entry import Entry

_CHUNK: Final = 4 << 20
_TOLD_MAX: Final = 20


@dataclass(slots=True)
class Copied:
    """What a copy holds, and what it left out."""

    files: int = 0
    directories: int = 0
    links: int = 0
    size: int = 0
    sealed: int = 0
    skipped: list[str] = field(default_factory=list)  # odd kinds and links that would lead outside; the first few
    skipped_count: int = 0

    def skip(self, name: str) -> None:
        """Leave something out and say so."""
        self.skipped_count += 1
        if len(self.skipped) < _TOLD_MAX:
            self.skipped.append(name)


def copy(source: Entry, to: Entry, overwrite: Overwrite, watch: Watch) -> Copied:
    """Copy; a link given as the source is followed. REPLACE replaces a file by a file, never a directory."""
    with source.find(Ending.FOLLOW) as here, to.find_to_change(Ending.NEW) as there:
        _check_target(here, there, to, overwrite)
        _check_apart(source, here, to, there)
        tree = _Tree(source, to, watch)
        with turn(to.root.backend, there):
            tree.copy(here, there, overwrite)
        return tree.copied


def move(source: Entry, to: Entry, overwrite: Overwrite, watch: Watch) -> None:
    """Move the name itself."""
    backend = source.root.backend
    with (
        to.find_to_change(Ending.NEW) as there,
        removable(source, (to.root.seals, there.parts)) as (here, _),
    ):
        _check_target(here, there, to, overwrite)
        _check_apart(source, here, to, there)
        try:
            with turn(backend, here, there), opened_old(backend, there, there.stat) as (fd, _):
                step = Step(
                    Act.MOVE, source.at(here.parts), here.stat, to.at(there.parts), there.stat, old_fd=fd
                )  # fmt: skip
                with watched(step) as ticket:
                    still_there(backend, there, there.stat)
                    backend.rename(here.directory, here.name, there.directory, there.name, overwrite)
                    ticket.happened()
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            backend.sync_directory(there.directory)
            backend.sync_directory(here.directory)
            return
        _move_across(source, here, to, there, overwrite, watch)


def _move_across(source: Entry, here: Place, to: Entry, there: Place, overwrite: Overwrite, watch: Watch) -> None:
    tree = _Tree(source, to, watch, known={})
    with turn(source.root.backend, here, there):
        tree.copy(here, there, overwrite)
        gone = remove_tree(source.root.backend, here.directory, here.name, tree.known, watch)
    if not gone:
        raise Failed(
            f"`{source}` was copied to `{to}`, and what changed meanwhile was left where it was", "compare the two"
        )


def _check_target(here: Place, there: Place, to: Entry, overwrite: Overwrite) -> None:
    """Whether the name to make may be made, before anything is done."""
    told = names.clipped(str(to))
    if there.through_link:
        raise Exists(f"`{told}` is a link", "name what it leads to, or another name")
    kind = here.stat.kind if here.stat else Kind.OTHER
    if there.stat is None:
        if there.as_directory and kind is not Kind.DIRECTORY:
            raise wrong_kind(kind, f"{told}/")
        return
    if there.stat.kind is Kind.DIRECTORY:
        raise Exists(f"`{told}` is a directory that exists", "name the new thing in it, such as `DIRECTORY/NAME`")
    if overwrite is Overwrite.REFUSE:
        raise Exists(f"`{told}` already exists", "choose another name, or say that it may be overwritten")
    if there.stat.kind is Kind.FILE and not there.stat.mode & 0o200:
        raise Denied(f"`{told}` is marked read-only", "ask the user to make it writable, or choose another name")
    if kind is Kind.DIRECTORY:
        raise Exists(f"`{told}` is a {there.stat.kind.value}; a directory does not replace it", "choose another name")


def _check_apart(source: Entry, here: Place, to: Entry, there: Place) -> None:
    """A thing is not copied or moved onto or into itself."""
    if here.stat is not None and there.stat is not None and here.stat.identity == there.stat.identity:
        raise BadArgument(f"`{source}` and `{to}` are the same file", "choose another destination")
    mine = _absolute(source, here)
    if here.stat is not None and here.stat.kind is Kind.DIRECTORY and _absolute(to, there)[: len(mine)] == mine:
        raise BadArgument(f"`{to}` lies inside `{source}`", "choose a destination outside it")


def _absolute(entry: Entry, place: Place) -> tuple[str, ...]:
    anchor, parts = entry.root.backend.split(entry.root.real)
    return (anchor, *parts, *place.parts)


class _Tree:
    """One copy at work."""

    def __init__(self, source: Entry, to: Entry, watch: Watch, known: Known | None = None) -> None:
        self.source, self.to, self.watch = source, to, watch
        self.backend: Backend = source.root.backend
        self.seals = source.root.seals
        self.copied = Copied()
        self.known = known  # of a move: what was copied, and as what; then everything must be copied, and durable
        self.is_lone = False
        self.mark = Mark()
        self.places: tuple[Place, Place] | None = None

    def _step(self, made: Stat, old_fd: int | None = None, new_fd: int | None = None) -> Step:
        """What is about to be real: the whole copy, under its name."""
        assert self.places is not None
        here, there = self.places
        act = Act.COPY if self.known is None else Act.MOVE
        return Step(
            act, self.source.at(here.parts), here.stat, self.to.at(there.parts), there.stat, old_fd=old_fd,
            new_fd=new_fd, made=made, tree=str(self.mark) if made.kind is Kind.DIRECTORY else None,
        )  # fmt: skip

    def copy(self, here: Place, there: Place, overwrite: Overwrite) -> None:
        """Copy a file, a link or a tree to its place in one step."""
        kind = here.stat.kind if here.stat else Kind.OTHER
        self.is_lone = kind is Kind.FILE
        self.places = (here, there)
        if kind is Kind.FILE:
            self._note(None, "", self._file(here.directory, here.name, there, overwrite))
        elif kind is Kind.LINK:
            self._lone_link(here, there, overwrite)
        elif kind is Kind.DIRECTORY:
            self._directory(here, there)
        else:
            raise OddFile(kind)
        self.backend.sync_directory(there.directory)

    def _lone_link(self, here: Place, there: Place, overwrite: Overwrite) -> None:
        """A link that moves to another disk."""
        target = self.backend.read_link(here.directory, here.name)
        if not self._leads_inside(target, len(there.parts) - 1):
            raise outside(names.clipped(str(self.source)))
        private = private_name()
        self.backend.make_link(there.directory, private, target)
        try:
            if here.stat is not None:
                Attributes.of(here.stat).wear_link(there.directory, private)
            made = self.backend.lstat(there.directory, private)
            with opened_old(self.backend, there, there.stat) as (fd, _), watched(self._step(made, fd)) as ticket:
                self.backend.rename(there.directory, private, there.directory, there.name, overwrite)
                ticket.happened()
        finally:
            self._scrap(there.directory, private)
        self._note(None, "", self.backend.lstat(here.directory, here.name))

    def _scrap(self, directory: int, private: str) -> None:
        """Remove what was not finished; nothing is there any more when it was."""
        with contextlib.suppress(OSError, LinkFound):
            remove_tree(self.backend, directory, private)

    def _directory(self, here: Place, there: Place) -> None:
        """Build the tree under a private name that only the user may enter, then name it."""
        backend, private = self.backend, private_name()
        with contextlib.ExitStack() as opened:
            handle = here.directory
            if here.name != ".":
                handle = backend.enter(here.directory, here.name)
                opened.callback(backend.close, handle)
            backend.make_directory(there.directory, private, 0o700)
            opened.callback(self._scrap, there.directory, private)
            with contextlib.ExitStack() as at_work:
                made = backend.enter(there.directory, private)
                at_work.callback(backend.close, made)
                source, target = Trail(backend, handle), Trail(backend, made)
                at_work.callback(source.clear)
                at_work.callback(target.clear)
                self._fill(source, target, here.parts, there.parts)
                backend.like_directory(handle, made)
            with watched(self._step(backend.lstat(there.directory, private))) as ticket:
                backend.rename(there.directory, private, there.directory, there.name, Overwrite.REFUSE)
                ticket.happened()
        self.copied.directories += 1

    def _fill(self, source: Trail, target: Trail, above: tuple[str, ...], new_above: tuple[str, ...]) -> None:
        """Copy everything below, level by level."""
        levels = [self._listed(source)]
        while levels:
            self.watch.check()
            if not levels[-1]:
                levels.pop()
                if levels:
                    self.backend.like_directory(source.top, target.top)
                    source.pop()
                    target.pop()
                continue
            name, kind = levels[-1].pop()
            if self._is_sealed(name, source, above, new_above):
                self._leave_sealed(source, name)
            elif kind is Kind.DIRECTORY:
                self.mark.add((*source.names, name), kind, 0, 0)
                source.push(name)
                self.backend.make_directory(target.top, name)
                target.push(name)
                levels.append(self._listed(source))
                self.copied.directories += 1
            elif kind is Kind.FILE:
                with contextlib.suppress(FileNotFoundError):
                    there = Place(target.top, name, (), None)
                    self._note(source, name, self._file(source.top, name, there, Overwrite.REFUSE))
            else:
                self._odd(source, target, name, kind, len(new_above) + len(source.names))

    def _is_sealed(self, name: str, source: Trail, above: tuple[str, ...], new_above: tuple[str, ...]) -> bool:
        """Whether a name is sealed where it is, or would be where it is to go."""
        here, there = self.seals, self.to.root.seals
        if not here.may_hold(name) and not there.may_hold(name):
            return False
        return here.hold((*above, *source.names), name) or there.hold((*new_above, *source.names), name)

    def _leave_sealed(self, source: Trail, name: str) -> None:
        """A copy leaves it out; a move, which would leave it alone behind, stops."""
        if self.known is not None:
            told = "/".join(map(names.shown, (*source.names, name)))
            raise Sealed(f"`{told}` is sealed and stays on its disk", "move the other parts one by one")
        self.copied.sealed += 1

    def _odd(self, source: Trail, target: Trail, name: str, kind: Kind, depth: int) -> None:
        """Copy a link that stays inside; whatever else is no file is left out, or stops a move."""
        text = self.backend.read_link(source.top, name) if kind is Kind.LINK else None
        if text is not None and self._leads_inside(text, depth):
            self.backend.make_link(target.top, name, text)
            stat = self.backend.lstat(source.top, name)
            Attributes.of(stat).wear_link(target.top, name)
            self._note(source, name, stat)
            self.copied.links += 1
            return
        told = "/".join(map(names.shown, (*source.names, name)))
        if self.known is None:
            self.copied.skip(told)
        elif text is None:
            raise wrong_kind(kind, told)
        else:
            raise outside(told)

    def _listed(self, source: Trail) -> list[tuple[str, Kind]]:
        found = [item for item in self.backend.scan(source.top) if not item[0].startswith(DRAFT_PREFIX)]
        return sorted(found, key=itemgetter(0), reverse=True)

    def _leads_inside(self, target: str, depth: int) -> bool:
        """Whether a link's text, read so deep in the destination's root, stays in it (links on its way apart)."""
        anchor, parts = self.backend.split(target)
        if anchor:
            return self.to.root.relative(target) is not None
        for part in parts:
            depth += -1 if part == ".." else part != "."
            if depth < 0:
                return False
        return True

    def _note(self, source: Trail | None, name: str, stat: Stat) -> None:
        """Remember what was copied, and as what; None: the start itself."""
        if source is not None:
            self.mark.add((*source.names, name), stat.kind, stat.size, stat.mtime_ns)
        if self.known is not None:
            self.known[(*source.names, name) if source else ()] = stat

    def _file(self, directory: int, name: str, there: Place, overwrite: Overwrite) -> Stat:
        """Copy one file to a draft, then name it; what it was copied from."""
        backend = self.backend
        source = backend.open_file(directory, name)
        try:
            stat = backend.fstat(source)
            draft = backend.draft(there.directory)
            try:
                if self.known is not None:
                    like_owner(source, draft.fd)
                backend.like(source, draft.fd)
                self._bytes(source, draft, stat.size, names.shown(name))
                backend.like(source, draft.fd)  # the times again, after the bytes
                if self.is_lone or self.known is not None:
                    backend.sync_file(draft.fd)
                if self.is_lone:
                    self._publish(draft, there, overwrite)
                else:
                    backend.publish_new(there.directory, draft, there.name)
            finally:
                backend.discard(there.directory, draft)
            self.copied.files += 1
            return stat
        finally:
            shut(source)

    def _publish(self, draft: Draft, there: Place, overwrite: Overwrite) -> None:
        """Give a lone file its name."""
        backend = self.backend
        made = backend.fstat(draft.fd)
        with (
            opened_old(backend, there, there.stat) as (fd, _),
            watched(self._step(made, fd, draft.fd)) as ticket,
        ):
            if there.stat is not None and overwrite is Overwrite.REPLACE:
                backend.publish_over(there.directory, draft, there.name, there.stat)
            else:
                backend.publish_new(there.directory, draft, there.name)
            ticket.happened()

    def _bytes(self, source: int, draft: Draft, size: int, name: str) -> None:
        while count := self.backend.copy_some(source, draft.fd, _CHUNK):
            self.copied.size += count
            self.watch.add(count, size if self.is_lone else None, name)

"""The store: what is recorded before a change is real, kept as long as the caps allow, shared by all servers of a user.

Threats: a kill between the record and the change; two servers at once; a full disk; threads behind the wall, which
can open nothing here. Algorithm: one thread of ours, started before any wall and never fenced, owns the index and opens
every file of the store; fenced threads hand it facts and get descriptors. `Draft.step` returns when the record and its
contents are on the disk, so the act that follows always has its undo. What a process that is gone has left begun is
settled by the next one that opens the store: each step is asked whether it happened, by what stands in its place now.
Owners' locks tell the living from the dead (`owners.py`); a settled change is whole or absent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from rootcellar import limits
from rootcellar.errors import BadArgument, Busy, Failed, NotFound, Refusal, TooLargeToKeep
from rootcellar.journal import contents as laying
from rootcellar.journal.changes import Caps, Change, Filter, Form, Kept, Page, Recorded, State
from rootcellar.journal.contents import Cancel, spoken
from rootcellar.journal.drafting import Draft, Slot, new_id
from rootcellar.journal.keeper import Keeper
from rootcellar.journal.shelf import CAPS, Settler, Shelf
from rootcellar.policy import Effect
from rootcellar.sqlite.ours import Durable
from rootcellar.telemetry import LOG

T = TypeVar("T")


class Store:
    """The journal of one user. Make it before any thread is fenced; nothing is opened until something is asked."""

    def __init__(
        self, directory: str, caps: Caps = CAPS, settlers: Mapping[str, Settler] | None = None, *, vfs: str = ""
    ) -> None:
        """`settlers` by the kinds' first word (`file`, `database`); without one a begun step counts as happened."""
        self.caps = caps
        self._directory, self._vfs = directory, vfs
        self._settlers = dict(settlers or {})
        self._shelf: Shelf | None = None
        self._left: list[Callable[[], object]] = []
        self._keeper = Keeper(self._put_away, self._pack)

    # Recording

    def begin(
        self, tool: str, arguments: str, host: str, effect: Effect, request_key: str = "", undoes: str = ""
    ) -> Draft:
        """Think of a change; nothing is recorded before its first step."""
        change = Change(
            new_id(), time.time(), tool, arguments, host, effect, "", State.BEGUN, (), undoes, request_key=request_key
        )
        return Draft(self, change)

    def keep(self, fd: int, size: int, cancel: Cancel | None = None, *, at: int = 0) -> Kept:
        """Copy `size` bytes of an open file, from `at`, into the store, durably. TooLargeToKeep, NoSpace, Stale."""
        self.check_size(size)
        with spoken():
            known, laid = laying.lay(fd, at, size, self._new, cancel)
        return Kept(known, size, laid)

    def keep_bytes(self, data: bytes, known: str = "") -> Kept:
        """The same for bytes in memory, whose hash may be known."""
        self.check_size(len(data))
        known = known or laying.digest_of(data)
        with spoken():
            return Kept(known, len(data), laying.lay_bytes(data, self._new))

    def slot(self) -> Slot:
        """An empty file of the store, to be filled by whoever holds its descriptor; use it in a `with` block."""
        with spoken():
            fd, name = self._new()
        return Slot(self, fd, name)

    def _new(self) -> tuple[int, str]:
        return self.ask(lambda: self.shelf().contents.new())  # noqa: PLW0108 - opened by the keeper, not here

    def check_size(self, size: int) -> None:
        """TooLargeToKeep for what no cap admits."""
        if size > min(self.caps.content_bytes_max, self.caps.bytes_max):
            raise TooLargeToKeep(
                f"what would be replaced has {size} bytes, and up to {self.caps.content_bytes_max} are kept for undo",
                "make a copy first, or have the user allow a change that cannot be undone",
            )

    def release(self, *kept: Kept) -> None:
        """Let go of contents that no step came to refer to."""
        files = [one.laid.file for one in kept if one.laid is not None and one.laid.file]
        if files:
            self.release_files(files)

    def release_files(self, files: Sequence[str]) -> None:
        """The same by the files' names."""
        self._keeper.tell(lambda: self.shelf().remove(files))

    # Looking

    def open(self, known: str, cancel: Cancel | None = None) -> int:
        """A descriptor that reads a kept content's plain bytes from their start; the caller closes it."""
        with spoken():
            source, form, target, data = self.ask(lambda: self.shelf().look_up(known))
            try:
                if data is not None:
                    content = laying.plain(data, form)
                    laying.write_all(target, content)
                    told = laying.digest_of(content)
                elif form is Form.PLAIN:
                    source, target = -1, source
                    told = laying.digest(target, 0, os.fstat(target).st_size, cancel)
                else:
                    told = laying.unpack(source, form, target, cancel)
                _prove(told, known)
                os.lseek(target, 0, os.SEEK_SET)
            except BaseException:
                os.close(target)
                raise
            finally:
                if source >= 0:
                    os.close(source)
            return target

    def read(self, known: str, limit: int) -> bytes:
        """A kept content's plain bytes, up to a limit."""
        fd = self.open(known)
        try:
            return laying.read_at(fd, 0, limit)
        finally:
            os.close(fd)

    def chunks(self, known: str) -> Iterator[bytes]:
        """The same piece by piece, however large."""
        fd, at = self.open(known), 0
        try:
            while part := laying.read_at(fd, at, limits.MIB):
                yield part
                at += len(part)
        finally:
            os.close(fd)

    def change(self, known: str) -> Change:
        """A change by its id; NotFound."""
        found = self.ask(lambda: self.shelf().index.change_of(known)) if self.is_there() else None
        if found is None:
            raise NotFound(f"`{known[:40]}` is no change in the journal", "`list_changes` shows them")
        return found

    def changes(self, asked: Filter, cursor: str = "", count: int = limits.JOURNAL_PAGE) -> Page:
        """Changes, the newest first, and the cursor that continues them."""
        if cursor and not cursor.isdecimal():
            raise BadArgument("`cursor` is not one of ours", "leave it out to begin at the newest change")
        if not self.is_there():
            return Page(())
        before = int(cursor) if cursor else 1 << 62
        found = self.ask(lambda: self.shelf().index.page(asked, before, count + 1))
        more = str(found[count - 1][0]) if len(found) > count else ""
        return Page(tuple(change for _, change in found[:count]), more)

    def by_request_key(self, key: str) -> Change | None:
        """The change that a request has made already; Busy while another server is at it."""

        def found() -> Change | None:
            shelf = self.shelf()
            for _ in range(2):
                held = shelf.index.owner_of(key)
                if held is None:
                    return None
                known, state, owner = held
                if state != State.BEGUN.value:
                    return shelf.index.change_of(known)
                shelf.settle(owner)
            raise Busy("this request is being carried out by another server", "ask again in a moment")

        return self.ask(found) if self.is_there() else None

    def later(self, path: str, order: int, change: str) -> list[tuple[int, str, str, int]]:
        """The steps of other changes that touch a path, what lies below it or what holds it, after `order`."""
        return self.ask(lambda: self.shelf().index.later(path, order, change))

    def in_force(self, step: Recorded) -> tuple[str, Recorded]:
        """A step as it holds now: itself, or what made it again after its undo, with the change of that."""

        def found() -> tuple[str, Recorded]:
            known, now = "", step
            while again := self.shelf().index.remade(now.order):
                known, now = again
            return known, now

        return self.ask(found)

    def hold(self, ids: Sequence[str]) -> None:
        """Keep these changes while they are being undone."""
        self._hold(ids, lambda shelf: shelf.owners.mine)

    def let_go(self, ids: Sequence[str]) -> None:
        """They may go again."""
        self._hold(ids, lambda _: "")

    def _hold(self, ids: Sequence[str], owner: Callable[[Shelf], str]) -> None:
        def act() -> None:
            shelf = self.shelf()
            with shelf.index.recording(Durable.SOON):
                shelf.index.hold(ids, owner(shelf))

        self.ask(act)

    def is_there(self) -> bool:
        """Whether anything was ever recorded: who only looks makes nothing."""
        index = os.path.join(self._directory, "index.db")
        return self.ask(lambda: self._shelf is not None or os.path.exists(index))

    def stored(self) -> int:
        """How many bytes the store holds."""
        return self.ask(lambda: self.shelf().index.stored())  # noqa: PLW0108 - the same

    def settle(self) -> None:
        """Settle what processes that are gone have left, and forget what is too old; the first opening does it too."""
        self.ask(lambda: self.shelf().settle_all())

    def close(self, seconds: float) -> None:
        """Finish what is asked, and let go."""
        self._keeper.close(seconds)

    # The keeper's

    def ask(self, act: Callable[[], T]) -> T:
        """Have the keeper do something, and wait for it."""
        return self._keeper.ask(act)

    def shelf(self) -> Shelf:
        """What is open of the store, opened and settled if need be; on the keeper's thread."""
        if self._shelf is None:
            shelf = Shelf(self._directory, self.caps, self._settlers, self._vfs)
            try:
                shelf.settle_all()
            except BaseException:
                shelf.close()
                raise
            self._shelf = shelf
        if self._left:
            self._do_what_is_left()
        return self._shelf

    def do_surely(self, act: Callable[[], object]) -> None:
        """Have something done without waiting for it; what fails is tried again before anything else is done."""

        def once() -> None:
            try:
                act()
            except Refusal as refusal:
                LOG.warning("journal: %s", refusal)
                self._left.append(act)

        self._keeper.tell(once)

    def _do_what_is_left(self) -> None:
        left, self._left = self._left, []
        for act in left:
            try:
                act()
            except Refusal:
                self._left.append(act)

    def _pack(self) -> bool:
        return self._shelf is not None and self.shelf().pack_one()

    def _put_away(self) -> None:
        if self._shelf is not None:
            self.shelf().close()


def _prove(told: str, known: str) -> None:
    if told != known:
        raise Failed("what this change replaced is damaged in the journal", "check the disk")

"""The store's files as one process has them open: the index, the contents, who lives; for the keeper's thread only."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rootcellar import limits
from rootcellar.errors import NotFound, Refusal, TooLargeToKeep
from rootcellar.journal import contents as laying
from rootcellar.journal.changes import Caps, Form, Recorded, State
from rootcellar.journal.contents import Contents, make_private
from rootcellar.journal.index import Index
from rootcellar.journal.owners import Owners
from rootcellar.sqlite.ours import Durable

CAPS: Final = Caps(limits.JOURNAL_BYTES_MAX, limits.JOURNAL_AGE_S, limits.JOURNAL_CONTENT_BYTES_MAX)
Settler = Callable[[Recorded], bool]  # whether a step that was begun by a process that is gone has happened


class Shelf:
    """Everything of the store that is open."""

    def __init__(self, directory: str, caps: Caps, settlers: Mapping[str, Settler], vfs: str) -> None:
        contents, owners = os.path.join(directory, "contents"), os.path.join(directory, "owners")
        make_private(directory, contents, owners)
        self.caps, self._settlers = caps, settlers
        self.owners = Owners(owners)
        try:
            self.contents = Contents(contents, self.owners.mine)
            path = os.path.join(directory, "index.db")
            if os.name == "posix":
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # its side files get its mode
            self.index = Index(path, self.owners.mine, vfs)
        except BaseException:
            self.owners.close()
            raise

    def close(self) -> None:
        """Let go; what is still begun is left for the next to settle."""
        is_clean = False
        with contextlib.suppress(Refusal):
            is_clean = not self.index.begun_by(self.owners.mine)
        self.index.close()
        if is_clean:
            self.owners.close()
        else:
            self.owners.leave()

    def remove(self, files: Sequence[str]) -> None:
        """Remove contents that nothing refers to any more."""
        for name in files:
            self.contents.remove(name)

    # Settling

    def settle_all(self) -> None:
        """Settle what processes that are gone have left, and forget what is too old."""
        for owner in self.owners.names():
            self.settle(owner)
        self.forget(before=time.time() - self.caps.age_s)

    def settle(self, owner: str) -> None:
        """Take over what a process has left, if it is gone; several may try, one does."""
        lock = self.owners.dead(owner)
        if lock is None:
            return
        try:
            for seq in self.index.begun_by(owner):
                self._settle_change(seq)
            with self.index.recording(Durable.SOON):
                self.index.let_go(owner)
            used = self.index.files()
            for name in self.contents.names():
                if name.startswith(f"{owner}-") and name not in used:
                    self.contents.remove(name)
        except BaseException:
            os.close(lock)
            raise
        self.owners.bury(owner, lock)

    def _settle_change(self, seq: int) -> None:
        change = self.index.change(seq)
        if change is None:
            return
        begun = [step for step in change.steps if step.state is State.BEGUN]
        happened = {step.order: self._happened(step) for step in begun}
        spare: list[str] = []
        with self.index.recording(Durable.NOW):
            for step in begun:
                if happened[step.order]:
                    self.index.settle_step(step.order, step.facts)
                else:
                    spare += self.index.drop_step(step.order)
            self.index.seal(seq, change.summary or f"{change.tool}, interrupted", interrupted=True)
        self.remove(spare)

    def _happened(self, step: Recorded) -> bool:
        settler = self._settlers.get(step.kind.partition(".")[0])
        return settler is None or settler(step)

    # Caps

    def forget(self, *, before: float) -> None:
        """Forget what is older than this."""
        while oldest := self.index.oldest(before):
            spare: list[str] = []
            with self.index.recording(Durable.SOON):
                for seq in oldest:
                    spare += self.index.forget(seq)
            self.remove(spare)

    def make_room(self, more: int) -> list[str]:
        """Forget the oldest changes until so much more fits; the files to remove when that is committed."""
        spare: list[str] = []
        while self.index.stored() + more > self.caps.bytes_max:
            oldest = self.index.oldest()
            if not oldest:
                raise TooLargeToKeep(
                    f"the journal holds up to {self.caps.bytes_max} bytes, and this change needs {more} of them",
                    "change less at once, or have the user allow a larger journal",
                )
            spare += self.index.forget(oldest[0])
        return spare

    def look_up(self, known: str) -> tuple[int, Form, int, bytes | None]:
        """A content's file, its form, a file to unpack it to, or its bytes; -1 for what is not needed."""
        for tries_left in (2, 1, 0):
            content = self.index.content(known)
            if content is None:
                raise NotFound("what this change replaced is not kept any more", "it was too old, or too large")
            laid = content[1]
            target = self.contents.scratch() if laid.form is Form.ZLIB or laid.data is not None else -1
            try:
                return self.contents.open(laid.file) if laid.data is None else -1, laid.form, target, laid.data
            except OSError as error:
                if target >= 0:
                    laying.shut(target)
                if not tries_left or error.errno != errno.ENOENT:  # another server has just packed it
                    raise
        raise AssertionError

    # In quiet times

    def pack_one(self) -> bool:
        """Pack the next content that lies plain, if that pays; False when none is left."""
        found = self.index.unpacked()
        if found is None:
            return False
        known, file = found
        source = self.contents.open(file)
        try:
            target, name = self.contents.new()
            try:
                stored = laying.pack(source, target)
            except BaseException:
                self.contents.remove(name)
                raise
            finally:
                laying.shut(target)
        finally:
            laying.shut(source)
        with self.index.recording(Durable.SOON):
            is_ours = self.index.packed(known, file, name if stored is not None else "", stored or 0)
        self.contents.remove(file if stored is not None and is_ours else name)
        return True

"""One call's change while it is made: its steps are recorded one by one, each before its act."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from rootcellar.errors import Busy, Constraint
from rootcellar.journal import contents as laying
from rootcellar.journal.changes import Change, Facts, Form, Kept, Laid, Recorded, State
from rootcellar.journal.contents import Cancel, spoken
from rootcellar.sqlite.ours import Durable

if TYPE_CHECKING:
    from rootcellar.journal.shelf import Shelf
    from rootcellar.journal.store import Store

_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_IDS_TRIED: Final = 8
_ids = threading.Lock()
_newest = 0


def new_id() -> str:
    """A change's name: short, and sorted by when it was begun."""
    global _newest  # noqa: PLW0603 - ids rise within a process
    with _ids:
        ticks = int((time.time() - 1_767_225_600) * 256) << 10 | secrets.randbits(10)
        _newest = number = max(_newest + 1, ticks)
    return "c" + "".join(_LETTERS[number >> shift & 31] for shift in range(45, -1, -5))


class Slot:
    """A file of the store that is being filled."""

    __slots__ = ("_name", "_store", "fd")

    def __init__(self, store: Store, fd: int, name: str) -> None:
        self._store, self.fd, self._name = store, fd, name

    def kept(self, cancel: Cancel | None = None) -> Kept:
        """What was written so far, durable, as a content; nothing more may be written."""
        with spoken():
            size = os.fstat(self.fd).st_size
            self._store.check_size(size)
            known = laying.digest(self.fd, 0, size, cancel)
            os.fsync(self.fd)
        name, self._name = self._name, ""
        return Kept(known, size, Laid(Form.PLAIN, size, file=name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)
        if self._name:
            name = self._name
            self._store.release_files([name])


class Draft:
    """One call's change while it is made; for one thread at a time."""

    def __init__(self, store: Store, change: Change) -> None:
        self._store, self._change = store, change
        self._seq = 0
        self._steps: dict[int, Recorded] = {}
        self._happened: set[int] = set()  # told to us, not yet to the index
        self._dropped: list[int] = []
        self._next = 1

    @property
    def id(self) -> str:
        """The change's name; final once a step is recorded."""
        return self._change.id

    @property
    def is_empty(self) -> bool:
        """Whether no step is recorded, or none of them happened."""
        return not self._steps

    def step(
        self,
        kind: str,
        facts: Facts,
        contents: Sequence[Kept] = (),
        paths: Sequence[str] = (),
        undoes: Recorded | None = None,
    ) -> int:
        """Record a step before its act: durable when this returns, or a Refusal, and then nothing is recorded."""
        step = Recorded(self._next, kind, facts, tuple(contents), tuple(paths), State.BEGUN, 0)
        try:
            order = self._store.ask(lambda: self._record(step, undoes))
        except BaseException:
            self._store.release(*contents)
            raise
        self._steps[step.n] = Recorded(step.n, kind, facts, step.contents, step.paths, State.BEGUN, order)
        self._next += 1
        return step.n

    def amend(self, n: int, facts: Facts) -> None:
        """The step has happened, and this is known of it beside what was recorded. Never fails."""
        was = self._steps[n]
        self._steps[n] = Recorded(n, was.kind, {**was.facts, **facts}, was.contents, was.paths, State.DONE, was.order)
        self._happened.add(n)

    def drop(self, n: int) -> None:
        """The step did not happen. Never fails."""
        self._happened.discard(n)
        self._dropped.append(self._steps.pop(n).order)

    def recorded(self) -> list[Recorded]:
        """The steps that have happened, in order."""
        return [self._steps[n] for n in sorted(self._steps) if self._steps[n].state is State.DONE]

    def forget(self) -> None:
        """Everything was put back: nothing of this change stays recorded."""
        if self._seq:
            self._store.ask(self._forget)

    def seal(self, summary: str) -> Change | None:
        """End the change; None if no step of it happened, and then nothing of it is left."""
        if not self._seq:
            return None
        for n in [n for n, step in self._steps.items() if step.state is State.BEGUN]:
            self.drop(n)
        return self._sealed(summary, interrupted=False)

    def abandon(self) -> Change | None:
        """End a change that failed: what happened of it stays recorded."""
        if not self._seq:
            return None
        for n in [n for n, step in self._steps.items() if step.state is State.BEGUN]:
            self.drop(n)
        return self._sealed(f"{self._change.tool}, not finished", interrupted=True)

    def _sealed(self, summary: str, *, interrupted: bool) -> Change | None:
        """The change is made and recorded by now: that it has ended is written while the caller is answered.

        A caller with a `request_key` is answered after it: who sends the call again finds it done.
        """
        self._store.do_surely(lambda: self._seal(summary, interrupted=interrupted))
        if self._change.request_key:
            self._store.ask(lambda: None)
        if not self._steps:
            return None
        steps = tuple(self._steps[n] for n in sorted(self._steps))
        return replace(self._change, summary=summary, state=State.DONE, steps=steps, interrupted=interrupted)

    # on the keeper's thread

    def _record(self, step: Recorded, undoes: Recorded | None) -> int:
        store = self._store
        shelf = store.shelf()
        need = sum(kept.laid.stored for kept in step.contents if kept.laid is not None)
        for _ in range(_IDS_TRIED):
            try:
                with shelf.index.recording(Durable.NOW):
                    spare = shelf.make_room(need)
                    seq = self._seq or shelf.index.add_change(self._change)
                    spare += self._write(shelf)
                    order, more = shelf.index.add_step(seq, step, undoes.order if undoes else None)
            except Constraint:
                if self._seq:
                    raise
                self._refuse_taken_key(shelf)
                self._change = replace(self._change, id=new_id())
                continue
            self._seq = seq
            self._written()
            shelf.remove(spare + more)
            return order
        raise Busy("the journal is in use by too many servers", "try again in a moment")

    def _refuse_taken_key(self, shelf: Shelf) -> None:
        if self._change.request_key and shelf.index.owner_of(self._change.request_key):
            raise Busy("this request is being carried out, or was carried out before", "ask again in a moment")

    def _write(self, shelf: Shelf) -> list[str]:
        """Tell the index what has become of the steps so far."""
        spare: list[str] = []
        for n in sorted(self._happened):
            shelf.index.settle_step(self._steps[n].order, self._steps[n].facts)
        for order in self._dropped:
            spare += shelf.index.drop_step(order)
        return spare

    def _written(self) -> None:
        self._happened.clear()
        self._dropped.clear()

    def _seal(self, summary: str, *, interrupted: bool) -> None:
        shelf = self._store.shelf()
        with shelf.index.recording(Durable.SOON):
            spare = self._write(shelf)
            shelf.index.seal(self._seq, summary, interrupted=interrupted)
        self._written()
        shelf.remove(spare)

    def _forget(self) -> None:
        shelf = self._store.shelf()
        with shelf.index.recording(Durable.SOON):
            spare = self._write(shelf)
            for step in self._steps.values():
                spare += shelf.index.drop_step(step.order)
            shelf.index.seal(self._seq, "", interrupted=False)
        self._written()
        self._steps.clear()
        self._seq = 0
        shelf.remove(spare)

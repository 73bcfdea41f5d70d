"""A tree, a store, and calls that are recorded and undone as the server does it; what a tree looks like."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rootcellar.confine import Grant, Ground, Roots, Step, Ticket
from rootcellar.journal.changes import Change, Recorded
from rootcellar.journal.evidence import file_happened
from rootcellar.journal.files import FileRecord, Unkept
from rootcellar.journal.fileundo import FileUndoer
from rootcellar.journal.store import Store
from rootcellar.journal.undo import Chain, Plan, Undo
from rootcellar.policy import Effect, Policy


class Calm:
    """Nobody takes anything back."""

    cancelled = False

    def check(self) -> None:
        """Go on."""


class Call:
    """One call's recording: the witness of its files."""

    def __init__(self, store: Store, tool: str, undoes: str = "", unkept: Unkept = Unkept.REFUSE) -> None:
        self.draft = store.begin(tool, "", "a host", Effect.DESTROY, undoes=undoes)
        self.files = FileRecord(store, self.draft, unkept)

    def about_to(self, step: Step) -> Ticket:
        return self.files.about_to(step)

    def take_back(self, step: Recorded | None) -> None:
        self.files.undoing = step

    def nothing(self, step: Recorded, why: str) -> None:
        self.files.nothing(step, why)

    def recorded(self) -> Sequence[Recorded]:
        return self.draft.recorded()

    def forget(self) -> None:
        self.draft.forget()


class Cellar:
    """`place/root` is the one root, `place/journal` the store; several may share a place."""

    def __init__(self, place: Path, store: Store | None = None) -> None:
        self.place, self.root = place, place / "root"
        self.root.mkdir(parents=True, exist_ok=True)
        self.store = store or Store(str(place / "journal"), settlers={"file": file_happened})
        self.journal = Undo(self.store, {"file": FileUndoer(self.store)})
        self.ground = Ground()

    def roots(self) -> Roots:
        return self.ground.roots([Grant(str(self.root))], Policy())

    def do(self, act: Callable[[Roots], Any], unkept: Unkept = Unkept.REFUSE) -> Change | None:
        """One call that changes files: its change, or None if it changed nothing."""
        call = Call(self.store, "a tool", unkept=unkept)
        try:
            act(self.roots().witnessed(call))
        except BaseException:
            call.draft.abandon()
            raise
        return call.draft.seal("did it")

    def done(self, act: Callable[[Roots], Any]) -> Change:
        """The same, for a call that must change something."""
        change = self.do(act)
        assert change is not None
        return change

    def undo(self, *ids: str, chain: Chain = Chain.ALONE) -> Change | None:
        """Undo, as a change of its own."""
        return self.run(self.journal.plan(ids, chain))

    def run(self, plan: Plan) -> Change | None:
        call = Call(self.store, "undo_change", plan.ids[0])
        try:
            self.journal.run(plan, self.roots().witnessed(call), call, Calm())
        except BaseException:
            call.draft.abandon()
            raise
        return call.draft.seal("undone")

    def close(self) -> None:
        self.store.close(5)

    def tree(self) -> dict[str, tuple[object, ...]]:
        return tree(self.root)


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below: bytes, modes, owners, links, attributes, and the times of files."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        at = path.lstat()
        facts: tuple[object, ...] = (stat.S_IFMT(at.st_mode), stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid)
        if path.is_symlink():
            facts += (os.readlink(path), at.st_mtime_ns)
        elif path.is_file():
            attributes = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
            facts += (path.read_bytes(), at.st_mtime_ns, attributes)
        found[str(path.relative_to(root))] = facts
    return found

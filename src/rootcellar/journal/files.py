"""The witness that records file changes: what is about to happen, and whatever its undo will need, before it is real.

kinds and what they hold (contents by their place in the step's list):
    file.create      at, made, hash, new?           a file or a link got its name
    file.replace     at, before, made, wears, hash, was, prefix, suffix, old, new?, whole    new content for old
    file.mkdir       at
    file.copy        at, source, made, tree?        a finished copy got its name, `at`
    file.move        at, to, before, made?                 the thing itself, a tree with all it holds
    file.trash       at, before, trash?, name?      it lies in the system's trash, whole
    file.take_back   at, made                       it came back from there
    file.remove      at, before, link?, old?        it went for good, its content is kept
    file.nothing     at, why                        an undo that found nothing to do

A tree is never read: it moves, or goes to the trash, by one rename. A replaced file is kept whole up to a size, above
it only the bytes between the common beginning and end; in both cases with what the new bytes are, so that a change can
be shown, and taken back in part, after others have changed the file.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from rootcellar import limits
from rootcellar.confine import Act, Kind, Step, Ticket, Trashed
from rootcellar.confine._open import Stat
from rootcellar.confine.attributes import Attributes
from rootcellar.errors import Stale, TooLargeToKeep, WrongKind
from rootcellar.journal import facts as fact
from rootcellar.journal.changes import Kept, Recorded
from rootcellar.journal.contents import (
    Cancel,
    common,
    digest,
    digest_of,
    read_at,
    shared_end,
    shared_start,
    size_of,
)
from rootcellar.journal.drafting import Draft
from rootcellar.journal.store import Store


class Unkept(Enum):
    """What is done about a content that is too large to keep."""

    REFUSE = "TooLargeToKeep is raised, and nothing has changed"
    LET_GO = "the user knows: it is recorded without its content, and cannot be undone"


class FileRecord:
    """Records one call's file changes into its draft; for one thread at a time."""

    def __init__(
        self, store: Store, draft: Draft, unkept: Unkept = Unkept.REFUSE, cancel: Cancel | None = None
    ) -> None:
        self.undoing: Recorded | None = None  # the step that the next one takes back
        self._store, self._draft, self._unkept, self._cancel = store, draft, unkept, cancel

    def about_to(self, step: Step) -> Ticket:
        """Record it, durably; a Refusal stops the act."""
        displaced = self._displaced(step) if step.act is Act.MOVE and step.over is not None else None
        try:
            kind, facts, kept = self._told(step)
            number = self._draft.step(kind, facts, kept, fact.paths(facts), self.undoing)
        except BaseException:
            if displaced is not None:
                self._draft.drop(displaced)
            raise
        return _Told(self._draft, number, displaced)

    def nothing(self, step: Recorded, why: str) -> None:
        """An undo of this step found that there is nothing to do."""
        facts = {"at": step.facts["at"], "why": why}
        self._draft.amend(self._draft.step("file.nothing", facts, (), (), step), {})

    def _told(self, step: Step) -> tuple[str, dict[str, Any], list[Kept]]:
        where = fact.at(step.entry)
        if step.to is not None:
            return self._told_of_two(step, where, fact.at(step.to))
        if step.act is Act.REPLACE:
            return self._replaced(step, step.entry, step.before)
        if step.act is Act.CREATE:
            return self._created("file.create", step, {"at": where})
        if step.act is Act.REMOVE:
            return self._removed(step, where, step.before)
        facts: dict[str, Any] = {"at": where}
        if step.before is not None:
            facts["before"] = fact.stat(step.before)
        if step.made is not None:
            facts["made"] = fact.stat(step.made)
        kinds = {Act.TRASH: "file.trash", Act.TAKE_BACK: "file.take_back", Act.MAKE_DIRECTORY: "file.mkdir"}
        return kinds[step.act], facts, []

    def _told_of_two(
        self, step: Step, source: dict[str, Any], target: dict[str, Any]
    ) -> tuple[str, dict[str, Any], list[Kept]]:
        """A copy or a move."""
        assert step.to is not None
        if step.act is Act.COPY:
            if step.over is not None:
                return self._replaced(step, step.to, step.over)
            return self._created("file.copy", step, {"at": target, "source": source})
        assert step.before is not None
        made = {"made": fact.stat(step.made)} if step.made is not None else {}
        return "file.move", {"at": source, "to": target, "before": fact.stat(step.before)} | made, []

    def _created(self, kind: str, step: Step, at: dict[str, Any]) -> tuple[str, dict[str, Any], list[Kept]]:
        made = step.made
        if made is None:
            return kind, at, []
        facts, kept = at | {"made": fact.stat(made)}, []
        if step.new_fd is not None:
            facts["hash"] = self._hash(step.new_fd, step.new_at, made.size)
            if made.size <= limits.JOURNAL_INLINE_BYTES_MAX:
                facts["new"] = 0
                kept.append(self._store.keep(step.new_fd, made.size, at=step.new_at))
        if step.tree is not None:
            facts["tree"] = step.tree
        if step.link is not None:
            facts["link"] = step.link
        return kind, facts, kept

    def _displaced(self, step: Step) -> int:
        """What a move takes the place of goes by a step of its own, just before."""
        assert step.to is not None
        kind, facts, kept = self._removed(step, fact.at(step.to), step.over)
        assert step.before is not None
        facts["by"] = fact.stat(step.made or step.before)
        return self._draft.step(kind, facts, kept, fact.paths(facts))

    def _removed(self, step: Step, at: dict[str, Any], gone: Stat | None) -> tuple[str, dict[str, Any], list[Kept]]:
        assert gone is not None
        facts: dict[str, Any] = {"at": at, "before": fact.stat(gone)}
        if step.old_fd is not None:
            facts["extended"] = fact.extended(Attributes.of(gone, step.old_fd))
            facts["hash"] = self._hash(step.old_fd, 0, gone.size)
            return "file.remove", facts, self._keep(facts, step.old_fd, 0, gone.size, at["shown"])
        if step.link is not None:
            facts["link"] = step.link
        elif gone.kind is not Kind.DIRECTORY:
            raise WrongKind(
                f"`{at['shown']}` is a {gone.kind.value}, which cannot be kept for undo", "move it away first"
            )
        return "file.remove", facts, []

    def _replaced(self, step: Step, target: Any, old: Stat | None) -> tuple[str, dict[str, Any], list[Kept]]:  # noqa: ANN401 - an entry
        at = fact.at(target)
        if old is None or step.old_fd is None or step.new_fd is None:
            raise WrongKind(f"`{at['shown']}` is no file, and cannot be kept for undo", "move it away first")
        new_size = step.made.size if step.made is not None else size_of(step.new_fd) - step.new_at
        facts: dict[str, Any] = {
            "at": at, "before": fact.stat(old), "extended": fact.extended(Attributes.of(old, step.old_fd)),
            "size": new_size, "whole": old.size <= limits.JOURNAL_WHOLE_BYTES_MAX,
        }  # fmt: skip
        if step.made is not None:
            facts["made"] = fact.stat(step.made)
            facts["wears"] = fact.extended(Attributes.of(step.made, step.new_fd))
        if facts["whole"] and new_size <= limits.JOURNAL_WHOLE_BYTES_MAX:
            return "file.replace", facts, self._compared(step, facts, old.size)
        facts["was"] = self._hash(step.old_fd, 0, old.size)
        facts["hash"] = self._hash(step.new_fd, step.new_at, new_size)
        prefix, suffix = facts["prefix"], facts["suffix"] = common(
            (step.old_fd, 0, old.size), (step.new_fd, step.new_at, new_size), step.appended_at, self._cancel
        )
        start, count = (0, old.size) if facts["whole"] else (prefix, old.size - prefix - suffix)
        kept = self._keep(facts, step.old_fd, start, count, at["shown"])
        middle = new_size - prefix - suffix
        if middle <= limits.JOURNAL_WHOLE_BYTES_MAX and kept:
            facts["new"] = len(kept)
            kept.append(self._store.keep(step.new_fd, middle, self._cancel, at=step.new_at + prefix))
        return "file.replace", facts, kept

    def _compared(self, step: Step, facts: dict[str, Any], old_size: int) -> list[Kept]:
        """The same in memory, each byte read once: what nearly every file is small enough for."""
        assert step.old_fd is not None
        assert step.new_fd is not None
        old, new = read_at(step.old_fd, 0, old_size), read_at(step.new_fd, step.new_at, facts["size"])
        if len(old) != old_size:
            raise Stale(f"`{facts['at']['shown']}` changed while it was kept", "look at it again, then try again")
        facts["was"], facts["hash"] = digest_of(old), digest_of(new)
        prefix = facts["prefix"] = shared_start(old, new)
        suffix = facts["suffix"] = shared_end(old[prefix:], new[prefix:])
        try:
            kept = [self._store.keep_bytes(old, facts["was"])]
        except TooLargeToKeep as large:
            self._let_go(large, facts["at"]["shown"])
            return []
        facts |= {"old": 0, "new": 1}
        return [*kept, self._store.keep_bytes(new[prefix : len(new) - suffix])]

    def _keep(self, facts: dict[str, Any], fd: int, start: int, count: int, shown: str) -> list[Kept]:
        try:
            self._store.check_size(count)
        except TooLargeToKeep as large:
            self._let_go(large, shown)
            return []
        facts["old"] = 0
        return [self._store.keep(fd, count, self._cancel, at=start)]

    def _let_go(self, large: TooLargeToKeep, shown: str) -> None:
        if self._unkept is Unkept.REFUSE:
            raise TooLargeToKeep(f"`{shown}`: {large.message}", large.hint) from None

    def _hash(self, fd: int, at: int, size: int) -> str:
        """What tells whether a file is as we left it; of large ones identity, size and time must do."""
        return digest(fd, at, size, self._cancel) if size <= limits.JOURNAL_HASH_BYTES_MAX else ""


class _Told:
    """A recorded step, to be told what became of it."""

    def __init__(self, draft: Draft, number: int, displaced: int | None) -> None:
        self._draft, self._number, self._displaced = draft, number, displaced

    def happened(self, now: Stat | None = None, trashed: Trashed | None = None) -> None:
        """It is real."""
        facts: dict[str, Any] = {}
        if trashed is not None:
            facts = {"trash": trashed.place, "name": trashed.name}
            if trashed.identity is not None:
                facts["there"] = list(trashed.identity)
        if now is not None:
            facts["made"] = fact.stat(now)
        if self._displaced is not None:
            self._draft.amend(self._displaced, {})
        self._draft.amend(self._number, facts)

    def did_not(self) -> None:
        """Nothing has changed."""
        self._draft.drop(self._number)
        if self._displaced is not None:
            self._draft.drop(self._displaced)

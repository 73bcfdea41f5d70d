"""In which order changes are undone, what stands in the way, and that an undo is whole or absent.

A step may be undone when no later step stands on its place: one of another change that touches the same path, holds it
or lies below it, and was neither undone itself nor is the undo of one later still. Steps are undone newest first, over
all changes asked for at once, as one change that is recorded, and can itself be undone. If one of them is refused in
the middle, what was done so far is put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from rootcellar.confine import Cancel, Roots
from rootcellar.errors import BadArgument, InTheWay, Refusal
from rootcellar.journal.changes import Change, Filter, Recorded, State, overlaps
from rootcellar.journal.store import Store

_TOLD_MAX = 8


class Taking(Protocol):
    """The recording of an undo, as undoers see it."""

    def take_back(self, step: Recorded | None) -> None:
        """What is recorded from now on takes back this step."""

    def nothing(self, step: Recorded, why: str) -> None:
        """Record that a step is undone without an act."""

    def recorded(self) -> Sequence[Recorded]:
        """The steps of this undo that have happened, in order."""

    def forget(self) -> None:
        """Everything was put back: nothing of this undo stays recorded."""


class Undoer(Protocol):
    """Undoes steps of some kinds."""

    def check(self, step: Recorded, roots: Roots, cancel: Cancel) -> None:
        """Refusal if it cannot be undone now."""

    def preview(self, step: Recorded, roots: Roots, cancel: Cancel) -> str:
        """What undoing would do, bounded."""

    def show(self, step: Recorded) -> str:
        """What the step did, bounded."""

    def undo(self, step: Recorded, roots: Roots, taking: Taking, cancel: Cancel) -> None:
        """Do it; the roots' witness, or `taking`, records it."""


class Chain(Enum):
    """What becomes of later changes that stand in the way."""

    ALONE = "the undo is refused, and names them"
    LATER = "they are undone too"


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be undone: the changes, and their steps that are not undone yet, newest first."""

    changes: tuple[Change, ...]
    steps: tuple[Recorded, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The changes' ids."""
        return tuple(change.id for change in self.changes)


class Undo:
    """The journal's other half."""

    def __init__(self, store: Store, undoers: Mapping[str, Undoer]) -> None:
        """`undoers` by the first word of the kinds they undo."""
        self._store, self._undoers = store, dict(undoers)

    def _of(self, step: Recorded) -> Undoer:
        return self._undoers[step.kind.partition(".")[0]]

    def plan(self, ids: Sequence[str], chain: Chain = Chain.ALONE) -> Plan:
        """Put these changes in order; InTheWay if others stand on them and may not be undone too."""
        wanted = {known: self._undoable(known) for known in ids}
        while in_the_way := self._in_the_way(wanted):
            if chain is Chain.ALONE:
                told = ", ".join(f"`{known}`" for known in in_the_way[:_TOLD_MAX])
                more = f" and {len(in_the_way) - _TOLD_MAX} more" if len(in_the_way) > _TOLD_MAX else ""
                raise InTheWay(
                    f"later changes stand in the same place: {told}{more}", "undo them first, or all of them as a chain"
                )
            wanted |= {known: self._undoable(known) for known in in_the_way}
        standing = {step.order: step for change in wanted.values() for _, step in self._standing(change)}
        steps = [standing[order] for order in sorted(standing, reverse=True)]
        changes = sorted(wanted.values(), key=lambda change: -max(step.order for step in change.steps))
        return Plan(tuple(changes), tuple(steps))

    def since(self, at: float) -> Plan:
        """Everything since a time that is not undone, but undos of what was before it."""
        ids, cursor = [], ""
        while True:
            page = self._store.changes(Filter(since=at), cursor)
            ids += [change.id for change in page.changes if change.state is not State.UNDONE]
            cursor = page.cursor
            if not cursor:
                break
        if not ids:
            raise BadArgument("nothing was changed since then", "`list_changes` shows when changes were made")
        return self.plan(ids, Chain.LATER)

    def _undoable(self, known: str) -> Change:
        change = self._store.change(known)
        if change.state is State.UNDONE:
            by = f" by `{change.undone_by}`" if change.undone_by else ""
            raise BadArgument(f"`{known}` is undone already{by}", "undo that to have the change again")
        if change.state is State.BEGUN:
            raise InTheWay(f"`{known}` is still being made", "wait for it to end")
        return change

    def _standing(self, change: Change) -> list[tuple[str, Recorded]]:
        """The steps of a change that are not undone, as they hold now."""
        return [self._store.in_force(step) for step in change.steps if step.state is not State.UNDONE]

    def _in_the_way(self, wanted: Mapping[str, Change]) -> list[str]:
        found: dict[str, int] = {}
        standing = [(change.id, step) for change in wanted.values() for _, step in self._standing(change)]
        ours = {step.order for _, step in standing}
        for known, step in standing:
            for path in step.paths:
                for order, other, state, undoes in self._store.later(path, step.order, known):
                    if other in wanted or order in ours or state == State.UNDONE.value or undoes > step.order:
                        continue
                    found[other] = max(order, found.get(other, 0))
        return sorted(found, key=lambda known: -found[known])

    # Looking

    def check(self, plan: Plan, roots: Roots, cancel: Cancel) -> None:
        """Refusal if it cannot be done; steps that others of the plan stand on are looked at when these are gone."""
        for step in _first(plan):
            self._of(step).check(step, roots, cancel)

    def preview(self, plan: Plan, roots: Roots, cancel: Cancel) -> list[str]:
        """What would be done, newest first; of a step that others stand on, what it did."""
        first = {step.order for step in _first(plan)}
        return [
            self._of(step).preview(step, roots, cancel)
            if step.order in first
            else f"then taken back: {self._of(step).show(step)}"
            for step in plan.steps
        ]

    def show(self, change: Change) -> list[str]:
        """What a change did, step by step."""
        return [self._of(step).show(step) for step in change.steps]

    # Doing

    def run(self, plan: Plan, roots: Roots, taking: Taking, cancel: Cancel) -> None:
        """Undo, whole or not at all; `roots` are witnessed by the recording that `taking` speaks for."""
        self._store.hold(plan.ids)
        try:
            self.check(plan, roots, cancel)
            try:
                for step in plan.steps:
                    cancel.check()
                    taking.take_back(step)
                    self._of(step).undo(step, roots, taking, cancel)
            except BaseException:
                self._put_back(roots, taking)
                raise
            finally:
                taking.take_back(None)
        finally:
            self._store.let_go(plan.ids)

    def _put_back(self, roots: Roots, taking: Taking) -> None:
        """Make again what this undo had taken back; what cannot be made again stays recorded as undone."""
        try:
            for step in reversed(taking.recorded()):
                taking.take_back(step)
                self._of(step).undo(step, roots, taking, _Calm())
        except Refusal:
            return
        taking.forget()


class _Calm:
    """What puts things back is not taken back."""

    cancelled = False

    def check(self) -> None:
        """Go on."""


def _first(plan: Plan) -> list[Recorded]:
    """The steps that no later step of the plan touches."""
    seen: list[str] = []
    first = []
    for step in plan.steps:
        if not any(overlaps(path, other) for path in step.paths for other in seen):
            first.append(step)
        seen += step.paths
    return first

"""What `rootcellar changes`, `show` and `undo` do: one answer each, as facts and as text.

What a person names is not confined to roots: what is undone is undone where it was made, in the folders it lies in.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rootcellar import limits, ours
from rootcellar.confine import Grant, Ground
from rootcellar.errors import BadArgument
from rootcellar.journal import listing
from rootcellar.journal.changes import Change, Filter
from rootcellar.journal.opening import Journal
from rootcellar.journal.recording import Asks, Recording, Request
from rootcellar.journal.undo import Chain, Plan
from rootcellar.keychain import Keychain
from rootcellar.keys import Keys
from rootcellar.policy import Effect, Policy
from rootcellar.sqlite import Databases

_CLOSE_S: Final = 10.0
Answer = tuple[dict[str, Any], str]


def answer(chosen: argparse.Namespace) -> Answer:
    """Do what was chosen. Refusal."""
    verbs: dict[str, Callable[[argparse.Namespace, Journal], Answer]] = {
        "changes": _changes, "show": _show, "undo": _undo,
    }  # fmt: skip
    with _opened() as journal:
        return verbs[chosen.command](chosen, journal)


@contextmanager
def _opened() -> Iterator[Journal]:
    data = ours.data_directory(os.environ)
    databases = Databases(Keys(lambda: str(data), Keychain(limits.KEYCHAIN_PERSON_S)))
    journal = Journal.at(str(data / "journal"), databases)
    try:
        yield journal
    finally:
        databases.close()
        journal.store.close(_CLOSE_S)


class _Calm:
    """Nobody takes this back but by Ctrl-C."""

    cancelled = False

    def check(self) -> None:
        """Go on."""


def _shown(path: str) -> str:
    return path


def _changes(chosen: argparse.Namespace, journal: Journal) -> Answer:
    path = chosen.database or chosen.path
    asked = Filter(
        path=os.path.realpath(Path(path).expanduser()) if path else "",
        tool=chosen.tool or "",
        host=chosen.host or "",
        since=_when(chosen.since) if chosen.since else None,
    )
    found = listing.page(journal.store, asked, chosen.cursor, _shown, "database" if chosen.database else "")
    lines = [listing.line(change, _shown, None) for change in found.changes]
    if found.cursor:
        lines.append(f"more: rootcellar changes --cursor {found.cursor}")
    facts = {"changes": [_facts(change) for change in found.changes], "cursor": found.cursor}
    return facts, "\n".join(lines) or "No such change."


def _show(chosen: argparse.Namespace, journal: Journal) -> Answer:
    change = journal.store.change(chosen.change_id)
    told = journal.undo.show(change)
    return {**_facts(change), "shown": told}, "\n".join([listing.line(change, _shown, None), "", *told])


def _undo(chosen: argparse.Namespace, journal: Journal) -> Answer:
    plan = _plan(chosen, journal)
    if plan is None:
        return {"undone": [], "change_id": None}, "There is nothing to undo."
    told = Request("undo_change", Effect.DESTROY, " ".join(sys.argv[1:]), "command line", "", Asks.LET)
    recording = Recording(journal.store, told)
    roots = Ground().roots([Grant(path) for path in _around(plan)], Policy()).witnessed(recording)
    lines = [listing.line(change, _shown, None) for change in plan.changes]
    if chosen.dry_run:
        foreseen = journal.undo.preview(plan, roots, _Calm())
        facts = {"would_undo": list(plan.ids), "told": foreseen, "change_id": None}
        return facts, "\n".join([*foreseen, "", "Nothing was changed. This would be undone:", *lines])
    recording.begin_undo(plan.ids)
    try:
        journal.undo.run(plan, roots, recording, _Calm())
    finally:
        made = recording.seal(f"undone: {' '.join(plan.ids)}")
    known = made.id if made else None
    back = [f"change_id {known}: `rootcellar undo {known}` makes it undone again"] if known else []
    return {"undone": list(plan.ids), "change_id": known}, "\n".join(["Undone:", *lines, *back])


def _plan(chosen: argparse.Namespace, journal: Journal) -> Plan | None:
    """What is to be undone; None if that is nothing."""
    if (bool(chosen.change_id), chosen.last, bool(chosen.since)).count(True) != 1:
        raise BadArgument("an ID, `--last` or `--since TIME` is expected", "`rootcellar changes` lists the ids")
    chain = Chain.LATER if chosen.chain else Chain.ALONE
    if chosen.change_id:
        return journal.undo.plan(chosen.change_id, chain)
    if chosen.since:
        ids = [change.id for change in listing.everything(journal.store, _when(chosen.since), _shown)]
        return journal.undo.plan(ids, Chain.LATER) if ids else None
    newest = listing.newest(journal.store)
    return journal.undo.plan([newest.id], chain) if newest else None


def _around(plan: Plan) -> Sequence[str]:
    """The folders that what is undone lies in, the outermost of those that are there."""
    found: list[str] = []
    for path in sorted({path for step in plan.steps for path in listing.places_of(step)}, key=len):
        folder = Path(path).parent
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        if not any(folder.is_relative_to(other) for other in found):
            found.append(str(folder))
    return found


def _facts(change: Change) -> dict[str, Any]:
    return {
        "change_id": change.id,
        "at": datetime.fromtimestamp(change.at).astimezone().isoformat(timespec="seconds"),
        "tool": change.tool,
        "arguments": change.arguments,
        "host": change.host,
        "state": change.state.value,
        "paths": listing.places(change),
        "undoes": change.undoes.split(),
        "undone_by": change.undone_by,
        "interrupted": change.interrupted,
        "bytes_kept": change.bytes_kept,
    }


def _when(text: str) -> float:
    return listing.when(text, datetime.now().astimezone())

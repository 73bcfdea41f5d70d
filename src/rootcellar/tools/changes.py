"""Tools over the journal: what was changed, what a change did, and taking it back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from rootcellar import limits
from rootcellar.confine import Lane
from rootcellar.errors import BadArgument, NeedsConsent, NotFound
from rootcellar.journal import listing, stating
from rootcellar.journal.changes import Change, Filter
from rootcellar.journal.undo import Chain, Plan
from rootcellar.policy import Effect
from rootcellar.tools.answers import Said
from rootcellar.toolset import Call, Toolset

CHANGES = Toolset("changes")

Since = Annotated[str, Field(description="`10m`, `2h`, `3d` ago or a time")]


@CHANGES.tool("List changes", Effect.READ, Lane.LONG)
def list_changes(
    call: Call,
    *,
    path: str = "",
    database: str = "",
    since: Since = "",
    tool: str = "",
    host: str = "",
    cursor: str = "",
) -> Said:
    """What was changed in the roots, newest first: change_id, time (UTC), tool, place. `path`: only in this file or
    folder."""
    shown = _shown(call)
    asked = Filter(
        path=listing.real_path(call.roots.entry(database or path)) if database or path else "",
        tool=tool,
        host=host,
        since=_when(since) if since else None,
    )
    found = listing.page(call.journal.store, asked, cursor, shown, "database" if database else "")
    lines = [listing.line(change, shown, UTC) for change in found.changes]
    more = f"; goes on with cursor={found.cursor}" if found.cursor else ""
    return Said(text="\n".join(lines), note=f"[{len(lines):,} change{'' if len(lines) == 1 else 's'}{more}]")


@CHANGES.tool("Show a change", Effect.READ, Lane.LONG)
def show_change(call: Call, *, change_id: str) -> Said:
    """What one change did: the diff, or the rows before and after."""
    shown = _shown(call)
    change = _seen(call, change_id)
    told = "\n".join(call.journal.undo.show(change))
    cut = len(told) > limits.CHANGE_CHARS_MAX
    note = listing.line(change, shown, UTC) + ("; the rest is not shown" if cut else "")
    return Said(text=told[: limits.CHANGE_CHARS_MAX], note=f"[{note}]")


@CHANGES.tool("Undo changes", Effect.DESTROY, Lane.LONG)
def undo_change(
    call: Call,
    *,
    change_id: str = "",
    chain: Annotated[bool, Field(description="with later ones that build on it")] = False,
    since: Since = "",
    dry_run: bool = False,
) -> Said:
    """Take back one change, or everything since a time: all or nothing, refused where newer work would be lost. An undo
    is itself a change that can be undone."""
    shown = _shown(call)
    if bool(change_id) == bool(since):
        raise BadArgument("give `change_id` or `since`", "`list_changes` has the ids")
    undo = call.journal.undo
    if change_id:
        plan = undo.plan([_seen(call, change_id).id], Chain.LATER if chain else Chain.ALONE)
    else:
        found = listing.everything(call.journal.store, _when(since), shown)
        if not found:
            return Said(text="Nothing was changed since then.")
        plan = undo.plan([change.id for change in found], Chain.LATER)
    _refuse_unseen(plan, shown)
    told = "\n".join(undo.preview(plan, call.roots, call.cancel))[: limits.CHANGE_CHARS_MAX]
    lines = "\n".join(listing.line(change, shown, UTC) for change in plan.changes)
    if dry_run:
        return Said(text=f"{told}\n\n{lines}", note="[nothing was undone]")
    call.recording.agree_to_all(lambda: _statement(plan, told))
    call.recording.begin_undo(plan.ids)
    undo.run(plan, call.roots, call.recording, call.cancel)
    return Said(text=f"Undone:\n{lines}")


def _shown(call: Call) -> listing.Shown:
    """How paths are shown here; NoRoots without any."""
    call.roots.entry(".") if not call.roots.roots else None
    return listing.inside(call.roots)


def _when(text: str) -> float:
    return listing.when(text, datetime.now(UTC))


def _seen(call: Call, change_id: str) -> Change:
    """The change, if all that it touched lies in the roots in force."""
    change = call.journal.store.change(change_id)
    if not listing.visible(change, listing.inside(call.roots)):
        raise NotFound(f"`{change_id[:40]}` is no change in these roots", "`list_changes` shows them")
    return change


def _refuse_unseen(plan: Plan, shown: listing.Shown) -> None:
    """A chain may lead to changes that reach beyond the roots."""
    if not all(listing.visible(change, shown) for change in plan.changes):
        raise NotFound("a later change that stands in the way reaches outside these roots", "ask the user to undo it")


def _statement(plan: Plan, told: str) -> NeedsConsent:
    one = f"the change {plan.ids[0]}" if len(plan.ids) == 1 else f"{len(plan.ids)} changes"
    text = f"Undo {one}:\n{told}"
    return NeedsConsent(text[: limits.CONSENT_CHARS_MAX], stating.fingerprint(["undo", *plan.ids, told]))

"""Tools that copy, move and delete."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rootcellar.confine import Lane, Overwrite
from rootcellar.policy import Effect
from rootcellar.tools.answers import Said
from rootcellar.toolset import Call, Toolset

MOVES = Toolset("moves")

Over = Annotated[bool, Field(description="replace what is there")]


def _overwrite(wanted: bool) -> Overwrite:  # noqa: FBT001 - from the wire's own argument
    return Overwrite.REPLACE if wanted else Overwrite.REFUSE


@MOVES.tool("Copy", Effect.DESTROY, Lane.LONG)
def copy_file(call: Call, *, source: str, destination: str, overwrite: Over = False) -> Said:
    """Copy a file or a folder with all it holds, also to another root. `destination` is the new name itself, not the
    folder to put it into."""
    origin, target = call.roots.entry(source), call.roots.entry(destination)
    copied = origin.copy(target, _overwrite(overwrite), call.cancel, call.progress)
    told = f"Copied `{origin}` to `{target}`: {copied.files:,} files, {copied.size:,} bytes"
    if copied.sealed:
        told += f"; left out {copied.sealed:,} sealed"
    if copied.skipped_count:
        told += f"; left out {copied.skipped_count:,} that cannot be copied: {', '.join(copied.skipped)}"
    return Said(text=told + ".")


@MOVES.tool("Move or rename", Effect.DESTROY, Lane.LONG)
def move_file(call: Call, *, source: str, destination: str, overwrite: Over = False) -> Said:
    """Move or rename a file or a folder, also to another root. `destination` is the new name itself, not the folder
    to put it into."""
    origin, target = call.roots.entry(source), call.roots.entry(destination)
    origin.move(target, _overwrite(overwrite), call.cancel, call.progress)
    return Said(text=f"Moved `{origin}` to `{target}`.")


@MOVES.tool("Delete", Effect.DESTROY, Lane.LONG)
def delete_file(call: Call, *, path: str) -> Said:
    """Put a file or a folder with all it holds into the system's trash, from where the user can take it back. Of a
    link the link goes, not what it leads to."""
    entry = call.roots.entry(path)
    gone = entry.trash(call.cancel)
    return Said(text=f"Deleted `{entry}`: it is in {gone.place} as `{gone.name}`.")

"""Tools over folders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from rootcellar import limits
from rootcellar.confine import Kind, Lane, Listed, shown
from rootcellar.policy import Effect
from rootcellar.text import cursor as cursors
from rootcellar.text import tree
from rootcellar.text.leaving import Honour
from rootcellar.tools.answers import Said
from rootcellar.toolset import Call, Toolset

FOLDERS = Toolset("folders")

NO_ROOTS = (
    "No root is in force. Name a folder in the host's configuration (`rootcellar serve DIR`), set `roots` in "
    "config.toml, or open a folder in the host."
)


@FOLDERS.tool("List roots", Effect.READ)
def list_roots(call: Call) -> Said:
    """List the folders you may use, where each comes from, whether it is read-only, and why others were dropped. Use
    it first, and when a path is refused."""
    lines = [f"{root.name}  {root.access.value}  ({root.source})  {shown(root.path)}" for root in call.roots.roots]
    lines = lines or [NO_ROOTS]
    lines += [f"dropped: {_short(gone.path)} ({gone.source}): {gone.reason}" for gone in call.roots.dropped]
    told, room = 0, limits.ANSWER_CHARS_MAX
    while told < len(lines) and (room := room - len(lines[told]) - 1) >= 0:
        told += 1
    note = f"[{len(lines) - told:,} more roots are not shown: have fewer folders open]" if told < len(lines) else ""
    return Said(text="\n".join(lines[:told]), note=note)


def _short(path: str) -> str:
    """What was offered as a root may be anything, of any length."""
    known = shown(path[: limits.URI_SHOWN_CHARS])
    return known if len(path) <= limits.URI_SHOWN_CHARS else f"{known}…"


Sort = Literal["name", "size", "time"]
_SHAPES: Final[dict[str, Sequence[type[int | str]]]] = {"name": (str, str), "size": (int, str), "time": (int, str)}


def _key(item: Listed, sort: Sort) -> list[Any]:
    """What the items are ordered by; the name makes it unique, and keeps an order that survives a round trip."""
    if sort == "size":
        return [-item.stat.size, item.shown]
    return [-item.stat.mtime_ns, item.shown] if sort == "time" else [item.shown.casefold(), item.shown]


def _line(item: Listed) -> str:
    """Time, size, name; a slash marks a directory, words mark what is neither file nor directory."""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(item.stat.mtime_ns // 1_000_000_000))
    size = str(item.stat.size) if item.stat.kind is Kind.FILE else "-"
    mark = {Kind.FILE: "", Kind.DIRECTORY: "/"}.get(item.stat.kind, f" ({item.stat.kind.value})")
    return f"{when} {size:>10} {item.shown}{mark}{' (sealed)' if item.sealed else ''}"


@FOLDERS.tool("List a directory", Effect.READ)
def list_directory(call: Call, *, path: str = ".", sort: Sort = "name", cursor: str | None = None) -> Said:
    """List one directory: time (UTC), size in bytes and name of each entry, directories with a slash. For a whole
    project use directory_tree, to find files by name search_files."""
    if path == "." and len(call.roots.roots) > 1:
        return list_roots(call)
    entry = call.roots.entry(path)
    asked = ("list", str(entry), sort)
    after = cursors.read(cursor, asked, _SHAPES[sort]) if cursor else None
    items = sorted(entry.list(), key=lambda item: _key(item, sort))
    rest = items if after is None else [item for item in items if _key(item, sort) > after]
    page = rest[: limits.LIST_ENTRIES_MAX]
    told = [_line(item) for item in page]
    while sum(map(len, told)) + len(told) > limits.ANSWER_CHARS_MAX:
        del told[-max(1, len(told) // 10) :]
    note = f"[{entry}: {len(items):,} entries]"
    if len(told) < len(rest):
        first = len(items) - len(rest) + 1
        more = cursors.write(_key(page[len(told) - 1], sort), asked)
        note = f"[{entry}: entries {first:,}-{first + len(told) - 1:,} of {len(items):,}; goes on with cursor={more}]"
    return Said(text="\n".join(told), note=note)


@FOLDERS.tool("Directory tree", Effect.READ, Lane.LONG)
def directory_tree(
    call: Call,
    *,
    path: str = ".",
    depth: Annotated[int | None, Field(ge=1, le=100)] = None,
    ignored: Annotated[bool, Field(description="also what .gitignore leaves out")] = False,
) -> Said:
    """See how a folder is organised. Large and git-ignored directories collapse to counts, so that any folder fits;
    call it on a subdirectory to see more of it."""
    entry = call.roots.entry(path)
    honour = Honour.NOTHING if ignored else Honour.IGNORE_FILES
    drawn = tree.tree(entry, depth=depth, honour=honour, cancel=call.cancel, progress=call.counted)
    note = f"{drawn.files:,} files in {drawn.directories:,} folders"
    if drawn.closed:
        note += f"; {drawn.closed:,} folders shown as counts"
    if drawn.timed_out:
        note += "; stopped at the time limit: name a folder in it"
    return Said(text=drawn.text, note=f"[{entry}: {note}]")


@FOLDERS.tool("Create a directory", Effect.WRITE)
def create_directory(call: Call, *, path: str) -> Said:
    """Make a directory, with those above it that are missing. No harm if it exists."""
    entry = call.roots.entry(path)
    entry.make_directories()
    return Said(text=f"`{entry}` is there.")

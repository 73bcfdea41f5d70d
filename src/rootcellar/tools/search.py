"""Tools that find files and text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rootcellar.confine import Entry, Kind, Lane
from rootcellar.policy import Effect
from rootcellar.text import find
from rootcellar.text.glob import Case, compile_glob
from rootcellar.text.leaving import Honour
from rootcellar.tools.answers import Said
from rootcellar.toolset import Call, Toolset

SEARCH = Toolset("search")

Ignored = Annotated[bool, Field(description="also what .gitignore leaves out")]


def _below(entry: Entry) -> str:
    """What stands before the paths found below this entry, so that they can be used as they are."""
    shown = str(entry)
    return "" if shown == "." else f"{shown}/"


@SEARCH.tool("Find files by name", Effect.READ, Lane.LONG)
def search_files(
    call: Call,
    *,
    pattern: str,
    path: str = ".",
    sort: Literal["path", "newest"] = "path",
    ignore_case: bool = False,
    ignored: Ignored = False,
    cursor: str | None = None,
) -> Said:
    """Find files and folders by glob: `*.py` matches names at any depth, `src/**/test_*.py` paths; `*` `**` `?`
    `[a-z]` `{a,b}`. Skips what git ignores. For words inside files use search_text."""
    entry = call.roots.entry(path)
    query = find.Query(
        globs=(compile_glob(pattern, Case.FOLD if ignore_case else Case.EXACT),),
        order=find.Order.NEWEST if sort == "newest" else find.Order.PATH,
        honour=Honour.NOTHING if ignored else Honour.IGNORE_FILES,
    )
    found = find.find(entry, query, cursor=cursor, cancel=call.cancel, progress=call.counted)
    before = _below(entry)
    text = "\n".join(before + hit.path + _mark(hit) for hit in found.hits)
    return Said(text=text, note=f"[{'; '.join(_found(entry, found))}]")


def _mark(hit: find.Hit) -> str:
    return ("/" if hit.kind is Kind.DIRECTORY else "") + (" (sealed)" if hit.sealed else "")


def _found(entry: Entry, found: find.Found) -> list[str]:
    """What is to be said about a page of names."""
    count = f"{found.total:,}" if found.complete else f"at least {found.total:,}"
    facts = [f"{count} found in {entry}" + (f", {len(found.hits):,} shown" if len(found.hits) < found.total else "")]
    if found.timed_out:
        facts.append("stopped at the time limit: name a folder in it")
    if found.ignored:
        facts.append(f"{found.ignored:,} git-ignored left out (ignored=true shows them)")
    if found.unread:
        facts.append(f"{len(found.unread):,} folders could not be read, first {found.unread[0][0]}")
    if found.cursor:
        facts.append(f"goes on with cursor={found.cursor}")
    return facts

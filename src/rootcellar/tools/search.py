"""Tools that find files and text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rootcellar.confine import Entry, Kind, Lane
from rootcellar.errors import NotText
from rootcellar.policy import Effect
from rootcellar.text import find, search
from rootcellar.text.glob import Case, compile_glob
from rootcellar.text.leaving import Honour
from rootcellar.text.suggest import Matching, Query
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
    return Said(text=text, note=f"[{'; '.join(_found(entry, found, query.honour))}]")


def _mark(hit: find.Hit) -> str:
    return ("/" if hit.kind is Kind.DIRECTORY else "") + (" (sealed)" if hit.sealed else "")


def _found(entry: Entry, found: find.Found, honour: Honour) -> list[str]:
    """What is to be said about a page of names."""
    count = f"{found.total:,}" if found.complete else f"at least {found.total:,}"
    facts = [f"{count} found in {entry}" + (f", {len(found.hits):,} shown" if len(found.hits) < found.total else "")]
    if found.timed_out:
        facts.append("stopped at the time limit: name a folder in it")
    if found.ignored and honour is Honour.IGNORE_FILES:
        facts.append(f"{found.ignored:,} git-ignored left out (ignored=true shows them)")
    if found.unread:
        facts.append(f"{len(found.unread):,} folders could not be read, first {found.unread[0][0]}")
    if found.cursor:
        facts.append(f"goes on with cursor={found.cursor}")
    return facts


@SEARCH.tool("Search in files", Effect.READ, Lane.LONG)
def search_text(
    call: Call,
    *,
    pattern: str,
    path: str = ".",
    regex: bool = False,
    ignore_case: bool = False,
    context: Annotated[int, Field(ge=0, le=search.CONTEXT_MAX, description="lines before and after")] = 0,
    files: Annotated[str | None, Field(description="only files whose name or path fits this glob")] = None,
    ignored: Ignored = False,
    cursor: str | None = None,
) -> Said:
    """Find a text, or a regex (linear time, no look-around), inside files: `path:line: the whole line`. Skips binary,
    sealed and git-ignored files, and says what it skipped. `path` may be one file."""
    entry = call.roots.entry(path)
    query = Query(
        pattern=pattern,
        matching=Matching.REGEX if regex else Matching.LITERAL,
        case=Case.FOLD if ignore_case else Case.EXACT,
        globs=() if files is None else (compile_glob(files),),
        honour=Honour.NOTHING if ignored else Honour.IGNORE_FILES,
        context=context,
    )
    try:
        found = search.search(entry, query, cursor=cursor, cancel=call.cancel, progress=call.counted)
    except NotText as refusal:
        raise NotText(f"`{entry}`: {refusal.message}", refusal.hint) from None
    text = "\n".join(line for one in found.files for line in _lines(entry, one))
    return Said(text=text, note=f"[{'; '.join(_matches(entry, found))}]")


def _lines(entry: Entry, found: search.FileFound) -> list[str]:
    """A file's lines as grep shows them: `:` at matches, `-` at context, `--` where lines are left out."""
    path = _below(entry) + found.path if found.path else str(entry)
    shown: list[str] = []
    last = 0
    for line in found.lines:
        if shown and line.number != last + 1 and any(not other.is_match for other in found.lines):
            shown.append("--")
        mark = ":" if line.is_match else "-"
        text = f"{'…' if line.cut_before else ''}{line.text}{'…' if line.cut_after else ''}"
        shown.append(f"{path}{mark}{line.number}{mark} {text}")
        last = line.number
    if found.more:
        shown.append(f"{path}: more matches (name this file as `path` to see all)")
    return shown


def _matches(entry: Entry, found: search.Found) -> list[str]:
    """What is to be said about a page of matches."""
    count = f"{found.total_lines:,}" if found.complete else f"at least {found.total_lines:,}"
    facts = [f"{count} matching lines in {found.total_files:,} files of {entry}"]
    if found.shown_lines < found.total_lines:
        facts.append(f"{found.shown_lines:,} shown")
    if found.timed_out:
        facts.append("stopped at the time limit: name a folder in it, or a `files` glob")
    if found.ignored_files:
        facts.append(f"{found.ignored_files:,} git-ignored files may hold it (ignored=true)")
    if found.skipped_count:
        told = ", ".join(f"{path} ({why})" for path, why in found.skipped[:5])
        facts.append(f"{found.skipped_count:,} skipped: {told}")
    if found.cursor:
        facts.append(f"goes on with cursor={found.cursor}")
    return facts

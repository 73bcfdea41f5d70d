"""Tools that write and edit files."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rootcellar import limits
from rootcellar.confine import Entry, version_of
from rootcellar.errors import BadArgument, NotFound, Stale
from rootcellar.policy import Effect
from rootcellar.text import diff
from rootcellar.text.decode import SAMPLE_BYTES, UTF_8, Encoding, encode, sniff
from rootcellar.text.edit import Edited, Replacement, Whitespace, edit
from rootcellar.tools.answers import Said, naming
from rootcellar.toolset import Call, Toolset

EDITS = Toolset("edits")

IfVersion = Annotated[str | None, Field(description="only if this is still its version")]


@EDITS.tool("Write a file", Effect.DESTROY)
def write_file(
    call: Call,
    *,
    path: str,
    content: str,
    mode: Literal["create", "replace", "append"] = "create",
    if_version: IfVersion = None,
) -> Said:
    """Write a whole text file in one step: `create` refuses to overwrite, `replace` puts new content in the place of
    the old, `append` adds at the end. To change a part use edit_file."""
    entry = call.roots.entry(path)
    if mode == "create" and if_version is not None:
        raise BadArgument("`if_version` is for a file that exists", "leave it out, or use `mode` replace")
    if mode == "append":
        with naming(entry):
            data = encode(content, _encoding(entry))
        if if_version is None:
            stat = entry.append(data)
            return Said(text=f"Appended {len(data):,} bytes to `{entry}`: it has {stat.size:,} bytes.")
        whole: list[bytes] = []

        def grown(old: bytes) -> bytes:
            whole[:] = [old + data]
            return whole[0]

        entry.edit(grown, if_version=if_version)
        return Said(text=f"Appended {len(data):,} bytes to `{entry}`.", note=f"[version {version_of(whole[0])}]")
    data = content.encode("utf-8")
    stat = entry.create(data) if mode == "create" else entry.replace(data, if_version=if_version)
    told = "Created" if mode == "create" else "Wrote"
    return Said(text=f"{told} `{entry}`: {stat.size:,} bytes.", note=f"[version {version_of(data)}]")


def _encoding(entry: Entry) -> Encoding:
    """The encoding that appended text must be in: the file's own."""
    try:
        with entry.open_read() as content:
            head = content.read_at(0, SAMPLE_BYTES)
            found = sniff(head, whole=len(head) == content.size) if head else UTF_8
            return replace(found, bom=b"")  # its mark stands at the beginning, and only there
    except NotFound:
        return UTF_8


class Edit(BaseModel):
    """One replacement."""

    model_config = ConfigDict(extra="forbid")
    old_text: str
    new_text: str
    count: Annotated[int | None, Field(ge=0, description="how many matches; 0: all")] = None


@EDITS.tool("Edit a file", Effect.DESTROY)
def edit_file(
    call: Call,
    *,
    path: str,
    edits: Annotated[list[Edit], Field(min_length=1, max_length=limits.EDITS_MAX)],
    dry_run: bool = False,
    if_version: IfVersion = None,
    ignore_whitespace: Annotated[bool, Field(description="match any indentation, and re-indent")] = False,
) -> Said:
    """Replace exact pieces of a text file, all or none, in order; each `old_text` must occur exactly once, or `count`
    times. All other bytes stay: line endings, encoding, BOM. Answers with the diff; on failure with the nearest
    places. Try it with dry_run."""
    entry = call.roots.entry(path)
    allowed = Whitespace.TOLERANT if ignore_whitespace else Whitespace.EXACT
    wanted = [Replacement(one.old_text, one.new_text, one.count) for one in edits]
    made: list[Edited] = []

    def change(data: bytes) -> bytes:
        with naming(entry):
            made.append(edit(data, wanted, allowed, call.cancel))
        return made[-1].data

    if dry_run:
        data = entry.read(limits.EDIT_BYTES_MAX)
        if if_version not in (None, version_of(data)):
            raise Stale(f"`{entry}` has changed: its version is now {version_of(data)}", "read it again")
        change(data)
    else:
        entry.edit(change, if_version=if_version)
    shown = diff.unified(made[-1].before.text, made[-1].after, str(entry))
    if dry_run:
        return Said(text=shown, note=f"[{entry}: nothing was written; version {version_of(data)}]")
    return Said(text=shown, note=f"[{entry}: written; version {version_of(made[-1].data)}]")

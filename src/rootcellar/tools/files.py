"""Tools that read files."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from rootcellar import limits
from rootcellar.confine import Content, Entry, Kind, Lane, version_of
from rootcellar.errors import BadArgument, NoRoots, NotFound, NotText, Refusal, TooLarge
from rootcellar.policy import Effect
from rootcellar.text import kinds, lines, media
from rootcellar.text.decode import Encoding
from rootcellar.tools.answers import Said, Several, Shown, naming
from rootcellar.toolset import Call, Toolset

FILES = Toolset("files")

Line = Annotated[int, Field(ge=1)]


class Held:
    """The bytes of a small file, read once: what is shown and its version are of the same moment."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, count: int, /) -> bytes:
        """Up to `count` bytes from there."""
        return self.data[offset : offset + count]


@contextmanager
def _opened(entry: Entry) -> Iterator[tuple[lines.Content, str, bytes]]:
    """A file's content to read anywhere, its version (none for a large one) and its first bytes."""
    with entry.open_read() as content, naming(entry):
        if content.size <= limits.VERSION_BYTES_MAX:
            data = content.read_at(0, content.size)
            yield Held(data), version_of(data), data[: kinds.HEAD_BYTES]
            return
        try:
            yield content, "", content.read_at(0, kinds.HEAD_BYTES)
        except NotText as refusal:
            told = f"{content.size:,} bytes are too large to be read, and they are {refusal.message}"
            raise TooLarge(told, refusal.hint) from None


@FILES.tool("Read a file", Effect.READ)
def read_file(
    call: Call,
    *,
    path: str,
    start_line: Line | None = None,
    end_line: Line | None = None,
    start_char: Annotated[int, Field(ge=0, description="to go on inside a giant line")] = 0,
    head: Annotated[Line | None, Field(description="only the first lines")] = None,
    tail: Annotated[Line | None, Field(description="only the last lines")] = None,
    line_numbers: bool = False,
) -> Said | Shown:
    """Read a text file, exactly: all of it, a range of lines, its head or its tail, at any size. Images and sounds
    come as media. The note after the text has the file's encoding, line ending and version (for if_version), and the
    call that reads on."""
    if sum(given is not None for given in (head, tail, start_line or end_line)) > 1:
        raise BadArgument("`head`, `tail` and a line range exclude each other", "give one of them")
    entry = call.roots.entry(path)
    with _opened(entry) as (content, version, first):
        kind = kinds.guess(first, entry.name)
        if kind.startswith(("image/", "audio/")) and kind != "image/svg+xml" and kinds.by_magic(first) is not None:
            return _media(entry, content, kind)
        page = _page(content, call, start_line, end_line, start_char, head, tail)
    text = page.text
    if line_numbers and page.first_line is not None:  # the lines of a huge file's tail were not counted
        text, page = _numbered(page, page.first_line, tail)
    return Said(text=text, note=_note(entry, page, version))


def _page(
    content: lines.Content,
    call: Call,
    start: int | None,
    end: int | None,
    start_char: int,
    head: int | None,
    tail: int | None,
) -> lines.Page:
    if tail is not None:
        return lines.read_tail(content, tail, cancel=call.cancel)
    if head is not None:
        return lines.read_head(content, head, cancel=call.cancel)
    return lines.read_range(content, start or 1, end, start_char=start_char, cancel=call.cancel)


def _numbered(page: lines.Page, first: int, tail: int | None) -> tuple[str, lines.Page]:
    """Every line with its number, as many as fit with theirs, and the page as that leaves it."""
    width = len(str(page.last_line))
    shown = page.plain.split("\n")
    if shown[-1] == "":
        shown.pop()
    told = [f"{number:>{width}}\t{line}" for number, line in enumerate(shown, first)]
    ordered = told if tail is None else told[::-1]
    ends = itertools.accumulate(len(line) + 1 for line in ordered)
    fit = sum(1 for _ in itertools.takewhile(lambda end: end <= limits.ANSWER_CHARS_MAX, ends)) or 1
    if fit >= len(told):
        return "\n".join(told), page
    if tail is None:
        return "\n".join(told[:fit]), replace(page, last_line=first + fit - 1, next_line=first + fit, next_char=0)
    return "\n".join(told[-fit:]), replace(page, first_line=first + len(told) - fit, cut_before=True)


def _note(entry: Entry, page: lines.Page, version: str) -> str:
    """What is to be said about a page, in one line."""
    if page.total_lines == 0:  # a byte order mark alone is no line
        facts = ["empty file"]
    elif page.first_line is None:
        facts = [f"the last lines of {page.size:,} bytes"]
    else:
        total = f" of {page.total_lines:,}" if page.total_lines is not None else f", file {page.size:,} bytes"
        facts = [f"lines {page.first_line:,}-{page.last_line:,}{total}"]
    facts.append(_spelled(page.encoding))
    if page.newline.value not in ("none", "LF"):
        facts.append(f"{page.newline.value} line endings")
    if page.encoding.stray:
        facts.append("some bytes are no text and show as \ufffd")
    facts.append(f"version {version}" if version else "no version: too large, get_file_info has it")
    if page.cut_before:
        facts.append("cut at the beginning: ask for fewer lines")
    if page.next_line is not None and page.next_char:
        facts.append(f"goes on: read_file(path, start_line={page.next_line}, start_char={page.next_char})")
    elif page.next_line is not None:
        facts.append(f"goes on: read_file(path, start_line={page.next_line})")
    return f"[{entry}: {'; '.join(facts)}]"


def _spelled(encoding: Encoding) -> str:
    """An encoding by name; a question mark says that it was guessed."""
    return encoding.label + (" with BOM" if encoding.bom else "") + "?" * encoding.guessed


def _media(entry: Entry, content: lines.Content, kind: str) -> Shown:
    """An image scaled down to fit, or a sound as it is."""
    if content.size > limits.MEDIA_BYTES_MAX:
        over = f"`{entry}` has {content.size:,} bytes, the limit for media is {limits.MEDIA_BYTES_MAX:,}"
        raise TooLarge(over, "make a smaller copy of it")
    data = content.read_at(0, content.size)
    made = media.image(data, kind) if kind.startswith("image/") else media.audio(data, kind)
    return Shown(kind=kind.partition("/")[0], mime=made.mime, data=made.data, note=f"[{entry}: {made.note}]")


@FILES.tool("Read several files", Effect.READ)
def read_files(
    call: Call, *, paths: Annotated[list[str], Field(min_length=1, max_length=limits.READ_PATHS_MAX)]
) -> Several:
    """Read several text files at once, in one budget. A file that cannot be read says why, the others come all the
    same; one that is cut says how to read on."""
    left = limits.ANSWER_CHARS_MAX
    parts = []
    for number, path in enumerate(paths):
        call.cancel.check()
        if left <= 0:
            rest = f"{len(paths) - number} more not read, the answer is full"
            parts.append(Said(note=f"[{rest}: read_files with `paths` from the {number + 1}. on]"))
            break
        share = max(left // (len(paths) - number), limits.LINE_CHARS_MAX)
        part = _one_of_several(call, path, min(share, left))
        left -= len(part.text) + len(part.note)
        parts.append(part)
    return Several(parts=parts)


def _one_of_several(call: Call, path: str, chars: int) -> Said:
    """One file's share of the budget, or why it has none."""
    try:
        entry = call.roots.entry(path)
        with _opened(entry) as (content, version, _):
            page = lines.read_range(content, chars_max=chars, cancel=call.cancel)
        return Said(text=page.text, note=_note(entry, page, version))
    except NoRoots:
        raise  # it is not this file's trouble
    except Refusal as refusal:
        if len(path) > limits.LINE_CHARS_MAX:
            path = "a path"
        return Said(note=f"[{refusal}]" if f"`{path}`" in refusal.message else f"[`{path}`: {refusal}]")


@FILES.tool("Get file info", Effect.READ, Lane.LONG)
def get_file_info(
    call: Call,
    *,
    path: str,
    sha256: Annotated[bool, Field(description="hash the whole file")] = False,
) -> Said:
    """Facts about one file, folder or link without its text: kind, size, times, mode, media type, encoding, line
    ending, number of lines, version, where a link leads."""
    entry = call.roots.entry(path)
    own = entry.lstat()
    facts: dict[str, object] = {"path": entry, "kind": own.kind.value}
    stat = own
    if own.kind is Kind.LINK:
        facts["leads to"] = entry.link_target()
        try:
            stat = entry.stat()
        except NotFound:
            return _facts({**facts, "target": "missing"})
        facts["target"] = stat.kind.value
    if stat.kind is Kind.FILE:
        facts["size"] = f"{stat.size} bytes"
    facts |= {"modified": _time(stat.mtime_ns), "changed": _time(stat.ctime_ns), "mode": f"{stat.mode:04o}"}
    if stat.nlink > 1 and stat.kind is Kind.FILE:
        facts["names"] = f"{stat.nlink} (hard links)"
    if stat.kind is Kind.FILE:
        facts |= _content_facts(entry, call, sha256=sha256)
    return _facts(facts)


def _content_facts(entry: Entry, call: Call, *, sha256: bool) -> dict[str, object]:
    """What the bytes say."""
    with entry.open_read() as content:
        first = content.read_at(0, kinds.HEAD_BYTES)
        facts: dict[str, object] = {"media type": kinds.guess(first, entry.name)}
        try:
            reader = lines.Reader.of(content, call.cancel)
        except NotText:
            facts["encoding"] = "binary"
        else:
            facts["encoding"] = _spelled(reader.encoding)
            facts["line ending"] = reader.newlines.style.value
            if content.size <= lines.COUNT_BYTES_MAX:
                facts["lines"] = reader.total()
        if content.size <= limits.EDIT_BYTES_MAX:
            facts["version"] = content.version(call.cancel)
        if sha256:
            facts["sha256"] = _sha256(content, call)
        return facts


def _sha256(content: Content, call: Call) -> str:
    digest, at = hashlib.sha256(), 0
    while chunk := content.read_at(at, limits.MIB):
        call.cancel.check()
        digest.update(chunk)
        at += len(chunk)
        call.progress(at, content.size, "hashing")
    return digest.hexdigest()


def _facts(facts: dict[str, object]) -> Said:
    return Said(text="\n".join(f"{name}: {value}" for name, value in facts.items()))


def _time(ns: int) -> str:
    """Seconds are what people compare; UTC, so that no time zone has to be guessed."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns // 1_000_000_000))

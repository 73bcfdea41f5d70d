"""Exact replacements in a file's bytes that keep every byte they were not asked to change.

The file is decoded only if encoding it again gives the same bytes; the edits are then made on the characters, and what
lies outside the changed middle of a match (its common beginning and end with the new text left alone) is the file's
own. Line breaks are compared as LF, whatever they are in the file; a new one gets the ending of its neighbourhood.
Nothing is expanded in the new text. Each edit must match exactly once, or exactly `count` times (0: every time, at
least once); edits apply in order, each to the result of the one before, all of them or none.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice, pairwise
from typing import Final

from rootcellar import limits
from rootcellar.errors import BadArgument, NoMatch, NotText, TooLarge
from rootcellar.text import nearest, whitespace
from rootcellar.text.decode import Newline, Newlines, Text, count_newlines, decode, encode
from rootcellar.text.lines import NEVER, Cancel, as_lf

EVERY: Final = 0  # as a count: replace every match
LINES_LISTED_MAX: Final = 20  # of the matches of an ambiguous edit


class Whitespace(Enum):
    """Whether a match may differ in indentation and trailing whitespace."""

    EXACT = "exact"
    TOLERANT = "tolerant"


@dataclass(frozen=True, slots=True)
class Replacement:
    """Put `new_text` where `old_text` is, once, or exactly `count` times."""

    old_text: str
    new_text: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where one edit was made: the lines its matches began on when it was applied, the first ones only."""

    lines: tuple[int, ...]
    count: int
    whitespace: Whitespace  # TOLERANT: it only matched without regard to whitespace


@dataclass(frozen=True, slots=True)
class Edited:
    """A file with all its edits made."""

    data: bytes
    before: Text
    after: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text to be replaced, in the text with LF line ends."""

    start: int
    end: int
    new_text: str


def edit(
    data: bytes,
    edits: Sequence[Replacement],
    allowed: Whitespace = Whitespace.EXACT,
    cancel: Cancel = NEVER,
) -> Edited:
    """Apply the edits in order, all or none."""
    if not edits:
        raise BadArgument("there are no edits", "Give at least one `{old_text, new_text}`")
    if len(data) > limits.EDIT_BYTES_MAX:
        raise TooLarge(f"the file is over {limits.EDIT_BYTES_MAX // limits.MIB} MiB", "Edit it with another program")
    before = decode(data)
    if not before.exact:
        raise NotText(
            f"the file is not valid {before.encoding.label}, so an edit could damage it", "Repair its encoding first"
        )
    text, places = before.text, []
    for number, one in enumerate(edits, 1):
        cancel.check()
        which = f"edit {number} of {len(edits)}: " if len(edits) > 1 else ""
        text, place = _apply(_View.of(text), _clean(one, before, which), allowed, which)
        places.append(place)
        _check_sum(sum(made.count for made in places))
    if text == before.text:
        raise BadArgument("the edits undo each other: nothing would change", "Leave them out")
    return Edited(encode(text, before.encoding), before, text, tuple(places))


def _clean(one: Replacement, file: Text, which: str) -> Replacement:
    """The edit in the terms of the file: LF line breaks, no byte order mark; or a refusal of what means nothing."""
    if one.count is not None and one.count < 0:
        raise BadArgument(f"{which}`count` is {one.count}", "Leave it out for exactly one match, or give 0 for all")
    if not one.old_text:
        raise BadArgument(
            f"{which}`old_text` is empty", "Quote the text to replace; use `write_file` to create or append"
        )
    for label, text in (("old_text", one.old_text), ("new_text", one.new_text)):
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            raise BadArgument(f"{which}`{label}` holds half a character", "Send whole Unicode characters")
    encode(one.new_text, file.encoding)
    style, mark = count_newlines(file.text).style, "\ufeff" if file.encoding.bom else ""
    old, new = (as_lf(text.removeprefix(mark), style) for text in (one.old_text, one.new_text))
    if old == new:
        hint = "The file's line endings are kept; `write_file` can change them" if one.old_text != one.new_text else ""
        raise BadArgument(f"{which}`old_text` and `new_text` are the same", hint or "Say what it should become")
    if not old:
        raise BadArgument(f"{which}`old_text` is only a byte order mark", "Quote the text to replace")
    return Replacement(old, new, one.count)


@dataclass(frozen=True, slots=True)
class _View:
    """A text, the same with LF line ends, and the way from an index in the second to one in the first."""

    text: str
    lf: str
    newlines: Newlines
    crlf: tuple[int, ...]  # where CRLF stands, in `lf`; only for mixed files

    @classmethod
    def of(cls, text: str) -> _View:
        newlines = count_newlines(text)
        style = newlines.style
        if style is Newline.CR:
            return cls(text, text.replace("\r", "\n"), newlines, ())
        if style in (Newline.LF, Newline.NONE):
            return cls(text, text, newlines, ())
        mixed = (found.start() - before for before, found in enumerate(re.finditer("\r\n", text)))
        return cls(text, text.replace("\r\n", "\n"), newlines, tuple(mixed) if style is Newline.MIXED else ())

    def index(self, at: int) -> int:
        """Where an index in `lf` is in the text; the first half of a CRLF stands for it."""
        if self.newlines.style is Newline.CRLF:
            return at + self.lf.count("\n", 0, at)
        return at + bisect_left(self.crlf, at)

    def break_at(self, at: int) -> str:
        """The line break that the LF at an index in `lf` stands for."""
        start = self.index(at)
        return "\r\n" if self.text.startswith("\r\n", start) else self.text[start]

    def break_near(self, start: int, end: int) -> str:
        """The line break to use between two indices: one replaced, else the next one, else the one before."""
        at = self.lf.find("\n", start)
        if at < 0:
            at = self.lf.rfind("\n", 0, end)
        return self.newlines.usual if at < 0 else self.break_at(at)

    def replaced(self, spans: Iterable[Span]) -> str:
        """The text with the spans, which are in order and apart, replaced."""
        pieces: list[str] = []
        done = 0
        for span in spans:
            start, end, new = _trimmed(self.lf, span)
            first = self.index(start)
            pieces += (self.text[done:first], self._with_breaks(start, end, new))
            done = self.index(end)
        return "".join([*pieces, self.text[done:]])

    def _with_breaks(self, start: int, end: int, new: str) -> str:
        """New text with the file's own line breaks in the place of its LFs."""
        lines = new.split("\n")
        if len(lines) == 1 or self.newlines.style in (Newline.LF, Newline.NONE):
            return new
        if self.newlines.style is Newline.MIXED and self.lf.count("\n", start, end) == len(lines) - 1:
            breaks = [self.break_at(found.start() + start) for found in re.finditer("\n", self.lf[start:end])]
            return "".join(line + mark for line, mark in zip(lines, [*breaks, ""], strict=True))
        return self.break_near(start, end).join(lines)


def _trimmed(lf: str, span: Span) -> tuple[int, int, str]:
    """The span without what its old and new text begin and end with alike."""
    old, new = lf[span.start : span.end], span.new_text
    front = common_prefix(old, new)
    back = common_prefix(old[front:][::-1], new[front:][::-1])
    return span.start + front, span.end - back, new[front : len(new) - back]


def common_prefix(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning; halving, so compared at memory speed."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _apply(view: _View, one: Replacement, allowed: Whitespace, which: str) -> tuple[str, Place]:
    """Make one edit."""
    first = view.lf.find(one.old_text)
    if first >= 0:
        count = _counted(view.lf, one, first, which)
        starts = _starts(view.lf, one.old_text, len(one.old_text))
        spans: Iterator[Span] = (Span(at, at + len(one.old_text), one.new_text) for at in starts)
        lines = line_numbers(view.lf, _starts(view.lf, one.old_text, len(one.old_text)))
        used = Whitespace.EXACT
    elif allowed is Whitespace.TOLERANT and (blocks := whitespace.find(view.lf, one.old_text)):
        count = len(blocks)
        lines = tuple(block.line for block in blocks[:LINES_LISTED_MAX])
        _check_count(one.count, count, overlap=any(a.end > b.start for a, b in pairwise(blocks)), lines=lines,
                     which=which)  # fmt: skip
        spans = (Span(*fitted) for fitted in whitespace.fit(view.lf, blocks, one.old_text, one.new_text))
        used = Whitespace.TOLERANT
    else:
        message, hint = nearest.explain(view.lf, one.old_text, tolerant=allowed is Whitespace.TOLERANT)
        raise NoMatch(f"{which}{message}", hint)
    growth = (len(one.new_text) - len(one.old_text)) * count
    if len(view.text) + growth > limits.EDIT_BYTES_MAX:
        raise TooLarge(f"{which}the file would grow over {limits.EDIT_BYTES_MAX // limits.MIB} MiB", "Replace less")
    text = view.replaced(spans)
    if text == view.text:
        raise BadArgument(f"{which}nothing would change", "Say what it should become")
    return text, Place(lines, count, used)


def _counted(lf: str, one: Replacement, first: int, which: str) -> int:
    """How often the text to replace is there, if that is as often as was said."""
    count = lf.count(one.old_text)
    _check_sum(count)
    overlap = count == 1 and one.count != EVERY and lf.find(one.old_text, first + 1) >= 0
    if one.count != EVERY and (count != (one.count or 1) or overlap):
        step = 1 if overlap else len(one.old_text)
        lines = line_numbers(lf, _starts(lf, one.old_text, step))
        _check_count(one.count, count, overlap=overlap, lines=lines, which=which)
    return count


def _check_sum(count: int) -> None:
    """Refuse more matches than can be replaced while somebody waits."""
    if count > limits.EDIT_MATCHES_MAX:
        raise TooLarge(f"{count:,} matches are more than {limits.EDIT_MATCHES_MAX:,}", "Replace fewer at a time")


def _check_count(wanted: int | None, count: int, *, overlap: bool, lines: Sequence[int], which: str) -> None:
    """Refuse when the matches are not as many as was said, naming their lines."""
    if overlap:
        raise NoMatch(
            f"{which}`old_text` matches at overlapping places: {_listed(lines, len(lines))}",
            "Quote more of the text around the one meant",
        )
    if wanted == EVERY or count == (wanted or 1):
        return
    if wanted is None:
        hint = f"Quote more of the text around the one meant, or set `count` to {count}"
        raise NoMatch(f"{which}`old_text` matches {count:,} times: {_listed(lines, count)}", hint)
    times = "once" if count == 1 else f"{count:,} times"
    raise NoMatch(
        f"{which}`old_text` matches {times}, not {wanted:,}: {_listed(lines, count)}", f"Set `count` to {count}"
    )


def _listed(lines: Sequence[int], count: int) -> str:
    different = dict.fromkeys(lines)
    word = "line" if len(different) == 1 else "lines"
    more = f" and {count - len(lines):,} more" if count > len(lines) else ""
    return f"{word} {', '.join(f'{line:,}' for line in different)}{more}"


def _starts(text: str, part: str, step: int) -> Iterator[int]:
    """Where a part is found, each search beginning `step` after the match before."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + step)


def line_numbers(lf: str, starts: Iterable[int]) -> tuple[int, ...]:
    """The lines that the first of some places, in order, are on."""
    lines, line, done = [], 1, 0
    for start in islice(starts, LINES_LISTED_MAX):
        line += lf.count("\n", done, start)
        done = start
        lines.append(line)
    return tuple(lines)

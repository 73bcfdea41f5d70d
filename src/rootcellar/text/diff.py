"""What changed between two texts, as a unified diff of bounded size, quick for large files with small changes.

Equal beginnings and ends are found at memory speed. Between them, lines that occur once in both are the anchors
(patience), and only the small gaps that remain are compared line by line; a gap too large for that is shown as
replaced whole. A carriage return is shown as ␍ where line endings differ within the texts.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rootcellar import limits
from rootcellar.text.decode import Newline, count_newlines, presentable

CONTEXT_LINES: Final = 3
DIFF_CHARS_MAX: Final = 20_000  # an answer: enough to check an edit by, not a second copy of the file
_PAIRS_MAX: Final = 250_000  # comparisons that one gap may cost

Opcode = tuple[int, int, int, int]  # lines a0:a1 became lines b0:b1


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff; `omitted` hunks did not fit."""

    text: str
    added: int
    removed: int
    hunks: int
    omitted: int


def unified(before: str, after: str, name: str, chars_max: int = DIFF_CHARS_MAX) -> str:
    """The text of a bounded unified diff."""
    return diff(before, after, name, chars_max).text


def diff(before: str, after: str, name: str, chars_max: int = DIFF_CHARS_MAX) -> Diff:
    """Compare two texts; an empty `text` means that they are equal."""
    styles = {count_newlines(before).style, count_newlines(after).style} - {Newline.NONE}
    end = "\r" if styles == {Newline.CR} else "\n"
    a, b = _lines(before, end), _lines(after, end)
    changes = stretches(a, b)
    if not changes:
        return Diff("", 0, 0, 0, 0)
    plain = len(styles) == 1 and Newline.MIXED not in styles
    hunks = list(_hunks(changes, len(a)))
    pieces, left, shown = [f"--- a/{name}\n+++ b/{name}\n"], chars_max, 0
    for hunk in hunks:
        piece = "".join(_rows(a, b, hunk, end, plain_ends=plain))
        if len(piece) > left and shown:
            break
        if len(piece) > left:
            piece = _cut(piece, left)
        pieces.append(piece)
        left -= len(piece)
        shown += 1
    added, removed = sum(c[3] - c[2] for c in changes), sum(c[1] - c[0] for c in changes)
    rest = hunks[shown:]
    if rest:
        more = sum(c[3] - c[2] for hunk in rest for c in hunk), sum(c[1] - c[0] for hunk in rest for c in hunk)
        pieces.append(f"... {len(rest):,} more hunks not shown (+{more[0]:,} -{more[1]:,} lines)\n")
    return Diff("".join(pieces), added, removed, len(hunks), len(rest))


def _lines(text: str, end: str) -> list[str]:
    """The lines with their ends."""
    lines = [line + end for line in text.split(end)]
    if lines[-1] == end:
        lines.pop()
    else:
        lines[-1] = lines[-1][:-1]
    return lines


def stretches(a: Sequence[str], b: Sequence[str]) -> list[Opcode]:
    """The changed stretches, in order."""
    shortest = min(len(a), len(b))
    front = next((n for n in range(shortest) if a[n] != b[n]), shortest)
    back = next((n for n in range(shortest - front) if a[-1 - n] != b[-1 - n]), shortest - front)
    a1, b1 = len(a) - back, len(b) - back
    changes: list[Opcode] = []
    at_a, at_b = front, front
    for anchor_a, anchor_b in [*_anchors(a[front:a1], b[front:b1]), (a1 - front, b1 - front)]:
        changes += _gap(a, b, (at_a, front + anchor_a, at_b, front + anchor_b))
        at_a, at_b = front + anchor_a + 1, front + anchor_b + 1
    return _joined(changes)


def _joined(changes: Sequence[Opcode]) -> list[Opcode]:
    """Stretches that touch, as one."""
    joined: list[Opcode] = []
    for change in changes:
        if joined and joined[-1][1] == change[0] and joined[-1][3] == change[2]:
            joined[-1] = (joined[-1][0], change[1], joined[-1][2], change[3])
        else:
            joined.append(change)
    return joined


def _anchors(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The longest ordered series of lines that occur once in both."""
    once_a, once_b = ({line for line, count in Counter(side).items() if count == 1} for side in (a, b))
    where = {line: n for n, line in enumerate(b) if line in once_b}
    pairs = [(n, where[line]) for n, line in enumerate(a) if line in once_a and line in where]
    tops: list[int] = []  # the smallest end of a series of each length
    ends: list[int] = []  # which pair that is
    before: list[int] = []
    for index, (_, at_b) in enumerate(pairs):
        length = bisect_left(tops, at_b)
        before.append(ends[length - 1] if length else -1)
        if length == len(tops):
            tops.append(at_b)
            ends.append(index)
        else:
            tops[length], ends[length] = at_b, index
    series, index = [], ends[-1] if ends else -1
    while index >= 0:
        series.append(pairs[index])
        index = before[index]
    return series[::-1]


def _gap(a: Sequence[str], b: Sequence[str], gap: Opcode) -> list[Opcode]:
    """The changed stretches of the lines between two anchors."""
    a0, a1, b0, b1 = gap
    while a0 < a1 and b0 < b1 and a[a0] == b[b0]:
        a0, b0 = a0 + 1, b0 + 1
    while a0 < a1 and b0 < b1 and a[a1 - 1] == b[b1 - 1]:
        a1, b1 = a1 - 1, b1 - 1
    if a0 == a1 and b0 == b1:
        return []
    if a0 == a1 or b0 == b1 or (a1 - a0) * (b1 - b0) > _PAIRS_MAX:
        return [(a0, a1, b0, b1)]
    matcher = difflib.SequenceMatcher(None, a[a0:a1], b[b0:b1], autojunk=False)
    return [(a0 + i0, a0 + i1, b0 + j0, b0 + j1) for tag, i0, i1, j0, j1 in matcher.get_opcodes() if tag != "equal"]


def _hunks(changes: Sequence[Opcode], length: int) -> Iterator[list[Opcode]]:
    """Changes near each other, together."""
    hunk: list[Opcode] = []
    for change in changes:
        if hunk and change[0] - hunk[-1][1] > 2 * CONTEXT_LINES:
            yield hunk
            hunk = []
        hunk.append(change)
    if hunk:
        yield hunk
    assert hunk[-1][1] <= length


def _rows(a: Sequence[str], b: Sequence[str], hunk: Sequence[Opcode], end: str, *, plain_ends: bool) -> Iterator[str]:
    """A hunk's header and lines."""
    a0, b0 = max(0, hunk[0][0] - CONTEXT_LINES), max(0, hunk[0][2] - CONTEXT_LINES)
    a1, b1 = min(len(a), hunk[-1][1] + CONTEXT_LINES), min(len(b), hunk[-1][3] + CONTEXT_LINES)
    yield f"@@ -{_range(a0, a1)} +{_range(b0, b1)} @@\n"
    at = a0
    for i0, i1, j0, j1 in hunk:
        yield from (_row(" ", line, end, plain_ends=plain_ends) for line in a[at:i0])
        yield from (_row("-", line, end, plain_ends=plain_ends) for line in a[i0:i1])
        yield from (_row("+", line, end, plain_ends=plain_ends) for line in b[j0:j1])
        at = i1
    yield from (_row(" ", line, end, plain_ends=plain_ends) for line in a[at:a1])


def _range(start: int, stop: int) -> str:
    """A hunk's range as `patch` reads it."""
    if stop - start == 1:
        return str(start + 1)
    return f"{start + (stop > start)},{stop - start}"


def _row(sign: str, line: str, end: str, *, plain_ends: bool) -> str:
    """One line, cut if it is very long, saying so if it has no end."""
    body = line.removesuffix(end)
    missing = "" if line.endswith(end) else "\n\\ No newline at end of file"
    if end == "\n":
        body = body.removesuffix("\r") if plain_ends and not missing else body
        body = body.replace("\r", "\u240d")
    if len(body) > limits.LINE_CHARS_MAX:
        body = f"{body[: limits.LINE_CHARS_MAX]}... (+{len(body) - limits.LINE_CHARS_MAX:,} characters)"
    return f"{sign}{presentable(body)}{missing}\n"


def _cut(piece: str, chars: int) -> str:
    """The first lines of a hunk that is too large alone."""
    at = piece.rfind("\n", 0, max(chars, piece.index("\n") + 1)) + 1
    return f"{piece[:at]}... {piece.count(chr(10), at):,} more lines of this hunk not shown\n"

"""Matching text without regard to indentation and trailing whitespace, and fitting new text into the place found.

Only whole lines are compared, each stripped; so `return 1` never matches inside `return 10`. The new lines take the
indentation of the file: what the quoted lines had and what the file has in their place give the translation, levels
beyond it are carried over in the file's own unit, and lines that the edit leaves alone stay the file's, byte by byte.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_BLANK: Final = " \t\r"
BLOCKS_MAX: Final = 10_000
_ALIGNED_LINES_MAX: Final = 400  # longer replacements are aligned at their ends only


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines: the number of the first, and where they are, without the last line's end."""

    line: int
    start: int
    end: int


def find(lf: str, old: str) -> list[Block]:
    """Every block of lines that equals the quoted ones but for whitespace at their ends; blocks may overlap."""
    wanted = [line.strip(_BLANK) for line in _lines(old)]
    if not any(wanted):
        return []
    lines = lf.split("\n")
    stripped = "\n".join(["", *(line.strip(_BLANK) for line in lines), ""])
    needle = "\n".join(["", *wanted, ""])
    blocks: list[Block] = []
    at, seen, line, start = stripped.find(needle), 0, 0, 0
    while at >= 0 and len(blocks) < BLOCKS_MAX:
        ahead = stripped.count("\n", seen, at)
        start += sum(map(len, lines[line : line + ahead])) + ahead
        line, seen = line + ahead, at
        size = sum(map(len, lines[line : line + len(wanted)])) + len(wanted) - 1
        blocks.append(Block(line + 1, start, start + size))
        at = stripped.find(needle, at + 1)
    return blocks


def _lines(text: str) -> list[str]:
    """The lines of a quotation; a final line break only ends the last of them."""
    return text.removesuffix("\n").split("\n")


def fit(lf: str, blocks: Sequence[Block], old: str, new: str) -> list[tuple[int, int, str]]:
    """What to replace and by what, for each block: the new lines, indented as the place is."""
    if not new and old.endswith("\n"):
        return [(block.start, min(block.end + 1, len(lf)), "") for block in blocks]
    old_lines = _lines(old)
    new_lines = _lines(new) if old.endswith("\n") else new.split("\n")
    kept = _kept(old_lines, new_lines)
    step = _step(lf)
    fitted = []
    for block in blocks:
        there = lf[block.start : block.end].split("\n")
        translate = _Translation.of(old_lines, there, new_lines, step)
        rows = (there[kept[n]] if n in kept else translate.line(line) for n, line in enumerate(new_lines))
        fitted.append((block.start, block.end, "\n".join(rows)))
    return fitted


def _kept(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Which new lines are which old ones, unchanged but for whitespace outside."""
    before, after = [line.strip(_BLANK) for line in old], [line.strip(_BLANK) for line in new]
    if max(len(before), len(after)) <= _ALIGNED_LINES_MAX:
        matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
        same = {b + k: a + k for a, b, size in matcher.get_matching_blocks() for k in range(size)}
    else:
        same = {}
        for n in range(min(len(before), len(after))):
            if before[n] != after[n]:
                break
            same[n] = n
    # A line whose own indentation the edit changes is a changed line, even if its words are the same.
    return {n: k for n, k in same.items() if indent(old[k]) == indent(new[n]) or not after[n]}


def indent(line: str) -> str:
    """The spaces and tabs a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def _step(lf: str) -> int:
    """How many spaces one level of the file usually is; 0 when it is indented with tabs."""
    counts: dict[int, int] = {}
    tabs, before = 0, 0
    for line in lf[:200_000].split("\n"):
        if not line.strip(_BLANK):
            continue
        lead = indent(line)
        tabs += lead.startswith("\t")
        if lead.count(" ") == len(lead):
            if len(lead) - before in (2, 3, 4, 8):
                counts[len(lead) - before] = counts.get(len(lead) - before, 0) + 1
            before = len(lead)
    if tabs > sum(counts.values()):
        return 0
    return max(counts, key=lambda step: (counts[step], -step)) if counts else 4


@dataclass(frozen=True, slots=True)
class _Translation:
    """From the indentation that an edit was written in to the file's."""

    pairs: dict[str, str]
    written: int  # spaces of one level in the edit
    unit: str  # one level in the file

    @classmethod
    def of(cls, old: Sequence[str], there: Sequence[str], new: Sequence[str], step: int) -> _Translation:
        pairs: dict[str, str] = {}
        for quoted, real in zip(old, there, strict=True):
            if real.strip(_BLANK):
                pairs.setdefault(indent(quoted), indent(real))
        widths = {len(indent(line)) for line in (*old, *new) if line.strip(_BLANK) and "\t" not in indent(line)}
        floor = min(widths, default=0)
        written = math.gcd(*(width - floor for width in widths)) or step or 4
        tabs = [real for real in pairs.values() if "\t" in real]
        spaces = any(real and "\t" not in real for real in pairs.values())
        unit = "\t" if tabs or (not spaces and step == 0) else " " * (step or 4)
        return cls(pairs, written, _slope(pairs, written) or unit)

    def line(self, line: str) -> str:
        """One new line, indented for its place."""
        body = line.lstrip(" \t")
        return self.lead(indent(line)) + body if body.strip(_BLANK) else ""

    def lead(self, lead: str) -> str:
        """The file's indentation for one of the edit's."""
        if lead in self.pairs:
            return self.pairs[lead]
        inner = [known for known in self.pairs if lead.startswith(known)]
        if inner:
            known = max(inner, key=len)
            return self.pairs[known] + self.levels(lead[len(known) :])
        outer = [known for known in self.pairs if known.startswith(lead)]
        if outer:
            known = min(outer, key=len)
            real, less = self.pairs[known], self.levels(known[len(lead) :])
            return real.removesuffix(less) if real.endswith(less) else real[: max(0, len(real) - len(less))]
        return lead

    def levels(self, extra: str) -> str:
        """Some more indentation, in the file's unit; what is no whole level is alignment and stays."""
        if not extra.strip("\t"):
            return self.unit * len(extra)
        if not extra.strip(" "):
            levels, rest = divmod(len(extra), self.written)
            return self.unit * levels + " " * rest
        return extra


def _slope(pairs: dict[str, str], written: int) -> str:
    """One level of the file, where two known pairs are exactly some levels apart; else nothing."""
    known = sorted(pairs, key=len)
    for near in known:
        for far in known:
            real_near, real_far = pairs[near], pairs[far]
            if len(far) > len(near) and far.startswith(near) and real_far.startswith(real_near):
                extra, real = far[len(near) :], real_far[len(real_near) :]
                levels = len(extra) if not extra.strip("\t") else len(extra) // written
                if real and levels and len(real) % levels == 0 and len(set(real)) == 1:
                    return real[: len(real) // levels]
    return ""

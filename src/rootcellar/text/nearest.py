"""Why a text to replace was not found, and what comes nearest to it.

Threat: a search for likeness that takes minutes on a large file. Every step here is one pass at memory speed or a
bounded number of comparisons of bounded lines; nothing depends on the product of two lengths.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final

from rootcellar.text import whitespace

PLACES_MAX: Final = 3
SHOWN_CHARS: Final = 120
_OLD_LINES_MAX: Final = 400  # quoted lines that are looked for
_SAME_LINE_MAX: Final = 50  # places where one quoted line is found
_WORDS_MAX: Final = 6
_HITS_MAX: Final = 20  # places where one word is looked at
_WINDOW_CHARS: Final = 200
_ALIKE: Final = 0.6

# Characters that look like others: typographic quotes and dashes, and spaces that are not the space.
_LOOKALIKES: Final = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
        "\u2010": "-", "\u2011": "-", "\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u3000": " ",
    }
)  # fmt: skip
_ESCAPED: Final = re.compile(r"""\\(["'\\/nt])""")
_PLAIN: Final = {"n": "\n", "t": "\t"}
_NUMBERED: Final = re.compile(r"^ *\d+(?:\t|: ?|\| ?|→|\. )")


def explain(lf: str, old: str, *, tolerant: bool) -> tuple[str, str]:
    """What stands in the file instead of the quoted text, and the next step."""
    missing = "`old_text` is not in the file"
    for why, hint in _slips(lf, old, tolerant=tolerant):
        return f"{missing}: {why}", hint
    places = _by_lines(lf, old) or _by_words(lf, old)
    if not places:
        return f"{missing}, and nothing in it is like it", "Read the file again and quote it exactly"
    return f"{missing}; nearest: {'; '.join(places)}", "Read these lines again and quote them exactly"


def _slips(lf: str, old: str, *, tolerant: bool) -> Iterator[tuple[str, str]]:
    """The usual slips, each proven by finding the text once it is undone."""
    if "\ufffd" in old:
        hint = "Quote the text around it instead"
        yield "it holds U+FFFD, which stands for bytes that are not in the file's encoding", hint
    if not tolerant and (blocks := whitespace.find(lf, old)):
        start = blocks[0].start
        where = _difference(lf[start : blocks[0].end].split("\n"), old.split("\n"), blocks[0].line)
        more = f" (and {len(blocks) - 1:,} more places)" if len(blocks) > 1 else ""
        yield f"it differs in whitespace: {where}{more}", "Quote it exactly, or set `ignore_whitespace`"
    numbered = [_NUMBERED.sub("", line) for line in old.split("\n")]
    if all(_NUMBERED.match(line) for line in old.removesuffix("\n").split("\n")) and "\n".join(numbered) in lf:
        yield "its lines begin with line numbers", "Leave the line numbers out"
    if "\\" in old:
        at = lf.find(_ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[1]), old))
        if at >= 0:
            yield f"without its extra backslashes it is at line {_line(lf, at):,}", "Escape it once less"
    at = lf.translate(_LOOKALIKES).find(old.translate(_LOOKALIKES))
    if at >= 0:
        there = lf[at : at + len(old)]
        n = next(n for n, (a, b) in enumerate(zip(there, old, strict=True)) if a != b)
        characters = f"U+{ord(there[n]):04X} where `old_text` has U+{ord(old[n]):04X}"
        yield f"line {_line(lf, at + n):,} has {characters}", "Quote the file's own characters"
    small = lf.lower()
    at = small.find(old.lower()) if len(small) == len(lf) else -1
    if at >= 0:
        there = lf[at : at + len(old)]
        n = next((n for n, (a, b) in enumerate(zip(there, old, strict=False)) if a != b), 0)
        shown = f"`{_shown(there, n)}` where `old_text` has `{_shown(old, n)}`"
        yield f"line {_line(lf, at + n):,} has {shown}", "Mind capital and small letters"


def _by_lines(lf: str, old: str) -> list[str]:
    """The places where most of the quoted lines are found in order."""
    quoted = old.removesuffix("\n").split("\n")
    wanted: dict[str, list[int]] = {}
    for n, line in enumerate(quoted[:_OLD_LINES_MAX]):
        if len(line.strip()) > 2:  # noqa: PLR2004 - a lone bracket is everywhere
            wanted.setdefault(line.strip(), []).append(n)
    if not wanted or len(quoted) == 1:
        return []
    lines, found = lf.split("\n"), Counter[str]()
    votes = Counter[int]()
    for number, line in enumerate(lines):
        stripped = line.strip()
        if stripped in wanted:
            found[stripped] += 1
            if found[stripped] <= _SAME_LINE_MAX:
                votes.update(number - n for n in wanted[stripped][:_SAME_LINE_MAX] if number >= n)
    best = sorted(votes, key=lambda start: (-votes[start], start))[:PLACES_MAX]
    if best:  # a place with far fewer lines in common is no help
        best = [start for start in best if votes[start] * 2 > votes[best[0]]]
    return [_difference(lines[start : start + len(quoted)], quoted, start + 1) for start in best]


def _by_words(lf: str, old: str) -> list[str]:
    """The lines that hold the longest words of the quoted text and are most like its line."""
    scored: dict[int, tuple[float, str, str]] = {}
    quoted = max(old.split("\n")[:_OLD_LINES_MAX], key=lambda line: len(line.strip())).strip()[:_WINDOW_CHARS]
    words = sorted(set(re.findall(r"\w{3,}", quoted)), key=lambda word: (-len(word), word))[:_WORDS_MAX]
    matcher = SequenceMatcher(b=quoted, autojunk=False)
    for word in words:
        at = lf.find(word)
        for _ in range(_HITS_MAX):
            if at < 0:
                break
            start = max(lf.rfind("\n", max(0, at - _WINDOW_CHARS), at) + 1, at - _WINDOW_CHARS, 0)
            end = lf.find("\n", at, at + _WINDOW_CHARS)
            line = lf[start : end if end >= 0 else at + _WINDOW_CHARS].strip()
            if start not in scored:
                matcher.set_seq1(line)
                alike = matcher.ratio() if matcher.quick_ratio() >= _ALIKE else 0.0
                scored[start] = (alike, line, quoted)
            at = lf.find(word, start + len(line) + 1)
    best = sorted((start for start in scored if scored[start][0] >= _ALIKE), key=lambda s: (-scored[s][0], s))
    return [_difference([scored[start][1]], [quoted], _line(lf, start)) for start in best[:PLACES_MAX]]


def _difference(there: list[str], quoted: list[str], first: int) -> str:
    """The first line where a place differs from the quoted text."""
    last = len(quoted) - 1
    for n, (real, asked) in enumerate(zip(there, quoted, strict=False)):
        partly = last and ((n == 0 and real.endswith(asked)) or (n == last and real.startswith(asked)))
        if real != asked and not partly:
            shortest = min(len(real), len(asked))
            at = next((k for k in range(shortest) if real[k] != asked[k]), shortest)
            return f"line {first + n:,} is `{_shown(real, at)}` where `old_text` has `{_shown(asked, at)}`"
    return f"line {first + len(there) - 1:,} is the last of the file, where `old_text` goes on"


def _shown(line: str, at: int) -> str:
    """A line with its tabs and returns visible, cut around the difference."""
    start = max(0, min(at - SHOWN_CHARS // 2, len(line) - SHOWN_CHARS))
    part = line[start : start + SHOWN_CHARS]
    part = part.replace("\t", "\\t").replace("\r", "\\r").replace("\n", "\\n")
    return ("..." if start else "") + part + ("..." if start + SHOWN_CHARS < len(line) else "")


def _line(lf: str, at: int) -> int:
    return lf.count("\n", 0, at) + 1

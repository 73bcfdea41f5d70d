"""File name patterns: `*`, `?`, `[a-z]`, `{a,b}` and `**` over paths with forward slashes.

A pattern without a slash matches the name at any depth; one with a slash matches the whole path from the directory
searched. Threat: a pattern that makes matching slow. Braces are multiplied out under a cap, and every `*` and `**` but
the last becomes an atomic group (leftmost is as good as any for a glob), so a match never backtracks over two of them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Final

from rootcellar.errors import BadArgument

PATTERN_CHARS_MAX: Final = 1_000
ALTERNATIVES_MAX: Final = 200
_ESCAPABLE: Final = frozenset("*?[]{}\\,!^-# ")
_NEVER: Final = "(?!)"


class Case(Enum):
    """Whether capital and small letters are told apart."""

    EXACT = "exact"
    FOLD = "fold"


class Unclosed(ValueError):  # noqa: N818 - becomes a refusal, or a rule that is passed over
    """A bracket or an escape that never ends."""


@dataclass(frozen=True, slots=True)
class Glob:
    """One compiled pattern."""

    pattern: str
    regex: re.Pattern[str]
    by_name: bool
    ascii_only: bool

    def matches(self, path: str) -> bool:
        """Whether a relative path with forward slashes matches; the whole of it does, or its last name."""
        subject = path[path.rfind("/") + 1 :] if self.by_name else path
        if self.regex.fullmatch(subject) is not None:
            return True
        if self.ascii_only and subject.isascii():
            return False
        return self.regex.fullmatch(unicodedata.normalize("NFC", subject)) is not None


@dataclass(frozen=True, slots=True)
class Globs:
    """Several patterns, any of which may match, as one test."""

    globs: tuple[Glob, ...]
    names: re.Pattern[str] | None = field(init=False)

    def __post_init__(self) -> None:
        simple = [glob for glob in self.globs if glob.by_name]
        flags = ("is" if glob.regex.flags & re.IGNORECASE else "s" for glob in simple)
        body = "|".join(f"(?{flag}:{glob.regex.pattern})" for flag, glob in zip(flags, simple, strict=True))
        object.__setattr__(self, "names", re.compile(body) if simple else None)

    def match(self, parents: tuple[str, ...], name: str) -> bool:
        """Whether the name matches, or its path below where the search began."""
        if self.names is not None and self.names.fullmatch(name) is not None:
            return True
        if self.names is not None and not name.isascii() and any(glob.matches(name) for glob in self.globs):
            return True
        if all(glob.by_name for glob in self.globs):
            return False
        path = "/".join((*parents, name))
        return any(glob.matches(path) for glob in self.globs if not glob.by_name)


def compile_glob(pattern: str, case: Case = Case.EXACT) -> Glob:
    """Compile a pattern, or say what is wrong with it."""
    _check(pattern)
    cleaned = unicodedata.normalize("NFC", pattern).removeprefix("./")
    by_name = "/" not in cleaned.rstrip("/") and not cleaned.startswith("/")
    if cleaned.endswith("/"):
        cleaned, by_name = cleaned + "**", False
        if "/" not in cleaned.removesuffix("/**"):
            cleaned = "**/" + cleaned
    try:
        bodies = [path_regex(one.strip("/").split("/")) for one in expand(cleaned)]
    except Unclosed as error:
        raise BadArgument(f"the pattern `{_shown(pattern)}` has {error}", _ESCAPE_HINT) from error
    flags = re.DOTALL | (re.IGNORECASE if case is Case.FOLD else 0)
    return Glob(pattern, re.compile("|".join(bodies), flags), by_name, pattern.isascii())


_ESCAPE_HINT: Final = "Close it, or put a backslash before a character meant as itself, as in `\\[id\\].tsx`"


def _shown(pattern: str) -> str:
    return pattern if len(pattern) <= 80 else pattern[:80] + "..."  # noqa: PLR2004 - enough to recognise it


def _check(pattern: str) -> None:
    """Refuse what cannot mean anything."""
    if not pattern.strip("/"):
        raise BadArgument("the pattern is empty", "Give a name pattern such as `*.py` or `src/**/test_*.py`")
    if len(pattern) > PATTERN_CHARS_MAX:
        raise BadArgument(f"the pattern is longer than {PATTERN_CHARS_MAX:,} characters", "Use a shorter one")
    if "\0" in pattern:
        raise BadArgument("the pattern holds a NUL character", "Remove it")
    if any(part == ".." for part in pattern.split("/")):
        raise BadArgument(
            f"the pattern `{_shown(pattern)}` leads upwards", "Name the directory to search in as `path`, without `..`"
        )
    for at in re.finditer(r"\\(.)", pattern):
        if at[1] not in _ESCAPABLE:
            raise BadArgument(
                f"the pattern `{_shown(pattern)}` holds a backslash before `{at[1]}`",
                "Separate directories with `/`; a backslash only goes before a special character",
            )


def expand(pattern: str) -> list[str]:
    """Multiply out the braces: `a{b,c}` is `ab` and `ac`."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        one = waiting.pop()
        found = _first_brace(one)
        if found is None:
            done.append(one)
        else:
            start, commas, end = found
            cuts = [start, *commas, end]
            middles = [one[a + 1 : b] for a, b in pairwise(cuts)]
            waiting.extend(one[:start] + middle + one[end + 1 :] for middle in reversed(middles))
        if len(done) + len(waiting) > ALTERNATIVES_MAX:
            raise BadArgument(
                f"the braces in the pattern stand for more than {ALTERNATIVES_MAX} patterns", "Use fewer alternatives"
            )
    return done


def _first_brace(pattern: str) -> tuple[int, list[int], int] | None:
    """Where the first brace group begins, its own commas, and where it ends."""
    start, depth, at = -1, 0, 0
    commas: list[int] = []
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _bracket_end(pattern, at)
        elif char == "{":
            depth += 1
            start = at if depth == 1 else start
        elif char == "," and depth == 1:
            commas.append(at)
        elif char == "}" and depth:
            depth -= 1
            if depth == 0:
                return start, commas, at
        at += 1
    if depth:
        raise Unclosed("a `{` that is never closed")
    return None


def _bracket_end(pattern: str, start: int) -> int:
    """The index of the `]` that closes the bracket at `start`."""
    at = start + 1
    if pattern[at : at + 1] in ("!", "^"):
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "]":
            return at
        elif pattern[at] == "/":
            break
        at += 1
    raise Unclosed("a `[` that is never closed")


def path_regex(parts: list[str]) -> str:
    """The regular expression of a whole path, given its components."""
    segments: list[list[str]] = [[]]
    for part in parts:
        if part == "**":
            segments.append([])
        elif part not in ("", "."):
            segments[-1].append(name_regex(part))
    head, *rest = segments
    regex = "/".join(head)
    if not rest:
        return regex
    regex += "/" if head else ""
    *middle, last = rest
    for names in middle:
        if names:  # leftmost is right: what follows is `**` again
            regex += "(?>(?:[^/]+/)*?" + "/".join(names) + "/)"
    return regex + ("(?:[^/]+/)*" + "/".join(last) if last else ".+")


def name_regex(pattern: str) -> str:
    """The regular expression of one component."""
    pieces: list[str] = [""]  # the fixed runs between stars
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            pieces.append("")
            while pattern[at + 1 : at + 2] == "*":
                at += 1
        elif char == "?":
            pieces[-1] += "[^/]"
        elif char == "[":
            end = _bracket_end(pattern, at)
            pieces[-1] += _bracket(pattern[at + 1 : end])
            at = end
        elif char == "\\":
            at += 1
            if at == len(pattern):
                raise Unclosed("a backslash at its end")
            pieces[-1] += re.escape(pattern[at])
        else:
            pieces[-1] += re.escape(char)
        at += 1
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle if piece) + "[^/]*" + last


def _bracket(inside: str) -> str:
    """A character class, never matching a slash."""
    negated = inside[:1] in ("!", "^")
    chars, ranges, at = inside[1:] if negated else inside, "", 0
    singles: list[str] = []
    while at < len(chars):
        if chars[at] == "\\" and at + 1 < len(chars):
            at += 1
        low = chars[at]
        at += 1
        if chars[at : at + 1] == "-" and at + 1 < len(chars):
            at += 1
            if chars[at] == "\\" and at + 1 < len(chars):
                at += 1
            if low <= chars[at]:
                ranges += f"{re.escape(low)}-{re.escape(chars[at])}"
            at += 1
        else:
            singles.append(re.escape(low))
    body = "".join(singles) + ranges
    if negated:
        return f"[^/{body}]"
    return f"(?!/)[{body}]" if body else _NEVER

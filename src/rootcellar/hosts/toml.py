"""TOML, read two ways: `tomllib` says what a text means and whether it is valid, a scanner says where things stand.

The scanner runs only over text that `tomllib` has accepted, so it knows statements and values, not errors.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from rootcellar.hosts.document import Flaw, line_next
from rootcellar.hosts.tree import Node

_WHERE = re.compile(r"\s*\(at line (\d+), column (\d+)\)|\s*\(at end of document\)")
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACES = re.compile(r"[ \t]*+")
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
)
_ATOM = re.compile(r"[^\s#,\[\]{}=\"']++(?: [0-9][^\s#,\[\]{}=\"']*+)?")


@dataclass(frozen=True, slots=True)
class Header:
    """A `[table]` or `[[array of tables]]` line: its name, and the whole lines it stands on."""

    path: tuple[str, ...]
    start: int
    end: int
    brackets: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A `key = value` statement: its full name, its value's span, and the whole lines it stands on."""

    path: tuple[str, ...]
    start: int
    end: int
    value: int
    value_end: int


def parsed(text: str) -> Node:
    """What the text means; Flaw where it is not TOML."""
    try:
        table = tomllib.loads(text, parse_float=_Spelled)
    except tomllib.TOMLDecodeError as error:
        found = _WHERE.search(str(error))
        index = len(text)
        if found and found[1]:
            above = text.replace("\r\n", " \n").split("\n")[: int(found[1]) - 1]  # tomllib counts CRLF as one
            index = min(sum(len(line) + 1 for line in above) + int(found[2]) - 1, len(text))
        what = _WHERE.sub("", str(error))
        raise Flaw(index, f"not TOML: {what[:1].lower()}{what[1:]}") from None
    except RecursionError:
        raise Flaw(0, "nested too deep") from None
    return _node(table)


class _Spelled(str):
    """A float, kept as it is spelled."""

    __slots__ = ()


def _node(value: object) -> Node:
    if isinstance(value, dict):
        return ("map", tuple((key, _node(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return ("seq", tuple(_node(inner) for inner in value))
    if isinstance(value, bool):
        return ("bool", "true" if value else "false")
    if isinstance(value, int | _Spelled):
        return ("num", str(value))
    if isinstance(value, str):
        return ("str", value)
    return (type(value).__name__, str(value))


def statements(text: str) -> Iterator[Header | Pair]:
    """Every table header and every key with its value, in order, with their full names."""
    table: tuple[str, ...] = ()
    index = _skip(text, 0)
    while index < len(text):
        start = text.rfind("\n", 0, index) + 1
        if text[index] == "[":
            brackets = 2 if text.startswith("[[", index) else 1
            table, after = _key(text, index + brackets)
            end = line_next(text, after)
            yield Header(table, start, end, brackets)
        else:
            name, after = _key(text, index)
            value = _spaces(text, after + 1)
            value_end = _value_end(text, value)
            end = line_next(text, value_end)
            yield Pair(table + name, start, end, value, value_end)
        index = _skip(text, end)


def _skip(text: str, index: int) -> int:
    found = _BLANK.match(text, index)
    return found.end() if found else index


def _spaces(text: str, index: int) -> int:
    found = _SPACES.match(text, index)
    return found.end() if found else index


def _key(text: str, index: int) -> tuple[tuple[str, ...], int]:
    """A dotted key, and the index of the `=` or `]` after it."""
    parts: list[str] = []
    while True:
        index = _spaces(text, index)
        found = _BARE.match(text, index) or _STRING.match(text, index)
        if found is None:
            raise Flaw(index, "a key was expected here")
        part = found[0]
        parts.append(part if part[0] not in "\"'" else str(tomllib.loads(f"k = {part}")["k"]))
        index = _spaces(text, found.end())
        if text[index : index + 1] != ".":
            return tuple(parts), index
        index += 1


def _value_end(text: str, index: int) -> int:
    """The end of the value that starts at `index`: brackets are counted, strings and comments stepped over."""
    depth = 0
    while True:
        char = text[index : index + 1]
        if char and char in "[{":
            depth, index = depth + 1, index + 1
        elif char and char in "]}":
            depth, index = depth - 1, index + 1
        elif depth and char == ",":
            index += 1
        else:
            found = _STRING.match(text, index) or _ATOM.match(text, index)
            if found is None:
                raise Flaw(index, "a value was expected here")
            index = found.end()
        if depth == 0:
            return index
        index = _skip(text, index)
        if depth and text[index : index + 1] == "=":  # inside an inline table
            index = _skip(text, index + 1)

"""Splices for TOML: our table is a block of its own at the end of the file; nothing before it moves.

A table that is written inline (`mcp_servers = { ... }`) cannot be extended from outside: that is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from rootcellar.hosts.document import Flaw, Splice
from rootcellar.hosts.toml import Header, Pair, statements
from rootcellar.hosts.tree import Path, Value

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_BLANK_LINE = re.compile(r"(?:\A|\n)[ \t]*\r?\n\Z")


def whole(path: Path, value: Value, eol: str) -> str:
    """The text of a config that holds nothing but our entry."""
    if not isinstance(value, Mapping):
        raise TypeError(value)
    name = ".".join(_key(str(step)) for step in path)
    plain = [f"{_key(key)} = {_rendered(part)}{eol}" for key, part in value.items()]
    return f"[{name}]{eol}{''.join(plain)}"


def additions(text: str, path: Path, value: Value, eol: str) -> Iterator[list[Splice]]:
    """Ways to put `value` at `path`, the best first."""
    names = tuple(map(str, path))
    for statement in statements(text):
        _refuse_closed(text, statement, names)
    lead = "" if not text or text.endswith("\n") else eol
    if text.strip() and not _BLANK_LINE.search(text + lead):
        lead += eol
    yield [Splice(len(text), "", lead + whole(path, value, eol))]


def _refuse_closed(text: str, statement: Header | Pair, names: tuple[str, ...]) -> None:
    """Flaw where a table on our way is closed: inline, an array of tables, or not a table at all."""
    size = len(statement.path)
    if statement.path != names[:size]:
        return
    if isinstance(statement, Pair) and size < len(names):
        kinds = {"{": "an inline table, which cannot be extended", "[": "an array, not a table"}
        what = kinds.get(text[statement.value], "a value, not a table")
        raise Flaw(statement.value, f"`{'.'.join(statement.path)}` is {what}")
    if isinstance(statement, Header) and statement.brackets > 1:
        raise Flaw(statement.start, f"`{'.'.join(statement.path)}` is an array of tables, not a table")


def removals(text: str, path: Path, kept: int) -> Iterator[list[Splice]]:
    """Ways to take out what is at `path`: its tables with their keys, and the blank line in front of each.

    A table that only held ours has no line of its own, so `kept` is met by itself unless it is spelled `[table]`.
    """
    names = tuple(map(str, path))
    spans = _spans(list(statements(text)), names)
    if spans:
        yield [_cut(text, _with_blank_line(text, start), end) for start, end in spans]
        yield [_cut(text, start, end) for start, end in spans]
    if kept < len(path) - 1:
        emptied = _spans(list(statements(text)), names[: kept + 1])
        yield [_cut(text, _with_blank_line(text, start), end) for start, end in emptied]


def _spans(found: Sequence[Header | Pair], names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The lines that say something of `names`, neighbours joined."""
    spans: list[tuple[int, int]] = []
    inside = False
    for statement in found:
        ours = statement.path[: len(names)] == names
        joined = ours and inside and not isinstance(statement, Header)
        if joined:
            spans[-1] = (spans[-1][0], statement.end)
        elif ours:
            spans.append((statement.start, statement.end))
        inside = ours
    return spans


def updates(text: str, path: Path, values: Mapping[str, Value], eol: str) -> Iterator[list[Splice]]:
    """Ways to set keys of the table at `path`, leaving its other keys alone."""
    names = tuple(map(str, path))
    found = list(statements(text))
    header = next((one for one in found if isinstance(one, Header) and one.path == names), None)
    splices: list[Splice] = []
    for key, value in values.items():
        pair = next((one for one in found if isinstance(one, Pair) and one.path == (*names, key)), None)
        if pair is not None:
            splices.append(Splice(pair.value, text[pair.value : pair.value_end], _rendered(value)))
        elif header is not None and text[: header.end].endswith("\n"):
            splices.append(Splice(header.end, "", f"{_key(key)} = {_rendered(value)}{eol}"))
        else:
            return
    yield sorted(splices, key=lambda splice: splice.at)


def replacements(text: str, path: Path, value: Value, eol: str) -> Iterator[list[Splice]]:
    """Ways to put `value` in the place of the whole table at `path`."""
    spans = _spans(list(statements(text)), tuple(map(str, path)))
    if spans:
        start, end = spans[0]
        first = Splice(start, text[start:end], whole(path, value, eol))
        yield [first, *(_cut(text, *span) for span in spans[1:])]


def _with_blank_line(text: str, start: int) -> int:
    """`start`, or where the blank line in front of it begins; at the head of a file there is none to take."""
    before = text[:start]
    found = re.search(r"\n([ \t]*\r?\n)\Z", before)
    return start - len(found[1]) if found else start


def _cut(text: str, start: int, end: int) -> Splice:
    return Splice(start, text[start:end], "")


def _key(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name, ensure_ascii=False)


def _rendered(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a basic string: the same escapes, once DEL is not in it
    if isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_rendered(part)}" for key, part in value.items()) + " }"
    return "[" + ", ".join(map(_rendered, value)) + "]"

"""Splices for JSON: our member goes first in its object, so that no other line changes.

```
{                            {
  "mcpServers": {      ->      "mcpServers": {
    // work                      "rootcellar": { ... },
    "github": { ... }            // work
  }                              "github": { ... }
```
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from rootcellar.hosts.document import Flaw, Splice, indent_of, line_start
from rootcellar.hosts.jsonc import Member, Object, descended, scanned
from rootcellar.hosts.tree import Path, Value

_REST_OF_LINE = re.compile(r"(?:[ \t]|/\*(?:[^*\r\n]|\*(?!/))*+\*/)*+(?://[^\r\n]*+)?")
_SPACES = re.compile(r"[ \t]*")
_FIRST_INDENT = re.compile(r"^([ \t]+)\"", re.MULTILINE)
_LINE_ENDINGS = ("\r", "\n")


def whole(path: Path, value: Value, eol: str) -> str:
    """The text of a config that holds nothing but our entry."""
    return _rendered(_nested(path, value), "", "  ", eol) + eol


def additions(text: str, path: Path, value: Value, eol: str) -> Iterator[list[Splice]]:
    """Ways to put `value` at `path`, the best first."""
    root = scanned(text, path)
    if root is None:
        lead = "" if not text or text.endswith(_LINE_ENDINGS) else eol
        yield [Splice(len(text), "", lead + whole(path, value, eol))]
        return
    objects, known = descended(text, root, path)
    if known == len(path):
        raise Flaw(objects[-1].start, f"`{path[-1]}` is there already")
    yield [_inserted(text, objects, (str(path[known]), _nested(path[known + 1 :], value)), eol)]


def removals(text: str, path: Path, kept: int) -> Iterator[list[Splice]]:
    """Ways to take out what is at `path`; an object deeper than `kept` goes too where that leaves it empty."""
    root = scanned(text, path)
    if root is None:
        return
    objects, known = descended(text, root, path)
    if known < len(path):
        return
    depth = len(path) - 1
    while depth > kept and len(objects[depth].members) == 1:
        depth -= 1
    yield _excised(text, objects[depth], str(path[depth]))


def updates(text: str, path: Path, values: Mapping[str, Value], eol: str) -> Iterator[list[Splice]]:
    """Ways to set members of the object at `path`, leaving its other members alone."""
    root = scanned(text, path)
    if root is None:
        return
    objects, _ = descended(text, root, path)
    member = objects[-1].member(str(path[-1]))
    if member is None or member.inner is None:
        return
    splices: list[Splice] = []
    for key, value in values.items():
        there = member.inner.member(key)
        if there is None:
            splices.append(_inserted(text, [*objects, member.inner], (key, value), eol))
        else:
            indent = indent_of(text, there.start)
            new = _rendered(value, indent, _unit(text, objects), eol)
            splices.append(Splice(there.value, text[there.value : there.end], new))
    yield sorted(splices, key=lambda splice: splice.at)


def replacements(text: str, path: Path, value: Value, eol: str) -> Iterator[list[Splice]]:
    """Ways to put `value` in the place of the whole value at `path`."""
    root = scanned(text, path)
    if root is None:
        return
    objects, _ = descended(text, root, path)
    member = objects[-1].member(str(path[-1]))
    if member is not None:
        new = _rendered(value, indent_of(text, member.start), _unit(text, objects), eol)
        yield [Splice(member.value, text[member.value : member.end], new)]


def _nested(path: Path, value: Value) -> Value:
    for step in reversed(path):
        value = {str(step): value}
    return value


def _unit(text: str, objects: list[Object]) -> str:
    """One level of indentation, as this file has it."""
    for inner in reversed(objects):
        outer, first = indent_of(text, inner.start), inner.members[:1]
        if first and _leads(text, first[0].start):
            own = indent_of(text, first[0].start)
            if own.startswith(outer) and own != outer:
                return own[len(outer) :]
    found = _FIRST_INDENT.search(text)
    return found[1] if found else "  "


def _leads(text: str, index: int) -> bool:
    """Whether nothing but white space stands before `index` on its line."""
    return not text[line_start(text, index) : index].strip(" \t")


def _inserted(text: str, objects: list[Object], member: tuple[str, Value], eol: str) -> Splice:
    inside = objects[-1]
    unit = _unit(text, objects)
    outer = indent_of(text, inside.start)
    rest = _REST_OF_LINE.match(text, inside.start + 1)
    end = rest.end() if rest else inside.start + 1
    key, value = json.dumps(member[0], ensure_ascii=False), member[1]
    if text[end : end + 1] in _LINE_ENDINGS:
        first = inside.members[0].start if inside.members else 0
        indent = indent_of(text, first) if inside.members and _leads(text, first) else outer + unit
        body = f"{eol}{indent}{key}: {_rendered(value, indent, unit, eol)}"
        return Splice(end, "", body + ("," if inside.members else ""))
    if inside.members:
        comma, colon = _separators(text, inside)
        spaces = _SPACES.match(text, inside.start + 1)
        gap = spaces[0] if spaces else ""
        return Splice(
            inside.start + 1, "", f"{gap}{key}{colon}{_flat(value, (comma, colon))},{'' if gap else comma[1:]}"
        )
    if len(objects) > 1 and not any(end in text.strip() for end in _LINE_ENDINGS):
        separators = _separators(text, objects[-2])
        return Splice(inside.start + 1, "", f"{key}{separators[1]}{_flat(value, separators)}")
    indent = outer + unit
    return Splice(inside.start + 1, "", f"{eol}{indent}{key}: {_rendered(value, indent, unit, eol)}{eol}{outer}")


def _separators(text: str, inside: Object) -> tuple[str, str]:
    """What stands between the members of this object, and within one: with or without a space."""
    return (",", ":") if text[inside.members[0].value - 1] == ":" else (", ", ": ")


def _flat(value: Value, separators: tuple[str, str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=separators)


def _rendered(value: Value, indent: str, unit: str, eol: str) -> str:
    """A value over several lines where it is an object; lists stay on one line."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = indent + unit
    lines = [
        f"{inner}{json.dumps(key, ensure_ascii=False)}: {_rendered(part, inner, unit, eol)}"
        for key, part in value.items()
    ]
    return "{" + eol + f",{eol}".join(lines) + eol + indent + "}"


def _excised(text: str, inside: Object, key: str) -> list[Splice]:
    place = next(index for index, member in enumerate(inside.members) if member.key == key)
    member = inside.members[place]
    end = member.comma + 1 if member.comma >= 0 else member.end
    if len(inside.members) == 1 and not (text[inside.start + 1 : member.start] + text[end : inside.end - 1]).strip():
        return [_cut(text, inside.start + 1, inside.end - 1)]
    before = inside.members[place - 1] if place else None
    start = member.start
    if _leads(text, start):
        start = _line_ending_before(text, line_start(text, start))
    elif member.comma >= 0:
        spaces = _SPACES.match(text, end)
        end = spaces.end() if spaces else end
    if before is None or member.comma >= 0:
        return [_cut(text, start, end)]
    return _cut_last(text, before, start, end)


def _cut_last(text: str, before: Member, start: int, end: int) -> list[Splice]:
    """The last member goes, and with it the comma that stood before it."""
    if not text[before.comma + 1 : start].strip():
        return [_cut(text, before.comma, end)]
    return [_cut(text, before.comma, before.comma + 1), _cut(text, start, end)]


def _cut(text: str, start: int, end: int) -> Splice:
    return Splice(start, text[start:end], "")


def _line_ending_before(text: str, start: int) -> int:
    if text[max(start - 2, 0) : start] == "\r\n":
        return start - 2
    return max(start - 1, 0)

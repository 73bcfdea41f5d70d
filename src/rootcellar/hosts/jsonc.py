"""JSON with comments, read two ways: a scanner that knows where things stand, and the standard parser as the judge.

The scanner (ours) finds the spans that an edit splices. The judge blanks comments and trailing commas with one
expression each and hands the rest to `json`: the two share no code, so neither repeats the other's mistake.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from rootcellar.hosts.document import Flaw
from rootcellar.hosts.tree import EMPTY, Node, Path

DEPTH_MAX = 200  # deeper than any config; keeps the recursion far from the interpreter's limit

_TRIVIA = re.compile(r"(?:[ \t\r\n]++|//[^\r\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_SCALAR = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)(?![\w.+-])")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*+")|//[^\r\n]*+|/\*(?:[^*]|\*(?!/))*+\*/')
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*+")|,(?=[ \t\r\n]*+[}\]])')
_NOT_BLANK = re.compile(r"[^\r\n]")


class Dialect(Enum):
    """What the host that owns the file reads."""

    STRICT = "JSON"
    COMMENTS = "JSON with comments"
    LENIENT = "JSON with comments and trailing commas"


@dataclass(slots=True)
class Member:
    """One `"key": value,` of an object: where its key, value and comma stand."""

    key: str
    start: int
    value: int
    end: int = 0
    comma: int = -1
    inner: Object | None = None


@dataclass(slots=True)
class Object:
    """An object on the way to our entry: its braces and its members."""

    start: int
    end: int = 0
    members: list[Member] = field(default_factory=list)

    def member(self, key: str) -> Member | None:
        """The member with that key."""
        return next((member for member in self.members if member.key == key), None)


@dataclass(slots=True)
class _Scan:
    text: str
    depth: int = 0

    def trivia(self, index: int) -> int:
        found = _TRIVIA.match(self.text, index)
        return found.end() if found else index

    def flaw(self, index: int, what: str) -> Flaw:
        text = self.text
        if index >= len(text):
            return Flaw(len(text), "the text ends too early")
        if text.startswith("/*", index):
            return Flaw(index, "a comment that never ends")
        if text[index] == '"' and not _STRING.match(text, index):
            return Flaw(index, "a string that never ends, or holds what a string cannot")
        return Flaw(index, what)

    def value(self, index: int, path: Sequence[str] | None) -> tuple[int, Object | None]:
        """The end of the value at `index`; the object where `path` still leads on."""
        text = self.text
        first = text[index : index + 1]
        if first == "{":
            return self.object(index, path)
        if first == "[":
            return self.array(index), None
        found = (_STRING if first == '"' else _SCALAR).match(text, index)
        if found is None:
            raise self.flaw(index, "a value was expected here")
        return found.end(), None

    def deeper(self, index: int) -> None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise Flaw(index, f"nested more than {DEPTH_MAX} deep")

    def object(self, start: int, path: Sequence[str] | None) -> tuple[int, Object | None]:
        text, found = self.text, Object(start)
        self.deeper(start)
        seen: set[str] = set()
        index = self.trivia(start + 1)
        while text[index : index + 1] != "}":
            member = self._key(index, seen)
            wanted = path is not None and (not path or path[0] == member.key)
            leads = path[1:] if wanted and path else None
            member.end, member.inner = self.value(member.value, leads)
            index = self.trivia(member.end)
            if text[index : index + 1] == ",":
                member.comma = index
                index = self.trivia(index + 1)
            elif text[index : index + 1] != "}":
                raise self.flaw(index, "a comma or `}` was expected here")
            if path is not None:
                found.members.append(member)
        self.depth -= 1
        found.end = index + 1
        return index + 1, found if path is not None else None

    def _key(self, index: int, seen: set[str]) -> Member:
        string = _STRING.match(self.text, index)
        if string is None:
            raise self.flaw(index, "a key in double quotes was expected here")
        key = string[0][1:-1]
        if "\\" in key:
            key = json.loads(string[0])
        if key in seen:
            raise Flaw(index, f"the key `{key}` stands here a second time")
        seen.add(key)
        colon = self.trivia(string.end())
        if self.text[colon : colon + 1] != ":":
            raise self.flaw(colon, "a colon was expected here")
        return Member(key, index, self.trivia(colon + 1))

    def array(self, start: int) -> int:
        text = self.text
        self.deeper(start)
        index = self.trivia(start + 1)
        while text[index : index + 1] != "]":
            index = self.trivia(self.value(index, None)[0])
            if text[index : index + 1] == ",":
                index = self.trivia(index + 1)
            elif text[index : index + 1] != "]":
                raise self.flaw(index, "a comma or `]` was expected here")
        self.depth -= 1
        return index + 1


@functools.lru_cache(maxsize=4)  # an edit asks more than once about a text of megabytes; nobody changes the answer
def scanned(text: str, path: Path) -> Object | None:
    """The root object, open along `path`; None for a text without any value. Flaw where it is not JSON."""
    scan = _Scan(text)
    start = scan.trivia(0)
    if start == len(text):
        return None
    steps = [step for step in path if isinstance(step, str)]
    end, root = scan.value(start, steps)
    rest = scan.trivia(end)
    if rest < len(text):
        raise scan.flaw(rest, "nothing more was expected after the value")
    if root is None:
        raise Flaw(start, f"{_kind(text[start])} where an object was expected")
    return root


def descended(text: str, root: Object, path: Path) -> tuple[list[Object], int]:
    """The objects from the root along `path`, and how many steps of it exist; Flaw where one is not an object."""
    objects = [root]
    for count, step in enumerate(path[:-1]):
        member = objects[-1].member(str(step))
        if member is None:
            return objects, count
        if member.inner is None:
            raise Flaw(member.value, f"`{step}` is {_kind(text[member.value])}, not an object")
        objects.append(member.inner)
    return objects, len(path) - (objects[-1].member(str(path[-1])) is None)


def _kind(first: str) -> str:
    words = {"{": "an object", "[": "an array", '"': "a string", "n": "null", "t": "true", "f": "false"}
    return words.get(first, "a number")


def parsed(text: str, dialect: Dialect) -> Node:
    """What the text means, by the standard parser; Flaw where `dialect` does not allow it."""
    plain = text
    if dialect is not Dialect.STRICT:
        plain = _COMMENT.sub(_blanked, plain)
    if dialect is Dialect.LENIENT:
        plain = _TRAILING.sub(_blanked, plain)
    if not plain.strip(" \t\r\n"):
        return EMPTY
    try:
        node = json.loads(
            plain, object_pairs_hook=_pairs, parse_float=_number, parse_int=_number, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise Flaw(error.pos, f"not {dialect.value}: {error.msg.lower()}") from None
    except RecursionError:
        raise Flaw(0, f"nested more than {DEPTH_MAX} deep") from None
    return _node(node)


def _blanked(found: re.Match[str]) -> str:
    return found[0] if found[1] is not None else _NOT_BLANK.sub(" ", found[0])


def _number(text: str) -> Node:
    return ("num", text)


def _constant(text: str) -> Node:
    raise Flaw(0, f"`{text}` is not JSON")


def _pairs(pairs: list[tuple[str, object]]) -> Node:
    if len({key for key, _ in pairs}) != len(pairs):
        raise Flaw(0, "a key stands twice in one object")
    return ("map", tuple((key, _node(value)) for key, value in pairs))


def _node(value: object) -> Node:
    if isinstance(value, tuple):
        return value
    if isinstance(value, str):
        return ("str", value)
    if isinstance(value, list):
        return ("seq", tuple(_node(item) for item in value))
    return ("null", "null") if value is None else ("bool", "true" if value else "false")

"""Splices for YAML: our lines go right under the key that holds the servers; a flow `{...}` gets them in its braces.

Where a layout is too odd for that, other places are offered; the judge takes the first that changes nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rootcellar.hosts.document import Flaw, Splice, line_next, line_start
from rootcellar.hosts.tree import Named, Path, Step, Value
from rootcellar.hosts.yaml import composed, is_null

if TYPE_CHECKING:
    from yaml.nodes import Node as Composed

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_SPACES = re.compile(r"[ \t]*+")
_AMBIGUOUS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def whole(path: Path, value: Value, eol: str) -> str:
    """The text of a config that holds nothing but our entry."""
    return "".join(line + eol for line in _block(path, value, ""))


def additions(text: str, path: Path, value: Value, eol: str) -> Iterator[list[Splice]]:
    """Ways to put `value` at `path`, the best first."""
    root = composed(text)
    if root is None:
        lead = "" if not text or text.endswith("\n") else eol
        yield [Splice(len(text), "", lead + whole(path, value, eol))]
        return
    chain, known = _descended(root, path)
    inside, rest = chain[-1], path[known:]
    if not rest:
        raise Flaw(inside.start_mark.index, f"`{_name(path[-1])}` is there already")
    if inside.flow_style or not inside.value:
        yield [_into_flow(text, inside, rest, value)]
        return
    first = _first(text, inside.value[0])
    start = line_start(text, first)
    block = "".join(line + eol for line in _block(rest, value, " " * (first - start)))
    if known:
        yield [Splice(line_next(text, _key_node(chain[-2], path[known - 1]).end_mark.index), "", block)]
    else:
        lead = "" if text.endswith("\n") else eol
        yield [Splice(len(text), "", lead + block)]
    yield [Splice(start, "", block)]


def removals(text: str, path: Path, kept: int) -> Iterator[list[Splice]]:
    """Ways to take out what is at `path`; a mapping or list deeper than `kept` goes too where that leaves it empty."""
    root = composed(text)
    if root is None:
        return
    chain, known = _descended(root, path)
    if known < len(path):
        return
    depth = len(path) - 1
    while depth > kept and len(chain[depth].value) == 1:
        depth -= 1
    inside, step = chain[depth], path[depth]
    key, value = _item(inside, step)
    if inside.flow_style:
        yield _out_of_flow(text, inside, key, value)
        return
    start = line_start(text, _first(text, key if key is value else (key, value)))
    last = _last(value)
    end = last.end_mark.index if key is value else max(last.end_mark.index, key.end_mark.index)
    block = _cut(text, start, end if text[:end].endswith("\n") else line_next(text, end))
    if len(inside.value) > 1 or depth == 0:
        yield [block]
    else:
        empty = " {}" if inside.id == "mapping" else " []"
        holder = _key_node(chain[depth - 1], path[depth - 1])
        colon = text.index(":", holder.end_mark.index) + 1
        yield [Splice(colon, "", empty), block]


def updates(text: str, path: Path, values: Mapping[str, Value], eol: str) -> Iterator[list[Splice]]:
    """Ways to set keys of the mapping at `path`, leaving its other keys alone."""
    root = composed(text)
    if root is None:
        return
    chain, known = _descended(root, path)
    if known < len(path) or chain[-1].id != "mapping":
        return
    entry = chain[-1]
    splices: list[Splice] = []
    for name, value in values.items():
        node = next((inner for key, inner in entry.value if key.value == name), None)
        if node is not None and (node.id == "scalar" or node.flow_style):
            start, end = node.start_mark.index, node.end_mark.index
            splices.append(Splice(start, text[start:end], _flow(value)))
        elif node is None and entry.value and not entry.flow_style:
            first = entry.value[0][0].start_mark
            if first.column != first.index - line_start(text, first.index):
                return
            indent = re.sub(r"[^ ]", " ", text[line_start(text, first.index) : first.index])
            at = line_next(text, _last(entry.value[0][1]).end_mark.index)
            splices.append(Splice(at, "", f"{indent}{_key(name)}: {_flow(value)}{eol}"))
        else:
            return
    yield sorted(splices, key=lambda splice: splice.at)


def replacements(text: str, path: Path, value: Value, eol: str) -> Iterator[list[Splice]]:
    """Ways to put `value` in the place of the whole entry at `path`."""
    root = composed(text)
    if root is None:
        return
    chain, known = _descended(root, path)
    if known < len(path):
        return
    key, old = _item(chain[-2], path[-1])
    if chain[-2].flow_style:
        return
    first = _first(text, key if key is old else (key, old))
    start, end = line_start(text, first), line_next(text, _last(old).end_mark.index)
    block = "".join(line + eol for line in _block(path[-1:], value, " " * (first - start)))
    yield [Splice(start, text[start:end], block)]


def _descended(root: Composed, path: Path) -> tuple[list[Any], int]:
    """The nodes from the root along `path`, as far as it exists; Flaw where one cannot hold the next step."""
    chain: list[Any] = [root]
    for count, step in enumerate(path):
        inside = chain[-1]
        wanted = "sequence" if isinstance(step, Named) else "mapping"
        if inside.id != wanted:
            what = "null" if is_null(inside) else f"a {inside.id}"
            name = f"`{_name(path[count - 1])}`" if count else "the file"
            article = "list" if wanted == "sequence" else "mapping"
            raise Flaw(inside.start_mark.index, f"{name} is {what}, not a {article}")
        found = _item(inside, step)
        if found is None:
            return chain, count
        key, value = found
        if value.start_mark.index < key.start_mark.index:
            raise Flaw(key.start_mark.index, f"`{_name(step)}` is an alias of something above")
        chain.append(value)
    return chain, len(path)


def _item(inside: Any, step: Step) -> Any:  # noqa: ANN401 - PyYAML's nodes; a pair (key, value), or None
    if isinstance(step, Named):
        for item in inside.value:
            if item.id == "mapping":
                fields = {key.value: value.value for key, value in item.value if key.id == "scalar"}
                if fields.get(step.key) == step.name:
                    return item, item
        return None
    return next((pair for pair in inside.value if pair[0].id == "scalar" and pair[0].value == step), None)


def _first(text: str, item: Any) -> int:  # noqa: ANN401 - a pair of nodes in a mapping, a node in a list
    """Where an item of a block begins: at its key, or at its dash."""
    return int(item[0].start_mark.index) if isinstance(item, tuple) else text.rfind("-", 0, item.start_mark.index)


def _key_node(inside: Any, step: Step) -> Any:  # noqa: ANN401 - PyYAML's nodes
    return _item(inside, step)[0]


def _name(step: Step) -> str:
    return step.name if isinstance(step, Named) else step


def _last(node: Any) -> Any:  # noqa: ANN401 - PyYAML's nodes
    """The node that ends last inside this one: a block's own end is past the comments that follow it."""
    while node.value and node.id != "scalar" and not node.flow_style:
        tail = node.value[-1]
        node = tail[1] if isinstance(tail, tuple) else tail
    return node


def _into_flow(text: str, inside: Any, rest: Path, value: Value) -> Splice:  # noqa: ANN401 - PyYAML's nodes
    brace = "{" if inside.id == "mapping" else "["
    at = text.find(brace, inside.start_mark.index) + 1
    first, deeper = rest[0], rest[1:]
    for step in reversed(deeper):
        value = [_named(step, value)] if isinstance(step, Named) else {step: value}
    body = _flow(_named(first, value)) if isinstance(first, Named) else f"{json.dumps(first)}: {_flow(value)}"
    return Splice(at, "", body + (", " if inside.value else ""))


def _out_of_flow(text: str, inside: Any, key: Any, value: Any) -> list[Splice]:  # noqa: ANN401 - PyYAML's nodes
    items = [pair[0] if isinstance(pair, tuple) else pair for pair in inside.value]
    place = items.index(key)
    start, end = key.start_mark.index, value.end_mark.index
    if place + 1 < len(items):
        comma = text.index(",", end) + 1
        spaces = _SPACES.match(text, comma)
        return [_cut(text, start, spaces.end() if spaces else comma)]
    comma = text.rfind(",", 0, start) if place else start
    return [_cut(text, comma, end)]


def _named(step: Named, value: Value) -> Value:
    return {step.key: step.name, **value} if isinstance(value, Mapping) else value


def _block(path: Path, value: Value, indent: str) -> list[str]:
    """The lines of `value` under the rest of its path, in block style."""
    step, rest = path[0], path[1:]
    if isinstance(step, Named):
        inner = _named(step, value)
        lines = _fields(inner, indent + "  ") if isinstance(inner, Mapping) else []
        return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]
    if rest:
        return [f"{indent}{_key(step)}:", *_block(rest, value, indent + "  ")]
    if isinstance(value, Mapping) and value:
        return [f"{indent}{_key(step)}:", *_fields(value, indent + "  ")]
    return [f"{indent}{_key(step)}: {_flow(value)}"]


def _fields(value: Mapping[str, Value], indent: str) -> list[str]:
    return [f"{indent}{_key(key)}: {_flow(part)}" for key, part in value.items()]


def _key(name: str) -> str:
    return name if _PLAIN_KEY.match(name) and name.lower() not in _AMBIGUOUS else json.dumps(name, ensure_ascii=False)


def _flow(value: Value) -> str:
    """JSON is YAML, as long as no character needs an escape of its own."""
    if isinstance(value, str) and _PLAIN_KEY.match(value) and value.lower() not in _AMBIGUOUS:
        return value
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {_flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, start: int, end: int) -> Splice:
    return Splice(start, text[start:end], "")

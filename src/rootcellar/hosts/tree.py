"""What a config means, in one form for every format: the form in which an edit is judged.

A node is a pair of a kind and a content: `("map", ((key, node), ...))`, `("seq", (node, ...))`, or a scalar such as
`("str", "text")` and `("num", "2.50")`. Order counts, and so does the spelling of a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Node: TypeAlias = tuple[str, Any]
Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value]"

EMPTY: Node = ("map", ())


@dataclass(frozen=True, slots=True)
class Named:
    """A step into a list: the item whose `key` is `name`."""

    name: str
    key: str = "name"


Step: TypeAlias = str | Named
Path: TypeAlias = tuple[Step, ...]


def node_of(value: Value) -> Node:
    """The node that a value to be written must become."""
    if isinstance(value, str):
        return ("str", value)
    if isinstance(value, bool):
        return ("bool", "true" if value else "false")
    if isinstance(value, int):
        return ("num", str(value))
    if isinstance(value, Mapping):
        return ("map", tuple((key, node_of(inner)) for key, inner in value.items()))
    return ("seq", tuple(node_of(inner) for inner in value))


def value_of(node: Node) -> Any:  # noqa: ANN401 - str, bool, int, float, None, list or dict
    """The plain value of a node; what has no plain value is its text."""
    kind, content = node
    if kind == "map":
        return {key: value_of(inner) for key, inner in content}
    if kind == "seq":
        return [value_of(inner) for inner in content]
    if kind == "bool":
        return str(content).lower() in {"true", "yes", "on"}
    if kind == "num":
        return int(content) if str(content).lstrip("-").isdecimal() else content
    return None if kind == "null" else content


def at(node: Node, path: Path) -> Node | None:
    """The node at `path`, or None."""
    for step in path:
        inner = _inner(node, step)
        if inner is None:
            return None
        node = inner
    return node


def without(node: Node, path: Path, kept: int) -> Node:
    """`node` without what is at `path`; containers deeper than `kept` steps go too when that leaves them empty."""
    if not path:
        return node
    step, rest = path[0], path[1:]
    kind, content = node
    left: list[Any] = []
    for item in content:
        if not _is(kind, item, step):
            left.append(item)
            continue
        if not rest:
            continue
        inner = without(_node(kind, item), rest, kept - 1)
        if inner[1] or kept > 0:
            left.append((item[0], inner) if kind == "map" else inner)
    return (kind, tuple(left))


def with_leaf(node: Node, path: Path, leaf: Node) -> Node:
    """`node` with `leaf` in the place of what is at `path`."""
    if not path:
        return leaf
    kind, content = node
    step, rest = path[0], path[1:]
    put = tuple(
        item
        if not _is(kind, item, step)
        else (item[0], with_leaf(item[1], rest, leaf))
        if kind == "map"
        else with_leaf(item, rest, leaf)
        for item in content
    )
    return (kind, put)


def _inner(node: Node, step: Step) -> Node | None:
    kind, content = node
    if kind not in {"map", "seq"}:
        return None
    return next((_node(kind, item) for item in content if _is(kind, item, step)), None)


def _node(kind: str, item: Any) -> Node:  # noqa: ANN401 - a pair in a map, a node in a seq
    node: Node = item[1] if kind == "map" else item
    return node


def _is(kind: str, item: Any, step: Step) -> bool:  # noqa: ANN401 - a pair in a map, a node in a seq
    if kind == "map":
        return isinstance(step, str) and item[0] == step
    return isinstance(step, Named) and item[0] == "map" and at(item, (step.key,)) == ("str", step.name)

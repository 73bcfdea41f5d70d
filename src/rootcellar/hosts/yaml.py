"""YAML: PyYAML's composer says what a text means and where every node stands; nothing is constructed or resolved twice.

An edit is judged on composed nodes: tag and spelling of every scalar, order of every key, anchors followed. So `yes`,
`0300` and `~` count as themselves, whatever version of YAML the host believes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rootcellar.hosts.document import Flaw
from rootcellar.hosts.tree import EMPTY, Node

if TYPE_CHECKING:
    from yaml.nodes import Node as Composed

TEXT_MAX = 1 << 20  # PyYAML reads about 100 kB a second; no host's config comes near
NODES_MAX = 200_000  # aliases of aliases grow without bound

_KINDS = {"str": "str", "int": "num", "float": "num", "bool": "bool", "null": "null"}
_TAG = "tag:yaml.org,2002:"


def composed(text: str) -> Composed | None:
    """The root node with its marks, None for a text without any; Flaw where it is not one YAML document."""
    import yaml

    if len(text) > TEXT_MAX:
        raise Flaw(0, "longer than 1 MiB")
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Flaw(mark.index if mark else 0, f"not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise Flaw(int(error.position), "a character that YAML does not allow") from None
    except yaml.YAMLError as error:
        raise Flaw(0, f"not YAML: {error}") from None
    except RecursionError:
        raise Flaw(0, "nested too deep") from None
    if len(documents) > 1:
        raise Flaw(documents[1].start_mark.index if documents[1] else 0, "a second YAML document in one file")
    root: Composed | None = documents[0] if documents else None
    return None if root is None or (is_null(root) and not root.value) else root


def parsed(text: str) -> Node:
    """What the text means; Flaw where it is not YAML, says a key twice, or leads into itself."""
    root = composed(text)
    if root is None:
        return EMPTY
    left = [NODES_MAX]
    return _node(root, (), left)


def is_null(node: Composed) -> bool:
    """Whether this node is written as nothing, `~` or `null`."""
    return str(node.tag) == f"{_TAG}null"


def _node(node: Any, above: tuple[int, ...], left: list[int]) -> Node:  # noqa: ANN401 - PyYAML's nodes
    left[0] -= 1
    if left[0] < 0 or id(node) in above:
        raise Flaw(node.start_mark.index, "an alias that leads into itself, or grows too large")
    inside = (*above, id(node))
    if node.id == "mapping":
        return ("map", tuple(_pairs(node, inside, left)))
    if node.id == "sequence":
        return ("seq", tuple(_node(item, inside, left) for item in node.value))
    tag = str(node.tag)
    return (_KINDS.get(tag.removeprefix(_TAG), tag), str(node.value))


def _pairs(node: Any, inside: tuple[int, ...], left: list[int]) -> list[tuple[object, Node]]:  # noqa: ANN401
    pairs: list[tuple[object, Node]] = []
    seen: set[Node] = set()
    for key, value in node.value:
        name = _node(key, inside, left)
        if name in seen:
            raise Flaw(key.start_mark.index, f"the key `{name[1]}` stands here a second time")
        seen.add(name)
        pairs.append((name[1] if name[0] == "str" else name, _node(value, inside, left)))
    return pairs

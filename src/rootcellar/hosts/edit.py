"""Edits of a host's config: planned on text, judged by a parser that did not make them, revertible to the byte.

The promise: `after == before + exactly our entry` (or minus it), else there is no edit, only a refusal that names the
line and the column. Every text is parsed before and after; the splices in between know nothing of the verdict.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import ModuleType

from rootcellar.errors import BadConfig
from rootcellar.hosts import jsonc, jsonc_edit, toml, toml_edit, yaml, yaml_edit
from rootcellar.hosts.document import (
    Document,
    Flaw,
    Splice,
    decoded,
    found_again,
    line_column,
    reversed_splices,
    spliced,
    undecoded_prefix,
)
from rootcellar.hosts.jsonc import Dialect
from rootcellar.hosts.tree import EMPTY, Node, Path, Value, at, node_of, value_of, with_leaf, without


class Form(Enum):
    """The format of a config file."""

    JSON = Dialect.STRICT
    JSON_COMMENTS = Dialect.COMMENTS
    JSONC = Dialect.LENIENT
    TOML = "TOML"
    YAML = "YAML"


@dataclass(frozen=True, slots=True)
class Target:
    """What an edit is about: the file as people know it, its format, and the path of our entry in it."""

    name: str
    form: Form
    path: Path
    preamble: str = ""  # what a new file must hold besides our entry


@dataclass(frozen=True, slots=True)
class Edit:
    """One planned edit: the bytes before and after (None: no file), and the splices that lead from one to the other.

    `kept` counts the containers on the way to our entry that were there before.
    """

    target: Target
    before: bytes | None
    after: bytes | None
    splices: tuple[Splice, ...]
    kept: int = 0


def digest(data: bytes | None) -> str:
    """The SHA-256 of a file's bytes; a missing file is not an empty one."""
    return "none" if data is None else hashlib.sha256(data).hexdigest()


def entry_of(target: Target, data: bytes | None) -> Value | None:
    """Our entry as the host would read it, or None; refuses a file that cannot be read."""
    node = at(_opened(target, data)[1], target.path)
    return None if node is None else value_of(node)


def added(target: Target, data: bytes | None, value: Value) -> Edit:
    """The edit that adds `value` as our entry, and nothing else."""
    document, before = _opened(target, data)
    wanted = node_of(_as_read(target, value))
    kept = sum(at(before, target.path[:count]) is not None for count in range(1, len(target.path)))
    with _naming(target, data):
        for splices in _editor(target).additions(document.text, target.path, value, document.eol):
            after = _tried(target, document, splices)
            if after is None:
                continue
            if at(after, target.path) == wanted and without(after, target.path, kept) == _even(before):
                return _edit(target, data, document, splices, kept)
    raise BadConfig(f"`{target.name}` is laid out in a way that no safe edit fits", _BY_HAND)


def removed(target: Target, data: bytes, kept: int) -> Edit | None:
    """The edit that takes our entry out, and nothing else; None where there is none."""
    document, before = _opened(target, data)
    if at(before, target.path) is None:
        return None
    with _naming(target, data):
        for splices in _editor(target).removals(document.text, target.path, kept):
            after = _tried(target, document, splices)
            if after is not None and _even(after) == _even(without(before, target.path, kept)):
                return _edit(target, data, document, splices, kept)
    raise BadConfig(f"`{target.name}` is laid out in a way that no safe edit fits", _BY_HAND)


def taken_back(target: Target, data: bytes, splices: Sequence[Splice], digests: tuple[str, str]) -> Edit | None:
    """The exact way back over recorded splices: to the byte where nothing else changed, around changes elsewhere.

    None where our text is no longer there as it was written; then `removed` works from the structure.
    """
    document, before = _opened(target, data)
    if digest(data) == digests[1]:
        edit = _edit(target, data, document, reversed_splices(splices), 0)
        return edit if digest(edit.after) == digests[0] else None
    back = found_again(document.text, splices)
    if back is None or at(before, target.path) is None:
        return None
    after = _tried(target, document, back)
    possible = [_even(without(before, target.path, kept)) for kept in range(len(target.path))]
    return _edit(target, data, document, back, 0) if after is not None and _even(after) in possible else None


def updated(target: Target, data: bytes, values: Mapping[str, Value]) -> Edit:
    """The edit that sets these fields of our entry, and leaves its other fields and the file alone."""
    document, before = _opened(target, data)
    hole: Node = ("hole", "")
    with _naming(target, data):
        for splices in _editor(target).updates(document.text, target.path, values, document.eol):
            after = _tried(target, document, splices)
            entry = None if after is None else at(after, target.path)
            if (
                after is None
                or entry is None
                or with_leaf(after, target.path, hole) != with_leaf(before, target.path, hole)
            ):
                continue
            fields, old = dict(entry[1]), dict((at(before, target.path) or EMPTY)[1])
            if fields == {**old, **{key: node_of(value) for key, value in values.items()}}:
                return _edit(target, data, document, splices, 0)
    raise BadConfig(f"our entry in `{target.name}` was laid out anew", "take it out with `rootcellar uninstall` first")


def replaced(target: Target, data: bytes, value: Value) -> Edit:
    """The edit that puts `value` in the place of the whole entry of our name."""
    document, before = _opened(target, data)
    hole: Node = ("hole", "")
    with _naming(target, data):
        for splices in _editor(target).replacements(document.text, target.path, value, document.eol):
            after = _tried(target, document, splices)
            if after is None or at(after, target.path) != node_of(_as_read(target, value)):
                continue
            if with_leaf(after, target.path, hole) == with_leaf(before, target.path, hole):
                return _edit(target, data, document, splices, len(target.path))
    raise BadConfig(f"the entry in `{target.name}` is laid out in a way that no safe edit fits", _BY_HAND)


def alone(target: Target, value: Value) -> str:
    """A config that holds nothing but our entry: what to paste by hand."""
    return target.preamble + str(_editor(target).whole(target.path, value, "\n"))


_BY_HAND = "run `rootcellar print-config`, and add the entry by hand"


def _editor(target: Target) -> ModuleType:
    return {Form.TOML: toml_edit, Form.YAML: yaml_edit}.get(target.form, jsonc_edit)


def _as_read(target: Target, value: Value) -> Value:
    """What our entry is once it stands in the file: an item of a list carries its name."""
    step = target.path[-1]
    return value if isinstance(step, str) or not isinstance(value, Mapping) else {step.key: step.name, **value}


def _parsed(target: Target, text: str) -> Node:
    return _meaning(target.form, target.path, text)


@functools.lru_cache(maxsize=4)  # a plan and its application parse the same few texts
def _meaning(form: Form, path: Path, text: str) -> Node:
    if isinstance(form.value, Dialect):
        jsonc.scanned(text, path)  # first: it knows the place of every fault
        return jsonc.parsed(text, form.value)
    return toml.parsed(text) if form is Form.TOML else yaml.parsed(text)


def _even(node: Node) -> Node:
    """The root of an empty file is an empty mapping, whatever the format calls it."""
    return EMPTY if node[0] in {"map", "null"} and not node[1] else node


def _tried(target: Target, document: Document, splices: Sequence[Splice]) -> Node | None:
    try:
        return _parsed(target, spliced(document.text, splices))
    except Flaw:
        return None


def _opened(target: Target, data: bytes | None) -> tuple[Document, Node]:
    with _naming(target, data):
        document = Document(target.preamble, b"", "\n") if data is None else decoded(data)
        if document.mark and target.form is Form.JSON_COMMENTS:
            raise Flaw(0, "a byte order mark, at which this host stops")
        node = _parsed(target, document.text)
        if node[0] != "map":
            raise Flaw(0, f"a {node[0]} where a mapping was expected")
        return document, node


def _edit(target: Target, data: bytes | None, document: Document, splices: Iterable[Splice], kept: int) -> Edit:
    splices = tuple(splices)
    return Edit(target, data, document.encoded(spliced(document.text, splices)), splices, kept)


class _naming:  # noqa: N801 - reads as a verb where it is used
    """Turns a Flaw into a refusal that names the file, the line and the column."""

    def __init__(self, target: Target, data: bytes | None) -> None:
        self.target, self.data = target, data

    def __enter__(self) -> None:
        """Nothing to do yet."""

    def __exit__(self, _kind: object, flaw: BaseException | None, _trace: object) -> None:
        if isinstance(flaw, Flaw):
            line, column = line_column(undecoded_prefix(self.data or b""), flaw.index)
            raise BadConfig(
                f"`{self.target.name}` line {line}, column {column}: {flaw.what}",
                "mend that place, or add the entry by hand (`rootcellar print-config`)",
            ) from None

"""A tool is a value: declared once, and everything else follows from the declaration.

A family file makes a `Toolset` and decorates functions with a title and an `Effect`. Name, description and input
schema come from the function; annotations, read-only admission, consent, the journal and the `request_key` come from
the effect. `spoken` is the one place where a Refusal becomes words, where a call's changes become one change of the
journal, and where anything else is caught.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from rootcellar import limits
from rootcellar.confine import Lane, Roots
from rootcellar.errors import BadArgument, Busy, Cancelled, NeedsConsent, NeedsKey, Refusal
from rootcellar.journal.changes import Change
from rootcellar.journal.opening import Journal
from rootcellar.journal.recording import Recording
from rootcellar.policy import Effect, Policy
from rootcellar.telemetry import LOG

Json = dict[str, Any]

ANNOTATIONS: Mapping[Effect, Json] = {
    Effect.READ: {"readOnlyHint": True, "openWorldHint": False},
    Effect.WRITE: {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False},
    Effect.DESTROY: {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False},
}


CHANGE_ID = "change_id"  # in answers' `_meta`, as it stands in their text
REQUEST_KEY = "request_key"  # the argument that every tool with an effect has: the same key, the same change, once
RequestKey = Annotated[str | None, Field(max_length=limits.REQUEST_KEY_CHARS_MAX), WithJsonSchema({"type": "string"})]


class Answer(Protocol):
    """What a tool gives back; each family has its own."""

    def content(self) -> list[Json]:
        """The MCP content blocks, each sent once."""


Body = typing.TypeVar("Body", bound=Callable[..., Answer])


class Cancel:
    """The caller's way to take a request back; checked between chunks and entries."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def check(self) -> None:
        """Raise Cancelled once the request was taken back."""
        if self.cancelled:
            raise Cancelled("the request was cancelled")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as a tool sees it."""

    roots: Roots
    recording: Recording
    journal: Journal
    cancel: Cancel = field(default_factory=Cancel)
    progress: Callable[[float, float | None, str], None] = lambda _done, _total, _message: None

    def counted(self, seen: int, message: str) -> None:
        """Progress of work whose end is not known."""
        self.progress(seen, None, message)


@dataclass(frozen=True, slots=True)
class Tool:
    """One declared function."""

    name: str
    title: str
    description: str
    effect: Effect
    lane: Lane
    arguments: type[BaseModel]
    body: Callable[..., Answer]

    def spec(self) -> Json:
        """The tool as `tools/list` shows it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": _slim(self.arguments.model_json_schema()),
            "annotations": dict(ANNOTATIONS[self.effect]),
        }

    def parse(self, raw: Mapping[str, Any]) -> Json:
        """The arguments as the body takes them; raises BadArgument that says what to send instead."""
        _count([raw])
        given = {name: self._unwrapped(name, value) for name, value in raw.items()}
        _count(part for value in given.values() if isinstance(value, list) for part in value)
        try:
            parsed = self.arguments.model_validate(given)
        except ValidationError as error:
            raise self._bad(error) from None
        return {name: getattr(parsed, name) for name in self.arguments.model_fields}

    def _unwrapped(self, name: str, value: object) -> object:
        """Some hosts send a list or an object as its JSON text; take it for what it is."""
        known = self.arguments.model_fields.get(name)
        if known is None or not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
            return value
        if str in _members(known.annotation):
            return value
        if value.count("[") + value.count("{") > limits.MESSAGE_VALUES_MAX:
            return value  # what the wire would not have carried as itself
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value

    def _bad(self, error: ValidationError) -> BadArgument:
        told = [_problem(problem) for problem in error.errors(include_url=False, include_input=False)[:3]]
        takes = ", ".join(
            name if known.is_required() else f"{name}?" for name, known in self.arguments.model_fields.items()
        )
        return BadArgument("; ".join(told), f"`{self.name}` takes {takes or 'no arguments'}")


def _count(objects: Iterable[object]) -> None:
    """Names that no tool takes are refused one by one, in words: not by the thousand."""
    if any(isinstance(one, Mapping) and len(one) > limits.ARGUMENTS_MAX for one in objects):
        told = f"there are over {limits.ARGUMENTS_MAX} names in one object of arguments"
        raise BadArgument(told, "send only what the tool takes")


def _members(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - annotations have no common type
    """The members of a union, through Annotated."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def summed_up(arguments: Json) -> str:
    """A call's arguments for the journal: short ones as they are, of others their beginning, length and digest."""
    return json.dumps({name: _short(value) for name, value in arguments.items()}, default=_plain)


def _short(value: object) -> object:
    text = value if isinstance(value, str) else json.dumps(value, default=_plain)
    if len(text) <= limits.ARGUMENT_KEPT_CHARS:
        return value
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[: limits.ARGUMENT_KEPT_CHARS // 2]}... ({len(text):,} characters, {digest})"


def _plain(value: object) -> object:
    """What JSON does not know: a model of an argument."""
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


_MEANT = {
    "missing": "is missing",
    "extra_forbidden": "is not an argument",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_unicode": "must be text without lone surrogates",
}


def _problem(problem: Mapping[str, Any]) -> str:
    """One validation error in our words; never the input, never a link."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    if problem["type"] == "extra_forbidden":
        name = name if name.isidentifier() and len(name) <= 40 else "one name given"  # noqa: PLR2004 - a name, not an essay
    kind, given = problem["type"], problem.get("ctx", {})
    if kind in _MEANT:
        return f"`{name}` {_MEANT[kind]}"
    if kind.startswith("int_"):
        return f"`{name}` must be a whole number"
    if kind.startswith(("literal_", "enum")):
        return f"`{name}` must be one of {given.get('expected', '')}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound, word = (given["ge"], "least") if "ge" in given else (given["le"], "most")
        return f"`{name}` must be at {word} {bound}"
    if kind.endswith(("too_short", "too_long")):
        bound, word = (given["min_length"], "least") if kind.endswith("short") else (given["max_length"], "most")
        return f"`{name}` must hold at {word} {bound}" + (" characters" if kind.startswith("string") else "")
    return f"`{name}` is not what is meant there"


def _slim(schema: Json) -> Json:
    """The JSON Schema without what says nothing: titles, null alternatives, null defaults, `$defs`."""
    defs = schema.pop("$defs", {})

    def slim(node: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, list):
            return [slim(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return slim(defs[node["$ref"].rpartition("/")[2]])
        if "anyOf" in node:
            node = {**node, **next(part for part in node["anyOf"] if part.get("type") != "null")}
            del node["anyOf"]
        kept = {name: part for name, part in node.items() if name != "title" or isinstance(part, dict)}
        if kept.get("default", ...) is None:
            del kept["default"]
        return {name: slim(part) for name, part in kept.items()}

    slimmed: Json = slim(schema)
    slimmed.setdefault("properties", {})
    return slimmed


class Toolset:
    """One family of tools."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tools: list[Tool] = []

    def tool(self, title: str, effect: Effect, lane: Lane = Lane.QUICK) -> Callable[[Body], Body]:
        """Declare a function as a tool: its docstring is the description, its parameters after `call` the schema."""

        def declare(body: Body) -> Body:
            hints = typing.get_type_hints(body, include_extras=True)
            fields: dict[str, Any] = {
                name: (hints[name], ... if given.default is inspect.Parameter.empty else given.default)
                for name, given in inspect.signature(body).parameters.items()
                if name != "call"
            }
            if effect is not Effect.READ:
                fields[REQUEST_KEY] = (RequestKey, None)
            arguments = create_model(body.__name__, __config__=ConfigDict(extra="forbid"), **fields)
            description = " ".join((body.__doc__ or "").split())
            self.tools.append(Tool(body.__name__, title, description, effect, lane, arguments, body))
            return body

        return declare


def admitted(toolsets: Sequence[Toolset], policy: Policy) -> dict[str, Tool]:
    """The tools that exist under this policy, by name, in declaration order."""
    return {tool.name: tool for family in toolsets for tool in family.tools if policy.admits(tool.effect)}


def spoken(tool: Tool, call: Call, arguments: Json) -> Json:
    """Run a tool and put what comes of it into words: an answer, a refusal, or one generic line.

    What it changed becomes one change of the journal, whose id is told. Raises NeedsConsent and NeedsKey, which
    the user may answer, and nothing else.
    """
    try:
        told = _once(tool, call, arguments)
    except (NeedsConsent, NeedsKey):
        call.recording.seal("")
        raise
    except Refusal as refusal:
        told = refused(refusal)
    except MemoryError:
        told = refused(Refusal("this took more memory than there is", "ask for a smaller part"))
    except Exception:  # noqa: BLE001 - the one place: a bug of ours must not become silence, nor its text the model's input
        LOG.exception("tool %s failed", tool.name)
        told = refused(Refusal(f"`{tool.name}` failed because of a fault in rootcellar", "the log has the details"))
    change = call.recording.seal("".join(block.get("text", "") for block in told["content"]))
    if change is not None and call.recording.is_for_good:
        return _accounted(told, change, "it cannot be undone")
    return told if change is None else _accounted(told, change)


def _once(tool: Tool, call: Call, arguments: Json) -> Json:
    """Run it, unless a call with the same `request_key` has; then its answer is given again."""
    try:
        if (change := call.recording.earlier()) is None:
            return {"content": tool.body(call, **arguments).content(), "isError": False}
    except Busy:  # another call with that key began between our look and our first step
        if (change := call.recording.earlier()) is None:
            raise
    text = change.summary or "Done."
    return _accounted({"content": [{"type": "text", "text": text}], "isError": False}, change)


def _accounted(told: Json, change: Change, how: str = "undo_change takes it back") -> Json:
    """The answer with the change's id and how to take it back."""
    *before, last = told["content"]
    gap = "" if last["text"].endswith("\n") else "\n"
    text = f"{last['text']}{gap}[change_id {change.id}; {how}]"
    meta = {**told.get("_meta", {}), CHANGE_ID: change.id}
    return {**told, "content": [*before, {**last, "text": text}], "_meta": meta}


def refused(refusal: Refusal) -> Json:
    """A refusal as a tool's result: words for the model, the class word for programs."""
    text = str(refusal)
    return {
        "content": [{"type": "text", "text": text if text.endswith((".", "?", "`")) else text + "."}],
        "isError": True,
        "_meta": {"reason": refusal.reason},
    }

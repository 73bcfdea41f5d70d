"""Which roots are in force for this call. The only module that knows protocol eras and client capabilities.

Roots are asked for inside the request that needs them. A modern client (2026-07-28) is answered with an
`input_required` result whose `requestState` is sealed, and asked again in every call. A legacy client is sent
`roots/list` as part of the request, and its answer holds until it says `roots/list_changed`; an empty or failing
answer means *no client roots*, never the old ones.

Whatever the client sends as roots is read leniently: a bare path (Cursor) or a bad root among good ones does not
cost the good ones. The SDK would refuse the whole list, so `lenient` moves the raw list aside before it looks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, ConfigDict, ValidationError

from rootcellar import limits
from rootcellar.confine import Dropped, Grant, Ground, Root, Roots
from rootcellar.confine.uris import NoPath, System, path_of
from rootcellar.policy import Access, Policy
from rootcellar.settings import ClientRoots, Settings
from rootcellar.telemetry import LOG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.server import Server

ROOTS_KEY = "rootcellar.roots"  # the question's name on the modern wire
_ASIDE = "com.github.rootcellar/roots"  # where `lenient` keeps the raw answer, inside this process


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client said its roots are: as sent, or why there are none."""

    uris: tuple[str, ...] = ()
    failure: str = ""


@dataclass(slots=True)
class Memory:
    """What one legacy connection has said; the SDK makes one per connection."""

    offer: Offer | None = None
    changes: int = 0  # how often the client said that its list changed
    asked_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


Context = ServerRequestContext[Memory, Any]


@asynccontextmanager
async def memory(_server: Server[Memory]) -> AsyncIterator[Memory]:
    """The SDK's lifespan: one `Memory` for each connection."""
    yield Memory()


async def forget(ctx: Context, _params: object) -> None:
    """`notifications/roots/list_changed`: what was remembered no longer holds; asked again by the next call."""
    ctx.lifespan_context.offer = None
    ctx.lifespan_context.changes += 1


class _Roots(BaseModel):
    """A roots answer of any quality."""

    model_config = ConfigDict(extra="ignore")
    roots: list[Any]


class _AskRoots(types.ListRootsRequest):
    """`roots/list`, under a name for which the SDK has no strict answer form: one bad root must not lose the rest."""

    def model_dump(self, **_options: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's own
        """The request as it goes out."""
        return {"method": "roots/list"}

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - pydantic's own
        """`method` reads as a name the SDK does not know; the wire has the real one."""
        return "rootcellar/roots/list" if name == "method" else super().__getattribute__(name)


def _uris(roots: object) -> tuple[str, ...]:
    """The strings that were sent as roots, in order, whatever stands around them."""
    listed = roots if isinstance(roots, Sequence) and not isinstance(roots, str) else []
    uris = [root.get("uri") if isinstance(root, Mapping) else root for root in listed]
    return tuple(uri for uri in uris if isinstance(uri, str))[: limits.CLIENT_ROOTS_MAX]


async def lenient(ctx: Context, call_next: Callable[[Context], Awaitable[Any]]) -> Any:  # noqa: ANN401 - the SDK's
    """Middleware: put the client's raw roots aside before the SDK validates them away."""
    params = ctx.params
    answers = params.get("inputResponses") if params else None
    if not params or not isinstance(answers, Mapping) or ROOTS_KEY not in answers:
        return await call_next(ctx)
    raw = answers[ROOTS_KEY]
    uris = _uris(raw.get("roots")) if isinstance(raw, Mapping) else ()
    strict = {**answers, ROOTS_KEY: {"roots": []}}
    meta = {**(params.get("_meta") or {}), _ASIDE: list(uris)}
    return await call_next(dataclasses.replace(ctx, params={**params, "inputResponses": strict, "_meta": meta}))


class Asked(Exception):  # noqa: N818 - a turn of the conversation, not an error
    """The client must be asked first: the result to send instead of an answer."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("input required")
        self.result = result


async def client_roots(ctx: Context, state: str | None) -> Offer | None:
    """What the client offers as roots for this call; None if it has none to offer. Raises Asked to ask it first."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.roots is None:
        return None
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        params = ctx.params or {}
        # Only what `lenient` put there counts, and it does so for every answer; anyone can write into `_meta`.
        aside = params["_meta"].get(_ASIDE) if ROOTS_KEY in (params.get("inputResponses") or {}) else None
        if aside is None or state is None:
            raise Asked(
                types.InputRequiredResult(input_requests={ROOTS_KEY: types.ListRootsRequest()}, request_state="roots")
            )
        return Offer(tuple(aside))
    return await _legacy(ctx)


async def _legacy(ctx: Context) -> Offer:
    """The remembered answer, or a new one; calls that wait for the same answer share it."""
    known = ctx.lifespan_context
    async with known.turn:
        failed_long_ago = (
            known.offer is not None and known.offer.failure and time.monotonic() - known.asked_at > limits.ROOTS_RETRY_S
        )
        if known.offer is None or failed_long_ago:
            known.offer, changes = None, known.changes  # a call cancelled while it asks leaves it to be asked again
            offer = await _ask(ctx)
            known.asked_at = time.monotonic()
            if known.changes != changes:
                return offer  # it may be the old list already
            known.offer = offer
        return known.offer


async def _ask(ctx: Context) -> Offer:
    """One `roots/list` inside this request."""
    try:
        answer = await ctx.session.send_request(
            _AskRoots(),
            _Roots,
            request_read_timeout_seconds=limits.ROOTS_ANSWER_S,
            metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
        )
    except MCPError as error:
        LOG.info("roots/list failed: %s", error.error.code)
        return Offer(failure=f"the client says it has roots, and did not list them (error {error.error.code})")
    except ValidationError:
        return Offer(failure="the client says it has roots, and its list is not one")
    return Offer(_uris(answer.roots))


def in_force(ground: Ground, settings: Settings, offer: Offer | None) -> Roots:
    """The roots for one call, from what the user granted and what the client offers; never raises a Refusal.

    | the client gives roots | some are granted | in force |
    |---|---|---|
    | yes | no | the client's |
    | no | yes | the granted ones |
    | yes | yes | `narrow`: those of either that lie inside one of the other; `add`: both; `ignore`: the granted ones |
    | no | no | none, and the reasons are kept |
    """
    policy = settings.policy
    granted = _granted(settings)
    offered, dropped = _offered(offer, policy)
    if not offered or not granted or settings.client_roots is ClientRoots.ADD:
        return ground.roots([*granted, *offered], policy, dropped)
    ours, theirs = ground.roots(granted, policy), ground.roots(offered, policy)
    kept: list[Grant] = []
    dropped += [*ours.dropped, *theirs.dropped]
    for root in theirs.roots:
        around = _around(root, ours.roots)
        if around is not None and policy.seals(tuple(around.relative(root.real) or ())):
            told = "it is sealed in the granted folder; name it after `serve` to grant it"
            dropped.append(Dropped(root.path, "client", told))
        elif around is not None:
            kept.append(Grant(root.path, around.access, f"client, inside the granted `{around.name}`"))
        elif not any(_around(inner, [root]) for inner in ours.roots):
            dropped.append(
                Dropped(root.path, "client", "it lies outside the granted folders; `--client-roots add` would keep it")
            )
    for root in ours.roots:
        if _around(root, theirs.roots) is not None:
            kept.append(Grant(root.path, root.access, "granted, inside a root of the client"))
        elif not any(_around(inner, [root]) for inner in theirs.roots):
            dropped.append(
                Dropped(root.path, "granted", "the client's roots leave it out; `--client-roots add` would keep it")
            )
    return ground.roots(kept, policy, dropped)


def wants_client_roots(settings: Settings) -> bool:
    """Whether the client's roots matter at all."""
    return settings.client_roots is not ClientRoots.IGNORE


def _granted(settings: Settings) -> list[Grant]:
    """What the user named; a folder named both ways is read-only, and so is everything on a read-only server."""
    usual = Access.READ_ONLY if settings.policy.read_only else Access.READ_WRITE
    return [Grant(path, usual) for path in settings.roots] + [
        Grant(path, Access.READ_ONLY) for path in settings.roots_read_only
    ]


def _offered(offer: Offer | None, policy: Policy) -> tuple[list[Grant], list[Dropped]]:
    """The client's roots as grants, and what of its answer names no directory of this machine."""
    if offer is None:
        return [], []
    if offer.failure:
        return [], [Dropped("the client's roots", "client", offer.failure)]
    if not offer.uris:
        return [], [Dropped("the client's roots", "client", "its list is empty: no folder is open there")]
    access = Access.READ_ONLY if policy.read_only else Access.READ_WRITE
    system = System.WINDOWS if sys.platform == "win32" else System.POSIX
    grants: list[Grant] = []
    dropped: list[Dropped] = []
    for uri in dict.fromkeys(offer.uris):
        path = path_of(uri, system)
        if isinstance(path, NoPath):
            dropped.append(Dropped(uri[: limits.URI_SHOWN_CHARS], "client", path.reason))
        else:
            grants.append(Grant(path, access, "client"))
    return grants, dropped


def _around(root: Root, others: Sequence[Root]) -> Root | None:
    """The innermost of the others that is this directory or one above it."""
    below = [(other.relative(root.real), other) for other in others]
    fits = [(len(rest), index) for index, (rest, _) in enumerate(below) if rest is not None]
    return below[min(fits)[1]][1] if fits else None


def complete(ctx: Context, result: dict[str, Any]) -> dict[str, Any]:
    """A final result as this era spells it."""
    return {"resultType": "complete", **result} if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else result


def bad_arguments_are_errors(ctx: Context) -> bool:
    """Whether arguments that break the schema are a protocol error (before 2025-11-25) or a tool's own (SEP-1303)."""
    return ctx.protocol_version < "2025-11-25"


def missing_resource_code(ctx: Context) -> int:
    """What `resources/read` says of a resource that is not there: -32602 now, -32002 in the legacy revisions."""
    return types.INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else -32002

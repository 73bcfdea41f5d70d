"""What is asked of the client inside a call: which roots it has, and whether its user agrees to a change.

The only module that knows protocol eras and client capabilities.

Roots are asked for inside the request that needs them. A modern client (2026-07-28) is answered with an
`input_required` result whose `requestState` is sealed, and asked again in every call. A legacy client is sent
`roots/list` as part of the request, and its answer holds until it says `roots/list_changed`; an empty or failing
answer means *no client roots*, never the old ones.

Consent is asked for the same way: a modern client is sent the question as an `input_required` result, together with
the question for its roots (what it said of them minutes ago no longer counts), a legacy one `elicitation/create`.
Either way nothing of ours waits meanwhile but a few hundred bytes. What counts as a yes is `consent`'s business.

Whatever the client sends as roots is read leniently: a bare path (Cursor) or a bad root among good ones does not
cost the good ones. The SDK would refuse the whole list, so `lenient` moves the raw list aside before it looks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
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

from rootcellar import consent, limits
from rootcellar.errors import Declined, NeedsConsent
from rootcellar.in_force import Offer
from rootcellar.telemetry import LOG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.server import Server

ROOTS_KEY = "rootcellar.roots"  # the questions' names on the modern wire
CONSENT_KEY = "rootcellar.consent"
VISIT_KEY = "rootcellar.visit"
_ASIDE = "com.github.rootcellar/roots"  # where `lenient` keeps the raw answer, inside this process


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


async def plain_words(ctx: Context, call_next: Callable[[Context], Awaitable[Any]]) -> Any:  # noqa: ANN401 - the SDK's
    """Middleware: a call that is none is told what is wrong with it, where the SDK has one sentence for everything."""
    if ctx.method == "tools/call":
        params = ctx.params or {}
        if not isinstance(params.get("name"), str):
            raise MCPError(types.INVALID_PARAMS, "`name` must be the name of a tool; `tools/list` has them")
        if not isinstance(params.get("arguments", {}), Mapping | None):
            raise MCPError(types.INVALID_PARAMS, "`arguments` must be an object: names and their values")
    return await call_next(ctx)


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


class CannotAsk(Exception):  # noqa: N818 - the client says so itself
    """The client said that it can ask its user, and cannot."""


class Asked(Exception):  # noqa: N818 - a turn of the conversation, not an error
    """The client must be asked first: the result to send instead of an answer."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("input required")
        self.result = result


class Talk:
    """What one call says to its client, and hears; `state` is what an earlier round of it left, unsealed."""

    def __init__(self, ctx: Context, state: str | None, questions: consent.Questions) -> None:
        self._ctx = ctx
        self._questions = questions
        self._is_modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        self._state: dict[str, Any] = json.loads(state) if state is not None and self._is_modern else {}
        self._asked: dict[str, types.InputRequest] = {}  # what a further round has to ask again
        self._times = int(self._state.get("times", 0))
        self._was = str(self._state.get("was", ""))  # the fingerprint of what was asked about last
        self._yes: list[str] = list(self._state.get("yes", []))  # of what was agreed to before that, in this call

    async def roots(self) -> Offer | None:
        """What the client offers as roots for this call; None if it has none to offer. Raises Asked to ask it first."""
        capabilities = self._ctx.session.client_capabilities
        if capabilities is None or capabilities.roots is None:
            return None
        if not self._is_modern:
            return await _legacy(self._ctx)
        params = self._ctx.params or {}
        self._asked[ROOTS_KEY] = types.ListRootsRequest()
        # Only what `lenient` put there counts, and it does so for every answer; anyone can write into `_meta`.
        aside = params["_meta"].get(_ASIDE) if ROOTS_KEY in (params.get("inputResponses") or {}) else None
        if aside is None or not self._state:
            raise self._asking({})
        return Offer(tuple(aside))

    def can_confirm(self) -> bool:
        """Whether this client can put a form before its user."""
        capabilities = self._ctx.session.client_capabilities
        can = capabilities.elicitation if capabilities else None
        if can is None or self._ctx.protocol_version < "2025-06-18":
            return False
        return can.form is not None or can.url is None  # `{}` means forms

    def agreed(self) -> frozenset[str]:
        """The fingerprints of what the user has agreed to in this call so far. Declined."""
        token = self._state.get("token")
        answers = (self._ctx.params or {}).get("inputResponses") or {}
        if not isinstance(token, str) or CONSENT_KEY not in answers or not self._questions.redeem(token):
            return frozenset()  # not asked, answered before, or too late
        if consent.verdict(answers[CONSENT_KEY]) is not consent.Verdict.YES:
            raise consent.declined()
        self._yes.append(self._was)
        return frozenset(self._yes)

    async def agree(self, need: NeedsConsent) -> frozenset[str]:
        """Put the question; all that is agreed to then. Raises Asked (the modern way) or Declined."""
        if self._times >= limits.CONSENT_ASKS_MAX:
            raise consent.restless()
        message = consent.question(need, self._was)
        self._times, self._was = self._times + 1, need.fingerprint
        form = types.ElicitRequestFormParams(message=message, requested_schema=dict(consent.FORM))
        request = types.ElicitRequest(params=form)
        if self._is_modern:
            self._asked[CONSENT_KEY] = request
            raise self._asking({"token": self._questions.put(), "was": self._was, "yes": self._yes})
        try:
            answer = await self._ctx.session.send_request(
                request,
                types.ElicitResult,
                request_read_timeout_seconds=limits.CONSENT_S,
                metadata=ServerMessageMetadata(related_request_id=self._ctx.request_id),
            )
        except MCPError as error:
            LOG.info("elicitation/create failed: %s", error.error.code)
            if error.error.code == types.METHOD_NOT_FOUND:
                raise CannotAsk from None
            raise consent.unanswered() if error.error.code == types.REQUEST_TIMEOUT else consent.unheard() from None
        except ValidationError:
            raise consent.unheard() from None
        if consent.verdict(answer.model_dump()) is not consent.Verdict.YES:
            raise consent.declined()
        self._yes.append(need.fingerprint)
        return frozenset(self._yes)

    def can_visit(self) -> bool:
        """Whether this client can send its user to an address."""
        capabilities = self._ctx.session.client_capabilities
        can = capabilities.elicitation if capabilities else None
        return can is not None and can.url is not None and self._ctx.protocol_version >= "2025-11-25"

    def visited(self) -> str | None:
        """The visit that the user agreed to since the last round; None if there was none. Declined."""
        ident = self._state.get("visit")
        answers = (self._ctx.params or {}).get("inputResponses") or {}
        if not isinstance(ident, str) or VISIT_KEY not in answers:
            return None
        _check_visit(answers[VISIT_KEY])
        return ident

    async def visit(self, url: str, message: str, ident: str) -> None:
        """Have the user sent to an address; returns once they agreed to go. Raises as `agree` does."""
        request = types.ElicitRequest(
            params=types.ElicitRequestURLParams(
                message=message, url=url, elicitation_id=None if self._is_modern else ident
            )
        )
        if self._is_modern:
            self._asked[VISIT_KEY] = request
            raise self._asking({"visit": ident})
        try:
            answer = await self._ctx.session.send_request(
                request,
                types.ElicitResult,
                request_read_timeout_seconds=limits.CONSENT_S,
                metadata=ServerMessageMetadata(related_request_id=self._ctx.request_id),
            )
        except (MCPError, ValidationError):
            raise consent.unheard() from None
        _check_visit(answer.model_dump())

    async def visit_is_over(self, ident: str) -> None:
        """Tell a legacy client that the user is done there."""
        if not self._is_modern:
            await self._ctx.session.send_elicit_complete(ident, related_request_id=self._ctx.request_id)

    def _asking(self, state: dict[str, object]) -> Asked:
        said = json.dumps({"times": self._times, **state})
        return Asked(types.InputRequiredResult(input_requests=dict(self._asked), request_state=said))

    @property
    def host(self) -> str:
        """What the client calls itself; a label, never a reason."""
        known = self._ctx.session.client_params
        return known.client_info.name[: limits.HOST_CHARS_MAX] if known and known.client_info else ""


def _check_visit(answer: object) -> None:
    if not isinstance(answer, Mapping) or answer.get("action") != "accept":
        raise Declined("the user would not enter the key", "ask the user what they want instead")


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


def complete(ctx: Context, result: dict[str, Any]) -> dict[str, Any]:
    """A final result as this era spells it."""
    return {"resultType": "complete", **result} if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else result


def bad_arguments_are_errors(ctx: Context) -> bool:
    """Whether arguments that break the schema are a protocol error (before 2025-11-25) or a tool's own (SEP-1303)."""
    return ctx.protocol_version < "2025-11-25"


def missing_resource_code(ctx: Context) -> int:
    """What `resources/read` says of a resource that is not there: -32602 now, -32002 in the legacy revisions."""
    return types.INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else -32002

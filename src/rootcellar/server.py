"""The SDK server: our tools, resources and prompts behind `mcp`'s low-level `Server`, one value for both eras."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

import mcp_types as types
from mcp.server import CacheHint, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError

from rootcellar import __version__, asking, keys, limits, ours
from rootcellar.audit import Audit
from rootcellar.confine import FORBIDDEN, Ground, Progress
from rootcellar.confine._rg import program
from rootcellar.confine.pool import Pools
from rootcellar.consent import Questions
from rootcellar.errors import BadArgument, NeedsConsent, NeedsKey, Refusal
from rootcellar.in_force import Offer, in_force, wants_client_roots
from rootcellar.journal.opening import Journal
from rootcellar.journal.recording import Asks, Recording, Request
from rootcellar.keyasking import KeyQuestions
from rootcellar.policy import Confirm, Effect, Policy
from rootcellar.prompts import PROMPTS
from rootcellar.request_state import KeptCodec
from rootcellar.resources import TEMPLATE, read_resource
from rootcellar.settings import Settings
from rootcellar.text import media
from rootcellar.tools import TOOLSETS, databases
from rootcellar.toolset import REQUEST_KEY, Call, Cancel, Json, Tool, admitted, refused, spoken, summed_up

Answered = Json | types.InputRequiredResult

NAME = "rootcellar"
INSTRUCTIONS = (
    "The user's own files, inside the roots they gave. Start with list_roots or directory_tree. Paths are absolute, "
    "relative to the only root, or `root/...`. Prefer edit_file over rewriting; read_file gives the `version` that "
    "if_version checks. An answer that was cut says which call gets the rest. Every change has a change_id and can be "
    "undone; sent again with the same `request_key` it is not made twice."
)
WARM = ("charset_normalizer", media.warm)  # loaded before the walls are up: behind them nothing can be imported
STATIC = CacheHint(ttl_ms=3_600_000, scope="public")  # lists that only change with the program


class House:
    """What outlives a call: the ground the roots stand on, the pools that work in them, and the journal."""

    def __init__(self, settings: Settings, journal: str) -> None:
        self.settings = settings
        self.tools = admitted(TOOLSETS, settings.policy)
        self.asks = wants_client_roots(settings)
        self.ground = Ground()
        self.journal = Journal.at(journal, databases.OPEN)  # nothing is opened before the first change
        self._questions = Questions()
        self.pools = Pools(programs=[found] if (found := program()) else [], warm=WARM)
        self._listed: Json = {"tools": [tool.spec() for tool in self.tools.values()]}
        self._changing: set[Future[Json]] = set()
        self._keys = keys.served()
        self._keys.refer(settings.databases)
        self._audit = Audit(ours.data_here, lambda: self._keys.ours(keys.AUDIT))
        # Opening a root may block on a dead mount; that is no business of the protocol's thread.
        self._doors = ThreadPoolExecutor(limits.DOOR_THREADS, thread_name_prefix="door")
        self._key_questions = KeyQuestions(self._keys, self._doors)

    async def run(self, ctx: asking.Context, state: str | None, tool: Tool, arguments: Json) -> Json:
        """One tool call: roots, then the body on a thread that can reach nothing else, and the user's yes if need be.

        While the user is asked nothing of the call is left: it begins anew with what was agreed to.
        """
        talk = asking.Talk(ctx, state, self._questions)
        cancel, report = Cancel(), _reporter(ctx, asyncio.get_running_loop())
        key = arguments.pop(REQUEST_KEY, None) or ""
        try:
            agreed = talk.agreed()
            await self._key_questions.answered(talk)
            offer = await talk.roots() if self.asks else None
            asks = self._asks(talk)
            while True:
                sql = str(arguments.get("sql") or "")
                request = Request(tool.name, tool.effect, summed_up(arguments), talk.host, key, asks, agreed, sql)
                try:
                    return await self._tried(offer, tool, arguments, cancel, report, request)
                except NeedsKey as need:
                    await self._key_questions.ask(talk, need)
                except NeedsConsent as need:
                    try:
                        agreed = await talk.agree(need)
                    except asking.CannotAsk:
                        asks = _unasked(self.settings.policy)
        except Refusal as refusal:
            return refused(refusal)
        finally:
            cancel.cancelled = True

    def _asks(self, talk: asking.Talk) -> Asks:
        if self.settings.policy.confirm is Confirm.NEVER:
            return Asks.LET
        return Asks.ASK if talk.can_confirm() else _unasked(self.settings.policy)

    async def _tried(
        self,
        offer: Offer | None,
        tool: Tool,
        arguments: Json,
        cancel: Cancel,
        report: Progress,
        request: Request,
    ) -> Json:
        """Open the roots off the protocol's thread, hand the call to the threads held to them, and wait for it."""
        loop = asyncio.get_running_loop()
        begin = partial(self._begin, offer, tool, arguments, cancel, report, request)
        return await asyncio.wrap_future(await loop.run_in_executor(self._doors, begin))

    def _begin(
        self,
        offer: Offer | None,
        tool: Tool,
        arguments: Json,
        cancel: Cancel,
        report: Progress,
        request: Request,
    ) -> Future[Json]:
        roots = in_force(self.ground, self.settings, offer)
        recording = Recording(self.journal.store, request)
        witness = FORBIDDEN if tool.effect is Effect.READ else recording
        call = Call(roots.witnessed(witness), recording, self.journal, cancel, report)
        if not roots.roots:
            refusal: Future[Json] = Future()
            refusal.set_result(spoken(tool, call, arguments))  # nothing can be opened: the answer says why
            return refusal
        future = self.pools.run(roots.roots, tool.lane, spoken, tool, call, arguments)
        if tool.effect is not Effect.READ:
            self._changing.add(future)
            future.add_done_callback(self._changing.discard)
            self._audit.watch(future, tool.name, tool.effect.value, arguments)
        return future

    async def list_tools(self, ctx: asking.Context, params: types.PaginatedRequestParams) -> Json:
        """`tools/list`."""
        _whole(params, "tools/list")
        return asking.complete(ctx, self._listed)

    async def call_tool(self, ctx: asking.Context, params: types.CallToolRequestParams) -> Answered:
        """`tools/call`."""
        tool = self.tools.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool; {_nearest(params.name, self.tools)}")
        try:
            arguments = tool.parse(params.arguments or {})
        except BadArgument as bad:
            if asking.bad_arguments_are_errors(ctx):
                raise MCPError(types.INVALID_PARAMS, str(bad)) from None
            return asking.complete(ctx, refused(bad))
        try:
            return asking.complete(ctx, await self.run(ctx, params.request_state, tool, arguments))
        except asking.Asked as asked:
            return asked.result

    async def list_prompts(self, ctx: asking.Context, params: types.PaginatedRequestParams) -> Json:
        """`prompts/list`."""
        _whole(params, "prompts/list")
        return asking.complete(ctx, {"prompts": [prompt.spec() for prompt in PROMPTS.values()]})

    async def get_prompt(self, ctx: asking.Context, params: types.GetPromptRequestParams) -> Json:
        """`prompts/get`."""
        prompt = PROMPTS.get(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt; {_nearest(params.name, PROMPTS)}")
        try:
            return asking.complete(ctx, prompt.filled(params.arguments or {}))
        except BadArgument as bad:
            raise MCPError(types.INVALID_PARAMS, str(bad)) from None

    async def list_resources(self, ctx: asking.Context, params: types.PaginatedRequestParams) -> Json:
        """`resources/list`: which files there are is asked of the tools."""
        _whole(params, "resources/list")
        return asking.complete(ctx, {"resources": []})

    async def list_templates(self, ctx: asking.Context, params: types.PaginatedRequestParams) -> Json:
        """`resources/templates/list`."""
        _whole(params, "resources/templates/list")
        return asking.complete(ctx, {"resourceTemplates": [TEMPLATE]})

    async def get_resource(self, ctx: asking.Context, params: types.ReadResourceRequestParams) -> Answered:
        """`resources/read`."""
        uri = str(params.uri)
        try:
            found = await self.run(ctx, params.request_state, read_resource, {"uri": uri})
        except asking.Asked as asked:
            return asked.result
        if found.get("isError"):
            echo = {"uri": uri} if len(uri) <= limits.URI_CHARS_MAX else None
            raise MCPError(asking.missing_resource_code(ctx), found["content"][0]["text"], echo)
        return asking.complete(ctx, {"contents": found["content"], "ttlMs": 0, "cacheScope": "private"})

    def drain(self, seconds: float) -> None:
        """Return once no change is half done, or when the time is up: then it is as if it had not begun."""
        until = time.monotonic() + seconds
        wait(list(self._changing), timeout=seconds)
        self._audit.flush(limits.AUDIT_FLUSH_S)
        self._key_questions.close()
        databases.OPEN.close()
        self.journal.store.close(max(0.0, until - time.monotonic()))


def _unasked(policy: Policy) -> Asks:
    """What becomes of a change that destroys where nobody can be asked."""
    return Asks.REFUSE if policy.confirm is Confirm.REFUSE else Asks.LET


def _reporter(ctx: asking.Context, loop: asyncio.AbstractEventLoop) -> Progress:
    """Progress from a worker thread: increasing, and no more often than a person can read."""
    if ctx.meta is None or ctx.meta.get("progress_token") is None:
        return lambda _done, _total, _message: None
    last = -1.0
    due = time.monotonic() + limits.PROGRESS_EVERY_S

    def report(done: float, total: float | None, message: str) -> None:
        nonlocal last, due
        now = time.monotonic()
        if now < due or done <= last:
            return
        last, due = done, now + limits.PROGRESS_EVERY_S
        asyncio.run_coroutine_threadsafe(ctx.session.report_progress(done, total, message), loop)

    return report


def _nearest(name: str, known: Iterable[str]) -> str:
    """The names there are, the likeliest first; never the one that was sent."""
    names = list(known)
    close = difflib.get_close_matches(name[: limits.URI_SHOWN_CHARS], names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(names)}"


def _whole(params: types.PaginatedRequestParams | None, what: str) -> None:
    """These lists fit one page, so no cursor of ours exists."""
    if params is not None and params.cursor:
        raise MCPError(types.INVALID_PARAMS, f"Unknown cursor: {what} is one page; call it without a cursor")


def _sealing() -> RequestStateSecurity:
    return RequestStateSecurity(codec=KeptCodec.of(keys.served()))


def build(settings: Settings, journal: str) -> tuple[Server[asking.Memory], House]:
    """The server for these settings, and what it keeps; nothing is opened yet. `journal`: the store's directory."""
    house = House(settings, journal)
    lists = ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list")
    server: Server[asking.Memory] = Server(
        NAME,
        version=__version__,
        title="Rootcellar",
        instructions=INSTRUCTIONS,
        cache_hints=dict.fromkeys(lists, STATIC),  # type: ignore[arg-type] # the SDK's Literal of these words
        lifespan=asking.memory,
    )
    server.add_request_handler("tools/list", types.PaginatedRequestParams, house.list_tools)
    server.add_request_handler("tools/call", types.CallToolRequestParams, house.call_tool)
    server.add_request_handler("prompts/list", types.PaginatedRequestParams, house.list_prompts)
    server.add_request_handler("prompts/get", types.GetPromptRequestParams, house.get_prompt)
    server.add_request_handler("resources/list", types.PaginatedRequestParams, house.list_resources)
    server.add_request_handler("resources/templates/list", types.PaginatedRequestParams, house.list_templates)
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, house.get_resource)
    server.add_notification_handler("notifications/roots/list_changed", types.NotificationParams, asking.forget)
    server.middleware.append(RequestStateBoundary(_sealing(), default_audience=NAME))
    server.middleware.append(asking.plain_words)
    server.middleware.append(asking.lenient)
    return server, house

"""The SDK server: our tools, resources and prompts behind `mcp`'s low-level `Server`, one value for both eras."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mcp_types as types
from mcp.server import CacheHint, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.shared.exceptions import MCPError

from rootcellar import __version__, asking, limits
from rootcellar.confine import Ground, Pools
from rootcellar.errors import BadArgument, Refusal
from rootcellar.prompts import PROMPTS
from rootcellar.resources import TEMPLATE, read_resource
from rootcellar.settings import Settings
from rootcellar.tools import TOOLSETS
from rootcellar.toolset import Call, Cancel, Json, Tool, admitted, refused, spoken

NAME = "rootcellar"
INSTRUCTIONS = (
    "The user's own files, inside the roots they gave. Start with list_roots or directory_tree. Paths are absolute, "
    "relative to the only root, or `root/...`. Prefer edit_file over rewriting; read_file gives the `version` that "
    "if_version checks. An answer that was cut says which call gets the rest."
)
STATIC = CacheHint(ttl_ms=3_600_000, scope="public")  # lists that only change with the program


class House:
    """What outlives a call: the ground the roots stand on, and the pools that work in them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tools = admitted(TOOLSETS, settings.policy)
        self.asks = asking.wants_client_roots(settings)
        self.ground = Ground()
        self.pools = Pools()
        self.active: set[Cancel] = set()
        # Opening a root may block on a dead mount; that is no business of the protocol's thread.
        self._doors = ThreadPoolExecutor(limits.DOOR_THREADS, thread_name_prefix="door")

    async def run(self, ctx: asking.Context, state: str | None, tool: Tool, arguments: Json) -> Json:
        """One tool call: roots, then the body on a thread that can reach nothing else."""
        offer = await asking.client_roots(ctx, state) if self.asks else None
        loop = asyncio.get_running_loop()
        cancel = Cancel()
        self.active.add(cancel)
        try:
            roots = await loop.run_in_executor(self._doors, asking.in_force, self.ground, self.settings, offer)
            call = Call(roots, cancel, _reporter(ctx, loop))
            if not roots.roots:
                return spoken(tool, call, arguments)  # nothing can be opened: the answer says why
            future = self.pools.run(roots.roots, spoken, tool, call, arguments, lane=tool.lane)
            return await asyncio.wrap_future(future)
        except Refusal as refusal:
            return refused(refusal)
        finally:
            cancel.cancelled = True
            self.active.discard(cancel)

    def close(self) -> None:
        """Take back whatever still runs; a write that has begun completes, the rest stops."""
        for cancel in list(self.active):
            cancel.cancelled = True


def _reporter(ctx: asking.Context, loop: asyncio.AbstractEventLoop) -> Callable[[float, float | None, str], None]:
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
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean `{close[0]}`?" if close else f"there are: {', '.join(names)}"


def _whole(params: types.PaginatedRequestParams | None, what: str) -> None:
    """These lists fit one page, so no cursor of ours exists."""
    if params is not None and params.cursor:
        raise MCPError(types.INVALID_PARAMS, f"Unknown cursor: {what} is one page; call it without a cursor")


def build(settings: Settings) -> tuple[Server[asking.Memory], House]:
    """The server for these settings, and what it keeps; nothing is opened yet."""
    house = House(settings)
    listed: Json = {"tools": [tool.spec() for tool in house.tools.values()]}

    async def list_tools(_ctx: asking.Context, params: types.PaginatedRequestParams | None) -> Json:
        _whole(params, "tools/list")
        return listed

    async def call_tool(ctx: asking.Context, params: types.CallToolRequestParams) -> Any:  # noqa: ANN401 - the SDK's union
        tool = house.tools.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool; {_nearest(params.name, house.tools)}")
        try:
            arguments = tool.parse(params.arguments or {})
        except BadArgument as bad:
            if asking.bad_arguments_are_errors(ctx):
                raise MCPError(types.INVALID_PARAMS, str(bad)) from None
            return refused(bad)
        try:
            return await house.run(ctx, params.request_state, tool, arguments)
        except asking.Asked as asked:
            return asked.result

    async def list_prompts(_ctx: asking.Context, params: types.PaginatedRequestParams | None) -> Json:
        _whole(params, "prompts/list")
        return {"prompts": [prompt.spec() for prompt in PROMPTS.values()]}

    async def get_prompt(_ctx: asking.Context, params: types.GetPromptRequestParams) -> Json:
        prompt = PROMPTS.get(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt; {_nearest(params.name, PROMPTS)}")
        try:
            return prompt.filled(params.arguments or {})
        except BadArgument as bad:
            raise MCPError(types.INVALID_PARAMS, str(bad)) from None

    async def list_resources(_ctx: asking.Context, params: types.PaginatedRequestParams | None) -> Json:
        _whole(params, "resources/list")
        return {"resources": []}

    async def list_templates(_ctx: asking.Context, params: types.PaginatedRequestParams | None) -> Json:
        _whole(params, "resources/templates/list")
        return {"resourceTemplates": [TEMPLATE]}

    async def get_resource(ctx: asking.Context, params: types.ReadResourceRequestParams) -> Any:  # noqa: ANN401 - the SDK's union
        try:
            found = await house.run(ctx, params.request_state, read_resource, {"uri": str(params.uri)})
        except asking.Asked as asked:
            return asked.result
        if found.get("isError"):
            told = found["content"][0]["text"]
            raise MCPError(asking.missing_resource_code(ctx), told, {"uri": str(params.uri)})
        return {"contents": found["content"], "ttlMs": 0, "cacheScope": "private"}

    server: Server[asking.Memory] = Server(
        NAME,
        version=__version__,
        title="Rootcellar",
        instructions=INSTRUCTIONS,
        cache_hints=dict.fromkeys(
            ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"), STATIC
        ),
        lifespan=asking.memory,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=get_resource,
    )
    server.add_notification_handler("notifications/roots/list_changed", types.NotificationParams, asking.forget)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=NAME))
    server.middleware.append(asking.lenient)
    return server, house

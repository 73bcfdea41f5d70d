"""A small SDK server with every awkward tool the front must survive; run as a script, it serves on the real front."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rootcellar.engine import Engine

EVENTS: list[str] = []


def build() -> Engine:  # noqa: C901 - fifteen little tools
    """The engine; imports the SDK, so the front calls it on its own thread."""
    import asyncio
    import subprocess
    import threading
    import time

    import mcp_types as types
    from mcp.server import Server
    from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
    from mcp.shared.exceptions import MCPError
    from mcp.shared.message import ServerMessageMetadata

    from rootcellar.engine import Engine

    if os.environ.get("FIXTURE_FAILS"):
        msg = "the engine cannot be built"
        raise RuntimeError(msg)
    time.sleep(float(os.environ.get("FIXTURE_SLEEP", "0")))
    bus = InMemorySubscriptionBus()
    listen = ListenHandler(bus)

    def text(value: str) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text=value)])

    async def slow(_ctx: Any, seconds: float = 1) -> types.CallToolResult:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            EVENTS.append("cancelled")
            raise
        return text("slept")

    async def stubborn(_ctx: Any, seconds: float = 1) -> types.CallToolResult:
        """A handler that swallows its cancellation."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                await asyncio.sleep(until - time.monotonic())
            except asyncio.CancelledError:
                EVENTS.append("ignored")
        return text("done all the same")

    async def blocked(_ctx: Any, seconds: float = 1) -> types.CallToolResult:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            time.sleep(seconds)
            loop.call_soon_threadsafe(done.set)

        threading.Thread(target=work).start()  # not a daemon: would hold a polite exit
        await done.wait()
        return text("unblocked")

    async def spin(_ctx: Any, seconds: float = 1) -> types.CallToolResult:
        def work() -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                sum(range(1000))

        await asyncio.to_thread(work)
        return text("spun")

    async def progress(ctx: Any, steps: int = 3) -> types.CallToolResult:
        for step in range(steps):
            await ctx.session.report_progress(float(step), float(steps), f"step {step}")
        return text("progressed")

    async def roots(ctx: Any) -> Any:
        if ctx.protocol_version >= "2026":
            given = (ctx.params.get("inputResponses") or {}).get("roots")
            if given is None:
                return types.InputRequiredResult(input_requests={"roots": types.ListRootsRequest()}, request_state="s1")
            return text(str(given["roots"][0]["uri"]))
        found = await ctx.session.send_request(
            types.ListRootsRequest(),
            types.ListRootsResult,
            request_read_timeout_seconds=2,
            metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
        )
        return text(str(found.roots[0].uri))

    async def elicit(ctx: Any) -> types.CallToolResult:
        answer = await ctx.session.elicit_form("Really?", {"type": "object", "properties": {}}, ctx.request_id)
        return text(answer.action)

    async def noise(_ctx: Any) -> types.CallToolResult:
        print("a stray print")
        os.write(1, b"a stray write\n")
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "print('a stray child')"], check=True)
        return text(sys.stdin.read())

    async def publish(_ctx: Any, uri: str = "test://a") -> types.CallToolResult:
        await bus.publish(ResourceUpdated(uri=uri))
        return text("published")

    async def fail(_ctx: Any, kind: str = "exception") -> Any:
        if kind == "exception":
            msg = "a secret detail"
            raise ValueError(msg)
        if kind == "mcp":
            raise MCPError(-32602, "unknown thing", {"name": "x"})
        if kind == "exit":
            raise SystemExit(3)
        if kind == "memory":
            raise MemoryError
        return {"content": [{"type": "text", "text": "x"}], "structuredContent": {"no": b"\xff"}}

    async def echo(_ctx: Any, text_: str = "", **more: Any) -> types.CallToolResult:
        return text(text_ or str(more.get("text", "")))

    async def odd(_ctx: Any, kind: str = "name") -> types.CallToolResult:
        strings = {"name": "bad\udcff.txt", "other": "x\ud800y", "pair": "\U0001f600", "slash": "a\\udcff"}
        if kind == "nan":
            return types.CallToolResult(content=[], structured_content={"n": float("nan"), "i": float("-inf"), "k": 1})
        return text(strings[kind])

    async def big(_ctx: Any, size: int = 1000) -> types.CallToolResult:
        return text("x" * size)

    async def events(_ctx: Any) -> types.CallToolResult:
        return text(",".join(EVENTS))

    async def chatter(ctx: Any, size: int = 1000, count: int = 1000) -> types.CallToolResult:
        for step in range(count):
            await ctx.session.report_progress(float(step), None, "x" * size)
        return text("said it all")

    tools = {one.__name__: one for one in (
        slow, stubborn, blocked, spin, progress, roots, elicit, noise, publish, fail, echo, odd, big, events, chatter,
    )}  # fmt: skip

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> Any:
        if params.name not in tools:
            raise MCPError(-32602, "Unknown tool")
        return await tools[params.name](ctx, **(params.arguments or {}))

    async def list_tools(_ctx: Any, _params: Any) -> types.ListToolsResult:
        schema = {"type": "object"}
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema=schema) for name in tools])

    async def roots_changed(_ctx: Any, _params: Any) -> None:
        EVENTS.append("roots changed")

    server: Server[Any] = Server(
        "fixture",
        version="1",
        on_call_tool=call_tool,
        on_list_tools=list_tools,
        on_subscriptions_listen=listen,
        on_roots_list_changed=roots_changed,
    )

    def drain(seconds: float) -> None:
        if path := os.environ.get("FIXTURE_DRAIN"):
            with open(path, "w") as file:
                file.write(f"{seconds:.3f}")

    return Engine(server, ending=[listen.close], drain=[drain])


def main() -> None:
    """Serve."""
    from rootcellar import front
    from rootcellar.front import instant

    front.serve(build, _snapshot if os.environ.get("FIXTURE_SNAPSHOT") else instant.nothing)


def _snapshot(version: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Answers that tell where they come from."""
    if method == "initialize":
        return {"protocolVersion": version, "snapshot": True}
    if version != "2026-07-28" or "cursor" in params:
        return None
    held: dict[str, dict[str, Any]] = {
        "server/discover": {"snapshot": True},
        "tools/list": {"tools": [], "snapshot": True},
    }
    return held.get(method)


if __name__ == "__main__":
    main()

"""A client program (see `session.py`) on the official Python SDK, 1.x: the handshake era only. Runs without pytest."""

# mypy: ignore-errors
# The SDK of our own environment is another one.

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

FAULTS: list[str] = []


async def carry_out(plan: dict[str, Any]) -> dict[str, Any]:
    """Make every step of the plan happen on one connection; the report."""
    roots = plan["roots"]

    async def answer(_context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=uri) for uri in roots])

    async def note(message: Any) -> None:
        if isinstance(message, Exception):
            FAULTS.append(repr(message))

    command, *arguments = plan["command"]
    server = StdioServerParameters(command=command, args=arguments, env=plan["env"])
    asked = None if roots is None else answer
    results = []
    async with (
        stdio_client(server) as (source, sink),
        ClientSession(source, sink, list_roots_callback=asked, message_handler=note) as session,
    ):
        agreed = await session.initialize()
        tools = (await session.list_tools()).tools
        for step in plan["steps"]:
            if "roots" in step:
                roots = step["roots"]
                await session.send_roots_list_changed()
            else:
                results.append(_json(await session.call_tool(step["tool"], step["arguments"])))
        return {"protocol": agreed.protocolVersion, "tools": [_json(tool) for tool in tools], "results": results}


def _json(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


if __name__ == "__main__":
    report = asyncio.run(carry_out(json.load(sys.stdin)))
    print(json.dumps({**report, "faults": FAULTS}))

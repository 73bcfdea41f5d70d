"""A client program (see `session.py`) on the official Python SDK, 2.x; `mode`: auto, legacy or a revision."""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from typing import Any

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientRequestContext, IncomingMessage

FAULTS: list[str] = []


async def carry_out(plan: dict[str, Any]) -> dict[str, Any]:
    """Make every step of the plan happen on one connection; the report."""
    roots: list[str] | None = plan["roots"]

    async def answer(context: ClientRequestContext) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root.model_validate({"uri": uri}) for uri in roots or []])

    async def note(message: IncomingMessage) -> None:
        if isinstance(message, Exception):
            FAULTS.append(repr(message))

    command, *arguments = plan["command"]
    server = StdioServerParameters(command=command, args=arguments, env=plan["env"])
    asked = None if roots is None else answer
    results = []
    async with Client(server, mode=plan["mode"], list_roots_callback=asked, message_handler=note) as client:
        tools = (await client.list_tools()).tools
        for step in plan["steps"]:
            if "roots" in step:
                roots = step["roots"]
                if client.protocol_version < "2026":
                    await client.send_roots_list_changed()
            else:
                results.append(_json(await client.call_tool(step["tool"], step["arguments"])))
        return {"protocol": client.protocol_version, "tools": [_json(tool) for tool in tools], "results": results}


def _json(value: types.Tool | types.CallToolResult) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # roots are deprecated there, and in use
    report = asyncio.run(carry_out(json.load(sys.stdin)))
    print(json.dumps({**report, "faults": FAULTS}))

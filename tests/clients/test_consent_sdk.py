"""The official Python SDK's client answers our questions, in both eras, as a host built on it would."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from driver import COMMAND

pytestmark = pytest.mark.slow


async def session(root: Path, data: Path, mode: str, answer: Any) -> tuple[list[str], list[Any]]:
    """Delete a file, list, undo; the questions, and the results."""
    asked: list[str] = []

    async def elicited(_context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult.model_validate(answer)

    async def roots(_context: object) -> types.ListRootsResult:
        return types.ListRootsResult.model_validate({"roots": [{"uri": root.as_uri()}]})

    environ = {**os.environ, "ROOTCELLAR_CONFIG": os.devnull, "ROOTCELLAR_DATA": str(data)}
    server = stdio_client(StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "serve"], env=environ))
    results: list[Any] = []
    callbacks: Any = {"elicitation_callback": elicited, "list_roots_callback": roots}
    async with Client(server, mode=mode, **callbacks) as client:
        results.append(await client.call_tool("delete_file", {"path": "a.md"}))
        listed = await client.call_tool("list_changes", {})
        results.append(listed)
        known = next(block.text for block in listed.content if isinstance(block, types.TextContent)).split()[0]
        if known.startswith("c"):
            results.append(await client.call_tool("undo_change", {"change_id": known}))
    return asked, results


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_yes_and_a_no_by_the_sdk(tmp_path: Path, mode: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.md").write_text("one\n", "utf-8")
    asked, results = asyncio.run(session(root, tmp_path / "data", mode, {"action": "decline"}))
    assert len(asked) == 1
    assert results[0].is_error
    assert (root / "a.md").exists()
    said_yes = {"action": "accept", "content": {"confirm": True}}
    asked, results = asyncio.run(session(root, tmp_path / "data", mode, said_yes))
    assert len(asked) == 2
    assert not any(result.is_error for result in results)
    assert asked[1].startswith("Undo the change")
    assert (root / "a.md").read_text("utf-8") == "one\n"

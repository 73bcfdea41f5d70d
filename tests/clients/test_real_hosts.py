"""Hosts that people use, started for real: Claude Code and Gemini CLI with a stand-in for their model, and Codex.

Each has a throw-away home and no way out but loopback (its proxy is a closed port), and is told of the server in the
way its own users do it. Claude Code and Gemini give their working folder as the root; Codex has no roots, so the folder
is named on the command line.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from clients import npm
from clients.home import Home
from clients.model import DONE, Model, anthropic_results, gemini_results
from clients.session import EXPECTED_TOOLS, Ground, Json, check_tools
from driver import COMMAND

pytestmark = [pytest.mark.clients, pytest.mark.timeout(npm.INSTALL_S + 240)]
SHUT = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9") | {"NO_PROXY": "127.0.0.1,localhost"}
SESSION_S = 120
ANSWER_S = 60
TASK = "Look after the garden."


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Home(tmp_path / "home") as home:
        yield home


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground.made_in(tmp_path)


def check_results(ground: Ground, results: list[Json]) -> None:
    """Every step of the session went as it must, as the host tells it."""
    for step, result in zip(ground.brief(), results, strict=True):
        step.check(result)
    ground.check()


def check_nothing_serves(home: Home) -> None:
    """The host has gone, and so has the server."""
    until = time.monotonic() + 2
    while (left := [told for told in home.alive().values() if " serve" in told]) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []


def content(text: str, *, failed: bool) -> Json:
    """Text that a host shows its model, as a result."""
    return {"content": [{"type": "text", "text": text}], "isError": failed}


def test_claude_code_works_in_its_folder(home: Home, ground: Ground) -> None:
    package = f"@anthropic-ai/claude-code-{npm.machine()}"
    claude = str(npm.installed("claude-code", "@anthropic-ai/claude-code@2.1.329") / package / f"claude{npm.EXE}")
    env = SHUT | {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    entry = json.dumps({"type": "stdio", "command": COMMAND[0], "args": [*COMMAND[1:], "serve"]})
    added = home.run([claude, "mcp", "add-json", "-s", "user", "rootcellar", entry], env=env)
    assert added.returncode == 0, added.stderr
    listed = home.run([claude, "mcp", "list"], cwd=ground.garden, env=env)
    assert "✔ Connected" in listed.stdout, listed.stdout

    with Model([(step.tool, step.arguments) for step in ground.brief()]) as model:
        env |= {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "x", "ENABLE_TOOL_SEARCH": "false"}
        # Else it may ask the model before a server that starts on a busy machine has answered.
        env |= {"MCP_CONNECTION_NONBLOCKING": "false", "MCP_CONNECT_TIMEOUT_MS": "60000"}
        command = [claude, "-p", TASK, "--allowedTools", "mcp__rootcellar"]
        done = home.run(command, cwd=ground.garden, timeout=SESSION_S, env=env)
    assert DONE in done.stdout, done
    shown = {tool["name"] for tool in model.seen[0]["tools"]}
    assert shown >= {f"mcp__rootcellar__{name}" for name in EXPECTED_TOOLS}
    results = anthropic_results(model.seen[-1])
    check_results(ground, [_claude(result) for result in results])
    check_nothing_serves(home)


def _claude(result: Json) -> Json:
    told = result["content"]
    if isinstance(told, str):
        return content(told, failed=bool(result.get("is_error")))
    return {"content": told, "isError": bool(result.get("is_error"))}


def test_gemini_cli_works_in_its_folder(home: Home, ground: Ground) -> None:
    script = npm.installed("gemini-cli", "@google/gemini-cli@0.61.0") / "@google/gemini-cli/bundle/gemini.js"
    gemini = [npm.node(), str(script)]
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
        "mcpServers": {"rootcellar": {"command": COMMAND[0], "args": [*COMMAND[1:], "serve"]}},
    }
    (home.path / ".gemini").mkdir()
    (home.path / ".gemini" / "settings.json").write_text(json.dumps(settings), "utf-8")
    env = SHUT | {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
    listed = home.run([*gemini, "mcp", "list"], cwd=ground.garden, env=env)
    assert "- Connected" in listed.stdout + listed.stderr, listed

    with Model([(step.tool, step.arguments) for step in ground.brief()]) as model:
        env |= {"GOOGLE_GEMINI_BASE_URL": model.url, "GEMINI_API_KEY": "x"}
        command = [*gemini, "-p", TASK, "-y", "-m", "gemini-2.5-pro"]  # a named model: nothing chooses one first
        done = home.run(command, cwd=ground.garden, timeout=SESSION_S, env=env)
    assert DONE in done.stdout, done
    declared = [one["name"] for tool in model.seen[0]["tools"] for one in tool.get("functionDeclarations", [])]
    assert set(declared) >= {f"mcp_rootcellar_{name}" for name in EXPECTED_TOOLS}
    responses = [result["response"] for result in gemini_results(model.seen[-1])]
    told = [content(one.get("output", one.get("error", "")), failed="error" in one) for one in responses]
    check_results(ground, told)
    check_nothing_serves(home)
    assert "strict mode" not in done.stderr, done.stderr[-2000:]  # its validator's doubts about our schemas


class AppServer:
    """Codex as the program behind its editors: JSON-RPC over stdio, no model needed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answers: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=ANSWER_S)
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            message = json.loads(line)
            if "id" in message and "method" not in message:
                self._answers.put(message)

    def ask(self, method: str, params: Json) -> Json:
        """One request, one result."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.get(timeout=ANSWER_S)
        assert "result" in answer, answer
        result: Json = answer["result"]
        return result


def test_codex_works_in_the_folder_on_the_command_line(home: Home, ground: Ground) -> None:
    script = npm.installed("codex", "@openai/codex@0.169.0") / "@openai/codex/bin/codex.js"
    codex = [npm.node(), str(script)]
    (home.path / ".codex").mkdir()
    added = home.run([*codex, "mcp", "add", "rootcellar", "--", *COMMAND, "serve", str(ground.garden)], env=SHUT)
    assert added.returncode == 0, added.stderr
    with AppServer(home.start([*codex, "app-server"], cwd=ground.garden, env=SHUT)) as app:
        client = {"name": "session", "version": "1", "title": None}
        app.ask("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        (status,) = app.ask("mcpServerStatus/list", {})["data"]
        assert status["serverInfo"]["name"] == "rootcellar"
        check_tools(list(status["tools"].values()))
        thread = app.ask("thread/start", {"cwd": str(ground.garden)})["thread"]["id"]
        results = [
            app.ask("mcpServer/tool/call", {"threadId": thread, "server": "rootcellar", **step.call()})
            for step in ground.brief()
        ]
    check_results(ground, results)
    check_nothing_serves(home)

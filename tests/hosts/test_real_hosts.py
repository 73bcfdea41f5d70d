"""Real hosts start us from the config we wrote, list our tools, and read a real file with their roots in force."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from hosts.homes import Home
from hosts.model import stand_in
from hosts.real import Lived, command, lived, ours

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="the npm packages of this table are tried on Linux"),
]


def _nothing(_host: Lived, _url: str) -> None:
    """The host needs no config of its own."""


def _gemini(host: Lived, _url: str) -> None:
    host.home.write(
        ".gemini/settings.json", b'{\n  "security": {"auth": {"selectedType": "gemini-api-key"}} // kept\n}\n'
    )


def _qwen(host: Lived, _url: str) -> None:
    host.home.write(
        ".qwen/settings.json", '{\n  "tools": {"toolSearch": {"enabled": false}} // else it hides tools\n}\n'
    )


def _continue(host: Lived, url: str) -> None:
    model = (
        "name: x\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: stand-in\n    provider: openai\n    model: stand-in\n"
        f"    apiKey: x\n    apiBase: {url}/v1\n    roles: [chat]\n    capabilities: [tool_use]\n"
    )
    host.home.write(".continue/config.yaml", model)


def _opencode(host: Lived, url: str) -> None:
    options = {"baseURL": f"{url}/v1", "apiKey": "x"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"stand-in": {"tool_call": True}}}
    config = {"provider": {"here": provider}, "model": "here/stand-in"}
    host.home.write(".config/opencode/opencode.json", json.dumps(config, indent=2))


def _cline(host: Lived, url: str) -> None:
    host.run([str(command("cline")), "auth", "-p", "openai", "-k", "x", "-m", "stand-in", "-b", f"{url}/v1"])


class Real(NamedTuple):
    """A host with a model behind it: its command, its words, its environment, and what it calls our tool."""

    host: str
    command: str
    words: tuple[str, ...]
    tool: str
    env: dict[str, str]
    prepare: Callable[[Lived, str], None] = _nothing


SAY = "read a.txt"
REAL = [
    Real(
        "claude-code", "claude", ("-p", SAY, "--allowedTools", "mcp__rootcellar"),
        "mcp__rootcellar__{}",
        {
            "ENABLE_TOOL_SEARCH": "false", "ANTHROPIC_BASE_URL": "URL", "ANTHROPIC_API_KEY": "x",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
            "MCP_CONNECTION_NONBLOCKING": "false", "MCP_CONNECT_TIMEOUT_MS": "60000",
        },
    ),
    Real(
        "gemini", "gemini", ("-m", "gemini-2.5-flash", "-y", "-p", SAY), "mcp_rootcellar_{}",
        {"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": "URL", "GEMINI_CLI_TRUST_WORKSPACE": "true"}, _gemini,
    ),
    Real(
        "copilot", "copilot", ("-p", SAY, "--allow-all-tools"), "rootcellar-{}",
        {"COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_BASE_URL": "URL/v1", "COPILOT_MODEL": "stand-in"},
    ),
    Real(
        "opencode", "opencode", ("run", SAY), "rootcellar_{}", {"OPENCODE_DISABLE_AUTOUPDATE": "1"}, _opencode
    ),
    Real(
        "continue", "cn", ("--config", "HOME/.continue/config.yaml", "--auto", "-p", SAY), "{}", {}, _continue
    ),
    Real("cline", "cline", ("--json", SAY), "rootcellar__{}", {}, _cline),
    Real(
        "qwen", "qwen", ("--auth-type", "openai", "-y", "-p", SAY), "mcp__rootcellar__{}",
        {"OPENAI_BASE_URL": "URL/v1", "OPENAI_API_KEY": "x", "OPENAI_MODEL": "stand-in"}, _qwen,
    ),
]  # fmt: skip


def _asked(real: Real, host: Lived) -> str:
    words = [word.replace("HOME", str(host.home.path)) for word in real.words]
    return host.run([str(command(real.command)), *words])


def _installed(host: Lived, real: Real) -> dict[str, Any]:
    words = ["install", "--host", real.host, "--root", str(host.folder), "--yes", "--json", "--command", ours()]
    done = host.home.run_apart(*words, env=host.env)
    told = done.hosts[real.host]
    assert done.code == 0, told
    return told


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.host)
def test_a_real_host_reads_a_file_and_a_database_through_us_and_is_clean_afterwards(home: Home, real: Real) -> None:
    read, query = real.tool.format("read_file"), real.tool.format("query_database")
    with stand_in([]) as model:
        host = lived(home, real.command, {name: value.replace("URL", model.url) for name, value in real.env.items()})
        inside, outside = host.folder / "a.txt", home.path / "secret.txt"
        database = {"database": str(host.folder / "cellar.db"), "sql": "SELECT name, degrees FROM shelf ORDER BY name"}
        model.calls = [(read, {"path": str(inside)}), (query, database), (read, {"path": str(outside)})]
        real.prepare(host, model.url)
        assert _installed(host, real)["proof"]["works"]
        said = _asked(real, host)
        assert {read, query} <= model.offered, (said, sorted(model.offered))
        file, rows, refused = model.answers
        assert "the cellar is 12 degrees" in file
        assert "quince" in rows
        assert "outside" in refused
        assert "OUTSIDE" not in "".join(model.answers)
        assert host.home.run_apart("uninstall", "--yes", "--json", env=host.env).code == 0
        model.forget()
        _asked(real, host)
        assert model.requests
        assert read not in model.offered


def test_codex_starts_us_lists_our_tools_and_calls_one_with_the_granted_folder(home: Home) -> None:
    host = lived(home, "codex", {})
    config = host.home.write(
        ".codex/config.toml", before := b'# mine\nmcp_servers.other.command = "true"\nmodel = "x"\n'
    )
    real = Real("codex", "codex", (), "", {})
    told = _installed(host, real)
    assert "Codex lists it" in told["details"]
    with host.talk([str(command("codex")), "app-server"]) as codex:
        codex.asked("initialize", {"clientInfo": {"name": "test", "version": "1"}})
        servers = codex.asked("mcpServerStatus/list", {})["data"]
        [server] = [server for server in servers if server["name"] == "rootcellar"]
        assert "read_file" in server["tools"]
        started = codex.asked("thread/start", {"cwd": str(host.folder)})
        call = {"threadId": started["thread"]["id"], "server": "rootcellar", "tool": "read_file"}
        answer = codex.asked("mcpServer/tool/call", {**call, "arguments": {"path": str(host.folder / "a.txt")}})
        assert "the cellar is 12 degrees" in json.dumps(answer)
        answer = codex.asked("mcpServer/tool/call", {**call, "arguments": {"path": str(home.path / "secret.txt")}})
        assert answer["isError"] is True
    host.home.run_apart("uninstall", "--yes", env=host.env)
    assert config.read_bytes() == before


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_calls_us_from_the_config_we_wrote_in_both_eras(home: Home, era: str) -> None:
    host = lived(home, "mcp-inspector", {})
    file = host.home.write("inspector.json", b"{}")
    words = ["--host", "claude-code", "--file", str(file), "--root", str(host.folder), "--root-everywhere"]
    done = host.home.run_apart("install", *words, "--yes", "--json", "--command", ours(), env=host.env)
    assert done.code == 0, done.out
    base = [
        str(command("mcp-inspector")),
        "--cli",
        "--config",
        str(file),
        "--server",
        "rootcellar",
        "--protocol-era",
        era,
    ]
    assert "read_file" in host.run([*base, "--method", "tools/list"])
    call = [*base, "--method", "tools/call", "--tool-name", "read_file", "--tool-arg"]
    assert "the cellar is 12 degrees" in host.run([*call, f"path={host.folder / 'a.txt'}"])
    assert "OUTSIDE" not in host.run([*call, f"path={home.path / 'secret.txt'}"])

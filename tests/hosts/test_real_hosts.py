"""Real hosts start us from the config we wrote, list our tools, and work in a real folder and database, and only there.

Claude Code, Gemini CLI, Codex and the Inspector belong to the daily CI; the others are large and run with `--full`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import npm
from clients.home import Home
from clients.model import DONE, stand_in
from clients.session import EXPECTED_TOOLS, Ground, check_tools
from hosts.real import SHUT, AppServer, Lived, Real, asked, program, with_model

pytestmark = [
    pytest.mark.clients,
    pytest.mark.timeout(npm.INSTALL_S + 600),
    pytest.mark.skipif(sys.platform != "linux", reason="the npm packages of this table are tried on Linux"),
]


def _gemini(lived: Lived, _url: str) -> None:
    said = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    lived.write(".gemini/settings.json", json.dumps(said, indent=2)[:-1] + "  // kept\n}\n")


def _qwen(lived: Lived, _url: str) -> None:
    lived.write(".qwen/settings.json", '{\n  "tools": {"toolSearch": {"enabled": false}} // else it hides tools\n}\n')


def _continue(lived: Lived, url: str) -> None:
    model = (
        "name: x\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: stand-in\n    provider: openai\n    model: stand-in\n"
        f"    apiKey: x\n    apiBase: {url}/v1\n    roles: [chat]\n    capabilities: [tool_use]\n"
    )
    lived.write(".continue/config.yaml", model)


def _opencode(lived: Lived, url: str) -> None:
    options = {"baseURL": f"{url}/v1", "apiKey": "x"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"stand-in": {"tool_call": True}}}
    config = {"provider": {"here": provider}, "model": "here/stand-in"}
    lived.write(".config/opencode/opencode.json", json.dumps(config, indent=2))


def _cline(lived: Lived, url: str) -> None:
    lived.run(str(program("cline")), "auth", "-p", "openai", "-k", "x", "-m", "stand-in", "-b", f"{url}/v1")


TASK = "Look after the garden."
REAL = [
    Real(
        "claude-code", "claude-code", ("-p", TASK, "--allowedTools", "mcp__rootcellar"), "mcp__rootcellar__{}",
        {
            "ENABLE_TOOL_SEARCH": "false", "ANTHROPIC_BASE_URL": "URL", "ANTHROPIC_API_KEY": "x",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
            # Else it may ask the model before a server that starts on a busy machine has answered.
            "MCP_CONNECTION_NONBLOCKING": "false", "MCP_CONNECT_TIMEOUT_MS": "60000",
        },
    ),
    Real(
        "gemini", "gemini-cli", ("-m", "gemini-2.5-pro", "-y", "-p", TASK), "mcp_rootcellar_{}",
        {"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": "URL", "GEMINI_CLI_TRUST_WORKSPACE": "true"}, _gemini,
    ),
    Real(
        "copilot", "copilot", ("-p", TASK, "--allow-all-tools"), "rootcellar-{}",
        {"COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_BASE_URL": "URL/v1", "COPILOT_MODEL": "stand-in"},
    ),
    Real("opencode", "opencode", ("run", TASK), "rootcellar_{}", {"OPENCODE_DISABLE_AUTOUPDATE": "1"}, _opencode),
    Real("continue", "continue", ("--config", "HOME/.continue/config.yaml", "--auto", "-p", TASK), "{}", {}, _continue),
    Real("cline", "cline", ("--json", TASK), "rootcellar__{}", {"CLINE_TELEMETRY_DISABLED": "1", "HTTP_PROXY": "", "HTTPS_PROXY": ""}, _cline),
    Real(
        "qwen", "qwen-code", ("--auth-type", "openai", "-y", "-p", TASK), "mcp__rootcellar__{}",
        {"OPENAI_BASE_URL": "URL/v1", "OPENAI_API_KEY": "x", "OPENAI_MODEL": "stand-in"}, _qwen,
    ),
]  # fmt: skip
DAILY = {"claude-code", "gemini"}
ROWS = [
    pytest.param(real, id=real.host, marks=() if real.host in DAILY else pytest.mark.full) for real in REAL
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home of its own."""
    with Home(tmp_path / "home") as home:
        yield home


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """The garden, and the house beside it."""
    return Ground.made_in(tmp_path)


@pytest.mark.parametrize("real", ROWS)
def test_a_real_host_works_in_its_folder_through_us_and_is_clean_afterwards(
    home: Home, ground: Ground, real: Real
) -> None:
    steps = ground.brief()
    with stand_in([(real.tool.format(step.tool), step.arguments) for step in steps]) as model:
        lived = with_model(real, home, ground, model)
        before = _configs(home)
        lived.installed(real.host)
        said = asked(real, lived)
        assert model.offered >= {real.tool.format(name) for name in EXPECTED_TOOLS}, (said, sorted(model.offered))
        assert len(model.answers) == len(steps), (said, model.answers)
        for step, answer in zip(steps, model.answers, strict=True):
            step.check_told(answer.text)
            assert answer.failed in (None, not step.shows), answer
        ground.check()
        assert DONE in said
        assert [told for told in home.alive(within=2).values() if " serve" in told] == []
        lived.ours("uninstall", "--yes")
        model.forget()
        asked(real, lived)
        assert model.requests
        assert not model.offered & {real.tool.format(name) for name in ("query_database", "list_roots")}
        assert before.items() <= _configs(home).items()


def _configs(home: Home) -> dict[str, bytes]:
    """The configs that a person wrote, where the host does not write into them itself."""
    names = (".gemini/settings.json", ".continue/config.yaml")
    return {name: path.read_bytes() for name in names if (path := home.path / name).exists()}


def test_codex_works_in_the_granted_folder_from_the_config_we_wrote(home: Home, ground: Ground) -> None:
    lived = Lived.with_program(home, ground, "codex", {})
    config = lived.write(".codex/config.toml", before := '# mine\nmcp_servers.other.command = "true"\nmodel = "x"\n')
    assert "Codex lists it" in lived.installed("codex")["details"]
    codex = home.start([str(program("codex")), "app-server"], cwd=ground.garden, env=lived.env)
    with AppServer(codex) as app:
        client = {"name": "session", "version": "1", "title": None}
        app.ask("initialize", {"clientInfo": client, "capabilities": {"experimentalApi": True}})
        [status] = [server for server in app.ask("mcpServerStatus/list", {})["data"] if server["name"] == "rootcellar"]
        assert status["serverInfo"]["name"] == "rootcellar"
        check_tools(list(status["tools"].values()))
        thread = app.ask("thread/start", {"cwd": str(ground.garden)})["thread"]["id"]
        for step in ground.brief():
            step.check(app.ask("mcpServer/tool/call", {"threadId": thread, "server": "rootcellar", **step.call()}))
    ground.check()
    assert [told for told in home.alive(within=2).values() if " serve" in told] == []
    lived.ours("uninstall", "--yes")
    assert config.read_text("utf-8") == before


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_works_from_the_config_we_wrote_in_both_eras(home: Home, ground: Ground, era: str) -> None:
    lived = Lived.with_program(home, ground, "inspector", {})
    file = lived.write("inspector.json", "{}")
    lived.installed("claude-code", "--file", str(file), "--root-everywhere")
    base = [str(program("inspector")), "--cli", "--config", str(file), "--server", "rootcellar", "--protocol-era", era]
    listed = lived.run(*base, "--format", "json", "--method", "tools/list")
    check_tools(json.JSONDecoder().raw_decode(listed)[0]["result"]["tools"])
    for step in ground.brief():
        call = ["--method", "tools/call", "--tool-name", step.tool, "--tool-args-json", json.dumps(step.arguments)]
        step.check_told(lived.run(*base, *call))
    ground.check()
    assert SHUT.items() <= lived.env.items()
    lived.ours("uninstall", "--yes")
    assert file.read_text("utf-8") == "{}"

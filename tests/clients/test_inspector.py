"""MCP Inspector's command line in its three eras: roots from its config file, every answer as it reads it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import npm
from clients.home import Home
from clients.session import SECRET, Ground, Json, Step, check_tools
from driver import COMMAND, uri

pytestmark = [pytest.mark.clients, pytest.mark.timeout(npm.INSTALL_S + 120)]
PACKAGE = "@modelcontextprotocol/inspector"
ERAS = ("legacy", "auto", "modern")
TOOL_FAILED = 5


@pytest.fixture(scope="module")
def program() -> list[str]:
    """The Inspector without its browser part."""
    where = npm.installed("inspector", f"{PACKAGE}@2.12.0") / PACKAGE / "clients" / "launcher" / "build" / "index.js"
    return [npm.node(), str(where), "--cli"]


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with Home(tmp_path / "home") as home:
        yield home


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground.made_in(tmp_path)


def configured(home: Home, ground: Ground, era: str) -> list[str]:
    """A config file with the server and the garden as its root; the arguments that name them."""
    command, *arguments = [*COMMAND, "serve"]
    server = {
        "type": "stdio", "command": command, "args": arguments, "env": home.env(),
        "roots": [{"uri": uri(ground.garden), "name": "garden"}], "protocolEra": era,
    }  # fmt: skip
    path = home.path / "inspector.json"
    path.write_text(json.dumps({"mcpServers": {"rootcellar": server}}), "utf-8")
    return ["--config", str(path), "--server", "rootcellar", "--protocol-era", era, "--format", "json"]


def asked(home: Home, command: list[str], method: str, *more: str) -> subprocess.CompletedProcess[str]:
    """One run of the Inspector."""
    return home.run([*command, "--method", method, *more])


def called(home: Home, command: list[str], step: Step) -> Json:
    """A tool's result; the Inspector's exit code must agree with it."""
    given = ["--tool-name", step.tool, "--tool-args-json", json.dumps(step.arguments)]
    done = asked(home, command, "tools/call", *given)
    assert SECRET not in done.stdout + done.stderr
    assert done.returncode in (0, TOOL_FAILED), done.stderr
    result: Json = json.loads(done.stdout)["result"]
    assert bool(result.get("isError")) == (done.returncode == TOOL_FAILED)
    return result


def test_it_lists_the_tools_and_finds_every_schema_portable(
    program: list[str], home: Home, ground: Ground, era: str
) -> None:
    done = asked(home, [*program, *configured(home, ground, era)], "tools/list", "--strict")
    assert done.returncode == 0, done.stderr
    check_tools(json.loads(done.stdout)["result"]["tools"])
    assert home.alive(within=1) == {}


def test_it_works_in_the_root_of_its_config_file(program: list[str], home: Home, ground: Ground, era: str) -> None:
    command = [*program, *configured(home, ground, era)]
    for step in ground.brief():
        step.check(called(home, command, step))
    ground.check()
    assert home.alive(within=1) == {}


def test_it_lists_prompts_and_resources(program: list[str], home: Home, ground: Ground) -> None:
    command = [*program, *configured(home, ground, "auto")]
    for method in ("prompts/list", "resources/list", "resources/templates/list"):
        done = asked(home, command, method)
        assert done.returncode == 0, done.stderr

"""Starting an entry as its host would, asking the host, and finding the command to start."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hosts.homes import SERVER, Home, program_at
from rootcellar import launching, proving
from rootcellar.hosts.host import Machine, Platform, Surroundings
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.where import host_named
from rootcellar.launching import Origin, Running

ENV = {
    "HOME": "/home/ann", "PATH": "/opt/node/bin:/usr/bin", "LANG": "C.UTF-8", "TERM": "xterm", "SECRET_KEY": "s",
    "XDG_RUNTIME_DIR": "/run/user/1", "DBUS_SESSION_BUS_ADDRESS": "unix:x",
}  # fmt: skip


def _machine(home: Home) -> Machine:
    return Machine(Platform.LINUX, str(home.path), home.env)


@pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX")
def test_surroundings_are_what_the_host_gives() -> None:
    allowed = proving.surroundings(host_named("codex"), ENV)
    assert sorted(allowed) == ["HOME", "LANG", "PATH", "TERM"]
    desktop = proving.surroundings(host_named("claude-desktop"), ENV)
    assert desktop["PATH"] == "/usr/bin:/bin:/usr/sbin:/sbin"
    assert "SECRET_KEY" not in desktop
    assert desktop["DBUS_SESSION_BUS_ADDRESS"] == "unix:x"
    electron = proving.surroundings(host_named("vscode"), ENV)
    assert {"ELECTRON_RUN_AS_NODE", "LD_LIBRARY_PATH", "VSCODE_PID", "SECRET_KEY"} <= set(electron)
    assert proving.surroundings(host_named("claude-code"), ENV) == ENV
    assert {host.surroundings for host in HOSTS} == set(Surroundings)


DEAF = """\
import json, sys
for line in sys.stdin:
    print(json.dumps({"jsonrpc": "2.0", "id": json.loads(line).get("id"), "error": {"code": -32601}}), flush=True)
"""
FAILURES = {
    "ends at once": ("import sys; sys.exit('no such folder')\n", "ended at once with code 1: no such folder"),
    "answers nonsense": ("print('hello')\nimport sys; sys.stdin.read()\n", "did not answer within"),
    "no discover, no initialize": (DEAF, "answers `initialize` with"),
    "no tools": (SERVER.replace('[{"name": "read_file", "inputSchema": {"type": "object"}}]', "[]"), "lists no tools"),
    "never ends": (SERVER + "import time\ntime.sleep(60)\n", "does not end when its input ends"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_server_that_does_not_work_is_told_apart(
    home: Home, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, why = FAILURES[name]
    monkeypatch.setattr(proving, "CEILING_S", 3.0)
    monkeypatch.setattr(proving, "END_S", 1.0)
    proof = proving.proved(host_named("codex"), [str(program_at(tmp_path / "server", source))], _machine(home))
    assert not proof.works
    assert why in proof.why


def test_a_server_without_the_modern_era_works_too(home: Home, tmp_path: Path) -> None:
    legacy = SERVER.replace('"result": known[asked["method"]]', '**answer(known, asked["method"])').replace(
        "import json, sys\n",
        "import json, sys\n"
        "def answer(known, method):\n"
        "    if method == 'server/discover':\n"
        "        return {'error': {'code': -32601, 'message': 'no such method'}}\n"
        "    return {'result': known[method]}\n",
    )
    assert proving.proved(host_named("codex"), [str(program_at(tmp_path / "server", legacy))], _machine(home)).works


def test_a_program_that_is_not_there_is_told(home: Home) -> None:
    proof = proving.proved(host_named("codex"), [str(home.path / "gone")], _machine(home))
    assert (proof.works, "does not start: No such file" in proof.why) == (False, True)


def test_a_slow_first_answer_is_measured_against_the_hosts_patience(home: Home) -> None:
    hurried = replace(host_named("copilot"), probe_s=0.001)
    proof = proving.proved(hurried, [str(home.program)], _machine(home))
    assert proof.works
    assert "GitHub Copilot CLI waits 0.001 s" in proof.why
    assert proof.slow_for(replace(hurried, limit_s=0.001))
    assert not proof.slow_for(hurried)


WORDS = {
    "claude-code": ("rootcellar:\n  Scope: User config\n  Status: ✔ Connected\n  Type: stdio\n", True),
    "gemini": ("Configured MCP servers:\n\n✓ rootcellar: /x serve (stdio) - Connected\n", True),
    "opencode": ("●  ✓ rootcellar connected\n│      /x serve\n", True),
    "copilot": ('{\n  "mcpServers": {\n    "rootcellar": {\n', True),
    "codex": ("rootcellar\n  enabled: true\n  transport: stdio\n", True),
    "qwen": ("✗ rootcellar: /x serve (stdio) - Disconnected\n", False),
    "cline": ("Configured MCP servers (/x):\n  rootcellar [stdio]\n", True),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_words_of_hosts_are_understood(name: str) -> None:
    text, well = WORDS[name]
    question = host_named(name).question
    assert question is not None
    assert question.answered_well(text, "rootcellar") is well
    assert not question.answered_well(text.replace("rootcellar", "other"), "rootcellar")
    broken = text.replace("✓", "✗").replace("✔", "✗").replace("onnected", "ailed").replace("true", "false")
    assert broken == text or not question.answered_well(broken, "rootcellar")


def test_every_question_is_tried_here_with_words_of_its_host() -> None:
    assert {host.id for host in HOSTS if host.question} == set(WORDS)


RUNNING = {
    "/Applications/Claude.app/Contents/MacOS/Claude": True,
    "C:\\Users\\a\\AppData\\Local\\AnthropicClaude\\app-1.2\\claude.exe": True,
    "C:\\Program Files\\WindowsApps\\Claude_1.1_x64__pzs8\\app\\claude.exe": True,
    "/usr/bin/claude-desktop": True,
    "/home/ann/.local/bin/claude": False,
    "C:\\Users\\a\\.local\\bin\\claude.exe": False,
}


@pytest.mark.parametrize("process", RUNNING)
def test_a_running_claude_desktop_is_told_from_claude_code(
    home: Home, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_processes", lambda _: f"init\n{process}\n/bin/sh")
    assert proving.is_running(host_named("claude-desktop").running, _machine(home)) is RUNNING[process]


def test_a_running_process_is_seen_in_its_own_home(home: Home) -> None:
    here = Machine(Platform.LINUX, os.environ["HOME"], {})
    assert proving.is_running("python", here)
    assert not proving.is_running("no-such-process-anywhere", here)
    assert not proving.is_running("", here)
    if sys.platform == "linux":
        assert not proving.is_running("python", _machine(home))


def test_a_host_that_overwrites_edits_is_refused_while_it_runs(home: Home, tmp_path: Path) -> None:
    file = home.write(".config/Claude/claude_desktop_config.json", b"{}")
    desktop = tmp_path / "claude-desktop"
    desktop.symlink_to("/bin/sleep")
    import subprocess

    with subprocess.Popen([str(desktop), "30"], env=home.env) as child:
        done = home.install("--host", "claude-desktop")
        child.kill()
    assert done.hosts["claude-desktop"]["why"] == "Claude Desktop is running: quit it first"
    assert file.read_bytes() == b"{}"
    told = home.install("--host", "claude-desktop").hosts["claude-desktop"]
    assert told["status"].startswith("restart Claude Desktop")
    assert home.uninstall().code == 0
    told = home.install("--host", "claude-desktop", "--proof").hosts["claude-desktop"]
    assert "`rootcellar hosts` shows whether it kept the entry" in told["details"][-1]


PREFIXES = {
    "/home/a/.cache/uv/archive-v0/Xy12": Origin.UVX,
    "C:\\Users\\a\\AppData\\Local\\uv\\cache\\archive-v0\\Xy12": Origin.UVX,
    "/home/a/.local/pipx/.cache/abc": Origin.PIPX_RUN,
    "/home/a/.local/share/uv/tools/rootcellar": Origin.LASTING,
    "/home/a/.local/share/pipx/venvs/rootcellar": Origin.LASTING,
    "/usr": Origin.LASTING,
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_caches_that_do_not_last_are_known(prefix: str) -> None:
    assert launching.origin_of(prefix) is PREFIXES[prefix]


def test_a_shim_is_preferred_and_a_cache_never_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = program_at(tmp_path / "tool" / "bin" / "rootcellar")
    program = Running(Origin.LASTING, str(tmp_path / "tool"), str(script))
    monkeypatch.setenv("PATH", "/nowhere")
    assert launching.lasting_command(program) == str(script)
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "rootcellar").symlink_to(script)
    monkeypatch.setenv("PATH", str(shims))
    assert launching.lasting_command(program) == str(shims / "rootcellar")
    assert launching.lasting_command(replace(program, origin=Origin.UVX)) is None
    assert launching.lasting_command(replace(program, script=str(tmp_path / "gone"))) is None


def test_a_run_from_uvx_installs_the_lasting_tool_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, shims = tmp_path / "log", tmp_path / "shims"
    program_at(shims / "rootcellar")
    source = f"import sys\nopen({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\nprint({str(shims)!r})\n"
    monkeypatch.setenv("UV", str(program_at(tmp_path / "uv", source)))
    program = Running(Origin.UVX, "/c/archive-v0/x", "/c/archive-v0/x/bin/rootcellar")
    assert launching.install_lasting(program) == str(shims / "rootcellar")
    first, second = log.read_text("utf-8").splitlines()
    assert first.startswith("tool install --quiet rootcellar")
    assert second == "tool dir --bin"


def test_without_any_installer_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Exception, match="uv tool install rootcellar"):
        launching.install_lasting(Running(Origin.PIPX_RUN, "/x", "/x"))

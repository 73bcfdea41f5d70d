"""The table of hosts: every row on every system, on any system."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hosts.homes import Home
from rootcellar.errors import BadArgument
from rootcellar.hosts import edit
from rootcellar.hosts.edit import Form
from rootcellar.hosts.host import Files, Host, Launch, Machine, Platform, command_line, deep_link, entry
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.where import (
    Place,
    Scope,
    expanded,
    host_named,
    is_here,
    paths,
    profile_places,
    remarks,
    user_places,
)

GOLDEN = Path(__file__).parent / "places.json"
MACHINES = {
    "linux": Machine(Platform.LINUX, "/home/ann", {}),
    "macos": Machine(Platform.MACOS, "/Users/ann", {}),
    "windows": Machine(
        Platform.WINDOWS, "C:\\Users\\ann",
        {"APPDATA": "C:\\Users\\ann\\AppData\\Roaming", "LOCALAPPDATA": "C:\\Users\\ann\\AppData\\Local"},
    ),
}  # fmt: skip
LAUNCH = Launch("/opt/rootcellar", ("/home/ann/notes",), ("/home/ann/archive",))


def _row(host: Host) -> dict[str, object]:
    target = Place(host, Scope.USER, "config").target("rootcellar")
    return {
        **{
            name: {
                "config": paths(host.files, machine), "profiles": paths(host.profiles, machine),
                "unread": paths(host.unread, machine), "marks": paths(host.marks, machine),
            }
            for name, machine in MACHINES.items()
        },
        "project": host.project, "form": host.form.name, "roots": host.roots.value,
        "elicitation": host.elicitation.value, "after": host.after, "entry": entry(host, LAUNCH, "rootcellar"),
        "text": edit.alone(target, entry(host, LAUNCH, "rootcellar")).splitlines(),
        "link": deep_link(host, LAUNCH, "rootcellar"), "source": host.source, "verified": host.verified,
    }  # fmt: skip


def test_every_row_on_every_system_is_as_a_person_agreed() -> None:
    """Set UPDATE_GOLDEN=1 to write the file anew, then read its diff."""
    table = json.dumps({host.id: _row(host) for host in HOSTS}, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(table, encoding="utf-8")
    assert table == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_an_entry_is_minimal_and_can_be_read_back(host: Host) -> None:
    found = entry(host, LAUNCH, "rootcellar")
    assert command_line(host, found) == [
        "/opt/rootcellar",
        "serve",
        "/home/ann/notes",
        "--root-ro",
        "/home/ann/archive",
    ]
    text = json.dumps(found)
    assert "null" not in text
    assert "$" not in text
    assert not {"cwd", "env"} & set(found)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_paths_of_windows_come_back_as_they_were_from_every_format(host: Host) -> None:
    words = [
        "C:\\Program Files\\Root Cellar\\rootcellar.exe",
        "C:\\Users\\Ann Bö\\new: #1\\'notes'",
        "\\\\nas\\share\\x",
    ]
    launch = Launch(words[0], (words[1],), (words[2],))
    target = Place(host, Scope.USER, "config").target("rootcellar")
    after = edit.added(target, None, entry(host, launch, "rootcellar")).after
    assert command_line(host, edit.entry_of(target, after)) == [words[0], "serve", words[1], "--root-ro", words[2]]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_what_is_printed_for_a_host_is_what_would_be_written(host: Host) -> None:
    target = Place(host, Scope.USER, "config").target("rootcellar")
    value = entry(host, LAUNCH, "rootcellar")
    assert edit.alone(target, value).encode() == edit.added(target, None, value).after


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_a_row_says_where_it_comes_from(host: Host) -> None:
    assert host.source
    assert host.verified
    assert host.form in Form
    assert host.files.linux or host.id == "jetbrains"
    for machine in MACHINES.values():
        for path in (*paths(host.files, machine), *paths(host.marks, machine)):
            assert path.startswith((machine.home, "/Applications/")), path
            assert "/" not in path or machine.platform is not Platform.WINDOWS


def test_ids_and_titles_are_unique_and_one_file_belongs_to_one_host() -> None:
    assert len({host.id for host in HOSTS}) == len({host.title for host in HOSTS}) == len(HOSTS)
    for machine in MACHINES.values():
        found = [paths(host.files, machine)[0] for host in HOSTS if host.files.on(machine.platform)]
        assert len(found) == len(set(found))


NAMES = {
    "Claude Code": "claude-code", "claude": "claude-code", "gemini-cli": "gemini", "copilot-cli": "copilot",
    "roo-code": "roo", "LM-Studio": "lmstudio", "qwen-code": "qwen", "VSCode": "vscode", "vs-code": "vscode",
    "windsurf": "windsurf", "amazonq": "amazon-q", "open-code": "opencode", "codex-cli": "codex", "cn": "continue",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_host_is_known_by_the_names_people_use(name: str) -> None:
    assert host_named(name).id == NAMES[name]


@pytest.mark.parametrize("name", ["", "()", "emacs", "clau"])
def test_other_names_are_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(BadArgument, match="nown hosts: claude-desktop, claude-code"):
        host_named(name)


TEMPLATES = {
    "${XDG_CONFIG_HOME:-~/.config}/x": ({}, "/h/.config/x"),
    "${XDG_CONFIG_HOME:-~/.config}/y": ({"XDG_CONFIG_HOME": "/c"}, "/c/y"),
    "${A:-${B:-~/z}/b}/c": ({}, "/h/z/b/c"),
    "${A:-${B:-~/z}/b}/d": ({"B": "/B"}, "/B/b/d"),
    "${A:-${B:-~/z}/b}/e": ({"A": "/A"}, "/A/e"),
    "${A:-~}/f": ({"A": ""}, "/h/f"),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates(template: str) -> None:
    env, path = TEMPLATES[template]
    assert expanded(template, Machine(Platform.LINUX, "/h", env)) == path


def _machine(home: Home, platform: Platform = Platform.LINUX) -> Machine:
    base = str(home.path)
    return Machine(platform, base, {"APPDATA": f"{base}/Roaming", "LOCALAPPDATA": f"{base}/Local"})


MOVED = {
    "cline": (
        ".cline/data/settings/cline_mcp_settings.json",
        ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
    ),
    "antigravity": (".gemini/config/mcp_config.json", ".gemini/antigravity/mcp_config.json"),
    "lmstudio": (".lmstudio/mcp.json", ".cache/lm-studio/mcp.json"),
    "opencode": (".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_config_that_moved_is_found_where_it_is(home: Home, name: str) -> None:
    now, old = MOVED[name]
    host, machine = host_named(name), _machine(home)
    assert [place.path for place in user_places(host, machine)] == [str(home.path / now)]
    home.write(old, b"{}")
    assert [place.path for place in user_places(host, machine)] == [str(home.path / old)]
    home.write(now, b"{}")
    assert [place.path for place in user_places(host, machine)] == [str(home.path / now)]
    assert len(remarks(host, machine)) == 1


def test_a_file_that_a_host_never_reads_is_told(home: Home) -> None:
    home.write("Library/Application Support/Zed/settings.json", b"{}")
    machine = _machine(home, Platform.MACOS)
    assert [place.path for place in user_places(host_named("zed"), machine)] == [
        f"{home.path}/.config/zed/settings.json"
    ]
    assert ["does not read" in remark for remark in remarks(host_named("zed"), machine)] == [True]


def _package(home: Home, name: str) -> str:
    (home.path / "Local/Packages" / name / "LocalCache/Roaming/Claude").mkdir(parents=True)
    return f"{home.path}/Local/Packages/{name}/LocalCache/Roaming/Claude/claude_desktop_config.json"


def test_a_packaged_claude_desktop_is_written_where_it_reads_and_the_classic_file_too(
    home: Home,
) -> None:
    row, machine = host_named("claude-desktop"), _machine(home)
    host = replace(row, files=Files(row.files.windows), marks=Files(row.marks.windows))  # with this system's slashes
    classic = f"{home.path}/Roaming/Claude/claude_desktop_config.json"
    assert [place.path for place in user_places(host, machine)] == [classic]
    packaged = _package(home, "Claude_pzs8sxrjxfjjc")
    assert is_here(host, machine)
    assert [place.path for place in user_places(host, machine)] == [packaged]
    home.write("Roaming/Claude/claude_desktop_config.json", b"{}")
    assert [place.path for place in user_places(host, machine)] == [packaged, classic]
    _package(home, "Claude_other")
    with pytest.raises(Exception, match="is installed 2 times"):
        user_places(host, machine)


def test_profiles_are_found(home: Home) -> None:
    home.write(".config/Code/User/profiles/-51a/mcp.json", b"{}")
    (home.path / ".config/Code/User/profiles/77b").mkdir()
    found = [place.path for place in profile_places(host_named("vscode"), _machine(home))]
    assert found == [f"{home.path}/.config/Code/User/profiles/{name}/mcp.json" for name in ("-51a", "77b")]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_a_host_is_here_when_its_directory_is(home: Home, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    machine = _machine(home)
    assert not is_here(host, machine)
    for mark in paths(host.marks, machine)[:1]:
        Path(mark).mkdir(parents=True)
    assert is_here(host, machine)


def test_the_readme_names_every_host() -> None:
    text = " ".join((Path(__file__).parents[2] / "README.md").read_text("utf-8").split())
    said = {"JetBrains Junie": "Junie", "JetBrains AI Assistant": "AI Assistant", "VS Code Insiders": "Insiders"}
    assert [host.title for host in HOSTS if said.get(host.title, host.title) not in text] == []


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_every_host_is_installed_into_and_left_without_a_trace(
    home: Home, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    before = sorted(home.path.rglob("*"))
    known = [host for host in HOSTS if host.files.linux]
    words = [word for host in known for word in ("--host", host.id)]
    done = home.install(*words)
    assert done.code == 0, done.out
    assert {host.id for host in known} == set(done.hosts)
    told = home.run("hosts", "--json").hosts
    assert {name for name, host in told.items() if host["status"] == "ours"} == {host.id for host in known}
    assert home.uninstall().code == 0
    assert sorted(home.path.rglob("*")) == before

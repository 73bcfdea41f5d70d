"""Setup without the window: what the page may ask for, what it is refused, and where there is no browser at all."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hosts.homes import Home, program_at
from rootcellar import __version__, browsing, limits, setup_folders
from rootcellar.errors import Denied, NotFound, Refusal
from rootcellar.hosts.host import Machine, Platform, Says
from rootcellar.hosts.record import Records
from rootcellar.loopback import SESSION_HEADER
from rootcellar.setup_page import Setup
from setup.conftest import CONFIGS, Running


@pytest.fixture
def setup(home: Home, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """What the page talks to, in the throw-away home."""
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    machine = Machine(Platform.LINUX, str(home.path), home.env)
    return Setup(machine, Records(str(home.path / ".local/share/rootcellar")), str(home.program), Says.NO)


def _chosen(home: Home, *hosts: str, **more: object) -> dict[str, Any]:
    return {"hosts": list(hosts), "folders": [str(home.path / "Music")], "folders_read_only": [], **more}


def test_a_plan_changes_nothing_and_is_what_install_would_do(home: Home, setup: Setup) -> None:
    plan = setup.plan(_chosen(home, "cursor", "codex", "zed"))
    assert plan["changes"] == 2
    shown = {item["host"]: item for item in plan["items"]}
    assert shown["zed"]["status"] == "refused"
    music = str(home.path / "Music")
    words = ["install", *(word for host in ("cursor", "codex", "zed") for word in ("--host", host)), "--root", music]
    dry = home.run(*words, "--dry-run", "--json", "--command", str(home.program)).hosts
    assert {host: item.get("diff") for host, item in shown.items()} == {h: item.get("diff") for h, item in dry.items()}
    assert {name: (home.path / name).read_bytes() for name in CONFIGS} == CONFIGS


BAD_CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a host we do not know": ("plan", {"hosts": ["emacs"]}, "not a host"),
    "hosts that are no list": ("plan", {"hosts": "cursor"}, "no list of names"),
    "hosts that are no names": ("plan", {"hosts": [{}]}, "no list of names"),
    "a folder that is not there": ("plan", {"hosts": ["cursor"], "folders": ["/dev/null/nowhere"]}, "is not a folder"),
    "a file": ("plan", {"hosts": ["cursor"], "folders": ["/etc/passwd"]}, "is not a folder"),
    "the whole disk": ("plan", {"hosts": ["cursor"], "folders": ["/"]}, "cannot be granted"),
    "the system, read-only": ("plan", {"hosts": ["cursor"], "folders_read_only": ["/etc"]}, "cannot be granted"),
    "a folder with a zero": ("plan", {"hosts": ["cursor"], "folders": ["/home\0"]}, "no list of names"),
    "no plan": ("apply", {}, "not the latest plan"),
    "a plan of another time": ("apply", {"plan": 7}, "not the latest plan"),
    "to browse nothing": ("browse", {}, "no folder"),
    "to browse a file": ("browse", {"path": "/etc/passwd"}, "is not a folder"),
    "to browse a zero": ("browse", {"path": "/\0"}, "no folder"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_what_the_page_would_never_ask_is_refused(setup: Setup, name: str) -> None:
    call, given, words = BAD_CALLS[name]
    with pytest.raises(Refusal, match=words):
        getattr(setup, call)(given)
    assert setup.work is None


def test_a_plan_is_done_once_and_only_the_latest(home: Home, setup: Setup) -> None:
    first = setup.plan(_chosen(home, "cursor"))["plan"]
    latest = setup.plan(_chosen(home, "codex"))["plan"]
    with pytest.raises(Refusal, match="not the latest"):
        setup.apply({"plan": first})
    setup.apply({"plan": latest})
    with pytest.raises(Refusal, match="already"):
        setup.apply({"plan": latest})
    with pytest.raises(Refusal, match="being made"):
        setup.plan(_chosen(home, "cursor"))
    work = setup.ended()
    assert work is not None
    assert [outcome.host.id for outcome in work.outcomes()] == ["codex"]
    assert setup.progress({})["over"] is True
    assert (home.path / ".cursor/mcp.json").read_bytes() == CONFIGS[".cursor/mcp.json"]


def test_a_file_that_changed_since_the_plan_was_shown_is_left_alone(home: Home, setup: Setup) -> None:
    plan = setup.plan(_chosen(home, "cursor", "codex"))["plan"]
    home.write(".cursor/mcp.json", b'{"mcpServers": {"other": {"command": "x"}}}')
    setup.apply({"plan": plan})
    work = setup.ended()
    assert work is not None
    said = {outcome.host.id: str(outcome.refusal) for outcome in work.outcomes()}
    assert "changed since the plan was shown" in said["cursor"]
    assert said["codex"] == "None"
    assert b"rootcellar" not in (home.path / ".cursor/mcp.json").read_bytes()


def test_look_shows_what_is_set_up_and_the_folders_it_grants(home: Home, setup: Setup) -> None:
    (home.path / "Docs").mkdir()
    assert (
        home.install("--host", "codex", "--root", str(home.path / "Docs"), "--root-ro", str(home.path / "Music")).code
        == 0
    )
    seen = setup.look({})
    assert {host["id"]: host["state"] for host in seen["hosts"]} == {
        "claude-desktop": "absent", "cursor": "absent", "zed": "broken", "codex": "ours",
    }  # fmt: skip
    assert {folder["path"]: folder["read_only"] for folder in seen["folders"]} == {
        str(home.path / "Docs"): False, str(home.path / "Music"): True,
    }  # fmt: skip
    assert seen["offers"] == [str(home.path / "Documents"), str(home.path / "Projects")]
    assert "Kiro" in seen["absent"]


def test_an_entry_we_did_not_write_is_neither_replaced_nor_taken_out(home: Home, setup: Setup) -> None:
    data = b'{"mcpServers": {"rootcellar": {"command": "/theirs"}}}'
    home.write(".cursor/mcp.json", data)
    assert setup.plan(_chosen(home))["items"] == []
    plan = setup.plan(_chosen(home, "cursor"))
    assert (plan["changes"], plan["items"][0]["status"]) == (0, "refused")
    assert (home.path / ".cursor/mcp.json").read_bytes() == data


def test_the_picker_shows_folders_by_name_and_hides_what_is_hidden(home: Home) -> None:
    home.write("Music/song.ogg", b"")
    (home.path / "Link").symlink_to(home.path / "Music")
    (home.path / "Dead").symlink_to(home.path / "nowhere")
    seen = setup_folders.listing(str(home.path), hidden=False)
    assert [folder["name"] for folder in seen["folders"]] == ["Documents", "Link", "Music", "Projects"]
    assert setup_folders.listing(str(home.path), hidden=True)["folders"][0]["name"] == ".codex"
    assert seen["trail"][0]["path"] == "/"
    assert seen["trail"][-1] == {"path": str(home.path), "name": "home", "why_not": ""}
    assert setup_folders.listing(str(home.path / "Music"), hidden=True)["folders"] == []


def test_the_picker_says_why_a_folder_may_not_be_granted(home: Home) -> None:
    (home.path / "a$b").mkdir()
    assert setup_folders.listing("/", hidden=False)["why_not"].startswith("it is a whole file system")
    found = {
        folder["name"]: folder["why_not"] for folder in setup_folders.listing(str(home.path), hidden=False)["folders"]
    }
    assert found["a$b"] == "holds a `$`, which some hosts replace"
    assert found["Music"] == ""


def test_the_picker_survives_names_that_are_no_text_and_folders_that_are_too_full(home: Home) -> None:
    if sys.platform != "linux":
        pytest.skip("names are bytes on Linux only")
    (home.path / os.fsdecode(b"caf\xe9")).mkdir()
    shown = json.loads(json.dumps(setup_folders.listing(str(home.path), hidden=False)))
    odd = next(folder for folder in shown["folders"] if folder["name"].startswith("caf"))
    assert setup_folders.listing(odd["path"], hidden=False)["path"] == odd["path"]
    assert odd["why_not"]
    for number in range(limits.PICKER_FOLDERS_MAX + 5):
        (home.path / "Music" / str(number)).mkdir()
    full = setup_folders.listing(str(home.path / "Music"), hidden=False)
    assert (len(full["folders"]), full["cut"]) == (limits.PICKER_FOLDERS_MAX, 5)


def test_a_folder_that_is_locked_or_gone_says_so(home: Home) -> None:
    with pytest.raises(NotFound):
        setup_folders.listing(str(home.path / "gone"), hidden=False)
    if os.geteuid() == 0:
        pytest.skip("root opens everything")
    (home.path / "Music").chmod(0)
    with pytest.raises(Denied):
        setup_folders.listing(str(home.path / "Music"), hidden=False)


def _ask(running: Running, path: str, given: Mapping[str, Any], session: str = "") -> tuple[int, dict[str, Any]]:
    origin = running.url.partition("/#")[0]
    headers = {"Content-Type": "application/json", "Origin": origin, SESSION_HEADER: session}
    request = urllib.request.Request(f"{origin}/{path}", json.dumps(given).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_running_program_talks_to_its_tab_and_to_nobody_else(running: Running) -> None:
    token = running.url.partition("#")[2]
    assert _ask(running, "look", {})[0] == 403
    assert _ask(running, "look", {}, token)[0] == 403
    session = _ask(running, "begin", {"token": token})[1]["session"]
    status, seen = _ask(running, "look", {}, session)
    assert (status, len(seen["hosts"])) == (200, 4)
    assert _ask(running, "apply", {"plan": 0}, session)[0] == 409  # nothing was planned
    assert _ask(running, "progress", {}, session)[1] == {"over": False, "rows": []}
    assert _ask(running, "finish", {}, session)[0] == 200
    code, _, err = running.end()
    assert (code, "Nothing was changed" in err) == (1, True)


def test_what_was_agreed_to_is_done_to_its_end_when_the_page_is_gone(running: Running, home: Home) -> None:
    session = _ask(running, "begin", {"token": running.url.partition("#")[2]})[1]["session"]
    plan = _ask(running, "plan", _chosen(home, "cursor", "codex", "claude-desktop"), session)[1]["plan"]
    assert _ask(running, "apply", {"plan": plan}, session)[0] == 200
    assert _ask(running, "finish", {}, session)[0] == 200
    code, out, _ = running.end()
    assert (code, out.count("\nCursor"), out.count("\nCodex")) == (0, 1, 1)
    assert b"rootcellar" in (home.path / ".codex/config.toml").read_bytes()


# Where a browser can be shown, and where none can


OPENERS = {
    "no display": ({}, []),
    "a display": ({"DISPLAY": ":0"}, [["xdg-open", "URL"], ["firefox", "URL"]]),
    "Wayland": ({"WAYLAND_DISPLAY": "w"}, [["xdg-open", "URL"], ["firefox", "URL"]]),
    "the user's choice first": ({"BROWSER": "epiphany", "DISPLAY": ":0"}, [["epiphany", "URL"], ["xdg-open", "URL"], ["firefox", "URL"]]),
    "a choice with a place for it": ({"BROWSER": "epiphany --new %s"}, [["epiphany", "--new", "URL"]]),
    "a choice that is not here": ({"BROWSER": "netscape"}, []),
    "Windows under Linux": ({"WSL_DISTRO_NAME": "Debian"}, [["wslview", "URL"]]),
}  # fmt: skip


@pytest.mark.parametrize("name", OPENERS)
def test_the_browser_is_the_one_that_can_be_shown(tmp_path: Path, name: str) -> None:
    for program in ("xdg-open", "firefox", "epiphany", "wslview", "w3m", "lynx"):
        program_at(tmp_path / program)
    env, wanted = OPENERS[name]
    assert browsing.commands("URL", {**env, "PATH": str(tmp_path), "TERM": "xterm"}) == wanted


def test_a_browser_that_does_not_come_up_is_not_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere the system opens it")
    seen = tmp_path / "seen"
    program_at(tmp_path / "xdg-open", "import sys; sys.exit(3)")
    program_at(tmp_path / "firefox", f"import sys; open({str(seen)!r}, 'w').write(sys.argv[1])")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("BROWSER", raising=False)
    assert browsing.opened("http://127.0.0.1:1/#x")
    assert seen.read_text() == "http://127.0.0.1:1/#x"
    (tmp_path / "firefox").unlink()
    assert not browsing.opened("http://127.0.0.1:1/#x")


def test_without_a_display_and_without_a_terminal_it_says_what_to_do(home: Home) -> None:
    done = home.run_apart("setup")
    assert (done.code, done.out) == (1, "")
    assert "no browser can be shown here: there is no display. Run `rootcellar install` in a terminal" in done.err


def test_without_a_display_it_asks_in_the_terminal(home: Home) -> None:
    ours, theirs = pty.openpty()
    said = b""
    with subprocess.Popen(
        [sys.executable, "-m", "rootcellar", "setup", "--command", str(home.program), "--no-proof"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=home.env | {"TERM": "dumb"}, cwd=home.path,
    ) as child:  # fmt: skip
        os.close(theirs)
        answers = {b"Which?": b"2\n", b"folder> ": b"\n", b"[y/N]": b"y\n"}
        end = time.monotonic() + 60
        while time.monotonic() < end and select.select([ours], [], [], 30)[0]:
            try:
                said += os.read(ours, 4096)
            except OSError:
                break
            for question in [question for question in answers if question in said]:
                os.write(ours, answers.pop(question))
        assert child.wait(timeout=30) == 0
    os.close(ours)
    assert b"No browser can be shown here (there is no display), so the questions follow" in said
    assert b"rootcellar" in (home.path / ".cursor/mcp.json").read_bytes()


# What others wrote, and the bundle


def test_an_entry_that_others_wrote_is_replaced_where_the_person_says_so_and_given_back(
    home: Home, setup: Setup
) -> None:
    data = b'{"mcpServers": {"rootcellar": {"command": "/theirs"}}}'
    config = home.write(".cursor/mcp.json", data)
    [item] = setup.plan(_chosen(home, "cursor"))["items"]
    assert (item["status"], item["others"]) == ("refused", True)
    plan = setup.plan(_chosen(home, "cursor", take_over=["cursor"]))
    assert (plan["changes"], plan["items"][0]["others"]) == (1, True)
    setup.apply({"plan": plan["plan"]})
    assert setup.ended() is not None
    assert json.loads(config.read_bytes())["mcpServers"]["rootcellar"]["command"] == str(home.program)
    assert home.uninstall().code == 0
    assert json.loads(config.read_bytes()) == json.loads(data)


def _bundle(home: Home, name: str = "rootcellar") -> Path:
    path = home.path / "Downloads" / f"rootcellar-{__version__}.mcpb"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as packed:
        manifest = {"name": name, "version": __version__, "compatibility": {"platforms": ["darwin"]}}
        packed.writestr("manifest.json", json.dumps(manifest))
    return path


def test_claude_desktop_is_given_the_bundle_that_is_at_hand(
    home: Home, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.path / "Library/Application Support/Claude").mkdir(parents=True)
    mac = replace(setup, machine=Machine(Platform.MACOS, str(home.path), home.env))
    bundle = _bundle(home)
    plan = mac.plan(_chosen(home, "claude-desktop"))
    [item] = plan["items"]
    assert (plan["changes"], item["status"], item["file"]) == (0, "open the bundle", str(bundle))
    seen = tmp_path / "seen"
    program_at(tmp_path / "opener/xdg-open", f"import sys; open({str(seen)!r}, 'w').write(sys.argv[1])")
    monkeypatch.setenv("PATH", str(tmp_path / "opener"))
    monkeypatch.setenv("DISPLAY", ":0")
    if sys.platform == "linux":
        assert mac.open_bundle({}) == {}
        assert seen.read_text() == str(bundle)


def test_nothing_but_the_bundle_of_the_plan_is_opened(home: Home, setup: Setup) -> None:
    with pytest.raises(NotFound):
        setup.open_bundle({"path": "/bin/sh"})
    setup.plan(_chosen(home, "cursor"))
    with pytest.raises(NotFound):
        setup.open_bundle({"file": str(_bundle(home))})


def test_the_program_opens_the_users_own_browser_at_its_page(home: Home, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("elsewhere the system opens it")
    page = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
    seen = tmp_path / "seen"
    chosen = program_at(tmp_path / "browser", f"import sys; sys.stdout = open({str(seen)!r}, 'w')\n{page}")
    with home.start("setup", env={"BROWSER": str(chosen)}) as child:
        assert child.stderr is not None
        assert child.stderr.readline().startswith("Setup is open in your browser.")
        assert "<title>Set up Rootcellar</title>" in seen.read_text()
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 130

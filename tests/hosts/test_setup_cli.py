"""What a person meets: the questions, the plan, the truth, the exit codes, and what it does not load."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from hosts.homes import RUN, Home, program_at
from rootcellar import setup_asking
from rootcellar.errors import Declined

CONFIG = ".cursor/mcp.json"


def test_a_dry_run_shows_the_diff_and_changes_nothing(home: Home) -> None:
    file = home.write(CONFIG, b'{\n  "mcpServers": {}\n}\n')
    done = home.run("install", "--host", "cursor", "--dry-run", "--command", str(home.program))
    assert done.code == 0
    assert "Cursor: add `rootcellar` in ~/.cursor/mcp.json" in done.out
    assert '+    "rootcellar": {' in done.out
    assert file.read_bytes() == b'{\n  "mcpServers": {}\n}\n'
    assert not (home.path / ".local").exists()


def test_a_dry_run_of_what_would_be_refused_says_so(home: Home) -> None:
    home.write(CONFIG, b"{")
    done = home.run("install", "--host", "cursor", "--dry-run", "--json", "--command", str(home.program))
    assert done.code == 1
    assert done.hosts["cursor"]["status"] == "refused"


def test_without_a_terminal_nothing_is_done_without_yes(home: Home) -> None:
    done = home.run("install", "--host", "cursor", "--no-proof", "--command", str(home.program))
    assert (done.code, "--yes" in done.err) == (2, True)
    assert list(home.path.iterdir()) == []


USAGE = {
    "no host": ["install", "--yes"],
    "unknown host": ["install", "--host", "emacs", "--yes"],
    "missing folder": ["install", "--host", "cursor", "--root", "nowhere", "--yes"],
    "whole disk": ["install", "--host", "cursor", "--root", "/", "--yes"],
    "file without host": ["install", "--file", "x.json", "--yes"],
    "missing program": ["install", "--host", "cursor", "--yes", "--command", "/nowhere/rootcellar"],
}


@pytest.mark.parametrize("name", USAGE)
def test_what_cannot_be_meant_is_exit_code_2_and_says_what_can(home: Home, name: str) -> None:
    done = home.run(*USAGE[name])
    assert done.code == 2
    assert re.fullmatch(r"rootcellar: .+`.*\. .+\n|rootcellar: no host was named\. .+\n", done.err)


def test_all_means_every_host_that_is_here(home: Home) -> None:
    home.write(".cursor/x", b"")
    home.write(".codex/x", b"")
    done = home.install("--all")
    assert sorted(done.hosts) == ["codex", "cursor"]


def test_all_on_a_machine_without_hosts_says_so(home: Home) -> None:
    done = home.run("install", "--all", "--yes", "--command", str(home.program))
    assert (done.code, "No host was found on this machine" in done.out) == (0, True)
    assert home.run("uninstall", "--yes").out == "There is nothing to do.\n"


def test_any_file_can_be_named(home: Home) -> None:
    file = home.write("portable/config.json", b"{}")
    assert home.install("--host", "cursor", "--file", str(file)).code == 0
    assert b"rootcellar" in file.read_bytes()
    home.uninstall()
    assert file.read_bytes() == b"{}"


def test_hosts_tells_what_is_here_and_hides_what_is_not(home: Home) -> None:
    assert "No host was found" in home.run("hosts").out
    home.write(".codex/config.toml", b"a = [")
    done = home.run("hosts")
    assert done.code == 0
    assert re.search(r"Codex +broken +\(~/\.codex/config\.toml\)\n +`~/\.codex/config\.toml` line 1", done.out)
    assert len(home.run("hosts", "--all", "--json").hosts) == 25


def test_print_config_gives_the_text_and_the_link(home: Home) -> None:
    (home.path / "notes").mkdir()
    words = ["--root", str(home.path / "notes"), "--command", str(home.program), "--json"]
    cursor = json.loads(home.run("print-config", "cursor", *words).out)
    assert json.loads(cursor["config"])["mcpServers"]["rootcellar"]["command"] == str(home.program)
    query = parse_qs(urlsplit(cursor["link"]).query)
    assert query["name"] == ["rootcellar"]
    assert json.loads(base64.b64decode(query["config"][0]))["args"] == ["serve", str(home.path / "notes")]
    vscode = json.loads(home.run("print-config", "vscode", *words).out)["link"]
    assert json.loads(unquote(vscode.removeprefix("vscode:mcp/install?")))["name"] == "rootcellar"
    goose = json.loads(home.run("print-config", "goose", *words).out)["link"]
    assert parse_qs(urlsplit(goose).query)["arg"] == ["serve", str(home.path / "notes")]
    assert json.loads(home.run("print-config", "lmstudio", *words).out)["link"].startswith("lmstudio://add_mcp?")
    plain = home.run("print-config", "codex", "--command", str(home.program))
    assert plain.out == f'[mcp_servers.rootcellar]\ncommand = "{home.program}"\nargs = ["serve"]\n'


def test_an_entry_that_works_is_proved_and_one_that_does_not_is_taken_back(home: Home, tmp_path: Path) -> None:
    done = home.install("--host", "codex", "--proof")
    proof = done.hosts["codex"]["proof"]
    assert (proof["works"], proof["tools"]) == (True, ["read_file"])
    assert 0 < proof["discover_s"] <= proof["initialize_s"] < 10
    home.uninstall()
    file = home.write(".codex/config.toml", b'model = "x" # keep\n')
    broken = program_at(tmp_path / "broken", "import sys; print('no database', file=sys.stderr); sys.exit(3)\n")
    done = home.run("install", "--host", "codex", "--yes", "--json", "--command", str(broken))
    assert done.code == 1
    assert done.hosts["codex"]["why"] == "the entry does not work: it ended at once with code 3: no database"
    assert file.read_bytes() == b'model = "x" # keep\n'
    assert not (home.path / ".local/share/rootcellar/hosts").exists()


def test_an_update_that_does_not_work_is_taken_back_with_its_record(home: Home, tmp_path: Path) -> None:
    home.install("--host", "codex")
    before = (home.path / ".codex/config.toml").read_bytes()
    broken = program_at(tmp_path / "broken", "raise SystemExit(3)\n")
    done = home.run("install", "--host", "codex", "--yes", "--json", "--command", str(broken))
    assert (done.code, done.hosts["codex"]["act"]) == (1, "update")
    assert (home.path / ".codex/config.toml").read_bytes() == before
    assert home.uninstall().code == 0
    assert not (home.path / ".codex").exists()


def test_the_host_itself_is_asked_where_it_is_here_and_its_words_count(home: Home, tmp_path: Path) -> None:
    says = "print('rootcellar: /x serve - ✗ Failed to connect')\n"
    program_at(tmp_path / "path" / "claude", says)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Home,
            "env",
            property(lambda home: {"HOME": str(home.path), "PATH": str(tmp_path / "path"), "LANG": "C.UTF-8"}),
        )
        done = home.install("--host", "claude-code", "--proof")
        assert done.code == 1
        assert "Claude Code does not start it: rootcellar: /x serve - ✗ Failed" in done.hosts["claude-code"]["why"]
        program_at(tmp_path / "path" / "claude", "print('rootcellar:\\n  Status: ✓ Connected\\n  Type: stdio')\n")
        done = home.install("--host", "claude-code", "--proof")
        assert done.hosts["claude-code"]["details"] == ["Claude Code started it"]


def test_the_commands_load_neither_the_sdk_nor_its_models(home: Home) -> None:
    common = ["--yes", "--json", "--command", str(home.program)]
    for words in (
        ["install", "--host", "cursor", *common],
        ["hosts"],
        ["uninstall", "--yes"],
        ["print-config", "goose"],
    ):
        done = home.run_apart(*words)
        assert (done.code, done.err if words[0] != "print-config" else "") == (0, ""), words


# In a terminal


class Terminal:
    """A person at a terminal: what is written to them, and what they type."""

    def __init__(self, home: Home, *words: str) -> None:
        pty = pytest.importorskip("pty")
        self.child, self.fd = pty.fork()
        if self.child == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background has it ignored
            os.chdir(home.path)
            os.execve(sys.executable, [sys.executable, "-c", RUN, *words], {**home.env, "TERM": "dumb"})
        self.seen = ""

    def reads(self, text: str) -> None:
        """Wait until that was written."""
        end = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            self.seen += os.read(self.fd, 65536).decode()

    def types(self, text: str) -> None:
        """Type that."""
        os.write(self.fd, text.encode())

    def insists(self, text: str, until: str) -> None:
        """Type that until it is answered: a signal between a prompt and the reading after it waits for the next key."""
        while until not in self.seen:
            self.types(text)
            while until not in self.seen and select.select([self.fd], [], [], 2.0)[0]:
                self.seen += os.read(self.fd, 65536).decode()

    def ends(self) -> int:
        """Its exit code, once all it wrote was read."""
        try:
            while part := os.read(self.fd, 65536):
                self.seen += part.decode()
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


@pytest.fixture
def known(home: Home) -> Home:
    """A home with two hosts and some folders."""
    home.write(".cursor/mcp.json", b'{\n  "mcpServers": {}\n}\n')
    home.write(".codex/config.toml", b"")
    for name in ("Documents", "notes/deep", "archive"):
        (home.path / name).mkdir(parents=True)
    return home


def test_install_in_a_terminal_asks_for_hosts_folders_and_once_for_all(known: Home) -> None:
    person = Terminal(known, "install", "--command", str(known.program))
    person.reads("Enter for all: ")
    assert "1  Cursor" in person.seen
    assert "2  Codex" in person.seen
    person.types("2\n")
    person.reads("folder> ")
    assert "1  ~/Documents" in person.seen
    person.types("1\n")
    person.types("ro ~/archive\n")
    person.types("~/nowhere\n")
    person.reads("is not a folder")
    person.types("\n")
    person.reads("Change this file? [y/N] ")
    assert "+[mcp_servers.rootcellar]" in person.seen
    person.types("y\n")
    assert person.ends() == 0
    assert re.search(r"Codex +ready", person.seen)
    text = (known.path / ".codex/config.toml").read_text("utf-8")
    assert f'args = ["serve", "{known.path}/Documents", "--root-ro", "{known.path}/archive"]' in text
    assert (known.path / CONFIG).read_bytes() == b'{\n  "mcpServers": {}\n}\n'


THEIRS = b'{"mcpServers": {"rootcellar": {"command": "/theirs", "env": {"TOKEN": "t"}}}}'


@pytest.mark.parametrize("answer", ["y", "n"])
def test_an_entry_of_our_name_that_somebody_else_wrote_is_asked_about(known: Home, answer: str) -> None:
    (known.path / CONFIG).write_bytes(THEIRS)
    words = ["--host", "cursor", "--host", "codex", "--no-proof", "--command", str(known.program)]
    person = Terminal(known, "install", *words)
    person.reads("Replace it (uninstalling gives it back)? [y/N] ")
    assert '-{"mcpServers": {"rootcellar": {"command": "/theirs"' in person.seen
    person.types(f"{answer}\n")
    person.reads("Change these 2 files? [y/N] " if answer == "y" else "Change this file? [y/N] ")
    person.types("y\n")
    assert person.ends() == (0 if answer == "y" else 1)
    assert ((known.path / CONFIG).read_bytes() == THEIRS) is (answer == "n")
    assert b"rootcellar" in (known.path / ".codex/config.toml").read_bytes()
    assert known.uninstall().code == 0
    assert (known.path / CONFIG).read_bytes() == THEIRS


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_copy_that_does_not_last_is_installed_only_after_a_yes(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("builtins.input", lambda _: answer)
    if answer == "n":
        with pytest.raises(Declined):
            setup_asking.agree_to_last()
    else:
        setup_asking.agree_to_last()


def test_uninstall_asks_before_it_removes_what_somebody_else_wrote(known: Home) -> None:
    (known.path / CONFIG).write_bytes(THEIRS)
    person = Terminal(known, "uninstall", "--host", "cursor")
    person.reads("Remove it all the same? [y/N] ")
    person.types("n\n")
    assert person.ends() == 1
    assert (known.path / CONFIG).read_bytes() == THEIRS


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "\x03"])
def test_no_means_no(known: Home, answer: str) -> None:
    before: dict[Path, Any] = {path: path.read_bytes() for path in known.path.rglob("*") if path.is_file()}
    person = Terminal(known, "install", "--host", "cursor", "--command", str(known.program))
    person.reads("[y/N] ")
    person.insists(answer, "Nothing was changed.")
    assert person.ends() == 1
    assert "Nothing was changed." in person.seen
    assert {path: path.read_bytes() for path in known.path.rglob("*") if path.is_file()} == before


def test_a_file_that_changes_between_plan_and_yes_is_refused(known: Home) -> None:
    person = Terminal(known, "install", "--host", "cursor", "--command", str(known.program), "--no-proof")
    person.reads("[y/N] ")
    (known.path / CONFIG).write_bytes(b'{"theirs": 1}')
    person.types("y\n")
    assert person.ends() == 1
    assert "changed since the plan was shown" in person.seen
    assert (known.path / CONFIG).read_bytes() == b'{"theirs": 1}'


def test_tab_completes_folders(known: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(known.path))
    assert setup_asking.completions("~/n") == ["~/notes/"]
    assert setup_asking.completions("~/notes/") == ["~/notes/deep/"]
    assert setup_asking.completions(f"{known.path}/Doc") == [f"{known.path}/Documents/"]
    assert setup_asking.completions("~/[") == []

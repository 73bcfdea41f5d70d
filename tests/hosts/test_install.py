"""Ownership: what is ours is updated and taken out, what the user did is kept and told, what is not ours is left."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from hosts.homes import Home, nobody, open_to_all, program_at
from rootcellar import ambient

CONFIG = ".cursor/mcp.json"


def _servers(home: Home, path: str = CONFIG) -> dict[str, Any]:
    servers: dict[str, Any] = json.loads((home.path / path).read_bytes())["mcpServers"]
    return servers


def _edited(home: Home, **fields: Any) -> None:
    servers = _servers(home)
    servers["rootcellar"].update(fields)
    (home.path / CONFIG).write_text(json.dumps({"mcpServers": servers}, indent=4), encoding="utf-8")


def test_an_update_changes_only_our_words_and_keeps_what_the_user_added(home: Home, tmp_path: Path) -> None:
    home.install("--host", "cursor")
    _edited(home, env={"TOKEN": "x"}, disabled=True)
    newer = program_at(tmp_path / "newer" / "rootcellar")
    done = home.run("install", "--host", "cursor", "--yes", "--json", "--no-proof", "--command", str(newer))
    assert done.hosts["cursor"]["act"] == "update"
    entry = {"command": str(newer), "args": ["serve"], "env": {"TOKEN": "x"}, "disabled": True}
    assert _servers(home) == {"rootcellar": entry}


def test_an_update_of_an_untouched_entry_can_still_be_taken_back_to_the_byte(home: Home, tmp_path: Path) -> None:
    file = home.write(CONFIG, before := b'{"mcpServers":   {"a": {}} } // odd\n')
    home.install("--host", "cursor")
    newer = program_at(tmp_path / "newer" / "rootcellar")
    done = home.run("install", "--host", "cursor", "--yes", "--json", "--no-proof", "--command", str(newer))
    assert done.hosts["cursor"]["act"] == "update"
    assert str(newer) in file.read_text("utf-8")
    home.uninstall()
    assert file.read_bytes() == before


def test_what_the_user_changed_in_our_words_is_reported_not_overwritten(home: Home, tmp_path: Path) -> None:
    home.install("--host", "cursor")
    _edited(home, args=["serve", "/elsewhere"])
    before = (home.path / CONFIG).read_bytes()
    assert home.run("hosts", "--json").hosts["cursor"]["status"] == "changed by the user"
    newer = program_at(tmp_path / "newer" / "rootcellar")
    done = home.run("install", "--host", "cursor", "--yes", "--json", "--no-proof", "--command", str(newer))
    assert done.code == 1
    assert done.hosts["cursor"]["why"] == "`args` of our entry in `~/.cursor/mcp.json` changed since we wrote it"
    assert (home.path / CONFIG).read_bytes() == before
    assert home.uninstall().code == 0
    assert not (home.path / CONFIG).exists()


def test_an_entry_of_our_name_that_is_not_ours_is_never_clobbered(home: Home) -> None:
    other = {"command": "/old/rootcellar", "args": ["--root", "/old"], "env": {"TOKEN": "user"}}
    file = home.write(CONFIG, before := json.dumps({"mcpServers": {"rootcellar": other}}).encode())
    done = home.install("--host", "cursor")
    assert done.code == 1
    assert done.hosts["cursor"]["reason"] == "not_ours"
    assert home.run("uninstall", "--host", "cursor", "--yes", "--json").code == 1
    assert file.read_bytes() == before
    assert home.run("hosts", "--json").hosts["cursor"]["status"] == "not ours"


def test_an_entry_taken_over_with_consent_is_given_back(home: Home) -> None:
    text = b'{\n\t"mcpServers": {\n\t\t"rootcellar": {"command": "/old", "env": {"TOKEN": "user"}}, // mine\n\t}\n}\n'
    file = home.write(CONFIG, text)
    assert home.install("--host", "cursor", "--take-over").hosts["cursor"]["act"] == "take over"
    assert b"// mine" in file.read_bytes()
    assert str(home.program).encode() in file.read_bytes()
    assert home.uninstall().code == 0
    assert file.read_bytes() == text


def test_a_former_entry_comes_back_even_when_the_file_changed_elsewhere(home: Home) -> None:
    file = home.write(CONFIG, b'{"mcpServers": {"rootcellar": {"command": "/old"}}}')
    home.install("--host", "cursor", "--take-over")
    file.write_text(json.dumps({"theme": 1, **json.loads(file.read_bytes())}, indent=3), encoding="utf-8")
    home.uninstall()
    assert json.loads(file.read_bytes()) == {"theme": 1, "mcpServers": {"rootcellar": {"command": "/old"}}}


def test_a_host_that_rewrites_its_file_still_gets_our_entry_out(home: Home) -> None:
    file = home.write(".claude.json", b'{"a": 1}')
    home.install("--host", "claude-code")
    now = json.loads(file.read_bytes())
    file.write_text(json.dumps({"startups": 2, **now, "z": []}, indent=2), encoding="utf-8")
    home.uninstall()
    assert file.read_text("utf-8") == json.dumps({"startups": 2, "a": 1, "z": []}, indent=2)


def test_servers_added_beside_ours_keep_the_file_that_we_made(home: Home) -> None:
    home.install("--host", "cursor")
    file = home.path / CONFIG
    file.write_text(
        file.read_text("utf-8").replace('{\n    "root', '{\n    "b": {"command": "x"},\n    "root'), encoding="utf-8"
    )
    home.uninstall()
    assert _servers(home) == {"b": {"command": "x"}}


def test_another_name_stands_beside_the_first(home: Home) -> None:
    home.install("--host", "cursor")
    home.install("--host", "cursor", "--name", "second")
    assert sorted(_servers(home)) == ["rootcellar", "second"]
    home.uninstall("--name", "second")
    assert list(_servers(home)) == ["rootcellar"]


@pytest.mark.parametrize("name", ["filesystem-ours", "", "a b", "a.b", "9x", "x" * 65])
def test_names_that_some_host_ignores_are_refused(home: Home, name: str) -> None:
    done = home.install("--host", "cursor", "--name", name)
    assert done.code == 2
    assert "cannot name a server" in done.err


@pytest.mark.parametrize("folder", ["a$b", "a{env:X}", "a\nb"])
def test_folders_that_some_host_would_rewrite_are_refused(home: Home, folder: str) -> None:
    (home.path / folder).mkdir()
    done = home.install("--host", "cursor", "--root", str(home.path / folder))
    assert done.code == 2
    assert not (home.path / CONFIG).exists()


def test_folders_go_to_hosts_that_give_none_and_stay_on_the_next_install(home: Home, tmp_path: Path) -> None:
    notes, archive = home.path / "nötes & more", home.path / "archive"
    notes.mkdir()
    archive.mkdir()
    words = ["--host", "codex", "--host", "claude-code", "--root", str(notes), "--root-ro", str(archive)]
    assert home.install(*words).code == 0
    assert str(notes) in (home.path / ".codex/config.toml").read_text("utf-8")
    assert _servers(home, ".claude.json")["rootcellar"]["args"] == ["serve"]
    newer = program_at(tmp_path / "newer" / "rootcellar")
    home.run("install", "--host", "codex", "--yes", "--no-proof", "--command", str(newer))
    text = (home.path / ".codex/config.toml").read_text("utf-8")
    assert f'args = ["serve", "{notes}", "--root-ro", "{archive}"]' in text
    assert str(newer) in text
    home.install("--host", "claude-code", "--root", str(notes), "--root-everywhere")
    assert _servers(home, ".claude.json")["rootcellar"]["args"] == ["serve", str(notes)]


def test_repair_writes_what_was_lost_and_what_went_stale(home: Home, tmp_path: Path) -> None:
    old = program_at(tmp_path / "old" / "rootcellar")
    (home.path / "notes").mkdir()
    words = ["--host", "cursor", "--host", "codex", "--root", str(home.path / "notes")]
    home.run("install", *words, "--yes", "--no-proof", "--command", str(old))
    old.unlink()
    (home.path / CONFIG).write_text('{"mcpServers": {}}', encoding="utf-8")
    states = {name: host["status"] for name, host in home.run("hosts", "--json").hosts.items()}
    assert states == {"cursor": "absent", "codex": "stale path"}
    done = home.run("repair", "--yes", "--json", "--no-proof", "--command", str(home.program))
    assert {name: host["act"] for name, host in done.hosts.items()} == {"cursor": "add", "codex": "update"}
    states = {name: host["status"] for name, host in home.run("hosts", "--json").hosts.items()}
    assert states == {"cursor": "ours", "codex": "ours"}
    assert str(home.path / "notes") in (home.path / ".codex/config.toml").read_text("utf-8")


def test_a_symlinked_dotfile_stays_a_link_and_its_file_keeps_mode_and_attributes(home: Home) -> None:
    real = home.write("dotfiles/mcp.json", b"{}\n")
    real.chmod(0o604)
    (home.path / ".cursor").mkdir()
    link = home.path / CONFIG
    link.symlink_to("../dotfiles/mcp.json")
    assert home.install("--host", "cursor").code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o604
    assert b"rootcellar" in real.read_bytes()
    assert sorted(path.name for path in real.parent.iterdir()) == ["mcp.json"]
    home.uninstall()
    assert (link.is_symlink(), real.read_bytes()) == (True, b"{}\n")


def test_a_dangling_link_gets_its_file_and_gives_it_back(home: Home) -> None:
    (home.path / ".cursor").mkdir()
    (home.path / "dotfiles").mkdir()
    (home.path / CONFIG).symlink_to("../dotfiles/mcp.json")
    assert home.install("--host", "cursor").code == 0
    assert (home.path / "dotfiles/mcp.json").is_file()
    home.uninstall()
    assert (home.path / CONFIG).is_symlink()
    assert not (home.path / "dotfiles/mcp.json").exists()


REFUSALS = {
    "read-only file": ("read_only", lambda home: home.write(CONFIG, b"{}").chmod(0o444)),
    "directory in its place": ("type", lambda home: (home.path / CONFIG).mkdir(parents=True)),
    "a FIFO in its place": ("type", lambda home: os.mkfifo((home.write(".cursor/x", b"").parent) / "mcp.json")),
    "file where its directory was": ("type", lambda home: home.write(".cursor", b"")),
    "link loop": ("loop", lambda home: (home.write(".cursor/x", b"").parent / "mcp.json").symlink_to("mcp.json")),
    "hard link": ("type", lambda home: os.link(home.write(CONFIG, b"{}"), home.path / "other")),
}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
@pytest.mark.parametrize("name", REFUSALS)
def test_places_that_cannot_be_written_are_refused_and_others_are_not_held_up(home: Home, name: str) -> None:
    reason, prepare = REFUSALS[name]
    prepare(home)  # type: ignore[no-untyped-call]
    before = {path: path.lstat().st_mtime_ns for path in home.path.rglob("*")}
    done = home.install("--host", "cursor", "--host", "codex")
    assert done.code == 1
    assert done.hosts["cursor"]["reason"] == reason
    assert done.hosts["codex"]["status"] == "ready"
    assert all(
        path.lstat().st_mtime_ns == stamp for path, stamp in before.items() if path.name != ".cursor" or path.is_file()
    )


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_directory_without_permission_is_refused(home: Home, mode: int) -> None:
    file = home.write(CONFIG, b"{}")
    open_to_all(home)
    file.chmod(0o666)
    file.parent.chmod(mode)
    words = ["install", "--host", "cursor", "--yes", "--json", "--no-proof", "--command", str(home.program)]
    done = home.run_apart(*words, as_user=nobody())
    file.parent.chmod(0o755)
    assert done.code == 1, done.err
    assert done.hosts["cursor"]["reason"] == "permission"
    assert file.read_bytes() == b"{}"


def test_the_last_five_backups_are_kept_and_private(home: Home) -> None:
    home.write(CONFIG, b'{"token": "secret"}')
    for _ in range(4):
        home.install("--host", "cursor")
        home.uninstall()
    shelves = list((home.path / ".local/share/rootcellar/backups").iterdir())
    assert len(shelves) == 1
    copies = sorted(shelves[0].iterdir())
    assert len(copies) == 5
    assert {stat.S_IMODE(copy.stat().st_mode) for copy in copies} == {0o600}
    assert copies[-2].read_bytes() == b'{"token": "secret"}'


def test_a_project_gets_its_own_file_and_is_told_what_to_do(home: Home) -> None:
    project = home.path / "work"
    project.mkdir()
    words = [
        "--host",
        "claude-code",
        "--host",
        "copilot",
        "--host",
        "vscode",
        "--host",
        "windsurf",
        "--project",
        str(project),
    ]
    done = home.install(*words)
    assert done.code == 1
    assert done.hosts["windsurf"]["why"] == "Windsurf (Devin Desktop) has no config per project"
    assert done.hosts["claude-code"]["status"] == "approve in Claude Code"
    assert done.hosts["copilot"]["status"] == "trust this folder in Copilot CLI"
    files = sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())
    assert files == [".github/mcp.json", ".mcp.json", ".vscode/mcp.json"]
    home.uninstall()
    assert list(project.iterdir()) == []


def test_a_record_that_was_torn_counts_as_none(home: Home) -> None:
    home.install("--host", "cursor")
    [record] = (home.path / ".local/share/rootcellar/hosts").iterdir()
    record.write_bytes(record.read_bytes()[:40])
    assert home.run("hosts", "--json").hosts["cursor"]["status"] == "not ours"
    assert home.install("--host", "cursor").hosts["cursor"]["act"] == "already there"


def test_an_entry_without_a_record_is_told_when_all_of_ours_go(home: Home) -> None:
    file = home.write(CONFIG, before := json.dumps({"mcpServers": {"rootcellar": {"command": "/by/hand"}}}).encode())
    home.install("--host", "codex")
    done = home.uninstall()
    assert (done.code, done.hosts["codex"]["status"], done.hosts["cursor"]["status"]) == (
        0,
        "removed",
        "left: not ours",
    )
    assert file.read_bytes() == before


def test_a_write_that_fails_after_the_fact_is_still_on_record(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ambient.replace

    def late(reading: ambient.Reading, data: bytes, *, new_mode: int = 0o600) -> None:
        write(reading, data, new_mode=new_mode)
        if reading.path.endswith("mcp.json"):
            raise OSError(5, "late")

    with monkeypatch.context() as patch:
        patch.setattr(ambient, "replace", late)
        with pytest.raises(OSError, match="late"):
            home.install("--host", "cursor")
    assert home.run("hosts", "--json").hosts["cursor"]["status"] == "ours"
    home.uninstall()
    assert not (home.path / CONFIG).exists()


def test_hosts_tells_also_of_projects_and_of_entries_that_are_gone(home: Home) -> None:
    (home.path / "work").mkdir()
    home.install("--host", "vscode", "--project", str(home.path / "work"))
    home.install("--host", "cursor")
    (home.path / CONFIG).unlink()
    (home.path / ".cursor").rmdir()
    told = {host["file"]: host for host in json.loads(home.run("hosts", "--json").out)["hosts"]}
    assert told[str(home.path / "work/.vscode/mcp.json")]["status"] == "ours"
    assert told[str(home.path / CONFIG)]["status"] == "absent"
    assert "`rootcellar repair` writes it anew" in told[str(home.path / CONFIG)]["details"][0]

"""Configs as people really have them: install adds our entry or refuses, uninstall gives back the same bytes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from hosts.homes import Home

FILES = Path(__file__).parent / "fixtures"


class Case(NamedTuple):
    """A config of one host; `refused`: words of the refusal, "" where the entry is added."""

    file: str
    host: str
    path: str
    refused: str = ""


CASES = [
    Case("01_jsonc_comments_trailing_tabs.json", "cursor", ".cursor/mcp.json"),
    Case("02_bom.json", "claude-desktop", ".config/Claude/claude_desktop_config.json"),
    Case("03_crlf_4space.json", "claude-desktop", ".config/Claude/claude_desktop_config.json"),
    Case("06_invalid_truncated.json", "cursor", ".cursor/mcp.json", "line 5, column 1: the text ends too early"),
    Case("09_same_name.json", "cursor", ".cursor/mcp.json"),
    Case("10_array_root.json", "cursor", ".cursor/mcp.json", "line 1, column 1: an array"),
    Case(
        "12_dup_keys.json", "cursor", ".cursor/mcp.json", "line 4, column 3: the key `mcpServers` stands here a second"
    ),
    Case("15_zed_settings.jsonc", "zed", ".config/zed/settings.json"),
    Case("16_vscode_mcp.json", "vscode", ".config/Code/User/mcp.json"),
    Case("20_codex.toml", "codex", ".codex/config.toml"),
    Case("21_codex_inline.toml", "codex", ".codex/config.toml"),
    Case("30_goose.yaml", "goose", ".config/goose/config.yaml"),
]

# The same classes, written here: small enough to read.
TEXTS: Mapping[str, tuple[str, str, bytes, str]] = {
    "empty file": ("cursor", ".cursor/mcp.json", b"", ""),
    "only white space": ("cursor", ".cursor/mcp.json", b" \n\n", ""),
    "only a comment": ("zed", ".config/zed/settings.json", b"// nothing yet", ""),
    "only a byte order mark": ("cursor", ".cursor/mcp.json", b"\xef\xbb\xbf", ""),
    "empty object": ("cursor", ".cursor/mcp.json", b"{}", ""),
    "empty servers": ("cursor", ".cursor/mcp.json", b'{\n  "mcpServers": {}\n}\n', ""),
    "no final newline": ("cursor", ".cursor/mcp.json", b'{"mcpServers": {"a": {"command": "x"}}}', ""),
    "minified": ("claude-code", ".claude.json", '{"größe":1.50,"n":9007199254740993,"p":{"a":{}}}'.encode(), ""),
    "minified with empty servers": ("claude-code", ".claude.json", b'{"a":1,"mcpServers":{}}', ""),
    "comma before the brace": ("cursor", ".cursor/mcp.json", b'{"mcpServers": {"a": {},}, }', ""),
    "comment after the brace": ("cursor", ".cursor/mcp.json", b'{ // top\n  "mcpServers": { /* mine */\n  },\n}', ""),
    "old line endings": ("cursor", ".cursor/mcp.json", b'{\r\t"mcpServers": {\r\t}\r}\r', ""),
    "comments that Gemini reads": ("gemini", ".gemini/settings.json", b'{\n  // theme\n  "theme": "x" /* y */\n}\n', ""),
    "opencode": ("opencode", ".config/opencode/opencode.jsonc", b'{\n  "$schema": "https://opencode.ai/c.json",\n}\n', ""),
    "toml without final newline": ("codex", ".codex/config.toml", b'model = "x"', ""),
    "toml with CRLF": ("codex", ".codex/config.toml", b"[a]\r\nb = 1\r\n\r\n[c]\r\n", ""),
    "toml with a mark": ("codex", ".codex/config.toml", b'\xef\xbb\xbfmodel = "x"\n', ""),
    "toml empty": ("codex", ".codex/config.toml", b"", ""),
    "toml with an empty table": ("codex", ".codex/config.toml", b"[mcp_servers]\n", ""),
    "toml that quotes us": ("codex", ".codex/config.toml", b'a = """\n[mcp_servers.rootcellar]\n"""\n', ""),
    "yaml with four spaces and CRLF": (
        "goose", ".config/goose/config.yaml", b"extensions:\r\n    a:\r\n        cmd: x\r\n    # end\r\nb: ~\r\n", "",
    ),
    "yaml without final newline": ("goose", ".config/goose/config.yaml", b"a: |\n  text", ""),
    "yaml with empty extensions": ("goose", ".config/goose/config.yaml", b"extensions: {}\n", ""),
    "yaml in braces": ("goose", ".config/goose/config.yaml", b"{extensions: {a: {cmd: x}}}\n", ""),
    "yaml with a document mark": ("goose", ".config/goose/config.yaml", b"---\n# c\na: 1\n...\n", ""),
    "continue list": ("continue", ".continue/config.yaml", b"name: x\nmcpServers:\n- name: a\n  command: b\n", ""),
    "continue without servers": ("continue", ".continue/config.yaml", b"name: x\nmodels: []\n", ""),
    "null servers": ("cursor", ".cursor/mcp.json", b'{\n  "mcpServers": null\n}', "line 2, column 17: `mcpServers` is null"),
    "null entry map in yaml": ("goose", ".config/goose/config.yaml", b"a: 1\nextensions:\n", "`extensions` is null"),
    "servers as a list": ("cursor", ".cursor/mcp.json", b'{"mcpServers": []}', "line 1, column 16: `mcpServers` is an array"),
    "UTF-16": ("cursor", ".cursor/mcp.json", '{"a": 1}'.encode("utf-16"), "line 1, column 1: UTF-16"),
    "UTF-16 without mark": ("cursor", ".cursor/mcp.json", '{"a": 1}'.encode("utf-16-le"), "UTF-16"),
    "latin-1": ("cursor", ".cursor/mcp.json", b'{\n "a": "\xe9"}', "line 2, column 8: the byte 0xe9 is not UTF-8"),
    "duplicate deep inside": ("cursor", ".cursor/mcp.json", b'{"a": {"b": 1,\n "b": 2}}', "line 2, column 2: the key `b`"),
    "duplicate by escape": ("cursor", ".cursor/mcp.json", b'{"mcpServers": {}, "mcp\\u0053ervers": {}}', "second time"),
    "single quotes": ("cursor", ".cursor/mcp.json", b"{'a': 1}", "line 1, column 2: a key in double quotes"),
    "two values": ("cursor", ".cursor/mcp.json", b"{} {}", "line 1, column 4: nothing more was expected"),
    "missing comma": ("cursor", ".cursor/mcp.json", b'{"a": 1\n "b": 2}', "line 2, column 2: a comma or `}`"),
    "open comment": ("cursor", ".cursor/mcp.json", b'{"a": 1}\n/* end', "line 2, column 1: a comment that never ends"),
    "open string": ("cursor", ".cursor/mcp.json", b'{"a": "b\n}', "line 1, column 7: a string that never ends"),
    "very deep": ("cursor", ".cursor/mcp.json", b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested more than"),
    "comment where the host reads none": ("claude-code", ".claude.json", b'{\n// c\n"a": 1}', "line 2, column 1: not JSON"),
    "trailing comma where Gemini fails": ("gemini", ".gemini/settings.json", b'{"a": 1,}', "not JSON with comments"),
    "mark where Gemini stops": ("gemini", ".gemini/settings.json", b"\xef\xbb\xbf{}", "line 1, column 1: a byte order mark"),
    "inline table": ("codex", ".codex/config.toml", b"a = 1\nmcp_servers = { a = {} }\n", "line 2, column 15: `mcp_servers` is an"),
    "array of tables": ("codex", ".codex/config.toml", b"[[mcp_servers]]\na = 1\n", "line 1, column 1: `mcp_servers` is an array"),
    "toml cut short": ("codex", ".codex/config.toml", b'a = "b', "line 1, column "),
    "toml key twice": ("codex", ".codex/config.toml", b"a = 1\n\na = 2\n", "line 3, column "),
    "yaml key twice": ("goose", ".config/goose/config.yaml", b"a: 1\nextensions: {}\na: 2\n", "line 3, column 1: the key `a`"),
    "yaml broken": ("goose", ".config/goose/config.yaml", b"a: [1,\nb: 2\n", "line "),
    "yaml with a tab": ("goose", ".config/goose/config.yaml", b"extensions:\n\ta: 1\n", "line 2, column 1"),
    "yaml list": ("goose", ".config/goose/config.yaml", b"- a\n", "a seq where a mapping was expected"),
    "yaml of two documents": ("goose", ".config/goose/config.yaml", b"a: 1\n---\nb: 2\n", "a second YAML document"),
    "yaml alias": ("goose", ".config/goose/config.yaml", b"x: &x {a: 1}\nextensions: *x\n", "alias"),
    "yaml servers used twice": ("goose", ".config/goose/config.yaml", b"extensions: &x\n  a: {}\ny: *x\n", "no safe edit"),
}  # fmt: skip


def _all() -> list[tuple[str, str, bytes, str]]:
    shared = [(case.host, case.path, (FILES / case.file).read_bytes(), case.refused) for case in CASES]
    return [*shared, *TEXTS.values()]


def _names() -> list[str]:
    return [*(case.file for case in CASES), *TEXTS]


@pytest.mark.parametrize(("host", "path", "data", "refused"), _all(), ids=_names())
def test_install_adds_exactly_our_entry_or_refuses_and_uninstall_gives_back_the_same_bytes(
    home: Home, host: str, path: str, data: bytes, refused: str
) -> None:
    file = home.write(path, data)
    file.chmod(0o640)
    done = home.install("--host", host)
    if refused:
        assert done.code == 1
        assert refused in f"{done.hosts[host]['why']}. {done.hosts[host]['hint']}"
        assert "~/" in done.hosts[host]["why"] or "safe edit" in done.hosts[host]["why"]
        assert file.read_bytes() == data
        return
    assert (done.code, done.err) == (0, "")
    after = file.read_bytes()
    assert after != data
    assert home.run("hosts", "--json").hosts[host]["status"] == "ours"
    assert home.install("--host", host).hosts[host]["act"] == "already there"
    assert file.read_bytes() == after
    assert home.uninstall().code == 0
    assert file.read_bytes() == data
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("case", [case for case in CASES if not case.refused], ids=lambda case: case.file)
def test_only_lines_are_added(home: Home, case: Case) -> None:
    file = home.write(case.path, before := (FILES / case.file).read_bytes())
    home.install("--host", case.host)
    old, new = (data.decode().splitlines(keepends=True) for data in (before, file.read_bytes()))
    assert [line for line in difflib.ndiff(old, new) if line.startswith("-")] == []


def test_a_file_of_ten_megabytes_takes_seconds(home: Home) -> None:
    entry = b'"%d": {"history": ["text, with \\"quotes\\" // and slashes", 1.50, null], "n": {"a": true}},\n'
    body = b"".join(entry % number for number in range(110_000))
    data = b'{"projects": {' + body.rstrip(b",\n") + b'}, "mcpServers": {}}'
    file = home.write(".claude.json", data)
    assert home.install("--host", "claude-code").code == 0
    assert home.uninstall().code == 0
    assert file.read_bytes() == data


def test_a_missing_file_and_its_directories_are_gone_again(home: Home) -> None:
    hosts = ["cursor", "codex", "goose", "vscode", "continue", "opencode", "zed"]
    words = [word for host in hosts for word in ("--host", host)]
    before = sorted(home.path.rglob("*"))
    assert home.install(*words).code == 0
    assert len([path for path in home.path.rglob("*") if path.is_file()]) >= 2 * len(hosts)
    assert home.uninstall().code == 0
    assert sorted(home.path.rglob("*")) == before

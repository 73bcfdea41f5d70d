"""Odd configs of every format: our entry is added and taken out again to the byte, or the place of the fault is named."""

from __future__ import annotations

import re

import pytest

from hosts.homes import Home

PATHS = {
    "cursor": ".cursor/mcp.json", "codex": ".codex/config.toml", "goose": ".config/goose/config.yaml",
    "continue": ".continue/config.yaml",
}  # fmt: skip

ADDED: dict[str, list[bytes]] = {
    "cursor": [
        b"{ /* c */ }",
        b"{// c\n}",
        b'{\n  "mcpServers": { // a\n    // b\n  }\n}\n',
        b'{"mcpServers": {"a": {} // last\n}}',
        b'{\n\t"mcpServers": {\n\t\t"a": {},\n\n\t\t// end\n\t},\n\n}\n\n\n',
        b'{\r\n  "a": 1,\n  "mcpServers": {\r\n    "x": {}\n  }\r\n}',
        b'{"\\u006dcpServers": {"a": {}}}',
        b'{"x": "\\"mcpServers\\": {", "mcpServers": {"a": {"mcpServers": {"rootcellar": {}}}}}',
        b'\xef\xbb\xbf{\r\n\t"mcpServers": {\r\n\t\t"a": {"n": 1.0e+5}\r\n\t}\r\n}\r\n',
        b'// top\n/* more */ {"a": 1} // tail\n/* tail */',
        b'{"a": "https://x//y /* no */"}',
        b"\n\n  {\n  }\n",
        b'{"":{}}',
        b'{"mcpServers":{"RootCellar":{"command":"x"}}}',
        b'{\n    "mcpServers": {\n        "a": {\n            "command": "x"\n        }\n    },\n    "z": [1,2,\n 3]\n}',
        b'{"mcpServers": {\n"a": {}}}',
        b'{"mcpServers"\n:\n{\n}\n}',
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b'{"a": "\xf0\x9f\x98\x80 \\ud83d\\ude00 \\ud800"}',
        b'{"mcpServers": {"a": {}, /* t */ }}',
        b'{"mcpServers": {"a": {} /* t */, // u\n}}',
        b'{\n  // "mcpServers": {},\n  "b": 2 // x\n  // y\n}',
        b'{"mcpServers":{"a":{}}}\n//x',
        b'{"a":1}\r',
        b"\t{\t}\t",
        b"{\n}",
        b"{\n\n}\n",
        b'{"mcpServers": {\n    "a": {}   ,\n    "b": {}   \n  }   \n}   ',
        b'{ "mcpServers" : { "a" : { "command" : "x" } } , "k" : [ ] }',
    ],
    "codex": [
        b"# only\n",
        b"# only",
        b"\n\n",
        b'[mcp_servers]\n[mcp_servers.a]\ncommand="x"\n[mcp_servers.a.env]\nK="v"\n',
        b'mcp_servers.a.command = "x"\n[z]\nq=1\n',
        b'["mcp_servers"."a"]\nc=1\n',
        b"[ mcp_servers . a ]\nc=1",
        b"['mcp_servers'.a]\nc=1",
        b'[mcp_servers]\na = {command="x"}\n',
        b"[mcp_servers.a]\nx=1\n[other]\ny=2\n[mcp_servers.b]\nz=3\n# end",
        b'a = """\nx\n[mcp_servers.rootcellar]\n"""',
        b"a = '''\n\\\n'''\n",
        b"[[arr]]\nx=1\n[[arr]]\nx=2",
        b'[projects."/home/a b"]\ntrust_level = "trusted"\n',
        b"a=1\r\n\r\n[mcp_servers.a] # c\r\nb=2\r\n",
        b"a=1\n[b]\r\nc=2\r\n",
        b"\xef\xbb\xbf# c\r\n",
        b"a = [\n 1, # x\n 2,\n]\n",
        b"a = 1979-05-27T07:32:00-08:00\nb = 0o755\nc = -inf\nd = nan\n",
        b"[mcp_servers]\n# none yet\n\n[tui]\nx=1\n",
        b"\t[mcp_servers]\n\t\t[mcp_servers.a]\n\t\tb = 1\n",
        b'profile = "x"\n[profiles.x]\nmodel="m"\n[profiles.x.mcp_servers.y]\nc=1\n',
        b"a=1 # trail",
        b"[mcp_servers.a]\r\nc=1",
        b'#\xc3\xa9\n[mcp_servers."\xc3\xa9"]\nx="\xf0\x9f\x98\x80"\n',
    ],
    "goose": [
        b"# only\n",
        b"# only",
        b"\n",
        b"{}\n",
        b"---\n",
        b"extensions:\n  a:\n    cmd: x\n",
        b"extensions:\n    a:\n        cmd: x\n    # tail of a\n# tail of file\n",
        b"extensions:\n  a: &x\n    cmd: y\n  b: *x\nq: 1\n",
        b"base: &b\n  k: 1\nextensions:\n  a:\n    <<: *b\n    cmd: x\n",
        b"extensions: {\n  a: {cmd: x},\n}\n",
        b"extensions: { }\nz: 1\n",
        b'"extensions":\n  a:\n    t: |\n      text\n\n      more\n\n',
        b"extensions:\n  a:\n    t: |+\n      text\n\n\nz: 1\n",
        b"extensions: # here\n  a: {}   # a\n\n\n",
        b"%YAML 1.1\n---\nextensions:\n  a: {}\n...\n",
        b'a: 1\r\nextensions:\r\n  x:\r\n    y: "z"\r\n',
        b"\xef\xbb\xbfextensions:\n  a: {}\n",
        b"GOOSE_MODEL: x\nextensions:\n  developer:\n    bundled: true\n    enabled: yes\n    timeout: 0300\nlast: >\n  folded\n  text",
        b'a: "x\n  y"\n',
        b"a: 'it''s'\nb: [1,\n  2]\nc: {d: 1,\n  e: 2}\n",
        b'extensions:\n  \xc3\xa9: {cmd: "\xf0\x9f\x98\x80"}\n',
        b"extensions: &e\n  a: {}\n",
        b"extensions: !!map\n  a: {}\n",
        b"extensions: {a: {cmd: x}, b: {cmd: y}}",
        b"extensions:\n\n  # first\n\n  a: {}\n",
        b"  extensions:\n    a: {}\n  b: 1\n",
        b"extensions:\n  a: {}\n  # c1\n\n  # c2\nb: 1\n",
        b"a: 1\nextensions: {}",
        b'a: "\\ud800"\n',
    ],
    "continue": [
        b"mcpServers: []\n",
        b"mcpServers: [{name: a, command: b}]\n",
        b"mcpServers:\n- name: a\n  command: b\n",
        b"mcpServers:\n  - name: a\n    command: b\n  # end\nmodels: []\n",
        b"mcpServers:\n    -   name: a\n        command: b\n",
        b"mcpServers:\n  - command: b\n    name: a",
        b"name: x\n",
        b"",
        b"mcpServers:\n  -\n    name: a\n",
        b"mcpServers:\n  - &a\n    name: a\n  - *a\n",
        b"mcpServers: [\n  {name: a},\n]\n",
        b"mcpServers:\r\n  - name: a\r\n",
        b'mcpServers:\n  - uses: x/y\n  - name: "b"\n',
    ],
}

REFUSED: dict[str, list[bytes]] = {
    "cursor": [
        b"[",
        b'"x"',
        b'{"a": NaN}',
        b'{"a": 01}',
        b"{\"a\": 'x'}",
        b"{a: 1}",
        b'{"a": 1,, "b": 2}',
        b"{,}",
        b'{"a"}',
        b'{"a":1}}',
        b'{"a": "\x01"}',
        b'{"a": "\\x"}',
        b"{\xc2\xa0}",
        b"#c\n{}",
        b'{"mcpServers": {"a": {}, "a": {}}}',
        b'{"mcpServers": "x"}',
        b'{"mcpServers": {"rootcellar": null}}',
        b'{"mcpServers": {"rootcellar": "x"}}',
        b'{"a": 1} x',
        b"null",
        b"0",
        b'{"a": tru}',
        b"\x00{}",
        b'{"a": "\xc3"}',
        b'{"mcpServers": {"root\\u0063ellar": {"command": "z"}}}',
    ],
    "codex": [
        b"mcp_servers = {}\n",
        b'[mcp_servers]\nrootcellar = {command="x"}\n',
        b'[mcp_servers.rootcellar]\ncommand="x"\n',
        b'mcp_servers.rootcellar.command="x"\n',
        b'[mcp_servers."root\\u0063ellar"]\ncommand="x"\n',
        b"[a]\n[a]\n",
        b"a = 1 b = 2\n",
        b"[a\n",
        b'a = "\\q"\n',
        b"a = {b=1,\n c=2}\n",
        b'a = "x\n',
        b"= 1\n",
        b"mcp_servers = 3\n",
        b'a = "\x7f"\n',
        b"a = 1\x00\n",
        b'a = "\xff"\n',
    ],
    "goose": [
        b"~\n",
        b"? extensions\n: a: {}\n",
        b"extensions:\n  a: {}\n---\nb: 1\n",
        b"extensions:\n",
        b"extensions: ~\n",
        b"extensions: null # x\n",
        b"extensions: []\n",
        b"extensions: text\n",
        b"extensions:\n - a\n",
        b"extensions:\n  a: {}\n  a: {}\n",
        b"extensions:\n  rootcellar:\n    cmd: x\n",
        b'extensions:\n  "rootcellar": {cmd: x}\n',
        b"a: b: c\n",
        b"a: [\n",
        b"\ta: 1\n",
        b"a: @x\n",
        b"- x\n",
        b'"just text"\n',
        b"a: *nope\n",
    ],
    "continue": [
        b"mcpServers:\n",
        b"mcpServers: {}\n",
        b"mcpServers:\n  - name: rootcellar\n    command: z\n",
    ],
}


def _rows(table: dict[str, list[bytes]]) -> list[object]:
    return [
        pytest.param(host, data, id=f"{host}-{number}")
        for host, items in table.items()
        for number, data in enumerate(items)
    ]


@pytest.mark.parametrize(("host", "data"), _rows(ADDED))
def test_an_odd_config_gets_our_entry_and_gives_it_back(home: Home, host: str, data: bytes) -> None:
    file = home.write(PATHS[host], data)
    done = home.install("--host", host)
    assert (done.code, done.err) == (0, ""), done.out
    assert home.run("hosts", "--json").hosts[host]["status"] == "ours"
    assert home.uninstall().code == 0
    assert file.read_bytes() == data


@pytest.mark.parametrize(("host", "data"), _rows(ADDED))
def test_what_was_added_to_it_meanwhile_stays_when_we_go(home: Home, host: str, data: bytes) -> None:
    file = home.write(PATHS[host], data)
    home.install("--host", host)
    after = file.read_bytes()
    line = b"// later\n" if host == "cursor" else b"# later\n"
    file.write_bytes(after + (b"" if after.endswith(b"\n") else b"\n") + line)
    assert home.uninstall().code == 0
    left = file.read_bytes()
    assert left.endswith(line)
    assert str(home.program).encode() not in left
    assert left.removesuffix(line).split() == data.split()


@pytest.mark.parametrize(("host", "data"), _rows(REFUSED))
def test_a_config_that_cannot_be_edited_safely_is_refused_and_left(home: Home, host: str, data: bytes) -> None:
    file = home.write(PATHS[host], data)
    done = home.install("--host", host)
    assert done.code == 1
    why = done.hosts[host]["why"]
    assert re.search(r"line \d+, column \d+: |that we did not write|no safe edit fits", why), why
    assert file.read_bytes() == data

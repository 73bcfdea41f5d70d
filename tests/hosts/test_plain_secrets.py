"""No secret is written into a host's config, and those that others wrote are named without their value."""

from __future__ import annotations

import json
import tomllib

import pytest

from hosts.homes import Home
from rootcellar.errors import BadArgument
from rootcellar.hosts.host import Launch, Machine, Platform, check_launch
from rootcellar.hosts.plain_secrets import found_in
from rootcellar.hosts.secret_shapes import is_secret
from rootcellar.hosts.where import host_named, user_places

HEX = "0123456789abcdef" * 4
# Put together here, so that no scanner takes this file for a leak.
SECRETS = [
    ("", "sk" + "-ant-api03-" + "A1b2" * 8),
    ("", "gh" + "p_" + "A1b2C3" * 6),
    ("", "github" + "_pat_" + "A1b2C3" * 6),
    ("", "gl" + "pat-" + "A1b2C3d4E5f6G7h8I9j0"),
    ("", "xox" + "b-" + "1234567890-abc"),
    ("", "AK" + "IA" + "ABCDEFGHIJKLMNOP"),
    ("", "ey" + "J" + "hbGciOiJIUzI1" + ".ey" + "J" + "zdWIiOiIxMjM0" + ".sig"),
    ("", "-----BEGIN " + "OPENSSH PRIVATE KEY-----"),
    ("", f"x'{HEX}'"),
    ("", "postgres" + "://me:hunter2@db/x"),
    ("GITHUB_TOKEN", "abcdef1234567"),
    ("apiKey", "q1w2e3r4t5"),
    ("API_KEY", "q1w2e3r4t5"),
    ("DB_PASSWORD", "correct horse"),
    ("Authorization", "Bearer abcdefgh"),
    ("clientSecret", "abcdefgh"),
]
HARMLESS = [
    ("GITHUB_TOKEN", "${GITHUB_TOKEN}"),
    ("GITHUB_TOKEN", "$GITHUB_TOKEN"),
    ("GITHUB_TOKEN", "{env:GITHUB_TOKEN}"),
    ("API_KEY", "keychain:github"),
    ("API_KEY", "op://vault/item/field"),
    ("API_KEY", "<your key>"),
    ("API_KEY", "YOUR_API_KEY"),
    ("API_KEY", ""),
    ("KEY", "/home/me/key.pem"),
    ("SSH_KEY", "~/.ssh/id_ed25519"),
    ("MAX_TOKENS", "4096"),
    ("keyboard", "us"),
    ("monkey", "see"),
    ("PATH", "/usr/bin:/bin"),
    ("", "/home/me/sk-notes"),
    ("", "https://example.org/a@b"),
    ("", "task-force-one-two-three-four-five"),
]


@pytest.mark.parametrize(("name", "value"), SECRETS, ids=[f"{name or value[:6]}" for name, value in SECRETS])
def test_what_is_a_secret_is_seen(name: str, value: str) -> None:
    assert is_secret(value, name)


@pytest.mark.parametrize(("name", "value"), HARMLESS, ids=[f"{name}={value}"[:30] for name, value in HARMLESS])
def test_what_is_none_is_left_alone(name: str, value: str) -> None:
    assert not is_secret(value, name)


@pytest.mark.parametrize("value", [value for name, value in SECRETS if not name])
def test_install_refuses_to_write_one_and_does_not_repeat_it(value: str) -> None:
    for launch in (Launch("/bin/rootcellar", (f"/home/me/{value}",)), Launch(value, ())):
        with pytest.raises(BadArgument) as refused:
            check_launch(launch)
        assert value not in str(refused.value)
        assert "secret set" in refused.value.hint


def test_the_command_refuses_it_too_and_leaves_every_file_alone(home: Home) -> None:
    home.write(".cursor/mcp.json", b"{}")
    (home.path / "notes").mkdir()
    value = SECRETS[0][1]
    (home.path / value).mkdir()
    done = home.run_apart("install", "--host", "cursor", "--yes", "--json", "--root", str(home.path / value))
    assert done.code != 0
    assert value not in done.out + done.err
    assert (home.path / ".cursor/mcp.json").read_bytes() == b"{}"


def test_those_of_others_are_found_in_every_kind_of_config_and_told_without_their_value(home: Home) -> None:
    token, other = SECRETS[1][1], SECRETS[0][1]
    servers = {
        "github": {"command": "npx", "args": ["-y", "gh-mcp"], "env": {"GITHUB_TOKEN": token, "DEBUG": "1"}},
        "web": {"url": "https://x", "headers": {"Authorization": f"Bearer {token}"}},
        "args": {
            "command": "x",
            "args": ["--api-key", "abcdefgh", f"--token={other}", "--key-file", "/etc/key", other],
        },
        "clean": {"command": "x", "env": {"TOKEN": "${input:token}"}},
    }
    home.write(".cursor/mcp.json", json.dumps({"mcpServers": servers}).encode())
    home.write(
        ".codex/config.toml",
        f'[mcp_servers.gh]\ncommand = "x"\n[mcp_servers.gh.env]\nGITHUB_TOKEN = "{token}"\n'.encode(),
    )
    assert tomllib.loads((home.path / ".codex/config.toml").read_text())
    machine = Machine(Platform.LINUX, str(home.path), {})
    found = {name: found_in(user_places(host_named(name), machine)[0]) for name in ("cursor", "codex")}
    assert found == {
        "cursor": [
            "args: --api-key", "args: --token", "args: an item of args", "github: GITHUB_TOKEN", "web: Authorization",
        ],
        "codex": ["gh: GITHUB_TOKEN"],
    }  # fmt: skip
    done = home.run_apart("doctor", "--quick")
    assert "github: GITHUB_TOKEN" in done.out
    assert token not in done.out + done.err
    assert other not in done.out + done.err

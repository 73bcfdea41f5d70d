"""The keychain: a real gnome-keyring, and all the ways in which one can be locked, absent, refusing or silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keychain import ring as rings
from keychain.conftest import stand_in
from keychain.ring import Ring
from rootcellar import errors, limits
from rootcellar.backends import Ask
from rootcellar.keychain import Keychain
from rootcellar.keys import AUDIT, Keys
from rootcellar.secrets import Secret

VALUES = {
    "short": "x",
    "unicode": "пароль-🔑-ключ",
    "long": "k" * 20_000,
    "quotes": "'\"\\$(x)\n;--",
    "spaces": "  a b  ",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_comes_back_as_it_was_kept(here: Ring, value: str) -> None:
    keychain = Keychain()
    keychain.put("round-trip", Secret(value))
    assert keychain.get("round-trip").reveal() == value
    keychain.put("round-trip", Secret("another"))
    assert keychain.get("round-trip").reveal() == "another"
    keychain.remove("round-trip")
    with pytest.raises(errors.NoSecret, match="round-trip"):
        keychain.get("round-trip")
    keychain.remove("round-trip")


def test_it_lies_in_the_users_keychain_where_other_programs_find_it(here: Ring) -> None:
    from jeepney.io.blocking import open_dbus_connection
    from secretstorage import get_default_collection

    Keychain().put("found", Secret("by others"))
    with open_dbus_connection(here.address) as connection:
        items = list(get_default_collection(connection).search_items({"service": "rootcellar:found"}))
        assert [item.get_secret() for item in items] == [b"by others"]
        assert items[0].get_attributes()["username"] == "rootcellar"


def test_a_key_of_our_own_is_made_once_however_many_ask(here: Ring) -> None:
    made: list[Secret | None] = []
    ask = lambda: made.append(Keys(lambda: str(here.data)).ours(AUDIT))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = Keychain().get(AUDIT)
    assert [one == kept for one in made] == [True] * 6


ODD = [
    ("silent", errors.KeychainSilent, 0.9, 4),
    ("deaf", errors.KeychainSilent, 0.9, 4),
    ("dismiss", errors.KeychainRefused, 0.9, 5),
    ("at-once", errors.KeychainLocked, 0, 4),
    ("forgetful", errors.KeychainFailed, 0, 4),
    ("rude", errors.KeychainFailed, 0, 4),
]


@pytest.mark.parametrize(("way", "refusal", "least", "most"), ODD, ids=[row[0] for row in ODD])
def test_each_way_to_fail_has_its_own_refusal_in_time(
    way: str, refusal: type[errors.Refusal], least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rings.odd(way) as ring:
        stand_in(ring, monkeypatch)
        keychain = Keychain(seconds=2.0 if way == "dismiss" else 1.0)
        began = time.monotonic()
        with pytest.raises(errors.KeychainFailed) as refused:
            keychain.put("canary", Secret("CANARY-VALUE"))
        took = time.monotonic() - began
    assert type(refused.value) is refusal
    assert least <= took < most
    assert refused.value.hint
    assert "CANARY" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "you sent" not in str(refused.value)


def test_a_locked_keyring_says_so_and_nobody_is_asked_where_nobody_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with rings.keyring() as ring:
        stand_in(ring, monkeypatch)
        Keychain().put("kept", Secret("value"))
        rings.lock(ring)
        for ask in Ask:
            with pytest.raises(errors.KeychainLocked, match="locked"):
                Keychain(5.0).get("kept", ask)
        with pytest.raises(errors.KeychainLocked):
            Keychain(5.0).put("new", Secret("value"))
        assert "kept" not in (ring.home / "share").read_text() if (ring.home / "share").is_file() else True


def test_a_bus_without_a_keychain_and_no_bus_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with rings.bare_bus() as ring:
        stand_in(ring, monkeypatch)
        with pytest.raises(errors.NoKeychain, match="no keychain"):
            Keychain().get("x")
    with rings.home() as ring:
        stand_in(ring, monkeypatch)
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={ring.runtime}/nobody-listens-here")
        with pytest.raises(errors.NoKeychain, match="no session bus"):
            Keychain().get("x")
        assert not [path for path in ring.home.rglob("*") if path.is_file()], "something was written in plain"


def test_what_is_too_large_for_this_system_is_refused_before_it_is_sent(here: Ring) -> None:
    with pytest.raises(errors.TooLarge):
        Keychain().put("large", Secret("x" * (limits.SECRET_BYTES_MAX + 1)))
    with pytest.raises(errors.BadArgument):
        Keychain().put("empty", Secret(""))
    with pytest.raises(errors.NoSecret):
        Keychain().get("large")


def test_a_silent_keychain_holds_up_neither_the_next_question_nor_the_end(tmp_path: Path) -> None:
    script = (
        "import time; from rootcellar.keychain import Keychain; from rootcellar.secrets import Secret\n"
        "from rootcellar.errors import KeychainSilent\n"
        "k = Keychain(0.5)\n"
        "for n in range(3):\n"
        "    try: k.get('x')\n"
        "    except KeychainSilent: print('silent', flush=True)\n"
    )
    with rings.odd("deaf") as ring:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", script], env=ring.env, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.stdout.split() == ["silent"] * 3, done
        assert done.returncode == 0
        assert time.monotonic() - began < 15


EVIL = (
    "import pathlib, os\npathlib.Path(os.environ['MARK']).touch()\nfrom keyring.backends.null import Keyring as Evil\n"
)


def test_no_file_and_no_variable_of_the_user_chooses_the_backend(keyring: Ring) -> None:
    mark = keyring.home / "evil-ran"
    folder = keyring.home / "config" / "python_keyring"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(EVIL)
    (folder / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring=evil.Evil\nkeyring-path={folder}\n")
    share = keyring.home / "share" / "python_keyring"
    share.mkdir(parents=True)
    (share / "keyringrc.cfg").write_text((folder / "keyringrc.cfg").read_text())
    hostile = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "MARK": str(mark)}
    try:
        assert keyring.run("secret", "set", "chosen", said="kept\n", env=hostile).returncode == 0
        assert keyring.run("secret", "test", "chosen", env=hostile).returncode == 0
        assert not mark.exists()
        bites = "import os, keyring; keyring.get_keyring()"
        env = {**keyring.env, "MARK": str(mark)}
        subprocess.run([sys.executable, "-c", bites], env=env, check=False, capture_output=True)
        assert mark.exists(), "the trap does not bite"
    finally:
        for path in (folder / "keyringrc.cfg", share / "keyringrc.cfg"):
            path.unlink()


def test_the_bus_is_found_only_where_it_is_ours(keyring: Ring, tmp_path: Path) -> None:
    from rootcellar import bus

    user, home = os.getuid(), str(keyring.home)
    address = keyring.address
    stripped = {"XDG_RUNTIME_DIR": str(keyring.runtime)}
    assert bus.find({"DBUS_SESSION_BUS_ADDRESS": address}, user, "/") == address
    assert bus.find(stripped, user, "/") == address
    assert (
        bus.find({**stripped, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere;tcp:host=x,port=1"}, user, "/") == address
    )
    assert bus.find({"DBUS_SESSION_BUS_ADDRESS": f"tcp:host=evil;{address}"}, user, "/") == address
    assert bus.find(stripped, user + 1, "/") is None, "another user's bus was taken"
    kept = keyring.home / ".dbus" / "session-bus"
    kept.mkdir(parents=True)
    (kept / "machine-0").write_text(
        f"# kept by dbus-launch\nDBUS_SESSION_BUS_ADDRESS='{address}'\nDBUS_SESSION_BUS_PID=1\n"
    )
    assert bus.find({"XDG_RUNTIME_DIR": str(tmp_path)}, user, home) == address
    assert bus.socket_of("unix:abstract=/tmp/x%20y,guid=1") == "\0/tmp/x y"
    assert bus.socket_of("unix:path=/a%2cb") == "/a,b"
    assert bus.socket_of("autolaunch:") is None


def test_nothing_of_the_keychain_is_loaded_until_a_secret_is_needed(keyring: Ring, tmp_path: Path) -> None:
    """`serve`, answering calls on plain files and databases, and `--version`."""
    (tmp_path / "a.txt").write_text("hello")
    hook = tmp_path / "hook"
    hook.mkdir()
    told = tmp_path / "told"
    (hook / "sitecustomize.py").write_text(
        "import atexit, sys, os\n"
        f"open({str(told)!r}, 'a').write('')\n"
        "import threading, time\n"
        "def look():\n"
        "    while True:\n"
        "        seen = [n for n in ('keyring', 'secretstorage', 'jeepney', 'cryptography.hazmat') if n in sys.modules]\n"
        f"        open({str(told)!r}, 'w').write(' '.join(n for n in seen if n.split('.')[0] != 'cryptography') + '|' + str(len(sys.modules)))\n"
        "        time.sleep(0.05)\n"
        "threading.Thread(target=look, daemon=True).start()\n"
        f"atexit.register(lambda: open({str(told)!r}, 'w').write(' '.join(n for n in ('keyring', 'secretstorage', 'jeepney') if n in sys.modules) + '|' + str(len(sys.modules))))\n"
    )
    env = {"PYTHONPATH": str(hook)}
    assert keyring.run("--version", env=env).returncode == 0
    assert told.read_text().startswith("|"), told.read_text()
    lines = [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "read_file", "arguments": {"path": "a.txt"}},
        },
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "list_databases", "arguments": {}}},
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "rootcellar", "serve", str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**keyring.env, **env},
    ) as server:  # fmt: skip
        assert server.stdin
        assert server.stdout
        server.stdin.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        server.stdin.flush()
        answers = [json.loads(server.stdout.readline()) for _ in range(3)]
        time.sleep(0.2)
        server.stdin.close()
        server.wait(10)
    assert {answer["id"] for answer in answers} == {1, 2, 3}
    names, _, count = told.read_text().partition("|")
    assert int(count) > 200
    assert not names, f"a plain call loaded {names}"

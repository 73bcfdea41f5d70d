"""`rootcellar secret` on a real keychain: what is typed is never shown, never an argument, and found again."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from keychain import ring as rings
from keychain.ring import Ring

VALUE = "CANARY-4711"


def told(ring: Ring, *words: str, said: str = "") -> Any:
    done = ring.run(*words, "--json", said=said)
    assert VALUE not in done.stdout + done.stderr
    return json.loads(done.stdout)


def names(ring: Ring) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in told(ring, "secret", "list")["secrets"]}


def test_a_secret_is_set_listed_tested_rotated_and_removed(keyring: Ring) -> None:
    assert told(keyring, "secret", "set", "token", said=VALUE + "\n")["kept"] is True
    listed = names(keyring)["token"]
    assert listed["kind"] == "value"
    assert listed["created"]
    checks = told(keyring, "secret", "test", "token")["checks"]
    assert all(check["ok"] for check in checks)
    assert f"{len(VALUE)} bytes" in checks[1]["what"], "the line end was kept"
    assert told(keyring, "secret", "rotate", "token", said="longer " + VALUE)["rotated"] is True
    assert f"{len(VALUE) + 7} bytes" in told(keyring, "secret", "test", "token")["checks"][1]["what"]
    assert told(keyring, "secret", "remove", "token")["removed"] is True
    assert "token" not in names(keyring)
    for verb in ("remove", "rotate"):
        assert told(keyring, "secret", verb, "token", said=VALUE)["reason"] == "no_secret"
    index = (keyring.data / "secrets.json").read_text()
    assert VALUE not in index
    assert (keyring.data / "secrets.json").stat().st_mode & 0o077 == 0


ARGUMENTS = [
    ("secret", "set", "x", VALUE),
    ("secret", "set", "x", "--value", VALUE),
    ("secret", "set", "x", f"--value={VALUE}"),
    ("secret", VALUE),
    ("secret", "set", "--database", "x.db", "x", VALUE),
    ("secret", "rotate", "x", VALUE),
]


@pytest.mark.parametrize("words", ARGUMENTS, ids=lambda words: " ".join(words).replace(VALUE, "VALUE"))
def test_a_value_in_the_command_is_refused_and_not_repeated(keyring: Ring, words: tuple[str, ...]) -> None:
    done = keyring.run(*words)
    assert done.returncode == 2
    assert VALUE not in done.stdout + done.stderr
    assert "x" not in names(keyring)


def test_a_person_types_it_twice_and_sees_nothing_of_it(keyring: Ring) -> None:
    def typed(*lines: str) -> tuple[int, str]:
        pid, terminal = pty.fork()
        if not pid:
            os.chdir(keyring.home)
            os.execve(sys.executable, [sys.executable, "-m", "rootcellar", "secret", "set", "typed"], keyring.env)
        seen = b""
        for line in lines:
            while not seen.rstrip().endswith(b":"):
                seen += os.read(terminal, 1000)
            os.write(terminal, line.encode() + b"\n")
            seen += b"|"
        try:
            while part := os.read(terminal, 1000):
                seen += part
        except OSError:  # the other end is gone
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    code, seen = typed(VALUE, "another")
    assert code == 2
    assert "not the same" in seen
    code, seen = typed(VALUE, VALUE)
    assert code == 0, seen
    assert VALUE not in seen
    assert f"{len(VALUE)} bytes" in told(keyring, "secret", "test", "typed")["checks"][1]["what"]


def test_names_of_our_own_are_not_the_users(keyring: Ring) -> None:
    for name in ("database.00", "ours.audit", "a b", "../x"):
        assert told(keyring, "secret", "set", name, said=VALUE)["reason"] == "argument"


@pytest.mark.parametrize("verb", ["set", "rotate", "remove", "test"])
@pytest.mark.parametrize("way", ["locked", "absent", "silent"])
def test_every_verb_ends_in_time_with_the_next_step_where_the_keychain_does_not_work(way: str, verb: str) -> None:
    with rings.home() if way == "absent" else rings.odd({"locked": "at-once", "silent": "deaf"}[way]) as ring:
        done = ring.run("secret", verb, "x", "--wait", "1", said=VALUE)
        assert done.returncode == 1
        assert VALUE not in done.stdout + done.stderr
        word = {"locked": "locked", "absent": "no session bus", "silent": "did not answer"}[way]
        assert word in done.stdout + done.stderr
        left = [path for path in ring.home.rglob("*") if path.is_file() and path.name != "bus.conf"]
        assert not [path for path in left if VALUE.encode() in path.read_bytes()]


def test_another_program_can_use_it_while_we_do(keyring: Ring, tmp_path: Path) -> None:
    """Several at once: the list loses no name, the keychain no value."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "rootcellar", "secret", "set", f"many-{n}"], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, env=keyring.env,
        )
        for n in range(4)
    ]  # fmt: skip
    for n, process in enumerate(running):
        process.communicate(f"value {n}".encode(), timeout=60)
        assert process.returncode == 0
    assert {f"many-{n}" for n in range(4)} <= set(names(keyring))

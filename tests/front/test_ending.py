"""However it ends, it ends in time, quietly, with what was asked answered."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rawclient import Peer, call, request, text_of

BUSY: dict[str, list[dict[str, Any]]] = {
    "idle": [],
    "sleeping": [call(key, "slow", seconds=60) for key in range(20)],
    "stuck in threads": [call(key, "blocked", seconds=60) for key in range(45)],
    "computing": [call(key, "spin", seconds=60) for key in range(4)],
    "deaf to cancellation": [call(key, "stubborn", seconds=60) for key in range(5)],
    "waiting for the client": [call(key, "elicit") for key in range(3)],
    "listening": [request("sub", "subscriptions/listen", era="modern", notifications={"toolsListChanged": True})],
}
WAYS = ["EOF", "SIGTERM", "SIGINT", "SIGHUP"]


def busy_peer(spawn: Any, what: str) -> Peer:
    peer: Peer = spawn()
    peer.hello(elicitation={})
    peer.ready()
    peer.send(*BUSY[what], call("last", "echo"))
    while peer.get().get("id") != "last":
        pass
    return peer


def end(peer: Peer, way: str) -> None:
    if way == "EOF":
        peer.close()
    else:
        peer.process.send_signal(getattr(signal, way))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals there")
@pytest.mark.parametrize("what", BUSY)
@pytest.mark.parametrize("way", WAYS)
def test_it_ends_within_a_second_whatever_is_running(spawn: Any, way: str, what: str) -> None:
    peer = busy_peer(spawn, what)
    end(peer, way)
    code, seconds = peer.ended()
    print(f"{way}, {what}: {seconds:.3f} s")
    assert seconds < 1
    assert code == 0
    assert b"Traceback" not in b"".join(peer.errors)
    if what == "idle":
        assert seconds < 0.2


@pytest.mark.skipif(sys.platform == "win32", reason="only a write tells there")
@pytest.mark.parametrize("what", ["idle", "sleeping", "stuck in threads"])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_client_that_closes_our_stdout_is_noticed_at_once(what: str, kind: str) -> None:
    if kind == "pipe":
        ours, theirs = os.pipe()
    else:
        left, right = socket.socketpair()
        ours, theirs = left.detach(), right.detach()
    fixture = str(Path(__file__).parent / "fixture_server.py")
    command = [sys.executable, "-W", "ignore", fixture]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stdin
        assert process.stderr
        messages = [request("hello", "initialize"), *BUSY[what], call("last", "echo")]
        process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        process.stdin.flush()
        with os.fdopen(ours, "rb") as answers:
            while b'"last"' not in answers.readline():
                pass
        since = time.monotonic()
        assert process.wait(5) == 0
        assert time.monotonic() - since < 1
        assert process.stderr.read() == b""
        with contextlib.suppress(OSError):
            process.stdin.close()


def test_requests_read_before_the_end_of_input_are_answered(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    peer.send(*[call(key, "slow", seconds=0.1) for key in range(200)], call("late", "slow", seconds=60))
    peer.close()
    answers = {(answer := peer.get())["id"]: answer for _ in range(201)}
    assert all(text_of(answers[key]) == "slept" for key in range(200))
    assert answers["late"]["error"]["code"] == -32603
    assert peer.ended()[0] == 0


def test_a_whole_session_may_come_through_a_shell_pipe() -> None:
    messages = [request(1, "initialize"), call(2, "echo", text="x"), request(3, "tools/list", era="modern")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).parent / "fixture_server.py")],
        input=b"\n".join(json.dumps(message).encode() for message in messages),
        capture_output=True,
        check=True,
        timeout=10,
    )
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {1, 2, 3}


def test_the_end_may_come_in_the_middle_of_a_message(spawn: Any) -> None:
    peer = spawn()
    peer.ready()
    peer.raw(b'{"jsonrpc":"2.0","id":1,"met')
    peer.close()
    assert peer.get()["error"]["code"] == -32700
    assert peer.ended()[0] == 0


def test_the_end_may_come_before_the_engine_is_there(spawn: Any) -> None:
    peer = spawn(env={"FIXTURE_SLEEP": "30"})
    peer.send(request(1, "initialize"))
    peer.close()
    assert peer.answer(1)["error"]["message"] == "the server is ending"
    code, seconds = peer.ended()
    assert code == 0
    assert seconds < 1


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals there")
def test_a_signal_after_the_end_of_input_cuts_the_waiting_short(spawn: Any) -> None:
    peer = busy_peer(spawn, "sleeping")
    peer.close()
    assert peer.silent(0.1)
    peer.process.terminate()
    assert peer.ended()[1] < 0.35


@pytest.mark.parametrize("what", ["idle", "stuck in threads"])
def test_writes_get_their_time_to_complete(spawn: Any, tmp_path: Path, what: str) -> None:
    note = tmp_path / "drained"
    peer = spawn(env={"FIXTURE_DRAIN": str(note)})
    peer.hello()
    peer.send(*BUSY[what], call("last", "echo"))
    while peer.get().get("id") != "last":
        pass
    peer.close()
    assert peer.ended()[1] < 1
    assert 0.05 < float(note.read_text()) < 0.9


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX process groups")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    fixture = str(Path(__file__).parent / "fixture_server.py")
    note = tmp_path / "pid"
    script = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-W', 'ignore', {fixture!r}], stdin=-1, stdout=-1)\n"
        f"open({str(note)!r}, 'w').write(str(p.pid))\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        child = int(note.read_text())
        parent.kill()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and running(child):
        time.sleep(0.02)
    assert not running(child)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_it_survives_being_started_without_a_standard_descriptor(closed: int) -> None:
    fixture = str(Path(__file__).parent / "fixture_server.py")
    script = (
        f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, '-W', 'ignore', {fixture!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(request(1, "ping")).encode() + b"\n",
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert done.returncode == 0
    if closed == 2:
        assert json.loads(done.stdout)["result"] == {}


def test_a_client_that_leaves_without_reading_is_noticed(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    peer.reading.clear()
    with contextlib.suppress(OSError):
        os.set_blocking(peer.process.stdin.fileno(), False)
        for key in range(100_000):
            peer.raw(json.dumps(call(key, "big", size=100_000)).encode() + b"\n")
            peer.silent(0) if key % 100 == 0 else None
    with contextlib.suppress(OSError):
        peer.close()
    code, seconds = peer.ended()
    assert code == 0
    assert seconds < 1.5

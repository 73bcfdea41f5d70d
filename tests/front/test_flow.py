"""Load on the real process: nothing waits for what it need not, and memory stays bounded."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any

import pytest

from rawclient import Peer, call, request, text_of
from rootcellar import limits


def cancel(key: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": key, "reason": "test"}}


def pings(peer: Peer, times: int = 50) -> list[float]:
    """Seconds each took, the quickest first."""
    took = []
    for turn in range(times):
        since = time.perf_counter()
        peer.send(request(f"ping {turn}", "ping"))
        peer.answer(f"ping {turn}")
        took.append(time.perf_counter() - since)
    return sorted(took)


@pytest.mark.parametrize("tool", ["slow", "blocked"])
def test_a_ping_is_answered_within_50_ms_while_100_slow_calls_run(spawn: Any, tool: str) -> None:
    peer = spawn()
    peer.hello()
    peer.ready()
    peer.send(*[call(key, tool, seconds=3) for key in range(100)])
    took = pings(peer)
    print(f"{tool}: 9 of 10 pings within {took[44] * 1000:.1f} ms, the slowest {took[-1] * 1000:.1f} ms")
    assert took[44] < 0.05  # the slowest is the operating system's to decide
    assert {peer.get()["id"] for _ in range(100)} == set(range(100))


def test_a_ping_is_answered_in_time_while_threads_compute(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    peer.ready()
    peer.send(*[call(key, "spin", seconds=3) for key in range(6)])
    took = pings(peer)
    print(f"6 computing threads: 9 of 10 pings within {took[44] * 1000:.1f} ms, the slowest {took[-1] * 1000:.1f} ms")
    assert took[44] < 0.05  # the slowest is the operating system's to decide


def test_slow_calls_never_hold_up_quick_ones(peer: Peer, era: str) -> None:
    peer.ready()
    peer.send(*[call(key, "slow", era=era, seconds=5) for key in range(200)])
    peer.send(call("quick", "echo", era=era, text="quick"))
    assert text_of(peer.answer("quick", 2)) == "quick"


def test_what_needs_no_engine_is_answered_before_there_is_one(spawn: Any) -> None:
    peer = spawn(env={"FIXTURE_SLEEP": "2"})
    since = time.perf_counter()
    peer.raw(b"garbage\n")
    assert peer.get(1)["error"]["code"] == -32700
    peer.send(request(1, "ping"), request(2, "initialize"), request(3, "ping"))
    peer.answer(1, 1)
    peer.answer(3, 1)
    assert time.perf_counter() - since < 1
    assert peer.answer(2)["result"]["serverInfo"]


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_pipelined_calls_are_each_answered_once(spawn: Any, count: int) -> None:
    peer = spawn()
    peer.hello()
    eras = ("legacy", "modern")
    peer.send(*[call(key, "echo", era=eras[key % 2], text=str(key)) for key in range(count)])
    answers = [peer.get(30) for _ in range(count)]
    assert sorted(answer["id"] for answer in answers) == list(range(count))
    assert all(text_of(answer) == str(answer["id"]) for answer in answers)
    assert peer.silent()


def test_a_cancelled_call_is_stopped_at_once_and_never_answered(peer: Peer, era: str) -> None:
    peer.ready()
    peer.send(call(1, "slow", era=era, seconds=30), call(2, "echo", era=era))
    peer.answer(2)
    peer.send(cancel(1), call(3, "events", era=era))
    assert text_of(peer.answer(3)) == "cancelled"
    assert peer.silent()


def test_a_call_that_ignores_its_cancellation_is_never_answered_either(peer: Peer, era: str) -> None:
    peer.ready()
    peer.send(call(1, "stubborn", era=era, seconds=0.3), call(2, "echo", era=era))
    peer.answer(2)
    peer.send(cancel(1))
    assert peer.silent(0.6)
    peer.send(call(1, "events", era=era))
    assert set(text_of(peer.answer(1)).split(",")) == {"ignored"}


def test_a_cancelled_id_may_be_used_again_at_once(peer: Peer, era: str) -> None:
    peer.ready()
    peer.send(call(1, "stubborn", era=era, seconds=0.3), cancel(1), call(1, "slow", era=era, seconds=0.6))
    assert text_of(peer.answer(1)) == "slept"
    assert peer.silent()


def test_a_queued_call_that_is_cancelled_never_starts(spawn: Any) -> None:
    peer = spawn(env={"FIXTURE_SLEEP": "0.5"})
    peer.send(request(0, "initialize"), cancel(0), call(1, "slow", seconds=0), cancel(1), call(2, "events"))
    assert peer.answer(0)["result"]
    assert text_of(peer.answer(2)) == ""
    assert peer.silent()


def test_a_storm_of_cancellations_leaves_everything_in_order(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    messages = [message for key in range(5000) for message in (call(key, "slow", seconds=60), cancel(key))]
    peer.send(*messages)
    assert pings(peer)[-1] < 1
    peer.send(call("after", "echo", text="fine"))
    assert text_of(peer.answer("after")) == "fine"


def test_cancelled_calls_free_their_place(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    most = limits.IN_FLIGHT_MAX
    peer.send(*[call(key, "slow", seconds=60) for key in range(most)], call("more", "echo", text="started"))
    peer.send(request("ping", "ping"))
    peer.answer("ping")
    assert peer.silent(1)  # every place is taken
    peer.send(cancel(3))
    assert text_of(peer.answer("more")) == "started"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_client_that_stops_reading_stops_us_and_gets_everything_later(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    peer.ready()
    before = peer.rss()
    peer.reading.clear()
    calls = [call(key, "big", size=50_000) for key in range(2000)]
    sender = threading.Thread(target=lambda: peer.send(*calls), daemon=True)
    sender.start()
    deadline, last = time.monotonic() + 6, 0.0
    while time.monotonic() < deadline and peer.peak() != last:
        last = peer.peak()
        sender.join(0.7)
    growth = peer.peak() - before
    print(f"2,000 answers of 50 KB, unread: RSS {before:.1f} MiB, growth {growth:.1f} MiB")
    assert growth < 40
    peer.reading.set()
    answers = [peer.get(30) for _ in range(2000)]
    assert sorted(answer["id"] for answer in answers) == list(range(2000))
    assert all(len(text_of(answer)) == 50_000 for answer in answers)
    growth = peer.peak() - before
    print(f"all delivered: growth at most {growth:.1f} MiB")
    assert growth < 40


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "flood",
    [b"garbage\n", b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n', b'{"jsonrpc":"2.0","id":1,"method":"no"}\n'],
    ids=["garbage", "pings", "refusals"],
)
def test_a_client_that_only_shouts_is_no_longer_listened_to(spawn: Any, flood: bytes) -> None:
    peer = spawn()
    peer.ready()
    before = peer.rss()
    peer.reading.clear()

    def shout() -> None:
        with contextlib.suppress(OSError):
            peer.raw(flood * 1_000_000)

    shouting = threading.Thread(target=shout)
    shouting.start()
    last = -1.0
    while peer.peak() != last:
        last = peer.peak()
        peer.silent(0.7)
    growth = peer.peak() - before
    print(f"growth {growth:.1f} MiB")
    assert growth < 60
    peer.process.terminate()
    assert peer.ended()[1] < 1
    shouting.join()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_news_is_not_kept_for_a_client_that_does_not_read(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    peer.ready()
    before = peer.rss()
    peer.reading.clear()
    peer.send(call(1, "chatter", meta={"progressToken": 1}, size=10_000, count=5000))
    last = -1.0
    while peer.peak() != last:
        last = peer.peak()
        peer.silent(0.7)
    growth = peer.peak() - before
    print(f"50 MB of progress, unread: growth {growth:.1f} MiB")
    assert growth < 40
    peer.reading.set()
    while "method" in (message := peer.get()):
        pass
    assert text_of(message) == "said it all"


@pytest.mark.parametrize("times", [1, 2])
def test_an_engine_that_dies_is_replaced_and_everyone_is_answered(spawn: Any, times: int) -> None:
    peer = spawn()
    peer.hello("2025-06-18")
    for turn in range(times):
        peer.send(call("slow", "slow", seconds=60), call("modern", "slow", era="modern", seconds=60))
        peer.send(call("echo", "echo"))
        peer.answer("echo")
        peer.send(call("exit", "fail", kind="exit"))
        answers = {(answer := peer.get())["id"]: answer for _ in range(3)}
        assert set(answers) == {"slow", "modern", "exit"}
        assert all(answer["error"]["code"] == -32603 for answer in answers.values())
        peer.send(call("after", "echo", text=f"alive {turn}"), call("m", "echo", era="modern", text="too"))
        assert {text_of(peer.get()), text_of(peer.get())} == {f"alive {turn}", "too"}


def test_an_engine_that_keeps_dying_is_given_up_and_says_so(spawn: Any) -> None:
    peer = spawn()
    for _ in range(limits.ENGINE_STARTS_MAX):
        peer.send(call(1, "fail", era="modern", kind="exit"))
        assert peer.answer(1)["error"]["code"] == -32603
    peer.send(call(2, "echo", era="modern"))
    assert "could not start" in peer.answer(2)["error"]["message"]
    peer.close()
    assert peer.ended()[0] == 1


def test_an_engine_that_cannot_be_built_answers_all_the_same(spawn: Any) -> None:
    peer = spawn(env={"FIXTURE_FAILS": "1"})
    peer.send(request(1, "initialize"))
    assert "could not start" in peer.answer(1)["error"]["message"]
    peer.send(request(2, "server/discover", era="modern"))
    assert peer.answer(2)["error"]["code"] == -32603
    peer.close()
    assert peer.ended()[0] == 1
    assert b"the engine cannot be built" in b"".join(peer.errors)


@pytest.mark.parametrize("name", ["OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_TRACER_PROVIDER"])
def test_the_users_telemetry_variables_cannot_stop_us(spawn: Any, name: str) -> None:
    assert spawn(env={name: "no-such-plugin"}).hello()["result"]

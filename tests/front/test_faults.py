"""Malformed input on the real process: each gets its error, and the server lives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rawclient import Peer, call, request, text_of
from rootcellar import limits

MALFORMED: list[tuple[str, bytes, int, Any]] = [
    ("not JSON", b"hello", -32700, None),
    ("half a message", b'{"jsonrpc":"2.0","id":1,"method":', -32700, None),
    ("invalid UTF-8", b'{"jsonrpc":"2.0","id":1,"method":"ping\xff"}', -32700, 1),
    ("a byte order mark", b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}', -32700, 1),
    ("array params", b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}', -32602, 1),
    ("string params", b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":"x"}', -32602, 1),
    ("float id", b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}', -32600, None),
    ("null id", b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', -32600, None),
    ("boolean id", b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}', -32600, None),
    ("list id", b'{"jsonrpc":"2.0","id":[1],"method":"tools/list"}', -32600, None),
    ("jsonrpc 1.0", b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, 1),
    ("no jsonrpc", b'{"id":1,"method":"ping"}', -32600, 1),
    ("no method", b'{"jsonrpc":"2.0","id":1}', -32600, 1),
    ("method a number", b'{"jsonrpc":"2.0","id":1,"method":7}', -32600, 1),
    ("method null", b'{"jsonrpc":"2.0","id":1,"method":null}', -32600, 1),
    ("an empty object", b"{}", -32600, None),
    ("a notification of JSON-RPC 1.0", b'{"jsonrpc":"1.0","method":"x"}', -32600, None),
    ("a number", b"42", -32600, None),
    ("a string", b'"ping"', -32600, None),
    ("null", b"null", -32600, None),
    ("an empty batch", b"[]", -32600, None),
    ("a batch where there are none", b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
    ("10,000 levels", b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
     -32600, 1),
    ("100,000 levels, never closed", b"[" * 100_000, -32600, None),
    ("a lone surrogate", b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800"}}', -32600, 1),
    ("NaN", b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":NaN}}', -32700, None),
]  # fmt: skip


@pytest.fixture(scope="module")
def lasting() -> Any:
    """One process for all of them: it must live through everything."""
    import sys
    from pathlib import Path

    peer = Peer([sys.executable, "-W", "ignore", str(Path(__file__).parent / "fixture_server.py")], {}, {})
    peer.hello()
    yield peer
    peer.close()
    code = peer.ended()[0]
    peer.end()
    assert (code, peer.errors) == (0, [])


@pytest.mark.parametrize(("line", "code", "key"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_each_malformed_message_gets_its_error_and_the_server_lives(
    lasting: Peer, line: bytes, code: int, key: object
) -> None:
    lasting.raw(line + b"\n")
    answer = lasting.get()
    assert answer["error"]["code"] == code
    if key is None:
        assert "id" not in answer
    else:
        assert answer["id"] == key
    lasting.send(request("alive", "ping"), call("called", "echo", text="still here"))
    assert lasting.answer("alive")["result"] == {}
    assert text_of(lasting.answer("called")) == "still here"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   \t ",
        b"\r",
        b'{"jsonrpc":"2.0","method":"no/such/notification"}',
        b'{"jsonrpc":"2.0","method":"notifications/initialized","params":[1]}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[1]}}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}',
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}',
        b'{"jsonrpc":"2.0","id":77,"result":{}}',
        b'{"jsonrpc":"2.0","id":"77","error":{"code":1,"message":"x"}}',
        b'{"jsonrpc":"2.0","id":null,"result":5}',
    ],
)
def test_what_asks_nothing_gets_no_answer(lasting: Peer, line: bytes) -> None:
    lasting.raw(line + b"\n")
    lasting.send(request("next", "ping"))
    lasting.answer("next")


def test_lines_may_end_as_on_windows(lasting: Peer) -> None:
    lasting.raw(json.dumps(call(1, "echo", text="crlf")).encode() + b"\r\n")
    assert text_of(lasting.answer(1)) == "crlf"


@pytest.mark.parametrize("key", [0, -1, 2**31, 2**53 + 1, 2**70, 10**4000, "", "7", 'é\n\\"', "x" * 100_000],
                         ids=lambda key: repr(key)[:12] if isinstance(key, str) else str(key)[:12])  # fmt: skip
def test_any_string_or_integer_id_comes_back_as_it_went(lasting: Peer, key: object) -> None:
    lasting.send(call(key, "echo", text="id"), request("p", "ping"))
    assert {lasting.get()["id"], lasting.get()["id"]} == {key, "p"}


def test_ids_that_look_alike_are_two_requests(lasting: Peer) -> None:
    lasting.send(call(7, "slow", seconds=0.2), call("7", "echo", text="string"), call("07", "echo", text="octal"))
    answers = [lasting.get() for _ in range(3)]
    assert {(answer["id"], text_of(answer)) for answer in answers} == {(7, "slept"), ("7", "string"), ("07", "octal")}


def test_an_id_still_in_flight_is_refused_and_the_first_request_is_unaffected(lasting: Peer) -> None:
    lasting.send(call(5, "slow", seconds=0.3), call(5, "echo", text="second"))
    assert lasting.answer(5)["error"]["code"] == -32600
    assert text_of(lasting.answer(5)) == "slept"
    lasting.send(call(5, "echo", text="free again"))
    assert text_of(lasting.answer(5)) == "free again"


def test_of_a_doubled_member_the_last_one_counts(lasting: Peer) -> None:
    lasting.raw(b'{"jsonrpc":"2.0","id":1,"id":2,"method":"no","method":"ping"}\n')
    assert lasting.answer(2)["result"] == {}


@pytest.mark.parametrize(
    ("kind", "shown"), [("name", "bad\\xff.txt"), ("other", "x\ufffdy"), ("pair", "\U0001f600"), ("slash", "a\\udcff")]
)
def test_no_string_in_a_result_kills_anything(lasting: Peer, kind: str, shown: str) -> None:
    lasting.send(call(1, "odd", kind=kind))
    assert text_of(lasting.answer(1)) == shown


def test_the_shown_form_of_an_undecodable_byte_comes_back_in(lasting: Peer) -> None:
    lasting.raw(json.dumps(call(1, "echo", text="bad\udcff.txt")).encode() + b"\n")
    assert text_of(lasting.answer(1)) == "bad\\xff.txt"


def test_numbers_that_json_lacks_become_null(lasting: Peer) -> None:
    lasting.send(call(1, "odd", kind="nan"))
    assert lasting.answer(1)["result"]["structuredContent"] == {"n": None, "i": None, "k": 1}


def test_prints_of_libraries_and_children_never_reach_the_wire(lasting: Peer) -> None:
    lasting.send(call(1, "noise"))
    assert text_of(lasting.answer(1)) == ""
    strays = b"".join(lasting.errors)
    lasting.errors.clear()
    assert all(stray in strays for stray in (b"a stray print", b"a stray write", b"a stray child"))


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["a line", "no newline"])
def test_100_mb_are_refused_without_being_held(spawn: Any, newline: bytes) -> None:
    peer = spawn()
    peer.hello()
    before = peer.rss()
    peer.raw(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"')
    for _ in range(100):
        peer.raw(b"x" * limits.MIB)
    peer.raw(b'"}}' + newline)
    if newline:
        answer = peer.answer(1)
        peer.send(request(2, "ping"))
        assert peer.answer(2)["result"] == {}
        growth = peer.peak() - before
    else:
        growth = peer.peak() - before
        peer.close()
        answer = peer.answer(1)
    print(f"RSS before {before:.1f} MiB, growth {growth:.1f} MiB")
    assert answer["error"]["code"] == -32600
    assert growth < 40


def test_the_largest_message_is_taken_and_nested_values_are_bounded(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    peer.send(call(1, "echo", text="x" * (limits.MESSAGE_BYTES_MAX - 1000)))
    assert len(text_of(peer.answer(1))) == limits.MESSAGE_BYTES_MAX - 1000
    peer.raw(b'{"jsonrpc":"2.0","id":2,"method":"x","params":{"a":[' + b"[]," * 5_000_000 + b"[]]}}\n")
    assert peer.answer(2)["error"]["code"] == -32600
    assert peer.peak() < 300

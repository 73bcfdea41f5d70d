"""Both eras in one process, whatever the order: the front never locks."""

from __future__ import annotations

from typing import Any

import pytest

from rawclient import ENVELOPE, Peer, call, request, text_of

INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def test_a_client_may_probe_with_discover_and_then_initialize(spawn: Any) -> None:
    peer = spawn()
    peer.send(request(1, "server/discover", era="modern"))
    assert "2026-07-28" in peer.answer(1)["result"]["supportedVersions"]
    assert peer.hello()["result"]["protocolVersion"] == "2025-11-25"
    peer.send(call(2, "echo", text="legacy"))
    assert text_of(peer.answer(2)) == "legacy"


def test_discover_and_initialize_may_be_pipelined(spawn: Any) -> None:
    peer = spawn()
    peer.send(
        request(1, "server/discover", era="modern"),
        request(2, "initialize"),
        INITIALIZED,
        call(3, "echo", text="a"),
        call(4, "echo", era="modern", text="b"),
    )
    answers = {(answer := peer.get())["id"]: answer["result"] for _ in range(4)}
    assert answers[1]["supportedVersions"] == ["2026-07-28"]
    assert answers[2]["serverInfo"]["name"] == "fixture"
    assert "resultType" not in answers[3]
    assert answers[4]["resultType"] == "complete"


def test_initialize_may_come_first_and_modern_requests_after(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    for era in ("modern", "legacy", "modern", "legacy"):
        peer.send(call(era, "echo", era=era, text=era))
        assert text_of(peer.answer(era)) == era


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_each_legacy_revision_is_spoken(spawn: Any, version: str) -> None:
    peer = spawn()
    assert peer.hello(version)["result"]["protocolVersion"] == version


@pytest.mark.parametrize("version", ["2026-07-28", "1999-01-01"])
def test_initialize_with_another_version_is_offered_the_latest_legacy_one(spawn: Any, version: str) -> None:
    assert spawn().hello(version)["result"]["protocolVersion"] == "2025-11-25"


def test_a_version_that_does_not_exist_is_named_and_locks_nothing(spawn: Any) -> None:
    peer = spawn()
    envelope = {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    peer.send({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": envelope}})
    error = peer.answer(1)["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}
    peer.hello()


@pytest.mark.parametrize("method", ["server/discover", "subscriptions/listen"])
@pytest.mark.parametrize("params", [None, {}, {"_meta": {}}, {"_meta": {"progressToken": 1}}, {"_meta": 5}])
def test_a_modern_method_without_its_envelope_says_what_is_missing(spawn: Any, method: str, params: Any) -> None:
    peer = spawn()
    peer.send({"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params})})
    error = peer.answer(1, 2)["error"]
    assert error["code"] == -32602
    assert "io.modelcontextprotocol/protocolVersion" in error["message"]


@pytest.mark.parametrize("member", sorted(ENVELOPE))
def test_half_an_envelope_says_which_half_is_missing(spawn: Any, member: str) -> None:
    peer = spawn()
    meta = {key: value for key, value in ENVELOPE.items() if key != member}
    peer.send({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}})
    error = peer.answer(1)["error"]
    assert error["code"] == -32602
    assert member in error["message"]
    assert not any(other in error["message"] for other in meta)


def test_a_legacy_request_before_the_handshake_is_told_about_it_and_ping_is_answered(spawn: Any) -> None:
    peer = spawn()
    peer.send(request(1, "tools/list"), request(2, "ping"))
    error = peer.answer(1, 2)["error"]
    assert error["code"] == -32600
    assert "initialize" in error["message"]
    assert peer.answer(2)["result"] == {}


def test_there_is_no_ping_in_the_modern_era(spawn: Any) -> None:
    peer = spawn()
    peer.send(request(1, "ping", era="modern"))
    assert peer.answer(1)["error"]["code"] == -32601


def test_an_enveloped_initialize_is_legacy_if_it_asks_for_a_version_and_unknown_if_not(spawn: Any) -> None:
    peer = spawn()
    peer.send(request(1, "no", era="modern") | {"method": "initialize"})
    assert peer.answer(1)["error"]["code"] == -32601
    legacy = request(2, "initialize")
    legacy["params"]["_meta"] = ENVELOPE
    peer.send(legacy, INITIALIZED, call(3, "echo", text="legacy"), call(4, "echo", era="modern", text="modern"))
    assert peer.answer(2)["result"]["protocolVersion"] == "2025-11-25"
    assert {text_of(peer.get()), text_of(peer.get())} == {"legacy", "modern"}


def test_a_client_that_initializes_again_starts_anew_and_its_old_calls_end(spawn: Any) -> None:
    peer = spawn()
    peer.hello("2025-03-26")
    peer.send(call("old", "slow", seconds=0.5), request("again", "initialize", version="2025-11-25"))
    assert peer.answer("again")["result"]["protocolVersion"] == "2025-11-25"
    peer.send(INITIALIZED, call("new", "echo", text="new"))
    assert text_of(peer.answer("new")) == "new"
    assert text_of(peer.answer("old")) == "slept"


def test_an_initialize_that_fails_can_be_said_again(spawn: Any) -> None:
    peer = spawn()
    peer.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
    assert peer.answer(1)["error"]["code"] == -32602
    peer.send(request(2, "tools/list"))
    assert peer.answer(2)["error"]["code"] == -32600
    peer.hello()


def test_a_batch_is_answered_as_one_line_in_2025_03_26(spawn: Any) -> None:
    peer = spawn()
    peer.hello("2025-03-26")
    batch = [
        call(1, "slow", seconds=0.2),
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        call(2, "echo", text="in a batch"),
        request(3, "ping"),
        {"jsonrpc": "2.0", "id": 4, "method": 5},
        request(5, "initialize"),
        7,
    ]
    peer.send(batch)
    answers = peer.get()
    assert isinstance(answers, list)
    by_id = {answer["id"]: answer for answer in answers}
    assert len(answers) == 6
    assert text_of(by_id[1]) == "slept"
    assert text_of(by_id[2]) == "in a batch"
    assert by_id[3]["result"] == {}
    assert [by_id[key]["error"]["code"] for key in (4, 5, None)] == [-32600, -32600, -32600]


def test_a_batch_that_asks_nothing_gets_nothing_and_a_cancelled_member_is_left_out(spawn: Any) -> None:
    peer = spawn()
    peer.hello("2025-03-26")
    peer.send([INITIALIZED], [call(1, "slow", seconds=9), call(2, "echo", text="kept")])
    peer.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    assert [answer["id"] for answer in peer.get()] == [2]


def test_what_a_batch_holds_back_is_bounded(spawn: Any) -> None:
    peer = spawn()
    peer.hello("2025-03-26")
    peer.send([call(key, "big", size=100_000) for key in range(100)], [])
    assert peer.get()["error"]["code"] == -32600
    answers = peer.get()
    errors = [answer["error"]["message"] for answer in answers if "error" in answer]
    assert len(answers) == 100
    assert 50 < len(errors) < 100
    assert "singly" in errors[0]


@pytest.mark.parametrize("version", ["2025-06-18", "2024-11-05"])
def test_in_older_revisions_an_unknown_id_is_null(spawn: Any, version: str) -> None:
    peer = spawn()
    peer.hello(version)
    peer.raw(b"garbage\n")
    answer = peer.get()
    assert answer["id"] is None
    assert answer["error"]["code"] == -32700


def test_progress_reaches_the_client_before_its_answer(peer: Peer, era: str) -> None:
    peer.send(call(1, "progress", era=era, meta={"progressToken": "p"}))
    for step in range(3):
        message = peer.get()
        assert message["method"] == "notifications/progress"
        assert message["params"] == {"progressToken": "p", "progress": step, "total": 3, "message": f"step {step}"}
    assert text_of(peer.answer(1)) == "progressed"


def test_a_legacy_server_may_ask_the_client_while_it_serves_it(spawn: Any) -> None:
    peer = spawn()
    peer.hello(roots={}, elicitation={})
    peer.send(call(1, "roots"), call(2, "elicit"))
    asked = {(message := peer.get())["method"]: message for _ in range(2)}
    peer.send({"jsonrpc": "2.0", "id": asked["elicitation/create"]["id"], "result": {"action": "accept"}})
    assert text_of(peer.answer(2)) == "accept"
    peer.send({"jsonrpc": "2.0", "id": asked["roots/list"]["id"], "result": {"roots": [{"uri": "file:///x"}]}})
    assert text_of(peer.answer(1)) == "file:///x"


@pytest.mark.parametrize(
    "response",
    [{"error": {"code": -32601, "message": "no"}}, {"error": "no"}, {"result": 5}, {"result": None}, {"error": {}}],
)
def test_a_client_that_answers_badly_ends_the_call_not_the_server(spawn: Any, response: dict[str, Any]) -> None:
    peer = spawn()
    peer.hello(elicitation={})
    peer.send(call(1, "elicit"))
    peer.send({"jsonrpc": "2.0", "id": peer.get()["id"], **response})
    assert "error" in peer.answer(1)
    peer.send(call(2, "echo", text="alive"))
    assert text_of(peer.answer(2)) == "alive"


def test_a_question_is_taken_back_when_its_call_is_cancelled(spawn: Any) -> None:
    peer = spawn()
    peer.hello(elicitation={})
    peer.send(call(1, "elicit"))
    asked = peer.get()
    peer.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    taken_back = peer.get()
    assert taken_back["method"] == "notifications/cancelled"
    assert taken_back["params"]["requestId"] == asked["id"]
    assert peer.silent()


def test_questions_of_two_conversations_never_meet(spawn: Any) -> None:
    peer = spawn()
    peer.hello(elicitation={})
    peer.send(call("old", "elicit"))
    first = peer.get()
    peer.hello(elicitation={})
    peer.send(call("new", "elicit"))
    second = peer.get()
    assert first["id"] != second["id"]
    peer.send({"jsonrpc": "2.0", "id": first["id"], "result": {"action": "decline"}})
    assert text_of(peer.answer("old")) == "decline"
    peer.send({"jsonrpc": "2.0", "id": second["id"], "result": {"action": "cancel"}})
    assert text_of(peer.answer("new")) == "cancel"


def test_a_modern_server_asks_by_input_required(spawn: Any) -> None:
    peer = spawn()
    peer.send(call(1, "roots", era="modern"))
    first = peer.answer(1)["result"]
    assert first["resultType"] == "input_required"
    again = call(2, "roots", era="modern")
    again["params"] |= {
        "inputResponses": {"roots": {"roots": [{"uri": "file:///y"}]}},
        "requestState": first["requestState"],
    }
    peer.send(again)
    assert text_of(peer.answer(2)) == "file:///y"


def test_a_listen_stream_carries_the_clients_own_id(spawn: Any) -> None:
    peer = spawn()
    wanted = {"resourceSubscriptions": ["test://a"]}
    peer.send(request("sub", "subscriptions/listen", era="modern", notifications=wanted))
    acknowledged = peer.get()
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    key = "io.modelcontextprotocol/subscriptionId"
    assert acknowledged["params"]["_meta"][key] == "sub"
    peer.send(call(1, "publish", era="modern"))
    messages = [peer.get(), peer.get()]
    updated = next(message for message in messages if "method" in message)
    assert updated["method"] == "notifications/resources/updated"
    assert updated["params"] == {"uri": "test://a", "_meta": {key: "sub"}}
    peer.close()
    final = peer.answer("sub")
    assert final["result"]["_meta"][key] == "sub"
    assert peer.ended()[1] < 0.5


def test_a_cancelled_listen_stream_says_nothing_more(spawn: Any) -> None:
    peer = spawn()
    wanted = {"resourceSubscriptions": ["test://a"]}
    peer.send(request("sub", "subscriptions/listen", era="modern", notifications=wanted))
    peer.get()
    peer.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "sub"}})
    peer.send(call(1, "publish", era="modern"))
    peer.answer(1)
    assert peer.silent()


def test_a_flood_of_roots_changes_is_told_once_per_request(spawn: Any) -> None:
    peer = spawn()
    peer.hello()
    changed = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
    peer.send(*[changed] * 1000, call(1, "echo"), *[changed] * 1000, call(2, "events"))
    peer.answer(1)
    assert text_of(peer.answer(2)).count("roots changed") == 2


@pytest.mark.parametrize("kind", ["exception", "memory", "result"])
def test_an_exception_never_shows_its_text(peer: Peer, era: str, kind: str) -> None:
    peer.send(call(1, "fail", era=era, kind=kind))
    answer = peer.answer(1)
    assert answer["error"]["code"] == -32603
    assert "secret" not in str(answer)


def test_an_error_that_the_server_means_passes_unchanged(peer: Peer, era: str) -> None:
    peer.send(call(1, "fail", era=era, kind="mcp"))
    assert peer.answer(1)["error"] == {"code": -32602, "message": "unknown thing", "data": {"name": "x"}}


def test_the_snapshot_answers_at_once_and_the_engine_still_learns_of_it(spawn: Any) -> None:
    peer = spawn(env={"FIXTURE_SNAPSHOT": "1", "FIXTURE_SLEEP": "1"})
    peer.send(
        request(1, "initialize", version="2025-06-18"),
        request(2, "server/discover", era="modern"),
        request(3, "tools/list", era="modern"),
        request(4, "tools/list", era="modern", cursor="x"),
    )
    assert peer.answer(1, 0.9)["result"] == {"protocolVersion": "2025-06-18", "snapshot": True}
    assert peer.answer(2, 0.9)["result"] == {"snapshot": True}
    assert peer.answer(3, 0.9)["result"] == {"tools": [], "snapshot": True}
    assert "snapshot" not in peer.answer(4)["result"]
    peer.send(INITIALIZED, call(5, "echo", text="greeted"))
    assert text_of(peer.answer(5)) == "greeted"

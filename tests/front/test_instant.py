"""The snapshot: what is answered before the engine is there, and that it is what the engine says."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rootcellar
from rawclient import Peer
from rootcellar import __version__
from rootcellar.front import instant

SHIPPED = Path(rootcellar.__file__).with_name("snapshot.json").read_bytes()
HELD: dict[str, Any] = json.loads(SHIPPED)
PREFIX = "io.modelcontextprotocol/"
# The engine takes its time: whatever comes within it came from the snapshot.
SLOW = "import sys, time; from rootcellar import cli, server; real = server.build\nserver.build = lambda chosen: (time.sleep({}), real(chosen))[1]\ncli.main(['serve', *sys.argv[1:]])"
KEYS = itertools.count(1)
ENV = {"ROOTCELLAR_CONFIG": os.devnull}


def slow(seconds: float, *arguments: str) -> Peer:
    """The server, with an engine that takes this long to come."""
    return Peer([sys.executable, "-c", SLOW.format(seconds), *arguments], ENV, {})


def ask(peer: Peer, method: str, params: dict[str, Any] | None, seconds: float) -> Any:
    """One request, and its answer."""
    key = next(KEYS)
    peer.send({"jsonrpc": "2.0", "id": key, "method": method, **({} if params is None else {"params": params})})
    return peer.answer(key, seconds)


def hello(version: str) -> dict[str, Any]:
    """The params of a plain `initialize`."""
    return {
        "protocolVersion": version,
        "capabilities": {"roots": {"listChanged": True}, "elicitation": {}},
        "clientInfo": {"name": "a client", "version": "1", "title": "A client"},
    }


@pytest.mark.parametrize("variant", ["read-write", "read-only"])
def test_a_client_is_answered_before_the_engine_is_there(variant: str) -> None:
    peer = slow(60, *(["--read-only"] if variant == "read-only" else []))
    places, results = HELD["answers"][variant], HELD["results"]
    try:
        for place, number in places.items():
            version, method = place.split()
            meta = {"_meta": {PREFIX + "protocolVersion": version, PREFIX + "clientCapabilities": {"roots": {}}}}
            plain = meta if version > "2026" else None
            answer = ask(peer, method, hello(version) if method == "initialize" else plain, 20)
            assert answer["result"] == results[number], place
    finally:
        peer.end()


def test_the_snapshot_is_this_programs_and_leaves_the_rest_to_the_engine() -> None:
    answer = instant.snapshot(SHIPPED, __version__, "read-write")
    assert answer("2025-11-25", "tools/list", {}) is not None
    assert answer("2025-11-25", "tools/list", {"cursor": "x"}) is None
    assert answer("2025-11-25", "tools/call", {}) is None
    assert answer("1999-01-01", "tools/list", {}) is None
    assert instant.snapshot(SHIPPED, "0.0.0", "read-write")("2025-11-25", "tools/list", {}) is None
    assert instant.snapshot(b"", __version__, "read-write")("2025-11-25", "tools/list", {}) is None
    assert instant.snapshot(b"[]", __version__, "read-write")("2025-11-25", "tools/list", {}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "listChanged", "form"]), inner, max_size=2)
    ),
    max_leaves=4,
)
CAPABILITIES = JSON | st.dictionaries(
    st.sampled_from(["roots", "elicitation", "sampling", "experimental", "extensions", "tasks", "other"]),
    st.just({}) | JSON,
    max_size=3,
)
CLIENT = JSON | st.dictionaries(st.sampled_from(["name", "version", "title", "websiteUrl"]), st.just("x") | JSON)
CLIENT |= st.just({"name": "x", "version": "1"})
META = JSON | st.fixed_dictionaries(
    {},
    optional={
        "progressToken": JSON,
        PREFIX + "clientInfo": CLIENT,
        PREFIX + "clientCapabilities": CAPABILITIES,
        "other": JSON,
    },
)
LIST = st.fixed_dictionaries({}, optional={"_meta": META, "cursor": JSON, "other": JSON})
HELLO = st.fixed_dictionaries(
    {
        "protocolVersion": st.sampled_from(["2024-11-05", "2025-11-25", "2025-03-26", "2026-07-28", "x"]),
        "clientInfo": CLIENT,
    },
    optional={"capabilities": st.just({}) | CAPABILITIES, "_meta": META, "other": JSON},
)


def test_whatever_the_snapshot_answers_the_engine_would_have_said() -> None:
    answer = instant.snapshot(SHIPPED, __version__, "read-write")
    engine = Peer([sys.executable, "-c", "from rootcellar import cli, front; from rootcellar.front import instant; instant.snapshot = lambda *_: instant.nothing; cli.main(['serve'])"], ENV, {})  # fmt: skip
    counts = {"answered": 0, "asked": 0}

    def compare(version: str, method: str, params: dict[str, Any]) -> None:
        said = answer(version, method, params)
        counts["asked"] += 1
        if said is not None:
            counts["answered"] += 1
            assert ask(engine, method, params, 20)["result"] == said

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(HELLO, LIST, LIST, st.sampled_from(instant.METHODS[1:]))
    def together(greeting: dict[str, Any], legacy: dict[str, Any], modern: dict[str, Any], method: str) -> None:
        compare(greeting["protocolVersion"], "initialize", greeting)
        assert ask(engine, "initialize", hello("2025-06-18"), 20)["result"]
        compare("2025-06-18", method, legacy)
        meta = {PREFIX + "clientCapabilities": {}, **(modern["_meta"] if isinstance(modern.get("_meta"), dict) else {})}
        compare("2026-07-28", method, {**modern, "_meta": {**meta, PREFIX + "protocolVersion": "2026-07-28"}})

    try:
        together()
    finally:
        engine.end()
    print(f"\n{counts['asked']:,} requests, {counts['answered']:,} answered from the snapshot, all as the engine says")
    assert counts["answered"] > 50

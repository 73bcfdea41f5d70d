"""A server process per test, on the real front, with the fixture server behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rawclient import Peer

FIXTURE = Path(__file__).parent / "fixture_server.py"
Spawn = Callable[..., Peer]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start the fixture server on the real front, any number of times; all are gone after the test."""
    peers: list[Peer] = []

    def start(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> Peer:
        command = list(arguments) or [sys.executable, "-W", "ignore", str(FIXTURE)]
        peers.append(Peer(command, env or {}, options))
        return peers[-1]

    yield start
    for peer in peers:
        peer.end()


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    """Each era in turn."""
    return str(request.param)


@pytest.fixture
def peer(spawn: Spawn, era: str) -> Peer:
    """A server that this era's client can call at once."""
    started = spawn()
    if era == "legacy":
        started.hello()
    return started

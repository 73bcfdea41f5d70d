"""Fixtures of the secret tests. Where the programs they drive are missing they fail, except in a quick run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keychain import ring as rings
from keychain.ring import Ring


@pytest.fixture(scope="session")
def keyring() -> Iterator[Ring]:
    """A real, unlocked gnome-keyring on a bus of its own."""
    with rings.keyring() as ring:
        yield ring


@pytest.fixture
def here(keyring: Ring, monkeypatch: pytest.MonkeyPatch) -> Ring:
    """Let this process live there, as a host starts us: no address of a bus."""
    stand_in(keyring, monkeypatch)
    return keyring


def stand_in(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process live in that home."""
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ring.env.items():
        monkeypatch.setenv(name, value)

"""Fixtures of these tests: a throw-away home."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.homes import Home, program_at


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home directory of its own, and a program to install in it."""
    path = tmp_path / "home"
    path.mkdir()
    return Home(path, program_at(tmp_path / "bin" / "rootcellar"))

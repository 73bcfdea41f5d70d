"""Fixtures of the database tests."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootcellar.sqlite import Databases, process
from sqlite.dbyard import Yard


@pytest.fixture(scope="session", autouse=True)
def _worker_program() -> None:
    """The worker of `ROOTCELLAR_COMMAND` instead of ours: the same tests say whether a frozen one keeps its word."""
    if named := os.environ.get("ROOTCELLAR_COMMAND"):
        process.command_line = lambda: [*shlex.split(named), "worker"]


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The server's databases, once for all tests: their workers are shared as a server shares them."""
    made = Databases()
    yield made
    made.close()


@pytest.fixture
def yard(tmp_path: Path, databases: Databases) -> Yard:
    """An empty root and an outside."""
    made = Yard(Path(os.path.realpath(tmp_path)), databases)
    made.root.mkdir()
    made.outside.mkdir()
    return made

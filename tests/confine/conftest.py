"""Fixtures of the wall's tests."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from confine.yard import Place, backends, open_descriptors
from rootcellar.confine._open import Backend


@pytest.fixture(params=backends(), ids=lambda backend: backend.label)
def backend(request: pytest.FixtureRequest) -> Backend:
    """One test for each backend."""
    found: Backend = request.param
    return found


@pytest.fixture
def place(tmp_path: Path, backend: Backend) -> Place:
    """One tree for each test and backend."""
    return Place(Path(os.path.realpath(tmp_path)) / "base", backend)


@pytest.fixture
def shared_place(backend: Backend) -> Iterator[Place]:
    """A tree that an ordinary user may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        os.chmod(base, 0o755)
        yield Place(Path(os.path.realpath(base)) / "base", backend)


@pytest.fixture
def quick_place(backend: Backend) -> Iterator[Place]:
    """A tree in memory, where durability costs nothing, if there is such a place."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as base:
        yield Place(Path(os.path.realpath(base)) / "base", backend)


@pytest.fixture
def no_leaks() -> Iterator[Callable[[], int]]:
    """The test must close what it opens."""
    gc.collect()
    before = open_descriptors()
    yield open_descriptors
    gc.collect()  # a caught refusal keeps its frames, and so the roots, until its circle is collected
    assert open_descriptors() == before

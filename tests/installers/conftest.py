"""Fixtures of these tests: installers of two versions of a stand-in, built once."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from installers.standin import built, bundle_at


def _two(folder: Path, kind: str) -> tuple[Path, Path]:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("installers for Linux")
    first = built(bundle_at(folder, "1.0.0"), folder / "out", kind)
    return first, built(bundle_at(folder, "1.1.0"), folder / "out", kind)


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Self-extracting installers of two versions."""
    return _two(tmp_path_factory.mktemp("run"), ".run")


@pytest.fixture(scope="session")
def two_debs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Debian packages of two versions."""
    return _two(tmp_path_factory.mktemp("deb"), ".deb")

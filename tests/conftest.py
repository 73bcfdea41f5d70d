"""Which test files are left out of the daily `--quick` run: attacks, floods, kills, and whatever starts many processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SLOW = {
    "confine": {
        "test_cases",
        "test_copying",
        "test_crash",
        "test_fuzz",
        "test_race",
        "test_race_server",
        "test_table",
        "test_trash",
        "test_walk",
        "test_write",
        "test_pool",
    },
    "front": {"test_ending", "test_flow"},
    "hosts": {
        "test_faults",
        "test_fixtures",
        "test_install",
        "test_odd_configs",
        "test_properties",
        "test_proving",
        "test_setup_cli",
        "test_uvx",
    },
    "journal": {
        "test_faults",
        "test_files",
        "test_kill",
        "test_random",
        "test_two_servers",
        "test_walled",
        "test_databases",
        "test_databases_encrypted",
        "test_databases_kills",
        "test_databases_properties",
    },
    "keychain": {"test_canary", "test_encrypting", "test_keychain", "test_secret_cli", "test_served"},
    "sqlite": {
        "test_bypass",
        "test_change",
        "test_opening",
        "test_properties",
        "test_query",
        "test_swap",
        "test_transfer",
        "test_worker",
    },
    "text": {"test_search", "test_walled"},
    "tools": {"test_bounds", "test_cancel", "test_changes", "test_roots", "test_slow_sql"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of those files `slow`."""
    for item in items:
        path = Path(str(item.fspath))
        if path.stem in SLOW.get(path.parent.name, ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def data_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test leaves anything in the user's own data directory: the journal of every server lies here."""
    os.environ["ROOTCELLAR_DATA"] = str(tmp_path_factory.mktemp("data"))

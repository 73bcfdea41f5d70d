"""What must be absent from the sources: each test is one invariant of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src" / "rootcellar"
SOURCES = {path.relative_to(SRC).as_posix(): path.read_text("utf-8") for path in SRC.rglob("*.py")}


def where(pattern: str) -> set[str]:
    """The modules whose text has the pattern outside comments and docstrings' prose."""
    return {name for name, text in SOURCES.items() if re.search(pattern, text)}


def test_only_the_wire_and_asking_know_eras_and_capabilities() -> None:
    knowing = where(r"protocol_version|client_capabilities|protocolVersion|clientCapabilities")
    assert knowing <= {
        "asking.py",
        "front/front.py",
        "engine.py",
        "front/eras.py",
        "front/calls.py",
        "front/exchange.py",
        "front/instant.py",
        "proving.py",
        "doctor.py",
    }


def test_the_spelled_door_has_counted_callers() -> None:
    callers = {name for name in where(r"\.path_unchecked\(") if not name.startswith("confine/")}
    assert callers <= {"watch.py", "sqlite/database.py", "sqlite/opening.py", "text/search.py"}


def test_nothing_on_the_way_to_the_first_answer_imports_the_sdk() -> None:
    program = (
        "import sys; import rootcellar.cli, rootcellar.front, rootcellar.settings, rootcellar.telemetry;"
        "print([m for m in ('mcp', 'mcp_types', 'pydantic', 'anyio', 'asyncio', 'PIL', 'keyring') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [["--version"], ["--help"], ["serve", "--help"]])
def test_commands_that_only_talk_never_import_the_sdk(command: list[str]) -> None:
    program = (
        "import sys, rootcellar.cli\ntry: rootcellar.cli.main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "assert 'mcp' not in sys.modules and 'pydantic' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rootcellar" in done.stdout


def test_the_project_speaks_of_itself_alone() -> None:
    for name, text in SOURCES.items():
        assert not re.search(r"/work/|TODO|FIXME|XXX", text), name

"""The frozen binary is the program: what the tests say of the sources is true of it, word for word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from frozen import bundles
from rootcellar import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
FULL = pytest.mark.full
# Suites that drive a server, or the database worker, as a process.
SUITES = [
    pytest.param("tests/wire", id="transcripts"),
    pytest.param("tests/test_cli.py", id="command line"),
    pytest.param("tests/tools", marks=FULL, id="tools"),
    pytest.param("tests/confine/test_cases.py", marks=FULL, id="confinement cases"),
    pytest.param("tests/confine/test_race_server.py", marks=FULL, id="races"),
    pytest.param("tests/sqlite", marks=FULL, id="databases"),
    pytest.param("tests/clients/test_sdks.py", marks=FULL, id="other people's clients"),
    pytest.param("tests/keychain", marks=FULL, id="keychain"),
]


# These look into the interpreter that runs the server.
SOURCES_ONLY = ("test_nothing_of_the_keychain_is_loaded_until_a_secret_is_needed",)


@pytest.mark.parametrize("suite", SUITES)
def test_the_suite_passes(suite: str, binary: str) -> None:
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not full", suite]
    words += ["-k", f"not {' and not '.join(SOURCES_ONLY)}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        words, cwd=bundles.HERE, env={**env, "ROOTCELLAR_COMMAND": binary}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    assert " passed" in done.stdout or "." in done.stdout


def doctored(command: list[str], home: Path) -> dict[str, Any]:
    env = bundles.NEEDED | {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, "doctor", "--json"], env=env, capture_output=True, text=True, check=False)
    checks = json.loads(re.sub(r"\b[\d,.]+ (ms|s|MB|GB)\b", "TIME", done.stdout))["checks"]
    return {"code": done.returncode, **{check["about"]: check for check in checks}}


def test_doctor_says_the_same_but_for_where_things_lie(binary: str, tmp_path: Path) -> None:
    ours = doctored([binary], tmp_path)
    theirs = doctored([sys.executable, "-m", "rootcellar"], tmp_path)
    assert "frozen binary" in ours["program"]["what"]
    assert ours["search"]["level"] == "ok"
    for about in ("program", "search"):
        del ours[about], theirs[about]
    assert ours == theirs


def test_the_sqlite_inside_is_the_pinned_one(binary: str, tmp_path: Path) -> None:
    import apsw

    told = doctored([binary], tmp_path)["SQLite"]
    assert told["level"] == "ok"
    assert told["what"].startswith(apsw.sqlite_lib_version())


def test_every_tool_has_its_description(binary: str, root: Path) -> None:
    with bundles.Talk([binary, "serve", str(root)]) as talk:
        listed = {tool["name"]: tool for tool in talk.ask("tools/list", {})["tools"]}
    for file in (bundles.HERE / "tests/tools/snapshots").glob("*.json"):
        assert listed[file.stem] == json.loads(file.read_text("utf-8"))


def test_it_knows_its_version(binary: str) -> None:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"rootcellar {__version__}\n"


def test_setup_shows_its_page(binary: str, tmp_path: Path) -> None:
    env = bundles.NEEDED | {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen([binary, "setup", "--print-address"], env=env, stdout=subprocess.PIPE, text=True) as setup:
        assert setup.stdout
        address = setup.stdout.readline().strip()
        try:
            with urllib.request.urlopen(address.partition("#")[0], timeout=30) as page:
                assert page.status == 200
                assert "Rootcellar" in page.read().decode()
        finally:
            setup.kill()

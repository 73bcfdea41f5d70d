"""The frozen binary brings the page and everything it loads, and answers its tab."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from frozen import bundles
from hosts.homes import Home
from rootcellar.loopback import SESSION_HEADER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGES = Path(__file__).parents[2] / "src" / "rootcellar" / "pages"


def test_the_frozen_binary_shows_the_same_page_and_looks_around(home: Home) -> None:
    program = str(bundles.built() / f"rootcellar{bundles.EXE}")
    with subprocess.Popen(
        [program, "setup", "--print-address"], stdout=subprocess.PIPE, text=True, env=home.env
    ) as child:
        assert child.stdout is not None
        origin, _, token = child.stdout.readline().strip().partition("/#")
        try:
            page = urllib.request.urlopen(f"{origin}/", timeout=30).read()
            assert page == (PAGES / "setup.html").read_bytes()
            for name in re.findall(r'(?:href|src)="/([^"]+)"', page.decode()):
                assert urllib.request.urlopen(f"{origin}/{name}", timeout=30).read() == (PAGES / name).read_bytes()
            headers = {"Content-Type": "application/json", "Origin": origin}
            begun = urllib.request.Request(f"{origin}/begin", json.dumps({"token": token}).encode(), headers)
            session = json.load(urllib.request.urlopen(begun, timeout=30))["session"]
            look = urllib.request.Request(f"{origin}/look", b"{}", headers | {SESSION_HEADER: session})
            seen = json.load(urllib.request.urlopen(look, timeout=30))
            assert "cursor" in {host["id"] for host in seen["hosts"]}
        finally:
            child.kill()

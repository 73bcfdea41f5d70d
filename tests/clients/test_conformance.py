"""The official conformance suite against the fixture server on our front, over real stdio.

The suite speaks HTTP only, so a bridge on loopback stands between. It is installed once, by npm, into `.artefacts/npm`;
where npm or its registry is missing the test fails and says so: it never skips.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clients.bridge import Bridge, serve

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".artefacts" / "npm" / "conformance"
PACKAGES = ["@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@24"]
PACKAGE = "node_modules/@modelcontextprotocol/conformance"
EXCEPTIONS = HERE / "conformance-exceptions.yml"
SCORED = {"2025-11-25": 30, "2026-07-28": 37}


@pytest.fixture(scope="module")
def suite() -> list[str]:
    """The command that runs the suite."""
    node, script = CACHE / "node_modules" / "node" / "bin" / "node", CACHE / PACKAGE / "dist" / "index.js"
    if not (node.exists() and script.exists()):
        npm = shutil.which("npm")
        assert npm, "npm is not on PATH: the conformance suite cannot be installed"
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "package.json").write_text("{}")
        command = [npm, "install", "--no-audit", "--no-fund", *PACKAGES]
        done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False, timeout=170)
        assert done.returncode == 0, f"npm could not install the conformance suite:\n{done.stderr[-2000:]}"
    return [str(node), str(script)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The fixture server behind the bridge."""
    httpd = serve(0, [sys.executable, "-W", "ignore", str(HERE / "conformance_server.py")])
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{httpd.server_port}/mcp"
    # The suite waits seconds for a first answer; the first start of all, with nothing in any cache, is not its business.
    warm = urllib.request.Request(address, b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}')
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(warm, timeout=60).close()
    yield address
    httpd.shutdown()
    thread.join()
    httpd.server_close()
    for child in [*Bridge.sessions.values(), *Bridge.shared]:
        child.end()


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.parametrize("revision", SCORED)
def test_every_scored_scenario_of_the_official_suite_passes(
    suite: list[str], url: str, revision: str, tmp_path: Path
) -> None:
    required = yaml.safe_load((CACHE / PACKAGE / "requirements" / f"{revision}.yaml").read_text())["server"]
    excepted = yaml.safe_load(EXCEPTIONS.read_text())["server"]
    command = [*suite, "server", "--url", url, "--requirements", revision, "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False, timeout=390)
    summary = done.stdout.partition("=== SUMMARY ===")[2]
    marks = {name: mark for mark, name in re.findall(r"^([✓✗]) ([\w-]+): ", summary, re.MULTILINE)}
    failed = [name for name in required if marks.get(name) != "✓"]
    print(f"{revision}: {len(required) - len(failed)} of {len(required)} scored scenarios pass")
    assert failed == excepted, why(tmp_path, failed)
    assert len(required) == SCORED[revision]


def why(results: Path, failed: list[str]) -> str:
    """What the suite says of the checks that failed."""
    said = []
    for name in failed:
        for file in results.glob(f"server-{name}-*/checks.json"):
            checks = json.loads(file.read_text())
            said += [
                f"{name}: {check['id']}: {check.get('errorMessage')}"
                for check in checks
                if check["status"] == "FAILURE"
            ]
    return "\n".join(said)

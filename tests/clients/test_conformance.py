"""The official conformance suite against the fixture server on our front, over real stdio.

The suite speaks HTTP only, so a bridge on loopback stands between.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clients import npm
from clients.bridge import Bridge, serve

HERE = Path(__file__).parent
PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
EXCEPTIONS = HERE / "conformance-exceptions.yml"
SCORED = {"2025-11-25": 30, "2026-07-28": 37}


@pytest.fixture(scope="module")
def suite() -> Path:
    """The folder of the suite."""
    return npm.installed("conformance", PACKAGE) / "@modelcontextprotocol/conformance"


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
@pytest.mark.timeout(npm.INSTALL_S + 400)
@pytest.mark.parametrize("revision", SCORED)
def test_every_scored_scenario_of_the_official_suite_passes(
    suite: Path, url: str, revision: str, tmp_path: Path
) -> None:
    required = yaml.safe_load((suite / "requirements" / f"{revision}.yaml").read_text())["server"]
    excepted = yaml.safe_load(EXCEPTIONS.read_text())["server"]
    command = [npm.node(), str(suite / "dist" / "index.js"), "server", "--url", url, "--requirements", revision]
    command += ["-o", str(tmp_path)]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False, timeout=390)
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

"""Every acceptance case of the wall, against the real server process over its real pipes."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import sys

import pytest

from confine import caserun

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the set-up is POSIX; Windows runs test_windows.py"),
    pytest.mark.timeout(900),
]
CASES = caserun.cases()


@pytest.fixture(scope="module")
def verdicts() -> dict[str, caserun.Verdict]:
    """All verdicts; the waiting is mostly for processes to start, so a few run side by side."""
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 2) + 1) as side_by_side:
        found = {verdict.id: verdict for verdict in side_by_side.map(caserun.verdict_of, CASES.values())}
    groups: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, verdict in found.items():
        groups[CASES[name]["group"]][verdict.verdict] += 1
    kinds = ["ok", "soft", "FAIL", "ESCAPE", "HANG", "skip"]
    print("\n" + "".join(f"{word:>12}" for word in ["group", *kinds]))
    for group, counts in [*groups.items(), ("all", sum(groups.values(), collections.Counter[str]()))]:
        print(f"{group:>12}" + "".join(f"{counts[kind] or '-':>12}" for kind in kinds))
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_case_ends_as_it_must(name: str, verdicts: dict[str, caserun.Verdict]) -> None:
    verdict = verdicts[name]
    if verdict.verdict == "skip":
        pytest.skip(verdict.got)
    assert verdict.verdict in ("ok", "soft"), (CASES[name]["why"], verdict)


def test_the_runner_sees_an_escape_when_there_is_one() -> None:
    """The same case, expected of a server whose root is the directory above."""
    case = {**CASES["dotdot-01"], "roots": ["."], "path": "outside/secret"}
    assert caserun.run(case).verdict == "ESCAPE"
    write = {**CASES["plain-07"], "roots": ["."], "path": "outside/new"}
    assert caserun.run(write).verdict == "ESCAPE"

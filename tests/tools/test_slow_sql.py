"""Runaway SQL over a real server: whatever it does, everything else is answered as if it were not there."""

from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from driver import ERAS, Host, Json

PING_S = 0.05
BOMBS = {
    "a recursion without end": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "a cross join of cross joins": "SELECT count(*) FROM t a, t b, t c, t d, t e, t f",
    "a sort of a cross join": "SELECT a.v, b.v FROM t a, t b, t c ORDER BY a.v || b.v || c.v",
    "one opcode (instr)": "SELECT instr(replace(hex(zeroblob(3000000)), '0', 'a'), replace(hex(zeroblob(1000000)), '0', 'a') || 'b')",
    "one opcode (replace)": "SELECT length(replace(hex(zeroblob(4000000)), hex(zeroblob(400000)) || 'b', 'c'))",
    "one opcode (like)": "SELECT hex(zeroblob(5000000)) LIKE '%' || hex(zeroblob(400)) || '1%' || hex(zeroblob(90)) || '2%'",
    "text as large as it gets": "SELECT group_concat(a.v || hex(randomblob(9999))) FROM t a, t b, t c",
}


@pytest.fixture(scope="module", params=ERAS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Path]]:
    root = tmp_path_factory.mktemp("slow") / "root"
    root.mkdir()
    for name in ("busy.db", "calm.db", *(f"{n}.db" for n in range(4))):
        with closing(sqlite3.connect(root / name)) as made:
            made.execute("CREATE TABLE t (v INTEGER)")
            made.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
            made.commit()
    (root / "note.txt").write_text("a note\n", "utf-8")
    with Host(str(root), era=request.param) as host:
        host.text("query_database", database="calm.db", sql="SELECT 1")
        yield host, root


@pytest.fixture
def host(served: tuple[Host, Path]) -> Host:
    return served[0]


def ask(host: Host, database: str, sql: str) -> tuple[int, queue.SimpleQueue[Json]]:
    return host.start("tools/call", {"name": "query_database", "arguments": {"database": database, "sql": sql}})


def ping(host: Host) -> float:
    """How long a ping takes; the modern era has none, its quickest question is who the server is."""
    begun = time.perf_counter()
    host.request("ping" if host.era == "legacy" else "server/discover")
    return time.perf_counter() - begun


def took(host: Host, tool: str, **arguments: object) -> float:
    begun = time.perf_counter()
    host.text(tool, **arguments)
    return time.perf_counter() - begun


def take_back(host: Host, numbers: list[int]) -> None:
    for number in numbers:
        host.notify("notifications/cancelled", {"requestId": number})


@pytest.mark.parametrize("sql", BOMBS.values(), ids=BOMBS.keys())
def test_a_ping_is_answered_at_once_while_sql_runs_away(host: Host, sql: str) -> None:
    number, answer = ask(host, "busy.db", sql)
    pings = []
    until = time.monotonic() + 1.5
    while time.monotonic() < until and answer.empty():
        pings.append(ping(host))
    others = [took(host, "query_database", database="calm.db", sql="SELECT count(*) FROM t") for _ in range(5)]
    take_back(host, [number])
    assert sorted(pings)[len(pings) * 9 // 10] < PING_S, f"worst {max(pings):.3f} s of {len(pings)}"
    assert min(others) < 5 * PING_S, others
    assert "1 row" in host.text("query_database", database="busy.db", sql="SELECT count(*) FROM t")


def test_slow_queries_starve_no_other_database_and_no_file(host: Host) -> None:
    """Twenty on one database, more on others: every worker that may be busy is."""
    endless = BOMBS["a recursion without end"]
    names = ["busy.db"] * 20 + [f"{n}.db" for n in range(4)] * 2
    asked = [ask(host, name, endless)[0] for name in names]
    pings = [ping(host) for _ in range(50)]
    calm = [took(host, "query_database", database="calm.db", sql="SELECT count(*) FROM t") for _ in range(3)]
    files = [took(host, "read_file", path="note.txt") for _ in range(10)]
    searches = [took(host, "search_text", pattern="note") for _ in range(3)]
    take_back(host, asked)
    assert sorted(pings)[45] < PING_S, sorted(pings)
    assert min(calm) < 1, calm
    assert min(files) < 5 * PING_S, files
    assert min(searches) < 1, searches


def test_what_waits_for_one_database_is_bounded_and_told(host: Host) -> None:
    endless = BOMBS["a recursion without end"]
    asked = [ask(host, "busy.db", endless) for _ in range(60)]
    assert took(host, "query_database", database="calm.db", sql="SELECT 1") < 5
    refused = [answer.get(timeout=20)["result"] for _, answer in asked[-10:]]
    take_back(host, [number for number, _ in asked])
    assert {result["_meta"]["reason"] for result in refused} == {"busy"}
    assert "wait for this database" in refused[0]["content"][0]["text"]
    until = time.monotonic() + 20
    while host.call("query_database", database="busy.db", sql="SELECT 1").get("isError"):
        assert time.monotonic() < until

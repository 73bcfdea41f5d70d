"""Measures the front against the SDK's own stdio, in turns: `python tests/front/bench_front.py [ROUNDS]`.

Prints medians (and minima) of: spawn to the first error reply, spawn to `initialize` answered, latency of one call at a
time, calls per second pipelined 32 deep, processor time per call, resident memory.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SDK = (
    "import anyio, sys; sys.path.insert(0, sys.argv[1]); import fixture_server\n"
    "from mcp.server.stdio import stdio_server\n"
    "async def main():\n"
    "    server = fixture_server.build()._server\n"
    "    async with stdio_server() as (r, w): await server.run(r, w, server.create_initialization_options())\n"
    "anyio.run(main)"
)
SIDES = {
    "front": [sys.executable, "-W", "ignore", str(HERE / "fixture_server.py")],
    "sdk stdio": [sys.executable, "-W", "ignore", "-c", SDK, str(HERE)],
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "0"}}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def line(key: object, method: str, params: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": key, "method": method, "params": params}).encode() + b"\n"


def echo(key: object, era: str) -> bytes:
    params: dict[str, Any] = {"name": "echo", "arguments": {"text": "hello"}}
    return line(key, "tools/call", {**params, "_meta": META} if era == "modern" else params)


def once(side: str, era: str) -> dict[str, float]:
    """One process, measured from its first byte to its last."""
    seen: dict[str, float] = {}
    since = time.perf_counter()
    process = subprocess.Popen(SIDES[side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin
    assert process.stdout
    reader = os.fdopen(os.dup(process.stdout.fileno()), "rb")
    if side == "front":
        process.stdin.write(b"garbage\n")
        reader.readline()
        seen["first error, ms"] = (time.perf_counter() - since) * 1000
    process.stdin.write(
        line(0, "initialize", HELLO) if era == "legacy" else line(0, "server/discover", {"_meta": META})
    )
    reader.readline()
    seen["first answer, ms"] = (time.perf_counter() - since) * 1000
    seen["CPU to first answer, ms"] = cpu(process.pid) * 1000
    for key in range(200):
        process.stdin.write(echo(key, era))
        reader.readline()
    times = []
    for key in range(1000):
        begun = time.perf_counter()
        process.stdin.write(echo(key, era))
        reader.readline()
        times.append((time.perf_counter() - begun) * 1e6)
    times.sort()
    seen["p50, us"], seen["p99, us"] = times[500], times[990]
    count, window = 4000, 32
    before, begun = cpu(process.pid), time.perf_counter()
    process.stdin.write(b"".join(echo(key, era) for key in range(window)))
    for key in range(window, count + window):
        reader.readline()
        if key < count:
            process.stdin.write(echo(key, era))
    seen["calls/s"] = count / (time.perf_counter() - begun)
    seen["CPU/call, us"] = (cpu(process.pid) - before) / count * 1e6
    seen["RSS, MiB"] = int(Path(f"/proc/{process.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
    process.stdin.close()
    process.kill()
    process.wait()
    reader.close()
    process.stdout.close()
    return seen


def cpu(pid: int) -> float:
    """Processor seconds used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(rounds: int) -> None:
    """Take turns, then print."""
    seen: dict[tuple[str, str], list[dict[str, float]]] = {
        (side, era): [] for side in SIDES for era in ("legacy", "modern")
    }
    for _ in range(rounds):
        for (side, era), rows in seen.items():
            rows.append(once(side, era))
    print(f"n = {rounds}, load {os.getloadavg()[0]:.1f}; median (best)")
    for (side, era), rows in seen.items():
        print(f"\n{side}, {era}")
        for name in rows[0]:
            values = [row[name] for row in rows]
            best = max(values) if name == "calls/s" else min(values)
            print(f"  {name:24} {statistics.median(values):8.0f} ({best:.0f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

"""The same races against the real server over its real pipes; also by the model alone, with one link and `move_file`.

The victim is a server as most are written: resolve the path, compare it with the root, then open it, on a few threads.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from confine import caseyard, raceyard
from confine.raceyard import ATTACKS, Yard

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the swapper needs renameat2"),
    pytest.mark.timeout(600),
]
Call = tuple[str, dict[str, Any]]
AT_ONCE = 24

VICTIM = r"""
import concurrent.futures, json, os, sys, threading
root, lock = os.path.realpath(sys.argv[2]), threading.Lock()
def inside(path):
    real = os.path.realpath(os.path.join(root, path))
    if real != root and not real.startswith(root + "/"):
        raise OSError("outside")
    return real
def work(message):
    arguments, text = message["params"]["arguments"], ""
    try:
        match message["params"]["name"]:
            case "read_file":
                with open(inside(arguments["path"])) as file: text = file.read()
            case "write_file":
                with open(inside(arguments["path"]), "w") as file: file.write(arguments["content"])
            case "move_file":
                source, target = (os.path.join(root, arguments[name]) for name in ("source", "destination"))
                if not os.path.lexists(target): os.rename(source, target)
    except OSError as error:
        text = error.strerror or "refused"
    with lock:
        answer = {"content": [{"type": "text", "text": text}]}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer}), flush=True)
pool = concurrent.futures.ThreadPoolExecutor(6)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "tools/call":
        pool.submit(work, message)
    elif "id" in message:
        with lock:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}), flush=True)
"""


def alone() -> Iterator[Call]:
    """What a model may send: a link and a directory take turns at one name, and that name is read and written."""
    for number in itertools.count():
        for here in ("link", "d"):
            yield "move_file", {"source": here, "destination": "p"}
            yield "read_file", {"path": "p/f"}
            yield "write_file", {"path": f"p/new{number}", "content": "W", "mode": "replace"}
            yield "read_file", {"path": "p/f"}
            yield "move_file", {"source": "p", "destination": here}
            yield "list_directory", {"path": "p"}


def swapped() -> Iterator[Call]:
    """Ordinary work while somebody else swaps."""
    for number in itertools.count():
        yield "read_file", {"path": "d/f"}
        yield "write_file", {"path": f"d/new{number}", "content": "W", "mode": "replace"}
        yield "get_file_info", {"path": "d/f"}
        yield "list_directory", {"path": "d"}
        yield "create_directory", {"path": f"d/made{number}"}
        yield "move_file", {"source": "d/f", "destination": f"d/g{number}"}
        yield "move_file", {"source": f"d/g{number}", "destination": "d/f"}


def pipeline(client: caseyard.Client, calls: Iterator[Call], yard: Yard, seconds: float, count: int) -> None:
    """Keep some calls in flight until time or count is up; look at every answer and, now and then, outside."""
    end, sent, answered = time.monotonic() + seconds, 0, 0
    while answered < sent or sent < 1:
        while sent - answered < AT_ONCE and sent < count and time.monotonic() < end:
            sent += 1
            name, arguments = next(calls)
            client.send({"id": 1000 + sent, "method": "tools/call", "params": {"name": name, "arguments": arguments}})
        line = client.lines.get(timeout=30)
        assert line, client.told()
        message = json.loads(line)
        answered += 1
        assert "result" in message, (message, client.told())
        text = "".join(block.get("text", "") for block in message["result"]["content"])
        yard.done["refused" if message["result"].get("isError") else "allowed"] += 1
        yard.saw("call", text.encode("utf-8", "replace"))
        if answered % 50 == 0:
            yard.look("a call")
    yard.tries += answered
    yard.look("a call")


def run(command: list[str], calls: Iterator[Call], yard: Yard, seconds: float, count: int) -> Yard:
    home = yard.base / "home"
    home.mkdir()
    client = caseyard.Client([*command, "serve", str(yard.base / "root")], None, str(home), None)
    try:
        client.hello()
        pipeline(client, calls, yard, seconds, count)
    finally:
        client.end()
    print(f"\n{yard.tries} calls, {dict(yard.done)}, {len(yard.escapes)} escapes, {yard.swaps} swaps before the end")
    return yard


LINK = dataclasses.replace(ATTACKS[1], other="root/link")


def make_alone(base: pathlib.Path) -> None:
    (base / "root/d").mkdir()
    (base / "root/d/f").write_bytes(b"IN")
    (base / "root/link").symlink_to("../outside")


ALONE = dataclasses.replace(LINK, make=make_alone)
AMOUNTS = [(3.0, 2_000), pytest.param((100.0, 100_000), marks=pytest.mark.full)]
IDS = ["quick", "full"]


def test_the_model_alone_escapes_a_server_that_checks_and_then_opens() -> None:
    with raceyard.yard(ALONE) as yard:
        run([sys.executable, "-c", VICTIM], alone(), yard, 20, 30_000)
    assert any("saw" in escape for escape in yard.escapes)
    assert any("changed" in escape for escape in yard.escapes)


@pytest.mark.parametrize("amount", AMOUNTS, ids=IDS)
def test_the_model_alone_never_gets_outside(amount: tuple[float, int]) -> None:
    with raceyard.yard(ALONE) as yard:
        run(caseyard.command(), alone(), yard, *amount)
    assert yard.escapes == []
    assert yard.done["allowed"] > 20


@pytest.mark.parametrize("amount", AMOUNTS, ids=IDS)
@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if attack.file == "d/f"], ids=lambda attack: attack.name
)
def test_a_swapping_process_gets_nothing_out_of_the_server(attack: raceyard.Attack, amount: tuple[float, int]) -> None:
    with raceyard.yard(attack) as yard, yard.under_attack():
        run(caseyard.command(), swapped(), yard, *amount)
        assert os.path.lexists(yard.base / "root")
    assert yard.escapes == []
    assert yard.done["allowed"] > 20

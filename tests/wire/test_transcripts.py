"""Golden conversations with the real server: what a client says, and what comes back, line by line.

    # what it shows
    $ serve $ROOT          the arguments
    > what the client says, as it stands on the wire
    < what the server says, with what differs from run to run masked

`$ROOT` is a folder prepared below, `$STATE` the last `requestState`, `$ASKED` the id of the server's last question.
`$META` is the 2026-07-28 envelope of a client without capabilities, `$ROOTS` of one with roots, `$ASKS` of one that
can ask its user. `$CHANGE` is the change_id that was told last.
Answers to one block of lines may come in any order and are compared sorted.
Any command can be put to the test: ROOTCELLAR_COMMAND="dist/rootcellar". UPDATE_GOLDEN=1 writes the files anew;
then read their diff.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import subprocess
import sys
import threading
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
COMMAND = shlex.split(os.environ.get("ROOTCELLAR_COMMAND", "")) or [sys.executable, "-m", "rootcellar"]
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
TRANSCRIPTS = sorted(HERE.glob("*.txt"))
PREFIX = "io.modelcontextprotocol/"
META = {PREFIX + "protocolVersion": "2026-07-28", PREFIX + "clientCapabilities": {}}
ASKS = {**META, PREFIX + "clientCapabilities": {"elicitation": {}}}
CHANGE = re.compile(r"(?:(?<=\\n)|\b)c0[0-9a-z]{9}\b")
ROOTS = {**META, PREFIX + "clientCapabilities": {"roots": {}}}
FILES = {"hello.txt": "Hello\nfrom the cellar\n", "notes/todo.md": "# To do\n- [ ] jam\n", ".env": "KEY=secret\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the same content every time."""
    folder = tmp_path / "cellar"
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (1_780_000_000, 1_780_000_000))
    os.utime(folder, (1_780_000_000, 1_780_000_000))
    return folder.resolve()


class Conversation:
    """One server process, and what the transcript calls by name."""

    def __init__(self, arguments: str, root: Path) -> None:
        self.names: dict[str, str] = {"$ROOT": json.dumps(str(root))[1:-1], "$META": json.dumps(META)}
        self.names |= {"$URI": root.as_uri(), "$ROOTS": json.dumps(ROOTS), "$ASKS": json.dumps(ASKS)}
        words = [word.replace("$ROOT", str(root)) for word in shlex.split(arguments)]
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "ROOTCELLAR_CONFIG": os.devnull, "TZ": "UTC"},
        )
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)

    def say(self, line: str) -> None:
        """Send a line, names filled in; the longest first, for one may begin another."""
        for name in sorted(self.names, key=len, reverse=True):
            line = line.replace(name, self.names[name])
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, seconds: float) -> str | None:
        """The next line, masked; None if none comes."""
        try:
            line = self.lines.get(timeout=seconds).decode("ascii")
        except queue.Empty:
            return None
        message = json.loads(line)
        assert line == json.dumps(message, separators=(",", ":")) + "\n"
        return self._masked(message)

    def _masked(self, message: Any) -> str:
        if isinstance(message, list):
            return "[" + ",".join(self._masked(member) for member in message) + "]"
        if "method" in message and "id" in message:
            self.names["$ASKED"] = json.dumps(message["id"])
            message["id"] = "$ASKED"
        result = message.get("result", {})
        if "tools" in result:
            result["tools"] = [tool["name"] for tool in result["tools"]]
        if "requestState" in result:
            self.names["$STATE"] = result["requestState"]
            result["requestState"] = "$STATE"
        if "instructions" in result:
            result["instructions"] = "$INSTRUCTIONS"
        text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
        text = text.replace(self.names["$ROOT"], "$ROOT").replace(self.names["$URI"], "$URI")
        text = CHANGE.sub(self._change, text)
        text = re.sub(r"(\$CHANGE  )[-\d]{10} [:\d]{8}", r"\1$TIME", text)
        return re.sub(r'("name":"rootcellar","title":"Rootcellar","version":)"[^"]+"', r'\1"$VERSION"', text)

    def _change(self, found: re.Match[str]) -> str:
        """The id of a change; the last one has a name."""
        self.names["$CHANGE"] = found[0]
        return "$CHANGE"

    def end(self) -> int:
        """End of input; the exit code."""
        assert self.process.stdin
        assert self.process.stdout
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(5)
        finally:
            self.process.kill()
            self.thread.join(5)
            self.process.stdout.close()


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=[path.stem for path in TRANSCRIPTS])
def test_the_server_says_what_the_transcript_says(transcript: Path, root: Path) -> None:
    golden = transcript.read_text("utf-8").splitlines()
    arguments = next(line[2:] for line in golden if line.startswith("$ "))
    talk = Conversation(arguments, root)
    heard: list[str] = [line for line in golden if line[:2] in ("# ", "$ ")]
    blocks = [(mark, list(lines)) for mark, lines in groupby((line for line in golden if line), lambda line: line[0])]
    try:
        for at, (mark, lines) in enumerate(blocks):
            if mark != ">":
                continue
            heard += ["", *lines]
            for line in lines:
                talk.say(line[2:])
            after = blocks[at + 1] if at + 1 < len(blocks) else ("", [])
            wanted = len(after[1]) if after[0] == "<" else 0
            heard += sorted(f"< {said}" for said in listen(talk, lines, wanted))
        quiet = talk.hear(0.2)
    finally:
        code = talk.end()
    if UPDATE:
        transcript.write_text("\n".join(heard) + "\n", "utf-8")
        golden = heard
    assert heard == golden
    assert (quiet, code) == (None, 0)


def listen(talk: Conversation, lines: list[str], wanted: int) -> list[str]:
    """As many lines as the transcript has next; when it is written anew, all until silence."""
    said: list[str] = []
    if UPDATE:
        asks = any('"id"' in line or not line.startswith('> {"jsonrpc"') for line in lines)
        while (line := talk.hear(1.0 if said or not asks else 20)) is not None:
            said.append(line)
        return said
    while len(said) < wanted and (line := talk.hear(20)) is not None:
        said.append(line)
    return said


def test_there_are_transcripts_of_both_eras() -> None:
    names = {path.stem for path in TRANSCRIPTS}
    assert {"legacy", "modern", "both-eras", "legacy-roots", "modern-roots", "faults"} <= names

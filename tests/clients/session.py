"""One session, the same for every client: a sample folder, the calls to make in it, and what must come of them.

A client program reads a `plan` as JSON on stdin, makes it happen, and prints a `report` as JSON:

    plan     {command: [program, ...], env: {}, mode: str, roots: [uri] | null, steps: [step]}
    step     {tool: str, arguments: {}}: a call, or {roots: [uri]}: from now on the client has these roots
    report   {protocol: str, tools: [Tool], results: [CallToolResult], faults: [str]}
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.home import Home
from driver import COMMAND, uri

Json = dict[str, Any]
NOTES = "- plant garlic\r\n- mulch the beds\r\n- order seeds: leek, kale\r\n"
EDITED = NOTES.replace("mulch", "water")
SECRET = "nobody who was given the garden may read this"
EXPECTED_TOOLS = {
    "list_roots", "list_directory", "directory_tree", "read_file", "read_files", "get_file_info", "search_files",
    "search_text",
    "write_file", "edit_file", "create_directory", "copy_file", "move_file", "delete_file",
    "list_databases", "describe_database", "query_database", "change_database",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A call, and what its answer must show; nothing to show: it must be refused."""

    tool: str
    arguments: Json
    shows: tuple[str, ...] = ()

    def call(self) -> Json:
        """The step as a client program is told it."""
        return {"tool": self.tool, "arguments": self.arguments}

    def check(self, result: Json) -> None:
        """The result is the expected one, as this client understood it."""
        assert bool(result.get("isError")) == (not self.shows), result
        self.check_told(text(result))

    def check_told(self, told: str) -> None:
        """What a host told its model is the expected text, perhaps in quotes."""
        assert SECRET not in told
        for part in self.shows:
            assert part in told or json.dumps(part, ensure_ascii=False)[1:-1] in told, (part, told)
        if not self.shows:
            assert "roots" in told or "garden" in told, told  # the next step


@dataclass(frozen=True, slots=True)
class Ground:
    """The folder `garden` that is given as a root, and `house` beside it, which is not."""

    garden: Path
    house: Path

    @classmethod
    def made_in(cls, place: Path) -> Ground:
        """Both folders, with something in each."""
        ground = cls(place / "garden", place / "house")
        (ground.garden / "beds").mkdir(parents=True)
        ground.house.mkdir()
        ground.notes.write_bytes(NOTES.encode())
        (ground.garden / "beds" / "north — wall.txt").write_text("pears\n", "utf-8")
        ground.secret.write_text(SECRET, "utf-8")
        with closing(sqlite3.connect(ground.garden / "beds.db")) as database:
            database.executescript("CREATE TABLE bed(name, width); INSERT INTO bed VALUES ('quince', 12.5);")
        return ground

    @property
    def notes(self) -> Path:
        """What is read and edited."""
        return self.garden / "notes.txt"

    @property
    def secret(self) -> Path:
        """What must never be read."""
        return self.house / "diary.txt"

    @property
    def roots(self) -> list[str]:
        """What a client with the garden open answers when it is asked for its roots."""
        return [uri(self.garden)]

    def brief(self) -> list[Step]:
        """What every client must be able to do, and not to do, here."""
        return [
            Step("list_directory", {}, ("notes.txt", "beds/")),
            Step("read_file", {"path": "notes.txt"}, (NOTES,)),
            Step("query_database", {"database": "beds.db", "sql": "SELECT name, width FROM bed"}, ("quince", "12.5")),
            Step("write_file", {"path": "beds/south.txt", "content": "figs\n"}, ("beds/south.txt",)),
            Step("read_file", {"path": str(self.secret)}),
            Step("write_file", {"path": "../house/new.txt", "content": "no\n"}),
        ]

    def whole(self) -> list[Step]:
        """The same and more."""
        odd = "beds/north — wall.txt"
        edit = {"old_text": "mulch", "new_text": "water"}
        return [
            *self.brief(),
            Step("edit_file", {"path": "notes.txt", "edits": [edit]}, ("-- mulch", "+- water")),
            Step("list_roots", {}, ("garden", str(self.garden))),
            Step("directory_tree", {}, ("notes.txt", "north — wall.txt")),
            Step("search_files", {"pattern": "**/*wall*"}, (odd,)),
            Step("search_text", {"pattern": "kale"}, ("notes.txt:3: - order seeds: leek, kale",)),
            Step("read_files", {"paths": ["notes.txt", odd]}, (EDITED, "pears\n")),
            Step("get_file_info", {"path": str(self.notes)}, ("CRLF",)),
            Step("create_directory", {"path": "shed"}, ("shed",)),
            Step("write_file", {"path": "shed/new.txt", "content": "sown\n"}, ("shed/new.txt",)),
            Step("copy_file", {"source": "shed/new.txt", "destination": "copied.txt"}, ("copied.txt",)),
            Step("move_file", {"source": "copied.txt", "destination": "moved.txt"}, ("moved.txt",)),
            Step("read_file", {"path": "../house/diary.txt"}),
            Step("edit_file", {"path": str(self.secret), "edits": [{"old_text": "nobody", "new_text": "all"}]}),
            Step("copy_file", {"source": str(self.secret), "destination": "diary.txt"}),
        ]

    def check(self) -> None:
        """What was asked for is on the disk, and nothing else."""
        assert (self.garden / "beds" / "south.txt").read_text() == "figs\n"
        edited = (self.garden / "shed").exists()  # by the longer session
        assert self.notes.read_bytes() == (EDITED if edited else NOTES).encode()
        assert self.secret.read_text() == SECRET
        assert [found.name for found in self.house.iterdir()] == ["diary.txt"]
        assert not (self.garden / "diary.txt").exists()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client program is told to do."""

    home: Home
    mode: str
    steps: Sequence[Json]
    roots: list[str] | None = None
    granted: tuple[Path, ...] = ()

    def carried_out_by(self, program: list[str]) -> Json:
        """The client's report."""
        command = [*COMMAND, "serve", *map(str, self.granted)]
        plan = {
            "command": command,
            "env": self.home.env(),
            "mode": self.mode,
            "steps": list(self.steps),
            "roots": self.roots,
        }
        done = self.home.run(program, json.dumps(plan), timeout=60)
        assert done.returncode == 0, done.stderr[-4000:]
        report: Json = json.loads(done.stdout)
        assert report["faults"] == [], report["faults"]
        assert "Traceback" not in done.stderr, done.stderr[-4000:]
        return report


def text(result: Json) -> str:
    """All text of a result."""
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


def check_tools(tools: list[Json]) -> None:
    """Every tool came whole through this client's own reading of it."""
    named = {tool["name"]: tool for tool in tools}
    assert set(named) >= EXPECTED_TOOLS
    for tool in tools:
        assert tool["title"]
        assert tool["description"]
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["annotations"]["openWorldHint"] is False
    assert named["read_file"]["annotations"]["readOnlyHint"] is True
    assert named["read_file"]["inputSchema"]["required"] == ["path"]
    assert named["edit_file"]["annotations"]["destructiveHint"] is True
    assert named["edit_file"]["inputSchema"]["properties"]["edits"]["items"]["required"] == ["old_text", "new_text"]

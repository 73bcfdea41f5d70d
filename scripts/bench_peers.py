"""Who is measured, and how each task is asked of them: adding a peer is adding one entry. Stdlib only.

In arguments `{root}` is the folder the server was given, `{n}` and `{m}` are the round and the one after it, `{file}`
is the round's two-digit file number and `{content}` a text of 1 MB. A task a peer has no tool for is left out.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

NEEDLE = "NEEDLE_7f3a"  # as tests/text/corpus.py plants it
FUNCTION = r"def process_[a-z]+_batch\("
EVERYTHING = 100_000  # asked for by peers that want a limit


class Pages(Enum):
    """What ends the clock."""

    FIRST = "the first answer"
    ALL = "the answer without a cursor"


class Ground(Enum):
    """The folder a server is given for a task."""

    TREE = "tree"
    SOURCES = "tree/src"
    LOGS = "tree/logs"
    SCRATCH = "scratch"  # a fresh one for each server
    DATABASE = "database"  # the same, with a database of a million rows


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that is asked over and over, of every server in turn."""

    title: str
    ground: Ground
    rounds: int
    quick: int
    found: str = ""  # a regex for one finding: they are counted, to see that answers are comparable
    pages: Pages = Pages.FIRST


NAMES = r"\w+\.py\b"
TASKS: Mapping[str, Task] = {
    "read": Task("read a file of 10 KB", Ground.TREE, 500, 60),
    "head": Task("first 100 lines of the big log", Ground.LOGS, 25, 8),
    "tail": Task("last 100 lines of the big log", Ground.LOGS, 25, 8),
    "glob": Task("names by **/*.py: first answer", Ground.TREE, 9, 3, NAMES),
    "glob-all": Task("names by **/*.py: every name", Ground.TREE, 9, 3, NAMES, Pages.ALL),
    "literal": Task("a literal in src", Ground.SOURCES, 9, 3, NEEDLE),
    "literal-project": Task("a literal in the project, .gitignore respected", Ground.TREE, 9, 3, NEEDLE),
    "literal-all": Task("a literal in the project with dependencies and log", Ground.TREE, 9, 3, NEEDLE),
    "regex": Task("a regex in src: first answer", Ground.SOURCES, 9, 3, "def process_"),
    "regex-all": Task("a regex in src: every line", Ground.SOURCES, 9, 3, "def process_", Pages.ALL),
    "tree": Task("the tree of the project", Ground.TREE, 9, 3),
    "edit": Task("one edit in a file of 1 MB", Ground.SCRATCH, 25, 8),
    "write": Task("overwrite a file with 1 MB", Ground.SCRATCH, 25, 8),
    "row": Task("one row of a million by its key", Ground.DATABASE, 500, 100),
    "rows": Task("1,000 rows of a million", Ground.DATABASE, 100, 15, r"a short note"),
    "sum": Task("an aggregate over a million rows", Ground.DATABASE, 25, 5),
    "insert": Task("one row inserted", Ground.DATABASE, 1000, 100),
    "inserts": Task("1,000 rows inserted by one statement", Ground.DATABASE, 50, 10),
    "describe": Task("a table described", Ground.DATABASE, 100, 20),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One tool call. `more` = (argument, regex): where the answer's text has the regex, its group goes on there."""

    tool: str
    arguments: Mapping[str, Any]
    more: tuple[str, str] | None = None
    per_finding: int = 1  # how often an answer of this tool repeats one finding


class Source(Enum):
    """Where a peer is installed from."""

    NPM = "npm"
    PYPI = "PyPI"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: its exact package, its command line, and how it is asked."""

    package: str
    version: str
    source: Source | None
    command: tuple[str, ...]
    asks: Mapping[str, Ask] = field(default_factory=dict)
    beside: tuple[str, ...] = ()  # what else it needs to run at all


OURS = "rootcellar"
CURSOR = ("cursor", r"goes on with cursor=([\w=-]+)")
SELECT_ROW = "SELECT * FROM item WHERE id = ?"
SELECT_ROWS = "SELECT * FROM item ORDER BY id LIMIT 1000"
SELECT_SUM = "SELECT id % 97 AS kind, count(*) AS items, sum(price) AS total FROM item GROUP BY kind"
INSERT = "INSERT INTO word (text) VALUES ('word {n}')"
WORDS = ", ".join(f"('one of a thousand words, {n}')" for n in range(1000))
INSERTS = f"INSERT INTO word (text) VALUES {WORDS}"  # noqa: S608 - our own words
COLUMNS = "SELECT * FROM pragma_table_xinfo('item')"


def ours() -> Peer:
    """Rootcellar from this checkout, or what $ROOTCELLAR_COMMAND says (a frozen one, for example)."""
    given = os.environ.get("ROOTCELLAR_COMMAND", "")
    command = shlex.split(given) or [sys.executable, "-m", "rootcellar"]
    everywhere = {"pattern": NEEDLE, "ignored": True}
    names = {"pattern": "**/*.py", "ignored": True}
    regex = {"pattern": FUNCTION, "regex": True}
    edit = {"old_text": "marker = {n};", "new_text": "marker = {m};"}
    asks = {
        "read": Ask("read_file", {"path": "data/fixed_0{file}.txt"}),
        "head": Ask("read_file", {"path": "big.log", "head": 100}),
        "tail": Ask("read_file", {"path": "big.log", "tail": 100}),
        "glob": Ask("search_files", names),
        "glob-all": Ask("search_files", names, CURSOR),
        "literal": Ask("search_text", {"pattern": NEEDLE}),
        "literal-project": Ask("search_text", {"pattern": NEEDLE}),
        "literal-all": Ask("search_text", everywhere),
        "regex": Ask("search_text", regex),
        "regex-all": Ask("search_text", regex, CURSOR),
        "tree": Ask("directory_tree", {"ignored": True}),
        "edit": Ask("edit_file", {"path": "big.txt", "edits": [edit]}),
        "write": Ask("write_file", {"path": "new.txt", "content": "{content}", "mode": "replace"}),
        "row": Ask("query_database", {"database": "items.db", "sql": SELECT_ROW, "params": ["{n}"]}),
        "rows": Ask("query_database", {"database": "items.db", "sql": SELECT_ROWS, "limit": 1000}),
        "sum": Ask("query_database", {"database": "items.db", "sql": SELECT_SUM}),
        "insert": Ask("change_database", {"database": "items.db", "sql": INSERT}),
        "inserts": Ask("change_database", {"database": "items.db", "sql": INSERTS}),
        "describe": Ask("describe_database", {"database": "items.db", "table": "item"}),
    }
    return Peer("rootcellar", given or "of this checkout", None, (*command, "serve", "{root}"), asks)


def _filesystem() -> Peer:
    names = Ask("search_files", {"path": "{root}", "pattern": "**/*.py"})
    edit = {"oldText": "marker = {n};", "newText": "marker = {m};"}
    asks = {
        "read": Ask("read_text_file", {"path": "{root}/data/fixed_0{file}.txt"}),
        "head": Ask("read_text_file", {"path": "{root}/big.log", "head": 100}),
        "tail": Ask("read_text_file", {"path": "{root}/big.log", "tail": 100}),
        "glob": names,
        "glob-all": names,
        "tree": Ask("directory_tree", {"path": "{root}"}),
        "edit": Ask("edit_file", {"path": "{root}/big.txt", "edits": [edit]}),
        "write": Ask("write_file", {"path": "{root}/new.txt", "content": "{content}"}),
    }
    program = ("mcp-server-filesystem", "{root}")
    return Peer("@modelcontextprotocol/server-filesystem", "2026.8.31", Source.NPM, program, asks)


def _fast() -> Peer:
    def code(pattern: str) -> Ask:
        wanted = {"path": "{root}", "pattern": pattern, "max_results": EVERYTHING, "context_lines": 0}
        return Ask("fast_search_code", {**wanted, "case_sensitive": True}, per_finding=2)

    names = {"path": "{root}", "pattern": ".py", "max_results": EVERYTHING}
    edit = {"old_text": "marker = {n};", "new_text": "marker = {m};", "backup": False}
    asks = {
        "read": Ask("fast_read_file", {"path": "{root}/data/fixed_0{file}.txt"}),
        "head": Ask("fast_read_file", {"path": "{root}/big.log", "line_start": 0, "line_count": 100}),
        "glob": Ask("fast_search_files", names, per_finding=2),
        "literal": code(NEEDLE),
        "literal-all": code(NEEDLE),
        "regex": code(FUNCTION),
        "tree": Ask("fast_get_directory_tree", {"path": "{root}", "max_depth": 20, "show_hidden": True}),
        "edit": Ask("fast_edit_block", {"path": "{root}/big.txt", **edit}),
        "write": Ask("fast_write_file", {"path": "{root}/new.txt", "content": "{content}"}),
    }
    program = ("fast-filesystem-mcp", "--allow", "{root}")
    return Peer("fast-filesystem-mcp", "3.5.2", Source.NPM, program, asks)


def _workspace() -> Peer:
    limits = {"max_results": EVERYTHING, "max_result_lines": EVERYTHING}
    names = Ask("search_files", {"glob": "**/*.py", **limits})
    regex = Ask("search_files", {"pattern": FUNCTION, **limits})
    literal = Ask("search_files", {"pattern": NEEDLE, **limits})
    edit = {"old_string": "marker = {n};", "new_string": "marker = {m};"}
    asks = {
        "read": Ask("read_file", {"file_path": "data/fixed_0{file}.txt"}),
        "head": Ask("read_file", {"file_path": "big.log", "start_line": 1, "end_line": 100}),
        "glob": names,
        "glob-all": names,
        "literal": literal,
        "literal-project": literal,
        "regex": regex,
        "regex-all": regex,
        "tree": Ask("list_directory", {"path": "."}),
        "edit": Ask("edit_file", {"file_path": "big.txt", **edit}),
        "write": Ask("save_file", {"file_path": "new.txt", "content": "{content}"}),
    }
    program = ("mcp-workspace", "--project-dir", "{root}", "--console-only")
    return Peer("mcp-workspace", "0.1.13", Source.PYPI, program, asks)


def _sqlite() -> Peer:
    row = SELECT_ROW.replace("?", "{n}")
    asks = {
        "row": Ask("read_query", {"query": row}),
        "rows": Ask("read_query", {"query": SELECT_ROWS}),
        "sum": Ask("read_query", {"query": SELECT_SUM}),
        "insert": Ask("write_query", {"query": INSERT}),
        "inserts": Ask("write_query", {"query": INSERTS}),
        "describe": Ask("describe_table", {"table_name": "item"}),
    }
    program = ("mcp-server-sqlite", "--db-path", "{root}/items.db")
    return Peer("mcp-server-sqlite", "2025.4.25", Source.PYPI, program, asks, ("mcp<2",))


def _dbhub() -> Peer:
    def sql(text: str) -> Ask:
        return Ask("execute_sql", {"sql": text})

    item = {"object_type": "table", "pattern": "item", "detail_level": "full"}
    asks = {
        "row": sql(SELECT_ROW.replace("?", "{n}")),
        "rows": sql(SELECT_ROWS),
        "sum": sql(SELECT_SUM),
        "insert": sql(INSERT),
        "inserts": sql(INSERTS),
        "describe": Ask("search_objects", item),
    }
    program = ("dbhub", "--transport", "stdio", "--dsn", "sqlite://{root}/items.db")
    return Peer("@bytebase/dbhub", "1.4.0", Source.NPM, program, asks, (f"{NODE}@24.21.0",))


_PROCESSOR = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), "arm64")
NODE = f"node-{sys.platform.replace('win32', 'win')}-{_PROCESSOR}"  # DBHub wants a newer one than many have
PEERS: Mapping[str, Peer] = {
    "filesystem": _filesystem(),
    "fast": _fast(),
    "workspace": _workspace(),
    "mcp-sqlite": _sqlite(),
    "dbhub": _dbhub(),
}

# What the machine itself needs, a process and all: no server is quicker than that without an index.
RIPGREP: Mapping[str, tuple[str, ...]] = {
    "glob-all": ("--files", "-uu", "-g", "*.py", "."),
    "literal": ("-n", "-F", NEEDLE, "."),
    "literal-project": ("-n", "--hidden", "-F", NEEDLE, "."),
    "literal-all": ("-n", "-uu", "-F", NEEDLE, "."),
    "regex-all": ("-n", FUNCTION, "."),
}
SQLITE: Mapping[str, str] = {
    "row": SELECT_ROW,
    "rows": SELECT_ROWS,
    "sum": SELECT_SUM,
    "insert": INSERT,
    "inserts": INSERTS,
    "describe": COLUMNS,
}

"""Marked secrets go through every tool, every error path and every command at debug level, and are then seen nowhere."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest
import sqlcipher3  # type: ignore[import-untyped]

from driver import Host
from keychain.ring import Ring
from rootcellar.tools import TOOLSETS

VALUE = "CANARYvalue4711"
PHRASE = "CANARYphrase4712"
RAW = "CA7A9147" * 8
MARKS = [VALUE, PHRASE, RAW, RAW.lower()]
PATTERNS = [
    *(mark.encode() for mark in MARKS),
    *(mark.encode("utf-16-le") for mark in MARKS),
    *(base64.b64encode(mark.encode())[:-4] for mark in MARKS),
    *(mark.encode().hex().encode() for mark in MARKS),
    bytes.fromhex(RAW),
]


def seen_in(data: bytes) -> list[bytes]:
    return [pattern for pattern in PATTERNS if pattern in data]


class Watch:
    """Looks at every process's command line and environment, again and again."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.looked = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        mine = os.getpid()
        while not self._end.wait(0.01):
            for name in os.listdir("/proc"):
                if not name.isdecimal() or int(name) == mine:
                    continue
                for part in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        if seen_in(Path(f"/proc/{name}/{part}").read_bytes()):
                            self.found.append(f"{part} of {Path(f'/proc/{name}/comm').read_text().strip()}")
            self.looked += 1


def encrypted(path: Path, key: str) -> None:
    with closing(sqlcipher3.connect(str(path), isolation_level=None)) as db:
        db.execute(f'PRAGMA key = "{key}"')
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES ('inside')")


def every_call(name: str) -> Iterator[dict[str, object]]:
    """Calls of one tool: right, wrong, and about each of the databases."""
    for database in ("raw.db", "phrase.db", "locked.db", "none.db", "a.txt"):
        more: dict[str, object] = {"database": database}
        if name == "query_database":
            more["sql"] = "SELECT v FROM t"
        calls: dict[str, dict[str, object]] = {
            "describe_database": {**more, "table": "t", "samples": 2},
            "change_database": {**more, "sql": "INSERT INTO t VALUES ('more')", "dry_run": True},
            "import_table": {**more, "path": "rows.csv", "table": "r"},
            "export_table": {**more, "path": f"{database}.csv", "table": "t"},
            "backup_database": {**more, "path": f"{database}.copy"},
            "search_database": {**more, "word": "inside"},
        }
        yield calls.get(name, more)
    for path in ("a.txt", "rows.csv", "no-such", "../outside", ".env"):
        yield {"path": path}
        yield {"source": path, "destination": f"{path}.moved"}
        yield {"path": path, "content": "x", "mode": "create"}
        yield {"path": path, "pattern": "CANARY", "edits": [{"old_text": "hello", "new_text": "bye"}]}
    yield {}
    yield {"nonsense": 1}
    yield {"sql": "SELECT nosuch(", "database": "raw.db"}
    yield {"sql": "PRAGMA key", "database": "raw.db"}
    yield {"sql": "SELECT sqlite3mc_codec_data('raw_key')", "database": "raw.db"}


@pytest.mark.parametrize("era", ["modern", pytest.param("legacy", marks=pytest.mark.full)])
@pytest.mark.timeout(600)
def test_a_marked_secret_is_seen_nowhere(keyring: Ring, tmp_path: Path, era: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("hello\n")
    (root / "rows.csv").write_text("a,b\n1,2\n")
    assert not seen_in(repr(sorted(os.environ.items())).encode())
    for name, key in (("raw.db", f"x'{RAW}'"), ("phrase.db", PHRASE), ("locked.db", "unknown")):
        encrypted(root / name, key)
    told: list[tuple[str, bytes]] = []

    def run(*words: str, said: str = "") -> None:
        done = keyring.run(*words, said=said)
        told.append((" ".join(words), (done.stdout + done.stderr).encode("utf-8", "surrogateescape")))

    with Watch() as watch:
        run("secret", "set", "token", said=VALUE)
        run("secret", "set", "--database", str(root / "raw.db"), said=f"x'{RAW}'")
        run("secret", "set", "--database", str(root / "phrase.db"), said=PHRASE + "\n")
        run("secret", "set", "--database", str(root / "locked.db"), said=PHRASE)
        run("secret", "set", "bad name", said=VALUE)
        config = keyring.home / "canary.toml"
        config.write_text(f'[databases]\n"{root}/none.db" = "keychain:token"\n')
        env = {**keyring.env, "ROOTCELLAR_CONFIG": str(config)}
        with Host(str(root), "--log-level", "debug", "--confirm", "never", era=era, env=env) as host:
            tools = [tool.name for family in TOOLSETS for tool in family.tools]
            for tool in tools:
                for arguments in every_call(tool):
                    answer = host.request("tools/call", {"name": tool, "arguments": arguments})
                    told.append((f"{tool} {arguments}", str(answer).encode("utf-8", "surrogateescape")))
            host.call("change_database", database="none.db", sql="CREATE TABLE t (v)", create=True)
            host.call("change_database", database="raw.db", sql="UPDATE t SET v = 'changed'")
            told.append(("inside", str(host.call("query_database", database="raw.db", sql="SELECT v FROM t")).encode()))
            assert b"changed" in told[-1][1], told[-1]
        told.append(("stderr", b"".join(host.errors)))
        for verb in ("list", "test"):
            run("secret", verb, "--json")
        run("secret", "test", "token")
        run("secret", "test", "--database", str(root / "phrase.db"))
        run("secret", "rotate", "token", said=VALUE + VALUE)
        run("database", "rekey", str(root / "raw.db"), "--ask", said=PHRASE)
        run("database", "decrypt", str(root / "phrase.db"))
        run("database", "encrypt", str(root / "phrase.db"), "--ask", said=f"x'{RAW}'")
        run("database", "encrypt", str(root / "a.txt"), "--ask", said=VALUE)
        for words in (
            ("doctor", "--quick"),
            ("hosts", "--all"),
            ("print-config", "cursor"),
            ("--version",),
            ("changes",),
        ):
            run(*words)
        run("secret", "remove", "token")
    assert watch.looked > 20
    assert not watch.found
    assert not [(what, seen_in(data)) for what, data in told if seen_in(data)]
    files = [
        path
        for folder in (keyring.home, root)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    assert len(files) > 10
    assert not [str(path) for path in files if seen_in(path.read_bytes())]


def test_the_watch_bites() -> None:
    """A secret on a command line, or in an environment, is seen."""
    for words, env in ((["sleep", "5", VALUE], {}), (["sleep", "5"], {"X": VALUE})):
        with (
            Watch() as watch,
            subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(5)", *words[2:]], env={**os.environ, **env}
            ) as child,
        ):
            threading.Event().wait(0.5)
            child.kill()
        assert watch.found

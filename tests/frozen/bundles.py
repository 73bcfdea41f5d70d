"""The frozen binary for the tests: built once for these sources, kept under `.artefacts`, and ways to start it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parents[2]
CACHE = HERE / ".artefacts" / "frozen"
INPUTS = (
    "src", "packaging/*.py", "packaging/*.spec", "packaging/hooks", "packaging/inside", "scripts/build", "uv.lock", "LICENSE",
    "scripts/build_frozen.py", "scripts/build_bill.py", "scripts/build_elf.py", "scripts/start.py",
)  # fmt: skip
EXE = ".exe" if sys.platform == "win32" else ""
# Windows starts nothing without these.
NEEDED = {
    name: os.environ[name]
    for name in ("SYSTEMROOT", "TEMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA")
    if sys.platform == "win32" and name in os.environ
}
Json = dict[str, Any]


def key() -> str:
    """What the bundle is made of, in a word."""
    digest = hashlib.sha256(f"{sys.version} {sys.platform}".encode())
    for pattern in INPUTS:
        for path in sorted(HERE.glob(pattern)):
            files = [path] if path.is_file() else sorted(path.rglob("*"))
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(f"{file.relative_to(HERE).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def built() -> Path:
    """The bundle of these sources; `ROOTCELLAR_BUNDLE` names another to put to the test."""
    if named := os.environ.get("ROOTCELLAR_BUNDLE"):
        return Path(named).resolve()
    place = CACHE.resolve() / key()
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(CACHE / "lock"):
        found = sorted(place.glob("rootcellar-*"))
        if not found:
            _forget_old()
            build(place)
            found = sorted(place.glob("rootcellar-*"))
    [bundle] = found
    return bundle


def build(out: Path) -> None:
    """Run scripts/build; its words on failure."""
    done = subprocess.run(
        [sys.executable, "scripts/build", "--out", str(out)], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _forget_old() -> None:
    """A bundle is 60 MB: yesterday's are not kept."""
    for old in CACHE.iterdir():
        if old.is_dir() and time.time() - old.stat().st_mtime > 6 * 3600:
            shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One build at a time, whichever test process comes first."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Talk:
    """A legacy-era conversation with one server, over its pipes; stdlib only, blocking."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        user: int | None = None,
    ) -> None:
        identity: Json = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        pipes: Json = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        given = None if env is None else NEEDED | dict(env)
        self.began = time.perf_counter()
        started: Any = subprocess.Popen(list(command), env=given, cwd=cwd, **pipes, **identity)
        self.process: subprocess.Popen[bytes] = started
        self._last = 0
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        try:
            self.hello = self.ask("initialize", hello)
        except BaseException:
            self.end()
            raise
        self.first_s = time.perf_counter() - self.began
        self._send({"method": "notifications/initialized"})

    def _send(self, message: Json) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: Json) -> Json:
        """The result of one request."""
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == self._last and "method" not in message:
                assert "result" in message, message
                result: Json = message["result"]
                return result
        assert self.process.stderr
        raise AssertionError(f"the server ended: {self.process.stderr.read().decode(errors='replace')[-2000:]}")

    def call(self, tool: str, **arguments: object) -> str:
        """The text of a call that must succeed."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return "\n".join(str(block.get("text", block.get("mimeType"))) for block in result["content"])

    def children(self) -> list[int]:
        """The processes that the server has started and that still run."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the thread has ended meanwhile
                found += [int(word) for word in (task / "children").read_text().split()]
        return found

    def end(self) -> int:
        """End the input; the exit code."""
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def work_with(talk: Talk) -> None:
    """Use everything that could be missing from a bundle: text, odd encodings, images, ripgrep, SQL, trash."""
    assert "hello" in talk.call("read_file", path="hello.txt")
    assert "日本" in talk.call("read_file", path="shift-jis.txt")
    assert "image/" in talk.call("read_file", path="pixel.png")
    assert "hello.txt" in talk.call("search_text", pattern="hel+o", regex=True)
    assert "42" in talk.call("query_database", database="a.db", sql="SELECT 6 * 7")
    assert talk.call("change_database", database="a.db", sql="INSERT INTO t VALUES ('from the cellar')")
    assert "cellar" in talk.call("search_database", database="a.db", word="cellar")
    assert talk.call("write_file", path="new.txt", content="new\n", mode="create")
    assert talk.call("edit_file", path="new.txt", edits=[{"old_text": "new", "new_text": "newer"}])
    assert talk.call("export_table", database="a.db", table="t", path="t.csv")
    for name in ("new.txt", "t.csv"):
        assert talk.call("delete_file", path=name)

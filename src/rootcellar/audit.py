"""The audit trail: one line for every change a tool made or tried, chained, so that a line cannot be altered unseen.

Each line holds the code of the line before it and a code over itself, keyed (HMAC) with a key from the keychain, made
on first use. Whoever alters, drops or swaps lines without that key breaks the chain; who only takes lines from the end
is seen by whoever noted the last code. Without a keychain the codes have no key: they show damage, not forgery, and
each line says so. No line holds content, SQL or a secret: only the tool, its effect, the names it was about, and what
came of it.

Written by a thread of its own that stands outside the wall, a line at a time, under a lock: several servers share it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rootcellar import limits
from rootcellar.errors import Refusal
from rootcellar.secrets import Secret
from rootcellar.telemetry import LOG

FILE, OLD_FILE = "audit.jsonl", "audit-old.jsonl"
_ABOUT: Final = ("path", "source", "destination", "database", "table", "to")
_ABOUT_CHARS_MAX: Final = 500
_TAIL_BYTES: Final = 16_384


def about(arguments: Mapping[str, Any]) -> dict[str, str]:
    """What a call was about: names as the caller gave them, and nothing else of its arguments."""
    return {word: str(arguments[word])[:_ABOUT_CHARS_MAX] for word in _ABOUT if arguments.get(word)}


class Audit:
    """The trail in a directory of ours. Start it outside the wall."""

    def __init__(self, directory: Callable[[], str], key: Callable[[], Secret | None]) -> None:
        self._directory, self._find_key = directory, key
        self._lines: queue.SimpleQueue[dict[str, Any] | threading.Event] = queue.SimpleQueue()
        self._started = threading.Lock()
        self._thread: threading.Thread | None = None
        self._key = b""
        self._may_write = threading.Event()  # the key is here, or nobody waits for it any more

    def start(self) -> None:
        """Make the writer ready, once."""
        with self._started:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
                self._thread.start()

    def watch(self, call: Future[dict[str, Any]], tool: str, effect: str, arguments: Mapping[str, Any]) -> None:
        """Put on the trail what becomes of a call."""
        self.start()

        def ended(done: Future[dict[str, Any]]) -> None:
            if done.cancelled() or done.exception() is not None:  # which only a question to the user is
                self.note(tool, effect, arguments, "put to the user")
                return
            meta = done.result().get("_meta", {})
            outcome = meta.get("change_id") or ("refused: " + meta.get("reason", "") if meta.get("reason") else "done")
            self.note(tool, effect, arguments, outcome)

        call.add_done_callback(ended)

    def note(self, tool: str, effect: str, arguments: Mapping[str, Any], outcome: str) -> None:
        """Put one change on the trail, soon."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._lines.put({"at": at, "tool": tool, "effect": effect, "about": about(arguments), "outcome": outcome})

    def flush(self, seconds: float) -> None:
        """Wait until what was noted is written, or the time is up."""
        if self._thread is not None:
            written = threading.Event()
            self._may_write.set()  # a line without a key is better than none
            self._lines.put(written)
            written.wait(seconds)

    def _write(self) -> None:
        finding: threading.Thread | None = None
        while True:
            item = self._lines.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            if finding is None:
                finding = threading.Thread(target=self._fetch, name="audit-key", daemon=True)
                finding.start()
            self._may_write.wait()
            try:
                append(self._directory(), item, self._key)
            except (OSError, Refusal) as error:
                LOG.error("the audit trail could not be written: %s", type(error).__name__)

    def _fetch(self) -> None:
        try:
            found = self._find_key()
            self._key = bytes.fromhex(found.reveal()) if found is not None else b""
        finally:
            self._may_write.set()


def append(directory: str, told: Mapping[str, Any], key: bytes) -> None:
    """Add one line to the trail, alone with it."""
    Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    path = f"{directory}/{FILE}"
    fd = _held(path)
    try:
        size = os.fstat(fd).st_size
        last = _last(fd, size)
        number, before = (int(last.get("n", 0)), str(last.get("code", "")))
        if size > limits.AUDIT_BYTES_MAX:
            Path(path).replace(f"{directory}/{OLD_FILE}")
            os.close(fd)
            fd = _held(path)
        line = {"n": number + 1, **told, "keyed": bool(key), "before": before}
        line["code"] = _code(line, key)
        os.write(fd, json.dumps(line, ensure_ascii=True).encode() + b"\n")
    finally:
        os.close(fd)


def _held(path: str) -> int:
    """The trail open and locked; closing it lets go."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        if os.name == "posix":
            import fcntl  # POSIX only

            fcntl.flock(fd, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), Path(path).stat()):
                return fd
        os.close(fd)


def _last(fd: int, size: int) -> dict[str, Any]:
    """The last line; nothing where there is none that can be read."""
    os.lseek(fd, max(0, size - _TAIL_BYTES), os.SEEK_SET)
    lines = os.read(fd, _TAIL_BYTES).splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _code(line: Mapping[str, Any], key: bytes) -> str:
    body = json.dumps({name: part for name, part in line.items() if name != "code"}, sort_keys=True).encode()
    if key:
        return hmac.new(key, body, hashlib.sha256).hexdigest()[:32]
    return hashlib.sha256(body).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole trail came to."""

    lines: int = 0
    keyed: int = 0
    broken_at: int = 0  # the first line, counted from 1 over both files, that does not fit; 0: all fit
    last: str = ""


def verify(directory: str, key: bytes) -> Verified:
    """Check every line of the trail. Without the key, keyed lines are checked for their order only."""
    count = keyed = 0
    before: str | None = None
    for name in (OLD_FILE, FILE):
        try:
            fd = os.open(f"{directory}/{name}", os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            continue
        with os.fdopen(fd, "rb") as file:
            for raw in file:
                count += 1
                try:
                    line = json.loads(raw)
                    fits = before is None or line["before"] == before
                    if key or not line["keyed"]:
                        right = _code(line, key if line["keyed"] else b"")
                        fits = fits and hmac.compare_digest(right, line["code"])
                    before, keyed = line["code"], keyed + bool(line["keyed"])
                except (ValueError, KeyError, TypeError):
                    fits = False
                if not fits:
                    return Verified(count, keyed, count, before or "")
    return Verified(count, keyed, 0, before or "")

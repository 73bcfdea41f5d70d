"""A throw-away home directory for somebody else's program, and an end for whatever was started in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "PROCESSOR_ARCHITECTURE")
NOTHING: Mapping[str, str] = {}
LEAVE_S = 5.0  # what a program may take to end what it started


class Home:
    """A home of its own. On leaving it, every process that still lives there is ended (Linux: by its environment)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir(parents=True, exist_ok=True)
        self._started: list[subprocess.Popen[str]] = []

    def env(self) -> dict[str, str]:
        """Nothing of the caller's but where programs are; every place a program may keep things is inside."""
        home = str(self.path)
        places = dict.fromkeys(("HOME", "USERPROFILE"), home)
        inside = {
            "XDG_CONFIG_HOME": ".config",
            "XDG_DATA_HOME": ".local/share",
            "XDG_STATE_HOME": ".local/state",
            "XDG_CACHE_HOME": ".cache",
            "APPDATA": "AppData/Roaming",
            "LOCALAPPDATA": "AppData/Local",
            "TMPDIR": "tmp",
            "TEMP": "tmp",
            "TMP": "tmp",
        }
        for name, place in inside.items():
            (self.path / place).mkdir(parents=True, exist_ok=True)
            places[name] = str(self.path / place)
        return {name: os.environ[name] for name in KEPT if name in os.environ} | places

    def start(
        self, command: list[str], cwd: Path | None = None, env: Mapping[str, str] = NOTHING
    ) -> subprocess.Popen[str]:
        """Start a program that lives here; its stderr goes to a file."""
        errors = (self.path / "stderr").open("a")
        with errors:
            process = subprocess.Popen(
                command, cwd=cwd or self.path, env={**self.env(), **env}, text=True, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=os.name == "posix",
            )  # fmt: skip
        self._started.append(process)
        return process

    def run(
        self,
        command: list[str],
        said: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] = NOTHING,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        (self.path / "stderr").write_text("")
        process = self.start(command, cwd, env)
        out, _ = process.communicate(said, timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, out, self.errors())

    def errors(self) -> str:
        """What was said on stderr since the last run began."""
        return (self.path / "stderr").read_text("utf-8", "replace")

    def alive(self, within: float = 0.0) -> dict[int, str]:
        """The processes that live here, still so after `within` seconds; only Linux can tell."""
        until = time.monotonic() + within
        while (found := self._living()) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def _living(self) -> dict[int, str]:
        found: dict[int, str] = {}
        if sys.platform != "linux":
            return found
        mark = f"HOME={self.path}".encode()
        for place in Path("/proc").iterdir():
            try:
                if place.name.isdigit() and mark in (place / "environ").read_bytes().split(b"\0"):
                    command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if command:  # one that has ended, and whose parent has not looked yet, has none
                        found[int(place.name)] = command
            except OSError:  # gone, or not ours
                continue
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe and not pipe.closed:
                    pipe.close()
        self.end_all()

    def end_all(self) -> None:
        """End every process that lives here: what was started, and what that left behind."""
        until = time.monotonic() + LEAVE_S
        while (left := self.alive()) and time.monotonic() < until:
            for number in left:
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)

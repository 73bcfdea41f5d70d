"""One acceptance case's world: its files, its server process, and what the server did to them.

Stdlib only, so that it also drives a frozen binary: `ROOTCELLAR_COMMAND` may name the command to test, to which
`serve DIR...` is added. `python -m confine.caserun ID...` in `tests/` runs cases by
hand; `test_cases.py` runs all.
"""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.
# ruff: noqa: N818

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import queue
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from confine.nursery import Born, nursery

Json = dict[str, Any]
SECRET = "OUTSIDE-SECRET"
TOOLS = {
    "read": "read_file",
    "write": "write_file",
    "list": "list_directory",
    "list_sizes": "list_directory",
    "tree": "directory_tree",
    "stat": "get_file_info",
    "move": "move_file",
    "mkdir": "create_directory",
    "delete": "delete_file",
}
STRANGER = 65534  # who an unprivileged server runs as
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src"


def command() -> list[str]:
    """What is tested."""
    named = os.environ.get("ROOTCELLAR_COMMAND", "")
    return shlex.split(named) if named else [sys.executable, "-m", "rootcellar"]


class Silence(Exception):
    """The server did not answer, or ended."""


class Client:
    """JSON-RPC over the pipes of one server process; answers its questions about roots."""

    def __init__(self, arguments: list[str], uris: list[str] | None, home: str, uid: int | None) -> None:
        env = {**os.environ, "HOME": home, "XDG_DATA_HOME": f"{home}/data", "XDG_CONFIG_HOME": f"{home}/config"}
        env.update({"XDG_STATE_HOME": f"{home}/state", "XDG_CACHE_HOME": f"{home}/cache"})
        self.uris, self.key, self.heard = uris, 0, b""
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        self.process = self._start(arguments, env, home, uid)
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _start(
        self, arguments: list[str], env: dict[str, str], home: str, uid: int | None
    ) -> subprocess.Popen[bytes] | Born:
        python = command()
        if (
            uid is None
            and arguments[: len(python)] == python
            and not {"ROOTCELLAR_COMMAND", "ROOTCELLAR_COLD"} & {*env}
        ):
            return nursery().bear(arguments[len(python) :], env, home, self.log.fileno())
        return subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, env=env, cwd=home,
            user=uid, group=uid, extra_groups=None if uid is None else [],
        )  # fmt: skip

    def _read(self) -> None:
        assert self.process.stdout
        with contextlib.suppress(OSError, ValueError):
            for line in self.process.stdout:
                self.heard += line
                self.lines.put(line)
        self.lines.put(b"")

    def send(self, message: Json) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode("ascii") + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Silence(f"the server ended: {self.told()}") from error

    def ask(self, method: str, params: Json, seconds: float = 15.0) -> Json:
        """Send a request and give its answer, answering what the server asks meanwhile."""
        self.key += 1
        self.send({"id": self.key, "method": method, "params": params})
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Silence(f"no answer to {method} in {seconds} s: {self.told()}") from None
            if not line:
                raise Silence(f"the server ended: {self.told()}")
            message: Json = json.loads(line)
            if message.get("method") == "roots/list":
                roots = [{"uri": uri} for uri in self.uris or []]
                self.send({"id": message["id"], "result": {"roots": roots}})
            elif message.get("id") == self.key and "method" not in message:
                return message

    def hello(self) -> None:
        capabilities = {} if self.uris is None else {"roots": {"listChanged": True}}
        about = {"name": "cases", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": about}, 30)
        self.send({"method": "notifications/initialized"})

    def tool(self, op: str, arguments: Json, seconds: float = 15.0) -> Json:
        return self.ask("tools/call", {"name": TOOLS[op], "arguments": arguments}, seconds)

    def told(self) -> str:
        """The end of the server's log."""
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")[-1500:]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                assert pipe
                pipe.close()


def step(base: pathlib.Path, what: Json) -> None:
    """One step of a set-up."""
    path = pathlib.Path(base, what["path"])
    if what["do"] not in ("rmtree", "rename", "deepfile"):
        path.parent.mkdir(parents=True, exist_ok=True)
    STEPS[what["do"]](base, path, what)


def _placed(base: pathlib.Path, text: str) -> str:
    spelled = {"{root}": "root", "{outside}": "outside", "{base}": "."}
    for sign, name in spelled.items():
        text = text.replace(sign, os.path.normpath(base / name))
    return text.replace("{home}", f"{base.parent}/home")


def _file(_: pathlib.Path, path: pathlib.Path, what: Json) -> None:
    path.write_text(SECRET if what["text"] == "SECRET" else what["text"])


def _rawfile(_: pathlib.Path, path: pathlib.Path, what: Json) -> None:
    path.mkdir(exist_ok=True)
    raw = os.fsencode(path) + b"/" + bytes.fromhex(what["raw"])
    if what.get("dir"):
        os.mkdir(raw)
        raw += b"/f"
    with open(raw, "wb") as file:
        file.write(b"IN")


def _deepfile(_: pathlib.Path, path: pathlib.Path, what: Json) -> None:
    path.mkdir(parents=True)
    here = os.open(path, os.O_RDONLY)
    for _level in range(what["levels"]):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    fd = os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(fd, b"IN")
    os.close(fd)
    os.close(here)


def _many(_: pathlib.Path, path: pathlib.Path, what: Json) -> None:
    path.mkdir()
    for number in range(what["n"]):
        (path / f"f{number:06}").touch()


def _sparse(_: pathlib.Path, path: pathlib.Path, what: Json) -> None:
    path.touch()
    os.truncate(path, what["bytes"])


def _socket(_: pathlib.Path, path: pathlib.Path, __: Json) -> None:
    above = os.open(path.parent, os.O_RDONLY)  # the way to a socket must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{above}/{path.name}")
    os.close(above)


def _mount(kind: str | None, source: str, target: pathlib.Path, flags: int, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    target.mkdir(parents=True, exist_ok=True)
    arguments = [os.fsencode(source), os.fsencode(target), kind and kind.encode(), flags, data.encode()]
    if libc.mount(*arguments[:3], ctypes.c_ulong(flags), arguments[4]):
        raise OSError(ctypes.get_errno(), f"mount {kind}")


STEPS: dict[str, Callable[[pathlib.Path, pathlib.Path, Json], object]] = {
    "file": _file,
    "bytes": lambda _, path, what: path.write_bytes(bytes.fromhex(what["hex"])),
    "size": lambda _, path, what: path.write_bytes(b"x" * what["bytes"]),
    "dir": lambda _, path, __: path.mkdir(parents=True, exist_ok=True),
    "symlink": lambda base, path, what: path.symlink_to(_placed(base, what["to"])),
    "hardlink": lambda base, path, what: os.link(base / what["to"], path),
    "fifo": lambda _, path, __: os.mkfifo(path),
    "socket": _socket,
    "chardev": lambda _, path, what: os.mknod(path, 0o020666, os.makedev(what["major"], what["minor"])),
    "sparse": _sparse,
    "chmod": lambda _, path, what: path.chmod(what["mode"]),
    "xattr": lambda _, path, what: os.setxattr(path, what["name"], what["value"].encode()),
    "rename": lambda base, path, what: path.rename(base / what["to"]),
    "rmtree": lambda _, path, __: shutil.rmtree(path),
    "rawfile": _rawfile,
    "deepfile": _deepfile,
    "many": _many,
    "mount": lambda _, path, what: _mount(
        what["fs"], what["fs"], path, 0, f"size={what['size']}" if "size" in what else ""
    ),
    "bind": lambda base, path, what: _mount(None, str(base / what["to"]), path, 4096),
}


def snapshot(top: pathlib.Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory, by content and by every fact but the time of reading."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [top, *top.rglob("*")]:
        about = path.lstat()
        data = b""
        if stat.S_ISREG(about.st_mode) and about.st_size < 1 << 20:
            data = path.read_bytes()
        elif stat.S_ISLNK(about.st_mode):
            data = os.fsencode(os.readlink(path))
        known = (about.st_mode, about.st_uid, about.st_size, about.st_mtime_ns, about.st_ino)
        found[str(path.relative_to(top))] = (*known, hashlib.sha256(data).hexdigest())
    return found


@contextlib.contextmanager
def world() -> Iterator[pathlib.Path]:
    """An empty base directory with `root/` and `outside/secret`, and a home beside it."""
    with tempfile.TemporaryDirectory(prefix="rootcellar-case-", ignore_cleanup_errors=True) as top:
        os.chmod(top, 0o755)
        base = pathlib.Path(os.path.realpath(top), "base")
        for name in ("root", "outside"):
            (base / name).mkdir(parents=True)
        (base / "outside" / "secret").write_text(SECRET)
        (base.parent / "home").mkdir()
        try:
            yield base
        finally:
            subprocess.run(["chmod", "-R", "u+rwx", top], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["rm", "-rf", top], check=False, stderr=subprocess.DEVNULL)


def limit(pid: int, limits: Json) -> Callable[[], None]:
    """Lower a running process's limits; give back what raises them again."""
    import resource

    kinds = {"nofile": resource.RLIMIT_NOFILE, "fsize": resource.RLIMIT_FSIZE}
    before = {kinds[name]: resource.prlimit(pid, kinds[name]) for name in limits}
    for name, value in limits.items():
        resource.prlimit(pid, kinds[name], (value, before[kinds[name]][1]))

    def restore() -> None:
        for kind, pair in before.items():
            resource.prlimit(pid, kind, pair)

    return restore

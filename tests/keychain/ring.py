"""Keychains to test on: a session bus of our own with a real gnome-keyring on it, or an odd service, or nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PASSWORD = "ring-password"
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><keep_umask/><listen>unix:path={socket}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""


class Serves(Enum):
    """What there will be on the bus."""

    SECRETS = "secrets"
    NOTHING = "nothing"


@dataclass
class Ring:
    """A home of its own, a session bus in it, and what serves secrets on that bus."""

    home: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def runtime(self) -> Path:
        return self.home / "run"

    @property
    def data(self) -> Path:
        return self.home / "data" / "rootcellar"

    @property
    def address(self) -> str:
        return f"unix:path={self.runtime}/bus"

    @property
    def env(self) -> dict[str, str]:
        """What a host leaves of the environment, and where our data is: the bus must be found."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_DATA_HOME": str(self.home / "share"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "ROOTCELLAR_DATA": str(self.data),
            "ROOTCELLAR_CONFIG": os.devnull,
        }

    def start(self, setup: str, serves: Serves) -> None:
        """Run a shell command on a bus of its own under dbus-run-session, until what it starts is on the bus."""
        config = self.home / "bus.conf"
        config.write_text(_BUS.format(socket=self.runtime / "bus"))
        script = f"{setup}\nprintf 'started\\n'; cat >/dev/null; [ -z \"$!\" ] || kill $!"
        words = ["dbus-run-session", "--config-file", str(config), "--", "sh", "-c", script]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.env
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"started\n"
        until = time.monotonic() + 20
        while serves is Serves.SECRETS and not self._has_secrets():
            assert time.monotonic() < until, "nothing came up on the bus"
            time.sleep(0.02)

    def _has_secrets(self) -> bool:
        from jeepney.bus_messages import message_bus
        from jeepney.io.blocking import Proxy, open_dbus_connection

        with open_dbus_connection(self.address) as connection:
            return bool(Proxy(message_bus, connection).NameHasOwner("org.freedesktop.secrets")[0])

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate(timeout=10)
        shutil.rmtree(self.home, ignore_errors=True)

    def run(
        self, *words: str, said: str = "", env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """One command of ours on this home."""
        command = os.environ.get("ROOTCELLAR_COMMAND", "").split() or [sys.executable, "-m", "rootcellar"]
        return subprocess.run(
            [*command, *words], input=said, capture_output=True, text=True, check=False, timeout=timeout,
            env={**self.env, **(env or {})}, cwd=self.home,
        )  # fmt: skip


def missing() -> list[str]:
    """The programs that are not here and that the tests need."""
    return [name for name in ("dbus-run-session", "gnome-keyring-daemon") if not shutil.which(name)]


@contextlib.contextmanager
def home() -> Iterator[Ring]:
    """A home with nothing on it; its path is short, for sockets' names are."""
    ring = Ring(Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp")))
    ring.runtime.mkdir(mode=0o700)
    try:
        yield ring
    finally:
        ring.close()


@contextlib.contextmanager
def keyring() -> Iterator[Ring]:
    """A real gnome-keyring, unlocked with a password."""
    with home() as ring:
        unlock = f"printf %s {PASSWORD} | gnome-keyring-daemon --unlock --components=secrets"
        unlock += ' --control-directory="$XDG_RUNTIME_DIR/kr" >/dev/null 2>&1'
        ring.start(unlock, Serves.SECRETS)
        yield ring


def lock(ring: Ring) -> None:
    """Lock the default collection, as a screen lock or a time-out does."""
    from jeepney.io.blocking import open_dbus_connection
    from secretstorage import get_default_collection

    with open_dbus_connection(ring.address) as connection:
        collection = get_default_collection(connection)
        collection.lock()
        assert collection.is_locked()


@contextlib.contextmanager
def odd(way: str) -> Iterator[Ring]:
    """A Secret Service that misbehaves in one way; see `odd_service.py`."""
    with home() as ring:
        ring.start(f"'{sys.executable}' '{HERE / 'odd_service.py'}' {way} >/dev/null &", Serves.SECRETS)
        yield ring


@contextlib.contextmanager
def bare_bus() -> Iterator[Ring]:
    """A session bus without any keychain."""
    with home() as ring:
        ring.start("", Serves.NOTHING)
        yield ring

"""The OS keychain, asked by name within a deadline, whatever it does.

Threats: a prompt that nobody answers blocks for ever; a store that says yes and keeps nothing; a thread that may not
open files or sockets asks (those behind the second wall may not). So one thread of ours, the porter, is started before
any wall is up; it gives every question a daemon thread of its own, and whoever asks waits no longer than its deadline.
What was abandoned holds nobody up: daemon threads end with the process. A write counts once it was read back.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Final, TypeVar

from rootcellar import backends, limits
from rootcellar.backends import Ask
from rootcellar.errors import KeychainFailed, NoSecret, Refusal
from rootcellar.secrets import Secret, check_size

T = TypeVar("T")
_PROBE: Final = "self-test-"


@dataclass(slots=True)
class _Errand:
    """Something to be done by a thread that is not behind the wall."""

    act: Callable[[], object]
    done: threading.Event = field(default_factory=threading.Event)
    result: object = None
    refusal: Refusal | None = None
    has_result: bool = False

    def run(self) -> None:
        try:
            self.result = self.act()
            self.has_result = True
        except Refusal as refusal:
            self.refusal = refusal
        finally:
            self.done.set()


class Keychain:
    """The system's keychain. Make it before any thread is fenced in; nothing is loaded or asked until it is used."""

    def __init__(self, seconds: float = limits.KEYCHAIN_CALL_S) -> None:
        self.seconds = seconds
        self._errands: queue.SimpleQueue[_Errand] = queue.SimpleQueue()
        threading.Thread(target=self._carry, name="keychain-porter", daemon=True).start()

    def get(self, name: str, ask: Ask = Ask.PERSON) -> Secret:
        """The secret of that name; NoSecret if there is none."""

        def act(until: float) -> Secret:
            with backends.opened(ask, until) as backend:
                value = backend.get_password(backends.service(name), backends.USER)
            if value is None:
                raise NoSecret(f"the keychain has no `{name}`", f"keep it: `rootcellar secret set {name}`")
            return Secret(value)

        return self._asked(act, ask)

    def put(self, name: str, secret: Secret, ask: Ask = Ask.PERSON) -> None:
        """Keep a secret, and read it back before it counts; what was there under that name is replaced."""
        check_size(secret, sys.platform)

        def act(until: float) -> None:
            with backends.opened(ask, until) as backend:
                backend.set_password(backends.service(name), backends.USER, secret.reveal())
                kept = backend.get_password(backends.service(name), backends.USER)
            if kept is None or Secret(kept) != secret:
                raise KeychainFailed(
                    "the keychain said yes, and did not keep the value", "see `rootcellar secret test`"
                )

        self._asked(act, ask)

    def remove(self, name: str) -> None:
        """Forget a secret; one that is not there is as good as forgotten."""

        def act(until: float) -> None:
            with backends.opened(Ask.PERSON, until) as backend:
                if backend.get_password(backends.service(name), backends.USER) is not None:
                    backend.delete_password(backends.service(name), backends.USER)
                if backend.get_password(backends.service(name), backends.USER) is not None:
                    raise KeychainFailed(
                        f"the keychain said yes, and still has `{name}`", "remove it with the system's own program"
                    )

        self._asked(act, Ask.PERSON)

    def proven(self, ask: Ask = Ask.PERSON) -> float:
        """Keep, read and forget a value of no worth; the seconds that took."""
        began, name = time.monotonic(), _PROBE + token_hex(4)
        self.put(name, Secret.random(), ask)
        self.remove(name)
        return time.monotonic() - began

    def apart(self, act: Callable[[], T], seconds: float) -> T:
        """Do something on a thread outside the wall; KeychainSilent when it takes longer."""
        errand = _Errand(act)
        self._errands.put(errand)
        if not errand.done.wait(seconds):
            raise backends.silent()
        if errand.refusal is not None:
            raise errand.refusal
        if not errand.has_result:
            raise KeychainFailed("asking the keychain failed: a fault in rootcellar", "the log has the details")
        return errand.result  # type: ignore[return-value]

    def later(self, act: Callable[[], None]) -> None:
        """Do something on a thread outside the wall, some time; what it refuses is nobody's business."""
        self._errands.put(_Errand(act))

    def _asked(self, act: Callable[[float], T], ask: Ask) -> T:
        seconds = limits.KEYCHAIN_QUIET_S if ask is Ask.NOBODY else self.seconds
        until = time.monotonic() + seconds
        return self.apart(lambda: act(until), seconds)

    def _carry(self) -> None:
        while True:
            errand = self._errands.get()
            threading.Thread(target=errand.run, name="keychain", daemon=True).start()

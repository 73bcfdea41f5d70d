"""The keys of encrypted databases, from the keychain, found by the file's identity; and the keys we make for ourselves.

A database's key is kept under the first 16 bytes of its file: SQLCipher's salt, random, written when the file is made,
never changed, and the same in every copy. So a file that is moved, renamed or restored is still found, wherever it
lies, and another file that takes its path is not given its key. Config may also name a key for a path, as
`keychain:NAME`: for a file that is yet to be made, or one that another program makes anew.

A key is asked for late, held for as long as the database's worker has it anyway, and cleared. The keychain is asked
with a prompt only for what our index knows; for a file it does not know, only where that shows none.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from rootcellar import ambient, limits, locks, ours
from rootcellar.backends import Ask
from rootcellar.errors import Busy, KeychainFailed, NoSecret, Refusal
from rootcellar.keychain import Keychain
from rootcellar.secret_index import Index, Kind
from rootcellar.secrets import Secret
from rootcellar.sqlite.cipher import Key
from rootcellar.telemetry import LOG

AUDIT, REQUEST_STATE = "ours.audit", "ours.request-state"
_MAKING_S: Final = 3 * limits.KEYCHAIN_QUIET_S
_OURS_FOR: Final = {AUDIT: "the audit trail", REQUEST_STATE: "questions on their way to the user and back"}


def name_of(salt: bytes) -> str:
    """The name a database's key has in the keychain."""
    return f"database.{salt.hex()}"


@dataclass(slots=True)
class _Held:
    secret: Secret
    until: float


@dataclass(slots=True)
class Keys:
    """A `KeyProvider` over the keychain. Make it before any thread is fenced in."""

    directory: Callable[[], str]  # our data directory
    keychain: Keychain = field(default_factory=Keychain)
    by_path: Mapping[str, str] = field(default_factory=dict)  # from the settings: absolute path to secret's name
    _held: dict[str, _Held] = field(default_factory=dict, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def index(self) -> Index:
        """The names, without values."""
        return Index(self.directory())

    def refer(self, references: Mapping[str, str]) -> None:
        """Use what the settings say: absolute path of a database to the name of its key."""
        self.by_path = {ambient.real_path(path): name for path, name in references.items()}

    def key_for(self, database: str, salt: bytes) -> Key | None:
        """The key of this database; None when there is none. A keychain that fails is a refusal of its own."""
        names = [self.by_path.get(database), name_of(salt) if salt else None]
        for name in filter(None, names):
            with self._turn:
                held = self._fresh(name)
                if held is None:
                    held = self._fetched(name, is_named=name == names[0])
                if held is not None:
                    return Key.passphrase(held.reveal())
        return None

    def clear(self) -> None:
        """Forget what is held."""
        with self._turn:
            for held in self._held.values():
                held.secret.clear()
            self._held.clear()

    def ours(self, name: str) -> Secret | None:
        """A key of our own, made on first use; None where the keychain does not give one unasked."""
        try:
            made = self.keychain.apart(lambda: self._made(name), _MAKING_S)
        except (KeychainFailed, Busy) as refusal:
            LOG.info("no key for %s: %s", _OURS_FOR[name], refusal.message)
            return None
        self.keychain.later(lambda: self._note_ours(name))
        return made

    def _made(self, name: str) -> Secret:
        """The one that is there; of several processes that find none, one makes it."""
        with suppress(NoSecret):
            return self.keychain.get(name, Ask.NOBODY)
        directory = self.directory()
        with locks.locked(f"{directory}/{name}", f"{directory}/locks"):
            with suppress(NoSecret):
                return self.keychain.get(name, Ask.NOBODY)
            made = Secret.random()
            self.keychain.put(name, made, Ask.NOBODY)
            return made

    def _note_ours(self, name: str) -> None:
        if name in self.index.all():
            self.index.used(name)
        else:
            self.index.note(name, Kind.OURS, _OURS_FOR[name])

    def _fresh(self, name: str) -> Secret | None:
        """What is held and not too old; the rest is cleared."""
        now = time.monotonic()
        for other in [other for other, held in self._held.items() if held.until < now]:
            self._held.pop(other).secret.clear()
        return self._held[name].secret if name in self._held else None

    def _fetched(self, name: str, *, is_named: bool) -> Secret | None:
        known = is_named or name in self.keychain.apart(self.index.all, self.keychain.seconds)
        try:
            secret = self.keychain.get(name, Ask.PERSON if known else Ask.NOBODY)
        except NoSecret:
            if is_named:
                raise
            return None
        except Refusal:
            if known:
                raise
            return None
        self._held[name] = _Held(secret, time.monotonic() + limits.KEY_HELD_S)
        self.keychain.later(lambda: self.index.used(name))
        return secret


@functools.cache
def served() -> Keys:
    """The keys of this server; asked for first while the server is made, before any thread is fenced in."""
    return Keys(ours.data_here)

"""The system's keychain, by its own class for each operating system: the only import of `keyring`.

`keyring.get_keyring()` is never called: it would run whatever module a `keyringrc.cfg` or `PYTHON_KEYRING_BACKEND`
names, and fall back to stores that keep nothing or keep plain text. macOS: Keychain. Windows: Credential Manager.
Linux: the Secret Service (GNOME Keyring, KWallet, KeePassXC), and KWallet's own interface where it does not offer that.

Each secret has a service name of its own, because Credential Manager's backend moves an existing secret, in two writes,
when a second user name arrives. Whatever a backend raises becomes one of our refusals; none of its words are passed on,
for some hold what was sent.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, Final, Protocol

from rootcellar import bus
from rootcellar.errors import KeychainFailed, KeychainLocked, KeychainRefused, KeychainSilent, NoKeychain, Refusal

USER: Final = "rootcellar"
_AT_ONCE_S: Final = 0.5  # a prompt dismissed faster than a person can is one that could not be shown
_SECRETS: Final = "org.freedesktop.secrets"
_KWALLETS: Final = (("org.kde.kwalletd6", "/modules/kwalletd6"), ("org.kde.kwalletd5", "/modules/kwalletd5"))
_MAC_DENIED: Final = ("-128", "-25293", "-25308")


class Ask(Enum):
    """Whether the keychain may show a prompt."""

    PERSON = "person"
    NOBODY = "nobody"


class Backend(Protocol):
    """What `keyring`'s backends do, as far as we use it."""

    def get_password(self, service: str, username: str) -> str | None:
        """The value, or None."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a value."""

    def delete_password(self, service: str, username: str) -> None:
        """Forget a value."""


def service(name: str) -> str:
    """The service name a secret is kept under."""
    return f"rootcellar:{name}"


def title(platform: str) -> str:
    """What the keychain of this system is called."""
    return {"darwin": "Keychain", "win32": "Credential Manager"}.get(platform, "Secret Service")


@contextmanager
def opened(ask: Ask, until: float) -> Iterator[Backend]:
    """The keychain of this system, ready to be asked until a moment of `time.monotonic`; refusals only."""
    logging.getLogger("keyring").setLevel(logging.ERROR)
    try:
        yield _backend(ask, until)
    except Refusal:
        raise
    except _errors() as error:
        raise _refusal(error) from None


def _backend(ask: Ask, until: float) -> Backend:
    if sys.platform == "darwin":
        from keyring.backends.macOS import Keyring as MacKeychain

        return MacKeychain()  # type: ignore[no-untyped-call,unused-ignore]
    if sys.platform == "win32":
        from keyring.backends.Windows import WinVaultKeyring

        vault = WinVaultKeyring()  # type: ignore[no-untyped-call,unused-ignore]
        vault.persist = "local machine"  # type: ignore[assignment,unused-ignore] # not to a domain's other machines
        return vault
    return _linux(ask, until)


def _linux(ask: Ask, until: float) -> Backend:
    address = bus.find(os.environ, os.getuid(), str(Path.home()))
    if address is None:
        raise NoKeychain(
            "no session bus of yours can be found, so no keychain either",
            "log in to a desktop session, or start one: `dbus-run-session`; a keychain is e.g. gnome-keyring",
        )
    from jeepney.io.blocking import open_dbus_connection

    with open_dbus_connection(address) as connection:
        offered = _offered(connection)
    return _secret_service(address, ask, until) if _SECRETS in offered else _kwallet(offered, address)


def _offered(connection: Any) -> set[str]:
    """The names on the bus: running, or started when called."""
    from jeepney.bus_messages import message_bus
    from jeepney.io.blocking import Proxy

    bus_itself = Proxy(message_bus, connection, timeout=2.0)
    return {*bus_itself.ListNames()[0], *bus_itself.ListActivatableNames()[0]}


def _kwallet(offered: set[str], address: str) -> Backend:
    """KWallet by its own interface, where it is and dbus-python is too."""
    found = next(((name, path) for name, path in _KWALLETS if name in offered), None)
    if found is not None:
        os.environ[bus.VARIABLE] = address  # libdbus knows no other way; our children are given a list of our own
        from keyring.backends import kwallet

        if hasattr(kwallet, "dbus"):

            class Wallet(kwallet.DBusKeyring):
                appid = USER

            Wallet.bus_name, Wallet.object_path = found
            return Wallet()  # type: ignore[no-untyped-call,unused-ignore]
    raise NoKeychain(
        "no keychain is on the session bus", "install gnome-keyring, KWallet or KeePassXC, and log in anew"
    )


def _secret_service(address: str, ask: Ask, until: float) -> Backend:
    """Keyring's Secret Service over our own connection, whose prompts end with the deadline."""
    from jeepney.io.blocking import open_dbus_connection
    from keyring.backends import SecretService
    from secretstorage import Collection, create_collection
    from secretstorage.exceptions import ItemNotFoundException, PromptDismissedException
    from secretstorage.util import add_match_rules

    class OurBus(SecretService.Keyring):
        appid = USER

        def get_preferred_collection(self) -> Collection:
            """The default collection, unlocked; whoever asked closes its connection."""
            connection = open_dbus_connection(address)
            try:
                add_match_rules(connection)
                return self._unlocked(connection)
            except BaseException:
                connection.close()
                raise

        def _unlocked(self, connection: Any) -> Collection:
            began = time.monotonic()
            try:
                collection = Collection(connection)
            except ItemNotFoundException:
                if ask is Ask.NOBODY:
                    raise _locked("has no collection yet") from None
                try:
                    return create_collection(connection, "Default", "default")
                except PromptDismissedException:
                    raise _dismissed(began, "has no collection yet") from None
            if not collection.is_locked():
                return collection
            if ask is Ask.NOBODY:
                raise _locked("is locked")
            dismissed = collection.unlock(timeout=max(0.1, until - time.monotonic()))
            if dismissed or collection.is_locked():
                raise _dismissed(began, "is locked")
            return collection

    return OurBus()  # type: ignore[no-untyped-call,unused-ignore]


def _locked(state: str) -> KeychainLocked:
    return KeychainLocked(f"the keychain {state}", "log in to your desktop, unlock the keychain there, then try again")


def _dismissed(began: float, state: str) -> Refusal:
    if time.monotonic() - began < _AT_ONCE_S:
        return _locked(f"{state}, and its prompt could not be shown")
    return KeychainRefused("its prompt was dismissed", "try again, and unlock the keychain when it asks")


def _errors() -> tuple[type[BaseException], ...]:
    """What backends are known to raise; beyond `keyring`'s own errors also their libraries'."""
    known: list[type[BaseException]] = [
        OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError,
        ImportError,
    ]  # fmt: skip
    with suppress(ImportError):
        from keyring.errors import KeyringError

        known.append(KeyringError)
    if sys.platform.startswith("linux"):
        with suppress(ImportError):
            from jeepney import DBusErrorResponse
            from secretstorage.exceptions import SecretStorageException

            known += [DBusErrorResponse, SecretStorageException]
    if sys.platform == "win32":
        with suppress(ImportError):
            from win32ctypes.pywin32 import pywintypes

            known.append(pywintypes.error)
    return tuple(known)


def _refusal(error: BaseException) -> Refusal:
    """What went wrong, by the kind of the error; never by its text."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, TimeoutError):
        return silent()
    if "KeyringLocked" in kinds or "LockedException" in kinds:
        return _locked("is locked")
    if kinds & {"PromptDismissedException", "InitError"}:
        return KeychainRefused("its prompt was dismissed", "try again, and unlock the keychain when it asks")
    if kinds & {"SecretServiceNotAvailableException", "NoKeyringError", "ConnectionError", "ImportError"}:
        return NoKeychain("the keychain cannot be reached", "see that it runs: `rootcellar doctor`")
    if any(code in str(error) for code in _MAC_DENIED) and sys.platform == "darwin":
        return KeychainRefused("macOS denied access to the keychain", "allow it when it asks, or in Keychain Access")
    return KeychainFailed(f"the keychain failed ({type(error).__name__})", "see `rootcellar secret test`")


def silent() -> KeychainSilent:
    """Nobody has answered."""
    return KeychainSilent(
        "the keychain did not answer in time; it may be waiting for its password in a window of its own",
        "answer that window, then try again",
    )

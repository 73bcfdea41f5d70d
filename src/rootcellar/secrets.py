"""A value that must never be seen: it shows nothing of itself, is read late and can be cleared.

Threats: a value that is printed with what holds it (`repr`, f-strings, logging, a debugger's locals), pickled, copied
into a dataclass's `asdict`, compared in a time that tells how much of it fits, or left in memory for longer than it is
needed. Python's texts cannot be overwritten, so the value is kept as bytes that can, and made a text only by `reveal`,
whose callers hand it to a keychain or to a worker's pipe and keep nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final, NoReturn

from rootcellar import limits
from rootcellar.errors import BadArgument, TooLarge

NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{limits.SECRET_NAME_CHARS_MAX - 1}}}")
REFERENCE: Final = "keychain:"
_RANDOM_BYTES: Final = 32


class Secret:
    """A value whose every picture is `Secret(...)`."""

    __slots__ = ("_held",)

    def __init__(self, value: str) -> None:
        self._held = bytearray(value.encode("utf-8", "surrogateescape"))

    @classmethod
    def random(cls) -> Secret:
        """A new one of 256 bits, as 64 hexadecimal digits."""
        return cls(secrets.token_hex(_RANDOM_BYTES))

    def reveal(self) -> str:
        """The value: for a keychain or a worker's pipe, and nothing else."""
        return self._held.decode("utf-8", "surrogateescape")

    def clear(self) -> None:
        """Overwrite the value; it is empty from now on."""
        self._held[:] = bytes(len(self._held))
        del self._held[:]

    def __len__(self) -> int:
        """Its size in bytes."""
        return len(self._held)

    def __eq__(self, other: object) -> bool:
        """Whether both are the same, in a time that does not tell."""
        return isinstance(other, Secret) and hmac.compare_digest(self._held, other._held)

    __hash__ = None  # type: ignore[assignment] # a hash would be a picture of it

    def __repr__(self) -> str:
        """Nothing of the value."""
        return "Secret(...)"

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        """Nothing of the value, in any format."""
        return format("Secret(...)", form)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """A secret is not pickled or copied."""
        message = "a secret is not written down"
        raise TypeError(message)


def check_name(name: str) -> str:
    """The name itself, if a secret may have it."""
    if NAME.fullmatch(name):
        return name
    raise BadArgument(
        "a secret's name is 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit",
        "choose such a name; the value is asked for, never part of the command",
    )


def check_size(secret: Secret, platform: str) -> None:
    """Refuse what this system's keychain would not keep whole, before anything is written."""
    if not len(secret):
        raise BadArgument("the value is empty", "give one, or remove the secret")
    if len(secret) > limits.SECRET_BYTES_MAX:
        raise TooLarge(
            f"the value has {len(secret):,} bytes, a secret at most {limits.SECRET_BYTES_MAX:,}",
            "keep a key here, and encrypt the rest with it",
        )
    units = len(secret.reveal().encode("utf-16-le", "surrogatepass")) // 2
    most = limits.SECRET_WINDOWS_UNITS_MAX
    if platform == "win32" and units > most:
        raise TooLarge(
            f"the value has {units:,} characters, and Windows' Credential Manager keeps {most:,}",
            "keep a key here, and encrypt the rest with it",
        )


def reference(value: str) -> str:
    """The name in `keychain:NAME`. BadArgument for anything else, without a word of what was there."""
    name = value.removeprefix(REFERENCE)
    if name != value and NAME.fullmatch(name):
        return name
    raise BadArgument(
        "a secret value stands where only a reference may",
        "keep it with `rootcellar secret set NAME`, and write `keychain:NAME` there",
    )

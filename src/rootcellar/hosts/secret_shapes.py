"""What looks like a secret's value: by its own shape, or by the name it has. References and placeholders are none.

The shapes are the prefixes that issuers give their tokens, private keys, raw database keys and passwords in addresses.
Nothing here ever repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rootcellar.errors import BadArgument

_SHAPES: Final = re.compile(
    r"""\b(?: sk-[\w-]{20,} | gh[pousr]_\w{30,} | github_pat_\w{30,} | glpat-[\w-]{20,} | npm_\w{36}
    | xox[abeprs]-[\w-]{10,} | AKIA[0-9A-Z]{16} | AIza[\w-]{35} | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.
    | hf_\w{30,} | dop_v1_[0-9a-f]{40,} | (?:sk|rk)_live_\w{20,} )
    | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY | x'[0-9a-fA-F]{64} | ://[^/\s:@]*:[^/\s:@]{3,}@""",
    re.VERBOSE,
)
_WORDS: Final = re.compile("[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_LAST_WORDS: Final = frozenset(
    [
        "key",
        "apikey",
        "token",
        "secret",
        "password",
        "passwd",
        "passphrase",
        "pat",
        "auth",
        "authorization",
        "credentials",
    ]
)
_ENTERED_BY_HOST: Final = re.compile(r"\$\{?\w|\{(?:env|file|input):|%\w+%|^(?:keychain|op|vault|secret|file|env)[:/]")
_PLACEHOLDER: Final = re.compile(
    r"(?i)^(?:<.*>|\[.*\]|x{3,}|\*+|your[-_ ].*|changeme|todo|none|null|true|false|\d{0,6})?$"
)


def is_secret(value: str, name: str = "") -> bool:
    """Whether this looks like a secret's value, by itself or by its name."""
    if _ENTERED_BY_HOST.search(value) or _PLACEHOLDER.match(value):
        return False
    if _SHAPES.search(value):
        return True
    words = _WORDS.findall(name)
    named = bool(words) and words[-1].lower() in _LAST_WORDS
    return named and not value.startswith(("/", "~", "./")) and "\\" not in value


def check_words(words: Sequence[str]) -> None:
    """Refuse to write a secret into a host's config, without repeating it."""
    if any(_SHAPES.search(word) for word in words):
        raise BadArgument(
            "the entry would hold what looks like a secret, readable by every program of yours",
            "keep it with `rootcellar secret set NAME`, and refer to it in config.toml as `keychain:NAME`",
        )

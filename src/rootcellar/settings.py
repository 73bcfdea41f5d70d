"""What the user decided, resolved once: flags over environment over `config.toml` over defaults.

Pure: the command line hands in the flags, the environment and the text of the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from rootcellar.errors import BadArgument
from rootcellar.policy import SEALED, Confirm, Policy

ENVIRONMENT = "ROOTCELLAR_"


class ClientRoots(Enum):
    """What the client's roots mean where the user granted some too."""

    NARROW = "narrow"
    ADD = "add"
    IGNORE = "ignore"


class LogLevel(Enum):
    """How much goes to stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Flags:
    """The command line as it was typed; None where nothing was."""

    roots: Sequence[str] | None = None
    roots_read_only: Sequence[str] | None = None
    client_roots: str | None = None
    read_only: str | None = None
    seal: Sequence[str] | None = None
    confirm: str | None = None
    log_level: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's settings; every field has its default here."""

    roots: tuple[str, ...] = ()
    roots_read_only: tuple[str, ...] = ()
    client_roots: ClientRoots = ClientRoots.NARROW
    policy: Policy = field(default_factory=Policy)
    log_level: LogLevel = LogLevel.WARNING
    databases: Mapping[str, str] = field(default_factory=dict)  # a database's path to the name of its key

    def with_roots(self, absolute: Callable[[str], str]) -> Settings:
        """The same settings, every folder and database spelled as an absolute path."""
        return replace(
            self,
            roots=tuple(absolute(root) for root in self.roots),
            roots_read_only=tuple(absolute(root) for root in self.roots_read_only),
            databases={absolute(path): name for path, name in self.databases.items()},
        )


_LISTS = ("roots", "roots_read_only", "seal")
_WORDS: Mapping[str, type[Enum]] = {"client_roots": ClientRoots, "confirm": Confirm, "log_level": LogLevel}
_SWITCHES = ("read_only",)
_DATABASES = "databases"  # in the file only: a table of paths, each with `keychain:NAME`
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def resolve(flags: Flags, environ: Mapping[str, str], config: str, *, config_name: str, separator: str) -> Settings:
    """Flags over environment over `config` (TOML text, "" when absent) over defaults.

    `separator` splits the lists in the environment (`:` on POSIX, `;` on Windows). Raises BadArgument, naming the
    flag, the variable or the line that cannot be meant.
    """
    layers = (_flags(flags), _environment(environ, separator), _config(config, config_name))

    def first(name: str, default: Any) -> Any:  # noqa: ANN401 - one of str, bool, list
        return next((layer[name] for layer in layers if name in layer), default)

    return Settings(
        roots=tuple(first("roots", ())),
        roots_read_only=tuple(first("roots_read_only", ())),
        client_roots=first("client_roots", ClientRoots.NARROW),
        policy=Policy(
            read_only=first("read_only", default=False),
            sealed=SEALED + tuple(first("seal", ())),
            confirm=first("confirm", Confirm.ASK),
        ),
        log_level=first("log_level", LogLevel.WARNING),
        databases=first(_DATABASES, {}),
    )


def _flags(flags: Flags) -> dict[str, Any]:
    given = {name: getattr(flags, name) for name in (*_LISTS, *_WORDS, *_SWITCHES)}
    said = {name: value for name, value in given.items() if value is not None}
    return {name: _meaning(name, value, f"`--{name.replace('_', '-')}`") for name, value in said.items()}


def _environment(environ: Mapping[str, str], separator: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (*_LISTS, *_WORDS, *_SWITCHES):
        variable = ENVIRONMENT + name.upper()
        if variable in environ:
            text = environ[variable]
            value = [part for part in text.split(separator) if part] if name in _LISTS else text
            found[name] = _meaning(name, value, f"`{variable}`")
    return found


def _config(text: str, config_name: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadArgument(f"`{config_name}` is not TOML: {error}", "mend that line, or remove the file") from None
    known = {*_LISTS, *_WORDS, *_SWITCHES, _DATABASES}
    for name in table:
        if name not in known:
            raise BadArgument(f"`{config_name}` has an unknown key `{name}`", f"known keys: {', '.join(sorted(known))}")
    return {name: _meaning(name, value, f"`{name}` in `{config_name}`") for name, value in table.items()}


def _meaning(name: str, value: object, where: str) -> Any:  # noqa: ANN401 - one of str, bool, list, Enum
    """The typed value, or BadArgument that says what may stand there."""
    if name == _DATABASES:
        from rootcellar.secrets import reference  # few have such a table, and every start would pay for it

        if isinstance(value, dict) and all(isinstance(part, str) for part in value.values()):
            return {path: reference(part) for path, part in value.items()}
        raise BadArgument(f"{where} must be a table of texts", 'for example "~/books.db" = "keychain:books"')
    if name in _LISTS:
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return [str(part) for part in value]
        raise BadArgument(f"{where} must be a list of texts", 'for example ["~/notes", "~/code"]')
    if name in _WORDS:
        words = [str(member.value) for member in _WORDS[name]]
        if isinstance(value, str) and value.lower() in words:
            return _WORDS[name](value.lower())
        raise BadArgument(f"{where} must be one of {', '.join(words)}")
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise BadArgument(f"{where} must be true or false")
    return text in _TRUE

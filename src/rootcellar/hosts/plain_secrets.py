"""Secret values that stand readable in hosts' configs, written there by others. Only where is told, never the value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rootcellar import ambient
from rootcellar.errors import Refusal
from rootcellar.hosts.edit import Target, entry_of
from rootcellar.hosts.secret_shapes import is_secret
from rootcellar.hosts.tree import Value
from rootcellar.hosts.where import Place

_SWITCH: Final = re.compile(r"^--?([\w-]+)(?:=(.+))?$", re.DOTALL)


def found_in(place: Place) -> list[str]:
    """Where in this config secrets stand readable: `server: the name of the variable, header or switch`."""
    target = place.target("any")
    try:
        servers = entry_of(Target(target.name, target.form, target.path[:-1]), ambient.read(place.path).data)
    except Refusal:
        return []  # what cannot be read is told elsewhere
    named = servers.items() if isinstance(servers, Mapping) else [(str(n), one) for n, one in _counted(servers)]
    return sorted({f"{server}: {where}" for server, entry in named for where in _secrets(entry, "")})


def _counted(servers: Value | None) -> Iterator[tuple[object, Value]]:
    """The servers of a host that lists them, by their own names."""
    for number, one in enumerate(servers if isinstance(servers, Sequence) and not isinstance(servers, str) else ()):
        yield one.get("name", number) if isinstance(one, Mapping) else number, one


def _secrets(value: Value | None, name: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner_name, inner in value.items():
            yield from _secrets(inner, str(inner_name))
    elif isinstance(value, str):
        if is_secret(value, name):
            yield name
    elif isinstance(value, Sequence):
        before = ""
        for inner in value:
            switch = _SWITCH.match(inner) if isinstance(inner, str) else None
            if switch and switch[2] and is_secret(switch[2], switch[1]):
                yield f"--{switch[1]}"
            elif isinstance(inner, str) and not switch and is_secret(inner, before):
                yield f"--{before}" if before else f"an item of {name}"
            elif not isinstance(inner, str):
                yield from _secrets(inner, name)
            before = switch[1] if switch and not switch[2] else ""

"""Which secrets there are: names, what uses them, when they were made and last used; never a value.

A keychain cannot be asked on every system for what it holds, and would tell everything that is in it. So we keep a list
of our own, one JSON file in our data directory, replaced whole and under a lock. It is no authority: a secret that it
has lost is still found by its name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any, Final

from rootcellar import ambient, limits, locks
from rootcellar.errors import TooLarge

_FILE: Final = "secrets.json"


class Kind(Enum):
    """What a secret is for."""

    VALUE = "value"  # the user's config refers to it as `keychain:NAME`
    DATABASE = "database"  # its name is the identity of an encrypted file
    OURS = "ours"  # the audit chain, the state of questions on the way


@dataclass(frozen=True, slots=True)
class Known:
    """One secret, without its value."""

    name: str
    kind: Kind
    unlocks: str = ""  # what uses it, for people: the path of a database as it was then
    created: str = ""
    used: str = ""


def now() -> str:
    """Tell the time as the index writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Index:
    """The list, kept in a directory of ours."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/{_FILE}"
        self._locks = f"{directory}/locks"

    def all(self) -> dict[str, Known]:
        """Every secret known, by name."""
        return _parsed(ambient.read(self._path).data)

    def note(self, name: str, kind: Kind, unlocks: str = "") -> None:
        """A secret was kept under this name; what was known of an older one stays, but for what is said now."""

        def change(known: dict[str, Known]) -> None:
            if name not in known and len(known) >= limits.SECRETS_MAX:
                raise TooLarge(f"there are {len(known):,} secrets already", "remove some: `rootcellar secret list`")
            old = known.get(name)
            known[name] = Known(name, kind, unlocks or (old.unlocks if old else ""), now(), old.used if old else "")

        self._change(change)

    def used(self, name: str) -> None:
        """A secret was used now; written once in an hour."""
        old = self.all().get(name)
        if old is None or (old.used and _age(old.used) < limits.SECRET_USED_EVERY_S):
            return

        def change(known: dict[str, Known]) -> None:
            if name in known:
                known[name] = replace(known[name], used=now())

        self._change(change)

    def forget(self, name: str) -> None:
        """There is no such secret any more."""
        if name in self.all():
            self._change(lambda known: known.pop(name, None))

    def _change(self, change: Callable[[dict[str, Known]], object]) -> None:
        with locks.locked(self._path, self._locks):
            reading = ambient.read(self._path)
            known = _parsed(reading.data)
            change(known)
            rows = {name: {**_plain(one), "kind": one.kind.value} for name, one in sorted(known.items())}
            ambient.replace(reading, (json.dumps({"version": 1, "secrets": rows}, indent=2) + "\n").encode())


def _plain(known: Known) -> dict[str, Any]:
    told = asdict(known)
    del told["name"]
    return told


def _age(stamp: str) -> float:
    import calendar

    try:
        return time.time() - calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return float("inf")


def _parsed(data: bytes | None) -> dict[str, Known]:
    """What the file says; a damaged one knows nothing, for it is no authority."""
    try:
        rows = json.loads(data or b"{}").get("secrets", {})
    except (ValueError, AttributeError):
        return {}
    known: dict[str, Known] = {}
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        try:
            texts = [str(row.get(word, "")) for word in ("unlocks", "created", "used")]
            known[name] = Known(name, Kind(row["kind"]), *texts)
        except (KeyError, ValueError, AttributeError, TypeError):
            continue
    return known

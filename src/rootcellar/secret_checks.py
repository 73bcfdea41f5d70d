"""What `doctor` says about secrets: whether the audit trail is whole, and what is readable in hosts' configs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rootcellar import audit, keys, ours
from rootcellar.backends import Ask
from rootcellar.checks import Level, Told
from rootcellar.errors import KeychainFailed, NoSecret, Refusal
from rootcellar.hosts.plain_secrets import found_in
from rootcellar.hosts.where import Place
from rootcellar.keys import Keys


def looked_at(places: Iterable[Place]) -> Iterator[Told]:
    """Everything about secrets that can be seen without asking anybody."""
    yield trail(Keys(ours.data_here))
    for place in places:
        if found := found_in(place):
            yield Told(
                place.host.title, Level.LOOK, f"{place.name} holds what looks like secrets: {', '.join(found)}",
                "every program of yours can read them there: use what that host offers to ask for them",
            )  # fmt: skip


def trail(held: Keys) -> Told:
    """Whether the audit trail is whole."""
    try:
        return Told("audit trail", Level.GOOD, audited(held))
    except Refusal as refusal:
        return Told("audit trail", Level.BAD, refusal.message, refusal.hint)


def audited(held: Keys) -> str:
    """How the audit trail is; a Refusal where it was altered."""
    try:
        key = bytes.fromhex(held.keychain.get(keys.AUDIT, Ask.NOBODY).reveal())
    except (NoSecret, KeychainFailed):
        key = b""
    found = audit.verify(held.directory(), key)
    if found.broken_at:
        raise Refusal(f"line {found.broken_at} was altered, or one before it is missing", "look at it in a backup")
    if not found.lines:
        return "no change was made yet"
    unkeyed = found.lines - found.keyed
    more = (
        f", {unkeyed:,} of them without a key (no keychain gave one unasked): they show damage, not forgery"
        if unkeyed
        else ""
    )
    blind = "; the key is out of reach, so only their order was checked" if found.keyed and not key else ""
    return f"{found.lines:,} lines, whole{more}{blind}; the last is {found.last}"

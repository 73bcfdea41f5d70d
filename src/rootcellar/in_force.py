"""Which roots are in force: what the user granted and what the client offers, put together. Asks nobody."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rootcellar import limits
from rootcellar.confine import Dropped, Grant, Ground, Root, Roots
from rootcellar.confine.uris import NoPath, System, path_of
from rootcellar.policy import Access, Policy
from rootcellar.settings import ClientRoots, Settings


@dataclass(frozen=True, slots=True)
class Offer:
    """What the client said its roots are: as sent, or why there are none."""

    uris: tuple[str, ...] = ()
    failure: str = ""


def in_force(ground: Ground, settings: Settings, offer: Offer | None) -> Roots:
    """The roots for one call, from what the user granted and what the client offers; never raises a Refusal.

    | the client gives roots | some are granted | in force |
    |---|---|---|
    | yes | no | the client's |
    | no | yes | the granted ones |
    | yes | yes | `narrow`: those of either that lie inside one of the other; `add`: both; `ignore`: the granted ones |
    | no | no | none, and the reasons are kept |
    """
    policy = settings.policy
    granted = _granted(settings)
    offered, dropped = _offered(offer, policy)
    if not offered or not granted or settings.client_roots is ClientRoots.ADD:
        return ground.roots([*granted, *offered], policy, dropped)
    ours, theirs = ground.roots(granted, policy), ground.roots(offered, policy)
    kept: list[Grant] = []
    dropped += [*ours.dropped, *theirs.dropped]
    for root in theirs.roots:
        around = _around(root, ours.roots)
        if around is not None and policy.seals(tuple(around.relative(root.real) or ())):
            told = "it is sealed in the granted folder; name it after `serve` to grant it"
            dropped.append(Dropped(root.path, "client", told))
        elif around is not None:
            kept.append(Grant(root.path, around.access, f"client, inside the granted `{around.name}`"))
        elif not any(_around(inner, [root]) for inner in ours.roots):
            dropped.append(
                Dropped(root.path, "client", "it lies outside the granted folders; `--client-roots add` would keep it")
            )
    for root in ours.roots:
        if _around(root, theirs.roots) is not None:
            kept.append(Grant(root.path, root.access, "granted, inside a root of the client"))
        elif not any(_around(inner, [root]) for inner in theirs.roots):
            dropped.append(
                Dropped(root.path, "granted", "the client's roots leave it out; `--client-roots add` would keep it")
            )
    return ground.roots(kept, policy, dropped)


def wants_client_roots(settings: Settings) -> bool:
    """Whether the client's roots matter at all."""
    return settings.client_roots is not ClientRoots.IGNORE


def _granted(settings: Settings) -> list[Grant]:
    """What the user named; a folder named both ways is read-only, and so is everything on a read-only server."""
    usual = Access.READ_ONLY if settings.policy.read_only else Access.READ_WRITE
    return [Grant(path, usual) for path in settings.roots] + [
        Grant(path, Access.READ_ONLY) for path in settings.roots_read_only
    ]


def _offered(offer: Offer | None, policy: Policy) -> tuple[list[Grant], list[Dropped]]:
    """The client's roots as grants, and what of its answer names no directory of this machine."""
    if offer is None:
        return [], []
    if offer.failure:
        return [], [Dropped("the client's roots", "client", offer.failure)]
    if not offer.uris:
        return [], [Dropped("the client's roots", "client", "its list is empty: no folder is open there")]
    access = Access.READ_ONLY if policy.read_only else Access.READ_WRITE
    system = System.WINDOWS if sys.platform == "win32" else System.POSIX
    grants: list[Grant] = []
    dropped: list[Dropped] = []
    for uri in dict.fromkeys(offer.uris):
        path = path_of(uri, system)
        if isinstance(path, NoPath):
            dropped.append(Dropped(uri[: limits.URI_SHOWN_CHARS], "client", path.reason))
        else:
            grants.append(Grant(path, access, "client"))
    return grants, dropped


def _around(root: Root, others: Sequence[Root]) -> Root | None:
    """The innermost of the others that is this directory or one above it."""
    below = [(other.relative(root.real), other) for other in others]
    fits = [(len(rest), index) for index, (rest, _) in enumerate(below) if rest is not None]
    return below[min(fits)[1]][1] if fits else None

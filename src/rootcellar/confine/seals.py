"""Which real places inside a root are sealed. Pure: the walker asks for every name it is about to open.

A seal holds for where a name really is, not for how it was asked for: the walker passes real components, after links.
Patterns are matched with the root's own path before them (`Library/Keychains` holds in a root `~/Library`), unless the
user granted something sealed as a root: then only what is below it counts.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rootcellar.confine.names import ignorable_removed
from rootcellar.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class _Last:
    """The last components of all patterns, by how quickly a name can be compared with them."""

    exact: frozenset[str]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    rest: re.Pattern[str] | None

    def may_hold(self, name: str) -> bool:
        """Whether a name could end a sealed path; nearly always no, and then nothing more is asked."""
        folded = name.lower() if name.isascii() else ignorable_removed(name).casefold()
        return (
            folded in self.exact
            or folded.startswith(self.starts)
            or folded.endswith(self.ends)
            or (self.rest is not None and bool(self.rest.fullmatch(folded)))
        )

    def may_hold_any(self, names: list[str]) -> bool:
        """The same for a whole directory at once, in a fraction of the time."""
        joined = "\n".join(names).lower()
        if self.rest is not None or not joined.isascii():
            return any(map(self.may_hold, names))
        framed = f"\n{joined}\n"
        return (
            not self.exact.isdisjoint(joined.split("\n"))
            or any(f"\n{start}" in framed for start in self.starts)
            or any(f"{end}\n" in framed for end in self.ends)
        )


@functools.cache
def _last(patterns: tuple[str, ...]) -> _Last:
    exact, starts, ends, rest = set(), [], [], []
    for pattern in patterns:
        name = pattern.casefold().strip("/").rpartition("/")[2]
        wild = len(re.findall(r"[*?]", name))
        if not wild:
            exact.add(name)
        elif wild == 1 and name.endswith("*"):
            starts.append(name[:-1])
        elif wild == 1 and name.startswith("*"):
            ends.append(name[1:])
        else:
            rest.append("".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in name))
    shapes = re.compile("(?s:" + "|".join(rest) + ")") if rest else None
    return _Last(frozenset(exact), tuple(starts), tuple(ends), shapes)


class Seals:
    """The seals of one root under one policy."""

    __slots__ = ("_above", "_policy", "may_hold", "may_hold_any")

    def __init__(self, policy: Policy, above: Iterable[str]) -> None:
        path = tuple(above)
        self._policy = policy
        self._above = () if policy.seals(path) else path
        self.may_hold = _last(policy.sealed).may_hold
        self.may_hold_any = _last(policy.sealed).may_hold_any

    def hold(self, parents: tuple[str, ...], name: str) -> bool:
        """Whether `name` is sealed in a real directory that is not."""
        return self.may_hold(name) and self._hold((*parents, name))

    def hold_any(self, parts: tuple[str, ...]) -> bool:
        """Whether a real path is sealed, or lies below something sealed."""
        return any(map(self.may_hold, parts)) and self._hold(parts)

    def _hold(self, parts: tuple[str, ...]) -> bool:
        plain = tuple(ignorable_removed(part) for part in parts)
        return self._policy.seals((*self._above, *plain)) or self._policy.seals(plain)

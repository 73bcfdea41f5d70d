"""Which directories are open for a call, and which of them a path argument means.

Threats: a root's name that comes to mean another directory while we serve (replaced by a link, or by a copy); system
directories granted by mistake; `/x/root` taken for a prefix of `/x/root-evil`; a read-only root reached through a
read-write one around it. Algorithm: a name is resolved and opened at every call, and the directory it meant at first
sight must still be the one it means, unless it was seen missing in between and came back at the same real place. An
argument only ever *chooses* a root and a name in it, as text; a wrong choice finds nothing, it never leads outside.

A root's handle is shared by all that use it and closed when the last of them goes (CPython closes at once), so
nothing can use a closed handle, and a disk that nobody uses can be ejected.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.confine import names
from rootcellar.confine._open import Backend
from rootcellar.confine.entry import Entry
from rootcellar.confine.refusals import outside
from rootcellar.confine.seals import Seals
from rootcellar.confine.witness import UNWATCHED, Witness
from rootcellar.errors import NameTooLong, NoRoots, NotFound, OutsideRoots
from rootcellar.policy import Access, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOLD_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Grant:
    """A directory that is offered as a root: `path` is absolute, as spelled by whoever grants it."""

    path: str
    access: Access = Access.READ_WRITE
    source: str = "granted"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A root that is not in force, and why."""

    path: str
    source: str
    reason: str


class Anchor:
    """An open directory; closed when nothing refers to it any more.

    By `weakref.finalize`, not `__del__`: that runs while weak references still lead here, so another thread could take
    up an anchor whose handle is being closed, and with it whatever gets that number next.
    """

    __slots__ = ("__weakref__", "backend", "handle", "identity", "real")

    def __init__(self, backend: Backend, handle: int, real: str) -> None:
        self.backend, self.handle, self.real = backend, handle, real
        weakref.finalize(self, backend.close, handle).atexit = False
        self.identity = backend.lstat(handle, ".").identity


@dataclass(frozen=True, slots=True, eq=False)
class Root:
    """A granted directory, held open by handle: `name` is unique and short, `path` as it was spelled."""

    name: str
    path: str
    access: Access
    source: str
    anchor: Anchor = field(repr=False)
    policy: Policy = field(repr=False)
    is_only: bool = True
    spellings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    nested: tuple[tuple[tuple[str, ...], Access], ...] = ()
    seals: Seals = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = self.backend.split(self.anchor.real)[1]
        object.__setattr__(self, "seals", Seals(self.policy, parts))

    @property
    def backend(self) -> Backend:
        """How to act on this system."""
        return self.anchor.backend

    @property
    def handle(self) -> int:
        """The open directory; valid as long as this root is referred to."""
        return self.anchor.handle

    @property
    def real(self) -> str:
        """The path without links, at the time it was opened."""
        return self.anchor.real

    def relative(self, path: str) -> list[str] | None:
        """The components below this root of an absolute path that spells it in one of its ways, or None."""
        anchor, found = self.backend.split(path)
        best = self._match(anchor, [self.backend.check(name) for name in found])
        return None if best is None else found[best:]

    def _match(self, anchor: str, found: Sequence[str]) -> int | None:
        """How many leading components spell this root, by its longest spelling that fits; None when none does."""
        fold = self.backend.folds_names
        wanted = [_spelled(name, fold) for name in found]
        fits = [
            len(parts)
            for mark, parts in self.spellings
            if _spelled(mark, fold) == _spelled(anchor, fold)
            and wanted[: len(parts)] == [_spelled(name, fold) for name in parts]
        ]
        return max(fits, default=None)

    def below(self, anchor: str, real: tuple[str, ...]) -> tuple[str, ...] | None:
        """The components below this root's real path of an absolute place, or None."""
        mark, mine = self.backend.split(self.real)
        return real[len(mine) :] if mark == anchor and self._begins(real, tuple(mine)) else None

    def place(self, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """A real place in this root as an anchor and the components below it, for a record."""
        mark, mine = self.backend.split(self.real)
        return mark, (*mine, *parts)

    def access_at(self, parts: tuple[str, ...]) -> Access:
        """What is admitted at a real place in this root: the innermost root around it decides."""
        inner = [(len(below), access) for below, access in self.nested if self._begins(parts, below)]
        return max(inner, key=lambda found: found[0])[1] if inner else self.access

    def holds_root(self, parts: tuple[str, ...]) -> bool:
        """Whether a real place is this root or another one, or holds one."""
        return not parts or any(self._begins(below, parts) for below, _ in self.nested)

    def _begins(self, whole: tuple[str, ...], start: tuple[str, ...]) -> bool:
        fold = self.backend.folds_names
        return len(whole) >= len(start) and all(
            _spelled(one, fold) == _spelled(other, fold) for one, other in zip(whole, start, strict=False)
        )


def _spelled(name: str, fold: bool) -> str:  # noqa: FBT001 - a backend's property
    """A name as it is compared: exactly, or as the system folds names."""
    return names.folded(name).casefold() if fold else name


@dataclass(frozen=True, slots=True, eq=False)
class Roots:
    """The roots in force for one call; the only maker of entries."""

    roots: tuple[Root, ...]
    dropped: tuple[Dropped, ...]
    policy: Policy
    witness: Witness = field(default=UNWATCHED, repr=False)

    def witnessed(self, witness: Witness) -> Roots:
        """The same roots, whose entries tell every change to this witness before it is real."""
        return replace(self, witness=witness)

    def at(self, anchor: str, real: tuple[str, ...]) -> Entry:
        """Give the entry at a real absolute place, its names as the disk has them. NoRoots, OutsideRoots."""
        if not self.roots:
            raise self._none()
        fits = [(len(below), root) for root in self.roots if (below := root.below(anchor, real)) is not None]
        if not fits:
            raise self._outside("")
        length, root = min(fits, key=lambda fit: fit[0])
        return Entry(root, tuple(map(names.Exact, real[len(real) - length :])), self.witness)

    def entry(self, path: str) -> Entry:
        """Choose the root a path means and the name in it; nothing is opened. NoRoots, OutsideRoots, BadName."""
        if not self.roots:
            raise self._none()
        backend = self.roots[0].backend
        anchor, found = backend.split(path)
        if not anchor and found[:1] == [".."]:
            raise self._outside(path)
        root, rest = self._absolute(anchor, found) if anchor else self._relative(found)
        if rest[:1] == [".."]:
            raise self._outside(path)
        if len(path) > limits.PATH_BYTES_MAX or len(path.encode("utf-8", "surrogatepass")) > limits.PATH_BYTES_MAX:
            raise NameTooLong("the path is too long", f"use at most {limits.PATH_BYTES_MAX} bytes")
        return Entry(root, tuple(map(backend.check, rest)), self.witness)

    def _absolute(self, anchor: str, found: list[str]) -> tuple[Root, list[str]]:
        """The innermost root whose path begins this one and that its `..` do not leave."""
        try:
            plain = [names.meant(self.roots[0].backend.check(name)) for name in found]
        except OutsideRoots:
            raise self._outside("") from None
        fits = [(len_, root) for root in self.roots if (len_ := root._match(anchor, plain)) is not None]  # noqa: SLF001
        fits.sort(key=lambda fit: -fit[0])
        for length, root in fits:
            if not _leaves(found[length:]):
                return root, found[length:]
        raise self._outside("")

    def _relative(self, found: list[str]) -> tuple[Root, list[str]]:
        if len(self.roots) == 1:
            return self.roots[0], self._without_name(found)
        named = [(len(root.name.split("/")), root) for root in self.roots]
        for length, root in sorted(named, key=lambda pair: -pair[0]):
            if "/".join(found[:length]) == root.name:
                return root, found[length:]
        first = names.clipped(names.shown(found[0])) if found and found[0] != "." else "."
        raise OutsideRoots(f"`{first}` is none of the roots", f"start the path with {self._told()}")

    def _without_name(self, found: list[str]) -> list[str]:
        """The only root may be named all the same (`root/...`), unless something inside it has that name."""
        root = self.roots[0]
        if found[:1] == [root.name]:
            try:
                Entry(root, (root.backend.check(found[0]),)).lstat()
            except NotFound:
                return found[1:]
        return found

    def _outside(self, path: str) -> OutsideRoots:
        """The refusal; an absolute path outside is not repeated."""
        if path and not self.roots[0].backend.split(path)[0]:
            return outside(names.clipped(names.shown(path)))
        return OutsideRoots("the path is outside the roots", f"use a path in {self._told()}")

    def _told(self) -> str:
        told = ", ".join(f"`{root.name}`" for root in self.roots[:_TOLD_MAX])
        return told if len(self.roots) <= _TOLD_MAX else f"{told} or another root (`list_roots` shows them)"

    def _none(self) -> NoRoots:
        why = "; ".join(
            f"`{names.clipped(names.shown(lost.path))}` ({lost.source}): {lost.reason}"
            for lost in self.dropped[:_TOLD_MAX]
        )
        hint = "name a directory in the host's configuration (`rootcellar serve DIR`) or open a folder in the host"
        return NoRoots("no root is in force, so there is nothing to work on" + (f": {why}" if why else ""), hint)


def _leaves(parts: Iterable[str]) -> bool:
    """Whether `..` lead above the start, links apart."""
    depth = 0
    for name in parts:
        depth += -1 if name == ".." else name != "."
        if depth < 0:
            return True
    return False

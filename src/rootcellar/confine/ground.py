"""Opens grants, and remembers which directory each name meant; threats and algorithm are in `roots.py`."""

from __future__ import annotations

import errno
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rootcellar.confine import names, system
from rootcellar.confine._open import Backend, choose
from rootcellar.confine.roots import Anchor, Dropped, Grant, Root, Roots
from rootcellar.policy import Access, Policy

_REMEMBERED_MAX: Final = 1_024


@dataclass(slots=True)
class _Seen:
    """What a name meant at first sight."""

    real: str
    identity: tuple[int, int]
    is_missing: bool = False


class _Unusable(Exception):  # noqa: N818 - becomes a Dropped
    """Why a grant is no root now."""


class Ground:
    """Opens grants, and remembers for as long as the server lives which directory each name meant."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or choose()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._anchors: weakref.WeakValueDictionary[tuple[str, tuple[int, int]], Anchor] = weakref.WeakValueDictionary()
        self._turn = threading.Lock()

    def roots(self, grants: Sequence[Grant], policy: Policy, dropped: Sequence[Dropped] = ()) -> Roots:
        """Open what can be opened; say of the rest why not. Cheap: some system calls for each grant."""
        lost = list(dropped)
        opened: dict[tuple[int, int], list[tuple[Grant, Anchor]]] = {}
        for grant in dict.fromkeys(grants):
            try:
                anchor = self._open(grant.path)
            except _Unusable as why:
                lost.append(Dropped(grant.path, grant.source, str(why)))
            else:
                opened.setdefault(anchor.identity, []).append((grant, anchor))
        return Roots(self._built(list(opened.values()), policy), tuple(lost), policy)

    def _open(self, path: str) -> Anchor:
        """The directory that a granted name means, if it still means it."""
        backend = self._backend
        if why_not := system.why_not(path):
            raise _Unusable(why_not)
        if "\0" in path or not backend.split(path)[0]:
            raise _Unusable("it is not an absolute path")
        with self._turn:
            seen = self._seen.get(path)
            try:
                real = backend.real_path(path)
                if why_not := system.why_not(real):
                    raise _Unusable(why_not)
                anchor = Anchor(backend, backend.open_root(real), real)
            except (OSError, ValueError) as error:
                raise self._why(error, seen) from None
            return self._recognised(path, seen, anchor)

    def _recognised(self, path: str, seen: _Seen | None, anchor: Anchor) -> Anchor:
        if seen is not None:
            is_same = seen.identity == anchor.identity
            if seen.real != anchor.real or not (is_same or seen.is_missing):
                raise _Unusable("replaced: the name now means another directory than when it was first used; restart")
        self._seen[path] = _Seen(anchor.real, anchor.identity)
        self._seen.move_to_end(path)
        if len(self._seen) > _REMEMBERED_MAX:
            self._seen.popitem(last=False)
        return self._anchors.setdefault((anchor.real, anchor.identity), anchor)

    def _why(self, error: OSError | ValueError, seen: _Seen | None) -> _Unusable:
        code = error.errno if isinstance(error, OSError) else errno.EINVAL
        if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTCONN):
            if seen is not None:
                seen.is_missing = True
            return _Unusable("missing: there is no such directory now; it is tried again at every call")
        told = {
            errno.ENOTDIR: "it is not a directory",
            errno.EACCES: "the system does not let us open it",
            errno.EPERM: "the system does not let us open it",
            errno.ELOOP: "its links lead to themselves, or changed while it was opened",
            errno.ENAMETOOLONG: "its name is too long",
        }
        return _Unusable(told.get(code or 0, "it cannot be opened"))

    def _built(self, opened: list[list[tuple[Grant, Anchor]]], policy: Policy) -> tuple[Root, ...]:
        """Roots with unique names; one directory granted in several ways is one root, as restricted as any of them."""
        split = self._backend.split
        places = [split(same[0][1].real) for same in opened]
        access = [
            Access.READ_ONLY if any(grant.access is Access.READ_ONLY for grant, _ in same) else Access.READ_WRITE
            for same in opened
        ]
        made = []
        for index, same in enumerate(opened):
            anchor, parts = places[index]
            nested = tuple(
                (tuple(other[len(parts) :]), access[number])
                for number, (mark, other) in enumerate(places)
                if mark == anchor and len(other) > len(parts) and other[: len(parts)] == parts
            )
            spelled = [split(path) for grant, held in same for path in (grant.path, held.real)]
            spellings = dict.fromkeys((mark, tuple(name for name in found if name != ".")) for mark, found in spelled)
            grant = same[0][0]
            made.append(
                Root(
                    name=_short(index, [other for _, other in places]),
                    path=grant.path,
                    access=access[index],
                    source=grant.source,
                    anchor=same[0][1],
                    policy=policy,
                    is_only=len(opened) == 1,
                    spellings=tuple(spellings),
                    nested=nested,
                )
            )
        return tuple(made)


def _short(index: int, places: list[list[str]]) -> str:
    """The last component of a root's path, with as many before it as tell it from the others."""
    mine = places[index]
    for length in range(1, len(mine) + 1):
        if sum(other[-length:] == mine[-length:] for other in places) == 1:
            break
    return "/".join(names.shown(name) for name in mine[-length:])

"""How a file's place and description are written into a step's facts, and read from them again. Pure.

Places are real: an anchor (`/`, a drive) and the names below it as the disk has them, whatever bytes these hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rootcellar.confine import Entry, Kind, Roots, Stat
from rootcellar.confine.attributes import Attributes
from rootcellar.journal.changes import Facts


def at(entry: Entry) -> dict[str, Any]:
    """A real entry's place."""
    anchor, parts = entry.root.place(tuple(map(str, entry.parts)))
    return {"anchor": anchor, "parts": list(parts), "shown": str(entry)}


def path(place: Mapping[str, Any]) -> str:
    """The absolute path of a place; a name for the index, nothing is opened by it."""
    anchor, parts = place["anchor"], place["parts"]
    mark = "\\" if "\\" in anchor else "/"
    return anchor + mark.join(parts) if anchor.endswith(mark) else mark.join((anchor, *parts))


def entry(roots: Roots, place: Mapping[str, Any]) -> Entry:
    """The entry at a place, if it lies in the roots in force; OutsideRoots."""
    return roots.at(place["anchor"], tuple(place["parts"]))


def stat(found: Stat) -> dict[str, Any]:
    """A description, as JSON."""
    return {
        "kind": found.kind.value, "size": found.size, "mtime": found.mtime_ns, "atime": found.atime_ns,
        "mode": found.mode, "dev": found.dev, "ino": found.ino, "uid": found.uid, "gid": found.gid,
    }  # fmt: skip


def identity(told: Mapping[str, Any]) -> tuple[int, int]:
    """Which file it was."""
    return told["dev"], told["ino"]


def kind(told: Mapping[str, Any]) -> Kind:
    """What it was."""
    return Kind(told["kind"])


def is_same(told: Mapping[str, Any], found: Stat) -> bool:
    """Whether something is what was told, as far as can be known without reading it: the very file, untouched since."""
    if Kind(told["kind"]) is not found.kind:
        return False
    return (told["size"], told["mtime"]) == (found.size, found.mtime_ns) or (
        found.kind is not Kind.FILE and identity(told) == found.identity
    )


def extended(attributes: Attributes) -> dict[str, str]:
    """Extended attributes, as JSON."""
    return {name: value.hex() for name, value in attributes.extended}


def attributes(told: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Attributes:
    """What a file had beside its bytes."""
    return Attributes(
        told["mode"], told["uid"], told["gid"], told["atime"], told["mtime"],
        tuple((name, bytes.fromhex(value)) for name, value in (more or {}).items()),
    )  # fmt: skip


def paths(facts: Facts) -> tuple[str, ...]:
    """What a file step touches."""
    return tuple(path(facts[name]) for name in ("at", "to") if name in facts)

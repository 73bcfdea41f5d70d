"""Whether a file step that a killed server had begun has happened: told by what stands in its place now.

Names are only looked at (`lstat`), nothing is opened and no link is followed at the end. The step happened when the
finished draft, whose identity was recorded before it had a name, has the name now, or when what was to go is gone.
Where others have changed the place since, a step that kept something counts as happened, so nothing kept is lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from rootcellar.journal import facts as fact
from rootcellar.journal.changes import Recorded


def file_happened(step: Recorded) -> bool:
    """The settler of file steps."""
    facts = step.facts
    kind, at = step.kind.partition(".")[2], _look(facts["at"])
    if kind == "move" and "made" in facts:
        return _is(_look(facts["to"]), facts["made"])
    if kind in ("move", "trash"):
        return not _is(at, facts["before"])
    if kind in ("replace", "remove"):
        return (kind == "replace" and "made" not in facts) or not _is_untouched(at, facts["before"])
    if "made" in facts:
        return _is(at, facts["made"])
    return kind != "mkdir" or (at is not None and stat.S_ISDIR(at.st_mode))


def _look(place: Mapping[str, Any]) -> os.stat_result | None:
    try:
        return os.lstat(fact.path(place))
    except OSError:
        return None


def _is(found: os.stat_result | None, told: Mapping[str, Any]) -> bool:
    return found is not None and (found.st_dev, found.st_ino) == fact.identity(told)


def _is_untouched(found: os.stat_result | None, told: Mapping[str, Any]) -> bool:
    return (
        _is(found, told)
        and found is not None
        and (stat.S_ISDIR(found.st_mode) or (found.st_size, found.st_mtime_ns) == (told["size"], told["mtime"]))
    )

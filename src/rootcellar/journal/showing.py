"""What a file step did, in words and as a difference, for people and models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.journal import merging
from rootcellar.journal.changes import Recorded

if TYPE_CHECKING:
    from rootcellar.journal.store import Store

SHOWN_CHARS: Final = 10_000  # of one step's difference
_WORDS: Final = {
    "create": "created `{at}`",
    "replace": "changed `{at}`",
    "mkdir": "made the directory `{at}`",
    "copy": "copied `{source}` to `{at}`",
    "move": "moved `{at}` to `{to}`",
    "trash": "put `{at}` into the trash",
    "take_back": "took `{at}` back from the trash",
    "remove": "removed `{at}`",
    "nothing": "`{at}`: nothing to do",
}


def told(step: Recorded, store: Store) -> str:
    """One line, and the difference where it is kept."""
    kind, facts = step.kind.partition(".")[2], step.facts
    names = {name: facts[name]["shown"] for name in ("at", "to", "source") if name in facts}
    line = _WORDS[kind].format(**names)
    shown = names["at"]
    if kind == "replace":
        both = contents(step, store)
        if both is not None:
            return f"{line}\n{merging.shown(*both, shown, SHOWN_CHARS)}"
        return f"{line}: {facts['before']['size']:,} bytes became {facts['size']:,}"
    content = _content(step, store)
    if content is None:
        return line
    before, after = (b"", content) if kind in ("create", "copy") else (content, b"")
    return f"{line}\n{merging.shown(before, after, shown, SHOWN_CHARS)}" if content else f"{line}: empty"


def _content(step: Recorded, store: Store) -> bytes | None:
    """The one content of something that was made or removed, if it is kept and not large."""
    place = step.facts.get("new", step.facts.get("old"))
    if place is None or step.contents[place].size > limits.JOURNAL_WHOLE_BYTES_MAX:
        return None
    return store.read(step.contents[place].hash, limits.JOURNAL_WHOLE_BYTES_MAX)


def contents(step: Recorded, store: Store) -> tuple[bytes, bytes] | None:
    """What a replaced file held before and after, where both are kept whole."""
    facts = step.facts
    if not facts.get("whole") or "old" not in facts or "new" not in facts:
        return None
    before = store.read(step.contents[facts["old"]].hash, limits.JOURNAL_WHOLE_BYTES_MAX)
    middle = store.read(step.contents[facts["new"]].hash, limits.JOURNAL_WHOLE_BYTES_MAX)
    return before, before[: facts["prefix"]] + middle + before[len(before) - facts["suffix"] :]

"""Taking a change out of a text that others have changed since: three-way, line by line, only where nothing touches."""

from __future__ import annotations

from rootcellar.errors import NotText
from rootcellar.text import diff
from rootcellar.text.decode import decode


def without(before: bytes, after: bytes, now: bytes) -> bytes | None:
    """`now` without what made `after` of `before`; None where somebody has changed those lines, or next to them."""
    if any(_text(data) is None for data in (before, after, now)):
        return None
    a, o, c = (data.decode("latin-1").splitlines(keepends=True) for data in (after, before, now))
    ours = [(a0, a1, o[o0:o1]) for a0, a1, o0, o1 in diff.stretches(a, o)]
    theirs = [(a0, a1, c[c0:c1]) for a0, a1, c0, c1 in diff.stretches(a, c)]
    for start, stop, _ in ours:
        if any(start <= other_stop and other_start <= stop for other_start, other_stop, _ in theirs):
            return None
    merged, at = [], 0
    for start, stop, lines in sorted(ours + theirs, key=lambda change: change[0]):
        merged += a[at:start]
        merged += lines
        at = stop
    return "".join(merged + a[at:]).encode("latin-1")


def _text(data: bytes) -> str | None:
    try:
        return decode(data).text
    except NotText:
        return None


def shown(before: bytes, after: bytes, name: str, chars_max: int) -> str:
    """What became of a content: a bounded unified diff, or sizes where it is no text."""
    old, new = _text(before), _text(after)
    if old is None or new is None:
        return f"`{name}`: {len(before):,} bytes, not text, became {len(after):,} bytes"
    return diff.unified(old, new, name, chars_max) or f"`{name}`: the same text"

"""What a change would destroy, stated for the person who is asked, before it is real.

A statement says exactly what will happen: names, sizes, counts, the head of a diff or the first rows. Its fingerprint
is of the same facts in full (hashes of contents, the listing of a folder): equal only while both what goes and what
comes are the same. Whether something is destroyed at all is decided here, from what the wall and the worker report,
never from what a tool says of itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.confine import Act, Details, Kind
from rootcellar.confine.write import read_at
from rootcellar.errors import NeedsConsent, Refusal
from rootcellar.text import diff

if TYPE_CHECKING:
    from rootcellar.confine import Entry, Stat, Step
    from rootcellar.sqlite import Changed

_CHUNK: Final = 1 << 20
_DIFFED_BYTES_MAX: Final = 256 * limits.KIB
_NAMES_TOLD: Final = 8
_SQL_TOLD: Final = 1_000


def destroys(step: Step) -> bool:
    """Whether something that is there now will not be there any more."""
    if step.act is Act.REPLACE:
        return step.appended_at is None and step.before is not None and step.before.size > 0
    if step.act in (Act.COPY, Act.MOVE):
        return step.over is not None
    return step.act in (Act.TRASH, Act.REMOVE)


def about_file(step: Step) -> NeedsConsent:
    """What a step that destroys will do, and its fingerprint."""
    old, new = _digest(step.old_fd), _digest(step.new_fd, step.new_at)
    facts: list[object] = [step.act.name, _place(step.entry), old, new]
    if step.act is Act.REPLACE:
        text = _replacing(step)
        facts.append(None if old else _known(step.before))
    elif step.act in (Act.COPY, Act.MOVE):
        assert step.to is not None
        verb = "Copy" if step.act is Act.COPY else "Move"
        text = f"{verb} `{step.entry}` over `{step.to}`: {_told(step.over)} that is there now is replaced."
        facts += [_place(step.to), _known(step.before), None if old else _known(step.over)]
    else:
        verb = "Put {} into the trash" if step.act is Act.TRASH else "Remove {} for good"
        inside, listing = _inside(step.entry, step.before)
        text = f"{verb.format(f'{_told(step.before)} `{step.entry}`')}{inside}."
        facts += [_known(step.before), listing]
    return NeedsConsent(text[: limits.CONSENT_CHARS_MAX], fingerprint(facts))


def without_undo(step: Step, why: str) -> NeedsConsent:
    """The same for what cannot be undone afterwards."""
    need = about_file(step)
    return NeedsConsent(f"This cannot be undone: {why}.\n{need.statement}", fingerprint(["for good", need.fingerprint]))


def about_database(entry: Entry, changed: Changed, sql: str) -> NeedsConsent:
    """What a prepared change of a database will do, and its fingerprint."""
    shown = sql if len(sql) <= _SQL_TOLD else f"{sql[:_SQL_TOLD]}..."
    lines = [f"Change the database `{entry}`: {changed.summary()}.", *([shown] if shown else [])]
    if changed.sample:
        lines += ["For example:", *changed.sample]
    facts = ["database", _place(entry), sorted(changed.affected.items()), sorted(changed.rows.items()), changed.target]
    return NeedsConsent("\n".join(lines)[: limits.CONSENT_CHARS_MAX], fingerprint(facts))


def fingerprint(facts: Iterable[object]) -> str:
    """One short text for many facts."""
    return hashlib.sha256(json.dumps(list(facts), default=str).encode()).hexdigest()


def _replacing(step: Step) -> str:
    size = step.before.size if step.before else 0
    before, after = _text(step.old_fd, 0), _text(step.new_fd, step.new_at)
    if before is None or after is None:
        return f"Replace the content of `{step.entry}` ({size:,} bytes)."
    shown = diff.diff(before, after, str(step.entry), limits.CONSENT_CHARS_MAX - 500)
    new_bytes = len(after.encode())
    return (
        f"Replace the content of `{step.entry}`: {size:,} bytes become {new_bytes:,}"
        f" (lines: +{shown.added:,} -{shown.removed:,}).\n\n{shown.text}"
    )


def _text(fd: int | None, start: int) -> str | None:
    """The content as text, if it is one and small."""
    if fd is None:
        return None
    data = _read(fd, start, _DIFFED_BYTES_MAX + 1)
    try:
        return None if len(data) > _DIFFED_BYTES_MAX or b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _read(fd: int, at: int, count: int) -> bytes:
    parts = []
    while count > 0 and (part := read_at(fd, at, min(count, _CHUNK))):
        parts.append(part)
        at += len(part)
        count -= len(part)
    return b"".join(parts)


def _digest(fd: int | None, start: int = 0) -> str | None:
    if fd is None:
        return None
    digest, at = hashlib.sha256(), start
    while part := read_at(fd, at, _CHUNK):
        digest.update(part)
        at += len(part)
    return digest.hexdigest()


def _place(entry: Entry) -> list[str]:
    return [entry.root.real, *(ascii(part) for part in entry.parts)]


def _known(stat: Stat | None) -> object:
    """What is the same only while the thing is; of a folder its identity: what it holds is listed."""
    if stat is None:
        return None
    return [*stat.identity, stat.kind.value, *([] if stat.kind is Kind.DIRECTORY else [stat.size, stat.mtime_ns])]


def _told(stat: Stat | None) -> str:
    if stat is None:
        return "what"
    return f"the file ({stat.size:,} bytes)" if stat.kind is Kind.FILE else f"the {stat.kind.value}"


def _inside(entry: Entry, stat: Stat | None) -> tuple[str, str]:
    """What a folder holds, for a person, and the digest of its listing."""
    if stat is None or stat.kind is not Kind.DIRECTORY:
        return "", ""
    digest, count, size = hashlib.sha256(), 0, 0
    names: list[str] = []
    try:
        for walked in entry.walk(details=Details.STAT):
            if count >= limits.CONSENT_ENTRIES_MAX:
                break
            count += 1
            size += walked.stat.size if walked.stat and walked.stat.kind is Kind.FILE else 0
            digest.update(ascii((walked.parts, _known(walked.stat))).encode())
            if len(names) < _NAMES_TOLD:
                names.append(walked.shown)
    except Refusal:  # it changes under our hands, or we may not look: the fingerprint then says as much as we saw
        digest.update(b"partly")
    more = "over " if count >= limits.CONSENT_ENTRIES_MAX else ""
    listed = f": {', '.join(names)}{', ...' if count > len(names) else ''}" if names else ""
    things = "thing" if count == 1 else "things"
    return f" with {more}{count:,} {things} in it, {size:,} bytes{listed}", digest.hexdigest()

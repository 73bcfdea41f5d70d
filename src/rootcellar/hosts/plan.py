"""Plans: what installing or uninstalling would do to one file, as a value that can be shown before it is done."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from rootcellar import ambient
from rootcellar.ambient import Reading
from rootcellar.errors import NotOurs, Refusal
from rootcellar.hosts import edit
from rootcellar.hosts.edit import Edit, Target, digest
from rootcellar.hosts.host import LAUNCH_FIELDS, Launch, command_line, entry
from rootcellar.hosts.record import Record, Records
from rootcellar.hosts.tree import Named, Value
from rootcellar.hosts.where import Place


class State(Enum):
    """What is true of our entry in one file."""

    ABSENT = "absent"
    OURS = "ours"
    CHANGED = "changed by the user"
    STALE = "stale path"
    FOREIGN = "not ours"
    BROKEN = "broken"


class Act(Enum):
    """What will be done in one file."""

    ADD = "add"
    UPDATE = "update"
    TAKE_OVER = "take over"
    KEEP = "already there"
    REMOVE = "remove"
    DELETE = "remove the file we made"
    FORGET = "already gone"


class Foreign(Enum):
    """What to do about an entry of our name that we did not write."""

    LEAVE = "leave"
    TAKE_OVER = "take over"


@dataclass(frozen=True, slots=True)
class Step:
    """One planned act on one file: what was read, what would stand there, and what is written down about it."""

    place: Place
    name: str
    act: Act
    reading: Reading
    edit: Edit | None = None
    record: Record | None = None
    former: Record | None = None  # what was on record before

    @property
    def changes(self) -> bool:
        """Whether a file changes."""
        return self.edit is not None

    def diff(self) -> str:
        """The edit as a unified diff."""
        if self.edit is None:
            return ""
        before, after = (
            data.decode(errors="replace").replace("\r\n", "\n").splitlines() if data else []
            for data in (self.edit.before, None if self.act is Act.DELETE else self.edit.after)
        )
        lines = difflib.unified_diff(before, after, self.place.name, self.place.name, n=2, lineterm="")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Finding:
    """Our entry in one file, as it is now."""

    place: Place
    state: State
    command: tuple[str, ...] = ()
    why: str = ""


def inspected(place: Place, name: str, records: Records) -> Finding:
    """What is true of our entry in that file."""
    try:
        found = edit.entry_of(place.target(name), ambient.read(place.path).data)
    except Refusal as refusal:
        return Finding(place, State.BROKEN, why=str(refusal))
    if found is None:
        return Finding(place, State.ABSENT)
    words = tuple(command_line(place.host, found) or ())
    record = records.of(place.path, name)
    state, why = _judged(found, words, record)
    if state is State.OURS and record is not None and isinstance(found, Mapping):
        known = {*record.entry, *(step.key for step in place.target(name).path if isinstance(step, Named))}
        added = sorted(set(found) - known)
        why = f"you added {_names(added)}" if added else ""
    return Finding(place, state, words, why)


def _judged(found: Value, words: tuple[str, ...], record: Record | None) -> tuple[State, str]:
    """What an entry of our name is, and why."""
    if not words:
        return State.FOREIGN if record is None else State.CHANGED, "no command in the entry"
    if record is None:
        ours = words[1:2] == ("serve",) and "rootcellar" in words[0]
        return State.FOREIGN, "written by hand, or by another installation of ours" if ours else ""
    if drifted := _drift(found, record.entry):
        return State.CHANGED, f"{_names(drifted)} changed"
    if not ambient.is_executable(words[0]):
        return State.STALE, f"`{ambient.shown(words[0])}` is not there any more"
    return State.OURS, ""


def install_step(place: Place, name: str, launch: Launch, records: Records, foreign: Foreign = Foreign.LEAVE) -> Step:
    """What installing would do in one file; refuses where it would do harm."""
    reading, target = ambient.read(place.path), place.target(name)
    wanted = entry(place.host, launch, name)
    found = edit.entry_of(target, reading.data)
    record = records.of(place.path, name)
    if found is None:
        ambient.check_writable(reading)
        planned = edit.added(target, reading.data, wanted)
        made = ambient.missing_directories(place.path)
        if record is not None and reading.data is None:  # a run that was killed had begun to make them
            made = tuple(dict.fromkeys((*record.made_directories, *made)))
        return Step(place, name, Act.ADD, reading, planned, _record(place, name, wanted, planned, made))
    if not _drift(found, wanted):
        kept = None if record is None or _drift(found, record.entry) else record
        return Step(place, name, Act.KEEP, reading, None, kept)
    if record is not None:
        return _update_step(place, name, reading, wanted, record)
    if foreign is Foreign.LEAVE:
        raise NotOurs(
            f"`{place.name}` has an entry `{name}` that we did not write",
            "choose another `--name`, or say `--take-over` to replace it",
        )
    ambient.check_writable(reading)
    planned = edit.replaced(target, reading.data or b"", wanted)
    return Step(place, name, Act.TAKE_OVER, reading, planned, _record(place, name, wanted, planned, (), former=found))


def _update_step(place: Place, name: str, reading: Reading, wanted: Mapping[str, Value], record: Record) -> Step:
    """Bring our entry up to date: written anew where it is as we left it, else only the words of its launch."""
    target, data = place.target(name), reading.data or b""
    found = edit.entry_of(target, data)
    if drifted := _drift(found, record.entry):
        raise NotOurs(
            f"{_names(drifted)} of our entry in `{place.name}` changed since we wrote it",
            "keep it as it is, or `rootcellar uninstall` and install again",
        )
    ambient.check_writable(reading)
    back = edit.taken_back(target, data, record.splices, record.digests) if record.former is None else None
    if back is not None:
        base = None if record.made_file and not _rest(target, back) else back.after
        again = edit.added(target, base, wanted)
        planned = Edit(target, data, again.after, again.splices, again.kept)
        digests = (digest(base), digest(planned.after))
        updated = _record(place, name, wanted, planned, record.made_directories, digests=digests)
        return Step(place, name, Act.UPDATE, reading, planned, updated, record)
    fields = {key: value for key, value in wanted.items() if key in LAUNCH_FIELDS}
    planned = edit.updated(target, data, fields)
    after = Record(
        record.host, record.scope, record.path, name, {**record.entry, **fields}, record.kept, (),
        (record.digests[0], ""), record.made_directories, record.former,
    )  # fmt: skip
    return Step(place, name, Act.UPDATE, reading, planned, after, record)


def uninstall_step(place: Place, name: str, records: Records, foreign: Foreign = Foreign.LEAVE) -> Step | None:
    """What uninstalling would do in one file; None where there is nothing of ours."""
    reading, target = ambient.read(place.path), place.target(name)
    record = records.of(place.path, name)
    if reading.data is None:
        return None if record is None else Step(place, name, Act.FORGET, reading, None, record)
    found = edit.entry_of(target, reading.data)
    if found is None:
        return None if record is None else Step(place, name, Act.FORGET, reading, None, record)
    if record is None or _command(found) != _command(record.entry):
        if foreign is Foreign.LEAVE:
            raise NotOurs(
                f"`{place.name}` has an entry `{name}` that we did not write",
                "say `--take-over` to remove it all the same",
            )
        planned = edit.removed(target, reading.data, len(target.path) - 1)
        ambient.check_writable(reading)
        return Step(place, name, Act.REMOVE, reading, planned, record)
    ambient.check_writable(reading)
    back = edit.taken_back(target, reading.data, record.splices, record.digests)
    if back is None and record.former is not None:
        back = edit.replaced(target, reading.data, record.former)
    if back is None:
        back = edit.removed(target, reading.data, record.kept)
    act = Act.DELETE if record.made_file and back is not None and not _rest(target, back) else Act.REMOVE
    return Step(place, name, act, reading, back, record)


def _rest(target: Target, back: Edit) -> bool:
    """Whether a file that we made holds more than we put there."""
    text = (back.after or b"").decode()
    return text not in {"", target.preamble} and text.strip() not in {"{}", ""}


def _record(
    place: Place,
    name: str,
    wanted: Mapping[str, Value],
    planned: Edit,
    made: tuple[str, ...],
    *,
    former: Value | None = None,
    digests: tuple[str, str] | None = None,
) -> Record:
    both = digests or (digest(planned.before), digest(planned.after))
    host, scope = place.host.id, place.scope.value
    return Record(host, scope, place.path, name, wanted, planned.kept, planned.splices, both, made, former)


def _drift(found: Value | None, written: Mapping[str, Value]) -> list[str]:
    """The words of the launch that are not as written."""
    if not isinstance(found, Mapping):
        return ["entry"]
    return [key for key in written if key in LAUNCH_FIELDS and found.get(key) != written[key]]


def _command(found: Value | None) -> Value | None:
    """The program an entry starts, whatever its arguments are now."""
    if not isinstance(found, Mapping):
        return None
    head = found.get("cmd", found.get("command"))
    return head[0] if isinstance(head, list) and head else head


def _names(keys: list[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)

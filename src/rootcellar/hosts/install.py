"""Doing what was planned: under a lock, on the file as it is now, with a copy kept and the record written first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rootcellar import ambient, locks
from rootcellar.errors import BadConfig, Stale
from rootcellar.hosts import edit
from rootcellar.hosts.plan import Act, Step
from rootcellar.hosts.record import Record, Records
from rootcellar.hosts.tree import Value
from rootcellar.hosts.where import Place, Scope

_PROJECT_FILE = 0o644  # a project's file is shared; a user's own may hold other servers' tokens
_USER_FILE = 0o600
_TRIES = 5


def applied(place: Place, records: Records, plan: Callable[[], Step | None], agreed: Step | None = None) -> Step | None:
    """Plan and act in one go under the lock on that file; None where there is nothing to do.

    With `agreed` the user saw a plan: a file that is not as it was then is refused. Without, the plan is made here and
    now, so that installers side by side each add to what the other left.
    """
    above = ambient.missing_directories(records.data)  # made for our own directory, they go when it goes
    try:
        with locks.locked(place.path, records.locks):
            step = _applied(place, records, plan, agreed, above)
    finally:
        if not ambient.exists(records.data):
            ambient.remove_empty_directories(above)
    if step is not None and step.record is not None and step.act in {Act.REMOVE, Act.DELETE, Act.FORGET}:
        ambient.remove_empty_directories(step.record.made_directories)
    return step


def _applied(
    place: Place, records: Records, plan: Callable[[], Step | None], agreed: Step | None, above: tuple[str, ...]
) -> Step | None:
    for tried in range(_TRIES):
        step = plan()
        if step is None:
            return None
        if agreed is not None and (step.reading.data, step.edit) != (agreed.reading.data, agreed.edit):
            raise Stale(f"`{place.name}` changed since the plan was shown", "look at the new plan, then agree to that")
        if step.act is Act.ADD and step.record is not None:
            made = tuple(dict.fromkeys((*above, *step.record.made_directories)))
            step = replace(step, record=replace(step.record, made_directories=made))
        try:
            _act(step, records)
        except Stale:
            if agreed is not None or tried == _TRIES - 1:
                raise
            continue
        return step
    return None


def _act(step: Step, records: Records) -> None:
    record, path = step.record, step.place.path
    if step.act is Act.KEEP:
        return
    if step.edit is not None and step.act is not Act.DELETE:  # nothing in it but ours
        ambient.back_up(step.reading, records.backups)
    if step.act in {Act.ADD, Act.UPDATE, Act.TAKE_OVER} and record is not None and step.edit is not None:
        former = records.of(path, step.name)
        records.keep(record)
        try:
            _write(step)
        except BaseException:
            if ambient.read(path).data == step.edit.after:
                pass  # it stands there all the same, and is ours
            elif former is not None:
                records.keep(former)
            else:
                ambient.remove_empty_directories(record.made_directories)
                records.drop(path, step.name)
            raise
        return
    if step.act is Act.DELETE:
        ambient.remove(step.reading)
    elif step.act is Act.REMOVE:
        _write(step)
    if record is not None:  # dropped last: whoever dies before it finds here what is left to do
        ambient.remove_empty_directories(record.made_directories)
        _hand_on(record, records)
        records.drop(path, step.name)


def _hand_on(record: Record, records: Records) -> None:
    """Directories we made that still hold another entry of ours go with that one, when it goes."""
    left = tuple(made for made in record.made_directories if ambient.exists(made))
    for other in records.all() if left else ():
        shared = tuple(made for made in left if other.path.startswith(made) or records.data.startswith(made))
        if shared and (other.path, other.name) != (record.path, record.name):
            made = (*shared, *(made for made in other.made_directories if made not in shared))
            records.keep(replace(other, made_directories=made))


def _write(step: Step) -> None:
    planned = step.edit
    if planned is None or planned.after is None:
        return
    mode = _PROJECT_FILE if step.place.scope is Scope.PROJECT else _USER_FILE
    ambient.replace(step.reading, planned.after, new_mode=mode)


def reverted(step: Step, records: Records) -> None:
    """Put a file back to the byte as it was before a step that turned out not to work."""
    with locks.locked(step.place.path, records.locks):
        planned, record = step.edit, step.record
        if planned is None or record is None:
            return
        now = ambient.read(step.place.path)
        if now.data != planned.after:
            raise BadConfig(f"`{step.place.name}` changed meanwhile", "run `rootcellar uninstall`")
        if planned.before is None:
            ambient.remove(now)
            ambient.remove_empty_directories(record.made_directories)
        else:
            ambient.replace(now, planned.before)
        if step.former is None:
            records.drop(step.place.path, step.name)
        else:
            records.keep(step.former)
    if step.former is None:
        ambient.remove_empty_directories(record.made_directories)


def entry_now(place: Place, name: str) -> Value | None:
    """Our entry as the file has it now: what the host will start."""
    return edit.entry_of(place.target(name), ambient.read(place.path).data)

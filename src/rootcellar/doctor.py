"""`rootcellar doctor`: says of everything how it is, and the next step where it is not as it should be.

Exit codes: 0 all is well · 1 something deserves a look · 3 something does not work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from rootcellar import __version__, checks, proving, secret_checks
from rootcellar.checks import Level, Told
from rootcellar.errors import Refusal
from rootcellar.hosts.host import NAME, Machine
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.plan import Finding, State, inspected
from rootcellar.hosts.record import Records
from rootcellar.hosts.where import Place, Scope, host_named, is_here, remarks, user_places

OK, LOOK, BROKEN = 0, 1, 3


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    shape = argparse.RawDescriptionHelpFormatter
    doctor = commands.add_parser(
        "doctor", help="check that everything works", description=__doc__, formatter_class=shape
    )
    doctor.add_argument("--json", action="store_true", help="answer in JSON")
    doctor.add_argument("--quick", action="store_true", help="start no server")


def run(chosen: argparse.Namespace, machine: Machine, records: Records, config: Path) -> int:
    """Look at everything; the exit code says how bad it is."""
    found = list(examined(machine, records, config))
    if not chosen.quick:
        found.append(checks.worker())
        found += start_up(machine, records)
    if chosen.json:
        lines = [
            {"about": told.about, "level": told.level.value, "what": told.what, "then": told.then} for told in found
        ]
        print(json.dumps({"version": __version__, "checks": lines}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_line(told) for told in found))
    levels = {told.level for told in found}
    return BROKEN if Level.BAD in levels else LOOK if Level.LOOK in levels else OK


def _line(told: Told) -> str:
    then = "" if told.level is Level.GOOD else f"\n      -> {told.then}"
    return f"{told.level.value:<5} {told.about}: {told.what}{then}"


def examined(machine: Machine, records: Records, config: Path) -> Iterator[Told]:
    """Every check that starts nothing."""
    yield checks.program()
    yield checks.data(machine.env)
    yield from checks.roots(machine.env, config)
    yield checks.wall()
    yield checks.search()
    yield checks.sqlite()
    yield checks.keychain()
    yield from secret_checks.looked_at(_places(machine))
    yield from hosts(machine, records)


def _places(machine: Machine) -> Iterator[Place]:
    """The files of every host that is here."""
    for host in HOSTS:
        if is_here(host, machine):
            with contextlib.suppress(Refusal):
                yield from user_places(host, machine)


_STATES = {
    State.ABSENT: (Level.NOTE, ""),
    State.OURS: (Level.GOOD, "nothing to do"),
    State.CHANGED: (Level.NOTE, "it is left as you made it"),
    State.STALE: (Level.BAD, "run `rootcellar repair`"),
    State.FOREIGN: (Level.NOTE, "`rootcellar install --take-over` makes it ours"),
    State.BROKEN: (Level.BAD, "the host cannot read that file either: mend it"),
}


def hosts(machine: Machine, records: Records) -> Iterator[Told]:
    """Every host that is here, and every entry we wrote elsewhere."""
    seen: set[str] = set()
    for host in HOSTS:
        if not is_here(host, machine):
            continue
        try:
            places = user_places(host, machine)
        except Refusal as refusal:
            yield Told(host.title, Level.LOOK, refusal.message, refusal.hint)
            continue
        for place in places:
            seen.add(place.path)
            yield _entry(inspected(place, NAME, records), records)
        yield from (
            Told(host.title, Level.NOTE, remark, "see which of them you need") for remark in remarks(host, machine)
        )
    for record in records.all():
        if record.path not in seen:
            place = Place(host_named(record.host), Scope(record.scope), record.path)
            yield _entry(inspected(place, record.name, records), records)


def _entry(finding: Finding, records: Records) -> Told:
    level, then = _STATES[finding.state]
    place = finding.place
    if finding.state is State.ABSENT and records.of(place.path, NAME) is not None:
        what = f"our entry is gone from {place.name}"
        return Told(place.host.title, Level.BAD, what, f"quit {place.host.title}, then run `rootcellar repair`")
    if finding.state is State.ABSENT:
        then = f"`rootcellar install --host {place.host.id}` adds us"
    what = f"{finding.state.value} in {place.name}" + (f" ({finding.why})" if finding.why else "")
    return Told(place.host.title, level, what, then)


def start_up(machine: Machine, records: Records) -> Iterator[Told]:
    """Each entry of ours, started the way its host does, against that host's own limits."""
    for record in records.all():
        place = Place(host_named(record.host), Scope(record.scope), record.path)
        finding = inspected(place, record.name, records)
        if not finding.command or finding.state is State.STALE:
            continue
        started = time.monotonic()
        proof = proving.proved(place.host, finding.command, machine)
        about, took = f"start by {place.host.title}", proof.discover_s or time.monotonic() - started
        limit = place.host.probe_s or place.host.limit_s
        if not proof.works:
            yield Told(about, Level.BAD, proof.why, "run the command in a terminal to see what it says")
        elif took > limit:
            yield Told(
                about, Level.LOOK, f"{took:.2f} s to the first answer; it waits {limit:g} s", "start it again when warm"
            )
        else:
            yield Told(about, Level.GOOD, f"{took:.2f} s to the first answer, of {limit:g} s; {len(proof.tools)} tools")

"""`rootcellar doctor`: says of everything how it is, and the next step where it is not as it should be.

Exit codes: 0 all is well · 1 something deserves a look · 3 something does not work.
Each check is a small function that promises never to fail itself; what it needs is imported in it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rootcellar import __version__, proving
from rootcellar.errors import Refusal
from rootcellar.hosts.host import NAME, Machine
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.plan import Finding, State, inspected
from rootcellar.hosts.record import Records
from rootcellar.hosts.where import Place, Scope, host_named, is_here, remarks, user_places

OK, LOOK, BROKEN = 0, 1, 3
SQLITE_MIN = (3, 53, 2)  # older ones have known holes that a crafted database reaches


class Level(Enum):
    """How bad it is."""

    GOOD = "ok"
    NOTE = "note"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Told:
    """One line: what was looked at, how it is, and the next step."""

    about: str
    level: Level
    what: str
    then: str = ""


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
    return f"{told.level.value:<5} {told.about}: {told.what}" + (f"\n      -> {told.then}" if told.then else "")


def examined(machine: Machine, records: Records, config: Path) -> Iterator[Told]:
    """Every check that starts nothing."""
    yield program()
    yield from roots(machine.env, config)
    yield wall()
    yield search()
    yield sqlite()
    yield keychain()
    yield from hosts(machine, records)


def program() -> Told:
    """What runs here."""
    frozen = "frozen binary" if getattr(sys, "frozen", False) else f"Python {sys.version.split()[0]}"
    return Told("program", Level.GOOD, f"rootcellar {__version__}, {frozen}, {sys.executable}")


def roots(env: Mapping[str, str], config: Path) -> Iterator[Told]:
    """The folders that the user's settings grant."""
    from rootcellar.confine.system import why_not
    from rootcellar.settings import Flags, resolve

    try:
        text = config.read_text("utf-8") if config.exists() else ""
        settings = resolve(Flags(), env, text, config_name=str(config), separator=os.pathsep)
    except (OSError, UnicodeDecodeError) as error:
        yield Told("settings", Level.BAD, f"`{config}` cannot be read: {error}", "mend its permissions or encoding")
        return
    except Refusal as refusal:
        yield Told("settings", Level.BAD, refusal.message, refusal.hint)
        return
    granted = [*settings.roots, *settings.roots_read_only]
    for folder in granted:
        path = Path(folder).expanduser()
        if why := why_not(str(path)):
            yield Told("folder", Level.BAD, f"`{path}` cannot be a root: {why}", f"change {config}")
        elif path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            yield Told("folder", Level.GOOD, str(path))
        else:
            yield Told(
                "folder", Level.LOOK, f"`{path}` is not a folder that can be read", f"make it, or change {config}"
            )
    if not granted:
        yield Told("folders", Level.GOOD, "none in the settings: hosts give theirs, or entries name them")


def wall() -> Told:
    """Whether the second wall stands."""
    if sys.platform != "linux":
        return Told("second wall", Level.NOTE, "there is none on this system; the first wall stands alone")
    support = importlib.import_module("rootcellar.confine._landlock").support()
    if support.abi:
        return Told("second wall", Level.GOOD, f"Landlock, version {support.abi}")
    return Told(
        "second wall", Level.LOOK, support.why_not, "the first wall stands alone; a newer kernel adds the second"
    )


def search() -> Told:
    """Whether the search engine is where it should be."""
    found = importlib.import_module("rootcellar.confine._rg").program()
    if found:
        return Told("search", Level.GOOD, str(found))
    return Told(
        "search", Level.LOOK, "ripgrep is not beside this program: searching is slower", "install rootcellar again"
    )


def sqlite() -> Told:
    """Which SQLite answers, and whether it has known holes."""
    try:
        apsw = importlib.import_module("apsw")
    except ImportError as error:
        return Told("SQLite", Level.BAD, f"its library does not load: {error}", "install rootcellar again")
    version = str(apsw.sqlitelibversion())
    if tuple(map(int, version.split("."))) < SQLITE_MIN:
        return Told("SQLite", Level.BAD, f"{version} has known holes", "install rootcellar again")
    return Told("SQLite", Level.GOOD, version)


def keychain() -> Told:
    """Which keychain keeps the keys of encrypted databases."""
    try:
        secrets = importlib.import_module("rootcellar.secrets")
    except ImportError:
        return Told("keychain", Level.NOTE, "this build has none: encrypted databases cannot be opened")
    describe: Callable[[], str] | None = getattr(secrets, "describe", None)
    if describe is None:
        return Told("keychain", Level.NOTE, "there is one; it does not describe itself")
    try:
        return Told("keychain", Level.GOOD, describe())
    except Refusal as refusal:
        return Told("keychain", Level.LOOK, refusal.message, refusal.hint)


_STATES = {
    State.ABSENT: (Level.NOTE, ""),
    State.OURS: (Level.GOOD, ""),
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
        yield from (Told(host.title, Level.NOTE, remark) for remark in remarks(host, machine))
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

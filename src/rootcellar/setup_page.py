"""`rootcellar setup`: the same plan and the same truth as `install`, for people who would rather not type.

One page in the user's own browser (`loopback.py`), three steps and a report. Every decision is made here by the code
that `install` runs; the page shows, asks and remembers nothing. Where no browser can be shown it says so, and asks in
the terminal instead.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from rootcellar import __version__, ambient, browsing, bundles, launching, setup_asking, setup_cli, setup_folders
from rootcellar.errors import BadArgument, Busy, NotFound, NotOurs, Refusal, Stale
from rootcellar.hosts.host import NAME, Host, Launch, Machine, Platform, Says, check_launch
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.plan import Foreign, State, Step
from rootcellar.hosts.record import Records
from rootcellar.hosts.where import Place, Scope, host_named
from rootcellar.setup_steps import (
    Job,
    Outcome,
    Site,
    by_bundle,
    do_all,
    launch_like,
    plan_all,
    report_hosts,
    user_files,
)
from rootcellar.setup_words import as_text, facts

if TYPE_CHECKING:  # a web server is loaded when there is a page to serve
    from rootcellar.loopback import Call, Ending, Patience

OK, REFUSED = 0, 1

SETUP = """\
Set up in a window: which applications, which folders, the plan as a diff, and whether it works. It is a page in your
own browser, given by this program to that browser alone; nothing leaves this computer, and it ends when you close it.

Where no browser can be shown (no display, a remote shell) it asks the same questions in the terminal."""

FILES = ("icon.svg", "page.js", "page.css", "picker.js", "setup.js", "setup.css")
OURS = (State.OURS, State.CHANGED, State.STALE)


class Stage(Enum):
    """How far one file has come."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"


@dataclass(slots=True)
class Row:
    """One file of the plan on its way, and the outcome once there is one."""

    stage: Stage
    item: Step | Outcome

    def facts(self) -> dict[str, Any]:
        """What the page shows of it."""
        return {"stage": self.stage.value, **facts(self.item)}


@dataclass(slots=True)
class Work:
    """What is being done: a row for every file; rows change from one thread and are read from another."""

    rows: list[Row]
    over: bool = False

    def outcomes(self) -> list[Outcome]:
        """The truth so far."""
        return [row.item for row in self.rows if isinstance(row.item, Outcome)]


@dataclass(slots=True)
class Setup:
    """What the page calls: look, browse, plan, apply, progress, finish."""

    machine: Machine
    records: Records
    command: str = ""  # the rootcellar that hosts should start; "" for this one
    proof: Says = Says.YES
    work: Work | None = None
    _planned: tuple[list[Job | Outcome], list[Step | Outcome]] = field(default_factory=lambda: ([], []))
    _number: int = 0
    _worker: threading.Thread | None = None

    def calls(self) -> dict[str, Call]:
        """What the page may call."""
        calls: tuple[Call, ...] = (self.look, self.browse, self.plan, self.apply, self.progress, self.open_bundle)
        return {call.__name__: call for call in calls}

    def look(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The hosts that are here, with our entry in each, and the folders it makes sense to offer."""
        del given
        here = setup_cli.present(self.machine)
        return {
            "version": __version__,
            "home": self.machine.home,
            "hosts": [self._host(host) for host in here],
            "absent": [host.title for host in HOSTS if host not in here],
            "offers": setup_asking.offers(self.machine),
            "folders": self._granted(),
        }

    def _host(self, host: Host) -> dict[str, Any]:
        found = report_hosts(user_files(host, self.machine), NAME, self.machine, self.records)
        best = found[0]
        return {
            "id": host.id, "title": host.title, "file": ambient.shown(best.file), "state": best.status,
            "details": [detail for one in found for detail in one.details],
            "ours": any(one.status in {state.value for state in OURS} for one in found),
            "by_hand": not best.file, "gives_folders": host.roots is Says.YES,
        }  # fmt: skip

    def _granted(self) -> list[dict[str, Any]]:
        """The folders that our entries grant now."""
        found: dict[str, bool] = {}
        for record in self.records.all():
            launch = launch_like(record, "")
            found |= dict.fromkeys(launch.folders_read_only, True) | dict.fromkeys(launch.folders, False)
        return [{"path": path, "read_only": only} for path, only in found.items() if ambient.is_directory(path)]

    def browse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """One folder for the picker."""
        path = given.get("path")
        if not isinstance(path, str) or "\0" in path:
            raise BadArgument("that is no folder", "choose another")
        return setup_folders.listing(path, hidden=given.get("hidden") is True)

    def plan(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What would be changed for these hosts and folders; nothing is."""
        if self.work is not None:
            raise Busy("the changes are being made", "wait until they are done")
        chosen = {host_named(name).id for name in _texts(given, "hosts")}
        folders, read_only = _texts(given, "folders"), _texts(given, "folders_read_only")
        command = setup_cli.our_command()[0] if not self.command else self.command
        launch = Launch(command, _checked(folders), _checked(read_only))
        check_launch(launch)
        everywhere = Says.YES if given.get("everywhere") is True else Says.NO
        bolder = set(_texts(given, "take_over"))
        jobs: list[Job | Outcome] = []
        for host in setup_cli.present(self.machine):
            foreign = Foreign.TAKE_OVER if host.id in bolder else Foreign.LEAVE
            as_chosen = Job(
                Place(host, Scope.USER, ""), NAME, launch if host.id in chosen else None, foreign, everywhere
            )
            jobs += self._jobs(as_chosen)
        planned = plan_all(jobs, self.records)
        self._number += 1
        self._planned = jobs, planned
        changes = sum(isinstance(item, Step) and item.changes for item in planned)
        items = [self._item(job, item, bolder) for job, item in zip(jobs, planned, strict=True)]
        return {"plan": self._number, "changes": changes, "items": items}

    def _jobs(self, job: Job) -> list[Job | Outcome]:
        """The job in every file of its host: install where that was chosen, take out what is ours where it was not."""
        host = job.place.host
        found = user_files(host, self.machine)
        if job.launch is None:
            ours = [at for at in found if isinstance(at, Place) and self.records.of(at.path, NAME) is not None]
            return [replace(job, place=at) for at in ours]
        bundle = bundles.at_hand(launching.running(), self.machine) if self.machine.platform in host.bundles else None
        if opened := by_bundle(host, self.machine, self.records, bundle):
            return [opened]
        return [replace(job, place=at) if isinstance(at, Place) else at for at in found]

    def _item(self, job: Job | Outcome, item: Step | Outcome, bolder: set[str]) -> dict[str, Any]:
        """What the page shows of one item; an entry of another hand may be replaced where the user says so."""
        told = facts(item)
        others = isinstance(job, Job) and isinstance(item, Outcome) and isinstance(item.refusal, NotOurs)
        if isinstance(job, Job) and (others or job.place.host.id in bolder):
            [bold] = plan_all([replace(job, foreign=Foreign.TAKE_OVER)], self.records)
            told["others"] = isinstance(bold, Step)
        return told

    def open_bundle(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Open the bundle of the plan with the application that takes it, and no other file."""
        del given
        found = [item.file for item in self._planned[1] if isinstance(item, Outcome) and item.file.endswith(".mcpb")]
        if not found:
            raise NotFound("there is no bundle in this plan", "choose Claude Desktop, and look at the plan again")
        if not browsing.opened_file(found[0]):
            raise Refusal(f"`{ambient.shown(found[0])}` could not be opened", "open it by hand, in Claude Desktop")
        return {}

    def apply(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to do the plan that was shown, and no other."""
        if self.work is not None:
            raise Busy("the changes are being made already", "wait until they are done")
        if not self._number or given.get("plan") != self._number:
            raise Stale("this is not the latest plan", "look at the plan again")
        jobs, planned = self._planned
        self.work = Work([Row(Stage.WAITING, item) for item in planned])
        self._worker = threading.Thread(target=self._work, args=(jobs, planned, self.work), name="apply")
        self._worker.start()
        return {}

    def _work(self, jobs: Sequence[Job | Outcome], planned: Sequence[Step | Outcome], work: Work) -> None:
        site = Site(self.machine, self.records, self.proof)
        try:
            for job, item, row in zip(jobs, planned, work.rows, strict=True):
                row.stage = Stage.WORKING
                row.item = do_all([job], site, [item])[0]
                row.stage = Stage.DONE
        finally:
            work.over = True

    def progress(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """How far it is."""
        del given
        work = self.work or Work([])
        over = work.over
        return {"over": over, "rows": [row.facts() for row in work.rows]}

    def ended(self) -> Work | None:
        """What was agreed to is done to its end, also when the page is gone."""
        if self._worker is not None:
            self._worker.join()
        return self.work


def _texts(given: Mapping[str, Any], name: str) -> list[str]:
    found = given.get(name, [])
    if not (isinstance(found, list) and all(isinstance(item, str) and "\0" not in item for item in found)):
        raise BadArgument(f"`{name}` is no list of names", "reload the page")
    return list(dict.fromkeys(found))


def _checked(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(setup_cli.folder(path) for path in folders))


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    shape = argparse.RawDescriptionHelpFormatter
    setup = commands.add_parser("setup", help="set up in a window", description=SETUP, formatter_class=shape)
    setup.add_argument("--terminal", action="store_true", help="ask here instead")
    setup.add_argument("--print-address", action="store_true", help="print the page's address instead of opening it")
    setup.add_argument("--command", dest="program", metavar="FILE", help="the rootcellar that hosts should start")
    setup.add_argument("--no-proof", action="store_true", help=argparse.SUPPRESS)


def run(chosen: argparse.Namespace, patience: Patience | None = None) -> int:
    """Show the page until it is done or left; the exit code says whether all is as asked."""
    if chosen.terminal:
        return _terminal(chosen)
    from rootcellar import loopback

    machine, records = setup_cli.this_machine(), setup_cli.our_records()
    command = launching.named_command(chosen.program) if chosen.program else ""
    setup = Setup(machine, records, command, Says.NO if chosen.no_proof else Says.YES)
    page = loopback.Loopback(loopback.Pages("setup.html", FILES, setup.calls()), patience)
    if chosen.print_address:
        print(page.url, flush=True)
    elif not browsing.opened(page.url):
        page.finish()
        page.wait()
        return _no_browser(chosen, machine)
    print("Setup is open in your browser. It ends when you close the page, or with Ctrl-C here.", file=sys.stderr)
    try:
        ending = page.wait()
    finally:
        work = setup.ended()
    return _told(work, ending)


def _told(work: Work | None, ending: Ending) -> int:
    if work is None:
        print(f"Nothing was changed: {ending.value}.", file=sys.stderr)
        return REFUSED
    print(as_text(work.outcomes(), ""))
    return REFUSED if any(outcome.refused for outcome in work.outcomes()) else OK


def _no_browser(chosen: argparse.Namespace, machine: Machine) -> int:
    why = "there is no display" if machine.platform is Platform.LINUX else "none could be started"
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        print(f"No browser can be shown here ({why}), so the questions follow in this terminal.\n")
        return _terminal(chosen)
    raise Refusal(
        f"no browser can be shown here: {why}",
        "run `rootcellar install` in a terminal, or open the address that `rootcellar setup --print-address` gives",
    )


def _terminal(chosen: argparse.Namespace) -> int:
    """The same questions in the terminal."""
    parser = argparse.ArgumentParser("rootcellar")
    setup_cli.add_commands(parser.add_subparsers(dest="command"))
    words = ["install", *(["--command", chosen.program] if chosen.program else [])]
    words += ["--no-proof"] if chosen.no_proof else []
    return setup_cli.run(parser.parse_args(words))

"""`install`, `uninstall`, `hosts`, `repair`, `print-config`: one plan, one question, and the truth about every host.

Hosts are independent: one that is refused does not keep the others back, and the exit code says that one was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rootcellar import ambient, bundles, launching, ours, setup_asking
from rootcellar.errors import BadArgument, Declined, Refusal
from rootcellar.hosts import edit
from rootcellar.hosts.host import (
    NAME,
    Host,
    Launch,
    Machine,
    Platform,
    Says,
    check_launch,
    check_name,
    deep_link,
    entry,
)
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.plan import Foreign, Step
from rootcellar.hosts.record import Records
from rootcellar.hosts.where import Place, Scope, host_named, is_here, profile_places, project_place, user_places
from rootcellar.setup_steps import (
    Job,
    Outcome,
    Site,
    by_bundle,
    do_all,
    others_left,
    plan_all,
    repair_jobs,
    report_hosts,
    user_files,
)
from rootcellar.setup_words import as_json, as_text, plan_as_text

OK, REFUSED, USAGE = 0, 1, 2

INSTALL = """\
Give hosts (Claude Code, Cursor, VS Code, Codex, ...) an entry that starts this server: exactly our lines are added to
each config, a copy of it is kept, and the entry is started once, the way that host starts it.

In a terminal, without flags, it asks: which hosts, which folders, and once before anything is written."""

UNINSTALL = """\
Take our entries out again. A config that did not change meanwhile is byte for byte what it was; files and folders that
were made for the entry are removed."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands of this family."""
    shape = argparse.RawDescriptionHelpFormatter
    install = commands.add_parser(
        "install", help="add this server to hosts", description=INSTALL, formatter_class=shape
    )
    _which(install)
    _folders(install)
    install.add_argument("--take-over", action="store_true", help="replace an entry of that name that is not ours")
    install.add_argument(
        "--no-bundle", action="store_true", help="edit Claude Desktop's config even if a .mcpb is here"
    )
    install.add_argument("--no-proof", action="store_true", help="do not start the entry to see that it works")
    _doing(install)
    uninstall = commands.add_parser(
        "uninstall", help="take this server out of hosts", description=UNINSTALL, formatter_class=shape
    )
    _which(uninstall)
    uninstall.add_argument("--take-over", action="store_true", help="remove an entry of that name even if not ours")
    _doing(uninstall)
    hosts = commands.add_parser("hosts", help="show the hosts that are here, their files, and our entry in each")
    hosts.add_argument("--all", action="store_true", help="every host we know, here or not")
    hosts.add_argument("--project", metavar="DIR", help="look at the configs of this project")
    hosts.add_argument("--name", default=NAME, help=argparse.SUPPRESS)
    hosts.add_argument("--json", action="store_true", help="answer in JSON")
    repair = commands.add_parser("repair", help="write our entries anew where they broke or were lost")
    repair.add_argument("--host", action="append", metavar="HOST", help="only this host (repeatable)")
    repair.add_argument("--command", dest="program", metavar="FILE", help="the rootcellar that hosts should start")
    repair.add_argument("--no-proof", action="store_true", help="do not start the entry to see that it works")
    _doing(repair)
    show = commands.add_parser("print-config", help="print the entry for one host, to add by hand")
    show.add_argument("host_name", metavar="HOST", help="; ".join(host.id for host in HOSTS))
    _folders(show)
    show.add_argument("--name", default=NAME, help="the name of the entry")
    show.add_argument("--json", action="store_true", help="answer in JSON")


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", action="append", metavar="HOST", help="this host (repeatable; see `hosts --all`)")
    parser.add_argument("--all", action="store_true", help="every host that is here")
    parser.add_argument("--project", metavar="DIR", help="the config of this project instead of the user's own")
    parser.add_argument("--profiles", action="store_true", help="also the profiles of VS Code and its kin")
    parser.add_argument("--file", metavar="FILE", help="this config file (with one --host), wherever it is")
    parser.add_argument("--name", default=NAME, help=f"the name of the entry (default {NAME})")


def _folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", action="append", metavar="DIR", help="a folder to grant (repeatable)")
    parser.add_argument("--root-ro", action="append", metavar="DIR", help="a folder to grant read-only (repeatable)")
    parser.add_argument(
        "--root-everywhere", action="store_true", help="write the folders also for hosts that give folders of their own"
    )
    parser.add_argument("--command", dest="program", metavar="FILE", help="the rootcellar that hosts should start")


def _doing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    parser.add_argument("--json", action="store_true", help="answer in JSON")


COMMANDS = ("install", "uninstall", "hosts", "repair", "print-config")


def run(chosen: argparse.Namespace) -> int:
    """Run one of these commands; the exit code says how it went."""
    machine, records = this_machine(), our_records()
    try:
        return _COMMANDS[chosen.command](chosen, machine, records)
    except BadArgument as refusal:
        print(f"rootcellar: {refusal}", file=sys.stderr)
        return USAGE
    except (Declined, EOFError, KeyboardInterrupt):
        print("Nothing was changed.", file=sys.stderr)
        return REFUSED
    except Refusal as refusal:
        print(f"rootcellar: {refusal}", file=sys.stderr)
        return REFUSED


def this_machine() -> Machine:
    """The machine this process runs on."""
    platform = {"darwin": Platform.MACOS, "win32": Platform.WINDOWS}.get(sys.platform, Platform.LINUX)
    return Machine(platform, os.path.expanduser("~"), dict(os.environ))


def our_records() -> Records:
    """The ownership records of this user."""
    return Records(str(ours.data_directory(os.environ)), os.sep)


def _install(chosen: argparse.Namespace, machine: Machine, records: Records) -> int:
    check_name(chosen.name)
    asked = _interactive(chosen) and not (chosen.host or chosen.all)
    hosts = setup_asking.which_hosts(present(machine)) if asked else _hosts(chosen, machine)
    folders, read_only = _chosen_folders(chosen)
    if asked and not (folders or read_only):
        folders, read_only = setup_asking.which_folders(machine)
    command, note = _command(chosen)
    launch = Launch(command, tuple(folders), tuple(read_only))
    check_launch(launch)
    foreign = Foreign.TAKE_OVER if chosen.take_over else Foreign.LEAVE
    everywhere = Says.YES if chosen.root_everywhere else Says.NO
    jobs: list[Job | Outcome] = []
    opens = any(machine.platform in host.bundles for host in hosts) and not (chosen.no_bundle or chosen.file)
    bundle = bundles.at_hand(launching.running(), machine) if opens else None
    for host in hosts:
        if opened := by_bundle(host, machine, records, bundle):
            jobs.append(opened)
            continue
        jobs += [
            Job(place, chosen.name, launch, foreign, everywhere) if isinstance(place, Place) else place
            for place in _places(host, chosen, machine)
        ]
    return _planned_and_done(chosen, jobs, records, note)


def _uninstall(chosen: argparse.Namespace, machine: Machine, records: Records) -> int:
    foreign = Foreign.TAKE_OVER if chosen.take_over else Foreign.LEAVE
    jobs: list[Job | Outcome] = []
    if chosen.host or chosen.file or chosen.project:
        places = [found for host in _hosts(chosen, machine) for found in _places(host, chosen, machine)]
        jobs = [Job(place, chosen.name, None, foreign) if isinstance(place, Place) else place for place in places]
    wanted = {host_named(name).id for name in chosen.host or ()}
    for record in () if chosen.file or chosen.project else records.all():
        if record.name == chosen.name and (not wanted or record.host in wanted):
            place = Place(host_named(record.host), Scope(record.scope), record.path)
            if not any(isinstance(job, Job) and job.place.path == place.path for job in jobs):
                jobs.append(Job(place, chosen.name, None, foreign))
    if not (chosen.host or chosen.file or chosen.project):
        jobs += others_left(present(machine), chosen.name, machine, records)
    jobs.sort(key=lambda job: HOSTS.index(job.place.host if isinstance(job, Job) else job.host))
    return _planned_and_done(chosen, jobs, records, "")


def _repair(chosen: argparse.Namespace, machine: Machine, records: Records) -> int:
    del machine
    wanted = {host_named(name).id for name in chosen.host or ()}
    return _planned_and_done(chosen, list(repair_jobs(records, wanted, _command(chosen)[0])), records, "")


def _planned_and_done(chosen: argparse.Namespace, jobs: list[Job | Outcome], records: Records, note: str) -> int:
    """Show one plan, ask once, act, and say per host what is true now."""
    planned = plan_all(jobs, records)
    if _interactive(chosen):
        jobs = setup_asking.what_of_others(jobs, planned, records)
        planned = plan_all(jobs, records)
    changes = [item for item in planned if isinstance(item, Step) and item.changes]
    asks = _interactive(chosen) and bool(changes)
    if not chosen.json and (asks or chosen.dry_run):
        print(plan_as_text(planned))
    if chosen.dry_run:
        if chosen.json:
            print(as_json(planned))
        return REFUSED if any(isinstance(item, Outcome) and item.refused for item in planned) else OK
    if changes and not asks and not chosen.yes:
        raise BadArgument("nobody is here to agree to the changes", "say `--yes`, or look first with `--dry-run`")
    if asks and not setup_asking.agreed(len(changes)):
        raise Declined("not agreed")
    site = Site(this_machine(), records, Says.NO if getattr(chosen, "no_proof", False) else Says.YES)
    outcomes = do_all(jobs, site, planned if asks else None)
    print(as_json(outcomes) if chosen.json else as_text(outcomes, note))
    return REFUSED if any(outcome.refused for outcome in outcomes) else OK


def _report(chosen: argparse.Namespace, machine: Machine, records: Records) -> int:
    hosts = list(HOSTS) if chosen.all else present(machine)
    places = [place for host in hosts for place in _places(host, chosen, machine)]
    if not chosen.project:  # what we wrote is told wherever it is, and also where it is gone
        seen = {place.path for place in places if isinstance(place, Place)}
        written = [Place(host_named(one.host), Scope(one.scope), one.path) for one in records.all()]
        places += [place for place in written if place.path not in seen]
    found = report_hosts(places, chosen.name, machine, records)
    print(as_json(found) if chosen.json else as_text(found, "" if found else "No host was found on this machine."))
    return OK


def _print_config(chosen: argparse.Namespace, machine: Machine, records: Records) -> int:
    del records
    host = host_named(chosen.host_name)
    check_name(chosen.name)
    folders, read_only = _chosen_folders(chosen)
    launch = Launch(_command(chosen)[0], tuple(folders), tuple(read_only))
    check_launch(launch)
    places = user_places(host, machine)
    target = Place(host, Scope.USER, places[0].path if places else "").target(chosen.name)
    text, link = edit.alone(target, entry(host, launch, chosen.name)), deep_link(host, launch, chosen.name)
    if chosen.json:
        print(as_json({"host": host.id, "file": places[0].path if places else "", "config": text, "link": link}))
        return OK
    where = f"to add to {places[0].name}" if places else "for the settings window"
    print(f"# {host.title}: {where}", file=sys.stderr)
    print(text, end="")
    if link:
        print(f"# or open: {link}", file=sys.stderr)
    return OK


_COMMANDS: Mapping[str, Callable[[argparse.Namespace, Machine, Records], int]] = {
    "install": _install,
    "uninstall": _uninstall,
    "hosts": _report,
    "repair": _repair,
    "print-config": _print_config,
}


def _interactive(chosen: argparse.Namespace) -> bool:
    talks = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    return talks and not (chosen.yes or chosen.json or chosen.dry_run)


def present(machine: Machine) -> list[Host]:
    """The hosts that are on this machine."""
    return [host for host in HOSTS if is_here(host, machine)]


def _hosts(chosen: argparse.Namespace, machine: Machine) -> list[Host]:
    if chosen.host:
        return list(dict.fromkeys(host_named(name) for name in chosen.host))
    if chosen.file:
        raise BadArgument("`--file` needs to know whose it is", "name the host with `--host`")
    if chosen.all or chosen.command == "uninstall":
        found = present(machine)
        if not found and not chosen.json:
            print("No host was found on this machine; `rootcellar hosts --all` shows those we know.")
        return found
    raise BadArgument("no host was named", "say `--host NAME` or `--all`; `rootcellar hosts` shows what is here")


def _places(host: Host, chosen: argparse.Namespace, machine: Machine) -> Iterable[Place | Outcome]:
    """The files of one host that this run is about; a host without any is an outcome of its own."""
    if getattr(chosen, "file", None):
        return [Place(host, Scope.NAMED, os.path.abspath(os.path.expanduser(chosen.file)))]
    if chosen.project:
        try:
            return [project_place(host, machine, os.path.abspath(os.path.expanduser(chosen.project)))]
        except Refusal as refusal:
            return [Outcome(host, "", "", refusal=refusal)] if getattr(chosen, "host", ()) else []
    profiles = profile_places(host, machine) if getattr(chosen, "profiles", chosen.command == "hosts") else ()
    return [*user_files(host, machine), *profiles]


def _chosen_folders(chosen: argparse.Namespace) -> tuple[list[str], list[str]]:
    return [folder(root) for root in chosen.root or ()], [folder(root) for root in chosen.root_ro or ()]


def folder(root: str) -> str:
    """The absolute path of a folder that may be granted."""
    path = os.path.abspath(os.path.expanduser(root))
    if not ambient.is_directory(path):
        raise BadArgument(f"`{root}` is not a folder", "name folders that exist")
    from rootcellar.confine.system import why_not

    if why := why_not(path):
        raise BadArgument(f"`{root}` cannot be granted: {why}", "name another folder")
    return path


def _command(chosen: argparse.Namespace) -> tuple[str, str]:
    """The command to write, and what to tell about it."""
    if chosen.program:
        return launching.named_command(chosen.program), ""
    looking = getattr(chosen, "dry_run", False) or chosen.command == "print-config"
    if looking and launching.lasting_command(launching.running()) is None:
        return str(Path.home() / ".local" / "bin" / "rootcellar"), ""
    if _interactive(chosen) and launching.lasting_command(launching.running()) is None:
        setup_asking.agree_to_last()
    return our_command()


def our_command() -> tuple[str, str]:
    """The command of this very program that lasts, put in place first where it is not, and what to tell about it."""
    program = launching.running()
    command = launching.lasting_command(program)
    if command:
        return command, ""
    command = launching.install_lasting(program)
    return command, f"Installed a lasting command: `{ambient.shown(command)}`."

"""What `install` asks a person: which hosts, which folders, and once before anything is written."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rootcellar.errors import Declined, NotFound, NotOurs
from rootcellar.hosts.host import Host, Machine, Says
from rootcellar.hosts.plan import Foreign, Step
from rootcellar.hosts.record import Records
from rootcellar.setup_steps import Job, Outcome, plan_all

OFFERED = ("Documents", "Notes", "notes", "Projects", "projects", "code", "src", "Desktop")


def which_hosts(present: Sequence[Host]) -> list[Host]:
    """The hosts the user picks among those that are here."""
    if not present:
        raise NotFound(
            "no host was found on this machine", "name one with `--host`; `rootcellar hosts --all` shows them"
        )
    print("These hosts are here:")
    for number, host in enumerate(present, 1):
        print(f"  {number:>2}  {host.title}")
    while True:
        answer = input("Which? Numbers, or Enter for all: ").replace(",", " ").split()
        if not answer:
            return list(present)
        if all(word.isdecimal() and 0 < int(word) <= len(present) for word in answer):
            return [present[int(word) - 1] for word in dict.fromkeys(answer)]
        print("Give numbers of the list above.")


def which_folders(machine: Machine) -> tuple[list[str], list[str]]:
    """The folders the user grants, and those granted read-only."""
    offered = offers(machine)
    here = os.getcwd()
    if here not in {machine.home, os.sep} and here not in offered and here.startswith(machine.home):
        offered.insert(0, here)
    print("\nWhich folders may it use? (Hosts that give folders of their own keep to those.)")
    for number, offer in enumerate(offered, 1):
        print(f"  {number:>2}  {_short(offer, machine.home)}")
    print("One a line: a number or a path (Tab completes), `ro` in front for read-only; an empty line ends.")
    folders: list[str] = []
    read_only: list[str] = []
    with _completing():
        while answer := input("folder> ").strip():
            only_read = Says.YES if answer.startswith("ro ") else Says.NO
            word = answer.removeprefix("ro ").strip()
            path = offered[int(word) - 1] if word.isdecimal() and 0 < int(word) <= len(offered) else _absolute(word)
            if not os.path.isdir(path):
                print(f"`{word}` is not a folder.")
                continue
            (read_only if only_read is Says.YES else folders).append(path)
    return list(dict.fromkeys(folders)), list(dict.fromkeys(read_only))


def offers(machine: Machine) -> list[str]:
    """The folders people mostly keep their own things in, as far as they are here."""
    found = [path for name in OFFERED if os.path.isdir(path := os.path.join(machine.home, name))]
    return [path for number, path in enumerate(found) if not any(os.path.samefile(path, p) for p in found[:number])]


def agreed(changes: int) -> bool:
    """Whether the user agrees to the plan that was shown."""
    files = "this file" if changes == 1 else f"these {changes} files"
    return _yes(f"\nChange {files}? [y/N] ")


def what_of_others(
    jobs: Sequence[Job | Outcome], planned: Sequence[Step | Outcome], records: Records
) -> list[Job | Outcome]:
    """The same jobs, with the user's word on every entry of our name that somebody else wrote."""
    decided: list[Job | Outcome] = []
    for job, item in zip(jobs, planned, strict=True):
        decided.append(job)
        if not (isinstance(job, Job) and isinstance(item, Outcome) and isinstance(item.refusal, NotOurs)):
            continue
        bolder = replace(job, foreign=Foreign.TAKE_OVER)
        [step] = plan_all([bolder], records)
        if isinstance(step, Step):  # else it is ours, and was changed since: that is told, not asked
            what = "Remove it all the same" if job.launch is None else "Replace it (uninstalling gives it back)"
            print(f"\n{item.refusal.message}:\n{step.diff()}")
            if _yes(f"{what}? [y/N] "):
                decided[-1] = bolder
    return decided


def agree_to_last() -> None:
    """Ask before a lasting copy of this program is installed; Declined where the user says no."""
    print("\nThis copy runs from a cache that does not last, so hosts could not start it later.")
    if not _yes("Install a lasting one first (with uv or pipx)? [y/N] "):
        raise Declined("not agreed")


def _yes(question: str) -> bool:
    return input(question).strip().lower() in {"y", "yes"}


def _absolute(word: str) -> str:
    return os.path.abspath(os.path.expanduser(word))


def _short(path: str, home: str) -> str:
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path


def completions(text: str) -> list[str]:
    """The folders that what was typed may become, as it was typed."""
    spread = os.path.expanduser(text)
    found = [path for path in glob.glob(glob.escape(spread) + "*") if os.path.isdir(path)]
    return sorted(text + path[len(spread) :] + os.sep for path in found)


@contextlib.contextmanager
def _completing() -> Iterator[None]:
    """Tab completes folder names, where the terminal has that."""
    try:
        import readline
    except ImportError:  # Windows, and some small builds
        yield
        return
    before, delimiters = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(lambda text, state: [*completions(text), ""][state] or None)
    readline.set_completer_delims("\n\t")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(before)
        readline.set_completer_delims(delimiters)

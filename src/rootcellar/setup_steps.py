"""What the set-up commands do to each host: plan, act, prove, and say what is true afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rootcellar import ambient, proving
from rootcellar.errors import Busy, Refusal
from rootcellar.hosts import install
from rootcellar.hosts.host import READ_ONLY_FLAG, Host, Launch, Machine, Says, command_line
from rootcellar.hosts.plan import Act, Foreign, State, Step, inspected, install_step, uninstall_step
from rootcellar.hosts.record import Record, Records
from rootcellar.hosts.tree import Value
from rootcellar.hosts.where import Place, Scope, host_named, remarks, user_places


@dataclass(frozen=True, slots=True)
class Site:
    """Where the work is done: whose machine, what we wrote there before, and whether entries are proved to work."""

    machine: Machine
    records: Records
    proof: Says


@dataclass(frozen=True, slots=True)
class Job:
    """One file to install into, or, without a launch, to uninstall from."""

    place: Place
    name: str
    launch: Launch | None
    foreign: Foreign = Foreign.LEAVE
    everywhere: Says = Says.NO

    def step(self, records: Records) -> Step | None:
        """What is to be done there now."""
        if self.launch is None:
            return uninstall_step(self.place, self.name, records, self.foreign)
        return install_step(self.place, self.name, self._launch(records), records, self.foreign)

    def _launch(self, records: Records) -> Launch:
        """The launch for this host: with folders where it gives none itself; those it had, where none are named."""
        launch = self.launch or Launch("")
        if not (launch.folders or launch.folders_read_only):
            record = records.of(self.place.path, self.name)
            return launch_like(record, launch.command) if record else launch
        gives = self.place.host.roots is Says.YES
        return launch.without_folders() if gives and self.everywhere is Says.NO else launch


@dataclass(frozen=True, slots=True)
class Outcome:
    """The truth about one file of one host, after the fact."""

    host: Host
    file: str
    status: str
    act: str = ""
    refusal: Refusal | None = None
    details: tuple[str, ...] = ()
    proof: proving.Proof | None = None
    command: tuple[str, ...] = field(default=())

    @property
    def refused(self) -> bool:
        """Whether something is not as asked."""
        return self.refusal is not None


def user_files(host: Host, machine: Machine) -> list[Place | Outcome]:
    """The files to write for this user; a host without any, or with too many, is an outcome already."""
    try:
        found = user_places(host, machine)
    except Refusal as refusal:
        return [Outcome(host, "", "", refusal=refusal)]
    if found:
        return list(found)
    by_hand = f"{host.title} keeps its servers in its settings window"
    hint = f"paste there what `rootcellar print-config {host.id}` prints"
    return [Outcome(host, "", "", refusal=Refusal(by_hand, hint))]


def by_bundle(host: Host, machine: Machine, records: Records, bundle: str | None) -> Outcome | None:
    """The truth for a host that takes a bundle, where one is at hand and no entry of ours stands in its config yet."""
    if bundle is None or machine.platform not in host.bundles:
        return None
    if any(record.host == host.id for record in records.all()):
        return None
    instead = f"or write its config: `rootcellar install --host {host.id} --no-bundle`"
    details = (f"open it while {host.title} runs, which then asks for the folders", instead)
    return Outcome(host, bundle, "open the bundle", details=details)


def launch_like(record: Record, command: str) -> Launch:
    """The launch of a recorded entry, with another command."""
    words = command_line(host_named(record.host), dict(record.entry)) or []
    folders: list[str] = []
    read_only: list[str] = []
    rest = iter(words[2:])
    for word in rest:
        if word == READ_ONLY_FLAG:
            read_only.append(next(rest, ""))
        else:
            folders.append(word)
    return Launch(command, tuple(folders), tuple(read_only))


def plan_all(jobs: Sequence[Job | Outcome], records: Records) -> list[Step | Outcome]:
    """The plan for every job; what is refused is an outcome already."""
    planned: list[Step | Outcome] = []
    for job in jobs:
        if isinstance(job, Outcome):
            planned.append(job)
            continue
        try:
            step = job.step(records)
        except Refusal as refusal:
            planned.append(_refused(job, refusal))
        else:
            planned.append(step or Outcome(job.place.host, job.place.path, "absent", "nothing to do"))
    return planned


def do_all(jobs: Sequence[Job | Outcome], site: Site, agreed: Sequence[Step | Outcome] | None) -> list[Outcome]:
    """Do every job, each on its own; `agreed` is the plan the user saw, None where nobody was asked."""
    return [
        job if isinstance(job, Outcome) else _done(job, site, agreed[index] if agreed else None)
        for index, job in enumerate(jobs)
    ]


def _done(job: Job, site: Site, agreed: Step | Outcome | None) -> Outcome:
    if isinstance(agreed, Outcome):
        return agreed
    place = job.place
    try:
        _refuse_running(place.host, job, site)
        step = install.applied(place, site.records, lambda: job.step(site.records), agreed)
    except Refusal as refusal:
        return _refused(job, refusal)
    if step is None:
        return Outcome(place.host, place.path, "absent", "nothing to do")
    if job.launch is None:
        return Outcome(place.host, place.path, "removed", step.act.value, details=_left(step))
    return _proved(job, step, site) if site.proof is Says.YES else _true_now(job, step, None, site)


def _left(step: Step) -> tuple[str, ...]:
    """What the user may want to know about a removal that could not be exact."""
    if step.act is not Act.REMOVE or step.record is None or step.edit is None:
        return ()
    return (f"restart {step.place.host.title} to let it go",) if step.place.host.after.startswith("restart") else ()


def _refuse_running(host: Host, job: Job, site: Site) -> None:
    if host.running and job.place.scope is not Scope.PROJECT and proving.is_running(host.running, site.machine):
        step = job.step(site.records)
        if step is not None and step.changes:
            raise Busy(
                f"{host.title} is running: quit it first", "it would write over the edit; then run the same again"
            )


def _proved(job: Job, step: Step, site: Site) -> Outcome:
    """Start the very entry that stands in the file; an entry that cannot start is taken back."""
    host, place = job.place.host, job.place
    found: Value | None = install.entry_now(place, job.name)
    words = command_line(host, found)
    if words is None:
        gone = f"our entry is not in `{place.name}` any more"
        return _refused(job, Refusal(gone, f"quit {host.title}, then `rootcellar repair`"))
    proof = proving.proved(host, words, site.machine)
    if proof.works:
        return _true_now(job, step, proof, site)
    hint = "run `rootcellar doctor`"
    if step.act in {Act.ADD, Act.UPDATE, Act.TAKE_OVER}:
        try:
            install.reverted(step, site.records)
            hint = "the file is as it was; `rootcellar doctor` tells more"
        except Refusal as refused:
            hint = str(refused)
    refusal = Refusal(f"the entry does not work: {proof.why}", hint)
    return Outcome(host, place.path, "", step.act.value, refusal, proof=proof, command=tuple(words))


def _true_now(job: Job, step: Step, proof: proving.Proof | None, site: Site) -> Outcome:
    """What the user must still do, and what the host itself says."""
    host, place = job.place.host, job.place
    words = tuple(command_line(host, install.entry_now(place, job.name)) or ())
    after = host.project_after if place.scope is Scope.PROJECT else host.after
    details = [proof.why] if proof and proof.why else []
    details += _folder_words(job, words)
    if host.running:
        details.append(f"once {host.title} has started, `rootcellar hosts` shows whether it kept the entry")
    if place.scope is Scope.PROJECT:
        details.append("the entry names paths of this machine: keep it out of version control")
    heard, said = _heard(job, site.machine) if proof else (proving.Heard.NOT_ASKED, "")
    if heard is proving.Heard.NOT_WELL and not after:
        refusal = Refusal(f"{host.title} does not start it: {said}", "run `rootcellar doctor`")
        return Outcome(host, place.path, "", step.act.value, refusal, (), proof, words)
    if proof and proof.slow_for(host):
        refusal = Refusal(f"slow: {proof.why}", "the entry stays; `rootcellar doctor` measures again")
        return Outcome(host, place.path, "", step.act.value, refusal, (), proof, words)
    if said:
        details.append(f"{host.title} {said}" if heard is proving.Heard.WELL else f"{host.title} says: {said}")
    return Outcome(host, place.path, after or "ready", step.act.value, None, tuple(details), proof, words)


def _folder_words(job: Job, words: Sequence[str]) -> list[str]:
    launch = job.launch or Launch("")
    if job.place.host.roots is Says.YES:
        left_out = (launch.folders or launch.folders_read_only) and job.everywhere is Says.NO
        return ["it gives its own folders; --root-everywhere writes yours there too"] if left_out else []
    if len(words) == len(Launch("").arguments()) + 1:
        return ["it has no folder yet: run the same with --root DIR, or name folders in config.toml"]
    return []


def _heard(job: Job, machine: Machine) -> tuple[proving.Heard, str]:
    host, place = job.place.host, job.place
    command = ambient.on_path(host.command) if host.command and host.question else None
    if command is None or place.scope is Scope.NAMED:
        return proving.Heard.NOT_ASKED, ""
    directory = machine.home
    if place.scope is Scope.PROJECT and host.project:
        directory = place.path[: -len(host.project) - 1]
    return proving.asked_host(host, command, job.name, machine.env, directory)


def _refused(job: Job, refusal: Refusal) -> Outcome:
    return Outcome(job.place.host, job.place.path, "", "", refusal)


def repair_jobs(records: Records, wanted: set[str], command: str) -> Iterator[Job]:
    """A job for every recorded entry, with the folders it had and today's command."""
    for record in records.all():
        if wanted and record.host not in wanted:
            continue
        place = Place(host_named(record.host), Scope(record.scope), record.path)
        yield Job(place, record.name, launch_like(record, command), Foreign.LEAVE, Says.YES)


def others_left(hosts: Iterable[Host], name: str, machine: Machine, records: Records) -> Iterator[Outcome]:
    """Entries of our name that we have no record of, and that therefore stay."""
    for host in hosts:
        for place in user_files(host, machine):
            finding = inspected(place, name, records) if isinstance(place, Place) else None
            if finding is not None and finding.state is State.FOREIGN:
                hint = f"`rootcellar uninstall --host {host.id} --take-over` removes it"
                details = tuple(said for said in (finding.why, hint) if said)
                yield Outcome(host, finding.place.path, "left: not ours", details=details)


def report_hosts(places: Iterable[Place | Outcome], name: str, machine: Machine, records: Records) -> list[Outcome]:
    """Our entry in every one of these files, as it is now."""
    found: list[Outcome] = []
    for place in places:
        if isinstance(place, Outcome):
            found.append(Outcome(place.host, "", "by hand", details=(str(place.refusal),)))
            continue
        finding = inspected(place, name, records)
        details = [finding.why] if finding.why else []
        if finding.state is State.ABSENT and records.of(place.path, name) is not None:
            details.append("we wrote it, and it is gone: `rootcellar repair` writes it anew")
        if place.scope is Scope.USER:
            details += remarks(place.host, machine)
        state = finding.state.value
        found.append(Outcome(place.host, place.path, state, details=tuple(details), command=finding.command))
    return found

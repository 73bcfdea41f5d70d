"""From the table's templates to paths on one machine: which file a host reads here, and whether it is here at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rootcellar import ambient
from rootcellar.errors import BadArgument, NotFound, Refusal
from rootcellar.hosts.edit import Target
from rootcellar.hosts.host import Files, Host, Machine, Platform, Says
from rootcellar.hosts.places import HOSTS
from rootcellar.hosts.tree import Named, Path


class Scope(Enum):
    """For whom a config file counts."""

    USER = "user"
    PROFILE = "profile"
    PROJECT = "project"
    NAMED = "named"  # by the user, who knows which program reads it


@dataclass(frozen=True, slots=True)
class Place:
    """One config file of one host."""

    host: Host
    scope: Scope
    path: str

    @property
    def name(self) -> str:
        """The path as people write it."""
        return ambient.shown(self.path)

    def target(self, entry_name: str) -> Target:
        """Where our entry of that name goes in this file."""
        last: Path = (Named(entry_name),) if self.host.listed is Says.YES else (entry_name,)
        return Target(self.name, self.host.form, (*self.host.key, *last), self.host.preamble)


def host_named(name: str) -> Host:
    """The row with that id, title or command, however it is spelled; refuses with the ids there are."""
    wanted = _plain(name)
    for host in HOSTS:
        if wanted in {_plain(host.id), _plain(host.title), _plain(host.id) + "cli"}:
            return host
    for host in HOSTS:
        if wanted and wanted == _plain(host.command):
            return host
    raise BadArgument(f"`{name}` is not a host we know", f"known hosts: {', '.join(host.id for host in HOSTS)}")


def _plain(name: str) -> str:
    return "".join(char for char in name.partition("(")[0].lower() if char.isalnum())


def expanded(template: str, machine: Machine) -> str:
    """The path that a template means on a machine: `~`, and `${VAR:-default}` with defaults inside defaults."""
    path, rest = _expanded(template, machine)
    if rest:
        raise ValueError(template)
    return path.replace("/", "\\") if machine.platform is Platform.WINDOWS else path


def _expanded(text: str, machine: Machine) -> tuple[str, str]:
    """What `text` means up to a closing brace of an outer `${`, and what is left from there."""
    parts: list[str] = []
    if text.startswith("~"):
        parts.append(machine.home)
        text = text[1:]
    while text and not text.startswith("}"):
        if text.startswith("${"):
            name, _, text = text[2:].partition(":-")
            default, text = _expanded(text, machine)
            parts.append(machine.env.get(name) or default)
            text = text[1:]
        else:
            ends = [index for index in (text.find("${"), text.find("}")) if index >= 0]
            end = min(ends, default=len(text))
            parts.append(text[:end])
            text = text[end:]
    return "".join(parts), text


def paths(files: Files, machine: Machine) -> tuple[str, ...]:
    """Every path of a row on a machine, patterns as they are."""
    return tuple(expanded(template, machine) for template in files.on(machine.platform))


def _met(path: str) -> tuple[str, ...]:
    """The paths a pattern stands for now: what its `*` matches must be there, what follows need not."""
    head, star, tail = path.partition("*")
    if not star:
        return (path,)
    ends = [index for index in (tail.find("/"), tail.find("\\")) if index >= 0]
    end = min(ends, default=len(tail))
    return tuple(found + tail[end:] for found in ambient.matching(head + star + tail[:end]))


def user_places(host: Host, machine: Machine) -> tuple[Place, ...]:
    """The files to write for this user: one, but for a Claude Desktop that may read either of two."""
    candidates = [met for path in paths(host.files, machine) for met in _met(path)]
    packaged = [path for path in candidates if "\\Packages\\" in path or "/Packages/" in path]
    if len(packaged) > 1:
        names = ", ".join(f"`{ambient.shown(path)}`" for path in packaged)
        raise Refusal(f"{host.title} is installed {len(packaged)} times: {names}", "name the file with `--file`")
    there = [path for path in candidates if ambient.exists(path)]
    if packaged:
        classic = [path for path in there if path not in packaged]
        return tuple(Place(host, Scope.USER, path) for path in (*packaged, *classic))
    if there:
        return (Place(host, Scope.USER, there[0]),)
    if host.drop_in:
        return (Place(host, Scope.USER, expanded(host.drop_in, machine)),)
    if not candidates:
        return ()
    known = [path for path in candidates if ambient.is_directory(_parent(path))]
    return (Place(host, Scope.USER, (known or candidates)[0]),)


def profile_places(host: Host, machine: Machine) -> tuple[Place, ...]:
    """The files of the profiles there are."""
    found = [met for path in paths(host.profiles, machine) for met in _met(path)]
    return tuple(Place(host, Scope.PROFILE, path) for path in found)


def project_place(host: Host, machine: Machine, project: str) -> Place:
    """The file of one project; refuses where the host has none, or the project is not there."""
    if not host.project:
        raise Refusal(f"{host.title} has no config per project", "leave out `--project`")
    if not ambient.is_directory(project):
        raise NotFound(f"`{ambient.shown(project)}` is not a directory", "name the project's directory")
    separator = "\\" if machine.platform is Platform.WINDOWS else "/"
    tail = host.project.replace("/", separator)
    if host.id == "opencode" and ambient.exists(f"{project}{separator}opencode.jsonc"):
        tail = "opencode.jsonc"
    return Place(host, Scope.PROJECT, project.rstrip(separator) + separator + tail)


def is_here(host: Host, machine: Machine) -> bool:
    """Whether the host seems to be installed: its config, its directory or its command is there."""
    looked = (*paths(host.marks, machine), *paths(host.files, machine))
    if any(ambient.exists(met) for path in looked for met in _met(path)):
        return True
    return bool(host.command) and ambient.on_path(host.command) is not None


def remarks(host: Host, machine: Machine) -> tuple[str, ...]:
    """Files that look as if they counted, and do not."""
    used = {place.path for place in user_places(host, machine)}
    said = [
        f"{host.title} does not read `{ambient.shown(path)}`, though other installers write it"
        for path in paths(host.unread, machine)
        if ambient.exists(path) and path not in used
    ]
    for path in paths(host.files, machine):
        said += [
            f"`{ambient.shown(met)}` is another place of {host.title}'s config, and is left alone"
            for met in _met(path)
            if ambient.exists(met) and met not in used
        ]
    return tuple(said)


def _parent(path: str) -> str:
    return path[: max(path.rfind("/"), path.rfind("\\"))]

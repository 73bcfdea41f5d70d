"""What a host is: an MCP application, where it keeps its servers, what an entry of ours looks like there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, urlencode

from rootcellar.errors import BadArgument
from rootcellar.hosts.edit import Form
from rootcellar.hosts.secret_shapes import check_words
from rootcellar.hosts.tree import Value

NAME = "rootcellar"  # one name everywhere: VS Code also finds the entries of its neighbours
ABOUT = "Your own files and SQLite databases"
READ_ONLY_FLAG = "--root-ro"


class Platform(Enum):
    """An operating system, as `sys.platform` names it."""

    LINUX = "linux"
    MACOS = "darwin"
    WINDOWS = "win32"


@dataclass(frozen=True, slots=True)
class Machine:
    """Whose files are meant: the system, the home directory and the environment that moves things about."""

    platform: Platform
    home: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Files:
    """Templates of paths per system, the place in use first, the places it moved away from after it."""

    linux: tuple[str, ...] = ()
    macos: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()

    def on(self, platform: Platform) -> tuple[str, ...]:
        """The templates for one system."""
        return {Platform.LINUX: self.linux, Platform.MACOS: self.macos, Platform.WINDOWS: self.windows}[platform]


class Says(Enum):
    """Whether a host does something, as far as anybody saw."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Shape(Enum):
    """What an entry looks like."""

    PLAIN = "command, args"
    STDIO = "type stdio, command, args"
    LOCAL_TOOLS = "type local, command, args, tools"
    PATIENT = "command, args, timeout in seconds"
    LOCAL_LIST = "type local, command as a list, enabled"
    CUSTOM = "source custom, command, args"
    GOOSE = "type stdio, name, cmd, args, enabled, timeout"


class Surroundings(Enum):
    """The environment in which a host starts a server."""

    ALL = "everything the host has"
    ALLOWED = "an allow-list: HOME, LANG, PATH, TERM and little more"
    DESKTOP = "what a desktop session gives: a short PATH, no shell settings"
    ELECTRON = "everything the host has, its own library path and Electron's switches included"


@dataclass(frozen=True, slots=True)
class Question:
    """How to ask the host itself about our entry: its command, and what its text says when all is well.

    Their exit codes say nothing (0 when a server fails), so only `well` counts.
    """

    arguments: tuple[str, ...]
    well: str
    starts: Says = Says.YES
    env: tuple[tuple[str, str], ...] = ()

    def answered_well(self, text: str, name: str) -> bool:
        """Whether the host's text says that all is well with the entry of that name."""
        return re.search(self.well.replace("NAME", re.escape(name)), text) is not None


@dataclass(frozen=True, slots=True)
class Host:
    """One row of the table: everything that differs from host to host."""

    id: str
    title: str
    form: Form
    key: tuple[str, ...]
    shape: Shape
    files: Files
    source: str
    verified: str
    project: str = ""
    profiles: Files = Files()
    unread: Files = Files()  # where other installers write, and the host never looks
    marks: Files = Files()  # directories or programs that show the host is here
    command: str = ""
    question: Question | None = None
    roots: Says = Says.UNKNOWN
    elicitation: Says = Says.UNKNOWN
    after: str = ""  # what the user must do before the host sees a new entry; "" where nothing
    project_after: str = ""
    link: str = ""
    running: str = ""  # a pattern of its process; set where the host overwrites edits made while it runs
    surroundings: Surroundings = Surroundings.ALL
    probe_s: float = 0.0  # how long it waits for `server/discover`; 0: it never asks
    limit_s: float = 10.0  # how long it waits for the handshake
    listed: Says = Says.NO  # whether servers are items of a list, found by their name
    drop_in: str = ""  # a file of our own that the host reads besides its config
    preamble: str = ""  # what a new file must hold besides our entry
    bundles: tuple[Platform, ...] = ()  # where it opens `.mcpb` files, which it keeps better than an edited config


@dataclass(frozen=True, slots=True)
class Launch:
    """The command a host should run: absolute, lasting, and the folders it grants."""

    command: str
    folders: tuple[str, ...] = ()
    folders_read_only: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """What follows the command."""
        read_only = [word for folder in self.folders_read_only for word in (READ_ONLY_FLAG, folder)]
        return ["serve", *self.folders, *read_only]

    def without_folders(self) -> Launch:
        """The same, for a host that gives its own."""
        return Launch(self.command)


_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def check_launch(launch: Launch) -> None:
    """Refuse words that some host would rewrite or cannot hold, and secrets."""
    for word in (launch.command, *launch.arguments()):
        if "$" in word:
            raise BadArgument(
                f"`{word}` holds a `$`, which some hosts replace", "grant that folder in config.toml instead"
            )
        if re.search(r"\{(?:env|file):", word):
            raise BadArgument(
                f"`{word}` holds `{{env:` or `{{file:`, which opencode replaces", "grant it in config.toml"
            )
        if _UNSAFE.search(word):
            shown = word.encode("unicode_escape", "surrogatepass").decode("ascii")
            raise BadArgument(
                f"`{shown}` holds a character that a config cannot", "grant that folder in config.toml instead"
            )
    check_words((launch.command, *launch.arguments()))


def check_name(name: str) -> None:
    """Refuse names that some host ignores or cannot hold."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise BadArgument(f"`{name}` cannot name a server", "use letters, digits, `-` and `_`, and start with a letter")
    if name.lower().startswith("filesystem"):
        raise BadArgument(f"`{name}` cannot name a server: Cursor ignores it", "use another name")


def entry(host: Host, launch: Launch, name: str) -> dict[str, Value]:
    """Our entry for this host: no nulls, nothing that is not needed."""
    command, arguments = launch.command, launch.arguments()
    shapes: dict[Shape, dict[str, Value]] = {
        Shape.PLAIN: {"command": command, "args": arguments},
        Shape.STDIO: {"type": "stdio", "command": command, "args": arguments},
        Shape.LOCAL_TOOLS: {"type": "local", "command": command, "args": arguments, "tools": ["*"]},
        # Without it Cline gives a server 3 s for its handshake, which a cold start on a busy machine outlives.
        Shape.PATIENT: {"command": command, "args": arguments, "timeout": 60},
        Shape.LOCAL_LIST: {"type": "local", "command": [command, *arguments], "enabled": True},
        Shape.CUSTOM: {"source": "custom", "command": command, "args": arguments},
        Shape.GOOSE: {
            "type": "stdio", "name": name, "description": ABOUT, "enabled": True,
            "cmd": command, "args": arguments, "envs": {}, "timeout": 300,
        },
    }  # fmt: skip
    return shapes[host.shape]


def command_line(host: Host, found: Value | None) -> list[str] | None:
    """The command and arguments that an entry in this host's file makes it run; None where it is no such entry."""
    if not isinstance(found, Mapping):
        return None
    if isinstance(nested := found.get("transport"), Mapping):  # Cline's own way to write it
        found = nested
    head = found.get("cmd" if host.shape is Shape.GOOSE else "command")
    rest = found.get("args", [])
    words = head if isinstance(head, Sequence) and not isinstance(head, str) else [head]
    if isinstance(rest, Sequence) and not isinstance(rest, str):
        words = [*words, *rest]
    return (
        [word for word in words if isinstance(word, str)] if words and all(isinstance(w, str) for w in words) else None
    )


LAUNCH_FIELDS = frozenset({"command", "cmd", "args"})


def deep_link(host: Host, launch: Launch, name: str) -> str:
    """A link that makes the host offer our entry, or ""."""
    if not host.link:
        return ""
    value = entry(host, launch, name)
    packed = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if host.link.startswith("goose:"):
        words = [("arg", word) for word in launch.arguments()]
        fields = [("cmd", launch.command), *words, ("id", name), ("name", name), ("description", ABOUT)]
        return host.link + urlencode(fields, quote_via=quote)
    if "mcp/install?" in host.link and host.link.startswith("vscode"):
        return host.link + quote(
            json.dumps({"name": name, **value}, separators=(",", ":"), ensure_ascii=False), safe=""
        )
    return host.link + urlencode({"name": name, "config": base64.b64encode(packed.encode()).decode()})

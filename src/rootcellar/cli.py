"""The command line: what is typed becomes settings, and each command loads only what it needs.

Exit codes: 0 done · 1 refused, or something is not as it should be · 2 not a command we know · 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rootcellar import __version__, ours
from rootcellar.errors import Refusal
from rootcellar.policy import Confirm
from rootcellar.settings import ClientRoots, Flags, LogLevel, Settings, resolve

if TYPE_CHECKING:
    from rootcellar.front.port import Engine

OK, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130

ABOUT = """\
Your own files and SQLite databases for an assistant, over MCP on stdio: confined to the folders
you name, every write atomic, nothing sent anywhere."""

ENVIRONMENT = """\
environment: ROOTCELLAR_CONFIG names another config.toml. ROOTCELLAR_DATA names another data directory (records of
what was installed, backups, journal); set it for hosts and terminals alike, or not at all."""

SERVE = """\
Serve MCP on stdin and stdout. Hosts start this; a person rarely does.

Each DIR is granted read and write. Where the client (the host) has roots of its own, --client-roots
says what counts:
  narrow   client roots that lie inside a granted folder, and granted folders inside a client root
           (with no DIR at all: the client's roots as they are)          [default]
  add      both
  ignore   the granted folders only
Without any root every call is refused, and says how to change that.

Every change is journalled and can be undone (rootcellar changes, show, undo). One that destroys
something (overwrites, deletes, drops, ...) is first put to the user, as --confirm says:
  ask      where the client can ask; one that cannot is let through      [default]
  refuse   the same, but a client that cannot ask is refused
  never    nobody is asked"""

SERVE_MORE = """\
settings, the first that says something wins:
  the flags above · ROOTCELLAR_ROOTS, _ROOTS_READ_ONLY, _CLIENT_ROOTS, _CONFIRM, _READ_ONLY, _SEAL, _LOG_LEVEL
  (lists are split at `{separator}`) · {config}, for example:
      roots = ["~/notes"]
      roots_read_only = ["~/archive"]

examples:
  rootcellar serve ~/notes
  rootcellar serve ~/code --root-ro ~/reference --seal '*.secret'
  rootcellar serve --read-only --client-roots add ~/notes

exit codes: 0 the client ended the session · 1 refused · 2 bad arguments"""


def _parser(*, serving: bool) -> argparse.ArgumentParser:
    """The grammar; while serving, without the commands that a server never needs."""
    shape = argparse.RawDescriptionHelpFormatter
    codes = __doc__.split("\n\n")[1]
    more = f"{ENVIRONMENT}\n\n{codes}"
    parser = argparse.ArgumentParser("rootcellar", description=ABOUT, formatter_class=shape, epilog=more)
    parser.add_argument("--version", action="version", version=f"rootcellar {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    more = SERVE_MORE.format(separator=os.pathsep, config="config.toml (see --config)")
    serve = commands.add_parser(
        "serve", help="serve MCP on stdio (what hosts run)", description=SERVE, epilog=more, formatter_class=shape
    )
    serve.add_argument("roots", nargs="*", metavar="DIR", help="a folder to grant, read and write")
    serve.add_argument("--root-ro", action="append", metavar="DIR", help="a folder to grant read-only (repeatable)")
    serve.add_argument("--client-roots", choices=[word.value for word in ClientRoots], help="see above")
    serve.add_argument("--read-only", action="store_const", const="true", help="offer no tool that changes anything")
    serve.add_argument("--confirm", choices=[word.value for word in Confirm], help="see above")
    serve.add_argument("--seal", action="append", metavar="GLOB", help="names never touched, besides the built-in ones")
    serve.add_argument("--log-level", choices=[word.value for word in LogLevel], help="how much goes to stderr")
    serve.add_argument("--config", metavar="FILE", help="read this instead of the user's config.toml")
    if not serving:
        from rootcellar import changes_cli, database_cli, doctor, secret_cli, setup_cli, setup_page, update_cli

        setup_cli.add_commands(commands)
        setup_page.add_command(commands)
        doctor.add_command(commands)
        update_cli.add_command(commands)
        secret_cli.add_commands(commands)
        database_cli.add_commands(commands)
        changes_cli.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says how it went."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given and sys.stdin is not None and not sys.stdin.isatty():
        given = ["serve"]  # started by a host whose entry names no command
    parser = _parser(serving=given[:1] == ["serve"])
    chosen, unknown = parser.parse_known_args(given)
    if unknown and chosen.command == "secret":  # not repeated: a value may stand there
        parser.error("`secret` takes a name and no value; the value is asked for")
    elif unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if chosen.command is None:
        parser.print_help()
        return OK
    try:
        return _serve(chosen) if chosen.command == "serve" else _other(chosen)
    except Refusal as refusal:
        print(f"rootcellar: {refusal}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _other(chosen: argparse.Namespace) -> int:
    """The commands that look after hosts, secrets and databases, and explain this machine."""
    from rootcellar import changes_cli, database_cli, doctor, secret_cli, setup_cli, update_cli

    if chosen.command == "update":
        return update_cli.run(chosen)
    if chosen.command == "setup":
        from rootcellar import setup_page

        return setup_page.run(chosen)
    for commands, run in (
        (changes_cli.COMMANDS, changes_cli.run),
        (secret_cli.COMMANDS, secret_cli.run),
        (database_cli.COMMANDS, database_cli.run),
    ):
        if chosen.command in commands:
            return run(chosen)
    if chosen.command == "doctor":
        return doctor.run(chosen, setup_cli.this_machine(), setup_cli.our_records(), ours.config_file(os.environ))
    return setup_cli.run(chosen)


def _settings(chosen: argparse.Namespace) -> Settings:
    """The settings of this run; a config file that was named must be there."""
    named = chosen.config or os.environ.get(ours.CONFIG)
    path = Path(chosen.config).expanduser() if chosen.config else ours.config_file(os.environ)
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        if named:
            raise Refusal(f"`{named}` is not there", "name an existing file with --config") from None
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"`{path}` cannot be read: {error}", "mend it, or name another with --config") from None
    flags = Flags(
        roots=[_absolute(root) for root in chosen.roots] or None,
        roots_read_only=[_absolute(root) for root in chosen.root_ro] if chosen.root_ro else None,
        client_roots=chosen.client_roots,
        confirm=chosen.confirm,
        read_only=chosen.read_only,
        seal=chosen.seal,
        log_level=chosen.log_level,
    )
    return resolve(flags, os.environ, text, config_name=str(path), separator=os.pathsep).with_roots(_absolute)


def _absolute(root: str) -> str:
    if not root.strip():  # an unset variable in a host's entry must not grant whatever directory we were started in
        raise Refusal("a folder to grant has no name", "write its path, `.` for the current directory")
    return os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111 - pathlib folds `..` through links


def _serve(chosen: argparse.Namespace) -> NoReturn:
    """Answer at once; everything slow is loaded beside the first answers."""
    settings = _settings(chosen)
    journal = _journal()
    from rootcellar import front, telemetry
    from rootcellar.front import instant

    telemetry.configure(settings.log_level.value)

    def make() -> Engine:
        from rootcellar import engine
        from rootcellar.server import build

        server, house = build(settings, journal)
        return engine.Engine(server, drain=[house.drain])

    variant = "read-only" if settings.policy.read_only else "read-write"
    front.serve(make, instant.snapshot(_shipped("snapshot.json"), __version__, variant))


def _journal() -> str:
    """Where the journal lies; for a user without a home a place that cannot be: reads work, a change is refused."""
    try:
        return str(ours.data_directory(os.environ) / "journal")
    except ours.NoHome:
        return ""


def _shipped(name: str) -> bytes:
    """A file of the package; empty when it was left out."""
    try:
        return Path(__file__).with_name(name).read_bytes()
    except OSError:
        return b""

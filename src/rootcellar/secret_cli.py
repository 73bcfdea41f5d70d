"""`rootcellar secret set|list|remove|rotate|test`: keys and tokens in the system's keychain, by name.

A value is asked for without being shown, or read from standard input: `printf %s "$KEY" | rootcellar secret set NAME`.
It is never part of a command, and nothing here ever prints it. Config refers to it as `keychain:NAME`; the key of an
encrypted database is kept under the file's own identity, so it is found wherever the file is moved to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from rootcellar import database_cli, keys, secret_asking, secret_checks, unlocking
from rootcellar.backends import title
from rootcellar.errors import BadArgument, Refusal
from rootcellar.keys import Keys
from rootcellar.secret_asking import NEVER_HERE, OK, REFUSED
from rootcellar.secret_index import Kind, Known
from rootcellar.secrets import Secret, check_name

COMMANDS: Final = ("secret",)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    shape = argparse.RawDescriptionHelpFormatter
    secret = commands.add_parser(
        "secret", help="keep keys and tokens in the system's keychain", description=__doc__, formatter_class=shape
    )
    verbs = secret.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, about in (
        ("set", "keep a value under a name, or the key of an encrypted database"),
        ("list", "the names: what uses each, made when, last used when; never values"),
        ("remove", "forget a value"),
        ("rotate", "replace a value that is kept; of a database, give it a new random key"),
        ("test", "see that the keychain keeps and gives back, and that the audit trail is whole"),
    ):
        parser = verbs.add_parser(verb, help=about, description=about)
        if verb != "list":
            parser.add_argument("name", nargs="?", metavar="NAME", help="its name")
            parser.add_argument("--database", metavar="PATH", help="the key of this encrypted database")
            parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)  # a value that should not be here
        secret_asking.add_options(parser)
        secret_asking.quiet(parser)
    secret_asking.quiet(secret)


def run(chosen: argparse.Namespace) -> int:
    """Do one of these; the exit code says how it went."""
    return secret_asking.answered(chosen, lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> int:
    if chosen.verb != "list":
        if chosen.more:
            raise BadArgument("only a name is expected", NEVER_HERE)
        if bool(chosen.name) is bool(chosen.database) and (chosen.name or chosen.verb != "test"):
            raise BadArgument("a NAME or `--database PATH` is expected", "one of them says what the value is for")
    return _VERBS[chosen.verb](chosen, secret_asking.our_keys(chosen))


def _name(chosen: argparse.Namespace, held: Keys) -> str:
    """The name of an existing secret, given as itself or by its database."""
    if not chosen.database:
        return str(chosen.name)
    with unlocking.opened(chosen.database, held) as database:
        return keys.name_of(database.header.salt)


def _set(chosen: argparse.Namespace, held: Keys) -> int:
    if chosen.database:
        secret = secret_asking.value(f"the key of {chosen.database}")
        name = unlocking.keep(held, chosen.database, secret)
        secret.clear()
        unlocks = held.index.all()[name].unlocks
        what = f"The key of {unlocks} is in the keychain."
        return _told(chosen, {"name": name, "unlocks": unlocks, "kept": True}, what)
    name = check_name(chosen.name)
    if name.startswith(("database.", "ours.")):
        raise BadArgument(f"names like `{name}` are made by rootcellar itself", "choose another name")
    secret = secret_asking.value(f"the value of {name}")
    held.keychain.put(name, secret)
    secret.clear()
    held.index.note(name, Kind.VALUE)
    what = f"Kept. Config refers to it as `keychain:{name}`."
    return _told(chosen, {"name": name, "unlocks": "", "kept": True}, what)


def _list(chosen: argparse.Namespace, held: Keys) -> int:
    known = list(held.index.all().values())
    lines = [_line(one) for one in known] or ["No secret is kept."]
    return _told(chosen, {"secrets": [row(one) for one in known]}, "\n".join(lines))


def row(known: Known) -> dict[str, str]:
    """One secret as JSON tells it."""
    return {
        "name": known.name, "kind": known.kind.value, "unlocks": known.unlocks, "created": known.created,
        "used": known.used,
    }  # fmt: skip


def _line(known: Known) -> str:
    unlocks = known.unlocks or f"config, as keychain:{known.name}"
    return (
        f"{known.name}  for {unlocks}, kept {known.created}, {f'used {known.used}' if known.used else 'not used yet'}"
    )


def _remove(chosen: argparse.Namespace, held: Keys) -> int:
    name = _name(chosen, held)
    was_known = name in held.index.all()
    if not was_known:
        held.keychain.get(name).clear()  # says that there is none
    held.keychain.remove(name)
    held.index.forget(name)
    return _told(chosen, {"name": name, "removed": True}, f"`{name}` is out of the keychain.")


def _rotate(chosen: argparse.Namespace, held: Keys) -> int:
    if chosen.database:
        chosen.verb, chosen.path, chosen.ask = "rekey", chosen.database, False
        return database_cli.run(chosen)
    name = str(chosen.name)
    if name == keys.AUDIT:
        raise BadArgument(
            "lines of the audit trail would not verify with another key",
            "`secret remove` it after moving the trail away",
        )
    if name.startswith("database."):
        raise BadArgument("another key alone would not open the database", "`rootcellar secret rotate --database PATH`")
    held.keychain.get(name).clear()
    ours = name == keys.REQUEST_STATE
    secret = Secret.random() if ours else secret_asking.value(f"the new value of {name}")
    held.keychain.put(name, secret)
    secret.clear()
    held.index.note(name, Kind.OURS if ours else Kind.VALUE)
    return _told(chosen, {"name": name, "rotated": True}, f"`{name}` has its new value.")


def _test(chosen: argparse.Namespace, held: Keys) -> int:
    """What was asked for is tried; the code says whether all of it works."""
    told: list[dict[str, Any]] = []

    def tried(what: str, act: Callable[[], str]) -> None:
        try:
            told.append({"about": what, "ok": True, "what": act()})
        except Refusal as refusal:
            told.append({"about": what, "ok": False, "what": refusal.message, "then": refusal.hint})

    tried(title(sys.platform), lambda: f"keeps, gives back and forgets, in {held.keychain.proven() * 1000:.0f} ms")
    if chosen.database:
        tried("database", lambda: _opens(chosen, held))
    elif chosen.name:
        tried(f"`{chosen.name}`", lambda: f"is there, {_read(str(chosen.name), held)} bytes")
    tried("audit trail", lambda: secret_checks.audited(held))
    lines = [f"{'ok  ' if one['ok'] else 'BAD '} {one['about']}: {one['what']}" + _then(one) for one in told]
    _told(chosen, {"checks": told}, "\n".join(lines))
    return OK if all(one["ok"] for one in told) else REFUSED


def _then(one: Mapping[str, Any]) -> str:
    return f"\n     -> {one['then']}" if one.get("then") else ""


def _opens(chosen: argparse.Namespace, held: Keys) -> str:
    with unlocking.opened(chosen.database, held) as database:
        database.describe()
        return f"{unlocking.shown(database)} opens"


def _read(name: str, held: Keys) -> int:
    secret = held.keychain.get(name)
    size = len(secret)
    secret.clear()
    return size


def _told(chosen: argparse.Namespace, facts: Mapping[str, Any], words: str) -> int:
    print(json.dumps(facts, indent=2) if chosen.json else words)
    return OK


_VERBS: Mapping[str, Callable[[argparse.Namespace, Keys], int]] = {
    "set": _set,
    "list": _list,
    "remove": _remove,
    "rotate": _rotate,
    "test": _test,
}

"""`rootcellar database encrypt|decrypt|rekey PATH`: a database's key, changed without a moment in which either is lost.

The new file is written beside the old one, opened and compared with it, and takes its place in one step; its key is in
the keychain before that. Another program that has the database open must open it again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, Final

from rootcellar import keys, secret_asking, unlocking
from rootcellar.errors import BadArgument
from rootcellar.keys import Keys
from rootcellar.secret_index import Kind
from rootcellar.secrets import Secret
from rootcellar.sqlite import Database, Key, Query
from rootcellar.sqlite.header import Sort
from rootcellar.sqlite.rekey import rekey

COMMANDS: Final = ("database",)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    shape = argparse.RawDescriptionHelpFormatter
    database = commands.add_parser(
        "database", help="encrypt, decrypt or rekey a SQLite database", description=__doc__, formatter_class=shape
    )
    verbs = database.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, about in (
        ("encrypt", "make a plain database a SQLCipher file; its key goes into the keychain"),
        ("decrypt", "make an encrypted database a plain file; its key stays for older copies"),
        ("rekey", "give an encrypted database another key"),
    ):
        parser = verbs.add_parser(verb, help=about, description=about)
        parser.add_argument("path", metavar="PATH", help="the database file")
        if verb != "decrypt":
            parser.add_argument(
                "--ask", action="store_true", help="ask for the new key (or read it from stdin); default: a random one"
            )
        secret_asking.add_options(parser)


def run(chosen: argparse.Namespace) -> int:
    """Do one of these; the exit code says how it went."""
    return secret_asking.answered(chosen, lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> int:
    held = secret_asking.our_keys(chosen)
    with unlocking.opened(chosen.path, held) as database:
        told = changed(chosen, database, held)
    print(json.dumps(told, indent=2) if chosen.json else _line(chosen.verb, told))
    return secret_asking.OK


def _line(verb: str, told: dict[str, Any]) -> str:
    done = {"encrypt": "is encrypted", "decrypt": "is plain", "rekey": "has a new key"}[verb]
    more = (
        " The plain bytes it had may still lie in free space of the disk and in backups." if verb == "encrypt" else ""
    )
    kept = "" if verb == "decrypt" else f" Its key is in the keychain as `{told['name']}`: without it the data is lost."
    old = (
        f" The old key stays for older copies; `rootcellar secret remove {told['old']}` ends that."
        if told["old"]
        else ""
    )
    return f"{told['path']} {done}: {told['rows']:,} rows, checked against the original.{kept}{old}{more}"


def changed(chosen: argparse.Namespace, database: Database, held: Keys) -> dict[str, Any]:
    """Encrypt, decrypt or rekey; what came of it."""
    encrypted = database.header.sort is Sort.ENCRYPTED
    path = unlocking.shown(database)
    if encrypted is (chosen.verb == "encrypt"):
        state, other = ("encrypted already", "rekey") if encrypted else ("not encrypted", "encrypt")
        raise BadArgument(f"`{database.entry}` is {state}", f"`rootcellar database {other} PATH` may be meant")
    if encrypted:
        database.query(Query(unlocking.LOOK))  # that its key is here and right shows before anything is asked
    secret = None
    if chosen.verb != "decrypt":
        secret = secret_asking.value("the new key") if chosen.ask else Secret(f"x'{Secret.random().reveal()}'")
    old = keys.name_of(database.header.salt) if encrypted else ""
    done = rekey(database, Key.passphrase(secret.reveal()) if secret else None, _keeper(held, secret, path))
    if secret is not None:
        secret.clear()
    old = old if old in held.index.all() else ""
    if old:  # copies made before this, backups and the journal's too, still open with it
        held.index.note(old, Kind.DATABASE, f"older copies of {path}")
    name = keys.name_of(done.salt) if done.salt else ""
    return {"path": path, "rows": done.rows, "bytes": done.size, "name": name, "old": old}


def _keeper(held: Keys, secret: Secret | None, path: str) -> Callable[[bytes], None]:
    def keep(salt: bytes) -> None:
        if secret is not None:
            held.keychain.put(keys.name_of(salt), secret)
            held.index.note(keys.name_of(salt), Kind.DATABASE, path)

    return keep

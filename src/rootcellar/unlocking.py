"""A database that the user names, opened with a key that is being tried: its own folder is the root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rootcellar import ambient, keys
from rootcellar.confine import Grant, Ground
from rootcellar.errors import BadArgument, NeedsKey, Refusal, Stale
from rootcellar.keys import Keys
from rootcellar.policy import Access, Policy
from rootcellar.secret_index import Kind
from rootcellar.secrets import Secret
from rootcellar.sqlite import Database, Databases, Key, Query
from rootcellar.sqlite.database import place_of
from rootcellar.sqlite.header import Sort

LOOK: Final = "SELECT count(*) FROM sqlite_schema"


@dataclass(frozen=True, slots=True)
class _OneKey:
    """A provider that knows the one key in question."""

    key: Key | None

    def key_for(self, database: str, salt: bytes) -> Key | None:
        """That key, whatever the database."""
        del database, salt
        return self.key


@contextmanager
def opened(path: str, held: Keys | Key | None) -> Iterator[Database]:
    """The database at a path that a person named: its own folder is the root, and nothing in it is sealed."""
    real = ambient.real_path(str(Path(path).expanduser()))
    ground = Ground()
    roots = ground.roots([Grant(str(Path(real).parent), Access.READ_WRITE, "command line")], Policy(sealed=()))
    if not roots.roots:
        why = roots.dropped[0].reason if roots.dropped else "its folder cannot be opened"
        raise Refusal(f"`{path}` cannot be opened: {why}", "name a database file in a folder of yours")
    databases = Databases(held if isinstance(held, Keys) else _OneKey(held))
    try:
        yield databases.open(roots.entry(real))
    finally:
        databases.close()


def shown(database: Database) -> str:
    """The path of a database, for people."""
    return place_of(database.entry)[0]


def fits(path: str, secret: Secret) -> Database:
    """The database, if this key opens it; NeedsKey if not, BadArgument if it is not encrypted."""
    with opened(path, Key.passphrase(secret.reveal())) as database:
        if database.header.sort is not Sort.ENCRYPTED:
            raise BadArgument(f"`{database.entry}` is not encrypted", "`rootcellar database encrypt PATH` does that")
        try:
            database.query(Query(LOOK))
        except NeedsKey:
            raise NeedsKey(
                f"this key does not open `{database.entry}`", "try again; a raw key is written `x'64 hex digits'`"
            ) from None
        return database


def keep(held: Keys, path: str, secret: Secret, salt: bytes = b"") -> str:
    """Keep the key of a database that it opens (and that still is the one with this salt); its name in the keychain."""
    database = fits(path, secret)
    found = database.header.salt
    if salt and salt != found:
        raise Stale(f"`{database.entry}` is another file now", "ask for it again")
    name = keys.name_of(found)
    held.keychain.put(name, secret)
    held.index.note(name, Kind.DATABASE, shown(database))
    return name

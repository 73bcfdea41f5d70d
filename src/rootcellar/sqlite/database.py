"""A database of the user's, as the tools see it: an entry opened as SQLite.

Nothing here touches the file but through its `Entry` (to look at its first bytes) and through a worker, which
proves that what SQLite opened is that entry. Calls block; they may come from many threads at once.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rootcellar import errors, limits
from rootcellar.confine import Details, Entry, Kind, Stat
from rootcellar.policy import Access, Effect
from rootcellar.sqlite import header, transfer
from rootcellar.sqlite.cipher import KeyProvider, NoKeys
from rootcellar.sqlite.header import Header, Sort
from rootcellar.sqlite.keeping import Keeping, KeptFiles, KeptRows, Recorder, Run, Way, recorder_of
from rootcellar.sqlite.marks import Params, Query
from rootcellar.sqlite.pool import Pool
from rootcellar.sqlite.process import SILENT, Cancel, Listener, Lost, Never, Watching, Worker
from rootcellar.sqlite.results import Changed, Checked, Exported, Found, Imported, Listing, Plan
from rootcellar.sqlite.rows import Cells, Page, picture_of
from rootcellar.sqlite.statement import Profile
from rootcellar.sqlite.transfer import Import
from rootcellar.sqlite.wire import Cell, Json

Progress = Callable[[float, float | None, str], None]
_ASKED_MAX: Final = 256
_KNOWN_MAX: Final = 1_024
_DATABASE_NAMES: Final = (".db", ".db3", ".sqlite", ".sqlite3", ".s3db", ".sl3", ".sqlcipher")
_SMALLEST: Final = 512


class Databases:
    """All databases of this server. Make it on the main thread, before any thread is fenced in."""

    def __init__(self, keys: KeyProvider | None = None) -> None:
        self.pool = Pool()
        self.keys: KeyProvider = keys or NoKeys()
        self._asked: OrderedDict[str, tuple[str, Params]] = OrderedDict()
        self._known: OrderedDict[tuple[int, ...], Header] = OrderedDict()

    def close(self) -> None:
        """End all workers; changes in flight are rolled back."""
        self.pool.close()

    def open(self, entry: Entry, cancel: Cancel | None = None) -> Database:
        """The database at this entry; refuses whatever is none."""
        stat = entry.stat()
        if stat.kind is not Kind.FILE:
            raise errors.WrongKind(f"`{entry}` is a {stat.kind.value}, not a database", "name a file")
        known = self._known.get(_version(stat)) or self._look(entry)
        return Database(self, entry, stat, known, cancel or Never())

    def create(self, entry: Entry, cancel: Cancel | None = None) -> Database:
        """A new, empty database; Exists if something other than an empty file has the name."""
        is_made = False
        try:
            stat = entry.stat()
        except errors.NotFound:
            entry.create(b"")
            stat, is_made = entry.stat(), True
        if stat.kind is not Kind.FILE or stat.size:
            raise errors.Exists(f"`{entry}` is already there", "leave out `create` to change it, or name a new file")
        return Database(self, entry, stat, Header(Sort.PLAIN, 0), cancel or Never(), True, is_made)

    def list(self, entry: Entry, cancel: Cancel | None = None) -> list[Listing]:
        """The databases in and below a directory, found by their first bytes."""
        found: list[Listing] = []
        for walked in entry.walk(details=Details.STAT, cancel=Watching(cancel or Never())):
            stat = walked.stat
            if stat is None or stat.kind is not Kind.FILE or stat.size < _SMALLEST or stat.size % _SMALLEST:
                continue
            with suppress(errors.Refusal):
                if listing := self._listing(walked.entry):
                    found.append(listing)
            if len(found) >= limits.DATABASES_LISTED_MAX:
                break
        return sorted(found, key=lambda listing: listing.path)

    def _listing(self, entry: Entry) -> Listing | None:
        with entry.open_read() as content:
            start = content.read_at(0, header.START_BYTES)
            try:
                known = header.read_header(start, content.size, str(entry))
            except errors.NotADatabase as error:
                if not start.startswith(header.MAGIC):
                    return None
                return Listing(str(entry), content.size, None, wal=False, encrypted=False, note=error.message)
            if known.sort is Sort.ENCRYPTED and not entry.name.lower().endswith(_DATABASE_NAMES):
                return None
            names = header.tables(content.read_at, known)
        return Listing(str(entry), known.size, names, known.wal, known.sort is Sort.ENCRYPTED)

    def _look(self, entry: Entry) -> Header:
        with entry.open_read() as content:
            start, size = content.read_at(0, header.START_BYTES), content.size
        known = header.read_header(start, size, str(entry))
        if not known.wal:
            header.refuse_truncated(known, str(entry))
        self._known[_version(content.stat)] = known
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        return known

    def remember(self, digest: str, sql: str, params: Params) -> None:
        """Keep a statement for the cursors that continue it."""
        self._asked[digest] = (sql, params)
        self._asked.move_to_end(digest)
        if len(self._asked) > _ASKED_MAX:
            self._asked.popitem(last=False)

    def remembered(self, digest: str) -> tuple[str, Params]:
        """The statement a cursor belongs to."""
        if digest not in self._asked:
            raise errors.BadArgument("the statement of this `cursor` is forgotten", "send the same `sql` with it")
        return self._asked[digest]


@dataclass(frozen=True, slots=True)
class Database:
    """An entry opened as SQLite. Each call goes to a worker that stands in the database's own directory."""

    databases: Databases = field(repr=False)
    entry: Entry
    stat: Stat
    header: Header
    cancel: Cancel = field(repr=False)
    is_new: bool = False
    is_made: bool = False  # by this call: taken away again if nothing comes of it

    def query(self, query: Query) -> Page:
        """One page of rows as lines, and the cursor that continues it."""
        sql, params = query.sql, query.params
        if query.cursor:
            digest = transfer.cursor_statement(query.cursor)
            if not sql:
                sql, params = self.databases.remembered(digest)
            elif transfer.statement_id(sql, params) != digest:
                raise errors.BadArgument("`cursor` belongs to another statement", "leave out `sql`, or send the same")
        told = self._read("query", query, sql=sql, params=params, cursor=query.cursor)
        if told.get("cursor"):
            self.databases.remember(transfer.statement_id(sql, params), sql, params)
        return Page(
            tuple(told["columns"]),
            tuple(told["lines"]),
            told["cut"],
            told.get("cursor", ""),
            tuple(told["notes"]),
            picture_of([[told.get("image")]]),
        )

    def cells(self, query: Query) -> Cells:
        """Typed rows, lossless."""
        told = self._read("cells", query, sql=query.sql, params=query.params)
        return Cells(tuple(told["columns"]), tuple(tuple(row) for row in told["rows"]), told["cut"])

    def explain(self, sql: str, params: Params = ()) -> Plan:
        """How SQLite would run a statement; it is not run."""
        told = self._ask(Profile.READ, {"verb": "explain", "sql": sql, "params": _plain(params)})
        return Plan(tuple(told["lines"]), tuple(told["hints"]))

    def describe(self, table: str = "", samples: int = 0) -> str:
        """The schema: all of it, or one table with its SQL and some rows."""
        return str(self._ask(Profile.READ, {"verb": "describe", "table": table, "samples": samples})["text"])

    def check(self) -> Checked:
        """Integrity, references, size."""
        told = self._ask(Profile.READ, {"verb": "check"}, limits.TRANSFER_S)
        return Checked(
            told["ok"], tuple(told["integrity"]), tuple(told["references"]), told["bytes"], told["free_bytes"],
            told["journal"], told["log_bytes"], told["encrypted"],
        )  # fmt: skip

    def search(self, word: str, rows: int = limits.QUERY_ROWS_DEFAULT) -> Found:
        """Where a word stands in any text column, within a few seconds."""
        if not word:
            raise errors.BadArgument("`word` is empty", "send what to look for")
        told = self._ask(Profile.READ, {"verb": "search", "word": word, "rows": rows, "search_s": limits.QUERY_S / 2})
        return Found(tuple(told["lines"]), told["searched"], told["tables"], told["cut"])

    def effect(self, sql: str, params: Params = ()) -> Effect:
        """READ, WRITE or DESTROY: what a change would be. A script is run and rolled back to know it."""
        return self.change(sql, params, Run.DRY).effect

    def change(self, sql: str, params: Params = (), run: Run = Run.KEEP, record: Recorder | None = None) -> Changed:
        """A statement or a script in one transaction, all or nothing; `record` is told before it is kept."""
        dry = run is Run.DRY
        request = {"verb": "change", "sql": sql, "params": _plain(params), "dry": dry, "whole": self.is_new}
        try:
            told = self._keeping(request, limits.QUERY_S, None if dry else record)
        finally:
            if self.is_made:
                with suppress(errors.Refusal):
                    if not self.entry.stat().size:
                        self.entry.remove()
        return Changed.of(told, dry=run is Run.DRY)

    def revert(self, kept: KeptRows, way: Way, run: Run = Run.KEEP, record: Recorder | None = None) -> Changed:
        """Put rows back (or forth again), all of them or none; Stale when something later stands in the way."""
        listener = Listener(feed=kept.read())
        return Changed.of(self._keeping(kept.request(way, run), limits.TRANSFER_S, record, listener))

    def restore(self, kept: KeptFiles, run: Run = Run.KEEP, record: Recorder | None = None) -> Changed:
        """Put the whole database back, if it still is what the change made of it; else Stale."""
        listener = Listener(feed=kept.read())
        return Changed.of(self._keeping(kept.request(run), limits.TRANSFER_S, record, listener))

    def remove_if(self, expected: str, remove: Callable[[], None]) -> None:
        """Take the file away while nobody can write to it, if nothing in it was changed since; else Stale."""
        request = {**KeptFiles((0, 0), lambda: bytes, expected).request(Run.KEEP), "hold": True}
        self.ask_to_change(request, limits.TRANSFER_S, Listener(feed=bytes, prepared=lambda _told: remove()))

    def is_there(self, changed: Changed) -> bool | None:
        """Whether a change that was about to be kept has been; None where the database does not tell."""
        request: Json = {"verb": "evidence", "proof": changed.proof, "back": changed.is_back}
        if changed.is_whole:
            request = {"verb": "settle", "after": changed.digest, "before": changed.target}
        told = self._ask(Profile.READ, request, limits.TRANSFER_S)
        return {1: True, -1: False}.get(told["verdict"])

    def import_file(
        self, source: Entry, wanted: Import, progress: Progress | None = None, record: Recorder | None = None
    ) -> Imported:
        """The rows of a file into a table, all or nothing unless told otherwise."""

        def ask(request: Json, feed: Callable[[], bytes]) -> Json:
            return self._keeping(request, limits.TRANSFER_S, record, Listener(feed=feed, progress=progress))

        return transfer.import_file(ask, source, wanted)

    def export(self, sql: str, params: Params, target: Entry, form: str, progress: Progress | None = None) -> Exported:
        """A query's rows into a new file."""
        return transfer.export(self, (sql, _plain(params)), target, form, progress)

    def backup(self, target: Entry, progress: Progress | None = None) -> Exported:
        """A consistent copy into a new file, while others may use the database."""
        return transfer.backup(self, target, progress)

    # to the worker

    def ask_to_change(self, request: Json, seconds: float, listener: Listener) -> Json:
        """Hand a request to the one writer."""
        return self._ask(Profile.CHANGE, request, seconds, listener)

    def ask_beside(self, request: Json, target: Entry, listener: Listener) -> Json:
        """Hand a request to a worker of its own that may also write one new, empty file."""
        stat = target.stat()
        _, directory, name = place_of(target)
        beside = {"directory": directory, "name": name, "device": stat.dev, "inode": stat.ino}
        return self._ask(Profile.READ, {**request, "beside": beside}, limits.TRANSFER_S, listener)

    def ask_to_read(self, request: Json, seconds: float, listener: Listener) -> Json:
        """Hand a request to a reader."""
        return self._ask(Profile.READ, request, seconds, listener)

    def _read(self, verb: str, query: Query, **more: Any) -> Json:  # noqa: ANN401 - JSON
        rows = min(max(query.rows, 1), limits.QUERY_ROWS_MAX)
        request = {"verb": verb, "rows": rows, "bytes": query.bytes, **more, "params": _plain(more["params"])}
        return self._ask(Profile.READ, request, query.seconds)

    def _keeping(self, request: Json, seconds: float, record: Recorder | None, listener: Listener = SILENT) -> Json:
        """Hand a change to the one writer, and tell the recorder before it is kept and after."""
        keeping = Keeping(record or recorder_of(self.entry, request))
        listener = replace(listener, sink=keeping.sink, prepared=keeping.prepared)
        try:
            told = self.ask_to_change({**request, "ask": keeping.recorder is not None}, seconds, listener)
        except BaseException as error:
            keeping.failed(error, replace(self, cancel=Never()).is_there)
            raise
        keeping.ended(told)
        return told

    def _ask(
        self, profile: Profile, request: Json, seconds: float = limits.QUERY_S, listener: Listener = SILENT
    ) -> Json:
        if profile is Profile.CHANGE:
            refuse_read_only(self.entry)
        try:
            return self._ask_once(profile, request, seconds, listener)
        except Lost as lost:  # a read may be asked twice; a change only if nobody heard it
            if listener is not SILENT or (profile is Profile.CHANGE and not lost.unheard):
                raise
        return self._ask_once(profile, request, seconds, listener)

    def _ask_once(self, profile: Profile, request: Json, seconds: float, listener: Listener) -> Json:
        pool = self.databases.pool
        with self._worker(profile, request.get("beside")) as worker, pool.watched(worker, seconds, self.cancel):
            return worker.ask({**request, "deadline_s": seconds}, listener)

    @contextmanager
    def _worker(self, profile: Profile, beside: Json | None) -> Iterator[Worker]:
        path, directory, name = place_of(self.entry)
        key = self._key(path)
        writable = "write" if _admits_changes(self.entry) else "read"
        stand: Json = {
            "verb": "stand", "directory": directory, "name": name, "device": self.stat.dev, "inode": self.stat.ino,
            "profile": profile.value, "writable": writable, "key": key, "beside": beside,
        }  # fmt: skip
        label = (directory, name, self.stat.identity, profile, writable, hash(key), beside and tuple(beside.values()))
        most = 1 if profile is Profile.CHANGE or beside else limits.WORKERS_PER_DATABASE_MAX
        with self.databases.pool.worker(label, most, self.cancel, stand) as worker:
            if beside:
                worker.doomed = True  # it may write one more file: nobody else gets it
            yield worker

    def _key(self, path: str) -> str:
        encrypted = self.header.sort is Sort.ENCRYPTED or not self.header.size
        key = self.databases.keys.key_for(path, self.header.salt) if encrypted else None
        if key is None and self.header.sort is Sort.ENCRYPTED:
            raise errors.NeedsKey(
                f"`{self.entry}` is encrypted, or no database",
                "its owner can run `rootcellar secret set --database PATH` in a terminal; a key is never sent here",
                name=str(self.entry), path=path, salt=self.header.salt,
            )  # fmt: skip
        return key.reveal() if key else ""


def _version(stat: Stat) -> tuple[int, ...]:
    """What is the same only while the file is: identities alone are used again."""
    return (*stat.identity, stat.size, stat.mtime_ns, stat.ctime_ns)


def place_of(entry: Entry) -> tuple[str, str, str]:
    """The path, the directory and the name that the worker is given, and must prove to be the entry."""
    path = entry.path_unchecked()
    return path, *os.path.split(path)


def refuse_read_only(entry: Entry) -> None:
    """ReadOnly where the root, or the whole server, admits no change."""
    if not _admits_changes(entry):
        raise errors.ReadOnly(f"`{entry}` is in a read-only root", "grant the root read-write, or copy the file")


def _admits_changes(entry: Entry) -> bool:
    return not entry.root.policy.read_only and entry.root.access is Access.READ_WRITE


def _plain(params: Params) -> list[Cell] | dict[str, Cell]:
    """Parameters as the wire takes them; names may come with or without their sign."""
    if isinstance(params, Mapping):
        return {name.lstrip(":@$"): value for name, value in params.items()}
    return list(params)

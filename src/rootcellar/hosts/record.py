"""The ownership record: what we wrote into whose file, so that it can be updated, missed and taken out again.

One small file per entry under our own data directory. It is written before the host's file is touched: a process that
dies in between leaves a record of something that is not there, which the next run sees and drops.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rootcellar import ambient
from rootcellar.hosts.document import Splice
from rootcellar.hosts.tree import Value


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of ours: where it stands, what it was when written, and the way back."""

    host: str
    scope: str
    path: str
    name: str
    entry: Mapping[str, Value]
    kept: int
    splices: tuple[Splice, ...]
    digests: tuple[str, str]
    made_directories: tuple[str, ...] = ()
    former: Value | None = None  # what stood there before the user let us take its place

    @property
    def made_file(self) -> bool:
        """Whether there was no file before."""
        return self.digests[0] == "none"


@dataclass(frozen=True, slots=True)
class Records:
    """The records under one data directory, with the locks and backups beside them."""

    data: str
    separator: str = "/"

    @property
    def locks(self) -> str:
        """Where locks are kept."""
        return f"{self.data}{self.separator}locks"

    @property
    def backups(self) -> str:
        """Where copies of edited files are kept."""
        return f"{self.data}{self.separator}backups"

    @property
    def _shelf(self) -> str:
        return f"{self.data}{self.separator}hosts"

    def _file(self, path: str, name: str) -> str:
        real = ambient.real_path(path)
        key = hashlib.sha256(f"{real}\n{name}".encode(errors="surrogateescape")).hexdigest()[:24]
        return f"{self._shelf}{self.separator}{key}.json"

    def of(self, path: str, name: str) -> Record | None:
        """The record of our entry in that file, or None."""
        return _read(self._file(path, name))

    def all(self) -> Iterator[Record]:
        """Every record there is."""
        for name in ambient.listed(self._shelf):
            record = _read(f"{self._shelf}{self.separator}{name}") if name.endswith(".json") else None
            if record is not None:
                yield record

    def keep(self, record: Record) -> None:
        """Write a record, over the one of the same entry."""
        ambient.replace(ambient.read(self._file(record.path, record.name)), _packed(record))

    def drop(self, path: str, name: str) -> None:
        """Forget the record of our entry in that file."""
        reading = ambient.read(self._file(path, name))
        if reading.data is not None:
            ambient.remove(reading)
            ambient.remove_empty_directories((self._shelf,))


def _packed(record: Record) -> bytes:
    fields = {
        "host": record.host, "scope": record.scope, "path": record.path, "name": record.name,
        "entry": record.entry, "kept": record.kept,
        "splices": [[splice.at, splice.removed, splice.text] for splice in record.splices],
        "digests": record.digests, "made_directories": record.made_directories, "former": record.former,
    }  # fmt: skip
    return json.dumps(fields, indent=1).encode() + b"\n"


def _read(file: str) -> Record | None:
    """The record in a file; a torn or foreign one counts as none, and what it spoke of as not ours."""
    data = ambient.read(file).data
    if data is None:
        return None
    try:
        fields: dict[str, Any] = json.loads(data)
        return Record(
            fields["host"], fields["scope"], fields["path"], fields["name"], fields["entry"], fields["kept"],
            tuple(Splice(*splice) for splice in fields["splices"]),
            (fields["digests"][0], fields["digests"][1]), tuple(fields["made_directories"]), fields["former"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, IndexError):
        return None

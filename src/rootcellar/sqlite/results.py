"""What the other verbs answer: plain values that can say themselves in a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rootcellar.policy import Effect

if TYPE_CHECKING:
    from rootcellar.sqlite.wire import Json


@dataclass(frozen=True, slots=True)
class Plan:
    """A query plan, and what an index would save."""

    lines: tuple[str, ...]
    hints: tuple[str, ...]

    def text(self) -> str:
        """The tree, then the hints."""
        return "\n".join([*self.lines, *(f"hint: {hint}" for hint in self.hints)]) or "Nothing is looked up for it"


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did, or with a dry run would do."""

    effect: Effect
    affected: dict[str, int]  # as the statements themselves count
    schema: bool
    returned: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()
    dry: bool = False
    rows: dict[str, int] = field(default_factory=dict)  # every row touched, by triggers and cascades too
    made: tuple[str, ...] = ()  # tables, indexes, views, triggers
    is_whole: bool = False  # rows cannot tell it: the whole file as it was is kept for its undo
    target: str = ""  # of what is there before: the rows touched, or the whole database
    digest: str = ""  # of what the whole database is afterwards
    proof: str = ""  # what will tell whether it happened
    is_sealed: bool = False  # of an encrypted database: nothing of it may be written down in plain
    is_back: bool = False  # an undo: the proof is read the other way round
    places: tuple[str, ...] = ()  # names for the tables and rows touched
    sizes: tuple[int, ...] = ()
    images: bytes = field(default=b"", repr=False)  # what undoes it: of so many bytes each as `sizes` says

    @classmethod
    def of(cls, told: Json, images: bytes = b"", *, dry: bool = False) -> Changed:
        """From a worker's answer."""
        get = told.get
        return cls(
            Effect(get("effect", "write")), dict(get("affected", {})), bool(get("schema")), tuple(get("returned", ())),
            tuple(get("sample", ())), dry, dict(get("rows", {})), tuple(get("made", ())), bool(get("is_whole")),
            str(get("target", "")), str(get("digest", "")), str(get("proof", "")), bool(get("sealed")),
            bool(get("is_back")), tuple(get("places", ())), tuple(get("sizes", ())), images,
        )  # fmt: skip

    def text(self) -> str:
        """Rows per table, then what the statement returned, then a sample."""
        told = self.summary()
        lines = [
            f"Dry run, rolled back; it would change: {told} ({self.effect.value})" if self.dry else f"Changed: {told}"
        ]
        lines += self.returned
        if self.dry and self.sample:
            lines += ["For example:", *self.sample]
        return "\n".join(lines)

    def summary(self) -> str:
        """What is changed, in a line."""
        parts = [f"{_rows(count)} in {table}" for table, count in self.affected.items()]
        others = {table: count for table, count in self.rows.items() if table not in self.affected}
        parts += [f"{_rows(count)} in {table} (triggers, references)" for table, count in others.items()]
        if self.schema:
            parts.append("the schema")
        return ", ".join(parts) or "nothing"


def _rows(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import put where."""

    table: str
    created: bool
    rows: int
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    bad: tuple[str, ...] = ()
    bad_count: int = 0

    def text(self) -> str:
        """The table, its columns when it is new, the rows left out."""
        lines = [f"Imported {_rows(self.rows)} into {'the new table ' if self.created else ''}{self.table}"]
        if self.created:
            lines.append(
                ", ".join(f"{name} {kind}".strip() for name, kind in zip(self.columns, self.kinds, strict=True))
            )
        if self.bad:
            lines += [f"{_rows(self.bad_count)} left out:", *self.bad]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export or a backup wrote."""

    path: str
    rows: int
    bytes: int

    def text(self) -> str:
        """Where it is and how much."""
        rows = f"{_rows(self.rows)}, " if self.rows >= 0 else ""
        return f"Wrote {self.path}: {rows}{self.bytes:,} bytes"


@dataclass(frozen=True, slots=True)
class Checked:
    """How a database is."""

    ok: bool
    integrity: tuple[str, ...]
    references: tuple[str, ...]
    bytes: int
    free_bytes: int
    journal: str
    log_bytes: int
    encrypted: bool

    def text(self) -> str:
        """The findings first."""
        lines = ["ok: integrity and foreign keys" if self.ok else "NOT ok"]
        lines += [f"integrity: {text}" for text in self.integrity if text != "ok"]
        lines += [f"foreign key: {text}" for text in self.references]
        size = f"{self.bytes:,} bytes, {self.free_bytes:,} of them free; journal {self.journal}"
        if self.log_bytes:
            size += f"; {self.log_bytes:,} bytes in the write-ahead log"
        return "\n".join([*lines, size + ("; encrypted" if self.encrypted else "")])


@dataclass(frozen=True, slots=True)
class Found:
    """Where a word stands."""

    lines: tuple[str, ...]
    searched: int
    tables: int
    cut: str

    def text(self) -> str:
        """The hits, then how far the search came."""
        told = f"({len(self.lines):,} found; {self.searched:,} of {self.tables:,} tables searched"
        return "\n".join([*self.lines, told + (f", cut by {self.cut})" if self.cut else ")")])


@dataclass(frozen=True, slots=True)
class Listing:
    """One database of a list."""

    path: str
    bytes: int
    tables: tuple[str, ...] | None
    wal: bool
    encrypted: bool
    note: str = ""

    def line(self) -> str:
        """One line: path, size, tables."""
        marks = [mark for mark, on in (("WAL", self.wal), ("encrypted", self.encrypted)) if on]
        if self.tables is not None:
            few = 8
            names = ", ".join(self.tables[:few]) + (", ..." if len(self.tables) > few else "")
            marks.append(
                f"{len(self.tables):,} table{'' if len(self.tables) == 1 else 's'}" + (f": {names}" if names else "")
            )
        if self.note:
            marks.append(self.note)
        return f"{self.path} ({self.bytes:,} bytes{''.join('; ' + mark for mark in marks)})"

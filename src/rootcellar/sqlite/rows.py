"""A bounded answer: columns once, then one line a row, every cell lossless and of a visible type.

    id|name|price|cover
    1|Ada|9.5|<blob 20480 bytes image/png 89504e47...>
    2|"007"|NULL|NULL

Cells: a number stands bare (a real always has a point or an exponent), `NULL` is NULL, text stands bare unless it
could be taken for something else (a number, NULL, empty, with a bar, a line break or blanks at its ends): then it
is a JSON string. `inf` and `-inf` are the infinities; SQLite has no NaN (it stores NULL). Blobs and text that is
not UTF-8 are told in angle brackets with their size and first bytes. No double quotes where none are needed: on the
wire the text is inside JSON, where each would cost two bytes.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.sqlite.wire import BadText, Cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PREVIEW_BYTES: Final = 16
_ODD_CHARACTERS: Final = r"\x00-\x1f\x7f-\x9f\\\u200b-\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_NUMBERISH: Final = r"[+\-.]?\d|[+\-]?(?:inf(?:inity)?|nan)\b|NULL$"
_PLAIN: Final = re.compile(rf"(?!{_NUMBERISH}|[ <\"])[^|{_ODD_CHARACTERS}]*(?<! )", re.IGNORECASE)
_NAME: Final = re.compile(rf"[^|{_ODD_CHARACTERS}]+")
_DATE_LIKE: Final = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?"
_DATE: Final = re.compile(_DATE_LIKE)
_NOT_BARE: Final = re.compile(  # in texts between bars: one that begins like something else
    rf"\|(?!{_DATE_LIKE}\|)(?:{_NUMBERISH.replace('$', '[|]')}|[ <\"|])", re.IGNORECASE
)
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"), (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"), (b"PK\x03\x04", "application/zip"), (b"\x1f\x8b", "application/gzip"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"), (b"OggS", "audio/ogg"), (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
)  # fmt: skip


def blob_kind(value: bytes) -> str:
    """The media type that the first bytes show; empty when none is known."""
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return "image/webp"
    if value[4:12] == b"ftypavif":
        return "image/avif"
    return next((kind for magic, kind in _MAGIC if value.startswith(magic)), "")


def cell_text(value: Cell) -> str:
    """One cell as a line shows it."""
    if type(value) is str:
        return value if len(value) < limits.CELL_CHARS_MAX and _PLAIN.fullmatch(value) and value else _text(value)
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    return _bytes(value) if isinstance(value, bytes) else _text(value)


def _text(value: str) -> str:
    cut = ""
    if len(value) > limits.CELL_CHARS_MAX:
        cut = f"<+{len(value) - limits.CELL_CHARS_MAX} characters>"
        value = value[: limits.CELL_CHARS_MAX]
    if not cut and value and (_PLAIN.fullmatch(value) or _DATE.fullmatch(value)):
        return value
    return json.dumps(value, ensure_ascii=_has_odd(value)) + cut


def _has_odd(value: str) -> bool:
    """Whether a character would be invisible, reorder the line or not survive the wire."""
    return _ODD.search(value) is not None


_ODD: Final = re.compile("[\x7f-\x9f\u200b-\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _bytes(value: bytes) -> str:
    preview = value[:_PREVIEW_BYTES].hex() + ("..." if len(value) > _PREVIEW_BYTES else "")
    if isinstance(value, BadText):
        return f"<text {len(value)} bytes, not UTF-8: {preview}>"
    told = " ".join(part for part in (f"<blob {len(value)} bytes", blob_kind(value), preview) if part)
    return told + ">"


def line(row: Iterable[Cell]) -> str:
    """One row."""
    return "|".join([cell_text(cell) for cell in row])


def lines(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Several rows of equal width, as `line` tells each; column by column, which is quicker."""
    if not rows or not rows[0]:
        return [line(row) for row in rows]
    return list(map("|".join, zip(*map(_column, zip(*rows, strict=True)), strict=True)))


def _column(cells: Sequence[Cell]) -> Iterable[str]:
    kinds = set(map(type, cells))
    if kinds == {int}:
        return map(str, cells)
    if kinds == {float}:
        return map(repr, cells)  # SQLite has no NaN
    return cells if kinds == {str} and _are_plain(cells) else map(cell_text, cells)  # type: ignore[arg-type, return-value]


def _are_plain(texts: Sequence[str]) -> bool:
    """Whether all of them stand bare, as far as one look at all of them together can say."""
    if max(map(len, texts)) >= limits.CELL_CHARS_MAX:
        return False
    joined = f"|{'|'.join(texts)}|"
    if joined.count("|") != len(texts) + 1 or not joined.isprintable() or "\\" in joined or " |" in joined:
        return False
    return _NOT_BARE.search(joined) is None


def header(columns: Sequence[str]) -> str:
    """The columns' names, once; equal names stay equal."""
    return "|".join(
        name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=_has_odd(name)) for name in columns
    )


@dataclass(frozen=True, slots=True)
class Cells:
    """Typed rows: what SQLite holds, as Python values. `cut` names the budget that ended them early, if one did."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A blob that is an image, and its media type."""

    kind: str
    data: bytes = field(repr=False)


def picture_of(rows: Sequence[Sequence[Cell]]) -> Picture | None:
    """The image, where it is the only cell there is."""
    cell = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else None
    if not isinstance(cell, bytes) or isinstance(cell, BadText) or len(cell) > limits.MEDIA_BYTES_MAX:
        return None
    kind = blob_kind(cell)
    return Picture(kind, cell) if kind.startswith("image/") else None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows for reading: a line each, the budget that cut them, and the cursor that continues them."""

    columns: tuple[str, ...]
    lines: tuple[str, ...]
    cut: str = ""
    cursor: str = ""
    notes: tuple[str, ...] = field(default=())
    image: Picture | None = field(default=None, repr=False)

    def text(self) -> str:
        """The answer as it is sent."""
        told = [header(self.columns), *self.lines] if self.columns else list(self.lines)
        told.append(f"({_count(len(self.lines), 'row')}{_more(self)})")
        told.extend(self.notes)
        return "\n".join(told)


def _more(page: Page) -> str:
    if not page.cut:
        return ""
    follows = f"; the rest: cursor {page.cursor}" if page.cursor else ""
    return f", cut by {page.cut}{follows}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

"""Rows out of CSV, TSV, JSON and JSON Lines, each with the line it came from; and what types their columns have.

A column is INTEGER or REAL only while **every** value in it survives the round trip: `007`, `+49`, `1e5`, twenty
digits and anything a person would write as a code stay text. Empty is NULL in a numeric column and an empty text in
a text column.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rootcellar import errors, limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BATCH_ROWS: Final = 10_000
_INTEGERS: Final = re.compile(r"(?:(?:-?[1-9][0-9]{0,17}+|0)?+\n)*+")
_REALS: Final = re.compile(r"(?:(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+)?+\n)*+")
_SURE_DIGITS: Final = 18  # as many always fit into 64 bits
_REAL_CHARS_MAX: Final = 17  # sign, point and the 15 digits that a real keeps
_DECODED: Final = json.JSONDecoder().decode
_JSON_BYTES_MAX: Final = 128 * limits.MIB
for _name in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
    codecs.lookup(_name)  # now: behind the worker's fence no codec can be loaded
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

Row = "list[Any]"


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as they came, and the line each ended on."""

    rows: list[list[Any]]
    lines: Sequence[int]


class Broken(str):
    """A line that is no JSON, and why."""

    __slots__ = ()


def texts(chunks: Iterable[bytes]) -> Iterator[str]:
    """The text of the bytes, in pieces; NotText where they are none."""
    source = iter(chunks)
    first = next(source, b"")
    coding = next((name for mark, name in _BOMS if first.startswith(mark)), "utf-8")
    decoder = codecs.getincrementaldecoder(coding)()
    try:
        yield decoder.decode(first)
        for chunk in source:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise errors.NotText("the file is not UTF-8 text", "convert it to UTF-8 first") from error


def text_lines(pieces: Iterable[str]) -> Iterator[str]:
    """Whole lines with their ends; lines break at line feeds only."""
    rest = ""
    for piece in pieces:
        whole, feed, rest = (rest + piece).rpartition("\n")
        if feed:
            yield from (whole + feed).splitlines(keepends=True) if "\r" not in whole else _split(whole + feed)
    if rest:
        yield rest


def _split(text: str) -> list[str]:
    return [part + "\n" for part in text.split("\n")[:-1]]


def separated(pieces: Iterable[str], delimiter: str) -> Iterator[Batch]:
    """CSV or TSV in batches; the first row of the first batch is the header."""
    csv.field_size_limit(limits.SQLITE_VALUE_BYTES_MAX)
    reader = csv.reader(itertools.chain.from_iterable(_pieces(pieces)), delimiter=delimiter, strict=True)
    while True:
        before, rows = reader.line_num, []
        lines: Sequence[int] = range(0)
        try:
            rows = list(itertools.islice(reader, BATCH_ROWS))
        except csv.Error as error:
            raise errors.NotText(
                f"line {reader.line_num}: {error}", "mend the quotes there, or import it as TSV"
            ) from error
        if not rows:
            return
        if reader.line_num - before == len(rows):
            lines = range(before + 1, reader.line_num + 1)
        else:
            lines = _lines(rows, before)
        yield Batch(rows, lines)


def delimiter_of(pieces: Iterator[str]) -> tuple[str, Iterator[str]]:
    """What separates the cells of a CSV file whose first line has no comma, and the pieces still to come."""
    first = next(pieces, "")
    line = first.partition("\n")[0]
    found = "," if "," in line else next((sign for sign in ";\t|" if sign in line), ",")
    return found, itertools.chain((first,), pieces)


def _pieces(pieces: Iterable[str]) -> Iterator[list[str]]:
    """Lines, many at once; their ends are left off until the first quote, behind which alone they matter."""
    rest, quoted = "", False
    for piece in pieces:
        parts = (rest + piece).split("\n")
        rest = parts.pop()
        quoted = quoted or '"' in piece
        yield [part + "\n" for part in parts] if quoted else parts
    if rest:
        yield [rest]


def _lines(rows: list[list[str]], before: int) -> list[int]:
    """The line each row ends on when some hold line breaks; rows of nothing are blank lines."""
    at, lines = before, []
    for row in rows:
        at += 1 + sum(cell.count("\n") for cell in row)
        lines.append(at)
    return lines


def objects(pieces: Iterable[str], *, lines: bool) -> Iterator[tuple[int, Any]]:
    """JSON values with the line (JSON Lines) or the place (JSON) each has; BadArgument where one is broken."""
    if lines:
        for number, text in enumerate(text_lines(pieces), 1):
            if not text.isspace():
                try:
                    yield number, _json(text, "")
                except errors.NotText as broken:
                    yield number, Broken(broken.message.removeprefix("is "))
        return
    whole, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > _JSON_BYTES_MAX:
            raise errors.TooLarge("a JSON file over 128 MiB cannot be read at once", "convert it to JSON Lines")
        whole.append(piece)
    value = _json("".join(whole), "the file")
    if not isinstance(value, list):
        raise errors.BadArgument("the JSON file is no list of rows", "wrap the rows in `[...]`, or use JSON Lines")
    yield from enumerate(value, 1)


def _json(text: str, where: str) -> Any:  # noqa: ANN401 - JSON has no common type
    try:
        return _DECODED(text)
    except (ValueError, RecursionError) as error:
        raise errors.NotText(f"{where} is not JSON: {str(error)[:100]}".strip(), "mend it and import again") from error


def columns_of(values: Sequence[Any]) -> tuple[str, ...]:
    """The names that the objects have, in order of first mention."""
    return tuple(dict.fromkeys(str(name) for value in values if isinstance(value, dict) for name in value))


def flat(value: Any) -> Any:  # noqa: ANN401 - JSON has no common type
    """A JSON value as a cell: lists and objects become their JSON text, true and false 1 and 0."""
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def type_of(column: Sequence[Any]) -> str:
    """INTEGER, REAL or TEXT: the narrowest that keeps every value."""
    if all(isinstance(cell, str) for cell in column):
        if not any(column):
            return "TEXT"
        return next((kind for kind in ("INTEGER", "REAL") if fits(column, kind)), "TEXT")
    kinds = {type(cell) for cell in column if cell is not None}
    return (
        "INTEGER" if kinds == {int} else "REAL" if kinds and kinds <= {int, float} else "TEXT" if kinds <= {str} else ""
    )


def fits(column: Sequence[str], kind: str) -> bool:
    """Whether every text survives the type: it would be written the same again, or as the same number."""
    if kind == "INTEGER":
        digits = "".join(column)
        if digits.isascii() and digits.isdigit() and min(map(len, column)) and max(map(len, column)) <= _SURE_DIGITS:
            return "\n0" not in "\n" + "\n".join(column) or list(map(str, map(int, column))) == list(column)
        try:
            numbers = list(map(int, column))
        except ValueError:  # empty ones among them, or no integers
            return bool(_INTEGERS.fullmatch("\n".join(column) + "\n"))
        return list(map(str, numbers)) == list(column) and min(numbers) >= -(2**63) and max(numbers) < 2**63
    joined = "\n".join(column) + "\n"
    if max(map(len, column)) > _REAL_CHARS_MAX or "-0\n" in joined:
        return False
    return bool(_REALS.fullmatch(joined))


def is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: no number among them, and all different or above numbers."""
    names = [name.strip() for name in rows[0]]
    if not any(names) or any(type_of([name]) != "TEXT" for name in names):
        return False
    if all(names) and len({name.casefold() for name in names}) == len(names):
        return True
    columns = list(zip(*(row for row in rows[1:] if len(row) == len(names)), strict=True))
    return any(name and type_of(column) != "TEXT" for name, column in zip(names, columns, strict=False))


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names a table can have: none empty, none twice."""
    taken: set[str] = set()
    made = []
    for number, name in enumerate(names, 1):
        base = name.strip() or f"column{number}"
        told, extra = base, 2
        while told.casefold() in taken:
            told, extra = f"{base}_{extra}", extra + 1
        taken.add(told.casefold())
        made.append(told)
    return tuple(made)

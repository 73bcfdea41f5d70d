"""The lines that suggested matches lie on, read again through the wall and believed only if they hold the match.

A row that does not fit the file (it changed meanwhile, or the engine was led elsewhere) shows nothing. Long lines are
shown around the match. Files in UTF-16 or a legacy code page are decoded whole, and found by line instead of offset.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from rootcellar import limits
from rootcellar.errors import TooLarge
from rootcellar.text.decode import SAMPLE_BYTES, Encoding, count_newlines, decode, presentable, sniff
from rootcellar.text.glob import Case
from rootcellar.text.lines import Content
from rootcellar.text.suggest import Matching, Query, Row

LINE_SHOWN_CHARS: Final = limits.LINE_CHARS_MAX // 4  # of a longer line, around its first match
_BEFORE_CHARS: Final = LINE_SHOWN_CHARS // 4  # of these, before the match
_WHOLE_BYTES: Final = 262_144  # files up to this size are read at once
_REACH_BYTES: Final = 8_192  # read on either side of a match in a larger one
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32LE begins like UTF-16LE


class Changed(Exception):  # noqa: N818 - a reason to leave the file out, never seen by a caller
    """The file does not hold what the engine found in it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as shown, without its end."""

    number: int
    text: str
    is_match: bool
    cut_before: bool = False
    cut_after: bool = False


@dataclass(slots=True)
class Shown:
    """The lines of one file, in order; lines that do not follow each other lie apart in it."""

    lines: list[Line] = field(default_factory=list)
    encoding: Encoding | None = None  # None: plain UTF-8


class View(Protocol):
    """A way to read lines near a suggested match."""

    encoding: Encoding | None

    def around(self, row: Row, context: int) -> Iterator[Line]:
        """The line of a match and some lines before and after it, in any order."""


def view(content: Content, query: Query, known: Encoding | None = None) -> View:
    """The way to read a file that was searched: by offset, or decoded whole."""
    if known is not None and known.codec != "utf-8":
        return Decoded(content, query)
    head = content.read_at(0, 4)
    if head.startswith(_WIDE):
        return Decoded(content, query)
    return Raw(content, query, len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)


class Decoded:
    """A file decoded whole, its lines found by number."""

    def __init__(self, content: Content, query: Query) -> None:
        if content.size > limits.EDIT_BYTES_MAX:
            raise TooLarge("too large to decode", "Convert it to UTF-8")
        text = decode(content.read_at(0, content.size))
        self.encoding: Encoding | None = text.encoding
        self._query = query
        end = "\r" if count_newlines(text.text).style.value == "CR" else "\n"
        self._by_cr = end == "\r"
        self._text, self._lines = text.text, text.text.split(end)

    def around(self, row: Row, context: int) -> Iterator[Line]:
        """See `View`."""
        match = row.match.decode("utf-8", "surrogateescape")
        number = row.line
        if self._by_cr:  # to the engine it is all one line
            at = self._text.find(match)
            number = self._text.count("\r", 0, max(at, 0)) + 1
        if number > len(self._lines):
            raise Changed
        at = self._lines[number - 1].find(match)
        if at < 0:
            raise Changed
        for n in range(max(1, number - context), min(len(self._lines), number + context) + 1):
            line = self._lines[n - 1].removesuffix("\r")
            if n != len(self._lines) or line:
                yield _fitted(n, line, at if n == number else 0, is_match=n == number)


class Raw:
    """A file in UTF-8, or in bytes that hold ASCII as it is, read near each match."""

    def __init__(self, content: Content, query: Query, mark_bytes: int) -> None:
        self.encoding: Encoding | None = None
        self._content, self._query, self._mark = content, query, mark_bytes
        self._whole = content.read_at(0, content.size) if content.size <= _WHOLE_BYTES else None
        self._sniffed = False

    def around(self, row: Row, context: int) -> Iterator[Line]:
        """See `View`."""
        offset = row.offset + self._mark
        data, base = self._near(offset, context)
        at = offset - base
        if data[at : at + len(row.match)] != row.match:
            raise Changed
        end, number = b"\n", row.line
        if self._whole is not None and b"\r" in data and b"\n" not in data:
            end, number = b"\r", data.count(b"\r", 0, at) + 1
        start = data.rfind(end, 0, at) + 1
        stop = data.find(end, at)
        stop = len(data) if stop < 0 else stop
        yield self._line(number, data, start, stop, at, base, is_match=True)
        before, after = start, stop
        for n in range(1, context + 1):
            if before == 0 or (before == self._mark and base == 0):
                break
            start = data.rfind(end, 0, before - 1) + 1
            if start == 0 and base:
                break  # its beginning was not read
            yield self._line(number - n, data, start, before - 1, start, base, is_match=False)
            before = start
        for n in range(1, context + 1):
            start = after + 1
            stop = data.find(end, start)
            if stop < 0:
                stop = len(data)
                if start >= stop or base + stop < self._content.size:
                    break
            yield self._line(number + n, data, start, stop, start, base, is_match=False)
            after = stop

    def _near(self, offset: int, context: int) -> tuple[bytes, int]:
        if self._whole is not None:
            return self._whole, 0
        reach = min(_REACH_BYTES * (context + 1), 131_072)
        base = max(0, offset - reach)
        return self._content.read_at(base, offset - base + reach), base

    def _line(self, number: int, data: bytes, start: int, stop: int, at: int, base: int, *, is_match: bool) -> Line:
        """One line: whole if it is short, else a window of whole characters around `at`."""
        cut_before = (start == 0 and base > 0) or at - start > LINE_SHOWN_CHARS * 4
        cut_after = stop == len(data) and base + stop < self._content.size
        if cut_before:
            start = max(start, at - LINE_SHOWN_CHARS * 4)
            while start < at and data[start] & 0xC0 == 0x80:  # noqa: PLR2004 - inside a character
                start += 1
        if start == 0 and base == 0:
            start = self._mark
        if stop - at > LINE_SHOWN_CHARS * 4:
            stop, cut_after = at + LINE_SHOWN_CHARS * 4, True
            while stop > at and data[stop] & 0xC0 == 0x80:  # noqa: PLR2004
                stop -= 1
        front, back = self._text(data[start:at]), self._text(data[at:stop])
        line = _fitted(number, (front + back).removesuffix("\r"), len(front), is_match=is_match)
        return Line(number, line.text, is_match, line.cut_before or cut_before, line.cut_after or cut_after)

    def _text(self, piece: bytes) -> str:
        """Decode a piece of a line; the first that is not UTF-8 decides the file's encoding."""
        if self.encoding is None or self.encoding.codec == "utf-8":
            try:
                return piece.decode("utf-8")
            except UnicodeDecodeError:
                if not self._sniffed:
                    self._sniff()
        codec = "utf-8" if self.encoding is None else self.encoding.codec
        return piece.decode(codec, "replace")

    def _sniff(self) -> None:
        self._sniffed = True
        sample = self._content.read_at(0, SAMPLE_BYTES)
        self.encoding = sniff(sample, whole=len(sample) >= self._content.size)


def _fitted(number: int, text: str, at: int, *, is_match: bool) -> Line:
    """A line, cut around a character if it is long."""
    if len(text) <= limits.LINE_CHARS_MAX:
        return Line(number, presentable(text), is_match)
    start = max(0, min(at - _BEFORE_CHARS, len(text) - LINE_SHOWN_CHARS))
    stop = start + LINE_SHOWN_CHARS
    return Line(number, presentable(text[start:stop]), is_match, start > 0, stop < len(text))


def show(content: Content, rows: Sequence[Row], query: Query, known: Encoding | None = None) -> Shown:
    """The lines of one file's rows with their context. Changed or NotText when the file is not what was searched."""
    shown: dict[int, Line] = {}
    seen = view(content, query, known)
    false = _false(query)
    for row in rows:
        for line in seen.around(row, query.context):
            if line.is_match and false is not None and false(line):
                break
            if line.is_match or line.number not in shown:
                old = shown.get(line.number)
                shown[line.number] = line if old is None or not old.is_match else old
    return Shown([shown[number] for number in sorted(shown)], seen.encoding)


class _False(Protocol):
    def __call__(self, line: Line, /) -> bool:
        """Whether a line only matched as the bytes of another code page."""


def _false(query: Query) -> _False | None:
    """The test for literals that were looked for in several code pages: the decoded line must hold them."""
    if query.matching is Matching.REGEX or query.pattern.isascii():
        return None
    wanted = query.pattern.casefold() if query.case is Case.FOLD else query.pattern
    return lambda line: wanted not in (line.text.casefold() if query.case is Case.FOLD else line.text)

"""Lines of a file of any size: a range, the head or the tail, in bounded memory and a bounded answer.

A line ends with LF or CRLF; with CR only in a file whose head has no LF at all. Lines and characters are counted in
the file's own encoding, so a page never begins or ends inside a character. The head of the file decides the encoding.
A page holds whole lines; only a line longer than the answer is given in pieces, continued by `next_char`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from rootcellar import limits
from rootcellar.errors import BadArgument
from rootcellar.text.decode import SAMPLE_BYTES, Encoding, Newline, Newlines, count_newlines, sniff

CHUNK_BYTES: Final = 1_048_576
COUNT_BYTES_MAX: Final = 16 * limits.MIB  # up to this size the lines are counted without being asked
_FIRST_STEP_BYTES: Final = 16_384


class Content(Protocol):
    """An open file that can be read anywhere."""

    @property
    def size(self) -> int:
        """Its length in bytes when it was opened."""

    def read_at(self, offset: int, count: int, /) -> bytes:
        """Up to `count` bytes from there; fewer only at the end."""


class Cancel(Protocol):
    """The caller's way to take the request back."""

    def check(self) -> None:
        """Raise Cancelled when it has been."""


class NeverCancelled:
    """A request that nobody takes back."""

    def check(self) -> None:
        """Do nothing."""


NEVER: Final = NeverCancelled()


@dataclass(frozen=True, slots=True)
class Page:
    """Some whole lines of a file, exactly as they are, or a piece of one giant line."""

    text: str
    first_line: int | None  # counted from 1; None: not counted, in the tail of a huge file
    last_line: int | None
    total_lines: int | None  # None: not counted
    next_line: int | None  # where the rest begins; None at the end
    next_char: int  # characters of `next_line` that have been given already
    cut_before: bool  # a tail that begins later than asked for
    encoding: Encoding
    newline: Newline
    size: int

    @property
    def plain(self) -> str:
        """The text with every line ending as LF."""
        return as_lf(self.text, self.newline)


def as_lf(text: str, newline: Newline) -> str:
    """Every line ending as LF."""
    text = text.replace("\r\n", "\n") if "\r" in text else text
    return text.replace("\r", "\n") if newline is Newline.CR else text


@dataclass(frozen=True, slots=True)
class Reader:
    """One file's encoding and line ending, and the ways to find its lines."""

    content: Content
    encoding: Encoding
    newlines: Newlines  # of the head
    cancel: Cancel

    @classmethod
    def of(cls, content: Content, cancel: Cancel = NEVER) -> Reader:
        """Look at the head of a file; NotText when it is none."""
        sample = content.read_at(0, SAMPLE_BYTES)
        whole = len(sample) >= content.size
        encoding = sniff(sample, whole=whole)
        text = _decoder(encoding).decode(sample[len(encoding.bom) :], whole)
        return cls(content, encoding, count_newlines(text), cancel)

    @property
    def end(self) -> str:
        """What ends a line: CR in a file that has no LF, else LF."""
        return "\r" if self.newlines.style is Newline.CR else "\n"

    @property
    def mark(self) -> bytes:
        """The bytes that end a line."""
        return self.end.encode(self.encoding.codec)

    @property
    def start(self) -> int:
        """Where the text begins, after the byte order mark."""
        return len(self.encoding.bom)

    def style(self, text: str) -> Newline:
        """The line ending of a part that was read, or of the head where that part has none."""
        found = count_newlines(text).style
        return self.newlines.style if found in (Newline.NONE, Newline.CR) or self.end == "\r" else found

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """The text's bytes from its start, in pieces that hold whole units."""
        offset = self.start
        while chunk := self.content.read_at(offset, CHUNK_BYTES):
            self.cancel.check()
            yield offset, chunk
            offset += len(chunk)

    def count(self, chunk: bytes) -> int:
        """How many line ends a piece holds."""
        if self.encoding.unit == 1:
            return chunk.count(self.mark)
        return chunk.decode(self.encoding.codec, "replace").count(self.end)

    def nth(self, chunk: bytes, count: int) -> int:
        """The index just after the `count`-th line end of a piece, which is in it."""
        low, high = 0, len(chunk)  # halving: every step counts half of what is left
        unit = self.encoding.unit
        while high - low > unit:
            middle = (low + high) // 2 // unit * unit
            found = self.count(chunk[low:middle])
            if found >= count:
                high = middle
            else:
                low, count = middle, count - found
        return high

    def offset_of(self, line: int) -> int | None:
        """Where a line begins, or None when the file has fewer."""
        missing = line - 1
        if not missing:
            return self.start
        for offset, chunk in self.chunks():
            found = self.count(chunk)
            if found >= missing:
                at = offset + self.nth(chunk, missing)
                return at if at < self.content.size else None
            missing -= found
        return None

    def total(self) -> int:
        """How many lines there are; a last line without an end counts."""
        lines, last = 0, b""
        for _, chunk in self.chunks():
            lines += self.count(chunk)
            last = chunk
        return lines + (bool(last) and not last.endswith(self.mark))

    def text_from(self, offset: int, skip: int, chars: int, lines: int | None) -> tuple[str, bool]:
        """Text after `skip` characters from there, until enough is had, and whether the file ended."""
        decoder, text, step, skipped = _decoder(self.encoding), "", _FIRST_STEP_BYTES, 0
        while True:
            self.cancel.check()
            chunk = self.content.read_at(offset, step)
            offset += len(chunk)
            ended = len(chunk) < step or offset >= self.content.size
            piece = decoder.decode(chunk, ended)
            dropped = min(skip - skipped, len(piece))
            if self.end in piece[:dropped] or (ended and skipped + dropped < skip):
                raise BadArgument(f"the line has no character {skip:,}", "Continue with the next line")
            skipped += dropped
            text += piece[dropped:]
            if ended or len(text) > chars or (lines is not None and text.count(self.end) >= lines):
                return text, ended
            step = min(step * 4, CHUNK_BYTES)


def _decoder(encoding: Encoding) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(encoding.codec)("replace")


def read_range(
    content: Content,
    start_line: int = 1,
    end_line: int | None = None,
    *,
    start_char: int = 0,
    chars_max: int = limits.ANSWER_CHARS_MAX,
    cancel: Cancel = NEVER,
) -> Page:
    """Lines `start_line` to `end_line` (from 1, both included), or as many of them as fit."""
    if start_line < 1 or start_char < 0:
        raise BadArgument(f"there is no line {start_line}", "Lines are counted from 1")
    if end_line is not None and end_line < start_line:
        raise BadArgument(f"line {end_line} comes before line {start_line}", "Give a larger `end_line`")
    reader = Reader.of(content, cancel)
    offset = reader.offset_of(start_line)
    if offset is None:
        total = reader.total()
        raise BadArgument(f"there is no line {start_line:,}: the file has {total:,}", f"Read up to line {total:,}")
    wanted = None if end_line is None else end_line - start_line + 1
    text, ended = reader.text_from(offset, start_char, chars_max, wanted)
    kept, taken, pieces = _fit(text, reader.end, wanted, chars_max, ended=ended)
    finished = ended and len(kept) == len(text)
    total_lines = start_line - 1 + taken if finished else None
    if total_lines is None and content.size <= COUNT_BYTES_MAX:
        total_lines = reader.total()
    return Page(
        text=kept,
        first_line=start_line,
        last_line=start_line - 1 + max(taken, bool(pieces)),
        total_lines=total_lines,
        next_line=None if finished else start_line + taken,
        next_char=pieces + (start_char if pieces else 0),
        cut_before=False,
        encoding=reader.encoding,
        newline=reader.style(kept),
        size=content.size,
    )


def _fit(text: str, end: str, wanted: int | None, chars_max: int, *, ended: bool) -> tuple[str, int, int]:
    """The whole lines wanted that fit and how many they are, or a piece of the first and how long it is."""
    if wanted is not None:
        at = -1
        for _ in range(wanted):
            at = text.find(end, at + 1)
            if at < 0:
                break
        else:
            text, ended = text[: at + 1], True
    if len(text) <= chars_max and ended:
        return text, text.count(end) + (bool(text) and not text.endswith(end)), 0
    at = text.rfind(end, 0, chars_max) + 1
    if at:
        return text[:at], text.count(end, 0, at), 0
    cut = min(chars_max, len(text))
    if cut > 1 and text[cut - 1 : cut + 1] == "\r\n":
        cut -= 1
    return text[:cut], 0, cut


def read_head(
    content: Content, lines: int, *, chars_max: int = limits.ANSWER_CHARS_MAX, cancel: Cancel = NEVER
) -> Page:
    """The first lines."""
    _at_least_one(lines)
    return read_range(content, 1, lines, chars_max=chars_max, cancel=cancel)


def read_tail(
    content: Content, lines: int, *, chars_max: int = limits.ANSWER_CHARS_MAX, cancel: Cancel = NEVER
) -> Page:
    """The last lines, reading no more of the file than they need."""
    _at_least_one(lines)
    reader = Reader.of(content, cancel)
    offset, enough = _backwards(reader, lines, chars_max)
    text, _ = reader.text_from(offset, 0, content.size, None)
    if not enough:
        text = text[text[:1] == "\ufffd" :]  # the window may begin inside a character
    cut = not enough
    if len(text) > chars_max or cut:
        at = text.find(reader.end, max(0, len(text) - chars_max - 1))
        whole = 0 <= at < len(text) - 1
        text, cut = text[at + 1 :] if whole else text[-chars_max:], True
    total = reader.total() if content.size <= COUNT_BYTES_MAX or offset == reader.start else None
    shown = text.count(reader.end) + (bool(text) and not text.endswith(reader.end))
    return Page(
        text=text,
        first_line=None if total is None else total - shown + 1,
        last_line=total,
        total_lines=total,
        next_line=None,
        next_char=0,
        cut_before=cut,
        encoding=reader.encoding,
        newline=reader.style(text),
        size=content.size,
    )


def _backwards(reader: Reader, lines: int, chars_max: int) -> tuple[int, bool]:
    """Where the last lines begin, or where the most that an answer holds begins (False)."""
    unit, size = reader.encoding.unit, reader.content.size
    size = reader.start + (size - reader.start) // unit * unit
    floor = max(reader.start, size - 4 * (chars_max + 4))  # no character has more than four bytes
    floor -= (floor - reader.start) % unit
    at, missing = size, lines
    if size - reader.start >= unit and reader.content.read_at(size - unit, unit) == reader.mark:
        missing += 1  # the end of the last line is not a line of its own
    step = _FIRST_STEP_BYTES
    while at > floor:
        reader.cancel.check()
        begin = max(floor, at - step)
        chunk = reader.content.read_at(begin, at - begin)
        found = reader.count(chunk)
        if found >= missing:
            return begin + reader.nth(chunk, found - missing + 1), True
        at, missing, step = begin, missing - found, min(step * 4, CHUNK_BYTES)
    if floor == reader.start:
        return reader.start, True
    return _character_start(reader, floor), False


def _character_start(reader: Reader, offset: int) -> int:
    """The first place from there on where a UTF-8 character begins."""
    if reader.encoding.codec != "utf-8":
        return offset
    following = reader.content.read_at(offset, 4)
    return offset + next((index for index, byte in enumerate(following) if byte & 0xC0 != 0x80), 0)  # noqa: PLR2004


def _at_least_one(lines: int) -> None:
    if lines < 1:
        raise BadArgument(f"{lines} lines cannot be read", "Ask for at least 1")

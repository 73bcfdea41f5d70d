"""A host's config as text: what decodes it, what ends its lines, and edits as splices that can be taken back."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_LINE_END = re.compile(r"\r\n|\n|\r")


class Flaw(Exception):  # noqa: N818 - a fact about a text; `edit` turns it into a refusal that names the file
    """Why a text cannot be edited, and where: the index of the character at fault."""

    def __init__(self, index: int, what: str) -> None:
        super().__init__(what)
        self.index = index
        self.what = what


@dataclass(frozen=True, slots=True)
class Document:
    """A decoded config: its text without the mark in front, whether there was one, and how its lines end."""

    text: str
    mark: bytes
    eol: str

    def encoded(self, text: str) -> bytes:
        """`text` in this document's encoding."""
        return self.mark + text.encode()


@dataclass(frozen=True, slots=True)
class Splice:
    """At `at`, `removed` goes and `text` comes."""

    at: int
    removed: str
    text: str


def decoded(data: bytes) -> Document:
    """The document in `data`; Flaw where it is not UTF-8."""
    if data.startswith(_WIDE) or b"\x00" in data[:64]:
        raise Flaw(0, "UTF-16 or UTF-32, not UTF-8")
    mark = BOM if data.startswith(BOM) else b""
    body = data[len(mark) :]
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        index = len(body[: error.start].decode())
        raise Flaw(index, f"the byte 0x{body[error.start]:02x} is not UTF-8") from None
    crlf = text.count("\r\n")
    return Document(text, mark, "\r\n" if crlf * 2 > text.count("\n") else "\n")


def undecoded_prefix(data: bytes) -> str:
    """What can be read of a text that is not UTF-8, to count its lines."""
    return data.removeprefix(BOM).decode(errors="replace")


def line_column(text: str, index: int) -> tuple[int, int]:
    """The line and column of a character, both counted from one."""
    starts = [0, *(found.end() for found in _LINE_END.finditer(text, 0, max(index, 0)))]
    line = bisect_right(starts, index)
    return line, index - starts[line - 1] + 1


def spliced(text: str, splices: Sequence[Splice]) -> str:
    """`text` with the splices applied; they are in order and do not overlap."""
    parts: list[str] = []
    done = 0
    for splice in splices:
        end = splice.at + len(splice.removed)
        if splice.at < done or text[splice.at : end] != splice.removed:
            raise Flaw(splice.at, "changed under the edit")
        parts += [text[done : splice.at], splice.text]
        done = end
    return "".join([*parts, text[done:]])


def reversed_splices(splices: Sequence[Splice]) -> tuple[Splice, ...]:
    """The splices that turn the edited text back into the one before."""
    shift = 0
    back: list[Splice] = []
    for splice in splices:
        back.append(Splice(splice.at + shift, splice.text, splice.removed))
        shift += len(splice.text) - len(splice.removed)
    return tuple(back)


def found_again(text: str, splices: Sequence[Splice]) -> tuple[Splice, ...] | None:
    """The way back in a text that changed elsewhere: every inserted text is still there, once; else None."""
    back: list[Splice] = []
    for splice in splices:
        if not splice.text.strip() or text.count(splice.text) != 1:
            return None
        back.append(Splice(text.index(splice.text), splice.text, splice.removed))
    ordered = sorted(back, key=lambda splice: splice.at)
    apart = all(a.at + len(a.removed) <= b.at for a, b in pairwise(ordered))
    return tuple(ordered) if apart else None


def line_start(text: str, index: int) -> int:
    """Where the line that holds `index` begins."""
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def line_end(text: str, index: int) -> int:
    """Where the line that holds `index` ends, before its line ending."""
    found = _LINE_END.search(text, index)
    return found.start() if found else len(text)


def line_next(text: str, index: int) -> int:
    """Where the line after the one that holds `index` begins, or the end of the text."""
    found = _LINE_END.search(text, index)
    return found.end() if found else len(text)


def indent_of(text: str, index: int) -> str:
    """The white space in front of the line that holds `index`."""
    start = line_start(text, index)
    end = start
    while end < len(text) and text[end] in " \t":
        end += 1
    return text[start:end]

"""Which text some bytes are: encoding, byte order mark and line endings; and the way back to the same bytes.

Order of evidence: a byte order mark; a known binary signature; NULs (UTF-16 without a mark, or binary); UTF-8; UTF-8
with a few stray bytes; and last, because it is a guess, a legacy code page. What no encoding explains is refused and
named. `decode` promises that `encode` of its answer gives the same bytes, or says that it does not (`exact`).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rootcellar.errors import BadArgument, NotText
from rootcellar.text import kinds

SAMPLE_BYTES: Final = 65_536  # what detection looks at, however large the file is
_GUESS_BYTES: Final = 16_384  # what the code page guess looks at: it is the slow part

_CONTROLS: Final = re.compile(rb"[\x01-\x07\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # not tab, LF, FF, CR, backspace, ESC
_STRAY: Final = "\udc80-\udcff"


class Newline(Enum):
    """How lines end."""

    NONE = "none"
    LF = "LF"
    CRLF = "CRLF"
    CR = "CR"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Newlines:
    """How many line endings of each kind a text has. A lone CR ends a line only in a text without any LF."""

    lf: int = 0
    crlf: int = 0
    cr: int = 0

    @property
    def style(self) -> Newline:
        """The one kind used, or MIXED."""
        if self.lf and self.crlf:
            return Newline.MIXED
        if self.lf or self.crlf:
            return Newline.LF if self.lf else Newline.CRLF
        return Newline.CR if self.cr else Newline.NONE

    @property
    def usual(self) -> str:
        """The line ending that a new line should get."""
        if self.style is Newline.CR:
            return "\r"
        return "\r\n" if self.crlf > self.lf else "\n"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text encoding as found in a file."""

    codec: str  # Python's name
    label: str  # ours
    bom: bytes = b""
    unit: int = 1  # bytes of the smallest step
    guessed: bool = False  # by statistics, not proven
    stray: bool = False  # UTF-8 with bytes that are not


@dataclass(frozen=True, slots=True)
class Text:
    """Decoded text without its mark; stray bytes are lone surrogates, as `surrogateescape` gives them."""

    text: str
    encoding: Encoding
    exact: bool  # encoding it again gives the same bytes

    @property
    def newlines(self) -> Newlines:
        """Its line endings, counted."""
        return count_newlines(self.text)


UTF_8: Final = Encoding("utf-8", "UTF-8")
_MARKS: Final = (
    Encoding("utf-32-le", "UTF-32LE", codecs.BOM_UTF32_LE, 4),  # before UTF-16LE, which begins the same
    Encoding("utf-32-be", "UTF-32BE", codecs.BOM_UTF32_BE, 4),
    Encoding("utf-8", "UTF-8", codecs.BOM_UTF8),
    Encoding("utf-16-le", "UTF-16LE", codecs.BOM_UTF16_LE, 2),
    Encoding("utf-16-be", "UTF-16BE", codecs.BOM_UTF16_BE, 2),
)
_LABELS: Final = {
    "gb18030": "GB18030 (GBK)", "big5": "Big5", "cp932": "Shift_JIS", "euc_jp": "EUC-JP", "cp949": "EUC-KR (CP949)",
    "cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp1252": "Windows-1252", "cp1253": "Windows-1253",
    "cp1254": "Windows-1254", "cp1255": "Windows-1255", "cp1256": "Windows-1256", "koi8_r": "KOI8-R",
    "cp866": "CP866", "latin_1": "ISO-8859-1",
}  # fmt: skip
_DOUBLE: Final = ("gb18030", "big5", "cp932", "euc_jp", "cp949")
_SINGLE: Final = tuple(codec for codec in _LABELS if codec not in _DOUBLE)
_WESTERN: Final = frozenset(("cp1250", "cp1252", "cp1254", "latin_1"))


def count_newlines(text: str) -> Newlines:
    """Count the line endings of a text."""
    feeds, returns = text.count("\n"), text.count("\r")
    crlf = text.count("\r\n") if feeds and returns else 0
    return Newlines(feeds - crlf, crlf, returns - crlf)


def sniff(data: bytes, *, whole: bool) -> Encoding:
    """Name the encoding of a file from its first bytes (`whole`: they are all there is); NotText if none fits."""
    for mark in _MARKS:
        if data.startswith(mark.bom) and _decodes(data[len(mark.bom) :], mark, whole=whole):
            return mark
    sample = data[:SAMPLE_BYTES]
    whole = whole and len(sample) == len(data)
    kind = kinds.by_magic(sample[: kinds.HEAD_BYTES])
    if b"\0" in sample:
        wide = None if kind else _without_mark(sample, whole=whole)
        if wide is None:
            raise _not_text(kind or kinds.UNKNOWN)
        return wide
    if kind == "application/pdf":
        raise _not_text(kind)
    controls = len(_CONTROLS.findall(sample))
    if _decodes(sample, UTF_8, whole=whole):
        if controls > len(sample) // 10:
            raise _not_text(kind or kinds.UNKNOWN)
        return UTF_8
    if kind or controls > len(sample) // 50:
        raise _not_text(kind or kinds.UNKNOWN)
    return _mostly_utf8(sample, whole=whole) or _code_page(sample, whole=whole)


def _not_text(kind: str) -> NotText:
    if kind.startswith(("image/", "audio/")):
        hint = "Read it with `read_file`, which returns images and audio as such"
    elif kind == "application/vnd.sqlite3":
        hint = "Ask it with the database tools"
    else:
        hint = "`get_file_info` describes it"
    return NotText(f"not text but {kinds.called(kind)}", hint)


def _decodes(data: bytes, encoding: Encoding, *, whole: bool) -> bool:
    """Whether bytes, perhaps cut inside a character, are valid."""
    decoder = codecs.getincrementaldecoder(encoding.codec)("strict")
    try:
        decoder.decode(data, whole)
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(sample: bytes, *, whole: bool) -> Encoding | None:
    """UTF-16 without a byte order mark: one half of the byte pairs is mostly zero, the other hardly ever."""
    if len(sample) % 2 and whole:
        return None
    pairs = max(1, len(sample) // 2)
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    for codec, label, zeros, others in (("utf-16-le", "UTF-16LE", odd, even), ("utf-16-be", "UTF-16BE", even, odd)):
        encoding = Encoding(codec, label, unit=2)
        if zeros * 5 >= pairs and others * 50 <= pairs and _decodes(sample[: pairs * 2], encoding, whole=False):
            text = sample[: pairs * 2].decode(codec, "ignore")
            if len(_CONTROLS.findall(text.encode("ascii", "ignore"))) * 50 <= pairs:
                return encoding
    return None


def _mostly_utf8(sample: bytes, *, whole: bool) -> Encoding | None:
    """UTF-8 with a few stray bytes: at least two real multi-byte characters for each stray byte."""
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(sample, whole)
    stray = len(re.findall(f"[{_STRAY}]", text))
    real = len(re.findall(f"[^\0-\x7f{_STRAY}]", text))
    if real >= 2 * stray:
        return Encoding("utf-8", "UTF-8 with stray bytes", guessed=True, stray=True)
    return None


def _code_page(sample: bytes, *, whole: bool) -> Encoding:
    """Guess the legacy code page; the same bytes always give the same answer."""
    evidence, cut = _around_foreign(sample, whole=whole)
    codec = _double(evidence, cut) or _guess(evidence, _SINGLE)
    if codec is None or codec in _WESTERN:
        codec = "cp1251" if _foreign_words(evidence) else _western(evidence)
    if codec == "koi8_r" and not re.search(rb"[\x80-\xdf\xfb-\xff]", evidence):
        codec = "cp1255"  # Hebrew has no capitals; Russian in KOI8-R would be nothing but capitals
    found = Encoding(codec, _LABELS[codec], guessed=True)
    return found if _decodes(sample, found, whole=whole) else Encoding("latin_1", _LABELS["latin_1"], guessed=True)


def _around_foreign(sample: bytes, *, whole: bool) -> tuple[bytes, bool]:
    """The lines that hold bytes above ASCII: the evidence, and whether it may end inside a character."""
    lines = sample.split(b"\n")
    if not whole and len(lines) > 1:
        lines.pop()
    evidence = b"\n".join(line for line in lines if not line.isascii())
    if not evidence:
        return sample[-_GUESS_BYTES:], not whole
    return evidence[:_GUESS_BYTES], len(evidence) > _GUESS_BYTES or (not whole and len(lines) == 1)


def _double(sample: bytes, cut: bool) -> str | None:  # noqa: FBT001 - private
    """The double-byte code page, if it is one; a sample that may be cut is tried with a byte or more less."""
    for less in range(4 if cut else 1):
        part = sample[: len(sample) - less]
        codec = _guess(part, (*_DOUBLE, *_SINGLE))
        if codec in _DOUBLE and _plausible(part, codec):
            return codec
        if codec in _DOUBLE:
            return next((other for other in _DOUBLE if _plausible(part, other)), None)
    return None


def _guess(sample: bytes, allowed: tuple[str, ...]) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(allowed), preemptive_behaviour=False).best()
    return best.encoding if best is not None else None


# Lead bytes of everyday characters: level 1 of each standard, or kana.
_EVERYDAY: Final = {
    "gb18030": re.compile(rb"[\xb0-\xd7\xa1-\xa3][\xa1-\xfe]"),
    "big5": re.compile(rb"[\xa1\xa4-\xc6][\x40-\x7e\xa1-\xfe]"),
    "cp932": re.compile(rb"[\x81-\x83\x88-\x97][\x40-\x7e\x80-\xfc]"),
    "euc_jp": re.compile(rb"[\xa1-\xa5\xb0-\xcf][\xa1-\xfe]"),
    "cp949": re.compile(rb"[\xb0-\xc8\xa1-\xa3][\xa1-\xfe]"),
}
_PAIR: Final = re.compile(rb"[\x80-\xff][\x40-\xff]")


def _foreign_words(sample: bytes) -> bool:
    """Whether words are made of high bytes alone, as no language in Latin letters writes."""
    return len(re.findall(rb"[\xc0-\xff]{3,}", sample)) * 2 > len(re.findall(rb"[\x80-\xff]+", sample))


def _plausible(sample: bytes, codec: str) -> bool:
    """Whether most double bytes are everyday characters, as in real text of any length."""
    if not _decodes(sample, Encoding(codec, codec), whole=False):
        return False
    pairs = _PAIR.findall(sample)
    everyday = sum(_EVERYDAY[codec].fullmatch(pair) is not None for pair in pairs)
    return everyday * 10 >= len(pairs) * 6


# Bytes that are letters in Windows-1250 but signs in Windows-1252 (³ ¹ ¾ ¼ £ ¥ ª ¯ º ¿), found inside a word.
_CENTRAL: Final = re.compile(rb"[A-Za-z\xc0-\xff][\xb3\xb9\xbe\xbc\xa3\xa5\xaa\xaf\xba\xbf][A-Za-z\xc0-\xff]")
_CARON: Final = re.compile(rb"[\x8a\x8e\x9a\x9e\x9d\x8d]")  # š ž ť: common beside the caron letters below
_CARON_LETTERS: Final = re.compile(rb"[\xe8\xf8\xec\xf9\xc8\xd8\xef\xf2]")  # č ř ě ů Č Ř ď ň


def _western(sample: bytes) -> str:
    """Tell Western from Central European, and Windows-1252 from ISO-8859-1, by bytes that only one of them uses."""
    central = bool(_CENTRAL.search(sample)) or bool(_CARON.search(sample) and _CARON_LETTERS.search(sample))
    for codec in ("cp1250", "cp1252") if central else ("cp1252",):
        if re.search(rb"[\x80-\x9f]", sample) or codec == "cp1250":
            try:
                sample.decode(codec)
            except UnicodeDecodeError:
                continue
            return codec
    return "latin_1"


def decode(data: bytes) -> Text:
    """Decode a whole file; NotText when it is none."""
    encoding = sniff(data, whole=True)
    body = data[len(encoding.bom) :]
    if encoding.codec == "utf-8":
        try:
            return Text(body.decode("utf-8"), encoding, exact=True)
        except UnicodeDecodeError:
            encoding = Encoding("utf-8", "UTF-8 with stray bytes", encoding.bom, guessed=True, stray=True)
            return Text(body.decode("utf-8", "surrogateescape"), encoding, exact=True)
    try:
        text = body.decode(encoding.codec)
    except UnicodeDecodeError:
        if not encoding.guessed:
            return Text(body.decode(encoding.codec, "replace"), encoding, exact=False)
        encoding = Encoding("latin_1", _LABELS["latin_1"], guessed=True)
        text = body.decode("latin_1")
    return Text(text, encoding, exact=_again(text, encoding) == body)


def _again(text: str, encoding: Encoding) -> bytes | None:
    try:
        return text.encode(encoding.codec)
    except UnicodeEncodeError:
        return None


def encode(text: str, encoding: Encoding) -> bytes:
    """The bytes of a text in an encoding found by `decode`; BadArgument for a character it does not have."""
    try:
        return encoding.bom + text.encode(encoding.codec, "surrogateescape" if encoding.stray else "strict")
    except UnicodeEncodeError as error:
        char = text[error.start]
        shown = f"U+{ord(char):04X}" if not char.isprintable() else f"{char} (U+{ord(char):04X})"
        raise BadArgument(
            f"the file is {encoding.label}, which has no character `{shown}`",
            "Use characters that the file's encoding has, or convert the file with `write_file`",
        ) from error


def presentable(text: str) -> str:
    """The text with its stray bytes as U+FFFD, so that it can be sent."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)

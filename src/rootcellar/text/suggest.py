"""Where a pattern may be found: ripgrep's suggestions, row by row, and a plain engine where there is no ripgrep.

Nothing here is shown to anyone. A row is a path, a line number, an offset and the matched bytes; `show.py` opens the
file through the wall and believes only what it reads there itself.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from rootcellar.confine import Cancel, Entry, Kind, _rg, shown
from rootcellar.errors import BadArgument, Failed, NotText, Refusal
from rootcellar.text.decode import Encoding, decode
from rootcellar.text.glob import Case, Glob, Globs, expand
from rootcellar.text.leaving import Honour, Leaving

PATTERN_CHARS_MAX: Final = 4_000
_ROW_BYTES_MAX: Final = 1_048_576  # a match that is longer is cut
_KEPT_BYTES: Final = 8_192  # of such a match
_PLAIN_BYTES_MAX: Final = 67_108_864  # larger files are passed over without ripgrep
_FOREIGN: Final = ("gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1250", "cp1251", "cp1252", "koi8_r", "cp866")
# What ripgrep calls the encodings that `decode` finds.
_LABELS: Final = {
    "gb18030": "gb18030", "big5": "big5", "cp932": "shift_jis", "euc_jp": "euc-jp", "cp949": "euc-kr",
    "koi8_r": "koi8-r", "cp866": "ibm866", "latin_1": "windows-1252", "utf-16-le": "utf-16le", "utf-16-be": "utf-16be",
}  # fmt: skip


class Matching(Enum):
    """How the pattern is meant."""

    LITERAL = "literal"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and where."""

    pattern: str
    matching: Matching = Matching.LITERAL
    case: Case = Case.EXACT
    globs: tuple[Glob, ...] = ()  # none: every file
    exclude: tuple[Glob, ...] = ()
    honour: Honour = Honour.IGNORE_FILES
    context: int = 0

    @property
    def mark(self) -> tuple[object, ...]:
        """What tells this query from others."""
        globs = [(glob.pattern, glob.regex.flags) for glob in (*self.globs, *self.exclude)]
        return (
            "search", self.pattern, self.matching.value, self.case.value, globs, len(self.globs), self.honour.value,
        )  # fmt: skip

    def check(self) -> None:
        """Refuse what cannot be found."""
        if not self.pattern:
            raise BadArgument("the pattern is empty", "Say what to look for; `search_files` finds names")
        if len(self.pattern) > PATTERN_CHARS_MAX:
            raise BadArgument(f"the pattern is longer than {PATTERN_CHARS_MAX:,} characters", "Look for a part of it")
        if re.search("[\n\r\0\ud800-\udfff]", self.pattern):
            raise BadArgument(
                "the pattern holds a line break, a NUL or half a character", "Look for a part of one line"
            )


Names = tuple[bytes, ...]


class Row(NamedTuple):  # thousands are made in a search
    """One suggested match; lines count from 1, the offset is in bytes of the text as the engine read it."""

    names: Names  # below where the search began; empty when that is the file itself
    line: int
    offset: int
    match: bytes

    @property
    def place(self) -> tuple[Names, int]:
        """What rows are ordered by: the order of a walk."""
        return self.names, self.line


_NOTICE: Final = re.compile(
    rb'(.+?): (?:WARNING: stopped searching binary file after match|binary file matches) '
    rb'\(found "\\0" byte around offset \d+\)\n', re.DOTALL,
)  # fmt: skip


class Rows:
    """ripgrep's output as rows, fed in pieces."""

    def __init__(self, skipped_parts: int) -> None:
        self._rest = b""
        self._dropping = False
        self._parts = skipped_parts + 1  # "." comes first
        self.binary: set[Names] = set()  # files in which it found a NUL after a match

    def feed(self, piece: bytes) -> Iterator[Row]:
        """The rows that are complete with this piece."""
        if self._dropping:
            end = piece.find(b"\n")
            if end < 0:
                return
            piece, self._dropping = piece[end:], False
        data, at = self._rest + piece, 0
        while (nul := data.find(b"\0", at)) >= 0 and (end := data.find(b"\n", nul)) >= 0:
            yield self._row(data[at:nul], data[nul + 1 : end])
            at = end + 1
        self._rest = data[at:]
        if len(self._rest) > _ROW_BYTES_MAX:
            nul = self._rest.find(b"\0")
            self._rest, self._dropping = self._rest[: max(nul, 0) + _KEPT_BYTES], True

    def end(self) -> None:
        """Take notice of what comes after the last row."""
        self._notices(self._rest)

    def _notices(self, path: bytes) -> bytes:
        while notice := _NOTICE.match(path):
            self.binary.add(tuple(notice[1].split(b"/")[self._parts :]))
            path = path[notice.end() :]
        return path

    def _row(self, path: bytes, body: bytes) -> Row:
        line, offset, match = body.split(b":", 2)
        names = (self._notices(path) if b"\n" in path else path).split(b"/")[self._parts :]
        match = match.removesuffix(b"\r")  # with `--crlf` rows end like that
        return Row(tuple(names), int(line), int(offset), match[:_KEPT_BYTES])


@dataclass(slots=True)
class Told:
    """What an engine said beside its rows."""

    timed_out: bool = False
    unreadable: tuple[tuple[str, str], ...] = ()  # paths and why
    binary: set[Names] = field(default_factory=set)  # files with a NUL after a match
    unfinished: str = ""  # why it ended early


def suggested(
    start: Entry,
    query: Query,
    told: Told,
    *,
    cancel: Cancel | None,
    deadline: float,
    per_file: int = 0,
    in_order: bool = False,
    encoding: Encoding | None = None,
    ignore_files: Sequence[str] = (),
    tick: Callable[[], None] = lambda: None,
) -> Generator[Row]:
    """Give ripgrep's rows; all of a file's in order, and files in order only if asked (slower: one thread).

    `tick` is called many times a second, also while nothing is found.
    """
    parts = _rg.place(start)
    is_file = start.stat().kind is Kind.FILE
    arguments = _arguments(start, query, parts if not is_file else (), encoding)
    arguments += ["--max-count", str(per_file)] if per_file else []
    arguments += ["--sort", "path"] if in_order else []
    arguments += [f"--ignore-file={name}" for name in ignore_files]
    path = "./" + "/".join(parts) if parts else "."
    with _rg.start(start, [*arguments, "--", path], cancel, deadline) as child:
        rows = Rows(len(parts))
        for piece in child:
            tick()
            yield from rows.feed(piece)
        rows.end()
        told.timed_out = child.timed_out
        told.binary |= rows.binary
        if not child.timed_out:
            _judge(child.status(), child.complaints(), told, "/".join(parts))


def _arguments(start: Entry, query: Query, parts: tuple[str, ...], encoding: Encoding | None) -> list[str]:
    """The command line, without the path."""
    arguments = [
        "--no-config", "--color=never", "--no-heading", "--with-filename", "--null", "--line-number", "--byte-offset",
        "--only-matching", "--no-column", "--hidden", "--crlf", "--path-separator=/", "--no-follow",
        "--ignore-case" if query.case is Case.FOLD else "--case-sensitive",
    ]  # fmt: skip
    if query.honour is Honour.IGNORE_FILES:
        arguments += ["--no-require-git", "--no-ignore-global", "--no-ignore-parent"]
    else:
        arguments.append("--no-ignore")
    if encoding is not None and encoding.codec != "utf-8" and not encoding.bom:
        arguments.append(f"--encoding={_LABELS.get(encoding.codec, encoding.codec.replace('cp', 'windows-'))}")
    arguments += _chosen(query.globs)
    for glob in query.exclude:
        arguments += [f"--{'i' if glob.regex.flags & re.IGNORECASE else ''}glob=!{_anchored(glob, parts)}"]
    arguments.append("--glob=!.git")
    arguments += [f"--iglob=!{_sealed(pattern)}" for pattern in start.root.policy.sealed]
    return arguments + _patterns(query)


def _sealed(pattern: str) -> str:
    """A sealed pattern, in which only `*` and `?` are special, as ripgrep reads it; so it does not even open these."""
    plain = re.sub(r"([\[\]{}\\])", r"\\\1", pattern.strip("/"))
    return f"**/{plain}" if "/" in plain else plain


def _anchored(glob: Glob, parts: tuple[str, ...]) -> str:
    """A pattern as ripgrep reads it, which counts from the root."""
    pattern = glob.pattern.removeprefix("./")
    if glob.by_name:
        return pattern
    return "/" + "/".join([*(re.sub(r"([*?\[\]{}\\])", r"\\\1", part) for part in parts), pattern.lstrip("/")])


def _chosen(globs: Sequence[Glob]) -> list[str]:
    """The names wanted, as a file type: unlike a glob it never takes back in what ignore files leave out.

    Only last names are told to ripgrep; whole paths are compared again afterwards.
    """
    names = {one.rpartition("/")[2] for glob in globs for one in expand(glob.pattern)}
    folds = any(glob.regex.flags & re.IGNORECASE for glob in globs)
    if not names or folds or any("**" in name or ":" in name or not name for name in names):
        return []
    return [*(f"--type-add=wanted:{name}" for name in sorted(names)), "--type=wanted"]


_SPECIAL: Final = re.compile(r"([\\.+*?()|\[\]{}^$#&\-~])")


def _patterns(query: Query) -> list[str]:
    """The pattern; a literal beyond ASCII also as the bytes that legacy code pages write it in."""
    if query.matching is Matching.REGEX:
        return [f"--regexp={query.pattern}"]
    if query.pattern.isascii():
        return ["--fixed-strings", f"--regexp={query.pattern}"]
    written: dict[str, None] = {}
    for codec in _FOREIGN:
        if alternative := _in_bytes(query, codec):
            written[alternative] = None
    literal = _SPECIAL.sub(r"\\\1", query.pattern)
    return [f"--regexp={one}" for one in (literal, *written)]


def _in_bytes(query: Query, codec: str) -> str:
    """The literal as a regular expression over the bytes of a code page; nothing if that cannot write it."""
    out = []
    for char in query.pattern:
        forms = {char, char.lower(), char.upper()} if query.case is Case.FOLD else {char}
        ways = set()
        for form in forms:
            with contextlib.suppress(UnicodeEncodeError):
                ways.add("".join(f"\\x{byte:02x}" for byte in form.encode(codec)))
        if not ways:
            return ""
        out.append(f"(?:{'|'.join(sorted(ways))})")
    return f"(?-ui:{''.join(out)})"


_COMPLAINT: Final = re.compile(r"^(?:rg: )?(?:\./)?(.+?): (.+?) \(os error \d+\)$")
_WRONG: Final = ("regex parse error", "rg: regex parse error", "error parsing", "rg: the literal", "rg: compiled regex",
                 "rg: error")  # fmt: skip


def _judge(status: int, complaints: str, told: Told, below: str) -> None:
    """Say what ripgrep's end means."""
    lines = [line for line in complaints.split("\n") if line.strip()]
    found = [match for line in lines if (match := _COMPLAINT.match(line))]
    unreadable = [(match[1].removeprefix(below).removeprefix("/") or ".", match[2].lower()) for match in found]
    told.unreadable = tuple((shown(path), why) for path, why in unreadable)
    if status in (0, 1) or (status == 2 and unreadable):  # noqa: PLR2004 - ripgrep's own codes
        return
    if lines and lines[0].startswith(_WRONG):
        raise _bad_regex(complaints)
    if status < 0 or status == 134:  # noqa: PLR2004 - it was killed, or gave up for want of memory
        told.unfinished = "a file with a line too long to search"
        return
    raise Failed("the search engine failed", "Try a simpler pattern, or run `rootcellar doctor`")


def _bad_regex(complaints: str) -> BadArgument:
    """What is wrong with a regular expression, in a line."""
    if "exceeds size limit" in complaints:
        return BadArgument("the regular expression is too large", "Repeat less often, or look for a literal part of it")
    why = re.sub(r"\s+", " ", complaints.rsplit("error:", 1)[-1]).strip()[:200].rstrip(".")
    if "look-around" in complaints or "backreference" in complaints:
        return BadArgument(f"the regular expression cannot be used: {why}", "Write it without, or look for a literal")
    hint = "Escape special characters with a backslash, or look for a literal"
    return BadArgument(f"the regular expression cannot be read: {why}", hint)


def plain(start: Entry, query: Query, told: Told, *, cancel: Cancel | None, deadline: float) -> Generator[Row]:
    """The rows of a literal, without ripgrep: every file in the walk's order, decoded."""
    if query.matching is Matching.REGEX:
        raise BadArgument("regular expressions need ripgrep, which is not installed here", "Look for a literal text")
    if start.stat().kind is Kind.FILE:
        yield from _plain_rows(start, (), query)
        return
    without, wanted = Globs(query.exclude), Globs(query.globs)
    leaving = Leaving(start, query.honour, lambda found: without.match(found.parents, found.name))
    unreadable = []
    for found in start.walk(ignore=leaving, cancel=cancel):
        if time_is_up(deadline):
            told.timed_out = True
            break
        if found.kind is Kind.FILE and not found.sealed and (
            not query.globs or wanted.match(found.parents, found.name)
        ):  # fmt: skip
            names = tuple(name.encode("utf-8", "surrogateescape") for name in found.parts)
            try:
                yield from _plain_rows(found.entry, names, query)
            except NotText:
                continue
            except Refusal as why:
                unreadable.append((found.shown, why.reason))
    told.unreadable = tuple(unreadable)


def time_is_up(deadline: float) -> bool:
    """Whether a deadline on the monotonic clock has passed."""
    return time.monotonic() > deadline


def _plain_rows(entry: Entry, names: Names, query: Query) -> Iterator[Row]:
    """One file's rows as `show.py` reads it: in the file's own bytes, or in UTF-8 if it is decoded whole."""
    file = decode(entry.read(_PLAIN_BYTES_MAX))
    text, codec = file.text, file.encoding.codec if names and file.encoding.unit == 1 else "utf-8"
    flags = re.IGNORECASE if query.case is Case.FOLD else 0
    line, done, offset = 1, 0, 0
    for found in re.finditer(re.escape(query.pattern), text, flags):
        line += text.count("\n", done, found.start())
        offset += len(text[done : found.start()].encode(codec, "surrogateescape"))
        done = found.start()
        yield Row(names, line, offset, found[0].encode(codec, "surrogateescape"))

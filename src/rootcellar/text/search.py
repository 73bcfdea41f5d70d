"""Text found in files: `search_text`.

ripgrep suggests where (`suggest.py`), every byte shown is read again through the wall (`show.py`). Files come in the
order of a walk. The first attempt uses every core and sorts what it got; only when that is too much to hold, a second
one asks for the rows in order and stops when the page is full. In a directory each file shows its first matches only,
so that one log does not drown the others; asked for alone, a file shows all, page by page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final

from rootcellar import limits
from rootcellar.confine import Cancel, Entry, Kind, _rg
from rootcellar.confine import shown as shown_name
from rootcellar.errors import NotFound, NotText, Refusal, TooLarge
from rootcellar.text import cursor as cursors
from rootcellar.text.decode import SAMPLE_BYTES, Encoding, sniff
from rootcellar.text.glob import Globs
from rootcellar.text.leaving import Honour, Judge
from rootcellar.text.show import Changed, Line, Shown, show
from rootcellar.text.suggest import Matching, Names, Query, Row, Told, plain, suggested

SECONDS_MAX: Final = 20.0  # then what was found so far is the answer
LINES_MAX: Final = 500  # matching lines of one page
LINES_PER_FILE_MAX: Final = 50  # matching lines of one file, when a directory is searched
CONTEXT_MAX: Final = 20  # lines before and after a match
SKIPPED_TOLD_MAX: Final = 20
_ROWS_HELD: Final = 20_000
_ELSEWHERE_SECONDS: Final = 3.0  # to see whether ignored files hold what was not found
_ELSEWHERE_FILES: Final = 1_000
_LINE_OVERHEAD_CHARS: Final = 12  # number and separators

_CHANGED: Final = "changed while it was searched"
_WHY: Final[dict[type[Refusal], str]] = {NotFound: _CHANGED, NotText: "binary", TooLarge: "too large to decode"}

Progress = Callable[[int, str], None]
_Place = tuple[Names, int]


@dataclass(frozen=True, slots=True)
class FileFound:
    """One file's matching lines with their context."""

    path: str  # relative to where the search began, as shown; empty when that is the file
    lines: tuple[Line, ...]
    encoding: Encoding | None  # None: UTF-8
    more: bool  # it has more matches than are shown of one file


@dataclass(slots=True)
class Found:
    """One page of matches, and how much more there is."""

    files: list[FileFound] = field(default_factory=list)
    shown_lines: int = 0  # matching ones, on this page
    total_lines: int = 0  # matching ones known of, those of earlier pages too
    total_files: int = 0
    complete: bool = True  # the totals are exact
    timed_out: bool = False
    cursor: str | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)  # files with matches, or unreadable, and why
    skipped_count: int = 0
    ignored_files: int = 0  # only when nothing was found: ignored files that hold the pattern

    def skip(self, path: str, why: str) -> None:
        """Remember a file that is left out."""
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED_TOLD_MAX:
            self.skipped.append((path, why))


def search(
    start: Entry,
    query: Query,
    *,
    cursor: str | None = None,
    lines_max: int = LINES_MAX,
    chars_max: int = limits.ANSWER_CHARS_MAX,
    cancel: Cancel | None = None,
    progress: Progress | None = None,
    seconds_max: float = SECONDS_MAX,
) -> Found:
    """Every line of a file, or of the files below a directory, that matches, a page at a time."""
    query.check()
    asked = (str(start), query.mark)
    after: _Place = ((), 0)
    if cursor is not None:
        line, *names = cursors.read(cursor, asked, (int,))
        after = tuple(str(name).encode("utf-8", "surrogateescape") for name in names), int(line)
    page = _Page(start, query, lines_max, chars_max, cancel, progress, time.monotonic() + seconds_max)
    page.fill(after)
    found = page.found
    if page.last is not None:
        names = [name.decode("utf-8", "surrogateescape") for name in page.last[0]]
        found.cursor = cursors.write([page.last[1], *names], asked)
    if not found.total_lines and not found.timed_out and query.honour is Honour.IGNORE_FILES and not page.is_file:
        found.ignored_files = _elsewhere(start, query, cancel)
    return found


class _Page:
    """One page under way."""

    def __init__(
        self, start: Entry, query: Query, lines_max: int, chars_max: int, cancel: Cancel | None,
        progress: Progress | None, deadline: float,
    ) -> None:  # fmt: skip
        self.start, self.query, self.cancel, self.progress, self.deadline = start, query, cancel, progress, deadline
        self.lines_left, self.chars_left = max(1, lines_max), chars_max
        self.found, self.told = Found(), Told()
        self.last: _Place | None = None  # where the page was cut
        self.is_file = start.stat().kind is not Kind.DIRECTORY  # anything else is refused when it is opened
        self.encoding = self._encoding() if self.is_file else None
        self.judge = Judge(start) if query.honour is Honour.IGNORE_FILES and not self.is_file else None
        self.globs, self.without = Globs(query.globs), Globs(query.exclude)
        self._all_wanted = not query.globs and not query.exclude and (self.judge is None or not self.judge.is_needed)
        self._reached: _Place | None = None
        self._rows, self._ticks, self._reported = 0, 0, time.monotonic()

    def _encoding(self) -> Encoding:
        """The encoding of the one file that is searched; NotText when it is none."""
        with self.start.open_read() as content:
            sample = content.read_at(0, SAMPLE_BYTES)
            return sniff(sample, whole=len(sample) >= content.size)

    def fill(self, after: _Place) -> None:
        """Find matches and show those after a place until the page is full."""
        rows, overflow = self._held()
        if overflow:
            self.found.complete = False
            with closing(self._wanted(self._engine(in_order=True))) as ordered:
                self._show(ordered, after, counts=True)
        else:
            matching = {row.place for row in rows}
            self.found.total_lines = len(matching)
            self.found.total_files = len({names for names, _ in matching})
            self._show(iter(sorted(rows, key=lambda row: (row.place, row.offset))), after, counts=False)
        self.found.timed_out = self.told.timed_out
        self.found.complete &= not self.told.timed_out and not self.told.unfinished
        for path, why in self.told.unreadable:
            self.found.skip(path, why)
        if self.told.unfinished:
            self.found.skip(str(self.start), self.told.unfinished)

    def _engine(self, *, in_order: bool) -> Generator[Row]:
        odd = self.encoding is not None and self.encoding.codec.startswith("utf-32")
        if _rg.program() is None or (odd and self.query.matching is Matching.LITERAL):
            return plain(self.start, self.query, self.told, cancel=self.cancel, deadline=self.deadline)
        return suggested(
            self.start, self.query, self.told, cancel=self.cancel, deadline=self.deadline, in_order=in_order,
            per_file=0 if self.is_file else LINES_PER_FILE_MAX + 1, encoding=self.encoding,
            ignore_files=self.judge.at_root if self.judge else (),
            tick=self._tick,
        )  # fmt: skip

    def _held(self) -> tuple[list[Row], bool]:
        """All rows, or an overflow."""
        rows: list[Row] = []
        with closing(self._wanted(self._engine(in_order=False))) as wanted:
            for row in wanted:
                rows.append(row)
                self._rows = len(rows)
                if len(rows) > _ROWS_HELD:
                    return [], True
        return rows, False

    def _tick(self) -> None:
        """Tell how it goes, now and then."""
        if self.progress is not None and time.monotonic() - self._reported >= limits.PROGRESS_EVERY_S:
            self._reported = time.monotonic()
            self._ticks += 1
            self.progress(self._ticks, f"{self._rows:,} matches so far, {self.found.shown_lines:,} lines read")

    def _wanted(self, rows: Generator[Row]) -> Generator[Row]:
        """The rows of files that are wanted and not ignored by rules that ripgrep does not see."""
        names: Names = ()
        wanted = True
        with closing(rows):
            for row in rows:
                if row.names != names:
                    names, wanted = row.names, self._is_wanted(_text(row.names))
                if wanted:
                    yield row

    def _is_wanted(self, names: tuple[str, ...]) -> bool:
        if not names or self._all_wanted:
            return True
        if self.query.globs and not self.globs.match(names[:-1], names[-1]):
            return False
        if any(self.without.match(names[:n], names[n]) for n in range(len(names))):
            return False
        return self.judge is None or not self.judge.leaves_out(names)

    def _show(self, ordered: Iterator[Row], after: _Place, *, counts: bool) -> None:
        """Show file after file, from the first row after a place on."""
        for names, rows in groupby(ordered, key=lambda row: row.names):
            if self.cancel is not None:
                self.cancel.check()
            self._tick()
            lines: dict[int, list[Row]] = {}
            for row in rows:
                lines.setdefault(row.line, []).append(row)
                if counts and len(lines) > self.lines_left + after[1] + LINES_PER_FILE_MAX:
                    break
            if counts:
                self.found.total_lines += len(lines)
                self.found.total_files += 1
            if not self._show_file(names, lines, after):
                return

    def _show_file(self, names: Names, lines: dict[int, list[Row]], after: _Place) -> bool:
        """Show one file's lines; False when the page is full."""
        more = not self.is_file and len(lines) > LINES_PER_FILE_MAX
        if more:
            self.found.complete = False
        numbers = [number for number in list(lines)[: None if self.is_file else LINES_PER_FILE_MAX]
                   if (names, number) > after]  # fmt: skip
        if not numbers:
            return True
        if not self.lines_left:
            self.last = self._reached
            return False
        taken = numbers[: self.lines_left]
        entry = self.start.below(_text(names)) if names else self.start
        path = "/".join(map(shown_name, _text(names)))
        # In a file whose lines end with CR, the engine takes all for line 1.
        rows = [row for n in taken for row in lines[n][: LINES_PER_FILE_MAX if n == 1 else 1]]
        shown = self._read(entry, path, names, rows)
        if shown is None:
            return True
        self._take(FileFound(path, tuple(shown.lines), shown.encoding, more), names, taken)
        if len(taken) < len(numbers) and self.last is None:
            self.last = self._reached
        return self.last is None

    def _read(self, entry: Entry, path: str, names: Names, rows: list[Row]) -> Shown | None:
        """The lines of some rows, read through the wall; none, and why, if the file is not what was searched."""
        try:
            with entry.open_read() as content:
                if names in self.told.binary:
                    sniff(content.read_at(0, SAMPLE_BYTES), whole=content.size <= SAMPLE_BYTES)
                    self.found.skip(path or str(entry), "binary data follows its text")
                return show(content, rows, self.query, self.encoding)
        except Changed:
            why = _CHANGED
        except Refusal as refusal:
            why = _WHY.get(type(refusal)) or refusal.reason
        self.found.skip(path or str(entry), why)
        return None

    def _take(self, file: FileFound, names: Names, taken: list[int]) -> None:
        """Put a file's lines on the page as far as they fit; the first one always does."""
        kept: list[Line] = []
        left = self.chars_left
        for line in file.lines:
            left -= len(line.text) + _LINE_OVERHEAD_CHARS + len(file.path)
            if left < 0 and (self.found.files or any(one.is_match for one in kept)):
                break
            kept.append(line)
        cut = len(kept) < len(file.lines)
        while cut and kept and not kept[-1].is_match:
            kept.pop()
        matches = [line.number for line in kept if line.is_match]
        if matches:
            self.chars_left -= sum(len(line.text) + _LINE_OVERHEAD_CHARS + len(file.path) for line in kept)
            self.lines_left -= min(len(matches), self.lines_left)
            self.found.shown_lines += len(matches)
            self.found.files.append(FileFound(file.path, tuple(kept), file.encoding, file.more))
            self._reached = names, matches[-1] if cut and matches[-1] in taken else taken[-1]
        if cut:
            self.last = self._reached


def _text(names: Names) -> tuple[str, ...]:
    """Raw names as the wall knows them."""
    return tuple(name.decode("utf-8", "surrogateescape") for name in names)


def _elsewhere(start: Entry, query: Query, cancel: Cancel | None) -> int:
    """How many files that ignore files leave out may hold what was not found; up to a thousand, in a few seconds."""
    if _rg.program() is None:
        return 0
    everywhere = replace(query, honour=Honour.NOTHING)
    globs, names = Globs(query.globs), set[Names]()
    deadline = time.monotonic() + _ELSEWHERE_SECONDS
    with closing(suggested(start, everywhere, Told(), cancel=cancel, deadline=deadline, per_file=1)) as rows:
        for row in rows:
            found = _text(row.names)
            if not query.globs or globs.match(found[:-1], found[-1]):
                names.add(row.names)
            if len(names) >= _ELSEWHERE_FILES:
                break
    return len(names)

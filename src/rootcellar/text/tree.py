"""A directory tree that always fits: the top levels first, large and ignored directories as counts.

The whole tree is counted, then opened from the top down as long as it fits. On each level the smaller directories are
opened first, so the largest ones stay closed; what is closed says how much it holds. The same tree always gives the
same text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from rootcellar import limits
from rootcellar.confine import Cancel, Entry, Kind, Walked, shown
from rootcellar.errors import Refusal
from rootcellar.text.leaving import Honour, Leaving

SECONDS_MAX: Final = 20.0  # then what was counted so far is shown
DIRECTORIES_SHOWN_MAX: Final = 150  # in one directory; the rest is a count
FILES_SHOWN_MAX: Final = 40  # of one directory; the rest is a count
_HELD_NAMES: Final = 400  # of one directory, in memory
_HELD_DIRECTORIES: Final = 20_000  # more are only counted: no answer has room for them
_INDENT: Final = "  "


@dataclass(slots=True)
class _Directory:
    """One directory: what is in it by name, and how much below it."""

    name: str
    remark: str = ""  # ignored, sealed, unreadable
    directories: list[_Directory] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    file_count: int = 0  # directly in it
    all_files: int = 0
    all_directories: int = 0
    hides_files: bool = False  # ignored ones

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self.all_files and not self.all_directories and not self.remark


@dataclass(frozen=True, slots=True)
class Tree:
    """A rendered tree and what it is a picture of."""

    text: str
    files: int
    directories: int
    closed: int  # directories shown as counts only
    timed_out: bool


def tree(
    start: Entry,
    *,
    depth: int | None = None,
    honour: Honour = Honour.IGNORE_FILES,
    chars_max: int = limits.TREE_CHARS_MAX,
    cancel: Cancel | None = None,
    progress: Callable[[int, str], None] | None = None,
    seconds_max: float = SECONDS_MAX,
) -> Tree:
    """Draw the tree below a directory, `depth` levels of it at most."""
    top, timed_out = _counted(start, honour, cancel, progress, time.monotonic() + seconds_max)
    opened = _opened(top, depth, chars_max)
    text = "\n".join(_lines(top, opened, ""))
    if len(text) > chars_max:  # very long names at the top
        text = text[: text.rfind("\n", 0, chars_max) + 1] + "... more"
    directories = sum(1 for _ in _below(top, opened))
    return Tree(
        text=text,
        files=top.all_files,
        directories=top.all_directories,
        closed=directories - len(opened) + 1,
        timed_out=timed_out,
    )


class _Count:
    """What a walk has seen, directory by directory."""

    def __init__(self) -> None:
        self.top = _Directory("")
        self.held: dict[tuple[str, ...], _Directory] = {(): self.top}  # by raw names
        self._path = [self.top]  # from the top to where the walk is

    def add(self, found: Walked) -> None:
        """Count one name."""
        del self._path[len(found.parents) + 1 :]
        parent = self._path[-1]
        if found.kind is not Kind.DIRECTORY:
            parent.file_count += 1
            if len(parent.files) < _HELD_NAMES:
                parent.files.append(_file(found))
            for above in self._path:
                above.all_files += 1
            return
        new = _Directory(shown(found.name), "sealed" if found.sealed else "")
        if len(self.held) < _HELD_DIRECTORIES:
            self.held[found.parts] = new
            parent.directories.append(new)
        for above in self._path:
            above.all_directories += 1
        self._path.append(new)

    def unread(self, found: Walked, why: Refusal) -> None:
        """Remember that a directory could not be listed."""
        if found.parts in self.held:
            self.held[found.parts].remark = f"unreadable: {why.reason}"


def _counted(
    start: Entry,
    honour: Honour,
    cancel: Cancel | None,
    progress: Callable[[int, str], None] | None,
    deadline: float,
) -> tuple[_Directory, bool]:
    """Walk it once; the top, and whether the time was up before the end."""
    count, leaving, timed_out = _Count(), Leaving(start, honour), False
    for seen, found in enumerate(start.walk(ignore=leaving, unread=count.unread, cancel=cancel), 1):
        if not seen % 256 and time.monotonic() > deadline:
            timed_out = True
            break
        if progress is not None and not seen % 4_096:
            progress(seen, f"{seen:,} names seen")
        count.add(found)
    _add_ignored(count.held, leaving)
    return count.top, timed_out


def _file(found: Walked) -> str:
    """A name with what is special about it."""
    name = shown(found.name)
    if found.sealed:
        return f"{name} (sealed)"
    return name if found.kind is Kind.FILE else f"{name} ({found.kind.value})"


def _add_ignored(held: dict[tuple[str, ...], _Directory], leaving: Leaving) -> None:
    """Show the directories that were left out as such; `.git` goes without saying."""
    for found in leaving.left_out:
        if found.name != ".git" and found.parents in held:
            held[found.parents].directories.append(_Directory(shown(found.name), "ignored"))
    for parents in {found.parents for found in leaving.left_out} & held.keys():
        held[parents].directories.sort(key=lambda inner: inner.name)
    for parents in leaving.files_in & held.keys():
        held[parents].hides_files = True


def _opened(top: _Directory, depth: int | None, chars_max: int) -> set[int]:
    """Which directories are shown with what is in them, by identity: level by level, the smaller ones first."""
    opened = {id(top)}
    left = chars_max - _cost(top, 0)
    level, at = [top], 0
    while level and (depth is None or at + 1 < depth):
        at += 1
        inner = [child for directory in level for child in directory.directories[:DIRECTORIES_SHOWN_MAX]]
        candidates = [child for child in inner if child.directories or child.file_count]
        level = []
        for cost, child in sorted(((_cost(child, at), child) for child in candidates), key=lambda pair: pair[0]):
            if cost > left:
                break
            left -= cost
            opened.add(id(child))
            level.append(child)
    return opened


def _cost(directory: _Directory, at: int) -> int:
    """How many characters opening a directory adds, at most."""
    indent = len(_INDENT) * at + 1
    names = directory.files[:FILES_SHOWN_MAX]
    closed = directory.directories[:DIRECTORIES_SHOWN_MAX]
    rows = [*map(len, names), *(len(child.name) + len(_remark(child)) + 1 for child in closed)]
    more = len(directory.directories) > len(closed), directory.file_count > len(names)
    return sum(rows) + len(rows) * indent + sum(more) * (len("... 1,000,000 more files") + indent)


def _remark(directory: _Directory) -> str:
    """What is said of a directory that is not opened."""
    if directory.remark:
        return f" ({directory.remark})"
    if directory.is_empty:
        return " (only ignored files)" if directory.hides_files else " (empty)"
    parts = [
        f"{count:,} {word if count == 1 else plural}"
        for count, word, plural in (
            (directory.all_directories, "dir", "dirs"),
            (directory.all_files, "file", "files"),
        )
        if count
    ]
    return f" ({', '.join(parts)})"


def _below(directory: _Directory, opened: set[int]) -> Iterator[_Directory]:
    """Every directory that has a line."""
    if id(directory) in opened:
        for child in directory.directories[:DIRECTORIES_SHOWN_MAX]:
            yield child
            yield from _below(child, opened)


def _lines(directory: _Directory, opened: set[int], indent: str) -> Iterator[str]:
    """The lines of an opened directory: directories first, then files."""
    for child in directory.directories[:DIRECTORIES_SHOWN_MAX]:
        if id(child) not in opened:
            yield f"{indent}{child.name}/{_remark(child)}"
            continue
        name, inner = child.name, child
        while len(inner.directories) == 1 and not inner.file_count and id(inner.directories[0]) in opened:
            inner = inner.directories[0]
            name += f"/{inner.name}"
        yield f"{indent}{name}/"
        yield from _lines(inner, opened, indent + _INDENT)
    if len(directory.directories) > DIRECTORIES_SHOWN_MAX:
        yield f"{indent}... {len(directory.directories) - DIRECTORIES_SHOWN_MAX:,} more dirs"
    files = directory.files[:FILES_SHOWN_MAX]
    yield from (indent + name for name in files)
    if directory.file_count > len(files):
        yield f"{indent}... {directory.file_count - len(files):,} more files"

"""What a walk leaves out: the ignore files it meets on its way, read as it goes, and `.git`.

Names of one directory come sorted, so its ignore files are known before the names they speak of; only in a directory
that begins with a name before `.ignore` are they looked for at once. Below the walk's start every name is judged; the
start itself never is: who asks for an ignored directory by name gets what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from rootcellar.confine import Entry, Kind, Walked, _rg
from rootcellar.errors import Refusal
from rootcellar.text.glob import Case
from rootcellar.text.ignore import EXCLUDE, FILES, RULES_BYTES_MAX, Ignore

_LAST_FILE: Final = max(FILES)
_TOLD_MAX: Final = 10_000


class Honour(Enum):
    """Whether ignore files count."""

    IGNORE_FILES = "ignore files"
    NOTHING = "nothing"


class Leaving:
    """The judge of one walk: called with every name, says whether it is left out."""

    def __init__(self, start: Entry, honour: Honour, also: Callable[[Walked], bool] | None = None) -> None:
        self._start, self._honour, self._also = start, honour, also
        self._case = case_of(start)
        self._parents: tuple[str, ...] = ()
        self._levels: list[Ignore] = [above(start) if honour is Honour.IGNORE_FILES else Ignore()]
        self._known = False
        self.left_out: list[Walked] = []  # directories only, the first ones
        self.files = 0
        self.files_in: set[tuple[str, ...]] = set()  # where they are, some of the places

    def __call__(self, found: Walked) -> bool:
        """Whether this name is left out, with all below it."""
        directory = found.kind is Kind.DIRECTORY
        if self._honour is Honour.NOTHING:
            out = found.name == ".git"
        else:
            if found.parents is not self._parents and found.parents != self._parents:
                self._enter(found.parents)
            self._parents = found.parents
            if not self._known:
                self._learn(found.name)
            out = self._levels[-1].leaves_out(found.name, directory=directory)
        if out:
            if not directory:
                self.files += 1
                if len(self.files_in) < _TOLD_MAX:
                    self.files_in.add(found.parents)
            elif len(self.left_out) < _TOLD_MAX:
                self.left_out.append(found)
            return True
        return self._also is not None and self._also(found)

    def _enter(self, parents: tuple[str, ...]) -> None:
        """Take up the rules of another directory: back to what is common, then one level down."""
        common = 0
        for old, new in zip(self._parents, parents, strict=False):
            if old != new:
                break
            common += 1
        del self._levels[common + 1 :]
        for depth in range(common, len(parents)):
            outer = self._levels[-1]
            self._levels.append(Ignore(f"{outer.prefix}{parents[depth]}/", outer.levels))
        self._known = common == len(parents)  # coming back to a directory that was left for one below

    def _learn(self, name: str) -> None:
        """At the first names of a directory: read its ignore files, if it can have any."""
        self._known = True
        if name > _LAST_FILE:
            return
        here = self._levels[-1]
        texts = read_rules(self._start.below(self._parents) if self._parents else self._start, sorted_first=name)
        if texts:
            self._levels[-1] = here.within(here.prefix, texts, self._case)


def case_of(start: Entry) -> Case:
    """How names are compared where the root is."""
    return Case.FOLD if start.root.backend.folds_names else Case.EXACT


def above(start: Entry) -> Ignore:
    """The rules of the real directories above a start, from its root down to it."""
    rules, case, parts = Ignore(), case_of(start), _rg.place(start)
    top = Entry(start.root, ())
    for depth, name in enumerate(parts):
        rules = rules.within(rules.prefix, read_rules(top.below(parts[:depth]), sorted_first=""), case)
        rules = Ignore(f"{rules.prefix}{name}/", rules.levels)
    return rules


def read_rules(directory: Entry, *, sorted_first: str) -> dict[str, str]:
    """The ignore files of a directory, given the first of its names (or "")."""
    texts = {}
    for name in (*FILES, EXCLUDE):
        if sorted_first <= name:
            try:
                with directory.below(tuple(name.split("/"))).open_read() as content:
                    data = content.read_at(0, RULES_BYTES_MAX)
            except Refusal:
                continue
            texts[name] = data.decode("utf-8", "surrogateescape")
    return texts


class Judge:
    """The rules that an engine of its own does not see: those above where a search began, and what answers them."""

    def __init__(self, start: Entry) -> None:
        self._start, self._case = start, case_of(start)
        self._known: dict[tuple[str, ...], Ignore] = {(): above(start)}
        self.is_needed = any(self._known[()].levels) and not self.at_root
        self._judged: dict[tuple[str, ...], bool] = {(): False}
        self._own = False  # whether the start's own files have been read

    @property
    def at_root(self) -> tuple[str, ...]:
        """The root's ignore files, weakest first, when none lie between it and the start: the engine is told these."""
        depths = {depth for chain in self._known[()].levels for depth, _ in chain}
        if depths != {0}:
            return ()
        names = (*FILES, EXCLUDE)
        return tuple(names[n] for n in reversed(range(len(names))) if self._known[()].levels[n])

    def leaves_out(self, names: tuple[str, ...]) -> bool:
        """Whether a file below the start is left out, itself or with a directory around it."""
        if not self.is_needed:
            return False
        if names not in self._judged:
            parents = names[:-1]
            out = self._leaves_out_directory(parents) or self._rules(parents).leaves_out(names[-1], directory=False)
            self._judged[names] = out
        return self._judged[names]

    def _leaves_out_directory(self, names: tuple[str, ...]) -> bool:
        if names not in self._judged:
            parents = names[:-1]
            out = self._leaves_out_directory(parents) or self._rules(parents).leaves_out(names[-1], directory=True)
            self._judged[names] = out
        return self._judged[names]

    def _rules(self, names: tuple[str, ...]) -> Ignore:
        """The rules in force in a directory below the start."""
        if names not in self._known:
            outer = self._rules(names[:-1])
            inner = Ignore(f"{outer.prefix}{names[-1]}/", outer.levels)
            self._known[names] = inner.within(
                inner.prefix, read_rules(self._start.below(names), sorted_first=""), self._case
            )
        rules = self._known[names]
        if not names and not self._own:
            self._own = True
            rules = rules.within(rules.prefix, read_rules(self._start, sorted_first=""), self._case)
            self._known[()] = rules
        return rules

"""Taking file steps back: each by one act, which is recorded like any other; refused where somebody else stands in it.

What is there now decides: as we left it, and it goes back; as it was before, and there is nothing to do; anything else
is the user's own work, which is shown and never lost. Only a text may be taken back around it, where no line touches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rootcellar import limits
from rootcellar.confine import Cancel, Details, Entry, Kind, Roots, Stat, restoring
from rootcellar.confine._doomed import Wanted
from rootcellar.confine.attributes import Attributes
from rootcellar.confine.mark import Mark
from rootcellar.errors import Exists, NotFound, Refusal, Stale, TooLargeToKeep
from rootcellar.journal import contents as laying
from rootcellar.journal import facts as fact
from rootcellar.journal import merging, showing
from rootcellar.journal.changes import Facts, Recorded
from rootcellar.journal.contents import copy_part, digest, shut

if TYPE_CHECKING:
    from rootcellar.journal.store import Store
    from rootcellar.journal.undo import Taking

SHOWN_CHARS: Final = 4_000  # of a difference in a refusal
_DECIDE: Final = "it was changed since: keep it as it is, or change it by hand"

Act = Callable[["Taking"], None]


class FileUndoer:
    """Undoes `file.*` steps; what it opens, it opens through the entries of the roots it is given."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plans: dict[str, Callable[[Recorded, Roots, Cancel], tuple[str, Act]]] = {
            "create": self._unmake, "copy": self._unmake, "replace": self._unreplace, "mkdir": self._unmake_directory,
            "move": self._unmove, "trash": self._untrash, "take_back": self._trash_again, "remove": self._unremove,
            "nothing": self._nothing,
        }  # fmt: skip

    def check(self, step: Recorded, roots: Roots, cancel: Cancel) -> None:
        """Refusal if it cannot be undone now."""
        self._plan(step, roots, cancel)

    def preview(self, step: Recorded, roots: Roots, cancel: Cancel) -> str:
        """What undoing would do."""
        return self._plan(step, roots, cancel)[0]

    def show(self, step: Recorded) -> str:
        """What the step did; a difference where both contents are kept."""
        return showing.told(step, self._store)

    def undo(self, step: Recorded, roots: Roots, taking: Taking, cancel: Cancel) -> None:
        """Do it, through entries whose witness records it."""
        self._plan(step, roots, cancel)[1](taking)

    def _plan(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        return self._plans[step.kind.partition(".")[2]](step, roots, cancel)

    def _noop(self, step: Recorded, why: str) -> tuple[str, Act]:
        return f"`{step.facts['at']['shown']}`: nothing to do: {why}", lambda taking: taking.nothing(step, why)

    def _nothing(self, step: Recorded, _roots: Roots, _cancel: Cancel) -> tuple[str, Act]:
        return self._noop(step, "that undo did nothing")

    # What was made goes

    def _unmake(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        facts = step.facts
        entry, made = fact.entry(roots, facts["at"]), facts["made"]
        now = _now(entry)
        if now is None:
            return self._noop(step, "it is not there any more")
        if now.kind is not fact.kind(made):
            raise Stale(f"`{entry}` is a {now.kind.value} now", _DECIDE)
        if now.kind is Kind.FILE:
            if not self._is_as_left(entry, now, facts, cancel):
                raise self._changed(step, entry)
            with contextlib.suppress(TooLargeToKeep):
                self._store.check_size(now.size)
                return f"`{entry}` is removed", lambda _: entry.remove()
        elif now.kind is Kind.LINK:
            if fact.identity(made) != now.identity and not fact.is_same(made, now):
                raise Stale(f"`{entry}` is another link now", _DECIDE)
            return f"the link `{entry}` is removed", lambda _: entry.remove()
        elif "tree" in facts and mark_of(entry, cancel) != facts["tree"]:
            raise Stale(f"what `{entry}` holds is not what was copied there", _DECIDE)
        return f"`{entry}` goes to the trash, with all it holds", lambda _: _drop(entry.trash(cancel))

    def _unmake_directory(self, step: Recorded, roots: Roots, _cancel: Cancel) -> tuple[str, Act]:
        entry = fact.entry(roots, step.facts["at"])
        now = _now(entry)
        if now is None:
            return self._noop(step, "it is not there any more")
        if now.kind is not Kind.DIRECTORY:
            raise Stale(f"`{entry}` is a {now.kind.value} now", _DECIDE)
        if entry.list():
            raise Stale(f"`{entry}` holds things that were not there when it was made", "move or delete them first")
        return f"the empty directory `{entry}` is removed", lambda _: entry.remove()

    # What was replaced comes back

    def _unreplace(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        facts = step.facts
        entry = fact.entry(roots, facts["at"])
        now = _now(entry)
        if now is None:
            raise NotFound(f"`{entry}` is not there any more", "it was deleted or moved since")
        if now.kind is not Kind.FILE:
            raise Stale(f"`{entry}` is a {now.kind.value} now", _DECIDE)
        is_as_left = self._is_as_left(entry, now, facts, cancel)
        if not is_as_left and self._is_as_before(entry, now, facts, cancel):
            return self._noop(step, "it holds what it held before")
        self._need_old(step)
        had = fact.attributes(facts["before"], facts["extended"])
        if is_as_left:
            put = restoring.put_on if _wears_ours(entry, now, facts) else restoring.put_back

            def fill(current: int, draft: int) -> None:
                self._old_content(step, current, draft, cancel)

            told = f"`{entry}` gets back its {facts['before']['size']:,} bytes"
            return self._with_difference(step, told), lambda _: _drop(put(entry, now, fill, had))
        merged = self._merged(step, entry, now)
        if merged is None:
            raise self._changed(step, entry)
        theirs, mine = merged
        told = f"`{entry}` was changed since; only this change is taken out of it:\n"
        told += merging.shown(theirs, mine, str(entry), SHOWN_CHARS)

        def refill(_current: int, draft: int) -> None:
            laying.write_all(draft, mine)

        return told, lambda _: _drop(restoring.put_back(entry, now, refill, None))

    def _with_difference(self, step: Recorded, told: str) -> str:
        both = showing.contents(step, self._store)
        if both is None:
            return told
        return f"{told}\n{merging.shown(both[1], both[0], step.facts['at']['shown'], SHOWN_CHARS)}"

    def _need_old(self, step: Recorded) -> None:
        if "old" not in step.facts:
            raise NotFound(
                f"`{step.facts['at']['shown']}` cannot be brought back: what it held was too large to be kept",
                "the user was told before the change",
            )

    def _old_content(self, step: Recorded, current: int, draft: int, cancel: Cancel) -> None:
        """Write what the file held, from the store and, of a large file, from what is still there."""
        facts = step.facts
        known = step.contents[facts["old"]]
        old = self._store.open(known.hash, cancel)
        try:
            if facts["whole"]:
                copy_part(old, 0, known.size, draft, cancel)
                return
            copy_part(current, 0, facts["prefix"], draft, cancel)
            copy_part(old, 0, known.size, draft, cancel)
            copy_part(current, facts["size"] - facts["suffix"], facts["suffix"], draft, cancel)
        finally:
            shut(old)

    def _merged(self, step: Recorded, entry: Entry, now: Stat) -> tuple[bytes, bytes] | None:
        """What the file holds, and what it would hold without this change; None where that cannot be told apart."""
        both = showing.contents(step, self._store)
        if both is None or now.size > limits.JOURNAL_WHOLE_BYTES_MAX:
            return None
        current = entry.read(limits.JOURNAL_WHOLE_BYTES_MAX)
        merged = merging.without(*both, current)
        return None if merged is None else (current, merged)

    def _changed(self, step: Recorded, entry: Entry) -> Stale:
        """The refusal for what the user has changed since, with the difference where it is kept."""
        left = self._left(step)
        hint = _DECIDE
        with contextlib.suppress(Refusal):
            if left is not None:
                difference = merging.shown(left, entry.read(limits.JOURNAL_WHOLE_BYTES_MAX), str(entry), SHOWN_CHARS)
                hint += f"; since then:\n{difference}"
        return Stale(f"`{entry}` is not as this change left it", hint)

    def _left(self, step: Recorded) -> bytes | None:
        if step.kind == "file.replace":
            both = showing.contents(step, self._store)
            return None if both is None else both[1]
        if "new" in step.facts:
            return self._store.read(step.contents[step.facts["new"]].hash, limits.JOURNAL_WHOLE_BYTES_MAX)
        return None

    # What went comes back

    def _unmove(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        facts = step.facts
        source, target = fact.entry(roots, facts["at"]), fact.entry(roots, facts["to"])
        now, then = _now(target), _now(source)
        if then is not None and (now is None or then.identity == fact.identity(facts["before"])):
            return self._noop(step, "it is where it was")
        if now is None:
            raise NotFound(f"`{target}` is not there any more", "it was deleted or moved since")
        if now.kind is not fact.kind(facts["before"]):
            raise Stale(f"`{target}` is a {now.kind.value} now", _DECIDE)
        if then is not None:
            raise _taken(source)
        _need_parent(source)
        return f"`{target}` goes back to `{source}`", lambda _: target.move(source, cancel=cancel)

    def _untrash(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        facts = step.facts
        entry = fact.entry(roots, facts["at"])
        then = _now(entry)
        if then is not None:
            if then.identity == fact.identity(facts["before"]):
                return self._noop(step, "it is where it was")
            raise _taken(entry)
        _need_parent(entry)
        there = facts.get("there")
        wanted = Wanted(facts.get("name", ""), (there[0], there[1]) if there else fact.identity(facts["before"]))
        return f"`{entry}` comes back from the trash", lambda _: _drop(restoring.take_back(entry, wanted, cancel))

    def _trash_again(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        entry = fact.entry(roots, step.facts["at"])
        now = _now(entry)
        if now is None:
            return self._noop(step, "it is not there any more")
        if now.kind is not fact.kind(step.facts["made"]):
            raise Stale(f"`{entry}` is a {now.kind.value} now", _DECIDE)
        return f"`{entry}` goes to the trash again", lambda _: _drop(entry.trash(cancel))

    def _unremove(self, step: Recorded, roots: Roots, cancel: Cancel) -> tuple[str, Act]:
        facts = step.facts
        entry, kind = fact.entry(roots, facts["at"]), fact.kind(facts["before"])
        had = fact.attributes(facts["before"], facts.get("extended"))
        now = _now(entry)
        if now is not None:
            if now.kind is kind and (kind is not Kind.FILE or fact.is_same(facts["before"], now)):
                return self._noop(step, "it is where it was")
            raise _taken(entry)
        _need_parent(entry)
        if kind is Kind.DIRECTORY:
            return f"`{entry}` is made again", lambda _: _drop(restoring.bring_back_directory(entry, had))
        if kind is Kind.LINK:
            return f"the link `{entry}` is made again", lambda _: _drop(
                restoring.bring_back_link(entry, facts["link"], had)
            )
        self._need_old(step)
        known = step.contents[facts["old"]]

        def fill(draft: int) -> None:
            old = self._store.open(known.hash, cancel)
            try:
                copy_part(old, 0, known.size, draft, cancel)
            finally:
                shut(old)

        return f"`{entry}` comes back, {known.size:,} bytes", lambda _: _drop(restoring.bring_back(entry, fill, had))

    # As it was left?

    def _hash(self, entry: Entry, cancel: Cancel) -> str:
        with entry.open_read() as content:
            return digest(content.fd, 0, content.size, cancel)

    def _is_as_before(self, entry: Entry, now: Stat, facts: Facts, cancel: Cancel) -> bool:
        is_known = bool(facts["was"]) and now.size == facts["before"]["size"]
        return is_known and self._hash(entry, cancel) == str(facts["was"])

    def _is_as_left(self, entry: Entry, now: Stat, facts: Facts, cancel: Cancel) -> bool:
        size = facts["size"] if "size" in facts else facts["made"]["size"]
        if now.size != size:
            return False
        if facts.get("hash"):
            return self._hash(entry, cancel) == str(facts["hash"])
        return fact.is_same(facts["made"], now)


def mark_of(entry: Entry, cancel: Cancel) -> str:
    """The mark of what a directory holds now."""
    mark = Mark()
    for found in entry.walk(details=Details.STAT, cancel=cancel):
        assert found.stat is not None
        mark.add(found.parts, found.kind, found.stat.size, found.stat.mtime_ns)
    return str(mark)


def _wears_ours(entry: Entry, now: Stat, facts: Facts) -> bool:
    """Whether mode, owner and attributes are as the change left them, so that the old ones may come back."""
    made = facts.get("made")
    if made is None or (now.mode, now.uid, now.gid) != (made["mode"], made["uid"], made["gid"]):
        return False
    with entry.open_read() as content:
        return bool(fact.extended(Attributes.of(now, content.fd)) == facts["wears"])


def _now(entry: Entry) -> Stat | None:
    try:
        return entry.lstat()
    except NotFound:
        return None


def _need_parent(entry: Entry) -> None:
    if entry.parent.stat().kind is not Kind.DIRECTORY:
        raise Stale(f"`{entry.parent}` is no directory any more", _DECIDE)


def _taken(entry: Entry) -> Exists:
    return Exists(f"something else has the name `{entry}` by now", "move it away first")


def _drop(_: Any) -> None:  # noqa: ANN401 - whatever a verb answers
    """Done; what came of it is in the record."""

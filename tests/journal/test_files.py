"""Every way to change a file, undone: what was there is there again, and the undo can be undone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from journal.cellar import Cellar
from rootcellar import limits
from rootcellar.confine import FORBIDDEN, Overwrite, Roots
from rootcellar.errors import BadArgument, Exists, InTheWay, NotFound, ReadOnly, Refusal, Stale, TooLargeToKeep
from rootcellar.journal.changes import Caps, Filter, State
from rootcellar.journal.files import Unkept
from rootcellar.journal.store import Store
from rootcellar.journal.undo import Chain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="modes, links and the trash are Linux's here")

BIG = os.urandom(limits.JOURNAL_WHOLE_BYTES_MAX + 100_000)
Change = Callable[[Roots], Any]


@pytest.fixture
def cellar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cellar]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = Cellar(tmp_path)
    yield made
    made.close()


def plant(cellar: Cellar) -> None:
    root = cellar.root
    (root / "d/e").mkdir(parents=True)
    (root / "f").write_bytes(b"one\ntwo\nthree\n")
    (root / "g").write_bytes(b"other")
    (root / "big").write_bytes(BIG)
    (root / "d/a").write_bytes(os.urandom(50_000))
    (root / "l").symlink_to("d/a")
    (root / "empty").mkdir()
    (root / "f").chmod(0o4750)
    (root / "empty").chmod(0o710)
    os.setxattr(root / "f", "user.note", b"kept")
    for path in root.rglob("*"):
        os.utime(path, ns=(1_600_000_000_000_000_001, 1_600_000_000_000_000_003), follow_symlinks=False)


def batch(*acts: Change) -> Change:
    """One call that does all of these."""
    return lambda roots: [act(roots) for act in acts]


CHANGES: dict[str, Change] = {
    "create": lambda r: r.entry("new").create(b"NEW"),
    "create large": lambda r: r.entry("new").create(BIG),
    "create by append": lambda r: r.entry("new").append(b"NEW"),
    "replace": lambda r: r.entry("f").replace(b"NEW"),
    "replace by the same": lambda r: r.entry("f").replace(b"one\ntwo\nthree\n"),
    "replace large": lambda r: r.entry("big").replace(b"NEW"),
    "edit": lambda r: r.entry("f").edit(lambda data: data.replace(b"two", b"2")),
    "edit large": lambda r: r.entry("big").edit(lambda data: data[:100] + b"NEW" + data[200:]),
    "edit away": lambda r: r.entry("f").edit(lambda _: b""),
    "append": lambda r: r.entry("f").append(b"NEW"),
    "append large": lambda r: r.entry("big").append(BIG),
    "mkdir": lambda r: r.entry("new").make_directory(),
    "mkdirs": lambda r: r.entry("n/e/w").make_directories(),
    "copy": lambda r: r.entry("f").copy(r.entry("new")),
    "copy through a link": lambda r: r.entry("l").copy(r.entry("new")),
    "copy over": lambda r: r.entry("f").copy(r.entry("g"), Overwrite.REPLACE),
    "copy over large": lambda r: r.entry("f").copy(r.entry("big"), Overwrite.REPLACE),
    "copy a tree": lambda r: r.entry("d").copy(r.entry("new")),
    "move": lambda r: r.entry("f").move(r.entry("d/new")),
    "move over": lambda r: r.entry("g").move(r.entry("f"), Overwrite.REPLACE),
    "move a link": lambda r: r.entry("l").move(r.entry("new")),
    "move a link over": lambda r: r.entry("l").move(r.entry("g"), Overwrite.REPLACE),
    "move a tree": lambda r: r.entry("d").move(r.entry("new")),
    "trash": lambda r: r.entry("f").trash(),
    "trash a tree": lambda r: r.entry("d").trash(),
    "trash a link": lambda r: r.entry("l").trash(),
    "remove": lambda r: r.entry("f").remove(),
    "remove a link": lambda r: r.entry("l").remove(),
    "remove a directory": lambda r: r.entry("empty").remove(),
    "a batch": batch(
        lambda r: r.entry("new").make_directory(),
        lambda r: r.entry("new/a").create(b"1"),
        lambda r: r.entry("new/a").append(b"2"),
        lambda r: r.entry("f").move(r.entry("new/f")),
        lambda r: r.entry("new/f").edit(lambda _: b"edited"),
        lambda r: r.entry("d").move(r.entry("new/d")),
        lambda r: r.entry("new/d/a").trash(),
        lambda r: r.entry("new/a").copy(r.entry("g"), Overwrite.REPLACE),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_undone_it_is_as_before_and_undone_again_as_after(cellar: Cellar, name: str) -> None:
    plant(cellar)
    before = cellar.tree()
    change = cellar.done(CHANGES[name])
    after = cellar.tree()
    assert "same" in name or after != before
    for step in change.steps:
        assert step.state is State.DONE
        assert cellar.journal.show(change)
    back = cellar.undo(change.id)
    assert cellar.tree() == before
    assert back is not None
    assert back.undoes == change.id
    undone = cellar.store.change(change.id)
    assert (undone.state, undone.undone_by) == (State.UNDONE, back.id)
    again = cellar.undo(back.id)
    assert again is not None
    assert {name: facts[:5] for name, facts in cellar.tree().items()} == {
        name: facts[:5] for name, facts in after.items()
    }
    redone = cellar.store.change(change.id)
    assert (redone.state, redone.undone_by) == (State.DONE, "")
    cellar.undo(change.id)
    assert cellar.tree() == before
    assert not list(cellar.root.rglob(".rootcellar-*"))


def test_a_change_that_is_undone_is_not_undone_twice(cellar: Cellar) -> None:
    change = cellar.done(lambda r: r.entry("f").create(b"x"))
    cellar.undo(change.id)
    with pytest.raises(BadArgument):
        cellar.undo(change.id)


def test_a_refused_change_leaves_no_record(cellar: Cellar) -> None:
    plant(cellar)
    for act in (
        lambda r: r.entry("f").create(b"x"),
        lambda r: r.entry("f").move(r.entry("g")),
        lambda r: r.entry("f").replace(b"x", if_version="0"),
        lambda r: r.entry(".env").create(b"x"),
    ):
        with pytest.raises(Refusal):
            cellar.do(act)
    assert cellar.store.changes(Filter()).changes == ()


@pytest.mark.parametrize("name", CHANGES)
def test_a_witness_that_refuses_leaves_everything_as_it_was(cellar: Cellar, name: str) -> None:
    """Also the proof that every verb asks: one that did not would get through."""
    plant(cellar)
    before = cellar.tree()
    with pytest.raises(ReadOnly):
        CHANGES[name](cellar.roots().witnessed(FORBIDDEN))
    assert cellar.tree() == before
    assert not list(cellar.root.rglob(".rootcellar-*"))


def test_later_changes_in_the_same_place_are_named_or_undone_as_a_chain(cellar: Cellar) -> None:
    plant(cellar)
    before = cellar.tree()
    one = cellar.done(lambda r: r.entry("f").edit(lambda _: b"1"))
    two = cellar.done(lambda r: r.entry("d/e/new").create(b"2"))
    three = cellar.done(lambda r: r.entry("f").edit(lambda _: b"3"))
    four = cellar.done(lambda r: r.entry("f").move(r.entry("d/f")))
    with pytest.raises(InTheWay, match=f"`{four.id}`, `{three.id}`"):
        cellar.undo(one.id)
    with pytest.raises(InTheWay, match=four.id):
        cellar.undo(three.id)
    cellar.undo(two.id)
    assert (cellar.root / "d/f").read_bytes() == b"3"
    plan = cellar.journal.plan([one.id], Chain.LATER)
    assert plan.ids == (four.id, three.id, one.id)
    back = cellar.run(plan)
    assert cellar.tree() == before
    assert back is not None
    cellar.undo(back.id)
    assert (cellar.root / "d/f").read_bytes() == b"3"
    cellar.undo(four.id)
    cellar.undo(three.id)
    cellar.undo(one.id)
    assert cellar.tree() == before


def test_changes_undone_in_between_are_not_in_the_way(cellar: Cellar) -> None:
    plant(cellar)
    before = cellar.tree()
    one = cellar.done(lambda r: r.entry("f").edit(lambda _: b"1"))
    two = cellar.done(lambda r: r.entry("f").edit(lambda _: b"2"))
    cellar.undo(two.id)
    cellar.undo(one.id)
    assert cellar.tree() == before


def test_everything_since_a_time_is_undone_at_once(cellar: Cellar) -> None:
    plant(cellar)
    cellar.done(lambda r: r.entry("g").edit(lambda _: b"before"))
    before = cellar.tree()
    first = cellar.done(lambda r: r.entry("f").edit(lambda _: b"1"))
    cellar.done(lambda r: r.entry("d").trash())
    cellar.done(lambda r: r.entry("f").move(r.entry("h")))
    cellar.run(cellar.journal.since(first.at))
    assert cellar.tree() == before


TEXT = b"".join(b"line %d\n" % number for number in range(100))


def test_around_the_user_s_own_edit_only_our_lines_are_taken_back(cellar: Cellar) -> None:
    path = cellar.root / "f"
    path.write_bytes(TEXT)
    change = cellar.done(lambda r: r.entry("f").edit(lambda data: data.replace(b"line 50\n", b"ours\nours too\n")))
    path.write_bytes(path.read_bytes().replace(b"line 90\n", b"mine\n").replace(b"line 3\n", b""))
    told = cellar.journal.preview(cellar.journal.plan([change.id]), cellar.roots(), CALM)
    assert "-ours too" in told[0]
    cellar.undo(change.id)
    assert path.read_bytes() == TEXT.replace(b"line 90\n", b"mine\n").replace(b"line 3\n", b"")


@pytest.mark.parametrize(
    ("make", "meddle"),
    [
        (lambda r: r.entry("f").edit(lambda d: d.replace(b"line 50\n", b"ours\n")), lambda root: (root / "f").write_bytes((root / "f").read_bytes().replace(b"ours", b"mine"))),
        (lambda r: r.entry("f").edit(lambda d: d.replace(b"line 50\n", b"ours\n")), lambda root: (root / "f").write_bytes((root / "f").read_bytes().replace(b"line 51\n", b"mine\n"))),
        (lambda r: r.entry("n").create(b"ours\n"), lambda root: (root / "n").write_bytes(b"mine\n")),
        (lambda r: r.entry("f").copy(r.entry("n")), lambda root: (root / "n").write_bytes(b"mine\n")),
        (lambda r: r.entry("d").copy(r.entry("n")), lambda root: (root / "n/x").write_bytes(b"mine\n")),
        (lambda r: r.entry("n").make_directory(), lambda root: (root / "n/x").write_bytes(b"mine\n")),
        (lambda r: r.entry("f").trash(), lambda root: (root / "f").write_bytes(b"mine\n")),
        (lambda r: r.entry("f").remove(), lambda root: (root / "f").write_bytes(b"mine\n")),
        (lambda r: r.entry("f").move(r.entry("n")), lambda root: (root / "f").write_bytes(b"mine\n")),
        (lambda r: r.entry("f").move(r.entry("n")), lambda root: (root / "n").unlink()),
        (lambda r: r.entry("d/x").move(r.entry("n")), lambda root: shutil.rmtree(root / "d")),
        (lambda r: r.entry("f").edit(lambda _: b"ours"), lambda root: (root / "f").unlink()),
    ],
    ids=["our line", "the next line", "created", "copied", "copied tree", "directory", "trashed", "removed", "moved", "moved away", "no parent", "gone"],
)  # fmt: skip
def test_what_the_user_did_since_is_never_lost(cellar: Cellar, make: Change, meddle: Callable[[Path], object]) -> None:
    (cellar.root / "d").mkdir()
    (cellar.root / "d/x").write_bytes(b"x")
    (cellar.root / "f").write_bytes(TEXT)
    change = cellar.done(make)
    meddle(cellar.root)
    before = cellar.tree()
    with pytest.raises((Stale, Exists, NotFound)) as refused:
        cellar.undo(change.id)
    assert cellar.tree() == before
    assert cellar.store.change(change.id).state is State.DONE
    if isinstance(refused.value, Stale) and (cellar.root / "f").read_bytes() != TEXT:
        assert "+mine" in refused.value.hint


def test_what_the_user_has_undone_already_needs_nothing(cellar: Cellar) -> None:
    plant(cellar)
    change = cellar.done(batch(lambda r: r.entry("f").edit(lambda _: b"x"), lambda r: r.entry("new").create(b"y")))
    (cellar.root / "f").write_bytes(b"one\ntwo\nthree\n")
    (cellar.root / "new").unlink()
    cellar.undo(change.id)
    assert cellar.store.change(change.id).state is State.UNDONE


def test_an_undo_that_is_refused_halfway_is_put_back_whole(cellar: Cellar) -> None:
    plant(cellar)
    change = cellar.done(
        batch(
            lambda r: r.entry("d/n").create(b"1"),
            lambda r: r.entry("d/n").move(r.entry("n")),
            lambda r: r.entry("f").edit(lambda _: b"2"),
        )
    )
    shutil.rmtree(cellar.root / "d")
    (cellar.root / "d").write_bytes(b"a file now")
    before = cellar.tree()
    with pytest.raises(Refusal):
        cellar.undo(change.id)
    assert cellar.tree() == before
    assert len(cellar.store.changes(Filter()).changes) == 1
    assert cellar.store.change(change.id).state is State.DONE


def test_what_is_too_large_is_told_before_and_may_be_let_go(tmp_path: Path) -> None:
    cellar = Cellar(tmp_path, Store(str(tmp_path / "journal"), Caps(1_000_000, 1e9, 10_000)))
    (cellar.root / "f").write_bytes(os.urandom(20_000))
    before = cellar.tree()
    with pytest.raises(TooLargeToKeep, match="`f`"):
        cellar.do(lambda r: r.entry("f").replace(b"x"))
    assert cellar.tree() == before
    change = cellar.do(lambda r: r.entry("f").replace(b"x"), Unkept.LET_GO)
    assert change is not None
    with pytest.raises(NotFound):
        cellar.undo(change.id)
    cellar.done(lambda r: r.entry("f").append(b"cheap, as nothing is replaced"))
    cellar.close()


def test_an_emptied_trash_is_told(cellar: Cellar) -> None:
    plant(cellar)
    change = cellar.done(lambda r: r.entry("d").trash())
    shutil.rmtree(cellar.place / "data")
    with pytest.raises(NotFound, match="not in the trash any more"):
        cellar.undo(change.id)


def test_sealed_files_never_enter_the_store(cellar: Cellar) -> None:
    (cellar.root / "d/.ssh").mkdir(parents=True)
    (cellar.root / "d/.ssh/id_rsa").write_bytes(b"TOP SECRET KEY")
    (cellar.root / "d/f").write_bytes(b"plain")
    cellar.done(lambda r: r.entry("d").copy(r.entry("e")))
    with pytest.raises(Refusal):
        cellar.do(lambda r: r.entry("d").trash())
    cellar.undo(cellar.done(lambda r: r.entry("d").move(r.entry("x"))).id)
    cellar.close()
    for path in (cellar.place / "journal").rglob("*"):
        assert path.is_dir() or b"TOP SECRET" not in path.read_bytes()


class _Calm:
    cancelled = False

    def check(self) -> None:
        """Go on."""


CALM = _Calm()

"""Random sequences of every change of files, undone in random legal order: the tree is as it was at the beginning."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from journal.cellar import Cellar
from rootcellar import limits
from rootcellar.confine import Overwrite, Roots
from rootcellar.errors import InTheWay, Refusal
from rootcellar.journal.changes import State
from rootcellar.journal.undo import Chain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the trash is Linux's here")

NAMES = ["a", "b", "d", "d/a", "d/e", "d/e/a", "l", "x", "x/a", "ü\udcff"]
Act = Callable[[Roots], object]


@pytest.fixture(scope="module")
def cellar() -> Iterator[Cellar]:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as base,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_DATA_HOME", f"{base}/data")
        made = Cellar(Path(base))
        yield made
        made.close()


def plant(root: Path) -> None:
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (root / "d/e").mkdir(parents=True)
    (root / "a").write_bytes(b"".join(b"line %d\n" % number for number in range(20)))
    (root / "d/a").write_bytes(os.urandom(300))
    (root / "d/e/a").write_bytes(b"")
    (root / "l").symlink_to("d/a")
    (root / "a").chmod(0o640)
    (root / "d/a").chmod(0o2775)
    (root / "d/e").chmod(0o700)
    os.setxattr(root / "a", "user.note", b"kept")
    for path in root.rglob("*"):
        os.utime(path, ns=(1_500_000_000_000_000_000, 1_600_000_000_000_000_007), follow_symlinks=False)


DATA = st.one_of(st.binary(max_size=40), st.integers(0, 3).map(lambda n: bytes(range(256)) * 100 * n))
NAME = st.sampled_from(NAMES)
OVER = st.sampled_from(Overwrite)


def _one(name: str, verb: str, data: bytes, number: int) -> Act:
    def act(roots: Roots) -> object:
        entry = roots.entry(name) if "\udcff" not in name else roots.entry(".").child(name)
        if verb == "edit":
            return entry.edit(lambda old: old[: number % (len(old) + 1)] + data + old[(number + 7) % (len(old) + 1) :])
        if verb in ("create", "replace", "append"):
            return getattr(entry, verb)(data)
        return getattr(entry, verb)()

    return act


def _two(name: str, other: str, verb: str, over: Overwrite) -> Act:
    def act(roots: Roots) -> object:
        one, two = (roots.entry(".").child(n) if "\udcff" in n else roots.entry(n) for n in (name, other))
        return getattr(one, verb)(two, over)

    return act


ONE = st.builds(_one, NAME, st.sampled_from(["create", "replace", "append", "edit", "edit", "make_directory", "trash", "remove"]), DATA, st.integers(0, 1000))  # fmt: skip
TWO = st.builds(_two, NAME, NAME, st.sampled_from(["copy", "move"]), OVER)
CALLS = st.lists(st.lists(st.one_of(ONE, TWO), min_size=1, max_size=3), min_size=1, max_size=10)
COUNTS: Counter[str] = Counter()


def several(acts: list[Act]) -> Act:
    """One call: what is refused of it is left out."""

    def act(roots: Roots) -> None:
        for one in acts:
            try:
                one(roots)
            except Refusal:
                COUNTS["refused"] += 1

    return act


def run(cellar: Cellar, calls: list[list[Act]], draws: st.DataObject, small: bool) -> None:  # noqa: FBT001 - drawn
    plant(cellar.root)
    shutil.rmtree(cellar.place / "data", ignore_errors=True)  # the trash: names there are searched one by one
    before = cellar.tree()
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(limits, "JOURNAL_WHOLE_BYTES_MAX", 50)
            patch.setattr(limits, "JOURNAL_INLINE_BYTES_MAX", 20)
            patch.setattr(limits, "JOURNAL_HASH_BYTES_MAX", 100)
        changes = [change for acts in calls if (change := cellar.do(several(acts))) is not None]
        after = cellar.tree()
        standing = [change.id for change in changes]
        COUNTS["sequences"] += 1
        COUNTS["changes"] += len(changes)
        patience = 6  # the simplest draws are all alike: without it they would go on for ever
        while standing:
            known = draws.draw(st.sampled_from(standing))
            try:
                back = cellar.undo(known)
            except InTheWay:
                COUNTS["in the way"] += 1
                patience -= 1
                if patience > 0 and not draws.draw(st.booleans()):
                    continue
                plan = cellar.journal.plan([known], Chain.LATER)
                back = cellar.run(plan)
                COUNTS["chains"] += 1
            COUNTS["undone"] += 1
            assert back is not None
            assert cellar.store.change(known).state is State.UNDONE
            if patience > 0 and draws.draw(st.integers(0, 9)) == 0:
                patience -= 1
                cellar.undo(back.id)
                COUNTS["made again"] += 1
            standing = [known for known in standing if cellar.store.change(known).state is not State.UNDONE]
        assert cellar.tree() == before, (after, changes)
    assert not list(cellar.root.rglob(".rootcellar-*"))


def attack(cellar: Cellar, count: int) -> None:
    COUNTS.clear()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls=CALLS, draws=st.data(), small=st.booleans())
    def sequences(calls: list[list[Act]], draws: st.DataObject, small: bool) -> None:  # noqa: FBT001 - drawn
        run(cellar, calls, draws, small)

    sequences()
    print(dict(COUNTS))
    assert COUNTS["sequences"] >= count
    assert COUNTS["undone"] > count
    assert COUNTS["in the way"] > 0


def test_random_changes_are_undone_in_any_legal_order(cellar: Cellar) -> None:
    attack(cellar, 40)


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_thousands_of_random_sequences_are_undone(cellar: Cellar) -> None:
    attack(cellar, 5_000)

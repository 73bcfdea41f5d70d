"""Behind the wall and across disks: a thread that can open nothing but the roots records, undoes, and uses the trash."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from journal.cellar import Call, Calm, Cellar, tree
from rootcellar import limits
from rootcellar.confine import Grant, Lane, Overwrite, Roots
from rootcellar.confine._wall import wall
from rootcellar.confine.pool import Pools
from rootcellar.journal.changes import Change
from rootcellar.journal.undo import Chain
from rootcellar.policy import Policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and this trash are Linux's")
T = TypeVar("T")


class Walled(Cellar):
    """A cellar with two roots on two disks, whose calls run behind the wall."""

    def __init__(self, place: Path, far: Path) -> None:
        super().__init__(place)
        self.far = far
        self.pools = Pools()

    def roots(self) -> Roots:
        return self.ground.roots([Grant(str(self.root)), Grant(str(self.far))], Policy())

    def behind(self, act: Callable[[], T]) -> T:
        return self.pools.run(self.roots().roots, Lane.LONG, act).result(60)

    def do(self, act: Callable[[Roots], object], *_: object) -> Change | None:
        call = Call(self.store, "a tool")
        roots = self.roots().witnessed(call)
        self.behind(lambda: act(roots))
        return call.draft.seal("did it")

    def undo(self, *ids: str, chain: Chain = Chain.ALONE) -> Change | None:
        plan = self.journal.plan(ids, chain)
        call = Call(self.store, "undo_change", plan.ids[0])
        roots = self.roots().witnessed(call)
        self.behind(lambda: self.journal.run(plan, roots, call, Calm()))
        return call.draft.seal("undone")

    def both(self) -> tuple[object, object]:
        return tree(self.root), tree(self.far)


@pytest.fixture
def cellar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walled]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk")
    monkeypatch.setattr("rootcellar.confine._trash_places._top_trashes", lambda _: iter(()))
    far = memory / f"rootcellar-far-{os.getpid()}"
    far.mkdir()
    made = Walled(tmp_path, far)
    for root in (made.root, far):
        (root / "d/e").mkdir(parents=True)
        (root / "d/f").write_bytes(os.urandom(200_000))
        (root / "d/e").chmod(0o710)
        (root / "f").write_bytes(b"text\n" * 10_000)
        (root / "f").chmod(0o640)
        (root / "d/l").symlink_to("f")
        os.setxattr(root / "d/f", "user.note", b"kept")
        for path in root.rglob("*"):
            os.utime(path, ns=(1_500_000_000_000_000_000, 1_600_000_000_000_000_007), follow_symlinks=False)
    (far / "big").write_bytes(os.urandom(limits.JOURNAL_WHOLE_BYTES_MAX + 5))
    yield made
    made.pools.end()
    made.close()
    shutil.rmtree(far)


HERE, THERE = "root/", f"rootcellar-far-{os.getpid()}/"
CHANGES: dict[str, Callable[[Roots], object]] = {
    "edit": lambda r: r.entry(HERE + "f").edit(lambda data: data[:100] + data[300:]),
    "create": lambda r: r.entry(HERE + "new").create(os.urandom(100_000)),
    "remove": lambda r: r.entry(HERE + "f").remove(),
    "trash": lambda r: r.entry(HERE + "d").trash(),
    "trash a file": lambda r: r.entry(HERE + "f").trash(),
    "trash on another disk": lambda r: r.entry(THERE + "d").trash(),
    "trash a file on another disk": lambda r: r.entry(THERE + "f").trash(),
    "move a tree": lambda r: r.entry(HERE + "d").move(r.entry(HERE + "n")),
    "move a tree to another disk": lambda r: r.entry(HERE + "d").move(r.entry(THERE + "n")),
    "move a file to another disk": lambda r: r.entry(HERE + "f").move(r.entry(THERE + "n")),
    "move a file over one on another disk": lambda r: r.entry(HERE + "f").move(r.entry(THERE + "f"), Overwrite.REPLACE),
    "copy a tree to another disk": lambda r: r.entry(HERE + "d").copy(r.entry(THERE + "n")),
    "copy over one on another disk": lambda r: r.entry(HERE + "f").copy(r.entry(THERE + "d/f"), Overwrite.REPLACE),
    "copy over a large one": lambda r: r.entry(HERE + "f").copy(r.entry(THERE + "big"), Overwrite.REPLACE),
    "edit a large one": lambda r: r.entry(THERE + "big").edit(lambda data: data[:5] + b"x" + data[9:]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_behind_the_wall_every_change_is_recorded_and_undone(cellar: Walled, name: str) -> None:
    assert wall(cellar.roots().roots).abi, "this kernel has no Landlock"
    before = cellar.both()
    change = cellar.done(CHANGES[name])
    after = cellar.both()
    assert after != before
    back = cellar.undo(change.id)
    assert back is not None
    assert cellar.both() == before
    cellar.undo(back.id)
    cellar.undo(change.id)
    assert cellar.both() == before
    for root in (cellar.root, cellar.far):
        assert not list(root.rglob(".rootcellar-*"))
    if "trash" in name:
        assert os.listdir(cellar.place / "data/Trash/files") == []
        assert os.listdir(cellar.place / "data/Trash/info") == []

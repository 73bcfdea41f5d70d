"""Fork servers that change and undo, kill them at random moments, undo what they left: `kill_journal.py PLACE KILLS`.

Prints counts as JSON. After each kill the next server settles, everything recorded is undone in random legal order, and
the tree must be what it was: a change that was half made, or half recorded, would show.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from journal.cellar import Cellar
from rootcellar.confine import Overwrite, Roots, drafts
from rootcellar.errors import InTheWay, Refusal
from rootcellar.journal.changes import Change, Filter, State
from rootcellar.journal.undo import Chain

BIG = bytes(range(256)) * 2_000
TEXT = b"".join(b"line %d\n" % number for number in range(2_000))


def plant(root: Path) -> None:
    """The tree at the beginning."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "d/e").mkdir(parents=True)
    (root / "t").mkdir()
    (root / "a").write_bytes(TEXT)
    (root / "big").write_bytes(BIG)
    (root / "a").chmod(0o640)
    for number in range(20):
        (root / f"t/{number}").write_bytes(b"x" * number)
    (root / "l").symlink_to("a")
    for path in root.rglob("*"):
        os.utime(path, ns=(1_500_000_000_000_000_000, 1_600_000_000_000_000_007), follow_symlinks=False)


def batch(roots: Roots) -> None:
    """One call with many steps."""
    roots.entry("n").make_directory()
    for number in range(5):
        roots.entry(f"n/{number}").create(b"%d" % number)
    roots.entry("a").move(roots.entry("n/a"))
    roots.entry("n/a").edit(lambda data: data + b"more")
    roots.entry("n/1").trash()


ACTS: list[Callable[[Roots], object]] = [
    lambda r: r.entry("a").edit(lambda data: data[:500] + b"edited" + data[900:]),
    lambda r: r.entry("a").append(b"appended"),
    lambda r: r.entry("big").replace(os.urandom(300_000)),
    lambda r: r.entry("new").create(BIG),
    lambda r: r.entry("t").copy(r.entry("d/t")),
    lambda r: r.entry("t").move(r.entry("d/e/t")),
    lambda r: r.entry("t").trash(),
    lambda r: r.entry("d").trash(),
    lambda r: r.entry("a").move(r.entry("big"), Overwrite.REPLACE),
    lambda r: r.entry("a").copy(r.entry("big"), Overwrite.REPLACE),
    lambda r: r.entry("a").trash(),
    lambda r: r.entry("l").remove(),
    lambda r: r.entry("big").remove(),
    lambda r: r.entry("d/e/f").make_directories(),
    batch,
]


def serve(place: Path, told: int) -> None:
    """Change and undo until killed."""
    cellar = Cellar(place)
    while True:
        page = cellar.store.changes(Filter()).changes
        standing = [change.id for change in page if change.state is not State.UNDONE]
        try:
            if standing and random.random() < 0.4:
                cellar.run(cellar.journal.plan([random.choice(standing)], Chain.LATER))
            else:
                cellar.do(random.choice(ACTS))
        except Refusal:
            continue
        if told:
            os.write(told, b".")
            told = 0


def undo_all(cellar: Cellar, counts: Counter[str]) -> None:
    """Everything that stands, in any legal order."""
    while True:
        found: list[Change] = []
        cursor = ""
        while True:
            page = cellar.store.changes(Filter(), cursor)
            found += page.changes
            cursor = page.cursor
            if not cursor:
                break
        standing = [change for change in found if change.state is not State.UNDONE and not change.undoes]
        if not standing:
            return
        change = random.choice(standing)
        counts["interrupted undone"] += change.interrupted
        try:
            cellar.undo(change.id)
        except InTheWay:
            cellar.run(cellar.journal.plan([change.id], Chain.LATER))
        counts["undone"] += 1


def look(place: Path, before: object, counts: Counter[str]) -> None:
    """What a kill left: settle it, undo it, compare."""
    cellar = Cellar(place)
    changes = cellar.store.changes(Filter(), count=1_000).changes
    counts["changes"] += len(changes)
    counts["interrupted"] += sum(change.interrupted for change in changes)
    counts["not settled"] += cellar.store.ask(
        lambda: cellar.store.shelf().index._number("SELECT count(*) FROM change WHERE state = 'begun'")
    )
    drafts._looked_at.clear()
    for path in [cellar.root, *(path for path in cellar.root.rglob("*") if path.is_dir() and path.name[0] != ".")]:
        entry = cellar.roots().entry(str(path / "swept"))
        entry.create(b"")
        entry.remove()
    counts["left"] += len(list(cellar.root.rglob(".rootcellar-*")))
    try:
        undo_all(cellar, counts)
    except Refusal:
        traceback.print_exc()
        counts["not undone"] += 1
        for change in cellar.store.changes(Filter(), count=1_000).changes:
            print(change, file=sys.stderr)
    if cellar.tree() != before:
        counts["torn"] += 1
        now = cellar.tree()
        assert isinstance(before, dict)
        for name in sorted({*now, *before}):
            if now.get(name) != before.get(name):
                print(name, str(before.get(name))[:200], "->", str(now.get(name))[:200], file=sys.stderr)
    used = cellar.store.ask(lambda: cellar.store.shelf().index.files())
    counts["orphans"] += len(set(os.listdir(place / "journal/contents")) - used)
    cellar.close()


def main(place: Path, kills: int) -> Counter[str]:
    """The counts."""
    os.environ["XDG_DATA_HOME"] = str(place / "data")
    drafts.QUIET_S = 0.0
    counts: Counter[str] = Counter()
    for _ in range(kills):
        for name in ("journal", "data"):
            shutil.rmtree(place / name, ignore_errors=True)
        plant(place / "root")
        cellar = Cellar(place)
        before = cellar.tree()
        cellar.close()
        del cellar
        gc.collect()
        heard, told = os.pipe()
        pid = os.fork()
        if not pid:
            serve(place, told)
        os.close(told)
        select.select([heard], [], [], 20)  # its first change is made
        select.select([], [], [], random.random() * 0.05)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(heard)
        counts["kills"] += 1
        look(place, before, counts)
    return counts


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))

"""What the journal costs: `python tests/journal/bench_journal.py [ROUNDS]`.

Each task is done in turn without and with the journal, on the same files, so that whatever else the machine does meets
both. Read the ratios of the minima: 1.10 is ten per cent more.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from journal.cellar import Cellar
from rootcellar.confine import Overwrite, Roots
from rootcellar.tools.edits import Edit, edit_file
from rootcellar.toolset import Call, Cancel

Act = Callable[[Roots], object]
TEXT = "".join(f"line {number} of some text that is edited, {number * 7919 % 1000}\n" for number in range(20_000))


def flip(roots: Roots) -> None:
    """The whole `edit_file`: decode, match, write, answer with the diff."""
    old = "line 15000 of" if roots.entry("f").read(1 << 21).find(b"line 15000 of") >= 0 else "LINE 15000 OF"
    call = cast("Call", SimpleNamespace(roots=roots, cancel=Cancel()))  # all that its body asks of a call
    edit_file(call, path="f", edits=[Edit(old_text=old, new_text=old.swapcase())])


def plant(root: Path, files: int) -> None:
    """A tree of so many small files."""
    for folder in range(files // 100):
        (root / f"t/{folder}").mkdir(parents=True)
        for number in range(100):
            (root / f"t/{folder}/{number}").write_bytes(b"x")


def timed(act: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def compare(cellar: Cellar, title: str, act: Act, rounds: int, before: Callable[[], object] = lambda: None) -> None:
    """One line: the minima and medians without and with, and their ratios."""
    plain, kept = [], []
    for number in range(rounds):
        for is_kept in (number % 2 == 0, number % 2 != 0):
            before()
            if is_kept:
                kept.append(timed(lambda: cellar.done(act)))
            else:
                plain.append(timed(lambda: act(cellar.roots())))
    (a, a_median), (b, b_median) = ((min(times), sorted(times)[len(times) // 2]) for times in (plain, kept))
    print(
        f"{title:34} min {a * 1e3:8.2f} ms, journalled {b * 1e3:8.2f} ms, ratio {b / a:5.2f}"
        f"   median {a_median * 1e3:8.2f}, {b_median * 1e3:8.2f}, ratio {b_median / a_median:5.2f}"
    )


def main(rounds: int) -> None:
    """The table."""
    with tempfile.TemporaryDirectory() as base:
        place = Path(os.path.realpath(base))
        os.environ["XDG_DATA_HOME"] = str(place / "data")
        cellar = Cellar(place)
        (cellar.root / "f").write_text(TEXT[: 1 << 20])
        (cellar.root / "small").write_text(TEXT[:2_000])
        compare(cellar, "edit_file, 1 MiB", flip, rounds)
        number = iter(range(1 << 30))
        compare(
            cellar, "replace 2 kB", lambda r: r.entry("small").replace(TEXT[next(number) :][:2_000].encode()), rounds
        )
        compare(cellar, "copy over 1 MiB", lambda r: r.entry("f").copy(r.entry("g"), Overwrite.REPLACE), rounds)
        for files in (200, 20_000):
            compare(
                cellar, f"delete a tree of {files:,}", lambda r: r.entry("t").trash(), max(2, rounds // 10),
                partial(plant, cellar.root, files),
            )  # fmt: skip
            plant(cellar.root, files)
            change = cellar.done(lambda r: r.entry("t").trash())
            print(f"{f'undo the delete of {files:,}':34} {timed(lambda: cellar.undo(change.id)) * 1e3:12.2f} ms")  # noqa: B023
            cellar.done(lambda r: r.entry("t").trash())
        cellar.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)

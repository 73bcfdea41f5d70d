"""Copies, moves and removals: whole or not at all, never over something by accident, never out of the root."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from confine.yard import Place
from rootcellar.confine import Entry, Grant, Overwrite
from rootcellar.errors import BadArgument, Cancelled, Denied, Exists, NotFound, OutsideRoots, Refusal, Sealed, WrongKind
from rootcellar.policy import Policy

pytestmark = pytest.mark.usefixtures("no_leaks")


class Cancel:
    """Taken back after so many checks."""

    def __init__(self, after: int) -> None:
        self.checks, self.after = 0, after

    @property
    def cancelled(self) -> bool:
        return self.checks > self.after

    def check(self) -> None:
        self.checks += 1
        if self.cancelled:
            raise Cancelled("taken back")


def tree(root: Path) -> dict[str, str]:
    """Every name, and what it holds."""
    return {
        str(path.relative_to(root)): os.readlink(path)
        if path.is_symlink()
        else "dir"
        if path.is_dir()
        else path.read_text()
        for path in sorted(root.rglob("*"))
    }


def test_a_copied_file_keeps_mode_times_and_attributes_and_is_its_own(place: Place) -> None:
    place.make("f", "l -> f")
    path = place.root / "f"
    path.chmod(0o4750)
    os.utime(path, ns=(1_000_000_001, 2_000_000_002))
    if place.backend.label != "posix" and hasattr(os, "setxattr"):
        os.setxattr(path, "user.note", b"kept")
    entry = place.roots().entry
    copied = entry("l").copy(entry("g"))
    found = (place.root / "g").stat()
    assert (copied.files, copied.size) == (1, 1)
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_ino != path.stat().st_ino) == (
        0o750,
        2_000_000_002,
        True,
    )
    if place.backend.label != "posix" and hasattr(os, "getxattr"):
        assert os.getxattr(place.root / "g", "user.note") == b"kept"
    entry("g").replace(b"other")
    assert path.read_text() == "f"


def test_a_copied_tree_is_the_same_tree(place: Place) -> None:
    place.make("t/a/x", "t/b/", "t/l -> a/x", "t/up -> ../other", "t/abs -> $ROOT/other", "other", "t/.hidden")
    (place.root / "t/a").chmod(0o2700)
    os.utime(place.root / "t/a", ns=(5, 7))
    entry = place.roots().entry
    copied = entry("t").copy(entry("c"))
    assert tree(place.root / "c") == {**tree(place.root / "t"), "a/x": "t/a/x", ".hidden": "t/.hidden"}
    assert (copied.files, copied.directories, copied.links, copied.skipped) == (2, 3, 3, [])
    found = (place.root / "c/a").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o700, 7)


def test_a_copied_tree_leaves_out_links_that_leave_and_what_is_no_file_and_says_so(place: Place) -> None:
    place.make("t/out -> ../../OUT/secret", "t/abs -> $OUT", "t/d/deep -> ../../..", "t/x")
    os.mkfifo(place.root / "t/p")
    entry = place.roots().entry
    copied = entry("t").copy(entry("c"))
    assert sorted(copied.skipped) == ["abs", "d/deep", "out", "p"]
    assert copied.skipped_count == 4
    assert tree(place.root / "c") == {"d": "dir", "x": "t/x"}


def test_a_link_that_would_leave_only_from_its_new_place_is_left_out(place: Place) -> None:
    place.make("a/b/t/l -> ../../../f", "f")
    entry = place.roots().entry
    assert entry("a/b/t").copy(entry("c")).skipped == ["l"]


REFUSED: tuple[tuple[str, str, type[Refusal]], ...] = (
    ("f", "f", Exists),
    ("f", "g", Exists),
    ("f", "d", Exists),
    ("f", "l", Exists),
    ("f", "dangling", Exists),
    ("f", "nope/x", NotFound),
    ("f", "new/", WrongKind),
    ("d", "d", Exists),
    ("d", "d/new", BadArgument),
    ("d", "d/sub/new", BadArgument),
    ("d", "dl/new", BadArgument),
    ("d", "f", Exists),
    ("nope", "x", NotFound),
    ("f", "../x", OutsideRoots),
    ("f", ".env", Sealed),
)


@pytest.mark.parametrize(("source", "to", "why"), REFUSED)
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_what_is_refused_changes_nothing(place: Place, verb: str, source: str, to: str, why: type[Refusal]) -> None:
    place.make("f", "g", "d/sub/x", "l -> f", "dangling -> nowhere", "dl -> d")
    before = tree(place.root)
    roots = place.roots()
    with pytest.raises(why):
        getattr(roots.entry(source), verb)(roots.entry(to))
    assert tree(place.root) == before


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_overwriting_is_for_files_and_must_be_said(place: Place, verb: str) -> None:
    place.make("f", "g", "d/x", "e/")
    entry = place.roots().entry
    getattr(entry("f"), verb)(entry("g"), Overwrite.REPLACE)
    assert (place.root / "g").read_text() == "f"
    assert (place.root / "f").exists() is (verb == "copy")
    for source, to in (("g", "d"), ("d", "g"), ("d", "e"), ("g", "e")):
        with pytest.raises(Exists):
            getattr(entry(source), verb)(entry(to), Overwrite.REPLACE)
    with pytest.raises(BadArgument):
        getattr(entry("g"), verb)(entry("./g"), Overwrite.REPLACE)
    assert tree(place.root / "d") == {"x": "d/x"}
    place.make("f")
    (place.root / "g").chmod(0o444)
    with pytest.raises(Denied, match="writable"):
        getattr(entry("f"), verb)(entry("g"), Overwrite.REPLACE)


def test_a_move_takes_directories_and_links_as_they_are(place: Place) -> None:
    place.make("d/sub/x", "l -> f", "f", "out -> ../OUT/secret", "to/")
    entry = place.roots().entry
    entry("d").move(entry("to/d2/"))
    entry("l").move(entry("to/l"))
    entry("out").move(entry("to/out"))
    assert tree(place.root / "to") == {
        "d2": "dir", "d2/sub": "dir", "d2/sub/x": "d/sub/x", "l": "f", "out": "../OUT/secret",
    }  # fmt: skip
    with pytest.raises(NotFound):
        entry("to/out").read(10)  # one level down, the same text stays inside


def test_the_root_is_neither_moved_nor_replaced(place: Place) -> None:
    place.make("f", "d/")
    entry = place.roots().entry
    for path in (".", "", "d/..", str(place.root)):
        with pytest.raises(Refusal):
            entry(path).move(entry("d/x"))
        with pytest.raises(Exists):
            entry("f").move(entry(path), Overwrite.REPLACE)
        with pytest.raises(Denied):
            entry(path).remove()
    assert tree(place.root) == {"d": "dir", "f": "f"}


def test_of_many_that_move_to_one_name_one_wins_and_nothing_is_lost(place: Place) -> None:
    place.make(*(f"from/{n}" for n in range(24)))
    entry, start, won = place.roots().entry, threading.Barrier(24), []

    def move(number: int) -> None:
        start.wait()
        try:
            entry(f"from/{number}").move(entry("to"))
        except Exists:
            return
        won.append(number)

    threads = [threading.Thread(target=move, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (place.root / "to").read_text() == f"from/{won[0]}"
    assert len(os.listdir(place.root / "from")) == 23


def test_a_name_taken_at_the_last_moment_is_not_replaced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference server looks and then renames; here the rename itself refuses."""
    place.make("f", "d/")
    entry = place.roots().entry
    real = type(place.backend)._rename_new  # type: ignore[attr-defined]

    def late(*args: object) -> None:
        (place.root / "new").write_text("theirs")
        real(*args)

    monkeypatch.setattr(type(place.backend), "_rename_new", late)
    with pytest.raises(Exists):
        entry("f").move(entry("new"))
    assert tree(place.root) == {"d": "dir", "f": "f", "new": "theirs"}


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_copy_that_is_taken_back_leaves_nothing(place: Place, after: int) -> None:
    place.make(*(f"t/d{n}/f{m}" for n in range(5) for m in range(5)))
    (place.root / "big").write_bytes(b"x" * (40 << 20))
    before = tree(place.root)
    entry = place.roots().entry
    with pytest.raises(Cancelled):
        entry("t").copy(entry("c"), cancel=Cancel(after))
    with pytest.raises(Cancelled):
        entry("big").copy(entry("c"), cancel=Cancel(min(after, 1)))
    assert tree(place.root) == before


def test_progress_is_told(place: Place) -> None:
    (place.root / "big").write_bytes(b"x" * (20 << 20))
    told: list[tuple[float, float | None, str]] = []
    entry = place.roots().entry
    entry("big").copy(entry("c"), progress=lambda *step: told.append(step))
    assert told[-1] == (20 << 20, 20 << 20, "big")
    assert [step[0] for step in told] == sorted(step[0] for step in told)
    assert len(told) > 1


def test_removing_takes_the_whole_tree_and_no_link_s_target(place: Place) -> None:
    place.make("t/a/b/x", "t/l -> ../keep", "t/d -> $OUT", "t/out -> ../../OUT", "keep/x")
    before = place.outside()
    place.roots().entry("t").remove()
    assert tree(place.root) == {"keep": "dir", "keep/x": "keep/x"}
    assert place.outside() == before
    with pytest.raises(NotFound):
        place.roots().entry("t").remove()


# Two roots; on Linux the second may be another disk.


@pytest.fixture
def disks(place: Place) -> Iterator[Callable[..., tuple[Callable[[str], Entry], Path]]]:
    """Two roots, `root` and `two`, the second on a file system of its own."""
    two = place.base / "two"
    two.mkdir()
    if sys.platform != "linux" or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", two], check=False).returncode:
        pytest.skip("no mount here")

    def opened() -> tuple[Callable[[str], Entry], Path]:
        return place.ground.roots([Grant(str(place.root)), Grant(str(two))], Policy()).entry, two

    yield opened
    subprocess.run(["umount", "-l", two], check=True)


Disks = Callable[[], tuple[Callable[[str], Entry], Path]]


def test_moves_between_roots_of_one_disk_are_one_rename(place: Place) -> None:
    place.make("f", "d/x")
    (place.base / "two").mkdir()
    entry = place.ground.roots([Grant(str(place.root)), Grant(str(place.base / "two"))], Policy()).entry
    ino = (place.root / "f").stat().st_ino
    entry("root/f").move(entry("two/f"))
    entry("root/d").move(entry("two/d"))
    assert (place.base / "two/f").stat().st_ino == ino
    assert tree(place.base / "two") == {"d": "dir", "d/x": "d/x", "f": "f"}


def test_moves_between_disks_take_everything_along(place: Place, disks: Disks) -> None:
    entry, two = disks()
    place.make("f", "t/a/x", "t/l -> a/x", "t/e/", "l -> f")
    (place.root / "f").chmod(0o640)
    entry("root/f").move(entry("two/g"))
    entry("root/t").move(entry("two/t"))
    assert tree(two) == {"g": "f", "t": "dir", "t/a": "dir", "t/a/x": "t/a/x", "t/e": "dir", "t/l": "a/x"}
    assert stat.S_IMODE((two / "g").stat().st_mode) == 0o640
    assert tree(place.root) == {"l": "f"}
    entry("root/l").move(entry("two/l"))
    assert os.readlink(two / "l") == "f"
    with pytest.raises(Exists):
        entry("two/g").move(entry("two/t"))
    (place.root / "h").write_text("h")
    with pytest.raises(Exists):
        entry("root/h").move(entry("two/g"))
    entry("root/h").move(entry("two/g"), Overwrite.REPLACE)
    assert (two / "g").read_text() == "h"
    assert os.listdir(place.root) == []


@pytest.mark.parametrize("lines", [("t/x", "t/.env"), ("t/x", "t/out -> ../../OUT"), ("t/x", "t/p|")])
def test_what_cannot_go_along_keeps_everything_here(place: Place, disks: Disks, lines: tuple[str, ...]) -> None:
    entry, two = disks()
    place.make(*(line for line in lines if not line.endswith("|")))
    if "t/p|" in lines:
        os.mkfifo(place.root / "t/p")
    before = [path.name for path in sorted(place.root.rglob("*"))]
    with pytest.raises(Refusal):
        entry("root/t").move(entry("two/t"))
    assert [path.name for path in sorted(place.root.rglob("*"))] == before
    assert os.listdir(two) == []


def test_a_move_between_disks_that_is_taken_back_or_finds_no_room_keeps_everything_here(
    place: Place, disks: Disks
) -> None:
    entry, two = disks()
    place.make(*(f"t/{n}" for n in range(9)))
    before = tree(place.root)
    with pytest.raises(Cancelled):
        entry("root/t").move(entry("two/t"), cancel=Cancel(4))
    assert (tree(place.root), os.listdir(two)) == (before, [])
    subprocess.run(["mount", "-o", "remount,size=1m", two], check=True)
    (place.root / "t/big").write_bytes(b"x" * (3 << 20))
    with pytest.raises(Refusal, match="full"):
        entry("root/t").move(entry("two/t"))
    assert (len(os.listdir(place.root / "t")), os.listdir(two)) == (10, [])


def test_what_changes_or_appears_during_a_move_between_disks_is_not_removed(place: Place, disks: Disks) -> None:
    entry, two = disks()
    place.make("t/a", "t/b")

    def interfere(_done: float, _total: float | None, name: str) -> None:
        if name == "b":
            (place.root / "t/a").write_text("changed")
            (place.root / "t/new").write_text("new")

    with pytest.raises(Refusal, match="changed meanwhile"):
        entry("root/t").move(entry("two/t"), progress=interfere)
    assert tree(place.root) == {"t": "dir", "t/a": "changed", "t/new": "new"}
    assert tree(two) == {"t": "dir", "t/a": "t/a", "t/b": "t/b"}


def test_a_tree_that_holds_a_mount_is_not_copied_into_itself(place: Place, disks: Disks) -> None:
    entry, two = disks()
    place.make("t/x")
    (place.root / "t/m").mkdir()
    subprocess.run(["mount", "--bind", two, place.root / "t/m"], check=True)
    try:
        for path in ("root/t/m/c",):
            with pytest.raises(BadArgument):
                entry("root/t").copy(entry(path))
            with pytest.raises(BadArgument):
                entry("root/t").move(entry(path))
    finally:
        subprocess.run(["umount", place.root / "t/m"], check=True)


def test_the_trash_takes_what_remove_would(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.make("d/.env", "f")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    entry = place.roots().entry
    for path, why in ((".", Denied), ("d", Sealed), ("d/.env", Sealed), ("nope", NotFound), ("../x", OutsideRoots)):
        with pytest.raises(why):
            entry(path).trash()
    assert (place.root / "f").exists()

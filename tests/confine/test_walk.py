"""Listings and walks: complete, bounded, and described by the handle that was listed."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from confine.yard import Place, as_nobody, open_descriptors
from rootcellar import limits
from rootcellar.confine import Details, Kind, Walked
from rootcellar.errors import Busy, Cancelled, TooLarge, WrongKind

pytestmark = pytest.mark.usefixtures("no_leaks")


class Cancel:
    """Taken back after so many looks."""

    def __init__(self, after: int) -> None:
        self.looks, self.after = 0, after

    @property
    def cancelled(self) -> bool:
        self.looks += 1
        return self.looks > self.after

    def check(self) -> None:
        if self.looks > self.after:
            raise Cancelled("taken back")


def test_a_listing_has_every_name_with_its_own_description(place: Place) -> None:
    place.make("b", "a/x", "l -> ../OUT/secret", "d -> nowhere", "k -> b")
    os.mkfifo(place.root / "p")
    found = {item.name: item.stat for item in place.roots().entry(".").list()}
    assert {name: stat.kind for name, stat in found.items()} == {
        "a": Kind.DIRECTORY, "b": Kind.FILE, "d": Kind.LINK, "k": Kind.LINK, "l": Kind.LINK, "p": Kind.FIFO,
    }  # fmt: skip
    assert list(found) == sorted(found)
    assert found["l"].size == len("../OUT/secret"), "a link's own size, not its target's"
    with pytest.raises(WrongKind):
        place.roots().entry("b").list()


@pytest.mark.parametrize("details", list(Details))
def test_a_walk_yields_what_os_walk_finds_parents_first(place: Place, details: Details) -> None:
    place.make("a/b/c/f", "a/g", "z", "a-b/x", "e/", "l -> a", "a/up -> ..")
    found = list(place.roots().entry(".").walk(details=details))
    names = [item.shown for item in found]
    wanted = {
        os.path.relpath(os.path.join(top, name), place.root)
        for top, folders, files in os.walk(place.root)
        for name in folders + files
    }
    assert set(names) == wanted
    assert len(names) == len(wanted)
    assert all(names.index(os.path.dirname(name)) < names.index(name) for name in names if "/" in name)
    for item in found:
        assert (item.stat is not None) is (details is Details.STAT)
        assert item.entry.lstat().kind is item.kind
    assert {item.kind for item in found if item.name in ("l", "up")} == {Kind.LINK}


def test_a_walk_starts_anywhere_also_through_a_link(place: Place) -> None:
    place.make("a/b/f", "l -> a")
    item = list(place.roots().entry("l").walk())[-1]
    assert (item.shown, str(item.entry), item.entry.read(10)) == ("b/f", "l/b/f", b"a/b/f")


def test_what_is_ignored_is_not_entered(place: Place) -> None:
    place.make("node_modules/a/b", "src/f")
    seen: list[str] = []

    def ignore(item: Walked) -> bool:
        seen.append(item.shown)
        return item.name == "node_modules"

    assert [item.shown for item in place.roots().entry(".").walk(ignore=ignore)] == ["src", "src/f"]
    assert seen == ["node_modules", "src", "src/f"]


def test_a_walk_can_be_taken_back_and_dropped(place: Place) -> None:
    place.make(*(f"d{n}/f{m}" for n in range(20) for m in range(5)))
    entry = place.roots().entry(".")
    cancel = Cancel(after=7)
    with pytest.raises(Cancelled):
        list(entry.walk(cancel=cancel))
    assert cancel.looks == 8
    before = open_descriptors()
    walk = entry.walk()
    assert len(list(itertools.islice(walk, 5))) == 5
    walk.close()  # type: ignore[attr-defined]
    assert open_descriptors() == before


def test_a_walk_ends_at_its_limit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.make(*(f"d/f{n}" for n in range(30)))
    monkeypatch.setattr(limits, "WALK_ENTRIES_MAX", 20)
    with pytest.raises(TooLarge, match="20"):
        list(place.roots().entry(".").walk())


def deep(root: Path, levels: int) -> None:
    """A chain of directories `d`, each with a file beside it."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        os.close(os.open("z", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """What is left to a process with many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors() + 120, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
def test_ten_thousand_levels_are_walked_with_few_descriptors(quick_place: Place) -> None:
    deep(quick_place.root, 10_000)
    start = time.perf_counter()
    count = most = 0
    for _ in quick_place.roots().entry(".").walk():
        count += 1
        if not count % 997:
            most = max(most, open_descriptors())
    took = time.perf_counter() - start
    assert count == 30_000
    print(f"{quick_place.backend.label}: {count} names, 10,000 levels, {took:.2f} s, at most {most} descriptors")
    subprocess.run(["rm", "-rf", quick_place.root], check=True)


@pytest.mark.usefixtures("few_descriptors")
def test_a_deep_tree_is_copied_and_removed_with_few_descriptors(quick_place: Place) -> None:
    deep(quick_place.root, 1_000)
    entry = quick_place.roots().entry
    assert entry("d").copy(entry("copy")).files == 2 * 999
    entry("copy").remove()
    assert sorted(os.listdir(quick_place.root)) == ["d", "f", "z"]
    subprocess.run(["rm", "-rf", quick_place.root], check=True)


def test_a_file_two_thousand_levels_down_is_read_and_written(quick_place: Place) -> None:
    deep(quick_place.root, 2_100)
    entry = quick_place.roots().entry
    path = "d/" * 2_000 + "f"
    entry(path).replace(b"IN")
    assert entry(path).read(10) == b"IN"
    assert entry("d/" * 1_800 + "../" * 100 + "f").read(10) == b""
    below = entry(".").below(("d",) * 2_099 + ("f",))
    below.replace(b"deeper than a path may be")
    assert below.read(100) == b"deeper than a path may be"
    subprocess.run(["rm", "-rf", quick_place.root], check=True)


def test_a_directory_that_moves_while_it_is_walked_is_never_a_way_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk stands below the handles it keeps; an ancestor it closed must still be itself to be gone back to."""
    place.make("/".join(["a"] * 60) + "/f", "z")
    monkeypatch.setattr(type(place.backend), "levels_max", 4)
    walk = place.roots().entry(".").walk()
    seen = [item.shown for item in itertools.takewhile(lambda item: item.name != "f", walk)]
    os.rename(place.root.joinpath(*["a"] * 30), place.out / "stolen")
    (place.out / "near").write_bytes(b"x")
    with pytest.raises(Busy, match="changed place"):
        seen += [item.shown for item in walk]
    assert not [name for name in seen if "near" in name or "secret" in name]
    shutil.rmtree(place.out / "stolen")


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_what_cannot_be_listed_is_told_and_the_walk_goes_on(shared_place: Place) -> None:
    shared_place.make("a/f", "closed/f", "z/f")
    (shared_place.root / "closed").chmod(0o700)
    said = as_nobody(
        shared_place.root,
        """
        told = []
        print([item.shown for item in entry(".").walk(unread=lambda item, why: told.append((item.shown, why.reason)))])
        print(told)
        """,
    )
    assert said.splitlines() == ["['a', 'a/f', 'closed', 'z', 'z/f']", "[('closed', 'permission')]"]


def test_a_description_comes_from_the_directory_that_was_listed(place: Place) -> None:
    """CVE-2026-27139's class: a stat after the listing's descriptor was closed and its number given away."""
    place.make("d/secret")
    found = []
    for item in place.roots().entry("d").walk(details=Details.STAT):
        taken = [os.open(place.out, os.O_RDONLY) for _ in range(20)]
        found.append((item.stat, item.entry.lstat()))
        for fd in taken:
            os.close(fd)
    assert found[0][0] is not None
    assert found[0][0].size == found[0][1].size == len("d/secret")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="one machine's figures")
def test_a_walk_of_twenty_thousand_files_costs_what_a_stat_of_each_costs_at_most(quick_place: Place) -> None:
    for n in range(420):
        folder = quick_place.root / f"d{n // 20}/s{n}"
        folder.mkdir(parents=True)
        for m in range(48):
            (folder / f"file_{m}.py").touch()
    entry = quick_place.roots().entry(".")

    def best(work: object) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            count = work()  # type: ignore[operator]
            times.append(time.perf_counter() - start)
            assert count > 20_000
        return min(times) * 1000

    plain = best(lambda: sum(len(folders) + len(files) for _, folders, files in os.walk(quick_place.root)))
    described = best(
        lambda: sum(
            os.lstat(os.path.join(top, name)) is not None
            for top, folders, files in os.walk(quick_place.root)
            for name in folders + files
        )
    )
    ours = best(lambda: sum(1 for _ in entry.walk()))
    ours_described = best(lambda: sum(1 for _ in entry.walk(details=Details.STAT)))
    print(
        f"{quick_place.backend.label}: os.walk {plain:.1f} ms, walk {ours:.1f} ms ({ours / plain:.1f} x); "
        f"os.walk + lstat {described:.1f} ms, walk(STAT) {ours_described:.1f} ms ({ours_described / described:.1f} x)"
    )
    assert ours < described
    assert ours_described < 4 * described

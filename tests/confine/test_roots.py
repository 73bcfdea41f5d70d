"""Which directories are roots, which of them an argument means, and what happens when they change under us."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from confine.yard import Place, open_descriptors
from rootcellar import confine
from rootcellar.confine import Dropped, Grant, Ground, Roots, system
from rootcellar.errors import BadArgument, BadName, Denied, NoRoots, NotFound, OutsideRoots, ReadOnly
from rootcellar.policy import Access, Policy


def opened(place: Place, *paths: str | Grant) -> Roots:
    """Roots from paths below the base."""
    grants = [path if isinstance(path, Grant) else Grant(str(place.base / path)) for path in paths]
    return place.ground.roots(grants, Policy())


def reasons(roots: Roots) -> list[str]:
    return [lost.reason.partition(":")[0] for lost in roots.dropped]


def test_one_root_takes_relative_and_absolute_paths(place: Place) -> None:
    place.make("f", "a/")
    roots = place.roots()
    for path in (
        "f",
        "./f",
        "a/../f",
        f"{place.root}/f",
        f"{place.root}//f",
        f"/{place.root}/./f",
        f"{place.root}/a/../f",
    ):
        assert roots.entry(path).read(10) == b"f"
    assert str(roots.entry(f"{place.root}/f")) == "f"
    assert str(roots.entry(str(place.root))) == "."


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "$BASE", "$BASE/root-evil/f", "$BASE/rootevil", "$BASE/ROOT/f", "//server/share/f", "/", "/..",
     "$ROOT/..", "$ROOT/../OUT/secret", "$BASE/OUT/../OUT/secret", "/proc/self/root/etc/passwd", "..", "../", "../root/f"],
)  # fmt: skip
def test_other_paths_are_outside_and_not_repeated(place: Place, path: str) -> None:
    roots = place.roots()
    with pytest.raises(OutsideRoots) as refused:
        roots.entry(path.replace("$ROOT", str(place.root)).replace("$BASE", str(place.base)))
    assert str(place.base) not in str(refused.value)
    assert "passwd" not in str(refused.value)
    assert "`root`" in refused.value.hint or "list_roots" in refused.value.hint


def test_several_roots_are_named(place: Place) -> None:
    place.make("app/src/f", "lib/src/f", "docs/f")
    roots = opened(place, "root/app/src", "root/lib/src", "root/docs")
    assert [root.name for root in roots.roots] == ["app/src", "lib/src", "docs"]
    assert str(roots.entry("app/src/f")) == "app/src/f"
    assert roots.entry("lib/src/f").read(20) == b"lib/src/f"
    assert roots.entry("docs").list()[0].name == "f"
    assert str(roots.entry(f"{place.root}/docs/f")) == "docs/f"
    for path in ("f", "src/f", ".", "", "app", "nope/f"):
        with pytest.raises(OutsideRoots, match="app/src"):
            roots.entry(path)
    with pytest.raises(OutsideRoots):
        roots.entry("docs/../lib/src/f").read(10)


def test_a_root_may_be_given_through_a_link_and_spelled_both_ways(place: Place) -> None:
    place.make("real/f", "l -> $ROOT/via/f")
    (place.root / "via").symlink_to("real")
    roots = opened(place, "root/via")
    assert roots.entry("f").read(10) == b"real/f"
    assert roots.entry(f"{place.root}/via/f").read(10) == b"real/f"
    assert roots.entry(f"{place.root}/real/f").read(10) == b"real/f"
    os.symlink(f"{place.root}/via/f", place.root / "real/back")
    assert roots.entry("back").read(10) == b"real/f"


def test_the_innermost_root_is_chosen_and_dot_dot_may_lead_to_the_outer(place: Place) -> None:
    place.make("in/f", "f")
    roots = opened(place, "root/in", "root")
    assert roots.entry(f"{place.root}/in/f").root.name == "in"
    assert roots.entry(f"{place.root}/f").read(10) == b"f"
    assert roots.entry(f"{place.root}/in/../f").read(10) == b"f"
    with pytest.raises(OutsideRoots):
        roots.entry(f"{place.root}/in/../../OUT/secret")


def test_a_read_only_root_inside_another_stays_read_only_by_every_way(place: Place) -> None:
    place.make("in/f", "in/d/", "l -> in/f", "f")
    entry = opened(place, "root", Grant(str(place.root / "in"), Access.READ_ONLY)).entry
    for path in ("root/in/f", "in/f", "root/l", f"{place.root}/in/f", "root/in/d/../f"):
        with pytest.raises(ReadOnly):
            entry(path).replace(b"x")
    with pytest.raises(ReadOnly):
        entry("root/f").move(entry("root/in/g"))
    with pytest.raises(ReadOnly):
        entry("root/in/d/new").create(b"x")
    entry("root/f").replace(b"x")


def test_a_read_write_root_inside_a_read_only_one_admits_changes(place: Place) -> None:
    place.make("in/f", "f")
    entry = opened(place, Grant(str(place.root), Access.READ_ONLY), "root/in").entry
    entry("root/in/f").replace(b"x")
    with pytest.raises(ReadOnly):
        entry("root/f").replace(b"x")


def test_a_root_and_what_holds_one_is_neither_moved_nor_removed(place: Place) -> None:
    place.make("a/in/f", "b/")
    entry = opened(place, "root", "root/a/in").entry
    for path in ("root", "root/a", "root/a/in", "in", "in/.", "root/b/../a", "root/b/.."):
        with pytest.raises(Denied):
            entry(path).remove()
        with pytest.raises((Denied, BadArgument)):
            entry(path).move(entry("root/b/x"))
    assert (place.root / "a/in/f").exists()


def test_the_same_directory_is_one_root_as_restricted_as_any_of_its_grants(place: Place) -> None:
    place.make("f")
    (place.base / "via").symlink_to("root")
    roots = opened(place, "root", "root/", "root", "via", Grant(str(place.root), Access.READ_ONLY))
    assert [(root.name, root.access) for root in roots.roots] == [("root", Access.READ_ONLY)]
    assert roots.entry(f"{place.base}/via/f").read(10) == b"f"


@pytest.mark.parametrize(
    ("path", "why"),
    [("/", "whole file system"), ("/etc", "operating system"), ("/usr", "more than one"), ("/usr/bin", "operating system"),
     ("/proc/self", "operating system"), ("/sys", "operating system"), ("/dev", "operating system"), ("/home", "more than"),
     ("//server/share", "another machine"), ("relative", "absolute"), ("/nope/nope", "missing"), ("/a\0b", "absolute"),
     ("$ROOT/f", "not a directory"), ("$ROOT/loop", "links"), ("$ROOT/etc", "operating system")],
)  # fmt: skip
def test_what_is_no_root_is_dropped_with_its_reason_and_the_rest_counts(place: Place, path: str, why: str) -> None:
    place.make("f", "loop -> loop", "etc -> /etc")
    roots = opened(place, Grant(path.replace("$ROOT", str(place.root))), "root")
    assert [root.name for root in roots.roots] == ["root"]
    assert why in roots.dropped[0].reason


def test_system_directories_of_every_system_are_known() -> None:
    for path in ("C:\\", "c:/", "D:", "C:\\Windows", "C:/Windows/System32", "c:\\program files\\x", "C:\\Users", "\\\\server\\share",
                 "/System/Library", "/Users", "/private/etc", "/Volumes", "/usr/", "//", "\\\\?\\C:\\Windows"):  # fmt: skip
        assert system.why_not(path), path
    for path in ("C:\\Users\\me", "D:\\work", "/home/me", "/Users/me/x", "/root", "/usr/local/src/x", "/dev/shm/x", "/tmp",
                 "/var/www", "/Volumes/USB", "/private/tmp/x", "/media/me/USB", "/etcetera"):  # fmt: skip
        assert not system.why_not(path), path


def test_without_roots_every_path_is_refused_with_what_was_offered_and_why(place: Place) -> None:
    roots = place.ground.roots(
        [Grant("/etc", source="client")], Policy(), [Dropped("https://x", "client", "it is no file")]
    )
    with pytest.raises(NoRoots) as refused:
        roots.entry("f")
    assert "/etc" in str(refused.value)
    assert "https://x" in str(refused.value)
    assert "serve" in refused.value.hint


def test_a_root_that_is_missing_is_tried_again(place: Place) -> None:
    place.make("f")
    place.root.rename(place.base / "away")
    assert reasons(place.roots()) == ["missing"]
    (place.base / "away").rename(place.root)
    assert place.roots().entry("f").read(10) == b"f"


def test_a_root_that_became_a_link_elsewhere_is_refused(place: Place) -> None:
    place.make("f")
    assert place.roots().roots
    place.root.rename(place.base / "moved")
    place.root.symlink_to("OUT")
    assert reasons(place.roots()) == ["replaced"]
    place.root.unlink()
    assert reasons(place.roots()) == ["missing"]
    place.root.symlink_to("OUT")
    assert reasons(place.roots()) == ["replaced"], "also after it was seen missing"
    place.root.unlink()
    (place.base / "moved").rename(place.root)
    assert place.roots().entry("f").read(10) == b"f"


def test_a_root_that_became_another_directory_is_refused_until_it_was_seen_missing(place: Place) -> None:
    place.make("f")
    assert place.roots().roots
    place.root.rename(place.base / "moved")
    place.make("f")
    assert reasons(place.roots()) == ["replaced"]
    place.root.rename(place.base / "other")
    assert reasons(place.roots()) == ["missing"]
    (place.base / "other").rename(place.root)
    assert place.roots().entry("f").read(10) == b"f"


def test_a_call_under_way_keeps_its_directory_when_the_name_changes(place: Place) -> None:
    place.make("f")
    roots = place.roots()
    place.root.rename(place.base / "moved")
    place.root.symlink_to("OUT")
    assert roots.entry("f").read(10) == b"f"
    roots.entry("new").create(b"x")
    assert (place.base / "moved/new").exists()
    assert sorted(os.listdir(place.out)) == ["secret"]


def test_a_removed_root_is_not_made_again(place: Place) -> None:
    roots = place.roots()
    place.root.rmdir()
    for verb in ("create", "replace", "append"):
        with pytest.raises(NotFound):
            getattr(roots.entry("new"), verb)(b"x")
    with pytest.raises(NotFound):
        roots.entry("a/b").make_directories()
    assert not place.root.exists()


def test_a_root_s_name_may_be_anything(place: Place) -> None:
    for name in ("r o%41#?é", "caf\udce9", "line\nbreak", "back\\slash"):
        path = place.base / name
        path.mkdir()
        (path / "f").write_bytes(b"IN")
        roots = opened(place, Grant(str(path)))
        assert roots.entry("f").read(10) == b"IN"
        assert roots.entry(f"{path}/f").read(10) == b"IN"
        assert "\n" not in roots.roots[0].name
    both = opened(place, Grant(str(place.base / "caf\udce9")), "root")
    assert both.entry(r"caf\xe9/f").read(10) == b"IN"


def test_handles_are_shared_while_used_and_closed_after(place: Place) -> None:
    place.make("f")
    gc.collect()
    before = open_descriptors()
    first = place.roots()
    second = place.roots()
    assert open_descriptors() == before + 1
    assert first.roots[0].handle == second.roots[0].handle
    entry = first.entry("f")
    del first, second
    assert entry.read(10) == b"f", "an entry keeps its root open"
    del entry
    assert open_descriptors() == before


def test_bad_names_in_absolute_paths_are_bad_names(place: Place) -> None:
    for path in (f"{place.root}/a\0b", f"{place.root}/\ud800"):
        with pytest.raises(BadName):
            place.roots().entry(path)


def test_memory_of_names_is_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine.ground, "_REMEMBERED_MAX", 10)
    for number in range(30):
        (place.root / str(number)).mkdir()
        opened(place, f"root/{number}")
    assert len(place.ground._seen) == 10


def test_names_on_systems_that_fold_them() -> None:
    """On macOS and Windows: the mapping may be lenient, for a wrong one finds nothing."""

    class Folding(type(Ground()._backend)):  # type: ignore[misc]
        folds_names = True

    base = Path("/dev/shm" if sys.platform == "linux" else "/tmp")
    folder = base / f"rootcellar-Über-{os.getpid()}"
    (folder / "in").mkdir(parents=True)
    try:
        (folder / "in/f").write_bytes(b"IN")
        roots = Ground(Folding()).roots([Grant(str(folder)), Grant(str(folder / "in"), Access.READ_ONLY)], Policy())
        asked = f"{base}/ROOTCELLAR-u\u0308BER-{os.getpid()}/in/f"
        assert roots.entry(asked).read(10) == b"IN"
        with pytest.raises(ReadOnly):
            roots.entry(f"{folder.name}/in/f").replace(b"x")
    finally:
        (folder / "in/f").unlink()
        (folder / "in").rmdir()
        folder.rmdir()

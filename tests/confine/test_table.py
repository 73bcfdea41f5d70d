"""Where a path may lead. One table; every operation walks all of it, on every backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import pytest

from confine.yard import Place, as_nobody
from rootcellar.confine import Entry, Kind, Overwrite, Roots
from rootcellar.errors import Exists, LinkLoop, NotFound, OutsideRoots, Refusal, WrongKind


class Row(NamedTuple):
    """One path. `lands`: the file reached, relative to the root; None: it must be refused with `why`."""

    name: str
    lines: tuple[str, ...]
    path: str
    lands: str | None
    why: type[Refusal] = OutsideRoots
    bites: bool = True  # without the wall this path does reach a file


INSIDE = (
    Row("plain", ("f",), "f", "f"),
    Row("nested", ("a/b/c/f",), "a/b/c/f", "a/b/c/f"),
    Row("dots and doubled slashes", ("a/f",), ".//a/.//f", "a/f"),
    Row("dot dot stays inside", ("a/b/", "f"), "a/b/../../f", "f"),
    Row("absolute", ("f",), "$ROOT/f", "f"),
    Row("absolute with dot dot inside", ("a/", "f"), "$ROOT/a/../f", "f"),
    Row("link to a file", ("l -> a/f", "a/f"), "l", "a/f"),
    Row("link to a directory", ("d -> a", "a/f"), "d/f", "a/f"),
    Row("link up and down again", ("a/l -> ../b/f", "b/f"), "a/l", "b/f"),
    Row("absolute link that spells the root", ("l -> $ROOT/a/f", "a/f"), "l", "a/f"),
    Row("absolute link to the root, then down", ("x/l -> $ROOT", "a/f"), "x/l/a/f", "a/f"),
    Row("absolute link with dots and slashes", ("l -> $ROOT/.//a/../a/f", "a/f"), "l", "a/f"),
    Row("chain", ("l -> m", "m -> a/n", "a/n -> ../o", "o -> a/f", "a/f"), "l", "a/f"),
    Row(
        "chain through directories",
        ("link -> a/b/c/target", "a/b -> e", "a/e -> ../f", "f -> g/h/i", "g/h/i -> ..", "g/c/target"),
        "link",
        "g/c/target",
    ),
    Row("dot dot after a link is its target's parent", ("a -> b/c", "b/c/", "b/f"), "a/../f", "b/f"),
    Row("link to the root from inside", ("d/d -> ..", "f", "new/"), "d/d/new/../f", "f"),
    Row("link with a slash at its end", ("l -> a/", "a/f"), "l/f", "a/f"),
    Row("link to dot", ("l -> .", "f"), "l/l/l/f", "f"),
    Row("forty links", ("l0 -> f", *(f"l{n} -> l{n - 1}" for n in range(1, 40)), "f"), "l39", "f"),
    Row("names that only look odd", ("a..b/...f", "x"), "a..b/...f", "a..b/...f"),
)
REFUSED = (
    Row("dot dot leaves", (), "../OUT/secret", None),
    Row("dot dot in the middle leaves", ("a/",), "a/../../OUT/secret", None),
    Row("dots around it", (), ".//.././OUT//secret", None),
    Row("out and back in", ("f",), "../root/f", None),
    Row("absolute", (), "$OUT/secret", None),
    Row("absolute through the root", (), "$ROOT/../OUT/secret", None),
    Row("a longer name than the root's", (), "$ROOT-evil/f", None, bites=False),
    Row("link leaves", ("l -> ../OUT/secret",), "l", None),
    Row("absolute link leaves", ("l -> $OUT/secret",), "l", None),
    Row("absolute link through the root leaves", ("l -> $ROOT/../OUT/secret",), "l", None),
    Row("directory link leaves", ("l -> ../OUT",), "l/secret", None),
    Row("absolute directory link leaves", ("l -> $OUT",), "l/secret", None),
    Row("link out and back in", ("l -> ../root/f", "f"), "l", None),
    Row("link deep inside leaves", ("a/b/l -> ../../../OUT/secret",), "a/b/l", None),
    Row("chain whose last link leaves", ("l -> m", "m -> n", "n -> ../OUT/secret"), "l", None),
    Row(
        "chain that leaves through directories",
        ("link -> a/b/c/target", "c/target", "a/b -> e", "a/e -> ../../root"),
        "link",
        None,
    ),
    Row("link to dot dot at the top", ("up -> ..",), "up/OUT/secret", None),
    Row("dot dot behind a link that jumps up", ("a/b/l -> ../..", "f"), "a/b/l/../OUT/secret", None),
    Row("dangling link leaves", ("l -> ../OUT/nope",), "l", None, bites=False),
    Row("dangling absolute link leaves", ("l -> /nope/nope",), "l", None, bites=False),
    Row("below a dangling link that leaves", ("l -> ../nope",), "l/f", None, bites=False),
    Row("magic link", ("l -> /proc/self/root",), "l/etc/hostname", None, bites=False),
    Row("own memory", ("l -> /proc/self/mem",), "l", None),
    Row("a link to itself", ("l -> l",), "l", None, LinkLoop, bites=False),
    Row("a circle of two", ("l -> m", "m -> l"), "l", None, LinkLoop, bites=False),
    Row("a circle in the middle", ("a -> b/x", "b -> a"), "a/x", None, LinkLoop, bites=False),
    Row(
        "forty-one links", ("l0 -> f", *(f"l{n} -> l{n - 1}" for n in range(1, 41)), "f"), "l40", None, LinkLoop, False
    ),
)
rows_inside = pytest.mark.parametrize("row", INSIDE, ids=lambda row: row.name)
rows_refused = pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)


def path_of(place: Place, row: Row) -> str:
    return row.path.replace("$ROOT", str(place.root)).replace("$OUT", str(place.out))


def other(roots: Roots) -> Entry:
    """A file that is surely there."""
    return roots.entry("other")


# Every verb that goes to a name, as it is used on one; each gives back what it read, if it reads.
LOOK: dict[str, Callable[[Entry, Roots], object]] = {
    "stat": lambda entry, _: entry.stat(),
    "read": lambda entry, _: entry.read(1000),
    "open_read": lambda entry, _: entry.open_read().__exit__(),
    "version": lambda entry, _: entry.version(),
    "list": lambda entry, _: entry.list(),
    "walk": lambda entry, _: list(entry.walk()),
    "path_unchecked": lambda entry, _: entry.path_unchecked(),
    "copy from": lambda entry, roots: entry.copy(roots.entry("copied")),
}
CHANGE: dict[str, Callable[[Entry, Roots], object]] = {
    "create": lambda entry, _: entry.create(b"new"),
    "replace": lambda entry, _: entry.replace(b"new"),
    "append": lambda entry, _: entry.append(b"new"),
    "edit": lambda entry, _: entry.edit(lambda data: data + b"new"),
    "make_directory": lambda entry, _: entry.make_directory(),
    "make_directories": lambda entry, _: entry.make_directories(),
    "copy to": lambda entry, roots: other(roots).copy(entry),
    "copy over": lambda entry, roots: other(roots).copy(entry, Overwrite.REPLACE),
    "move to": lambda entry, roots: other(roots).move(entry),
    "move over": lambda entry, roots: other(roots).move(entry, Overwrite.REPLACE),
}
# These act on the link itself, so a link whose *parent* stays inside is theirs; below it they are refused like all.
ITSELF: dict[str, Callable[[Entry, Roots], object]] = {
    "lstat": lambda entry, _: entry.lstat(),
    "move from": lambda entry, roots: entry.move(roots.entry("moved")),
    "remove": lambda entry, _: entry.remove(),
}
every_verb = pytest.mark.parametrize("verb", [*LOOK, *CHANGE])


@rows_refused
@every_verb
@pytest.mark.usefixtures("no_leaks")
def test_every_verb_refuses_what_leads_outside(place: Place, row: Row, verb: str) -> None:
    place.make(*row.lines, "other")
    roots, before = place.roots(), place.outside()
    with pytest.raises(row.why) as refused:
        (LOOK | CHANGE)[verb](roots.entry(path_of(place, row)), roots)
    assert place.outside() == before
    assert str(place.base) not in str(refused.value)


@rows_refused
@pytest.mark.parametrize("verb", ITSELF)
def test_verbs_on_the_link_itself_never_leave_either(place: Place, row: Row, verb: str) -> None:
    place.make(*row.lines, "other")
    roots, before = place.roots(), place.outside()
    name = path_of(place, row)
    is_link = len(row.path.split("/")) == 1 and row.lines != () and (place.root / name).is_symlink()
    if is_link or row.name == "link deep inside leaves":
        ITSELF[verb](roots.entry(name), roots)
        assert os.path.lexists(place.root / name) is (verb == "lstat")
    else:
        with pytest.raises(row.why):
            ITSELF[verb](roots.entry(name), roots)
    assert place.outside() == before


@rows_refused
def test_the_table_bites(place: Place, row: Row) -> None:
    """Each refused path must work for a plain open, or the case proves nothing."""
    place.make(*row.lines)
    if row.bites:
        with open(place.root / path_of(place, row), "rb"):
            pass


@rows_refused
def test_nothing_tells_whether_a_target_outside_exists(place: Place, row: Row) -> None:
    place.make(*row.lines)
    entry = place.roots().entry
    said = []
    for _ in range(2):
        with pytest.raises(row.why) as refused:
            entry(path_of(place, row)).read(100)
        said.append((type(refused.value), str(refused.value)))
        if (place.out / "secret").exists():
            (place.out / "secret").unlink()
    assert said[0] == said[1]


@rows_inside
@pytest.mark.usefixtures("no_leaks")
def test_reading_lands_inside(place: Place, row: Row) -> None:
    place.make(*row.lines)
    entry = place.roots().entry(path_of(place, row))
    assert row.lands is not None
    assert entry.read(1000) == row.lands.encode()
    assert entry.stat().kind is Kind.FILE
    assert entry.stat().identity == ((found := (place.root / row.lands).stat()).st_dev, found.st_ino)
    assert entry.path_unchecked() == str(place.root / row.lands)


@rows_inside
@pytest.mark.parametrize("verb", ["replace", "append", "edit"])
def test_writing_changes_the_target_and_keeps_the_links(place: Place, row: Row, verb: str) -> None:
    place.make(*row.lines)
    assert row.lands is not None
    links = [path for path in place.root.rglob("*") if path.is_symlink()]
    roots = place.roots()
    CHANGE[verb](roots.entry(path_of(place, row)), roots)
    expected = b"new" if verb == "replace" else row.lands.encode() + b"new"
    assert (place.root / row.lands).read_bytes() == expected
    assert all(link.is_symlink() for link in links)
    assert not list(place.root.rglob(".rootcellar-*"))


@rows_inside
@pytest.mark.parametrize("verb", ["create", "make_directory", "copy to", "move to"])
def test_making_what_is_there_is_refused(place: Place, row: Row, verb: str) -> None:
    place.make(*row.lines, "other")
    roots = place.roots()
    assert row.lands is not None
    with pytest.raises(Exists):
        CHANGE[verb](roots.entry(path_of(place, row)), roots)
    assert (place.root / row.lands).read_bytes() == row.lands.encode()


def test_a_dangling_link_inside_is_not_there_to_read_and_its_name_is_taken(place: Place) -> None:
    place.make("l -> a/new", "a/")
    entry = place.roots().entry
    with pytest.raises(NotFound):
        entry("l").read(10)
    with pytest.raises(Exists):
        entry("l").create(b"x")
    entry("l").replace(b"made")
    assert (place.root / "a/new").read_bytes() == b"made"
    assert (place.root / "l").is_symlink()


def test_a_slash_at_the_end_means_a_directory(place: Place) -> None:
    place.make("f", "d/x", "l -> d", "lf -> f")
    entry = place.roots().entry
    assert [item.name for item in entry("d///").list()] == ["x"]
    assert [item.name for item in entry("l/").list()] == ["x"]
    for path in ("f/", "lf/", "f/.", "f/.."):
        with pytest.raises(WrongKind):
            entry(path).read(10)
    with pytest.raises(WrongKind):
        entry("f/").remove()
    with pytest.raises(Refusal, match="names a directory"):
        entry("new/").replace(b"x")
    entry("made/").make_directory()
    assert (place.root / "made").is_dir()
    assert (place.root / "f").exists()


def test_removing_a_link_leaves_its_target(place: Place) -> None:
    place.make("l -> a/f", "a/f", "d -> a")
    entry = place.roots().entry
    entry("l").remove()
    entry("d").remove()
    assert (place.root / "a/f").exists()
    assert sorted(os.listdir(place.root)) == ["a"]


def test_a_name_that_ends_in_dot_dot_is_the_directory_it_leads_to(place: Place) -> None:
    place.make("a/b/c/", "a/b/f")
    entry = place.roots().entry
    assert [item.name for item in entry("a/b/c/..").list()] == ["c", "f"]
    entry("a/b/c/..").remove()
    assert os.listdir(place.root / "a") == []


def test_a_directory_that_may_only_be_searched_can_be_read_through(shared_place: Place) -> None:
    shared_place.make("d/f")
    (shared_place.root / "d").chmod(0o711)
    said = as_nobody(
        shared_place.root,
        """
        print(entry("d/f").read(10))
        for asked in (lambda: entry("d").list(), lambda: entry("d/nope x").read(1)):
            try:
                asked()
            except Refusal as refusal:
                print(type(refusal).__name__)
        """,
    )
    assert said.split() == ["b'd/f'", "Denied", "NotFound"]

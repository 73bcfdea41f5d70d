"""Sealed names: shown by their name only, whatever the way to them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from confine.yard import Place
from rootcellar.confine import Entry, Grant, Overwrite, Roots
from rootcellar.confine.seals import Seals
from rootcellar.errors import NotFound, Sealed
from rootcellar.policy import Policy

TREE = (
    ".env", ".env.local", "a/.ENV", ".ssh/id_rsa", ".ssh/config", "keys/server.pem", ".docker/config.json", ".docker/other",
    "f", "notes -> .env", "abs -> $ROOT/.env", "dir -> .ssh", "chain -> notes", "a/up -> ../.ssh/config",
)  # fmt: skip
WAYS = (
    ".env", "./.env", "a/../.env", "a/.ENV", "notes", "abs", "chain", "dir/config", "a/up", ".ssh", ".ssh/config", "dir",
    ".ssh/../.env", "keys/server.pem", ".docker/config.json", "$ROOT/.env", ".ssh/nope", "dir/nope", ".env/", ".ssh/..",
)  # fmt: skip
VERBS: dict[str, Callable[[Entry, Roots], object]] = {
    "stat": lambda entry, _: entry.stat(),
    "read": lambda entry, _: entry.read(100),
    "version": lambda entry, _: entry.version(),
    "list": lambda entry, _: entry.list(),
    "walk": lambda entry, _: list(entry.walk()),
    "create": lambda entry, _: entry.create(b"x"),
    "replace": lambda entry, _: entry.replace(b"x"),
    "append": lambda entry, _: entry.append(b"x"),
    "edit": lambda entry, _: entry.edit(lambda data: data + b"x"),
    "make_directory": lambda entry, _: entry.make_directory(),
    "copy from": lambda entry, roots: entry.copy(roots.entry("copied")),
    "copy to": lambda entry, roots: roots.entry("f").copy(entry, Overwrite.REPLACE),
    "move to": lambda entry, roots: roots.entry("f").move(entry, Overwrite.REPLACE),
    "path_unchecked": lambda entry, _: entry.path_unchecked(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_reaches_a_sealed_name_by_any_way(place: Place, way: str, verb: str) -> None:
    place.make(*TREE)
    roots = place.roots()
    before = sorted(os.listdir(place.root))
    with pytest.raises(Sealed):
        VERBS[verb](roots.entry(way.replace("$ROOT", str(place.root))), roots)
    assert sorted(os.listdir(place.root)) == before
    assert (place.root / ".env").read_bytes() == b".env"


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("notes", "abs", "chain", "a/up", "dir")])
@pytest.mark.parametrize("verb", ["move", "remove"])
def test_sealed_names_stay_where_they_are(place: Place, way: str, verb: str) -> None:
    place.make(*TREE)
    roots = place.roots()
    entry = roots.entry(way.replace("$ROOT", str(place.root)))
    with pytest.raises(Sealed):
        entry.remove() if verb == "remove" else entry.move(roots.entry("moved"))


def test_the_seals_bite(place: Place) -> None:
    place.make(*TREE)
    roots = place.roots(Policy(sealed=()))
    assert roots.entry("notes").read(10) == b".env"
    assert roots.entry("dir/config").read(20) == b".ssh/config"


def test_a_listing_marks_what_is_sealed_and_links_to_it(place: Place) -> None:
    place.make(*TREE)
    entry = place.roots().entry
    sealed = {item.name for item in entry(".").list() if item.sealed}
    assert sealed == {".env", ".env.local", ".ssh", "notes", "abs", "dir", "chain"}
    assert {item.name for item in entry(".docker").list() if item.sealed} == {"config.json"}


def test_a_walk_marks_and_does_not_enter(place: Place) -> None:
    place.make(*TREE)
    found = {item.shown: item.sealed for item in place.roots().entry(".").walk()}
    assert found[".ssh"]
    assert ".ssh/config" not in found
    assert found[".docker/config.json"]
    assert not found["f"]


def test_a_directory_with_sealed_names_is_not_removed_and_the_refusal_says_which(place: Place) -> None:
    place.make("p/x", "p/q/.env")
    with pytest.raises(Sealed, match=r"q/\.env"):
        place.roots().entry("p").remove()
    assert (place.root / "p/q/.env").exists()


def test_a_directory_may_be_renamed_when_its_seals_hold_there_too(place: Place) -> None:
    place.make("p/q/.env", ".docker/config.json")
    entry = place.roots().entry
    entry("p").move(entry("p2"))
    with pytest.raises(Sealed):
        entry("p2/q/.env").read(10)
    with pytest.raises(Sealed, match=r"config\.json"):
        entry(".docker").move(entry("docker"))


def test_a_copied_tree_leaves_them_out_and_counts_them(place: Place) -> None:
    place.make("p/x", "p/q/.env", "p/.ssh/key", "p/y")
    entry = place.roots().entry
    copied = entry("p").copy(entry("c"))
    assert (copied.files, copied.directories, copied.sealed) == (2, 2, 2)
    assert sorted(path.name for path in (place.root / "c").rglob("*")) == ["q", "x", "y"]


def test_a_tree_cannot_be_copied_into_a_sealed_shape(place: Place) -> None:
    place.make("p/config.json", "p/x")
    entry = place.roots().entry
    assert entry("p").copy(entry(".docker")).sealed == 1
    with pytest.raises(NotFound):
        entry(".docker/nope").read(1)


def test_a_link_to_a_sealed_name_may_be_removed(place: Place) -> None:
    place.make(".env", "notes -> .env")
    place.roots().entry("notes").remove()
    assert os.listdir(place.root) == [".env"]


def test_patterns_count_the_roots_own_path_unless_it_is_sealed_itself(place: Place) -> None:
    place.make("Library/Keychains/login", "Library/x", ".ssh/config", ".ssh/id_rsa")
    library, ssh = (place.ground.roots([Grant(str(place.root / name))], Policy()).entry for name in ("Library", ".ssh"))
    with pytest.raises(Sealed):
        library("Keychains/login").read(10)
    assert library("x").read(10) == b"Library/x"
    assert ssh("config").read(20) == b".ssh/config"
    with pytest.raises(Sealed):
        ssh("id_rsa").read(10)


def test_names_a_disk_might_take_for_sealed_ones_are_sealed() -> None:
    seals = Seals(Policy(), ())
    for name in (".ENV", ".e\u200dnv", ".\ufeffssh", ".\u017f\u017fh", "ID_RSA", "Server.PEM", ".Env.Local"):
        assert seals.hold((), name), ascii(name)
    for name in ("env", "ssh", "environment", "my.env.txt", "pem", "id_rsa.pub"):
        assert not seals.hold((), name), name


def test_a_whole_directory_is_asked_about_at_once() -> None:
    seals = Seals(Policy(sealed=("*.key", ".env*", "id_rsa", "a?c")), ())
    for names in (["x.key"], ["a", "ID_RSA"], ["abc"], [".envrc", "b"], ["ü", ".ENV"]):
        assert seals.may_hold_any(["plain", *names])
    assert not Seals(Policy(), ()).may_hold_any(["plain", "x.keys", "my.env", "xid_rsa"])

"""How names are shown, and which file an asked name means."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confine.yard import Place
from rootcellar.confine import names
from rootcellar.errors import BadName, Exists, NameTooLong, NotFound, OutsideRoots

SHOWN = (
    ("plain.txt", "plain.txt"),
    ("a b", "a b"),
    ("über", "über"),
    ("a\nb", r"a\nb"),
    ("a\\nb", r"a\\nb"),
    ("a\\qb", r"a\qb"),
    ("C:\\Windows", r"C:\Windows"),
    ("a\\\\b", r"a\\\\b"),
    ("a\tb\x1b[31m\x7f", r"a\tb\x1b[31m\x7f"),
    ("\u202etxt.exe", r"\u202etxt.exe"),
    ("a\u200bb\\c", r"a\u200bb\\c"),
    ("caf\udce9", r"caf\xe9"),
    ("a\u2028b", r"a\u2028b"),
    ("\ufeffx", r"\ufeffx"),
    ("\U000e0041", r"\U000e0041"),
    ("\x9b31m", r"\u009b31m"),
    ("Bild\u202f1", "Bild\u202f1"),
)


@pytest.mark.parametrize(("raw", "text"), SHOWN)
def test_names_are_shown_on_one_line_and_mean_themselves(raw: str, text: str) -> None:
    assert names.shown(raw) == text
    assert names.meant(text) == raw


@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=[])), st.text(alphabet="\\nxu0a2\n\u202e\udce9")
)
def test_no_two_names_are_shown_alike(one: str, other: str) -> None:
    for name in (one, other):
        assert names.meant(names.shown(name)) == name
        assert "\n" not in names.shown(name)
    assert (names.shown(one) == names.shown(other)) is (one == other)


@given(st.text(alphabet="\\nrtxuU0123456789abcdef", max_size=12))
def test_any_text_means_at_most_one_name_that_is_shown_so(asked: str) -> None:
    assert names.shown(names.meant(asked)) == asked or names.meant(asked) == asked


ODD = (
    "a..b", "...", "-rf", "~", "$HOME", "%41", "`id`", "*", ";", " ", "a b", "a\nb", "\r\n", "a\tb\x1b[31m\x7f", "\u202etxt.exe",
    "\u200bf", "\ufefff", "\uff0e\uff0e", "..;", "C:foo", "f:stream", "\\\\.\\C:", "a\\..\\b", "aux.txt", "NUL.", "f ",
    "Bildschirmfoto 2026-11-20 um 3.00\u202fPM.png", "é", "e\u0301", "\u212b", "x" * 255, "\udcff\udcfe", "a\\nb", "a\\\\nb",
    "file:", "#?", "👨‍👩‍👧",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names_can_be_made_listed_read_moved_and_removed_as_they_are_shown(place: Place, name: str) -> None:
    roots = place.roots()
    roots.entry(".").child(name).create(b"IN")
    assert os.listdir(place.root) == [name]
    listed = roots.entry(".").list()[0]
    assert listed.name == name
    asked = roots.entry(listed.shown)
    assert asked.read(10) == b"IN"
    assert "\n" not in str(asked)
    assert roots.entry(str(asked)).read(10) == b"IN"
    assert roots.entry(str(place.root) + "/" + listed.shown).read(10) == b"IN"
    asked.replace(b"NEW")
    asked.move(roots.entry("moved"))
    roots.entry("moved").move(roots.entry(".").child(name))
    assert os.listdir(place.root) == [name]
    asked.remove()
    assert os.listdir(place.root) == []


@pytest.mark.parametrize("name", [name for name in ODD if "\udcff" not in name], ids=ascii)
def test_a_raw_name_may_be_asked_for_too(place: Place, name: str) -> None:
    (place.root / name).write_bytes(b"IN")
    assert place.roots().entry(name).read(10) == b"IN"


def test_a_shown_name_means_the_file_it_was_shown_for(place: Place) -> None:
    (place.root / "a\nb").write_bytes(b"newline")
    (place.root / "a\\nb").write_bytes(b"backslash")
    entry = place.roots().entry
    by_shown = {item.shown: entry(item.shown).read(20) for item in entry(".").list()}
    assert by_shown == {r"a\nb": b"newline", r"a\\nb": b"backslash"}
    (place.root / "a\nb").unlink()
    assert entry(r"a\nb").read(20) == b"backslash"


LOOK_ALIKES = (
    ("é.txt", "e\u0301.txt"),
    ("e\u0301.txt", "é.txt"),
    ("3.00\u202fPM.png", "3.00 PM.png"),
    ("a\u00a0b", "a b"),
    ("Å", "\u212b"),
    ("\u212a", "K"),
)


@pytest.mark.parametrize(("there", "asked"), LOOK_ALIKES, ids=ascii)
def test_a_look_alike_is_read_edited_and_entered_but_never_made_or_written_over(
    place: Place, there: str, asked: str
) -> None:
    (place.root / there).write_bytes(b"IN")
    (place.root / "d" / there).mkdir(parents=True)
    entry = place.roots().entry
    assert entry(asked).read(10) == b"IN"
    entry(asked).edit(lambda data: data + b"!")
    entry(f"d/{asked}/new").create(b"x")
    for refused in (
        lambda: entry(asked).create(b"x"),
        lambda: entry(asked).replace(b"x"),
        lambda: entry(asked).append(b"x"),
        lambda: entry(f"d/{asked}").make_directory(),
        lambda: entry("d").copy(entry(asked)),
    ):
        with pytest.raises(Exists, match="look just like"):
            refused()
    assert (place.root / there).read_bytes() == b"IN!"
    assert sorted(os.listdir(place.root)) == sorted([there, "d"])
    entry(asked).move(entry("moved"))
    assert (place.root / "moved").read_bytes() == b"IN!"


def test_two_look_alikes_are_both_named(place: Place) -> None:
    (place.root / "é").write_bytes(b"1")
    (place.root / "e\u0301").write_bytes(b"2")
    entry = place.roots().entry
    assert (entry("é").read(1), entry("e\u0301").read(1)) == (b"1", b"2")
    (place.root / "a\u202fb").write_bytes(b"1")
    (place.root / "a\u00a0b").write_bytes(b"2")
    with pytest.raises(NotFound, match=r"could be `a\\xa0b` and `a\\u202fb`"):
        entry("a b").read(1)


def test_names_are_never_folded_further(place: Place) -> None:
    place.make("f", "i")
    entry = place.roots().entry
    for asked in ("F", "\u0130", "\uff46", "\u2025/OUT/secret", "..\u2215OUT", "f\u200b", "%66"):
        with pytest.raises(NotFound):
            entry(asked).read(10)


@pytest.mark.parametrize("path", ["f\0.txt", "\0", "f\0../../x", "a/\0/b", "\ud800", "a/\udbff\udfff"], ids=ascii)
def test_names_that_no_file_can_have_are_refused(place: Place, path: str) -> None:
    with pytest.raises(BadName):
        place.roots().entry(path)


def test_escaped_bytes_that_spell_a_character_are_that_character(place: Place) -> None:
    place.make("ü")
    assert place.roots().entry("\udcc3\udcbc").read(10) == "ü".encode()


def test_long_paths(place: Place) -> None:
    place.make("a/x", "f")
    entry = place.roots().entry
    assert entry("a/../" * 700 + "f").read(10) == b"f"
    with pytest.raises(OutsideRoots):
        entry("../" * 20_000)
    for path in ("x/" * 500_000, "d/" * 2100):
        with pytest.raises(NameTooLong):
            entry(path)
    with pytest.raises(NameTooLong):
        entry("x" * 256).read(1)
    with pytest.raises(NameTooLong):
        entry("é" * 128).create(b"")


def test_a_name_is_one_component(place: Place) -> None:
    for name in ("a/b", "..", ".", "", "/", "a/"):
        with pytest.raises(BadName):
            place.roots().entry(".").child(name)


def test_our_private_names_are_nobodys(place: Place) -> None:
    (place.root / ".rootcellar-1-x").write_bytes(b"x")
    entry = place.roots().entry
    assert entry(".").list() == []
    assert list(entry(".").walk()) == []
    for verb in ("stat", "remove", "version"):
        with pytest.raises(BadName):
            getattr(entry(".rootcellar-1-x"), verb)()
    with pytest.raises(BadName):
        entry(".rootcellar-new").create(b"")

"""Edits keep every byte they were not asked to change, and refuse with the way out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootcellar import errors, limits
from rootcellar.text.edit import Replacement, Whitespace, edit

GOLDEN = Path(__file__).parent / "edits"
CASES = sorted(path.name for path in GOLDEN.iterdir())
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


def asked(case: Path) -> tuple[list[Replacement], Whitespace]:
    body = json.loads((case / "edit.json").read_text("utf-8"))
    allowed = Whitespace.TOLERANT if body.get("ignore_whitespace") else Whitespace.EXACT
    return [Replacement(**one) for one in body["edits"]], allowed


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    case = GOLDEN / name
    edits, allowed = asked(case)
    outcome: bytes
    try:
        outcome, kind = edit((case / "before").read_bytes(), edits, allowed).data, "after"
    except errors.Refusal as refusal:
        outcome, kind = f"{type(refusal).__name__}: {refusal}\n".encode(), "refusal.txt"
    if UPDATE:
        for old in ("after", "refusal.txt"):
            (case / old).unlink(missing_ok=True)
        (case / kind).write_bytes(outcome)
    assert (case / kind).read_bytes() == outcome


WORDS = st.text(st.sampled_from("ab é\n\t\r中"), max_size=40).map(lambda text: text.replace("\r\r", "\r"))
CODECS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])


NEW = st.text(st.sampled_from("ab é\n\t中"), max_size=20)


@given(WORDS, st.sampled_from(["xy", "x\ny", "\nx", "x\n"]), NEW, WORDS, CODECS)
@settings(max_examples=500)
def test_an_edit_touches_only_its_span(front: str, old: str, new: str, back: str, codec: str) -> None:
    text = front + old + back
    before = text.encode(codec)
    lf = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    if lf.count(old) != 1:
        return
    try:
        result = edit(before, [Replacement(old, new)])
    except errors.BadArgument:  # nothing would change
        return
    mark = len(before) - len(text.encode(codec.replace("-sig", "")))
    assert result.data.startswith(before[:mark])
    after = result.data.decode(codec)
    assert after.startswith(front.removesuffix("\r"))
    assert after.endswith(back)
    middle = after[len(front.removesuffix("\r")) : len(after) - len(back)]
    middle = middle.replace("\r\n", "\n").removeprefix("\r" if front.endswith("\r") else "")
    assert middle.replace("\r", "\n") == new


@given(st.binary(max_size=60))
@settings(max_examples=500)
def test_whatever_the_bytes_an_edit_keeps_the_others_or_refuses(noise: bytes) -> None:
    before = noise + b"\nKEY=1\n" + noise
    try:
        result = edit(before, [Replacement("KEY=1", "KEY=2")])
    except errors.Refusal:
        return
    assert result.data == noise + b"\nKEY=2\n" + noise


def test_a_file_with_only_crlf_stays_so_through_many_edits() -> None:
    data = "".join(f"line {n}\r\n" for n in range(200)).encode()
    edits = [Replacement(f"line {n}\n", f"row {n}\nand more\n") for n in range(0, 200, 7)]
    after = edit(data, edits).data
    assert after.count(b"\n") == after.count(b"\r\n") == 200 + len(edits)


def test_places_tell_lines_counts_and_tolerance() -> None:
    result = edit(b"a\nb\n\tc\na\n", [Replacement("a", "x", 2), Replacement("  c", "  d")], Whitespace.TOLERANT)
    assert [(place.lines, place.count, place.whitespace) for place in result.places] == [
        ((1, 4), 2, Whitespace.EXACT),
        ((3,), 1, Whitespace.TOLERANT),
    ]
    assert result.data == b"x\nb\n\td\nx\n"


def test_an_exact_match_is_never_taken_for_a_tolerant_one() -> None:
    result = edit(b"  x\n    x\n", [Replacement("    x", "    y")], Whitespace.TOLERANT)
    assert result.data == b"  x\n    y\n"
    assert result.places[0].whitespace is Whitespace.EXACT


def test_a_replacement_that_multiplies_the_file_is_refused() -> None:
    with pytest.raises(errors.TooLarge, match="grow"):
        edit(b"a" * 100_000, [Replacement("a", "b" * 10_000, 0)])


def test_a_file_over_the_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(errors.TooLarge):
        edit(b"a" * (limits.EDIT_BYTES_MAX + 1), [Replacement("a", "b")])


def test_half_a_character_is_refused() -> None:
    for one in (Replacement("\ud800", "x"), Replacement("x", "\udc80")):
        with pytest.raises(errors.BadArgument, match="half a character"):
            edit(b"x\n", [one])


def test_no_edits_are_refused() -> None:
    with pytest.raises(errors.BadArgument, match="no edits"):
        edit(b"x\n", [])


HOSTILE = {
    "one letter": ("a" * 2_000_000, "a" * 500_000 + "b"),
    "one letter with line breaks": ("a\r\n" * 700_000, "a\n" * 200_000 + "b"),
    "mixed endings": ("a\r\na\n" * 400_000, "a\n" * 200_000 + "b"),
    "blank lines": ("\n" * 2_000_000, "\n" * 500_000 + "b"),
    "one giant line": ("word other " * 200_000, "word other!" * 1_000),
    "many equal lines": ("  return value\n" * 150_000, "return value\n" * 400 + "return valve\n"),
    "spaces": (" " * 2_000_000, " " * 500_000 + "x"),
    "many long words": ("abcdefgh_ijklmnop qrstuvwx\n" * 80_000, "abcdefgh_ijklmnop qrstuvwy zzzzzzzz"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(20)  # what is quadratic here would take hours
def test_a_text_that_is_not_there_is_refused_soon_however_repetitive(name: str) -> None:
    text, old = HOSTILE[name]
    for allowed in Whitespace:
        with pytest.raises(errors.NoMatch) as refused:
            edit(text.encode(), [Replacement(old, "x")], allowed)
        assert len(str(refused.value)) < 2_500


def test_more_matches_than_can_be_replaced_in_time_are_refused() -> None:
    data = b"a" * 1_000_000
    with pytest.raises(errors.TooLarge, match="more than 100,000"):
        edit(data, [Replacement("a", "aa", 0)])
    doubling = [Replacement("b", "bb", 0)] * 40
    with pytest.raises(errors.TooLarge, match="more than 100,000"):
        edit(b"b" * 1_000, doubling)

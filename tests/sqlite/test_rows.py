"""Rows as text: every cell of a visible type, nothing lost, and few bytes."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootcellar.sqlite.rows import Page, cell_text, header, line, lines
from rootcellar.sqlite.wire import BadText, Cell, pack, unpack

CELLS: list[tuple[Cell, str]] = [
    (None, "NULL"), (1, "1"), (-5, "-5"), (2**63 - 1, "9223372036854775807"), (1.0, "1.0"), (0.1, "0.1"), (1e300, "1e+300"),
    (math.inf, "inf"), (-math.inf, "-inf"), ("", '""'), ("x", "x"), ("it's", "it's"), ("007", '"007"'), ("1e5", '"1e5"'),
    ("+49 30", '"+49 30"'), (".5", '".5"'), ("NULL", '"NULL"'), ("null", '"null"'), ("inf", '"inf"'), ("infant", "infant"), ("INFINITY", '"INFINITY"'),
    ("a|b", '"a|b"'), ("a\nb", '"a\\nb"'), (" x", '" x"'), ("x ", '"x "'), ("<b>", '"<b>"'), ('"q"', '"\\"q\\""'),
    ("naïve 🙂", "naïve 🙂"), ("\u202eevil", '"\\u202eevil"'), ("\x00", '"\\u0000"'), ("2024-01-02", "2024-01-02"),
    ("2024-01-02T10:11:12Z", "2024-01-02T10:11:12Z"), ("2024-01-02x", '"2024-01-02x"'), ("-x", "-x"), ("a\\b", '"a\\\\b"'),
    (b"", "<blob 0 bytes>"), (b"\x00\xff", "<blob 2 bytes 00ff>"), (b"%PDF-1.7", "<blob 8 bytes application/pdf 255044462d312e37>"),
    (BadText(b"a\xff"), "<text 2 bytes, not UTF-8: 61ff>"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), CELLS)
def test_a_cell_shows_its_type(value: Cell, text: str) -> None:
    assert cell_text(value) == text


ODD_TEXTS = [row[0] for row in CELLS if isinstance(row[0], str)]
LIKELY = (
    st.sampled_from(["a", "b c", "née", "2024-01-02", *ODD_TEXTS])
    | st.text(max_size=9)
    | st.integers()
    | st.floats(allow_nan=False)
)
PLAIN_CELLS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=30)


@given(st.lists(PLAIN_CELLS, min_size=1, max_size=6))
def test_a_line_can_be_read_back(row: list[Cell]) -> None:
    assert parsed(line(row)) == row


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(LIKELY, min_size=width, max_size=width), max_size=8)))
def test_rows_told_together_are_told_alike(rows: list[list[Cell]]) -> None:
    assert lines(rows) == [line(row) for row in rows]


def parsed(text: str) -> list[Cell]:
    """The rules of the module's docstring, the other way round."""
    cells: list[Cell] = []
    at = 0
    while at <= len(text):
        if text.startswith('"', at):
            value, end = json.JSONDecoder().raw_decode(text, at)
            cells.append(value)
            at = end + 1
            continue
        end = text.find("|", at)
        end = len(text) if end < 0 else end
        cells.append(bare(text[at:end]))
        at = end + 1
    return cells


def bare(text: str) -> Cell:
    if text == "NULL":
        return None
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if str(value) == text or isinstance(value, float) else text
    return text


@given(
    st.recursive(PLAIN_CELLS | st.binary() | st.binary().map(BadText), lambda x: st.lists(x, max_size=4), max_leaves=20)
)
def test_the_wire_keeps_every_value(value: object) -> None:
    found = unpack(pack(value))
    assert found == value
    assert type(found) is type(value)


def test_the_answer_takes_at_most_half_the_bytes_of_a_list_of_dictionaries() -> None:
    names = ("TrackId", "Name", "AlbumId", "MediaTypeId", "GenreId", "Milliseconds", "Bytes", "UnitPrice")
    rows = [(n, f"Song number {n}", n // 12, 1, n % 7, 200_000 + n * 31, 8_000_000 + n, 0.99) for n in range(100)]
    page = Page(names, tuple(line(row) for row in rows))
    ours = len(json.dumps(page.text(), ensure_ascii=False))
    theirs = len(json.dumps(str([dict(zip(names, row, strict=True)) for row in rows])))
    print(f"100 rows: {ours} bytes on the wire, {ours / theirs:.0%} of a list of dictionaries")
    assert ours * 2 <= theirs


def test_equal_names_of_columns_stay_equal() -> None:
    assert header(["a", "a", "b c", "x|y", ""]) == 'a|a|b c|"x|y"|""'

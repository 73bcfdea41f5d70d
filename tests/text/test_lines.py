"""Lines of files of any size: the same as a naive reader's, in bounded memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootcellar import errors
from rootcellar.text import lines
from rootcellar.text.decode import Newline
from rootcellar.text.lines import read_head, read_range, read_tail


@dataclass
class Held:
    """A file in memory that counts what is read of it."""

    data: bytes
    most: int = 1 << 60  # fewer bytes than asked for never come before the end
    read: int = 0
    largest: int = 0
    at: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Its length."""
        return len(self.data)

    def read_at(self, offset: int, count: int, /) -> bytes:
        """Some of it."""
        assert offset >= 0
        piece = self.data[offset : offset + count]
        self.read += len(piece)
        self.largest = max(self.largest, len(piece))
        self.at.append(offset)
        return piece


def naive(text: str) -> list[str]:
    """Lines as a person counts them: LF and CRLF end a line; CR only where there is no LF."""
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    return re.findall(f"[^{end}]*{end}|[^{end}]+", text)


TEXTS = st.text(st.sampled_from("ab\n\r\té中𝄞 "), max_size=80).map(lambda text: text.replace("\r\r", "\r"))
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])


def marked(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


@given(TEXTS, ENCODINGS, st.integers(1, 12), st.integers(0, 12), st.integers(1, 7))
@settings(max_examples=400)
def test_any_range_is_what_a_naive_reader_gives(text: str, encoding: str, start: int, more: int, step: int) -> None:
    expected = naive(text)
    content = Held(marked(text, encoding))
    small(step)
    try:
        if start > max(1, len(expected)):
            with pytest.raises(errors.BadArgument, match="there is no line"):
                read_range(content, start, start + more)
            return
        page = read_range(content, start, start + more)
    finally:
        small(None)
    wanted = expected[start - 1 : start + more]
    assert page.text == "".join(wanted)
    assert page.first_line == start
    assert page.last_line == start - 1 + len(wanted)
    assert page.total_lines == len(expected)
    assert page.next_line == (start + len(wanted) if start - 1 + len(wanted) < len(expected) else None)
    assert page.next_char == 0


def small(step: int | None) -> None:
    """Make the reader take tiny steps (multiples of four, as its own are), or its own again."""
    lines.CHUNK_BYTES = 1_048_576 if step is None else 4 * step  # type: ignore[misc]
    lines._FIRST_STEP_BYTES = 16_384 if step is None else 4 * step  # type: ignore[misc]


@given(TEXTS, ENCODINGS, st.integers(1, 12), st.integers(1, 7))
@settings(max_examples=400)
def test_any_tail_is_what_a_naive_reader_gives(text: str, encoding: str, count: int, step: int) -> None:
    expected = naive(text)
    small(step)
    try:
        page = read_tail(Held(marked(text, encoding)), count)
    finally:
        small(None)
    assert page.text == "".join(expected[-count:])
    assert page.total_lines == page.last_line == len(expected)
    assert page.first_line == len(expected) - len(expected[-count:]) + 1
    assert not page.cut_before


@given(TEXTS, ENCODINGS, st.integers(1, 9))
@settings(max_examples=400)
def test_following_the_next_call_gives_the_whole_file_and_nothing_twice(text: str, encoding: str, most: int) -> None:
    content = Held(marked(text, encoding))
    got, line, char, calls = "", 1, 0, 0
    while True:
        page = read_range(content, line, start_char=char, chars_max=most)
        got += page.text
        assert len(page.text) <= max(most, 1)
        calls += 1
        assert calls <= len(text) + 2
        if page.next_line is None:
            break
        assert (page.next_line, page.next_char) > (line, char)
        line, char = page.next_line, page.next_char
    assert got == text


@given(TEXTS, ENCODINGS, st.integers(1, 9), st.integers(1, 12))
@settings(max_examples=300)
def test_a_bounded_tail_is_the_end_of_the_file(text: str, encoding: str, most: int, count: int) -> None:
    page = read_tail(Held(marked(text, encoding)), count, chars_max=most)
    assert len(page.text) <= most
    assert text.endswith(page.text)
    assert page.text or not text
    wanted = "".join(naive(text)[-count:])
    assert page.cut_before == (len(page.text) < len(wanted))


LINE = b"2026-11-20 10:00:00 INFO something happened to item %09d\n"


def big(size: int) -> bytes:
    block = b"".join(LINE % n for n in range(10_000))
    return block * (size // len(block) + 1)


def test_the_tail_of_a_large_file_reads_only_its_end() -> None:
    content = Held(big(60_000_000))
    page = read_tail(content, 100)
    assert page.text.count("\n") == 100
    assert page.text.endswith("009999\n")
    assert page.total_lines is None
    assert page.first_line is None
    assert content.read < 200_000


def test_the_head_of_a_large_file_reads_only_its_beginning() -> None:
    content = Held(big(60_000_000))
    page = read_head(content, 100)
    assert page.text.count("\n") == 100
    assert page.next_line == 101
    assert page.total_lines is None
    assert content.read < 200_000


def test_a_line_deep_inside_is_the_right_one_and_memory_stays_bounded() -> None:
    content = Held(big(60_000_000))
    page = read_range(content, 50_001, 50_002)
    assert page.text.encode() == LINE % 0 + LINE % 1
    assert content.largest <= lines.CHUNK_BYTES


def test_a_line_of_megabytes_is_given_in_pieces_and_never_splits_a_character() -> None:
    content = Held(("x" * 10 + "\n" + "é" * 300_000 + "\nlast\n").encode())
    page = read_range(content, 1)
    assert (page.text, page.next_line, page.next_char) == ("x" * 10 + "\n", 2, 0)
    page = read_range(content, 2)
    assert page.text == "é" * 100_000
    assert (page.next_line, page.next_char) == (2, 100_000)
    page = read_range(content, 2, start_char=250_000)
    assert page.text == "é" * 50_000 + "\nlast\n"
    assert page.next_line is None
    with pytest.raises(errors.BadArgument, match="no character 300,002"):
        read_range(content, 2, start_char=300_002)


def test_the_tail_of_one_giant_line_is_its_end() -> None:
    content = Held(("é" * 12_000_000).encode())
    page = read_tail(content, 3)
    assert page.text == "é" * 100_000
    assert page.cut_before
    assert content.read < 2_000_000


class TakenBack:
    """A request that is taken back after some looks."""

    def __init__(self, after: int) -> None:
        self.left = after

    def check(self) -> None:
        """Count down."""
        self.left -= 1
        if self.left < 0:
            raise errors.Cancelled("taken back")


def test_a_search_for_a_far_line_ends_when_the_request_is_taken_back() -> None:
    content = Held(big(30_000_000))
    with pytest.raises(errors.Cancelled):
        read_range(content, 400_000, cancel=TakenBack(3))
    assert content.read <= 5 * lines.CHUNK_BYTES


@pytest.mark.parametrize(
    ("data", "newline", "plain"),
    [
        (b"a\nb\n", Newline.LF, "a\nb\n"),
        (b"a\r\nb\r\n", Newline.CRLF, "a\nb\n"),
        (b"a\rb\r", Newline.CR, "a\nb\n"),
        (b"a\r\nb\nc\rd", Newline.MIXED, "a\nb\nc\rd"),
        (b"abc", Newline.NONE, "abc"),
        (b"", Newline.NONE, ""),
    ],
)
def test_line_endings_are_named_and_can_be_given_as_lf(data: bytes, newline: Newline, plain: str) -> None:
    page = read_range(Held(data))
    assert page.newline is newline
    assert page.plain == plain
    assert page.text.encode() == data


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [(0, None, "no line 0"), (5, 4, "comes before"), (4, None, "the file has 3"), (10**12, None, "the file has 3")],
)
def test_lines_that_cannot_be_are_refused_with_what_can(start: int, end: int | None, message: str) -> None:
    with pytest.raises(errors.BadArgument, match=message):
        read_range(Held(b"1\n2\n3\n"), start, end)


def test_zero_lines_of_head_or_tail_are_refused() -> None:
    for read in (read_head, read_tail):
        with pytest.raises(errors.BadArgument, match="0 lines"):
            read(Held(b"x"), 0)


def test_binary_files_are_named_not_dumped() -> None:
    with pytest.raises(errors.NotText, match="a PNG image"):
        read_range(Held(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"))


def test_bytes_that_stop_being_text_after_the_head_are_shown_as_such() -> None:
    content = Held("é\n".encode() * 40_000 + b"\xff\xfe\n")
    assert read_tail(content, 1).text == "\ufffd\ufffd\n"

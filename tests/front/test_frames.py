"""Bytes to messages and back, without a process."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootcellar import limits
from rootcellar.front import frames
from rootcellar.front.frames import INVALID_REQUEST, PARSE_ERROR, Fault, Lines, Oversize

DEEP = b'{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}}"

REFUSED: list[tuple[str, bytes, int, Any]] = [
    ("garbage", b"garbage", PARSE_ERROR, None),
    ("half a message", b'{"jsonrpc":"2.0","id":1,', PARSE_ERROR, None),
    ("two messages on a line", b'{"id":1} {"id":2}', PARSE_ERROR, None),
    ("not UTF-8", b'{"jsonrpc":"2.0","id":3,"method":"\xff"}', PARSE_ERROR, 3),
    ("UTF-8 of a surrogate", b'{"id":3,"method":"\xed\xa0\x80"}', PARSE_ERROR, 3),
    ("UTF-16", '{"id":1}'.encode("utf-16"), PARSE_ERROR, None),
    ("a byte order mark", b'\xef\xbb\xbf{"id":4}', PARSE_ERROR, 4),
    ("NaN", b'{"id":1,"params":{"n":NaN}}', PARSE_ERROR, None),
    ("Infinity", b'{"id":1,"params":{"n":-Infinity}}', PARSE_ERROR, None),
    ("a number too large", b'{"id":1,"params":{"n":1e999}}', PARSE_ERROR, None),
    ("an integer of 5,000 digits", b'{"id":' + b"9" * 5000 + b"}", PARSE_ERROR, None),
    ("a control character", b'{"id":1,"a":"\x00"}', PARSE_ERROR, None),
    ("10,000 levels", DEEP, INVALID_REQUEST, 7),
    ("10,000 levels, never closed", b'{"id":7,"a":' + b"[" * 10_000, INVALID_REQUEST, 7),
    ("a million levels", b"[" * 1_000_000 + b"]" * 1_000_000, INVALID_REQUEST, None),
    ("a million objects", b'{"a":' * 1_000_000 + b"}" * 1_000_000, INVALID_REQUEST, None),
    ("millions of lists", b'{"id":5,"a":[' + b"[]," * 2_000_000 + b"0]}", INVALID_REQUEST, 5),
    ("a lone high surrogate", b'{"id":6,"a":"\\ud800"}', INVALID_REQUEST, 6),
    ("a lone low surrogate", b'{"a":"\\uDFFF","id":6}', INVALID_REQUEST, 6),
    ("a pair the wrong way round", b'{"id":6,"a":"\\ude00\\ud83d"}', INVALID_REQUEST, 6),
    ("an id with a lone surrogate", b'{"id":"\\udcff"}', INVALID_REQUEST, None),
]


@pytest.mark.parametrize(("line", "code", "key"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_no_message_is_a_fault_at_once(line: bytes, code: int, key: object) -> None:
    since = time.process_time()
    with pytest.raises(Fault) as refusal:
        frames.decode(line)
    assert (refusal.value.code, refusal.value.id) == (code, key)
    assert time.process_time() - since < 1


def test_without_the_depth_check_the_parser_would_recurse() -> None:
    with pytest.raises(RecursionError):
        json.loads(DEEP)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'{"a":"\\udcff"}', {"a": "\\xff"}),
        (b'{"a":"x\\uDC80y\\udcffz"}', {"a": "x\\x80y\\xffz"}),
        (b'{"\\udcff":1}', {"\\xff": 1}),
        (b'{"a":"\\\\udcff"}', {"a": "\\udcff"}),
        (b'{"a":"\\\\\\udcff"}', {"a": "\\\\xff"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a":"\\ud83d\\ude00\\udcff"}', {"a": "\U0001f600\\xff"}),
        ('{"a":"\U0001f600"}'.encode(), {"a": "\U0001f600"}),
        (b'{"id":1,"id":2}', {"id": 2}),
        (b"[" * 128 + b"]" * 128, json.loads("[" * 128 + "]" * 128)),
        (b'{"a":"' + b"[{," * 400_000 + b'"}', {"a": "[{," * 400_000}),
        (b'{"a":"' + b'\\"[' * 1000 + b'"}', {"a": '"[' * 1000}),
    ],
)
def test_what_a_message_says_is_kept_and_undecodable_bytes_are_spelled(line: bytes, value: object) -> None:
    assert frames.decode(line) == value


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("bad\udcff.txt", rb'"bad\\xff.txt"'),
        ("\udc80\udcff", rb'"\\x80\\xff"'),
        ("x\ud800y", rb'"x\ufffdy"'),
        ("\udfff", rb'"\ufffd"'),
        ("\U0001f600", rb'"\ud83d\ude00"'),
        ("\\udcff", rb'"\\udcff"'),
        ("\\\udcff", rb'"\\\\xff"'),
        ({"\udcff": "\u2028"}, rb'{"\\xff":"\u2028"}'),
        ([float("nan"), float("inf"), -0.5], b"[null,null,-0.5]"),
        ({"n": (1, float("-inf"))}, b'{"n":[1,null]}'),
        (2**70, str(2**70).encode()),
    ],
)
def test_any_string_and_number_becomes_ascii_that_every_parser_takes(value: object, line: bytes) -> None:
    assert frames.encode(value) == line


def test_what_json_cannot_say_is_a_fault() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for value in (b"bytes", {1, 2}, object(), loop, 10**5000, {"a": [b"x"]}):
        with pytest.raises(Fault):
            frames.encode(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(anything)
def test_what_is_encoded_decodes_to_itself(value: object) -> None:
    assert frames.decode(frames.encode(value)) == value


@given(st.text(alphabet=st.characters(codec=None, categories=["Cs", "L", "P"])))
def test_no_string_at_all_fails_to_encode(value: str) -> None:
    json.loads(frames.encode(value)).encode("utf-8")


@given(st.binary())
def test_no_bytes_at_all_do_more_than_fault(line: bytes) -> None:
    with contextlib.suppress(Fault):
        frames.decode(line)


@pytest.mark.parametrize(
    ("head", "tail", "key"),
    [
        (b'{"jsonrpc":"2.0","id":12,"method":"x","params":{"id":99', b"", 12),
        (b'{"jsonrpc":"2.0","id":"a\\"b","method"', b"", 'a"b'),
        (b'{"method":"x","params":{"id":99,', b'zzzz"},"jsonrpc":"2.0","id":13}', 13),
        (b'{"params":{"id":99,', b'zzzz"},"id":"q","jsonrpc":"2.0","method":"tools/call"} ', "q"),
        (b'{"params":{"id":99,', b'zzzz,\\"id\\":5}"}}', None),
        (b'{"params":{"id":99,', b'{"id":5}}', None),
        (b'{"id":1.5,"a"', b"", None),
        (b'{"id":null,"a"', b"", None),
        (b'{"id":true,"a"', b"", None),
        (b"[[[[", b"]]]]", None),
        (b"", b"", None),
    ],
)
def test_the_id_of_a_message_too_large_to_hold_is_found_at_either_edge(head: bytes, tail: bytes, key: object) -> None:
    assert frames.find_id(head, tail) == key


def test_lines_come_out_however_they_come_in() -> None:
    stream = b'{"a":1}\n\r\n  \n{"b":2}\r\n\n{"c":3}'
    for size in range(1, len(stream) + 1):
        lines = Lines()
        seen = [line for at in range(0, len(stream), size) for line in lines.feed(stream[at : at + size])]
        assert [*seen, *lines.rest()] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_a_line_too_long_is_never_held_and_the_next_one_is_read() -> None:
    lines = Lines()
    seen: list[bytes | Oversize] = []
    chunk = b"x" * limits.MIB
    tracemalloc.start()
    for part in [b'{"id":8,"a":"', *[chunk] * 100, b'"}\n{"b":1}\n']:
        seen += lines.feed(part)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    over, after = seen
    assert isinstance(over, Oversize)
    assert over.size == 13 + 100 * limits.MIB + 2
    assert over.fault().id == 8
    assert over.tail.endswith(b'xx"}')
    assert after == b'{"b":1}'
    assert peak < limits.MESSAGE_BYTES_MAX * 2.5

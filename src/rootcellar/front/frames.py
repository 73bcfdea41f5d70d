r"""Bytes to messages and back: one JSON-RPC message per line, whatever the bytes are.

Promise: any input gives messages or a `Fault`, never another exception, in memory bounded by `limits`; any output is
one line of ASCII that every JSON parser takes. Standard library only: this is on the path to the first answer.

Two things JSON allows and Unicode does not are settled here. A lone surrogate U+DC80..U+DCFF stands for an undecodable
byte of a file name: it becomes the text `\xNN`, which is also how names are shown, in both directions. Any other lone
surrogate is refused on the way in and becomes U+FFFD on the way out.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from rootcellar import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

RequestId = str | int | None  # None: it could not be read

_BYTES = range(0xDC80, 0xDD00)  # how Python spells the undecodable bytes 0x80..0xFF
_SUSPECT = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(  # a doubled backslash and a proper pair are consumed whole; what is captured is alone
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][89a-fA-F][0-9a-fA-F]{2})"
)
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_MEMBER = re.compile(r'\s*"((?:[^"\\]|\\.)*+)"\s*:\s*')
_ID = re.compile(r'(-?\d+|"(?:[^"\\]|\\.)*+")\s*[,}]')
_SCALAR = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|[-+.\w]++)\s*,')
_LAST_ID = re.compile(
    r'[,{]\s*"id"\s*:\s*(-?\d+|"(?:[^"\\]|\\.)*+")\s*(?:,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*)*\}\s*$'
)


class Fault(Exception):  # noqa: N818 - it is the answer, not an accident
    """A message that cannot be served: the error that answers it, and the id if it could be read."""

    def __init__(self, code: int, message: str, key: RequestId = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = key


class Oversize:
    """A line longer than `limits.MESSAGE_BYTES_MAX`, dropped: only its edges are known."""

    __slots__ = ("head", "size", "tail")

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.tail = b""
        self.size = 0

    def skip(self, part: bytes | bytearray) -> None:
        """Count `part` and keep the last bytes seen."""
        self.size += len(part)
        self.tail = (self.tail + part[-limits.MESSAGE_EDGE_BYTES :])[-limits.MESSAGE_EDGE_BYTES :]

    def fault(self) -> Fault:
        """The answer to it, with its id when that stood at either edge."""
        mib = limits.MESSAGE_BYTES_MAX // limits.MIB
        text = f"Invalid Request: a message may hold {mib} MiB and this one has {self.size:,} bytes; send less at once"
        return Fault(INVALID_REQUEST, text, find_id(self.head, self.tail))


class Lines:
    """Cuts a stream of chunks into lines without ever holding more than one line's worth."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._over: Oversize | None = None

    def feed(self, chunk: bytes) -> Iterator[bytes | Oversize]:
        """The lines that `chunk` completes; empty ones are no lines."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield from self.rest()
            start = end + 1
        self._keep(chunk[start:] if start else chunk)

    def rest(self) -> Iterator[bytes | Oversize]:
        """What is held, as a last line: also for input that ends without a newline."""
        line = self._over or bytes(self._held).strip(b" \t\r")
        self._over = None
        self._held = bytearray()  # a new one: a large line's memory goes back at once
        if line:
            yield line

    def _keep(self, part: bytes) -> None:
        if self._over is None and len(self._held) + len(part) > limits.MESSAGE_BYTES_MAX:
            self._over = Oversize((bytes(self._held[: limits.MESSAGE_EDGE_BYTES]) + part)[: limits.MESSAGE_EDGE_BYTES])
            self._over.skip(self._held[-limits.MESSAGE_EDGE_BYTES :])
            self._over.size = len(self._held)
            self._held = bytearray()
        if self._over is not None:
            self._over.skip(part)
        else:
            self._held += part


def _no_constant(name: str) -> NoReturn:
    raise Fault(PARSE_ERROR, f"Parse error: {name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Fault(PARSE_ERROR, f"Parse error: {text[:20]} is too large a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def decode(line: bytes) -> Any:  # noqa: ANN401 - any JSON value may stand on a line
    """The JSON value on `line`.

    Raises: Fault, with the id where the text is sound enough to trust one.
    """
    edges = line[: limits.MESSAGE_EDGE_BYTES], line[-limits.MESSAGE_EDGE_BYTES :]
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as bad:
        raise Fault(PARSE_ERROR, f"Parse error: byte {bad.start} is not UTF-8", find_id(*edges)) from None
    if text.startswith("\ufeff"):
        message = "Parse error: a byte order mark has no place before a message"
        raise Fault(PARSE_ERROR, message, find_id(edges[0][3:], edges[1]))
    opened = text.count("[") + text.count("{")
    if opened > limits.MESSAGE_DEPTH_MAX or opened + text.count(",") > limits.MESSAGE_VALUES_MAX:
        _check_shape(line, edges)
    spelled = _spell_bytes(text, edges) if "\\u" in text and _SUSPECT.search(text) else text
    try:
        value = _DECODER.decode(spelled)
        if spelled is not text and isinstance(value, dict) and _DECODER.decode(text).get("id") != value.get("id"):
            raise Fault(INVALID_REQUEST, "Invalid Request: the id holds a lone surrogate")
    except ValueError as bad:  # a JSONDecodeError is one, and so is a number of 5,000 digits
        reason = bad.msg if isinstance(bad, json.JSONDecodeError) else "a number is out of range"
        raise Fault(PARSE_ERROR, f"Parse error: {reason[0].lower()}{reason[1:]}") from None
    return value


def _check_shape(line: bytes, edges: tuple[bytes, bytes]) -> None:
    """Refuse what would make the parser recurse, or fill memory with millions of tiny values."""
    bare = _STRINGS.sub(b"", line)
    if bare.count(b"[") + bare.count(b"{") + bare.count(b",") > limits.MESSAGE_VALUES_MAX:
        message = f"Invalid Request: more than {limits.MESSAGE_VALUES_MAX:,} values in one message"
        raise Fault(INVALID_REQUEST, message, find_id(*edges))
    nest = bare.translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(limits.MESSAGE_DEPTH_MAX):  # each pass takes the innermost level away
        if len(shorter := nest.replace(b"[]", b"")) == len(nest):
            break
        nest = shorter
    if len(nest) > limits.MESSAGE_DEPTH_MAX or b"[]" in nest:
        message = f"Invalid Request: nested deeper than {limits.MESSAGE_DEPTH_MAX} levels"
        raise Fault(INVALID_REQUEST, message, find_id(*edges))


def _spell_bytes(text: str, edges: tuple[bytes, bytes]) -> str:
    r"""Rewrite U+DC80..U+DCFF alone in JSON text to `\xNN`; refuse any other lone surrogate."""

    def spell(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0]
        point = int(match[1], 16)
        if point not in _BYTES:
            message = f"Invalid Request: the lone surrogate U+{point:04X} is no character; send it as a pair"
            raise Fault(INVALID_REQUEST, message, find_id(*edges))
        return f"\\\\x{point & 0xFF:02x}"

    return _ESCAPES.sub(spell, text)


def find_id(head: bytes, tail: bytes) -> RequestId:
    """The top-level id of a message of which only the edges may be looked at, or None if it stands at neither."""
    text = head.decode("utf-8", "replace")
    at = text.find("{") + 1
    while at and (member := _MEMBER.match(text, at)):
        if member[1] == "id":
            found = _ID.match(text, member.end())
            return _id_of(found[1]) if found else None
        scalar = _SCALAR.match(text, member.end())
        at = scalar.end() if scalar else 0  # an object or a list: what follows it is out of sight
    last = _LAST_ID.search(tail.decode("utf-8", "replace"))
    return _id_of(last[1]) if last else None


def _id_of(text: str) -> RequestId:
    if _SUSPECT.search(text) or len(text) > limits.MESSAGE_EDGE_BYTES:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str | int) else None


def encode(message: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """One line of ASCII, without its newline; NaN and infinities become null.

    Raises: Fault, if `message` holds what JSON cannot say.
    """
    try:
        text = _ENCODER.encode(message)
    except (ValueError, TypeError, RecursionError):
        try:
            text = _ENCODER.encode(_finite_only(message, 0))
        except (ValueError, TypeError, RecursionError):
            raise Fault(INTERNAL_ERROR, "Internal error") from None
    if "\\ud" in text and _SUSPECT.search(text):
        text = _ESCAPES.sub(_spell_out, text)
    return text.encode("ascii")


def _spell_out(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    point = int(match[1], 16)
    return f"\\\\x{point & 0xFF:02x}" if point in _BYTES else "\\ufffd"


def _finite_only(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """`value` with null for every number that JSON lacks."""
    if depth > limits.MESSAGE_DEPTH_MAX:
        raise RecursionError
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite_only(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite_only(item, depth + 1) for item in value]
    return value

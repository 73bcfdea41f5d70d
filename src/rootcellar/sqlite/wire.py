"""Frames between the server and a worker: four bytes of length, one of kind, then JSON or bytes.

JSON because the worker parses hostile files: what comes back is decoded by a parser that can only make plain
values. A blob travels as `{"$b": base64}`, text that is not UTF-8 as `{"$t": base64}`; integers, reals (infinities
too) and text travel as themselves.
"""

from __future__ import annotations

import base64
import json
import struct
from enum import Enum
from typing import Any, Final

Json = dict[str, Any]
HEAD: Final = struct.Struct(">IB")


class Kind(Enum):
    """What a frame is."""

    REQUEST = 1
    CHUNK = 2  # bytes of an import going in, of an export coming out
    END = 3  # of the chunks
    CANCEL = 4
    ANSWER = 5
    REFUSED = 6
    PROGRESS = 7
    PREPARED = 8  # a change is done but for the commit: the server says COMMIT or ROLLBACK
    COMMIT = 9
    ROLLBACK = 10
    MORE = 11  # the worker took a chunk and can take the next


class BadText(bytes):
    """Text of the database that is not UTF-8, as its bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Bytes, marked as the text they were declared to be."""
        return f"BadText({bytes(self)!r})"


Cell = None | int | float | str | bytes


def frame(kind: Kind, payload: bytes = b"") -> bytes:
    """One frame, ready to be written."""
    return HEAD.pack(len(payload), kind.value) + payload


def pack(value: object) -> bytes:
    """A JSON value with cells in it, as bytes."""
    return _ENCODER.encode(value).encode("ascii")


def unpack(payload: bytes) -> Any:  # noqa: ANN401 - JSON has no common type
    """What `pack` was given; tuples come back as lists."""
    return _DECODER.decode(payload.decode("ascii"))


def _tag(value: object) -> Json:
    if isinstance(value, BadText):
        return {"$t": base64.b64encode(value).decode("ascii")}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$b": base64.b64encode(value).decode("ascii")}
    message = f"{type(value).__name__} is no cell"
    raise TypeError(message)


def _untag(value: Json) -> object:
    if len(value) == 1:
        if "$b" in value:
            return base64.b64decode(value["$b"])
        if "$t" in value:
            return BadText(base64.b64decode(value["$t"]))
    return value


_ENCODER: Final = json.JSONEncoder(default=_tag, separators=(",", ":"), check_circular=False)
_DECODER: Final = json.JSONDecoder(object_hook=_untag)

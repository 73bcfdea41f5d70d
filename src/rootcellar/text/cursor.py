"""Where an answer was cut, as an opaque word that the next call gives back. Nothing is remembered on our side."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Sequence
from typing import Final

from rootcellar.errors import BadArgument

CURSOR_CHARS_MAX: Final = 16_384
Place = list[int | str]


def write(place: Sequence[int | str], asked: object) -> str:
    """A cursor for a place in the answer to what was asked."""
    body = json.dumps([_mark(asked), *place], ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return base64.urlsafe_b64encode(body).decode("ascii").rstrip("=")


def read(cursor: str, asked: object, shape: type[int | str] | Sequence[type[int | str]]) -> Place:
    """The place in a cursor: all of one type, or these types and then strings; BadArgument if it is not for this."""
    try:
        if len(cursor) > CURSOR_CHARS_MAX:
            raise ValueError  # noqa: TRY301 - one refusal for all of them
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        body = json.loads(base64.b64decode(padded, b"-_", validate=True))
        mark, *place = body
        first = [shape] if isinstance(shape, type) else list(shape)
        kinds = first + [str] * (len(place) - len(first))
        if len(place) < len(first) or [type(part) for part in place] != kinds:
            raise ValueError  # noqa: TRY301
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise BadArgument("the cursor is not one that was given out", "Begin again without a cursor") from None
    if mark != _mark(asked):
        raise BadArgument("the cursor belongs to another search", "Repeat the same arguments, or leave it out")
    return list(place)


def _mark(asked: object) -> int:
    return zlib.crc32(repr(asked).encode("utf-8", "surrogatepass"))

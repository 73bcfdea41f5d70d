"""One page of a long answer, and the cursor that gets the next: stateless, checked, and bound to what was asked."""

from __future__ import annotations

import base64
import json
from typing import Any

from rootcellar.errors import BadArgument


def cursor_of(asked: list[Any], after: list[Any]) -> str:
    """The cursor that continues this question after this item."""
    text = json.dumps([asked, after], separators=(",", ":"), ensure_ascii=True)
    return base64.urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def after_cursor(cursor: str | None, asked: list[Any]) -> list[Any] | None:
    """What the cursor continues after; None at the beginning. BadArgument for a cursor of another question."""
    if cursor is None or not cursor:
        return None
    try:
        before, after = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise BadArgument("`cursor` is not one of ours", "use it exactly as it was given, or leave it out") from None
    if before != asked or not isinstance(after, list):
        raise BadArgument("`cursor` belongs to another question", "repeat the other arguments, or leave it out")
    return after

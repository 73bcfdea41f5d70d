"""One page that is wanted, and where it ended: a text that the caller sends back."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rootcellar import errors, limits
from rootcellar.sqlite.wire import Cell

Params = Sequence[Cell] | Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Query:
    """One page wanted: of a statement, or of the one a cursor belongs to."""

    sql: str = ""
    params: Params = ()
    rows: int = limits.QUERY_ROWS_DEFAULT
    cursor: str = ""
    bytes: int = limits.ANSWER_CHARS_MAX
    seconds: float = limits.QUERY_S


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: after a rowid, or after so many rows; the statement it belongs to; the file's mark then."""

    statement: str
    mark: str
    skip: int = 0
    after: int | None = None

    def text(self) -> str:
        """The cursor as the caller sends it back."""
        parts: list[object] = [self.statement, self.mark, self.skip]
        if self.after is not None:
            parts.append(self.after)
        return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> Cursor:
        """What `text` made; BadArgument for anything else."""
        try:
            parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            statement, mark, skip, *after = parts
            return cls(str(statement), str(mark), max(0, int(skip)), int(after[0]) if after else None)
        except (ValueError, TypeError) as error:
            raise errors.BadArgument("`cursor` is not one of ours", "send it back as the answer gave it") from error


def statement_id(sql: str, params: object) -> str:
    """A short name for a statement with its parameters."""
    told = json.dumps([sql, params], default=repr, ensure_ascii=True)
    return hashlib.blake2s(told.encode(), digest_size=6).hexdigest()

"""What tools answer: typed, bounded, and each text sent once.

The text of a file goes out exactly as it is, in a block of its own; what is said about it follows in a second block,
so that neither can be mistaken for the other. No tool has an output schema: hosts that get `structuredContent` beside
the text pay for the same bytes twice.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ConfigDict

from rootcellar.confine import Entry
from rootcellar.errors import BadArgument, NoMatch, NotText, TooLarge

Json = dict[str, Any]


class Said(BaseModel):
    """A text, and what is to be said about it."""

    model_config = ConfigDict(frozen=True)
    text: str = ""
    note: str = ""

    def content(self) -> list[Json]:
        """One block for each part that is not empty (hosts reject empty ones).

        Some hosts join blocks with nothing between them, so the note brings its own line break.
        """
        gap = "\n" if self.text and not self.text.endswith("\n") else ""
        parts = [self.text, gap + self.note if self.note else ""]
        return [{"type": "text", "text": part} for part in parts if part] or [{"type": "text", "text": "Done."}]


class Shown(BaseModel):
    """An image or a sound as a content block, and what is to be said about it."""

    model_config = ConfigDict(frozen=True)
    kind: str  # "image" or "audio"
    mime: str
    data: bytes
    note: str

    def content(self) -> list[Json]:
        """The media block, then the note."""
        data = base64.b64encode(self.data).decode("ascii")
        return [{"type": self.kind, "data": data, "mimeType": self.mime}, {"type": "text", "text": self.note}]


class Several(BaseModel):
    """Answers for several things, in order."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    parts: list[Said]

    def content(self) -> list[Json]:
        """All blocks of all parts, each part ending its line."""
        blocks = [block for part in self.parts for block in part.content()]
        for block in blocks[:-1]:
            block["text"] += "\n" if block["text"].endswith("]") else ""
        return blocks


@contextmanager
def naming(entry: Entry) -> Iterator[None]:
    """Say which file it is that a pure function refuses: it only sees bytes."""
    try:
        yield
    except (BadArgument, NoMatch, NotText, TooLarge) as refusal:
        if f"`{entry}`" in refusal.message:
            raise
        raise type(refusal)(f"`{entry}`: {refusal.message}", refusal.hint) from None

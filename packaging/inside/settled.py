r"""A running version stays with its own files when an update moves `BASE/current` to another.

Linux and macOS loaders go by the program's real path. The one for Windows goes by the name it was started by, and that
is the junction `BASE\current`: after an update it would read modules, libraries and its own worker out of the next
version. So every such name is replaced by the real one before anything of ours is imported.
"""

from __future__ import annotations

import os
from typing import Any


def settle(state: Any, archive: Any) -> None:  # noqa: ANN401 - `sys`, and the loader's archive
    """Replace the name that was used by the real one, in everything that later imports go by."""
    used = state._MEIPASS  # noqa: SLF001 - the loader's only name for it
    real = os.path.realpath(used)
    if os.path.normcase(real) == os.path.normcase(used):
        return
    begin = os.path.normcase(used)

    def there(path: str) -> str:
        return real + path[len(used) :] if os.path.normcase(path).startswith(begin) else path

    archive._filename = os.path.realpath(archive._filename)  # noqa: SLF001 - opened anew for every module
    state._MEIPASS = real  # noqa: SLF001 - as above
    state.executable = os.path.realpath(state.executable)
    state.path[:] = [there(path) for path in state.path]
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "_stdlib_dir"):
        if isinstance(value := getattr(state, name, None), str):
            setattr(state, name, there(value))
    for module in list(state.modules.values()):
        if isinstance(places := getattr(module, "__path__", None), list):
            places[:] = [there(place) for place in places]
    if hasattr(os, "add_dll_directory"):
        os.add_dll_directory(real)

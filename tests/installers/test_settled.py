"""On Windows a running version is started through a junction; it must not follow it when an update moves it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PATH = Path(__file__).parents[2] / "packaging" / "inside" / "settled.py"


def _settled() -> Any:
    spec = importlib.util.spec_from_file_location("settled", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _started(home: str) -> tuple[Any, Any]:
    """What the loader leaves of a program started from that directory."""
    package = ModuleType("package")
    package.__path__ = [f"{home}/_internal/package"]
    state = SimpleNamespace(
        _MEIPASS=f"{home}/_internal", executable=f"{home}/rootcellar", prefix=f"{home}/_internal", _stdlib_dir=None,
        path=[f"{home}/_internal", f"{home}/_internal/base_library.zip", "/elsewhere"], modules={"package": package},
    )  # fmt: skip
    return state, SimpleNamespace(_filename=f"{home}/rootcellar")


def test_every_name_is_the_real_one_and_stays_when_the_link_moves(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / "versions" / version / "_internal").mkdir(parents=True)
    (tmp_path / "current").symlink_to("versions/1")
    state, archive = _started(str(tmp_path / "current"))
    _settled().settle(state, archive)
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("versions/2")
    wanted, expected = _started(str(tmp_path / "versions/1"))
    assert archive == expected
    assert state.modules["package"].__path__ == wanted.modules["package"].__path__
    assert vars(state) | {"modules": 0} == vars(wanted) | {"modules": 0}


def test_where_the_name_is_the_real_one_nothing_is_touched(tmp_path: Path) -> None:
    (tmp_path / "_internal").mkdir()
    home = os.path.realpath(tmp_path)
    state, archive = _started(home)
    _settled().settle(state, archive)
    wanted, expected = _started(home)
    assert (vars(state) | {"modules": 0}, archive) == (vars(wanted) | {"modules": 0}, expected)

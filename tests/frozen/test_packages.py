"""Wheel, source distribution, archive and checksums: the same everywhere, complete, and usable as the README says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_frozen
import build_parts
import start
from frozen.bundles import HERE, Talk
from rootcellar import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source distribution, by their endings."""
    out = tmp_path_factory.mktemp("packages")
    return {path.suffix: path for path in build_parts.distributions(out)}


def test_the_wheel_is_for_every_machine_and_holds_the_package_only(packages: dict[str, Path]) -> None:
    assert packages[".whl"].name == f"rootcellar-{__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(packages[".whl"]).namelist())
    assert {name.partition("/")[0] for name in names} == {"rootcellar", f"rootcellar-{__version__}.dist-info"}
    files = {
        path.relative_to(HERE / "src").as_posix() for path in (HERE / "src/rootcellar").rglob("*") if path.is_file()
    }
    assert {name for name in files if "__pycache__" not in name} <= names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".dll", ".pyc"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_knows_nothing_of_the_machine_it_was_made_on(packages: dict[str, Path]) -> None:
    with zipfile.ZipFile(packages[".whl"]) as wheel:
        for name in wheel.namelist():
            assert str(HERE).encode() not in wheel.read(name), name


def test_the_source_distribution_makes_the_same_wheel(packages: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(packages[".gz"]) as packed:
        packed.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(build_frozen.epoch())}
    words = [start.uv(), "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "again"), str(folder)]
    subprocess.run([*words, "--python", sys.executable], env=env, check=True)
    [again] = (tmp_path / "again").glob("*.whl")
    assert again.read_bytes() == packages[".whl"].read_bytes()


@pytest.mark.clients
def test_uvx_runs_the_wheel_from_an_empty_cache(packages: dict[str, Path], tmp_path: Path) -> None:
    env = {
        name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_", "HTTP", "PIP_", "LANG"))
    }
    env |= {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")}
    env |= {"UV_PYTHON": sys.executable}
    words = [start.uv(), "tool", "run", "--from", str(packages[".whl"]), "rootcellar"]
    done = subprocess.run([*words, "--version"], env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == f"rootcellar {__version__}\n", done.stderr
    (tmp_path / "root").mkdir()
    with Talk([*words, "serve", str(tmp_path / "root")], env=env, cwd=tmp_path) as talk:
        assert "root" in talk.call("list_roots")


def test_the_archive_unpacks_to_the_bundle(bundle: Path, tmp_path: Path) -> None:
    made = build_parts.archive(bundle, tmp_path)
    with tarfile.open(made) as packed:
        packed.extractall(tmp_path / "there", filter="data")
    assert build_frozen.fingerprint(tmp_path / "there" / bundle.name) == build_frozen.fingerprint(bundle)
    print(f"\n{made.stat().st_size / 1e6:.1f} MB packed")


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    build_parts.sums([tmp_path / "a"], tmp_path)
    build_parts.sums([tmp_path / "b"], tmp_path)
    text = (tmp_path / "SHA256SUMS").read_text()
    assert text == "".join(f"{hashlib.sha256(one.encode()).hexdigest()}  {one}\n" for one in ("a", "b"))
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


def test_the_readme_lists_every_dependency_with_its_reason() -> None:
    readme = (HERE / "README.md").read_text("utf-8")
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = requirement.split(";")[0].split("=")[0].split(">")[0].strip()
        assert f"| `{name}` |" in readme, name

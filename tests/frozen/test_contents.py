"""What is in the bundle, what is not, where each part comes from, and that it is the same every time."""

from __future__ import annotations

import json
import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import build_elf
import build_frozen
from frozen import bundles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
MEGABYTES_MAX = 75  # measured: 64
ABSENT = (
    "libsqlite3", "_sqlite3", "tkinter", "libtcl", "starlette", "uvicorn", "httpx", "h11", "sse_starlette", "jwt",
    "setuptools", "pkg_resources", "pip-", "pytest", "unittest", "libharfbuzz", "libfreetype", "libssl", "PyInstaller",
    "/tests/", "/test/", "readline", "curses", "LICENSE.APACHE/", "jsonschema", "rich", "pygments",
)  # fmt: skip
# What every Linux has: the C library's own parts, and zlib for the loader.
SYSTEM = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libz.so.1"}


def names(bundle: Path) -> list[str]:
    return ["/" + path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if not path.is_dir()]


def bill(bundle: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((bundle / "sbom.cdx.json").read_text("utf-8"))
    return told


@pytest.mark.parametrize("absent", ABSENT)
def test_nothing_unused_lies_in_it(absent: str, bundle: Path) -> None:
    assert [name for name in names(bundle) if absent.lower() in name.lower()] == []


def test_its_size_is_bounded(bundle: Path) -> None:
    sizes = sorted(((path.stat().st_size, path.name) for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()), reverse=True)  # fmt: skip
    total = sum(size for size, _ in sizes) / 1e6
    print(
        f"\n{total:.1f} MB in {len(sizes)} files; " + ", ".join(f"{name} {size / 1e6:.1f}" for size, name in sizes[:8])
    )
    assert total < MEGABYTES_MAX


@LINUX
def test_every_library_is_looked_for_in_the_bundle_only(bundle: Path) -> None:
    present = {path.name for path in bundle.rglob("*")}
    for path in bundle.rglob("*"):
        elf = None if path.is_dir() or path.is_symlink() else build_elf.read(path)
        if elf is not None:
            assert all(one.startswith("$ORIGIN") for one in elf.search_path), path
            assert {one for one in elf.needed if not one.startswith("ld-linux")} - SYSTEM <= present, path


@LINUX
def test_it_asks_for_no_newer_c_library_than_the_machine_it_was_built_on(bundle: Path) -> None:
    wanted = {(0, 0): "none"}
    for path in bundle.rglob("*"):
        if path.is_file() and not path.is_symlink() and build_elf.read(path):
            for found in re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes()):
                wanted[int(found[0]), int(found[1])] = path.name
    print(f"\nglibc {max(wanted)}, for {wanted[max(wanted)]}")
    assert max(wanted) <= tuple(map(int, platform.libc_ver()[1].split(".")))


@LINUX
def test_a_search_path_is_taken_out_of_a_library_that_still_loads(tmp_path: Path) -> None:
    import ctypes
    import shutil
    import sysconfig

    found = [Path(sysconfig.get_path("platstdlib"), "lib-dynload"), Path(sys.base_prefix, "lib")]
    libraries = [path for folder in found for path in folder.glob("*.so*") if not path.is_symlink()]
    mended = 0
    for path in libraries:
        elf = build_elf.read(path)
        if elf is None or not any(one.startswith("/") for one in elf.search_path):
            continue
        copy = tmp_path / path.name
        shutil.copy(path, copy)
        build_elf.drop_search_path(copy)
        after = build_elf.read(copy)
        assert after is not None
        assert after.search_path == []
        assert after.needed == elf.needed
        assert b"".join(one.encode() for one in elf.search_path) not in copy.read_bytes()
        mended += 1
    if not mended:
        pytest.skip("this interpreter's libraries have no search path")
    ctypes.CDLL(str(copy), mode=ctypes.RTLD_LOCAL)


def test_every_part_has_its_licence(bundle: Path) -> None:
    text = (bundle / "THIRD-PARTY-LICENSES.txt").read_text("utf-8")
    told = bill(bundle)
    assert told["bomFormat"] == "CycloneDX"
    for part in told["components"]:
        assert part["licenses"], part
        assert "unknown" not in json.dumps(part["licenses"]), part
        assert part["version"] not in {"", "unknown"} or part["purl"].startswith("pkg:cargo/"), part
        assert f"  {part['name']} {part['version']}" in text, part
    assert (bundle / "LICENSE.txt").read_bytes() == (bundles.HERE / "LICENSE").read_bytes()


@pytest.mark.parametrize(
    "name", ["cpython", "sqlite", "openssl", "mcp", "pydantic_core", "ripgrep", "pyinstaller", "pillow", "cryptography"]
)
def test_the_bill_names(name: str, bundle: Path) -> None:
    assert name in {part["name"] for part in bill(bundle)["components"]}


@LINUX
def test_every_program_file_is_on_the_bill(bundle: Path) -> None:
    """By the distribution whose folder it lies in, by its own name, or as a part of the interpreter."""
    told = bill(bundle)["components"]
    text = json.dumps(told).lower().replace("-", "_")
    for path in (bundle / "_internal").rglob("*.so*"):
        if path.is_symlink() or "lib-dynload" in path.parts or path.name.startswith("libpython"):
            continue
        top = path.relative_to(bundle / "_internal").parts[0].lower().replace("-", "_")
        known = {"pil": "pillow", "pillow.libs": "pillow", "apsw": "apsw_sqlite3mc", "_cffi_backend": "cffi"}
        name = known.get(top.partition(".cpython")[0], top.partition(".cpython")[0])
        assert name in text, path


@pytest.mark.full
def test_two_builds_are_the_same(bundle: Path, tmp_path: Path) -> None:
    bundles.build(tmp_path)
    [again] = tmp_path.glob("rootcellar-*")
    first, second = build_frozen.fingerprint(bundle), build_frozen.fingerprint(again)
    assert {name for name in first | second if first.get(name) != second.get(name)} == set()

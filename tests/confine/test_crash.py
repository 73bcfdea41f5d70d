"""Writes that are stopped anywhere: a file is old or new, nothing lies beside it, nothing stays open.

Two ways to stop: the n-th system call fails, for every n and several errors, and `kill -9` at random moments.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from confine.yard import Place, open_descriptors
from rootcellar.confine import Overwrite, Roots, drafts
from rootcellar.errors import Refusal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX calls are made to fail")

CALLS = (
    "open", "close", "write", "read", "pread", "fsync", "stat", "fstat", "link", "unlink", "rename", "mkdir", "rmdir",
    "fchown", "fchmod", "utime", "readlink", "symlink", "listxattr", "getxattr", "setxattr", "removexattr",
    "copy_file_range", "scandir", "lseek", "ftruncate",
)  # fmt: skip
ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR, errno.EDQUOT, errno.ESTALE)


class Faulty:
    """Counts the system's calls, and makes one of them fail."""

    def __init__(self, fail_at: int, code: int) -> None:
        self.count, self.fail_at, self.code = 0, fail_at, code
        self.failed = ""

    def due(self, name: str) -> bool:
        self.count += 1
        if self.count == self.fail_at:
            self.failed = name
        return self.count == self.fail_at

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self.due(name):
                if name == "close":
                    real(*args)  # Linux closes, and then says that it failed
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **options)

        return call

    def renameat2(self, *args: Any) -> int:
        if self.due("renameat2"):
            ctypes.set_errno(self.code)
            return -1
        return int(ctypes.CDLL(None, use_errno=True).renameat2(*args))


@contextmanager
def failing(fail_at: int, code: int) -> Iterator[Faulty]:
    """Let the n-th call inside the block fail."""
    from rootcellar.confine import _linux

    faulty = Faulty(fail_at, code)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            if hasattr(os, name):
                patch.setattr(os, name, faulty.wrap(name, getattr(os, name)))
        patch.setattr(_linux._LIBC, "renameat2", faulty.renameat2, raising=False)
        yield faulty


CHANGES: dict[str, Callable[[Roots], object]] = {
    "create": lambda roots: roots.entry("d/new").create(b"NEW" * 1000),
    "replace": lambda roots: roots.entry("d/f").replace(b"NEW" * 1000),
    "edit": lambda roots: roots.entry("d/f").edit(lambda _: b"NEW" * 1000),
    "append": lambda roots: roots.entry("d/f").append(b"NEW" * 1000),
    "copy": lambda roots: roots.entry("d/f").copy(roots.entry("d/new")),
    "copy over": lambda roots: roots.entry("d/g").copy(roots.entry("d/f"), Overwrite.REPLACE),
    "copy tree": lambda roots: roots.entry("t").copy(roots.entry("d/t2")),
    "move": lambda roots: roots.entry("d/f").move(roots.entry("d/new")),
    "move over": lambda roots: roots.entry("d/g").move(roots.entry("d/f"), Overwrite.REPLACE),
}


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", CHANGES)
def test_whichever_call_fails_the_tree_is_old_or_new_and_nothing_is_left(quick_place: Place, name: str) -> None:
    fail_each_call(quick_place, name, ERRORS[: 2 if quick_place.backend.label == "openat2" else 1])


@pytest.mark.full
@pytest.mark.parametrize("name", CHANGES)
def test_whichever_call_fails_in_whichever_way(place: Place, name: str) -> None:
    fail_each_call(place, name, ERRORS)


def fail_each_call(place: Place, name: str, codes: tuple[int, ...]) -> None:
    """What was refused has changed nothing, what was done is whole."""
    runs = changed = 0
    old, roots = afresh(place)
    CHANGES[name](roots)
    new = snapshot(place.root)
    assert new != old
    gc.collect()
    gc.freeze()  # what is there by now need not be looked through again, thousands of times
    for code in codes:
        for fail_at in range(1, 1000):
            _, roots = afresh(place)
            gc.collect()
            before = open_descriptors()
            with failing(fail_at, code) as faulty:
                try:
                    CHANGES[name](roots)
                except Refusal:
                    is_done = False
                else:
                    is_done = True
            if not faulty.failed:
                break
            gc.collect()
            told, now = (faulty.failed, fail_at, errno.errorcode[code]), snapshot(place.root)
            assert open_descriptors() == before, told
            assert now == (new if is_done else old), told
            assert not list(place.root.rglob(".rootcellar-*")), told
            runs, changed = runs + 1, changed + is_done
    print(f"{place.backend.label} {name}: {runs} runs, {changed} of them done all the same, 0 torn, 0 left, 0 open")


def afresh(place: Place) -> tuple[dict[str, bytes], Roots]:
    """The tree before the change."""
    for path in place.root.iterdir():
        shutil.rmtree(path)
    place.make("d/f", "d/g", "t/a/x", "t/y", "t/l -> y")
    drafts._looked_at.clear()
    return snapshot(place.root), place.roots()


def kill_loop(root: Path, kills: int, what: str) -> dict[str, int]:
    """Run `kill_loop.py` in a process of its own: it forks writers and kills them."""
    script = Path(__file__).with_name("kill_loop.py")
    done = subprocess.run(
        [sys.executable, script, str(root), str(kills), what], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    counted: dict[str, int] = json.loads(done.stdout)
    print(what, counted)
    return counted


@pytest.mark.parametrize("what", ["replace", "create", "edit"])
def test_a_killed_writer_leaves_an_old_or_a_new_file(tmp_path: Path, what: str) -> None:
    counted = kill_loop(tmp_path, 20, what)
    assert (counted["kills"], counted["torn"], counted["missing"], counted["left after sweep"]) == (20, 0, 0, 0)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", ["replace", "create", "edit", "append", "in place"])
def test_hundreds_of_killed_writers_leave_old_or_new_files(tmp_path: Path, what: str) -> None:
    counted = kill_loop(tmp_path, 200, what)
    assert (counted["kills"], counted["missing"], counted["left after sweep"]) == (200, 0, 0)
    assert counted["torn"] == 0 if what != "in place" else counted["torn after repair"] == 0


def test_leftovers_of_processes_that_are_gone_are_removed_by_the_next_write_and_no_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    place.make("f")
    for name in (f".rootcellar-{gone.pid}-aa", f".rootcellar-{os.getpid()}-bb", ".rootcellar-1-cc", ".rootcellar-note"):
        (place.root / name).write_bytes(b"x")
    (place.root / f".rootcellar-{gone.pid}-tree" / "a").mkdir(parents=True)
    (place.root / f".rootcellar-{gone.pid}-tree" / "a/b").write_bytes(b"x")
    drafts._looked_at.clear()
    place.roots().entry("f").replace(b"1")
    assert len(os.listdir(place.root)) == 6, "they are young: somebody may be writing them"
    drafts._looked_at.clear()
    monkeypatch.setattr(drafts, "QUIET_S", 0.0)
    place.roots().entry("f").replace(b"2")
    left = sorted(os.listdir(place.root))
    assert left == sorted(["f", f".rootcellar-{os.getpid()}-bb", ".rootcellar-1-cc", ".rootcellar-note"])


def redo(place: Place, name: str, ino: int, content: bytes) -> None:
    """A rewrite in place that was killed halfway: the redo is whole, the file is torn."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    header = json.dumps({"name": name, "dev": place.root.stat().st_dev, "ino": ino}).encode()
    (place.root / f".rootcellar-redo-{gone.pid}-aa").write_bytes(header + b"\n" + content)
    drafts._looked_at.clear()


def test_an_unfinished_rewrite_in_place_is_finished_by_the_next_write(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "QUIET_S", 0.0)
    place.make("f", "other")
    redo(place, "f", (place.root / "f").stat().st_ino, b"whole")
    place.roots().entry("other").replace(b"x")
    assert (place.root / "f").read_bytes() == b"whole"
    assert sorted(os.listdir(place.root)) == ["f", "other"]


@pytest.mark.parametrize("name", ["f", ".env", "../OUT/secret", "l", "nope", ""])
def test_a_forged_redo_changes_nothing(place: Place, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloned repository may hold anything; it cannot know which inode a file will have."""
    monkeypatch.setattr(drafts, "QUIET_S", 0.0)
    place.make("f", ".env", "other", "l -> ../OUT/secret")
    before = place.outside()
    redo(place, name, 1, b"forged")
    place.roots().entry("other").replace(b"x")
    redo(place, name, (place.out / "secret").stat().st_ino, b"forged")
    place.roots().entry("other").replace(b"y")
    assert snapshot(place.root) == {"f": b"f", ".env": b".env", "other": b"y", "l": b"SECRET"}
    assert place.outside() == before

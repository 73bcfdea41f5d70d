"""The store's disk fails at every write: the change is refused and nothing has changed, or it is made and recorded."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from journal.cellar import Cellar
from rootcellar import limits
from rootcellar.confine import Overwrite, Roots
from rootcellar.errors import Refusal
from rootcellar.journal import contents, owners, shelf
from rootcellar.journal.changes import State
from rootcellar.journal.evidence import file_happened
from rootcellar.journal.store import Store

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="system calls are made to fail, and the trash is Linux's"
)

CALLS = (
    "open",
    "write",
    "fsync",
    "close",
    "lseek",
    "pread",
    "copy_file_range",
    "fstat",
    "unlink",
    "listdir",
    "stat",
    "chmod",
    "makedirs",
)
ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EIO)
SQLITE = {
    errno.ENOSPC: apsw.FullError,
    errno.EROFS: apsw.ReadOnlyError,
    errno.EACCES: apsw.PermissionsError,
    errno.EMFILE: apsw.CantOpenError,
    errno.EIO: apsw.IOError,
}


class Faulty:
    """Counts what the store does to its disk, and makes one of it fail, or all from there on."""

    def __init__(self) -> None:
        self.arm(0, 0)

    def arm(self, fail_at: int, code: int, more: int = 1) -> None:
        self.count, self.fail_at, self.code, self.more = 0, fail_at, code, more
        self.failed: list[str] = []

    def due(self, name: str) -> bool:
        if not self.fail_at:
            return False
        self.count += 1
        if self.fail_at <= self.count < self.fail_at + self.more:
            self.failed.append(name)
            return True
        return False


FAULTY = Faulty()


class FaultyFile(apsw.VFSFile):
    """A file of the index."""

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._due("xWrite")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._due("xSync")
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._due("xTruncate")
        super().xTruncate(size)

    def _due(self, name: str) -> None:
        if FAULTY.due(name):
            raise SQLITE[FAULTY.code]


class FaultyVfs(apsw.VFS):
    """SQLite's view of the disk."""

    def __init__(self) -> None:
        super().__init__("faulty", "")

    def xOpen(self, name: Any, flags: Any) -> FaultyFile:  # noqa: N802
        if FAULTY.due("xOpen"):
            raise SQLITE[FAULTY.code]
        return FaultyFile("", name, flags)


class FaultyOs:
    """`os` as the store's own modules see it."""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real

        def call(*args: Any, **options: Any) -> Any:
            if FAULTY.due(name):
                if name == "close":
                    real(*args)
                raise OSError(FAULTY.code, os.strerror(FAULTY.code))
            return real(*args, **options)

        return call


@pytest.fixture
def cellar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cellar]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as base:
        monkeypatch.setenv("XDG_DATA_HOME", f"{base}/data")
        for module in (contents, owners, shelf):
            monkeypatch.setattr(module, "os", FaultyOs())
        vfs = FaultyVfs()
        store = Store(f"{base}/journal", settlers={"file": file_happened}, vfs="faulty")
        made = Cellar(Path(base), store)
        yield made
        FAULTY.arm(0, 0)
        made.close()
        del vfs


CHANGES: dict[str, Callable[[Roots], object]] = {
    "replace small": lambda r: r.entry("f").replace(b"NEW"),
    "replace": lambda r: r.entry("g").replace(b"NEW" * 20_000),
    "create": lambda r: r.entry("new").create(b"NEW"),
    "move over": lambda r: r.entry("f").move(r.entry("g"), Overwrite.REPLACE),
    "trash": lambda r: r.entry("d").trash(),
    "remove": lambda r: r.entry("g").remove(),
}


def plant(root: Path) -> None:
    (root / "d/e").mkdir(parents=True, exist_ok=True)
    (root / "f").write_bytes(b"small")
    (root / "g").write_bytes(os.urandom(limits.JOURNAL_INLINE_BYTES_MAX * 3))
    for name in ("f", "g"):
        os.utime(root / name, ns=(1_500_000_000_000_000_000, 1_600_000_000_000_000_007))
    (root / "new").unlink(missing_ok=True)


@contextmanager
def failing(fail_at: int, code: int, more: int = 1) -> Iterator[Faulty]:
    FAULTY.arm(fail_at, code, more)
    yield FAULTY
    FAULTY.fail_at = 0


def fail_each(cellar: Cellar, name: str, codes: tuple[int, ...], more: int) -> None:
    runs = refused = 0
    cellar.store.stored()  # it is open from here on: only the change's own writes fail
    for code in codes:
        for fail_at in range(1, 400):
            plant(cellar.root)
            before = cellar.tree()
            change = None
            with failing(fail_at, code, more) as faulty:
                try:
                    change = cellar.do(CHANGES[name])
                except Refusal:
                    refused += 1
                    is_done = False
                else:
                    is_done = True
                failed = faulty.failed
            if not failed:
                break
            runs += 1
            told = (name, errno.errorcode[code], fail_at, failed)
            if not is_done:
                assert cellar.tree() == before, told
                continue
            assert change is not None
            assert change.state is State.DONE, told
            cellar.undo(change.id)
            assert cellar.tree() == before, told
        assert not list(cellar.root.rglob(".rootcellar-*"))
    print(f"{name}: {runs} failures, {refused} refused, 0 lost")
    assert refused > len(codes)


@pytest.mark.parametrize("name", CHANGES)
def test_whichever_write_of_the_store_fails_nothing_is_lost(cellar: Cellar, name: str) -> None:
    fail_each(cellar, name, ERRORS[:1], 1)


@pytest.mark.full
@pytest.mark.parametrize("more", [1, 1_000], ids=["once", "from then on"])
@pytest.mark.parametrize("name", CHANGES)
def test_whichever_write_of_the_store_fails_in_whichever_way(cellar: Cellar, name: str, more: int) -> None:
    fail_each(cellar, name, ERRORS, more)


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
def test_a_store_that_cannot_be_opened_refuses_changes_until_it_can(cellar: Cellar, code: int) -> None:
    plant(cellar.root)
    before = cellar.tree()
    opened = 0
    for fail_at in range(1, 200):
        with failing(fail_at, code) as faulty:
            try:
                cellar.do(CHANGES["replace"])
            except Refusal:
                assert cellar.tree() == before
            else:
                opened += not faulty.failed
                break
            failed = faulty.failed
        assert failed
    assert cellar.tree() != before

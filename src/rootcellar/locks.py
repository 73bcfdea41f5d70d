"""Advisory locks between installers: one per file, kept under our own data directory, gone when nobody holds them."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import time
from collections.abc import Iterator

from rootcellar import ambient
from rootcellar.errors import Busy

LOCK_WAIT_S = 30.0  # an edit takes milliseconds; eight at once still do


@contextlib.contextmanager
def locked(path: str, directory: str) -> Iterator[None]:
    """Hold our advisory lock on the file at `path` (kept under `directory`); sweep what a killed holder left."""
    real = os.path.realpath(path)
    name = hashlib.sha256(os.fsencode(os.path.normcase(real))).hexdigest()[:32]
    lock = os.path.join(directory, f"{name}.lock")
    with ambient.refusing(directory):
        fd = _held(lock, path)
    try:
        for scrap in glob.glob(os.path.join(glob.escape(os.path.dirname(real)), ambient.SCRAP + "*")):
            with contextlib.suppress(OSError):
                if not _alive(scrap):
                    os.unlink(scrap)
        yield
    finally:
        if os.name == "posix":
            with contextlib.suppress(OSError):
                os.unlink(lock)  # still held: who waits for it sees that it is gone, and takes a new one
        os.close(fd)
        ambient.remove_empty_directories((os.path.dirname(directory), directory))


def _held(lock: str, path: str) -> int:
    """A descriptor that holds the lock; a file that its last holder unlinked is no lock any more."""
    end = time.monotonic() + LOCK_WAIT_S
    while time.monotonic() < end:
        os.makedirs(os.path.dirname(lock), mode=0o700, exist_ok=True)
        try:
            fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the directory went with the last lock in it
            continue
        if take(fd):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(lock)):
                    return fd
        os.close(fd)
        time.sleep(0.01)
    raise Busy(f"another installer holds `{ambient.shown(path)}`", "wait for it to end, then try again")


def take(fd: int) -> bool:
    """Take the lock on an open file if nobody has it; it goes with the descriptor, or with the process."""
    try:
        if os.name == "posix":
            import fcntl  # POSIX only

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt  # Windows only

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True


def _alive(scrap: str) -> bool:
    """Whether the process that made this file still runs: another file's installer may work in the same directory."""
    pid = os.path.basename(scrap).removeprefix(ambient.SCRAP).partition("-")[0]
    if not pid.isdecimal() or os.name != "posix":
        return time.time() - os.stat(scrap).st_mtime < LOCK_WAIT_S
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

"""The macOS backend: the component walk, Apple's renames, and syncs that reach the disk.

Read, not run here: `renameatx_np(RENAME_EXCL | RENAME_SWAP)` (10.12), `fcopyfile` for ACLs and attributes (Python has
no `getxattr` there), `F_FULLFSYNC` because `fsync` stops at the drive's cache.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
from typing import Final

from rootcellar.confine._posix import PosixBackend

_RENAME_SWAP: Final = 0x2
_RENAME_EXCL: Final = 0x4
_COPYFILE_ACL: Final = 1 << 0
_COPYFILE_XATTR: Final = 1 << 2
_F_FULLFSYNC: Final = getattr(fcntl, "F_FULLFSYNC", 51)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class MacBackend(PosixBackend):
    """The component walk on macOS."""

    label = "macos"
    folds_names = True

    def _keep_attributes(self, source: int, draft: int) -> None:
        if _libc().fcopyfile(source, draft, None, ctypes.c_uint32(_COPYFILE_ACL | _COPYFILE_XATTR)) < 0:
            code = ctypes.get_errno()
            if code not in (errno.ENOTSUP, errno.ENOSYS):
                raise OSError(code, os.strerror(code))

    def _rename_new(self, source: int, name: str, target: int, new: str) -> None:
        self._renameatx(source, name, target, new, _RENAME_EXCL)

    def _exchange(self, directory: int, one: str, other: str) -> None:
        self._renameatx(directory, one, directory, other, _RENAME_SWAP)

    def _renameatx(self, source: int, name: str, target: int, new: str, flags: int) -> None:
        if _libc().renameatx_np(source, os.fsencode(name), target, os.fsencode(new), ctypes.c_uint(flags)):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def sync_file(self, fd: int) -> None:
        """`F_FULLFSYNC`; network and foreign file systems have only `fsync`."""
        try:
            fcntl.fcntl(fd, _F_FULLFSYNC)
        except OSError:
            super().sync_file(fd)

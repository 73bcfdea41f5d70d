"""The Linux backend: `openat2` for the way down, nameless drafts, renames that refuse or exchange.

`openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)` (Linux 5.6) opens a directory several levels
down in one call when no link is on the way; then the asked path *is* the real one, so seals need no second look. As
soon as it refuses, for whatever reason, the component walk decides: a link on the way, an old kernel (ENOSYS), a
sandbox that forbids it (EPERM), a rename that keeps the kernel unsure (EAGAIN).

Drafts are `O_TMPFILE`: without a name, so a kill leaves nothing. They get a private name only for the microseconds of
an exchange. `renameat2` is called through the C library where it has the symbol, else by its number.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import sys
from typing import TYPE_CHECKING, Final

from rootcellar.confine._open import Draft
from rootcellar.confine._posix import CHUNK, PosixBackend
from rootcellar.confine._posix_look import HANDLE
from rootcellar.confine.drafts import private_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_SYS_OPENAT2: Final = 437  # the same on every architecture but alpha
_SYS_RENAMEAT2: Final = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "loongarch64": 276, "i686": 353, "armv7l": 382,
                         "ppc64le": 357, "s390x": 347}  # fmt: skip
_RESOLVE: Final = 0x08 | 0x04 | 0x02  # BENEATH, NO_SYMLINKS, NO_MAGICLINKS: see man 2 openat2 on passing all of them
_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100
_UNSURE_MAX: Final = 16  # EAGAIN: a rename is going on somewhere; the walk needs no such luck
_PATH_MAX: Final = 4096
_NO_DRAFT: Final = (
    errno.EOPNOTSUPP,
    errno.EISDIR,
    errno.ENOENT,
    errno.EINVAL,
    errno.EPERM,
)  # EPERM: a removed directory
_NO_RANGE: Final = (
    errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.ETXTBSY, errno.EBADF,
)  # fmt: skip
# Attributes that belong to the bytes or the people: they must come along. The rest belongs to the system.
_THEIRS: Final = ("user.", "system.posix_acl_access", "system.richacl", "system.nfs4_acl")
_IF_POSSIBLE: Final = ("security.selinux", "security.SMACK64", "trusted.")


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_BELOW: Final = _OpenHow(HANDLE | os.O_CLOEXEC, 0, _RESOLVE)
_NO_LINK: Final = _OpenHow(HANDLE | os.O_CLOEXEC, 0, 0x04 | 0x02)


def _openat2(directory: int, path: bytes, how: _OpenHow) -> int:
    """The system call; OSError on failure. EINTR cannot last, EAGAIN is given some tries."""
    for _ in range(_UNSURE_MAX):
        ctypes.set_errno(0)
        fd = _LIBC.syscall(
            ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(directory), path, ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )  # fmt: skip
        if fd >= 0:
            return int(fd)
        failed = ctypes.get_errno()
        if failed not in (errno.EINTR, errno.EAGAIN):
            break
    raise OSError(failed, os.strerror(failed))


class LinuxBackend(PosixBackend):
    """`openat2` with the component walk behind it."""

    label = "openat2"

    def __init__(self) -> None:
        self._has_openat2 = True

    @classmethod
    def walking(cls) -> LinuxBackend:
        """Give the backend as it is where `openat2` is missing or forbidden."""
        backend = cls()
        backend.label, backend._has_openat2 = "walk", False
        return backend

    def open_root(self, real: str) -> int:
        """Let the kernel refuse links on the way; where it cannot, look twice."""
        if self._has_openat2:
            try:
                return _openat2(_AT_FDCWD, os.fsencode(real), _NO_LINK)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EPERM):
                    raise
                self._has_openat2 = False
        return super().open_root(real)

    def open_below(self, directory: int, names: Sequence[str]) -> int | None:
        """One call; None for whatever it refuses, and the walk finds out why."""
        if not self._has_openat2:
            return None
        path = os.fsencode("/".join(names))
        if len(path) >= _PATH_MAX:
            return None
        try:
            return _openat2(directory, path, _BELOW)
        except OSError as error:
            self._has_openat2 = error.errno not in (errno.ENOSYS, errno.EPERM)
            return None

    def draft(self, directory: int) -> Draft:
        """A file without a name, where the file system has them and /proc can name them later."""
        try:
            fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o666, dir_fd=directory)
        except OSError as error:
            if error.errno not in _NO_DRAFT:
                raise
            return super().draft(directory)
        if not os.path.lexists(f"/proc/self/fd/{fd}"):
            os.close(fd)
            return super().draft(directory)
        return Draft(fd, None)

    def publish_new(self, directory: int, draft: Draft, name: str) -> None:
        """Link the nameless draft straight to its name: EEXIST when it is taken."""
        if draft.name is not None:
            super().publish_new(directory, draft, name)
            return
        try:
            self._link(directory, draft, name)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV):
                raise
            raise OSError(errno.EIO, "the file system cannot name a finished draft") from error

    def _link(self, directory: int, draft: Draft, name: str) -> None:
        os.link(f"/proc/self/fd/{draft.fd}", name, dst_dir_fd=directory, follow_symlinks=True)

    def _named(self, directory: int, draft: Draft) -> str:
        if draft.name is None:
            name = private_name()
            self._link(directory, draft, name)
            draft.name = name
        return draft.name

    def _keep_attributes(self, source: int, draft: int) -> None:
        """Extended attributes; POSIX ACLs are some of them."""
        wanted = self._attributes(source)
        for name in self._attributes(draft):
            if name not in wanted and name.startswith(_THEIRS):
                os.removexattr(draft, name)  # what a default ACL of the directory gave it
        for name in wanted:
            if name.startswith(_THEIRS):
                os.setxattr(draft, name, os.getxattr(source, name))
            elif name.startswith(_IF_POSSIBLE):
                with contextlib.suppress(OSError):
                    os.setxattr(draft, name, os.getxattr(source, name))

    def _attributes(self, fd: int) -> list[str]:
        try:
            return os.listxattr(fd)
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                return []
            raise

    def _rename_new(self, source: int, name: str, target: int, new: str) -> None:
        self._renameat2(source, name, target, new, _NOREPLACE)

    def _exchange(self, directory: int, one: str, other: str) -> None:
        self._renameat2(directory, one, directory, other, _EXCHANGE)

    def _renameat2(self, source: int, name: str, target: int, new: str, flags: int) -> None:
        before, after = os.fsencode(name), os.fsencode(new)
        if hasattr(_LIBC, "renameat2"):
            failed = _LIBC.renameat2(source, before, target, after, ctypes.c_uint(flags))
        elif (number := _SYS_RENAMEAT2.get(platform.machine())) and sys.maxsize > 2**32:
            failed = _LIBC.syscall(
                ctypes.c_long(number), ctypes.c_int(source), before, ctypes.c_int(target), after, ctypes.c_uint(flags)
            )
        else:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if failed:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def copy_some(self, source: int, target: int, count: int) -> int:
        """Let the kernel copy, or share blocks; read and write where it cannot."""
        try:
            copied = os.copy_file_range(source, target, min(count, 16 * CHUNK))
        except OSError as error:
            if error.errno not in _NO_RANGE:
                raise
            copied = 0
        return copied or super().copy_some(source, target, count)  # some file systems answer 0 for "not this way"

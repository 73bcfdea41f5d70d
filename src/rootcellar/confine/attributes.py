"""What a file has beside its bytes, from an open file to a draft: owner, mode, times, attributes, ACL."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from typing import Final

from rootcellar.confine._open import Stat

# Attributes that belong to the bytes or the people, ACLs among them: they must come back. The rest if possible.
_THEIRS: Final = ("user.", "system.posix_acl_access", "system.posix_acl_default", "system.richacl", "system.nfs4_acl")
_IF_POSSIBLE: Final = ("security.selinux", "security.SMACK64", "trusted.")
_NONE: Final = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)


@dataclass(frozen=True, slots=True)
class Attributes:
    """Everything of a file but its bytes and its names."""

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    extended: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, stat: Stat, fd: int | None = None) -> Attributes:
        """What is known of it; the extended ones only of an open file."""
        extended = () if fd is None else tuple((name, os.getxattr(fd, name)) for name in _listed(fd))
        return cls(stat.mode, stat.uid, stat.gid, stat.atime_ns, stat.mtime_ns, extended)

    def wear(self, fd: int) -> None:
        """Give them to an open file; PermissionError where its owner or its ACL cannot be had."""
        if hasattr(os, "fchown"):
            now = os.fstat(fd)
            if (now.st_uid, now.st_gid) != (self.uid, self.gid):
                os.fchmod(fd, 0o600)  # nobody else reads it under the old owner's mode
                os.fchown(fd, self.uid, self.gid)
        self._wear_extended(fd)
        if hasattr(os, "fchmod"):
            os.fchmod(fd, self.mode)
        self.wear_times(fd)

    def wear_times(self, fd: int) -> None:
        """Only the times; after the bytes."""
        if os.utime in os.supports_fd:
            os.utime(fd, ns=(self.atime_ns, self.mtime_ns))

    def _wear_extended(self, fd: int) -> None:
        wanted = dict(self.extended)
        for name in _listed(fd):
            if name not in wanted and name.startswith(_THEIRS):
                os.removexattr(fd, name)
        for name, value in wanted.items():
            if name.startswith(_THEIRS):
                os.setxattr(fd, name, value)
            else:
                with contextlib.suppress(OSError):
                    os.setxattr(fd, name, value)

    def wear_link(self, directory: int, name: str) -> None:
        """Give owner and times to a link, as far as the system can."""
        with contextlib.suppress(OSError, NotImplementedError):
            os.chown(name, self.uid, self.gid, dir_fd=directory, follow_symlinks=False)
        with contextlib.suppress(OSError, NotImplementedError):
            os.utime(name, ns=(self.atime_ns, self.mtime_ns), dir_fd=directory, follow_symlinks=False)


def like_owner(source: int, copy: int) -> None:
    """The owner too, where that is allowed: of what moves to another disk, and may come back."""
    if hasattr(os, "fchown"):
        old = os.fstat(source)
        with contextlib.suppress(OSError):
            os.fchown(copy, old.st_uid, old.st_gid)


def _listed(fd: int) -> list[str]:
    if not hasattr(os, "listxattr"):
        return []
    try:
        return [name for name in os.listxattr(fd) if name.startswith((*_THEIRS, *_IF_POSSIBLE))]
    except OSError as error:
        if error.errno in _NONE:
            return []
        raise

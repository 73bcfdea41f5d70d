"""What the operating system's refusals mean to the caller. Every message names the entry, never a path outside."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rootcellar.confine._open import Displaced, Kind, LinkFound, OddFile
from rootcellar.errors import (
    Busy,
    Denied,
    Exists,
    Failed,
    LinkLoop,
    NameTooLong,
    NoSpace,
    NotFound,
    OutsideRoots,
    ReadOnly,
    Refusal,
    Stale,
    WrongKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_Meaning = tuple[type[Refusal], str, str]
_MEANINGS: Final[dict[int, _Meaning]] = {
    errno.ENOENT: (NotFound, "does not exist", "list the directory to see what is there"),
    errno.ENOTDIR: (WrongKind, "goes through something that is no directory", "use a path of directories"),
    errno.EISDIR: (WrongKind, "is a directory", "name a file in it, or list it"),
    errno.EEXIST: (Exists, "already exists", "choose another name, or say that it may be overwritten"),
    errno.ENOTEMPTY: (Exists, "is a directory that is not empty", "move or delete what is in it first"),
    errno.EACCES: (Denied, "is not open to you", "ask the user to change its permissions"),
    errno.EPERM: (Denied, "is protected by the system", "ask the user to change its permissions or flags"),
    errno.EROFS: (Denied, "is on a read-only disk", "write to another place"),
    errno.ENOSPC: (NoSpace, "does not fit: the disk is full", "free some space, then try again"),
    errno.EFBIG: (NoSpace, "does not fit: it is larger than a file may be here", "write less, or in several files"),
    errno.ELOOP: (LinkLoop, "is a link that leads to itself, or too many links", "name the file itself"),
    errno.ENAMETOOLONG: (NameTooLong, "has a name that is too long", "use at most 255 bytes for each name"),
    errno.EMFILE: (Busy, "cannot be opened now: too many files are open", "try again in a moment"),
    errno.ENFILE: (Busy, "cannot be opened now: too many files are open", "try again in a moment"),
    errno.ENOMEM: (Busy, "cannot be opened now: memory is short", "try again in a moment"),
    errno.EAGAIN: (Busy, "is in use by another program", "try again in a moment"),
    errno.EBUSY: (Busy, "is in use by the system or another program", "close what uses it, then try again"),
    errno.ETXTBSY: (Busy, "is a program that is running", "end it, then try again"),
    errno.ESTALE: (Busy, "changed place while it was looked up", "try again"),
    errno.EXDEV: (Denied, "is on another disk than its destination", "copy it, then delete the original"),
    errno.EINVAL: (WrongKind, "cannot be used for that", "check the kind of file and the destination"),
    errno.ENXIO: (WrongKind, "is no regular file", "name a regular file"),
    errno.EILSEQ: (NotFound, "does not exist: no name here can hold these bytes", "list the directory"),
    errno.EIO: (Failed, "could not be read or written: the device failed", "check the disk"),
    errno.ENODEV: (Failed, "is on a device that is gone", "connect it again"),
    errno.ENOTCONN: (Failed, "is on a disk that is not connected", "connect it again"),
}
_MEANINGS[getattr(errno, "EDQUOT", errno.ENOSPC)] = (
    NoSpace, "does not fit: the quota is used up", "free some space, then try again",
)  # fmt: skip
_MEANINGS[errno.ENOSPC] = (NoSpace, "does not fit: the disk is full", "free some space, then try again")

_KINDS: Final = {
    Kind.DIRECTORY: ("is a directory", "list it, or name a file in it"),
    Kind.FIFO: ("is a FIFO, not a regular file", "name a regular file"),
    Kind.SOCKET: ("is a socket, not a regular file", "name a regular file"),
    Kind.DEVICE: ("is a device, not a regular file", "name a regular file"),
    Kind.LINK: ("is a link", "name what it leads to"),
    Kind.FILE: ("is a file, not a directory", "read it, or name its directory"),
}


def refusal(error: OSError, name: str) -> Refusal:
    """Turn an OSError about this entry into the Refusal that says what to do."""
    kind, what, hint = _MEANINGS.get(
        error.errno or 0,
        (Failed, f"failed ({errno.errorcode.get(error.errno or 0, 'unknown error')})", "try again, or ask the user"),
    )
    return kind(f"`{name}` {what}", hint)


def wrong_kind(kind: Kind, name: str) -> WrongKind:
    """What is said when the name is of a kind the verb does not work on."""
    what, hint = _KINDS.get(kind, ("is no regular file", "name a regular file"))
    return WrongKind(f"`{name}` {what}", hint)


def outside(name: str) -> OutsideRoots:
    """The same words for whatever lies, or does not lie, outside."""
    return OutsideRoots(f"`{name}` leads outside the roots", "use a path inside a root; `list_roots` shows them")


def read_only(name: str) -> ReadOnly:
    """What is said where nothing may be changed."""
    return ReadOnly(f"`{name}` is in a read-only root", "write inside a root that admits changes")


@contextmanager
def spoken(name: str) -> Iterator[None]:
    """Let nothing but Refusals out of a verb on this entry."""
    try:
        yield
    except OSError as error:
        raise refusal(error, name) from error
    except OddFile as odd:
        raise wrong_kind(odd.kind, name) from None
    except LinkFound:
        raise refusal(OSError(errno.ESTALE, ""), name) from None
    except Displaced:
        raise Stale(f"`{name}` keeps changing while it is written", "read it again, then try again") from None

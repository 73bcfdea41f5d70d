"""Contents of the store: written once, whole and durable before a step refers to them, read back and proven by hash.

Each lies in a file of its own, `<owner>-<number>`, so that nobody ever writes where another reads, and what a killed
process leaves can be told from what is in use. Only the opening of files needs a thread outside the wall; copying,
hashing and packing are done by the thread that asks.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from rootcellar import limits
from rootcellar.errors import Busy, Denied, Failed, NoSpace, Refusal, Stale
from rootcellar.journal.changes import Form, Laid

_CHUNK: Final = 1 << 20
_SAMPLE: Final = 64 << 10
_PAYS: Final = 0.9  # packed to less than this is worth the unpacking
_PACK_BYTES_MAX: Final = 32 << 20  # above it packing takes longer than the change itself
_BINARY: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | _BINARY
_LOOK: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | _BINARY


class Cancel(Protocol):
    """What tells a copy to stop."""

    def check(self) -> None:
        """Raise Cancelled when the caller took the request back."""


_FAULTS: Final[dict[int, tuple[type[Refusal], str, str]]] = {
    errno.ENOSPC: (NoSpace, "the disk is full", "free some space, then try again"),
    getattr(errno, "EDQUOT", errno.ENOSPC): (NoSpace, "the quota is used up", "free some space, then try again"),
    errno.EFBIG: (NoSpace, "a file may not be so large here", "change a smaller file"),
    errno.EROFS: (Denied, "its disk is read-only", "make the data directory writable"),
    errno.EACCES: (Denied, "its directory is not open to you", "check the permissions of the data directory"),
    errno.EPERM: (Denied, "its directory is protected", "check the permissions of the data directory"),
    errno.EMFILE: (Busy, "too many files are open", "try again in a moment"),
    errno.ENFILE: (Busy, "too many files are open", "try again in a moment"),
    errno.ENOMEM: (Busy, "memory is short", "try again in a moment"),
}


@contextlib.contextmanager
def spoken() -> Iterator[None]:
    """Let nothing but refusals out of the store: what cannot be recorded is not done."""
    try:
        yield
    except OSError as error:
        kind, what, hint = _FAULTS.get(error.errno or 0, (Failed, f"{error.strerror}", "check the disk"))
        raise kind(f"the journal cannot record the change, so it was not made: {what}", hint) from error


def make_private(*directories: str) -> None:
    """Make directories that only the user may enter, and keep them so."""
    for directory in directories:
        os.makedirs(directory, 0o700, exist_ok=True)
        if os.name == "posix" and os.stat(directory).st_mode & 0o077:
            os.chmod(directory, 0o700)


class Contents:
    """The directory of contents, for the thread that may open files."""

    def __init__(self, directory: str, owner: str) -> None:
        self.directory, self._owner = directory, owner
        self._numbers = itertools.count()

    def new(self) -> tuple[int, str]:
        """A new file of this process, open for writing and reading, and its name."""
        name = f"{self._owner}-{next(self._numbers):x}"
        return os.open(os.path.join(self.directory, name), _NEW, 0o600), name

    def scratch(self) -> int:
        """A file without a name."""
        if hasattr(os, "O_TMPFILE"):
            with contextlib.suppress(OSError):
                return os.open(self.directory, os.O_TMPFILE | os.O_RDWR | _BINARY, 0o600)
        fd, name = self.new()
        with contextlib.suppress(OSError):  # Windows cannot; the next start does
            os.unlink(os.path.join(self.directory, name))
        return fd

    def open(self, name: str) -> int:
        """Open a content for reading."""
        return os.open(os.path.join(self.directory, name), _LOOK)

    def remove(self, name: str) -> None:
        """Remove a content that nothing refers to; a failure leaves it to the next start."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.directory, name))

    def names(self) -> list[str]:
        """Every content there is."""
        with contextlib.suppress(FileNotFoundError):
            return os.listdir(self.directory)
        return []


def read_at(fd: int, at: int, count: int) -> bytes:
    """Up to `count` bytes at a place; fewer only at the end."""
    parts = []
    while count > 0:
        if hasattr(os, "pread"):
            part = os.pread(fd, min(count, _CHUNK), at)
        else:
            os.lseek(fd, at, os.SEEK_SET)
            part = os.read(fd, min(count, _CHUNK))
        if not part:
            break
        parts.append(part)
        at += len(part)
        count -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def size_of(fd: int) -> int:
    """How many bytes an open file has."""
    return os.fstat(fd).st_size


def copy_part(source: int, at: int, count: int, target: int, cancel: Cancel | None = None) -> None:
    """Append a part of one open file to another."""
    while count > 0 and (part := read_at(source, at, min(count, _CHUNK))):
        write_all(target, part)
        at, count = at + len(part), count - len(part)
        if cancel is not None:
            cancel.check()


def shut(fd: int) -> None:
    """Close what was only read."""
    with contextlib.suppress(OSError):
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write everything."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def digest(fd: int, at: int, count: int, cancel: Cancel | None = None) -> str:
    """The hash of a part of an open file."""
    known = hashlib.sha256()
    while count > 0 and (part := read_at(fd, at, min(count, _CHUNK))):
        known.update(part)
        at, count = at + len(part), count - len(part)
        if cancel is not None:
            cancel.check()
    return known.hexdigest()[:40]


def digest_of(data: bytes) -> str:
    """The hash of these bytes, as `digest` gives it."""
    return hashlib.sha256(data).hexdigest()[:40]


def _pays(sample: bytes) -> bool:
    return len(sample) > 256 and len(zlib.compress(sample, 1)) < len(sample) * _PAYS  # noqa: PLR2004 - one small block


def lay_inline(data: bytes) -> Laid:
    """Lay a small content down as it goes into the index."""
    packed = zlib.compress(data, 1) if _pays(data) else data
    form = Form.ZLIB if packed is not data else Form.PLAIN
    return Laid(form, len(packed), data=packed)


def lay(fd: int, at: int, count: int, new: Callable[[], tuple[int, str]], cancel: Cancel | None) -> tuple[str, Laid]:
    """Copy a part of an open file into the store, durably: its hash and where it lies. A partial copy is Stale."""
    if count <= limits.JOURNAL_INLINE_BYTES_MAX:
        data = read_at(fd, at, count)
        if len(data) != count:
            raise _short()
        return digest_of(data), lay_inline(data)
    target, name = new()
    try:
        known = _plain(fd, at, count, target, cancel)
        os.fsync(target)
    finally:
        os.close(target)
    return known, Laid(Form.PLAIN, count, file=name)


def lay_bytes(data: bytes, new: Callable[[], tuple[int, str]]) -> Laid:
    """The same for bytes in memory; where they lie."""
    if len(data) <= limits.JOURNAL_INLINE_BYTES_MAX:
        return lay_inline(data)
    target, name = new()
    try:
        write_all(target, data)
        os.fsync(target)
    finally:
        os.close(target)
    return Laid(Form.PLAIN, len(data), file=name)


def _short() -> Stale:
    return Stale("what is to be replaced changed while it was kept", "look at it again, then try again")


def pack(source: int, target: int) -> int | None:
    """Write an open content packed to another file, durably: the bytes it takes, or None where that does not pay."""
    size = size_of(source)
    if size > _PACK_BYTES_MAX or not _pays(read_at(source, 0, _SAMPLE)):
        return None
    packer, at = zlib.compressobj(1), 0
    while part := read_at(source, at, _CHUNK):
        write_all(target, packer.compress(part))
        at += len(part)
    write_all(target, packer.flush())
    os.fsync(target)
    packed = size_of(target)
    return packed if packed < size * _PAYS else None


def _plain(fd: int, at: int, count: int, target: int, cancel: Cancel | None) -> str:
    """Share blocks where the disk can, then hash what was copied, not what may change."""
    done = 0
    while done < count:
        size = min(count - done, 16 * _CHUNK)
        copied = _share(fd, at + done, target, done, size)
        if not copied:
            part = read_at(fd, at + done, min(size, _CHUNK))
            if not part:
                raise _short()
            os.lseek(target, done, os.SEEK_SET)
            write_all(target, part)
            copied = len(part)
        done += copied
        if cancel is not None:
            cancel.check()
    return digest(target, 0, count, cancel)


def _share(fd: int, at: int, target: int, to: int, size: int) -> int:
    """Let the kernel copy; 0 where it cannot."""
    if not hasattr(os, "copy_file_range"):
        return 0
    try:
        return os.copy_file_range(fd, target, size, at, to)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            raise
        return 0


def unpack(source: int, form: Form, target: int, cancel: Cancel | None = None) -> str:
    """Write a stored content's plain bytes to a file; their hash."""
    known, at = hashlib.sha256(), 0
    unpacker = zlib.decompressobj() if form is Form.ZLIB else None
    while part := read_at(source, at, _CHUNK):
        at += len(part)
        plain = part if unpacker is None else unpacker.decompress(part)
        known.update(plain)
        write_all(target, plain)
        if cancel is not None:
            cancel.check()
    if unpacker is not None:
        plain = unpacker.flush()
        known.update(plain)
        write_all(target, plain)
    return known.hexdigest()[:40]


def plain(data: bytes, form: Form) -> bytes:
    """A small content's plain bytes."""
    return zlib.decompress(data) if form is Form.ZLIB else data


def common(
    old: tuple[int, int, int], new: tuple[int, int, int], known: int | None, cancel: Cancel | None
) -> tuple[int, int]:
    """How many first and last bytes two parts of files (descriptor, place, size) share; `known` first ones at least."""
    (a, a_at, a_size), (b, b_at, b_size) = old, new
    least = min(a_size, b_size)
    prefix = min(known or 0, least)
    while prefix < least:
        count = min(_CHUNK, least - prefix)
        shared = shared_start(read_at(a, a_at + prefix, count), read_at(b, b_at + prefix, count))
        prefix += shared
        if shared < count:
            break
        if cancel is not None:
            cancel.check()
    suffix = 0
    while suffix < least - prefix:
        count = min(_CHUNK, least - prefix - suffix)
        one = read_at(a, a_at + a_size - suffix - count, count)
        other = read_at(b, b_at + b_size - suffix - count, count)
        shared = shared_end(one, other)
        suffix += shared
        if shared < count:
            break
    return prefix, suffix


def shared_start(one: bytes, other: bytes) -> int:
    """How many first bytes are equal."""
    at, step = 0, 1 << 16
    least = min(len(one), len(other))
    while step:
        while at + step <= least and one[at : at + step] == other[at : at + step]:
            at += step
        step >>= 1
    return at


def shared_end(one: bytes, other: bytes) -> int:
    """How many last bytes are equal."""
    at, step = 0, 1 << 16
    least, a, b = min(len(one), len(other)), len(one), len(other)
    while step:
        while at + step <= least and one[a - at - step : a - at] == other[b - at - step : b - at]:
            at += step
        step >>= 1
    return at

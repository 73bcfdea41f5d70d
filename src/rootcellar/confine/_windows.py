r"""The Windows backend: one `NtCreateFile` relative to a directory handle per component, reparse points never followed.

Threats and rules are in `_open.py`, names in `_winnames.py`, calls in `_nt.py`. Windows oddities met here:
- `OBJ_DONT_REPARSE` makes the kernel refuse any link or junction (Windows 10); the link is then opened as itself and
  read. An absolute one, and a junction is always absolute, is given to the walker as a path, which goes on only where
  that spells this very root, and then from the root's handle.
- A reparse point that is no name surrogate (a OneDrive or deduplicated file) is an ordinary file with a filter in
  front: it is opened through the filter while a handle without delete sharing pins its name.
- A file that is in the cloud only would be fetched by reading it; that is refused, as it takes the user's network.
- A name of the 8.3 shape counts only if the directory lists it: an alias is no name, so it dodges no seal.
- The final path of a file opened for its content must lie one component below that of its directory.
- Deleting and renaming act on an opened handle, with POSIX semantics where the file system has them (NTFS), else the
  old way. Indexers and virus scanners hold files for moments: sharing violations are tried again a few times.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
from typing import TYPE_CHECKING, Final

from rootcellar.confine import _nt, _winhandle, _winnames
from rootcellar.confine._open import DRAFT_PREFIX, Displaced, Draft, Kind, LinkFound, OddFile, Overwrite, Stat
from rootcellar.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BUFFER: Final = 64 << 10
_CHUNK: Final = 1 << 20
_KEPT: Final = _nt.READONLY | _nt.HIDDEN | _nt.SYSTEM | _nt.ARCHIVE
_LOOK: Final = _nt.READ_ATTRIBUTES
_ENTER: Final = _nt.LIST_DIRECTORY | _nt.TRAVERSE | _nt.READ_ATTRIBUTES


class WindowsBackend:
    """Handles all the way."""

    label = "windows"
    levels_max = 1 << 16  # a process may have millions of handles
    folds_names = True

    def split(self, path: str) -> tuple[str, list[str]]:
        """Both separators; see `_winnames`."""
        return _winnames.split(path)

    def check(self, name: str) -> str:
        """See `_winnames`."""
        return _winnames.check(name)

    # The ambient door

    def real_path(self, path: str) -> str:
        """Resolve every link, junction, substituted drive and short name."""
        return _winhandle.plain(os.path.realpath(path, strict=True))

    def open_root(self, real: str) -> int:
        """Open as itself, then compare where the handle leads with what was asked."""
        flags = 0x02000000 | 0x00200000  # backup semantics, as a directory needs; open a reparse point as itself
        wide = _nt.kernel32().CreateFileW(real, _ENTER | _nt.SYNCHRONIZE, _nt.SHARE_ALL, None, 3, flags, None)
        if wide in (None, ctypes.c_void_p(-1).value):
            raise _nt.last_error()
        handle = int(wide)
        try:
            found = _nt.attribute_tag(handle)
            if not found.attributes & _nt.DIRECTORY:
                raise _nt.NtError(_nt.NOT_A_DIRECTORY)
            linked = found.attributes & _nt.REPARSE and found.tag & _nt.NAME_SURROGATE
            if linked or _winhandle.plain(_nt.final_path(handle)).casefold() != real.rstrip("\\").casefold():
                raise _nt.NtError(_nt.REPARSE_ENCOUNTERED)
        except OSError:
            _nt.close(handle)
            raise
        return handle

    # Directories

    def open_below(self, directory: int, names: Sequence[str]) -> int | None:
        """One call; None for whatever it refuses or whatever could be an alias, and the walk finds out."""
        if any(_winnames.may_be_short(name) or not name.isascii() for name in names):
            return None
        try:
            return _nt.create(directory, "\\".join(names), _ENTER, _nt.DIRECTORY_FILE)
        except OSError:
            return None

    def enter(self, directory: int, name: str) -> int:
        """Open one directory; what stands in the way is read."""
        self._spelled_out(directory, name)
        return self._open(directory, name, _ENTER, _nt.DIRECTORY_FILE)

    def up(self, directory: int) -> int:  # noqa: ARG002 - the handles above are kept
        """Never needed."""
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def scan(self, directory: int) -> Iterator[tuple[str, Kind]]:
        """List on a handle of its own: the position of a listing belongs to the handle."""
        handle = _nt.create(directory, "", _nt.LIST_DIRECTORY, _nt.DIRECTORY_FILE)
        buffer, status, first = ctypes.create_string_buffer(_BUFFER), _nt.IoStatus(), True
        try:
            while True:
                try:
                    answer = _nt.must(
                        _nt.ntdll().NtQueryDirectoryFile(
                            handle, None, None, None, ctypes.byref(status), buffer, _BUFFER, _nt.FULL_DIRECTORY,
                            0, None, int(first),
                        )
                    )  # fmt: skip
                except _nt.NtError as error:
                    if first and error.status == _nt.NO_SUCH_FILE:
                        return
                    raise
                if answer == _nt.NO_MORE_FILES:
                    return
                yield from _winhandle.parse_listing(buffer.raw)
                first = False
        finally:
            _nt.close(handle)

    def close(self, directory: int) -> None:
        """Close a directory handle."""
        _nt.close(directory)

    # One name

    def lstat(self, directory: int, name: str) -> Stat:
        """Open the name as itself, with no right but to look at it."""
        self._spelled_out(directory, name)
        handle = _nt.create(directory, "" if name == "." else name, _LOOK, _nt.OPEN_REPARSE_POINT)
        try:
            return _winhandle.described(handle)
        finally:
            _nt.close(handle)

    def read_link(self, directory: int, name: str) -> str:
        """Give a link's text: relative as it is, absolute as a drive path."""
        handle = _nt.create(directory, name, _LOOK, _nt.OPEN_REPARSE_POINT)
        try:
            tag, target = _winhandle.reparse(handle)
        finally:
            _nt.close(handle)
        if target is None:
            raise _nt.NtError(_nt.NOT_A_REPARSE_POINT if not tag & _nt.NAME_SURROGATE else _nt.ACCESS_DENIED)
        return target

    def open_file(self, directory: int, name: str) -> int:
        """Open for reading; only a file on a disk, and only if its bytes are here."""
        found = self.lstat(directory, name)
        if found.kind not in (Kind.FILE, Kind.LINK):
            raise OddFile(found.kind)
        return self._file(directory, name, _nt.GENERIC_READ, os.O_RDONLY)

    def fstat(self, fd: int) -> Stat:
        """Describe an open file."""
        return _winhandle.described(_winhandle.handle(fd))

    # Changes

    def draft(self, directory: int) -> Draft:
        """Make a file with a private name."""
        name = f"{DRAFT_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
        access = _nt.GENERIC_READ | _nt.GENERIC_WRITE | _nt.DELETE | _nt.WRITE_DAC
        return Draft(
            _winhandle.descriptor(
                _nt.create(directory, name, access, _nt.NON_DIRECTORY_FILE, disposition=_nt.CREATE), os.O_RDWR
            ),
            name,
        )

    def keep(self, source: int, draft: int) -> None:
        """Access list, then attributes and the time of creation. Alternate streams stay behind."""
        old, new = _winhandle.handle(source), _winhandle.handle(draft)
        size = ctypes.c_uint32()
        status = _nt.ntdll().NtQuerySecurityObject(old, _nt.DACL, None, 0, ctypes.byref(size)) & 0xFFFFFFFF
        if status == _nt.BUFFER_TOO_SMALL:
            descriptor = ctypes.create_string_buffer(size.value)
            _nt.must(_nt.ntdll().NtQuerySecurityObject(old, _nt.DACL, descriptor, size.value, ctypes.byref(size)))
            _nt.must(_nt.ntdll().NtSetSecurityObject(new, _nt.DACL, descriptor))
        was = _nt.basic(old)
        _nt.set_information(
            new, _nt.BasicInformation(was.created, 0, 0, 0, was.attributes & _KEPT or _nt.NORMAL), _nt.BASIC
        )

    def like(self, source: int, copy: int) -> None:
        """Attributes and times."""
        was = _nt.basic(_winhandle.handle(source))
        was.changed, was.attributes = 0, was.attributes & _KEPT or _nt.NORMAL
        _nt.set_information(_winhandle.handle(copy), was, _nt.BASIC)

    def like_directory(self, source: int, copy: int) -> None:
        """Times, through a handle that may set them."""
        was = _nt.basic(source)
        was.changed, was.attributes = 0, 0
        handle = _nt.create(copy, "", _nt.WRITE_ATTRIBUTES, _nt.DIRECTORY_FILE)
        try:
            _nt.set_information(handle, was, _nt.BASIC)
        finally:
            _nt.close(handle)

    def publish_new(self, directory: int, draft: Draft, name: str) -> None:
        """Rename the open draft without replacing."""
        _winhandle.patiently(lambda: _winhandle.rename(_winhandle.handle(draft.fd), directory, name, Overwrite.REFUSE))
        draft.name = None

    def publish_over(self, directory: int, draft: Draft, name: str, expected: Stat) -> None:
        """Look once more, then rename the open draft over the name in one step."""
        found = self.lstat(directory, name)
        if (found.identity, found.size, found.mtime_ns) != (expected.identity, expected.size, expected.mtime_ns):
            raise Displaced
        _winhandle.patiently(lambda: _winhandle.rename(_winhandle.handle(draft.fd), directory, name, Overwrite.REPLACE))
        draft.name = None

    def discard(self, directory: int, draft: Draft) -> None:  # noqa: ARG002
        """Remove the private name by the draft's own handle, then close it."""
        if draft.name is not None:
            with contextlib.suppress(OSError):
                _winhandle.delete(_winhandle.handle(draft.fd))
            draft.name = None
        with contextlib.suppress(OSError):
            os.close(draft.fd)

    def rewrite(self, directory: int, name: str, expected: Stat) -> int:
        """Open for writing without truncating; it must still be the same file."""
        fd = self._file(directory, name, _nt.GENERIC_READ | _nt.GENERIC_WRITE, os.O_RDWR)
        if self.fstat(fd).identity != expected.identity:
            os.close(fd)
            raise Displaced
        return fd

    def rename(self, source: int, name: str, target: int, new: str, overwrite: Overwrite) -> None:
        """Rename the opened thing itself, a link too, to a name relative to the target's handle."""
        self._spelled_out(source, name)

        def act() -> None:
            handle = _nt.create(source, name, _nt.DELETE | _LOOK, _nt.OPEN_REPARSE_POINT)
            try:
                _winhandle.rename(handle, target, new, overwrite)
            finally:
                _nt.close(handle)

        _winhandle.patiently(act)

    def make_directory(self, directory: int, name: str, mode: int = 0o777) -> None:  # noqa: ARG002 - ACLs are inherited
        """Make a directory."""
        _nt.close(_nt.create(directory, name, _LOOK, _nt.DIRECTORY_FILE, disposition=_nt.CREATE))

    def make_link(self, directory: int, name: str, target: str) -> None:  # noqa: ARG002
        """Refused: making links is a privilege on Windows."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def remove(self, directory: int, name: str, kind: Kind) -> None:
        """Delete the opened thing itself; the kind decides what it may be."""
        options = _nt.DIRECTORY_FILE if kind is Kind.DIRECTORY else 0 if kind is Kind.LINK else _nt.NON_DIRECTORY_FILE

        self._spelled_out(directory, name)

        def act() -> None:
            handle = _nt.create(directory, name, _nt.DELETE | _LOOK, options | _nt.OPEN_REPARSE_POINT)
            try:
                _winhandle.delete(handle)
            finally:
                _nt.close(handle)

        _winhandle.patiently(act)

    def copy_some(self, source: int, target: int, count: int) -> int:
        """Read and write."""
        data = os.read(source, min(count, _CHUNK))
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        return len(data)

    def sync_file(self, fd: int) -> None:
        """`FlushFileBuffers`."""
        os.fsync(fd)

    def sync_directory(self, directory: int) -> None:
        """NTFS writes names through its own journal."""

    # Opening

    def _open(self, directory: int, name: str, access: int, options: int) -> int:
        """Open one name and no reparse point, but for those that are a file with a filter in front."""
        try:
            return _nt.create(directory, name, access, options)
        except _nt.NtError as error:
            if error.status != _nt.REPARSE_ENCOUNTERED:
                raise
        pin = _nt.create(directory, name, _LOOK, _nt.OPEN_REPARSE_POINT, share=_nt.SHARE_NO_DELETE)
        try:
            tag, target = _winhandle.reparse(pin)
            if target is not None:
                raise LinkFound(target)
            if tag & _nt.NAME_SURROGATE or not tag:
                raise _nt.NtError(_nt.ACCESS_DENIED)  # a link of a kind nobody else's rules are known for
            handle = _nt.create(directory, name, access, options, attributes=_nt.CASE_INSENSITIVE)
            if _winhandle.identity(handle) != _winhandle.identity(pin):
                _nt.close(handle)
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return handle
        finally:
            _nt.close(pin)

    def _file(self, directory: int, name: str, access: int, flags: int) -> int:
        """Open a regular file that is here, look at what came, and make it a descriptor."""
        self._spelled_out(directory, name)
        try:
            handle = self._open(directory, name, access, _nt.NON_DIRECTORY_FILE)
        except _nt.NtError as error:
            if error.status == _nt.FILE_IS_A_DIRECTORY:
                raise OddFile(Kind.DIRECTORY) from None
            raise
        try:
            _at_hand(handle, name)
            _below(directory, handle)
        except BaseException:
            _nt.close(handle)
            raise
        return _winhandle.descriptor(handle, flags)

    def _spelled_out(self, directory: int, name: str) -> None:
        """Raise ENOENT for a name that is only another file's 8.3 alias."""
        if _winnames.may_be_short(name):
            wanted = name.upper()
            if not any(found.upper() == wanted for found, _ in self.scan(directory)):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _below(directory: int, handle: int) -> None:
    """The second look: the opened file's own idea of where it is; ESTALE unless that is right below its directory."""
    for _ in range(2):  # a directory that is moved between the two questions gives two answers that do not fit
        above = _winhandle.plain(_nt.final_path(handle)).rpartition("\\")[0]
        if above.casefold() == _winhandle.plain(_nt.final_path(directory)).rstrip("\\").casefold():
            return
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _at_hand(handle: int, name: str) -> None:
    """Raise unless it is a file on a disk with its bytes on this machine."""
    if _nt.kernel32().GetFileType(handle) != _nt.TYPE_DISK:
        raise OddFile(Kind.DEVICE)
    if _nt.attribute_tag(handle).attributes & (_nt.RECALL_ON_DATA_ACCESS | _nt.RECALL_ON_OPEN):
        raise Denied(f"`{name}` is in the cloud, not on this disk", "ask the user to make it available offline")

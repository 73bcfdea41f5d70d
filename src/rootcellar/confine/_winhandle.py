"""What can be told of, and done to, one opened Windows handle; threats and algorithm are in `_windows.py`."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from rootcellar.confine import _nt
from rootcellar.confine._open import Kind, Overwrite, Stat

_TO_1970: Final = 116_444_736_000_000_000  # 100 ns from 1601 to 1970
_PAUSES_S: Final = (0.0, 0.01, 0.05, 0.1, 0.2)
_RENAME_REPLACE, _RENAME_POSIX, _RENAME_IGNORE_READONLY = 0x1, 0x2, 0x40
_DELETE, _DELETE_POSIX, _DELETE_IGNORE_READONLY = 0x1, 0x2, 0x10
_OLD_WAY: Final = (_nt.INVALID_PARAMETER, _nt.NOT_SUPPORTED, _nt.NOT_IMPLEMENTED, _nt.INVALID_INFO_CLASS)


def parse_listing(raw: bytes) -> Iterator[tuple[str, Kind]]:
    """Names and kinds in one answer of `NtQueryDirectoryFile(FileFullDirectoryInformation)`."""
    head, offset = _nt.DirectoryHead, 0
    begin = head.ea_or_tag.offset + 4
    while True:
        entry = head.from_buffer_copy(raw[offset : offset + ctypes.sizeof(head)])
        name = raw[offset + begin : offset + begin + entry.length].decode("utf-16-le", "surrogatepass")
        if name not in (".", ".."):
            yield name, kind_of(entry.attributes, entry.ea_or_tag)
        if not entry.next:
            return
        offset += entry.next


def kind_of(attributes: int, tag: int) -> Kind:
    """A reparse point is a link only when it stands for another name."""
    if attributes & _nt.REPARSE and tag & _nt.NAME_SURROGATE:
        return Kind.LINK
    if attributes & _nt.DEVICE:
        return Kind.DEVICE
    return Kind.DIRECTORY if attributes & _nt.DIRECTORY else Kind.FILE


def parse_reparse(raw: bytes) -> tuple[int, str | None]:
    r"""Tag and target of REPARSE_DATA_BUFFER; no target for what is neither a symbolic link nor a junction.

    A relative link's target comes as written, any other as a path without the `\??\` in front.
    """
    tag = struct.unpack_from("<I", raw)[0]
    if tag not in (_nt.TAG_SYMLINK, _nt.TAG_MOUNT_POINT):
        return tag, None
    offset, length, _, _ = struct.unpack_from("<4H", raw, 8)
    start = 16
    relative = False
    if tag == _nt.TAG_SYMLINK:
        relative = bool(struct.unpack_from("<I", raw, 16)[0] & 1)
        start = 20
    target = raw[start + offset : start + offset + length].decode("utf-16-le", "surrogatepass")
    return tag, target if relative else plain(target)


def plain(path: str) -> str:
    r"""Without the prefix of the device or object namespace: `\\?\C:\x`, `\??\C:\x`, `\\?\UNC\s\h`."""
    for prefix in ("\\\\?\\", "\\??\\"):
        if path.startswith(prefix):
            path = path.removeprefix(prefix)
            return "\\\\" + path[4:] if path[:4].upper() == "UNC\\" else path
    return path


def reparse(handle: int) -> tuple[int, str | None]:
    buffer, status = ctypes.create_string_buffer(16 << 10), _nt.IoStatus()
    _nt.must(
        _nt.ntdll().NtFsControlFile(
            handle, None, None, None, ctypes.byref(status), _nt.GET_REPARSE_POINT, None, 0, buffer, len(buffer)
        )
    )
    return parse_reparse(buffer.raw)


def described(handle: int) -> Stat:
    found, tag = _nt.handle_information(handle), 0
    if found.attributes & _nt.REPARSE:
        tag = _nt.attribute_tag(handle).tag
    kind = kind_of(found.attributes, tag)
    return Stat(
        kind=kind,
        size=(found.size_high << 32 | found.size_low) if kind is Kind.FILE else 0,
        mtime_ns=_nanoseconds(found.written[1] << 32 | found.written[0]),
        ctime_ns=_nanoseconds(found.created[1] << 32 | found.created[0]),
        mode=(0o444 if found.attributes & _nt.READONLY else 0o666) | (0o111 if kind is Kind.DIRECTORY else 0),
        dev=found.volume,
        ino=found.index_high << 32 | found.index_low,
        nlink=found.links,
        atime_ns=_nanoseconds(found.accessed[1] << 32 | found.accessed[0]),
    )


def _nanoseconds(filetime: int) -> int:
    return (filetime - _TO_1970) * 100


def identity(handle: int) -> tuple[int, int]:
    return described(handle).identity


def rename(handle: int, target: int, new: str, overwrite: Overwrite) -> None:
    """By handle; the newer call first, as it also replaces what others have open."""
    replace = overwrite is Overwrite.REPLACE
    flags = (_RENAME_REPLACE | _RENAME_POSIX | _RENAME_IGNORE_READONLY) if replace else 0
    try:
        _nt.set_information(handle, rename_information(target, new, flags), _nt.RENAME_EX)
    except _nt.NtError as error:
        if error.status not in _OLD_WAY:
            raise
        _nt.set_information(handle, rename_information(target, new, int(replace)), _nt.RENAME)


def rename_information(target: int, new: str, flags: int) -> ctypes.Array[ctypes.c_char]:
    """FILE_RENAME_INFORMATION(_EX): a name relative to a directory handle."""
    encoded = new.encode("utf-16-le", "surrogatepass")
    begin = _nt.RenameHead.length.offset + 4
    data = ctypes.create_string_buffer(max(begin + len(encoded), ctypes.sizeof(_nt.RenameHead)))
    head = _nt.RenameHead.from_buffer(data)
    head.flags, head.root, head.length = flags, target, len(encoded)
    ctypes.memmove(ctypes.addressof(data) + begin, encoded, len(encoded))
    return data


def delete(handle: int) -> None:
    """By handle; with POSIX semantics the name is free at once, even while others have it open."""
    try:
        flags = struct.pack("<I", _DELETE | _DELETE_POSIX | _DELETE_IGNORE_READONLY)
        _nt.set_information(handle, ctypes.create_string_buffer(flags, 4), _nt.DISPOSITION_EX)
    except _nt.NtError as error:
        if error.status not in _OLD_WAY:
            raise
        _nt.set_information(handle, ctypes.create_string_buffer(b"\1", 1), _nt.DISPOSITION)


def patiently(act: Callable[[], None]) -> None:
    """Try again for a third of a second while somebody else has the file open."""
    for pause_s in _PAUSES_S:
        time.sleep(pause_s)
        try:
            return act()
        except _nt.NtError as error:
            failed = error
            if error.status not in (_nt.SHARING_VIOLATION, _nt.ACCESS_DENIED, _nt.DELETE_PENDING):
                raise
    raise failed


def descriptor(handle: int, flags: int) -> int:
    """Make the handle a C descriptor, which owns it from then on."""
    if sys.platform != "win32":
        raise _nt.NtError(_nt.NOT_SUPPORTED)
    import msvcrt

    try:
        return msvcrt.open_osfhandle(handle, flags | os.O_BINARY | os.O_NOINHERIT)
    except OSError:
        _nt.close(handle)
        raise


def handle(fd: int) -> int:
    if sys.platform != "win32":
        raise _nt.NtError(_nt.NOT_SUPPORTED)
    import msvcrt

    return msvcrt.get_osfhandle(fd)

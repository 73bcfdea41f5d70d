"""The calls of `ntdll` and `kernel32` that work relative to an open handle, with their structures and error numbers.

Only layouts and thin calls; what they are for is in `_windows.py`. Structures are laid out for the pointer size of the
process, and checked against the documented 64-bit sizes by a test that runs on every system. Sources: `wdm.h`,
`ntifs.h` and `winternl.h` as documented at learn.microsoft.com.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from typing import Any, Final

# Access
LIST_DIRECTORY, TRAVERSE, READ_ATTRIBUTES, WRITE_ATTRIBUTES = 0x1, 0x20, 0x80, 0x100
DELETE, READ_CONTROL, WRITE_DAC, SYNCHRONIZE = 0x10000, 0x20000, 0x40000, 0x100000
GENERIC_READ, GENERIC_WRITE = 0x120089, 0x120116  # FILE_GENERIC_*: NtCreateFile takes specific rights
SHARE_ALL: Final = 0x7
SHARE_NO_DELETE: Final = 0x3

# Disposition and options
OPEN, CREATE = 1, 2
DIRECTORY_FILE, SYNCHRONOUS, NON_DIRECTORY_FILE, OPEN_REPARSE_POINT = 0x1, 0x20, 0x40, 0x200000
CASE_INSENSITIVE, DONT_REPARSE = 0x40, 0x1000

# Attributes and reparse tags
READONLY, HIDDEN, SYSTEM, DIRECTORY, ARCHIVE, DEVICE, NORMAL, REPARSE = 0x1, 0x2, 0x4, 0x10, 0x20, 0x40, 0x80, 0x400
RECALL_ON_OPEN, RECALL_ON_DATA_ACCESS = 0x40000, 0x400000
NAME_SURROGATE: Final = 0x20000000
TAG_SYMLINK, TAG_MOUNT_POINT = 0xA000000C, 0xA0000003

# Information classes
FULL_DIRECTORY, BASIC, RENAME, DISPOSITION, ATTRIBUTE_TAG, DISPOSITION_EX, RENAME_EX = 2, 4, 10, 13, 35, 64, 65
GET_REPARSE_POINT: Final = 0x900A8
DACL: Final = 0x4
TYPE_DISK: Final = 1

# Statuses
NO_MORE_FILES, BUFFER_OVERFLOW = 0x80000006, 0x80000005
INVALID_INFO_CLASS, INVALID_PARAMETER, NOT_IMPLEMENTED, NOT_SUPPORTED = 0xC0000003, 0xC000000D, 0xC0000002, 0xC00000BB
REPARSE_ENCOUNTERED, FILE_IS_A_DIRECTORY, NOT_A_DIRECTORY = 0xC000050B, 0xC00000BA, 0xC0000103
NO_SUCH_FILE, NOT_A_REPARSE_POINT = 0xC000000F, 0xC0000275
SHARING_VIOLATION, ACCESS_DENIED, DELETE_PENDING = 0xC0000043, 0xC0000022, 0xC0000056
BUFFER_TOO_SMALL: Final = 0xC0000023

_ERRNO: Final = {
    NO_SUCH_FILE: errno.ENOENT,
    0xC0000034: errno.ENOENT,  # object name not found
    0xC000003A: errno.ENOENT,  # object path not found
    0xC0000033: errno.EINVAL,  # object name invalid
    0xC0000035: errno.EEXIST,  # object name collision
    FILE_IS_A_DIRECTORY: errno.EISDIR,
    NOT_A_DIRECTORY: errno.ENOTDIR,
    0xC0000101: errno.ENOTEMPTY,
    ACCESS_DENIED: errno.EACCES,
    SHARING_VIOLATION: errno.EBUSY,
    0xC0000054: errno.EBUSY,  # a byte range is locked
    DELETE_PENDING: errno.ENOENT,
    0xC0000121: errno.EACCES,  # cannot delete: read-only, or mapped
    0xC000007F: errno.ENOSPC,
    0xC0000044: errno.ENOSPC,  # quota
    0xC00000A2: errno.EROFS,
    0xC00000D4: errno.EXDEV,  # not the same device
    0xC000011F: errno.EMFILE,
    0xC000009A: errno.ENOMEM,
    0xC0000106: errno.ENAMETOOLONG,
    REPARSE_ENCOUNTERED: errno.ELOOP,
    NOT_A_REPARSE_POINT: errno.EINVAL,
    0xC000000E: errno.ENODEV,
    0xC0000013: errno.ENODEV,  # no medium in the drive
    0xC00000C9: errno.ENOTCONN,  # the network name is gone
    INVALID_PARAMETER: errno.EINVAL,
    NOT_SUPPORTED: errno.ENOTSUP,
    NOT_IMPLEMENTED: errno.ENOSYS,
    INVALID_INFO_CLASS: errno.ENOSYS,
}


class UnicodeString(ctypes.Structure):
    """UNICODE_STRING: lengths are bytes."""

    _fields_ = (("length", ctypes.c_uint16), ("maximum", ctypes.c_uint16), ("buffer", ctypes.c_void_p))


class ObjectAttributes(ctypes.Structure):
    """OBJECT_ATTRIBUTES."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("root", ctypes.c_void_p),
        ("name", ctypes.POINTER(UnicodeString)),
        ("attributes", ctypes.c_uint32),
        ("security", ctypes.c_void_p),
        ("quality", ctypes.c_void_p),
    )


class IoStatus(ctypes.Structure):
    """IO_STATUS_BLOCK."""

    _fields_ = (("status", ctypes.c_void_p), ("information", ctypes.c_size_t))


class BasicInformation(ctypes.Structure):
    """FILE_BASIC_INFORMATION: times in 100 ns since 1601; 0 leaves one as it is."""

    _fields_ = (
        ("created", ctypes.c_int64),
        ("accessed", ctypes.c_int64),
        ("written", ctypes.c_int64),
        ("changed", ctypes.c_int64),
        ("attributes", ctypes.c_uint32),
    )


class AttributeTag(ctypes.Structure):
    """FILE_ATTRIBUTE_TAG_INFORMATION."""

    _fields_ = (("attributes", ctypes.c_uint32), ("tag", ctypes.c_uint32))


class RenameHead(ctypes.Structure):
    """FILE_RENAME_INFORMATION(_EX) up to the name."""

    _fields_ = (("flags", ctypes.c_uint32), ("root", ctypes.c_void_p), ("length", ctypes.c_uint32))


class DirectoryHead(ctypes.Structure):
    """FILE_FULL_DIR_INFORMATION up to the name; `ea_or_tag` is the reparse tag of a reparse point."""

    _fields_ = (
        ("next", ctypes.c_uint32),
        ("index", ctypes.c_uint32),
        ("created", ctypes.c_int64),
        ("accessed", ctypes.c_int64),
        ("written", ctypes.c_int64),
        ("changed", ctypes.c_int64),
        ("size", ctypes.c_int64),
        ("allocated", ctypes.c_int64),
        ("attributes", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("ea_or_tag", ctypes.c_uint32),
    )


class HandleInformation(ctypes.Structure):
    """BY_HANDLE_FILE_INFORMATION; each 64-bit value in two halves, as they are not aligned."""

    _fields_ = (
        ("attributes", ctypes.c_uint32),
        ("created", ctypes.c_uint32 * 2),
        ("accessed", ctypes.c_uint32 * 2),
        ("written", ctypes.c_uint32 * 2),
        ("volume", ctypes.c_uint32),
        ("size_high", ctypes.c_uint32),
        ("size_low", ctypes.c_uint32),
        ("links", ctypes.c_uint32),
        ("index_high", ctypes.c_uint32),
        ("index_low", ctypes.c_uint32),
    )


class NtError(OSError):
    """An OSError that remembers its NTSTATUS."""

    def __init__(self, status: int) -> None:
        number = _ERRNO.get(status, errno.EIO)
        super().__init__(number, f"{os.strerror(number)} (NTSTATUS {status:#010x})")
        self.status = status


@functools.cache
def ntdll() -> Any:  # noqa: ANN401 - a library of foreign functions
    """`ntdll`; only on Windows."""
    if sys.platform != "win32":
        raise NtError(NOT_SUPPORTED)
    library = ctypes.WinDLL("ntdll")
    pointer, number = ctypes.c_void_p, ctypes.c_uint32
    library.NtCreateFile.argtypes = [
        pointer, number, pointer, pointer, pointer, number, number, number, number, pointer, number,
    ]  # fmt: skip
    library.NtQueryInformationFile.argtypes = [pointer, pointer, pointer, number, number]
    library.NtSetInformationFile.argtypes = [pointer, pointer, pointer, number, number]
    library.NtQueryDirectoryFile.argtypes = [
        pointer, pointer, pointer, pointer, pointer, pointer, number, number, ctypes.c_uint8, pointer, ctypes.c_uint8,
    ]  # fmt: skip
    library.NtFsControlFile.argtypes = [
        pointer, pointer, pointer, pointer, pointer, number, pointer, number, pointer, number,
    ]  # fmt: skip
    library.NtQuerySecurityObject.argtypes = [pointer, number, pointer, number, pointer]
    library.NtSetSecurityObject.argtypes = [pointer, number, pointer]
    library.NtClose.argtypes = [pointer]
    return library


@functools.cache
def kernel32() -> Any:  # noqa: ANN401 - a library of foreign functions
    """`kernel32`; only on Windows."""
    if sys.platform != "win32":
        raise NtError(NOT_SUPPORTED)
    library = ctypes.WinDLL("kernel32", use_last_error=True)
    library.CreateFileW.restype = ctypes.c_void_p
    library.CreateFileW.argtypes = [
        ctypes.c_wchar_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32,
        ctypes.c_void_p,
    ]  # fmt: skip
    library.GetFinalPathNameByHandleW.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32]
    library.GetFileInformationByHandle.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.GetFileType.argtypes = [ctypes.c_void_p]
    return library


def must(status: int) -> int:
    """Raise NtError for an error status; give the status back otherwise."""
    status &= 0xFFFFFFFF
    if status >= 0xC0000000:  # noqa: PLR2004 - severity: error
        raise NtError(status)
    return status


def create(
    directory: int, name: str, access: int, options: int, *, disposition: int = OPEN, share: int = SHARE_ALL,
    attributes: int = CASE_INSENSITIVE | DONT_REPARSE,
) -> int:  # fmt: skip
    """`NtCreateFile` of one name relative to a directory handle; an empty name opens the directory itself again."""
    encoded = name.encode("utf-16-le", "surrogatepass")
    text = ctypes.create_string_buffer(encoded, len(encoded) + 2)
    string = UnicodeString(len(encoded), len(encoded), ctypes.addressof(text))
    wanted = ObjectAttributes(
        ctypes.sizeof(ObjectAttributes), directory, ctypes.pointer(string), attributes, None, None
    )
    handle, status = ctypes.c_void_p(), IoStatus()
    must(
        ntdll().NtCreateFile(
            ctypes.byref(handle), access | SYNCHRONIZE, ctypes.byref(wanted), ctypes.byref(status), None, NORMAL, share,
            disposition, options | SYNCHRONOUS, None, 0,
        )
    )  # fmt: skip
    assert handle.value is not None
    return handle.value


def close(handle: int) -> None:
    """`NtClose`."""
    ntdll().NtClose(handle)


def set_information(handle: int, data: ctypes.Structure | ctypes.Array[ctypes.c_char], kind: int) -> None:
    """`NtSetInformationFile`."""
    status = IoStatus()
    must(ntdll().NtSetInformationFile(handle, ctypes.byref(status), ctypes.byref(data), ctypes.sizeof(data), kind))


def basic(handle: int) -> BasicInformation:
    """Times and attributes."""
    found, status = BasicInformation(), IoStatus()
    must(
        ntdll().NtQueryInformationFile(
            handle, ctypes.byref(status), ctypes.byref(found), ctypes.sizeof(found), BASIC
        )
    )  # fmt: skip
    return found


def attribute_tag(handle: int) -> AttributeTag:
    """Attributes and reparse tag."""
    found, status = AttributeTag(), IoStatus()
    must(
        ntdll().NtQueryInformationFile(
            handle, ctypes.byref(status), ctypes.byref(found), ctypes.sizeof(found), ATTRIBUTE_TAG
        )
    )
    return found


def handle_information(handle: int) -> HandleInformation:
    """Volume, index, size, links: what identifies a file."""
    found = HandleInformation()
    if not kernel32().GetFileInformationByHandle(handle, ctypes.byref(found)):
        raise last_error()
    return found


def final_path(handle: int, flags: int = 0) -> str:
    r"""Where the handle leads by now, every link resolved and every short name spelled out: `\\?\C:\...`."""
    size = 512
    while True:
        buffer = ctypes.create_unicode_buffer(size)
        needed = kernel32().GetFinalPathNameByHandleW(handle, buffer, size, flags)
        if not needed:
            raise last_error()
        if needed < size:
            return buffer.value
        size = needed + 1


def last_error() -> OSError:
    """The error of the last `kernel32` call."""
    if sys.platform != "win32":
        return NtError(NOT_SUPPORTED)
    return ctypes.WinError(ctypes.get_last_error())

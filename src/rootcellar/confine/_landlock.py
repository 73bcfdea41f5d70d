"""The second wall: a thread gives up, for good, every file outside the directories it names.

Threats: a path bug in our resolver, in SQLite, in a decoder or in any library that opens by name; a child
process that follows a link; a write that a race carries outside. Not a threat this stops: code that already
runs in our process (threads share memory), descriptors opened before, `stat` and `chmod` of names outside,
hard links, UDP.

Algorithm: one ruleset that denies by default every right the running kernel knows, then one rule per
directory *handle* (never a name), then `landlock_restrict_self`. The kernel restricts the calling thread and
what it starts afterwards (threads, children); it cannot be undone. Rights are handed out per directory tree and
add up on the way to the root, so a read-only root inside a read-write one is read-write here: the first wall
keeps that difference.

Sources: `linux/landlock.h`, `Documentation/userspace-api/landlock.rst`. ABI 1 came with Linux 5.13, 2 with 5.19
(rename across directories), 3 with 6.2 (truncate), 4 with 6.7 (TCP), 5 with 6.10 (device ioctl), 6 with 6.12
(signals and abstract sockets), 7 with 6.15 (log flags, unused here). A newer ABI is used as the newest known one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Right(IntFlag):
    """What a thread may do below a directory; the kernel's own bits."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIRECTORY = 1 << 3
    REMOVE_DIRECTORY = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHARACTER_DEVICE = 1 << 6
    MAKE_DIRECTORY = 1 << 7
    MAKE_FILE = 1 << 8
    MAKE_SOCKET = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK_DEVICE = 1 << 11
    MAKE_LINK = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    DEVICE_IOCTL = 1 << 15


READ: Final = Right.READ_FILE | Right.READ_DIRECTORY
# Moving a thing in needs the right to make its kind; devices are never made or moved by us.
RECEIVE: Final = (
    Right.MAKE_DIRECTORY | Right.MAKE_FILE | Right.MAKE_SOCKET | Right.MAKE_FIFO | Right.MAKE_LINK | Right.REFER
)
WRITE: Final = READ | RECEIVE | Right.WRITE_FILE | Right.REMOVE_DIRECTORY | Right.REMOVE_FILE | Right.TRUNCATE
RUN: Final = Right.EXECUTE | Right.READ_FILE

Need = tuple[str, Right, str]
NULL_DEVICE: Final[Need] = ("/dev/null", Right.READ_FILE | Right.WRITE_FILE, "what a child reads and writes in vain")

_FILE_RIGHTS: Final = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.DEVICE_IOCTL
_KNOWN_ABI: Final = 7
_NEW_IN: Final = {2: Right.REFER, 3: Right.TRUNCATE, 5: Right.DEVICE_IOCTL}
_ABI_1: Final = Right((1 << 13) - 1)
_TCP: Final = 0b11  # bind and connect
_SCOPES: Final = 0b11  # abstract unix sockets and signals, to whoever is outside

_SYS_CREATE_RULESET: Final = 444  # these numbers are the same on every architecture but alpha
_SYS_ADD_RULE: Final = 445
_SYS_RESTRICT_SELF: Final = 446
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_MAPPED: Final = re.compile(r"(?:^\s*|=> )(/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)  # a line of the loader's list

_WHY_NOT: Final = {
    errno.ENOSYS: "the kernel has no Landlock (Linux 5.13 or newer is needed), or a container hides it",
    errno.EOPNOTSUPP: "Landlock is built into the kernel but switched off at boot (add `landlock` to `lsm=`)",
    errno.EPERM: "the sandbox this process runs in forbids Landlock",
    errno.EACCES: "the sandbox this process runs in forbids Landlock",
}


@dataclass(frozen=True, slots=True)
class Support:
    """What the running kernel offers: an ABI (0 is none) and, when none, why."""

    abi: int
    why_not: str = ""

    @property
    def rights(self) -> Right:
        """Every file right this ABI can deny."""
        return functools.reduce(lambda all_, abi: all_ | _NEW_IN.get(abi, Right(0)), range(2, self.abi + 1), _ABI_1)

    @property
    def denies_tcp(self) -> bool:
        """Whether a restricted thread can open no TCP connection."""
        return self.abi >= 4  # noqa: PLR2004 - the ABI's number is its name


@dataclass(frozen=True, slots=True)
class Allowance:
    """Rights below one open directory (or on one open file), and what they are for."""

    fd: int
    rights: Right
    purpose: str


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


@functools.cache
def support() -> Support:
    """Ask the kernel once which ABI it speaks."""
    if sys.platform != "linux":
        return Support(0, "Landlock exists on Linux only")
    try:
        return Support(max(_call(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION), 0))
    except OSError as error:
        reason = _WHY_NOT.get(error.errno or 0, f"the kernel answers {errno.errorcode.get(error.errno or 0, '?')}")
        return Support(0, reason)


def restrict_this_thread(allowances: Sequence[Allowance], *, abi: int | None = None) -> None:
    """Leave the calling thread, and all it will start, these allowances and nothing else; OSError if it cannot.

    The first call in a process that will fork or start threads decides for them too. A failure leaves the thread as
    it was: the caller must then end it rather than let it work.
    """
    offered = support()
    if not offered.abi:
        raise OSError(errno.ENOSYS, offered.why_not)
    _load_unwinder()
    spoken = Support(min(offered.abi, _KNOWN_ABI, abi or _KNOWN_ABI))
    ruleset = _create_ruleset(spoken)
    try:
        for allowance in allowances:
            _add(ruleset, allowance, spoken.rights)
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs could not be set")
        _call(_SYS_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


@functools.cache
def needs_of(program: str) -> tuple[Need, ...]:
    """The files a program needs to start: itself, the loader and each library; asks the loader once.

    The loader lists what it would map when `LD_TRACE_LOADED_OBJECTS` is set; a static program ignores that and prints
    its version, which names no file.
    """
    traced = subprocess.run(
        [program, "--version"], env={"LD_TRACE_LOADED_OBJECTS": "1"}, stdin=subprocess.DEVNULL, capture_output=True,
        check=False, timeout=10,
    )  # fmt: skip
    files = sorted(set(_MAPPED.findall(os.fsdecode(traced.stdout))))
    return (
        (program, RUN, "a program"),
        ("/etc/ld.so.cache", Right.READ_FILE, "where libraries lie"),
        *((file, RUN if "/ld-" in file else Right.READ_FILE, "its loader and libraries") for file in files),
    )


def _create_ruleset(spoken: Support) -> int:
    """A ruleset that denies all this ABI can; the structure is cut to what the ABI knows."""
    attr = _RulesetAttr(spoken.rights, _TCP if spoken.abi >= 4 else 0, _SCOPES if spoken.abi >= 6 else 0)  # noqa: PLR2004
    size = 24 if spoken.abi >= 6 else 16 if spoken.abi >= 4 else 8  # noqa: PLR2004 - 8 bytes a field
    return _call(_SYS_CREATE_RULESET, ctypes.byref(attr), size, 0)


def _add(ruleset: int, allowance: Allowance, known: Right) -> None:
    """One rule. The kernel refuses directory rights on a file, so those are left out there."""
    rights = allowance.rights & known
    if not stat.S_ISDIR(os.fstat(allowance.fd).st_mode):
        rights &= _FILE_RIGHTS
    if rights:
        attr = _PathBeneathAttr(rights, allowance.fd)
        _call(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(attr), 0)


@functools.cache
def _load_unwinder() -> None:
    """Load what the C library loads when the exit ends a thread: shut out from it, the process would abort."""
    with contextlib.suppress(OSError):  # musl has it built in
        ctypes.CDLL("libgcc_s.so.1")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _syscall() -> Callable[..., int]:
    function = _libc().syscall
    function.restype = ctypes.c_long
    return function


def _call(number: int, *args: object) -> int:
    """One system call with each integer passed as a long: a C `int` would leave its upper half to chance."""
    wide = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = _syscall()(ctypes.c_long(number), *wide)
    if result < 0:
        number_of_error = ctypes.get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error))
    return int(result)

"""Windows: names by a table on every system, layouts by their documented sizes, calls on a real `ntdll`.

`ROOTCELLAR_WINDOWS_PYTHON` may name the command of a Windows CPython (under Wine, on another system).
"""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.

from __future__ import annotations

import ctypes
import os
import pathlib
import shlex
import struct
import subprocess
import sys
import typing

import pytest

from rootcellar.confine import _nt, _winhandle, _winnames
from rootcellar.confine._open import Backend, Kind
from rootcellar.confine._windows import WindowsBackend
from rootcellar.errors import BadName, NameTooLong, NotFound, Refusal

HERE = pathlib.Path(__file__).parent

# What an argument is cut into: the anchor and the names.
SPLITS = {
    "f": ("", ["f"]),
    "a/b\\c": ("", ["a", "b", "c"]),
    "a//b\\\\c": ("", ["a", "b", "c"]),
    "./a/.\\b": ("", ["a", "b"]),
    "a\\..\\..\\outside": ("", ["a", "..", "..", "outside"]),
    "..": ("", [".."]),
    "": ("", []),
    ".": ("", ["."]),
    "d\\": ("", ["d", "."]),
    "d/.": ("", ["d", "."]),
    "C:\\Users\\x": ("C:\\", ["Users", "x"]),
    "c:/Users/x": ("C:\\", ["Users", "x"]),
    "C:\\": ("C:\\", ["."]),
    "C:": ("C:\\", []),
    "\\\\server\\share\\d\\f": ("\\\\server\\share\\", ["d", "f"]),
    "//server/share/f": ("\\\\server\\share\\", ["f"]),
    "//server/share": ("\\\\server\\share\\", []),
    "\\\\localhost\\c$\\Windows": ("\\\\localhost\\c$\\", ["Windows"]),
}

NO_PATHS = [
    "C:f", "c:..\\f", "1:\\f", "é:\\f", "\\f", "/f", "\\Windows\\win.ini", "/Windows/win.ini", "\\\\.\\C:", "//./C:",
    "\\\\.\\PhysicalDrive0", "\\\\.\\pipe\\x", "\\\\?\\C:\\f", "//?/C:/f", "\\\\?\\GLOBALROOT\\Device\\HarddiskVolume1\\",
    "\\\\?\\UNC\\server\\share\\f", "\\??\\C:\\Windows\\win.ini", "\\Device\\HarddiskVolume1", "\\\\server", "\\\\server\\",
    "//server//share/f", "\\\\\\server\\share", "\\\\ser*ver\\share\\f", "\\\\server\\sh:are\\f", "\\/f", "/\\f",
]  # fmt: skip

DEVICES = [
    "CON", "con", "PRN", "AUX", "NUL", "nUl", "CONIN$", "CONOUT$", "conin$", *[f"COM{digit}" for digit in "0123456789¹²³"],
    *[f"LPT{digit}" for digit in "0123456789¹²³"], "com¹",
]  # fmt: skip
DEVICE_TAILS = ["", ".txt", ".foo.bar", ".", " ", "  ", " .txt", "  .log", ":", ":stream", ".txt:s", ". .", ".tar.gz "]

NO_NAMES = [
    "f:stream", "f::$DATA", "a::$INDEX_ALLOCATION", ".:stream", ":s", "f.", "f ", "f. ", "f .", "f..", ".. ", ". ", "... x ",
    "a*", "?", "a?b", "<", ">", "a|b", 'a"b', "a\0b", "\0", "a\nb", "\r\n", "a\tb\x1b", "\x1f", "\ud800", "x\udcff", " ",
    "C:", "a\\b", "a/b",
]  # fmt: skip

NAMES = [
    "f", "f.txt", ".hidden", "..;", "a..b", "-rf", "~", "$HOME", "%USERPROFILE%", "`id`", "100%25.txt", " leading", "a b",
    "CONfig", "CON1", "COM", "COM10", "COM１", "LPT", "NULL", "nul_", "aux-file", "xCON", "com¹x", "conin", "auxiliary.txt",
    "ü", "u\u0308", "\u202etxt.exe", "\u200bf", "\ufefff", "．．", "‥", "..∕outside∕secret", "..／outside／secret",
    "..＼outside", "ｆ：ｓ", "x" * 255, "é" * 255, "😀" * 127, "LONGFI~1.TXT", "a~b", "f\x7f", "desktop.ini", "$MFT", "İ",
]  # fmt: skip


@pytest.mark.parametrize("path", SPLITS)
def test_a_path_is_cut_at_both_separators(path: str) -> None:
    assert _winnames.split(path) == SPLITS[path]


@pytest.mark.parametrize("path", NO_PATHS)
def test_a_path_that_is_neither_whole_nor_relative_is_refused(path: str) -> None:
    with pytest.raises(BadName):
        _winnames.split(path)


@pytest.mark.parametrize("tail", DEVICE_TAILS)
@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_no_file_whatever_follows(device: str, tail: str) -> None:
    assert _winnames.is_device(device + tail)
    with pytest.raises(BadName):
        _winnames.check(device + tail)


@pytest.mark.parametrize("name", NO_NAMES, ids=ascii)
def test_a_name_windows_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        _winnames.check(name)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:30])
def test_an_odd_name_that_is_legal_stays_as_it_is(name: str) -> None:
    assert _winnames.check(name) == name


@pytest.mark.parametrize("name", ["x" * 256, "😀" * 128, "é" * 256])
def test_a_name_over_255_units_is_too_long(name: str) -> None:
    with pytest.raises(NameTooLong):
        _winnames.check(name)


@pytest.mark.parametrize("name", ["...", "....", "." * 20])
def test_a_name_of_dots_does_not_exist(name: str) -> None:
    with pytest.raises(NotFound):
        _winnames.check(name)


def test_the_directory_itself_and_its_parent_are_left_to_the_walker() -> None:
    assert [_winnames.check(name) for name in (".", "..")] == [".", ".."]


@pytest.mark.parametrize(
    "name", ["LONGFI~1.TXT", "SSH~1", "longfi~1", "A_LO~ABC.TXT", "~1", "X~10.C", "ENV~1", "FO12AB~1.ME"]
)
def test_a_name_of_the_short_shape_is_looked_at_again(name: str) -> None:
    assert _winnames.may_be_short(name)


@pytest.mark.parametrize(
    "name", ["longfilename~1.txt", "plain.txt", "a~1.text", "a.b~1.c", "file~1.tar.gz", "~backup-of-x"]
)
def test_a_name_that_cannot_be_short_costs_no_second_look(name: str) -> None:
    assert not _winnames.may_be_short(name)


def test_no_component_of_a_refused_form_ever_gets_through_whole() -> None:
    """The two steps together: nothing in these tables is both cut and accepted."""
    for path in [*NO_PATHS, *NO_NAMES, *(device + tail for device in DEVICES for tail in DEVICE_TAILS)]:
        if path not in {"a\\b", "a/b", "C:"}:  # two names, and a drive: the walker looks for it among the roots
            with pytest.raises(Refusal):
                both_steps(path)


def both_steps(path: str) -> list[str]:
    """As the walker takes them."""
    return [_winnames.check(name) for name in _winnames.split(path)[1]]


SIZES = {
    _nt.UnicodeString: 16,
    _nt.ObjectAttributes: 48,
    _nt.IoStatus: 16,
    _nt.BasicInformation: 40,
    _nt.AttributeTag: 8,
    _nt.HandleInformation: 52,
}


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="sizes are those of 64-bit Windows")
@pytest.mark.parametrize("structure", SIZES, ids=lambda structure: structure.__name__)
def test_structures_have_their_documented_sizes(structure: type[ctypes.Structure]) -> None:
    assert ctypes.sizeof(structure) == SIZES[structure]


def test_fields_lie_where_windows_puts_them() -> None:
    assert _nt.DirectoryHead.attributes.offset == 56
    assert _nt.DirectoryHead.length.offset == 60
    assert _nt.DirectoryHead.ea_or_tag.offset + 4 == 68
    if ctypes.sizeof(ctypes.c_void_p) == 8:
        assert (_nt.RenameHead.root.offset, _nt.RenameHead.length.offset) == (8, 16)
        assert (_nt.ObjectAttributes.name.offset, _nt.ObjectAttributes.attributes.offset) == (16, 24)
        data = _winhandle.rename_information(0x1234, "né", 3).raw
        assert struct.unpack_from("<I4xQI", data) == (3, 0x1234, 4)
        assert data[20:24] == "né".encode("utf-16-le")
        assert len(data) >= 24


def listing(*entries: tuple[str, int, int]) -> bytes:
    """An answer of `NtQueryDirectoryFile`: name, attributes, reparse tag."""
    raw = b""
    for index, (name, attributes, tag) in enumerate(entries):
        encoded = name.encode("utf-16-le", "surrogatepass")
        size = -(-(68 + len(encoded)) // 8) * 8
        following = 0 if index == len(entries) - 1 else size
        head = struct.pack("<II6qIII", following, 0, 0, 0, 0, 0, 7, 8, attributes, len(encoded), tag)
        raw += (head + encoded).ljust(size, b"\0")
    return raw.ljust(4096, b"\xff")


def test_a_listing_is_read_to_its_end_and_no_further() -> None:
    raw = listing(
        (".", 0x10, 0),
        ("..", 0x10, 0),
        ("file é", 0x20, 0),
        ("dir", 0x10, 0),
        ("link", 0x420, _nt.TAG_SYMLINK),
        ("junction", 0x410, _nt.TAG_MOUNT_POINT),
        ("in the cloud", 0x400420, 0x9000001A),
        ("half \ud83d", 0x80, 0),
    )
    assert list(_winhandle.parse_listing(raw)) == [
        ("file é", Kind.FILE),
        ("dir", Kind.DIRECTORY),
        ("link", Kind.LINK),
        ("junction", Kind.LINK),
        ("in the cloud", Kind.FILE),
        ("half \ud83d", Kind.FILE),
    ]


def reparse(tag: int, substitute: str, shown: str, relative: bool | None) -> bytes:  # noqa: FBT001
    one, two = substitute.encode("utf-16-le"), shown.encode("utf-16-le")
    body = struct.pack("<4H", len(two), len(one), 0, len(two)) + (
        b"" if relative is None else struct.pack("<I", relative)
    )
    return struct.pack("<IHH", tag, len(body) + len(one) + len(two), 0) + body + two + one


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (reparse(_nt.TAG_SYMLINK, "a\\f", "shown", True), (_nt.TAG_SYMLINK, "a\\f")),
        (reparse(_nt.TAG_SYMLINK, "..\\outside", "", True), (_nt.TAG_SYMLINK, "..\\outside")),
        (reparse(_nt.TAG_SYMLINK, "\\??\\C:\\x", "C:\\x", False), (_nt.TAG_SYMLINK, "C:\\x")),
        (reparse(_nt.TAG_SYMLINK, "\\??\\UNC\\s\\h\\f", "", False), (_nt.TAG_SYMLINK, "\\\\s\\h\\f")),
        (reparse(_nt.TAG_MOUNT_POINT, "\\??\\C:\\base\\a", "", None), (_nt.TAG_MOUNT_POINT, "C:\\base\\a")),
        (reparse(_nt.TAG_MOUNT_POINT, "\\??\\Volume{1-2}\\", "", None), (_nt.TAG_MOUNT_POINT, "Volume{1-2}\\")),
        (struct.pack("<IHH", 0x9000001A, 4, 0) + b"blob", (0x9000001A, None)),
        (struct.pack("<IHH", 0x8000001B, 4, 0) + b"blob", (0x8000001B, None)),
    ],
)
def test_a_reparse_point_is_read_as_what_it_is(raw: bytes, expected: tuple[int, str | None]) -> None:
    assert _winhandle.parse_reparse(raw) == expected


def test_the_backend_offers_all_of_the_interface_with_the_same_parameters() -> None:
    import inspect

    for name, member in vars(Backend).items():
        if name.startswith("_") or not callable(member):
            continue
        theirs = inspect.signature(member).parameters
        assert list(inspect.signature(getattr(WindowsBackend, name)).parameters) == list(theirs), name
    assert set(typing.get_type_hints(Backend)) <= set(dir(WindowsBackend))


def test_every_call_fails_as_an_os_error_where_there_is_no_ntdll(tmp_path: pathlib.Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there is one")
    backend = WindowsBackend()
    for act in (lambda: backend.lstat(3, "f"), lambda: backend.enter(3, "f"), lambda: backend.open_root(str(tmp_path))):
        with pytest.raises(OSError):
            act()


def _python() -> list[str] | None:
    if sys.platform == "win32":
        return [sys.executable]
    command = os.environ.get("ROOTCELLAR_WINDOWS_PYTHON", "")
    return shlex.split(command) or None


@pytest.mark.skipif(_python() is None, reason="no Windows Python here; ROOTCELLAR_WINDOWS_PYTHON names one")
def test_the_backend_works_on_a_real_ntdll() -> None:
    command = _python()
    assert command is not None
    under_wine = sys.platform != "win32"
    drive = (lambda path: "Z:" + str(path).replace("/", "\\")) if under_wine else str
    source = HERE.parent.parent / "src"
    done = subprocess.run(
        [*command, drive(HERE / "windows_probe.py")],
        env={**os.environ, "PYTHONPATH": drive(source), "WINEDEBUG": "-all"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    print(text)
    assert done.returncode == 0, text + done.stderr.decode("utf-8", "replace")
    assert " 0 failed" in text

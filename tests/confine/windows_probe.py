"""The Windows backend against a real `ntdll`: run by `test_windows.py` on Windows, or through Wine where it is set up.

Prints one line per check, `ok NAME` or `FAIL NAME: what happened`; exits 0 when all are ok. Stdlib only, no pytest.
"""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.
# ruff: noqa: PT017, SIM105

from __future__ import annotations

import ctypes
import errno
import os
import sys
import tempfile
from collections.abc import Callable

from rootcellar.confine import _nt
from rootcellar.confine._open import Backend, Displaced, Kind, LinkFound, OddFile, Overwrite
from rootcellar.confine._windows import WindowsBackend

CHECKS: list[Callable[[Backend, int, str], None]] = []


def check(function: Callable[[Backend, int, str], None]) -> Callable[[Backend, int, str], None]:
    """Run it with a backend, the handle of a fresh root, and the root's path."""
    CHECKS.append(function)
    return function


def fails(number: int, act: Callable[[], object]) -> None:
    """See that it raises this errno."""
    try:
        act()
    except OSError as error:
        assert error.errno == number, f"errno {error.errno}, not {number}: {error}"
    else:
        raise AssertionError("nothing was raised")


def put(path: str, text: str) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(text)


def get(path: str) -> str:
    with open(path, newline="", encoding="utf-8") as file:
        return file.read()


def read(backend: Backend, directory: int, name: str) -> bytes:
    fd = backend.open_file(directory, name)
    try:
        return os.read(fd, 1000)
    finally:
        os.close(fd)


@check
def structures_have_their_documented_sizes(_backend: Backend, _root: int, _path: str) -> None:
    assert ctypes.sizeof(_nt.ObjectAttributes) == 48
    assert ctypes.sizeof(_nt.UnicodeString) == 16


@check
def a_file_is_read_and_described(backend: Backend, root: int, path: str) -> None:
    put(path + "\\f", "text")
    assert read(backend, root, "f") == b"text"
    found, seen = backend.lstat(root, "f"), os.stat(path + "\\f")
    assert (found.kind, found.size, found.nlink) == (Kind.FILE, 4, 1), found
    assert (found.ino, found.mtime_ns) == (seen.st_ino, seen.st_mtime_ns), (found, seen)
    assert backend.lstat(root, "F").identity == found.identity


@check
def directories_are_entered_listed_and_opened_below(backend: Backend, root: int, path: str) -> None:
    os.makedirs(path + "\\a\\b\\c")
    put(path + "\\a\\b\\f", "deep")
    a = backend.enter(root, "a")
    b = backend.enter(a, "b")
    assert read(backend, b, "f") == b"deep"
    assert sorted(backend.scan(b)) == [("c", Kind.DIRECTORY), ("f", Kind.FILE)]
    assert sorted(backend.scan(b)) == [("c", Kind.DIRECTORY), ("f", Kind.FILE)], "a second listing starts again"
    below = backend.open_below(root, ["a", "b"])
    assert below is not None
    assert backend.lstat(below, ".").identity == backend.lstat(b, ".").identity
    for handle in (a, b, below):
        backend.close(handle)
    empty = backend.open_below(root, ["a", "b", "c"])
    assert empty is not None
    assert list(backend.scan(empty)) == []
    backend.close(empty)


@check
def many_names_are_listed(backend: Backend, root: int, path: str) -> None:
    names = {f"file number {number:04} é" for number in range(2000)}
    for name in names:
        put(f"{path}\\{name}", "")
    assert {name for name, kind in backend.scan(root) if kind is Kind.FILE} == names


@check
def what_is_missing_or_of_another_kind_says_so(backend: Backend, root: int, path: str) -> None:
    os.mkdir(path + "\\d")
    put(path + "\\f", "")
    fails(errno.ENOENT, lambda: backend.lstat(root, "nope"))
    fails(errno.ENOENT, lambda: backend.open_file(root, "nope"))
    fails(errno.ENOENT, lambda: backend.enter(root, "nope"))
    fails(errno.ENOTDIR, lambda: backend.enter(root, "f"))
    assert backend.open_below(root, ["f"]) is None
    fails(errno.EINVAL, lambda: backend.read_link(root, "f"))
    try:
        backend.open_file(root, "d")
    except OddFile as odd:
        assert odd.kind is Kind.DIRECTORY
    else:
        raise AssertionError("a directory was opened as a file")


@check
def a_name_never_leads_up_or_aside(backend: Backend, root: int, path: str) -> None:
    put(path + "\\..\\beside", "outside")
    for name in (
        "..",
        "..\\beside",
        "\\beside",
        "C:\\windows\\win.ini",
        "\\??\\C:\\windows\\win.ini",
        "f\\..\\..\\beside",
    ):
        for act in (backend.lstat, backend.open_file, backend.enter):
            try:
                act(root, name)
            except (OSError, OddFile, LinkFound):
                continue
            raise AssertionError(f"{act.__name__} of {name!r} went through")


@check
def a_new_file_is_published_once(backend: Backend, root: int, path: str) -> None:
    draft = backend.draft(root)
    os.write(draft.fd, b"new")
    backend.sync_file(draft.fd)
    backend.publish_new(root, draft, "n")
    os.close(draft.fd)
    assert get(path + "\\n") == "new"
    second = backend.draft(root)
    fails(errno.EEXIST, lambda: backend.publish_new(root, second, "n"))
    backend.discard(root, second)
    assert os.listdir(path) == ["n"]


@check
def a_file_is_replaced_in_one_step_and_keeps_its_mode(backend: Backend, root: int, path: str) -> None:
    put(path + "\\f", "old")
    source = backend.open_file(root, "f")
    expected = backend.fstat(source)
    draft = backend.draft(root)
    os.write(draft.fd, b"fresh")
    backend.keep(source, draft.fd)
    os.close(source)
    backend.publish_over(root, draft, "f", expected)
    os.close(draft.fd)
    assert get(path + "\\f") == "fresh"
    assert os.listdir(path) == ["f"]
    other = backend.draft(root)
    try:
        backend.publish_over(root, other, "f", expected)
    except Displaced:
        backend.discard(root, other)
    else:
        raise AssertionError("a file that changed was replaced")
    assert os.listdir(path) == ["f"]


@check
def a_file_is_rewritten_in_place(backend: Backend, root: int, path: str) -> None:
    put(path + "\\f", "old text")
    expected = backend.lstat(root, "f")
    fd = backend.rewrite(root, "f", expected)
    os.write(fd, b"NEW")
    os.close(fd)
    assert get(path + "\\f") == "NEW text"


@check
def things_move_without_replacing_unless_told(backend: Backend, root: int, path: str) -> None:
    for name in ("d", "e"):
        os.mkdir(f"{path}\\{name}")
    put(path + "\\f", "f")
    put(path + "\\d\\g", "g")
    d = backend.enter(root, "d")
    fails(errno.EEXIST, lambda: backend.rename(root, "f", d, "g", Overwrite.REFUSE))
    assert get(path + "\\d\\g") == "g"
    backend.rename(root, "f", d, "h", Overwrite.REFUSE)
    assert get(path + "\\d\\h") == "f"
    backend.rename(d, "h", d, "g", Overwrite.REPLACE)
    assert get(path + "\\d\\g") == "f"
    backend.close(d)
    e = backend.enter(root, "e")
    backend.rename(root, "d", e, "moved", Overwrite.REFUSE)
    assert get(path + "\\e\\moved\\g") == "f"
    backend.close(e)


@check
def things_are_made_and_removed(backend: Backend, root: int, path: str) -> None:
    backend.make_directory(root, "d")
    fails(errno.EEXIST, lambda: backend.make_directory(root, "d"))
    put(path + "\\d\\f", "")
    d = backend.enter(root, "d")
    backend.remove(d, "f", Kind.FILE)
    backend.close(d)
    backend.remove(root, "d", Kind.DIRECTORY)
    assert os.listdir(path) == []
    fails(errno.ENOENT, lambda: backend.remove(root, "d", Kind.DIRECTORY))


@check
def a_copy_is_like_its_source(backend: Backend, root: int, path: str) -> None:
    put(path + "\\f", "x" * 100_000)
    os.utime(path + "\\f", ns=(10**18, 10**18))
    source, draft = backend.open_file(root, "f"), backend.draft(root)
    while backend.copy_some(source, draft.fd, 30_000):
        pass
    backend.like(source, draft.fd)
    backend.publish_new(root, draft, "g")
    os.close(source)
    os.close(draft.fd)
    assert get(path + "\\g") == get(path + "\\f")
    assert os.stat(path + "\\g").st_mtime_ns == 10**18


@check
def a_root_is_opened_by_its_real_path_only(backend: Backend, _root: int, path: str) -> None:
    real = backend.real_path(path)
    handle = backend.open_root(real)
    assert backend.lstat(handle, ".").kind is Kind.DIRECTORY
    backend.close(handle)
    put(path + "\\f", "")
    fails(errno.ENOTDIR, lambda: backend.open_root(real + "\\f"))
    try:
        backend.open_root(real + "\\nope")
    except OSError:
        pass
    else:
        raise AssertionError("a missing root was opened")


@check
def a_short_alias_is_no_name(backend: Backend, root: int, path: str) -> None:
    put(path + "\\a long file name.txt", "x")
    buffer = ctypes.create_unicode_buffer(300)
    _nt.kernel32().GetShortPathNameW(path + "\\a long file name.txt", buffer, 300)
    short = buffer.value.rpartition("\\")[2]
    if not short or "~" not in short:
        print("     (no short names on this disk)")
        return
    fails(errno.ENOENT, lambda: backend.lstat(root, short))
    fails(errno.ENOENT, lambda: backend.open_file(root, short))
    put(path + "\\REAL~1.TXT", "y")
    assert read(backend, root, "REAL~1.TXT") == b"y"


@check
def handles_are_not_leaked(backend: Backend, root: int, path: str) -> None:
    put(path + "\\f", "x")
    count = ctypes.c_uint32()

    def handles() -> int:
        _nt.kernel32().GetProcessHandleCount(ctypes.c_void_p(-1), ctypes.byref(count))
        return count.value

    def work() -> None:
        backend.lstat(root, "f")
        read(backend, root, "f")
        list(backend.scan(root))
        for act in (backend.enter, backend.read_link):
            try:
                act(root, "f")
            except OSError:
                pass

    work()
    before = handles()
    for _ in range(50):
        work()
    assert handles() == before, f"{before} before, {handles()} after"


def main() -> int:
    """Run every check in a directory of its own."""
    failed = 0
    backend: Backend = WindowsBackend()
    with tempfile.TemporaryDirectory() as base:
        for number, function in enumerate(CHECKS):
            path = os.path.join(backend.real_path(base), f"r{number}", "root")
            os.makedirs(path)
            root = backend.open_root(path)
            try:
                function(backend, root, path)
            except Exception as error:  # noqa: BLE001 - a probe reports whatever happens
                failed += 1
                import traceback

                print(f"FAIL {function.__name__}: {type(error).__name__}: {error}", traceback.format_exc(), flush=True)
            else:
                print(f"ok   {function.__name__}", flush=True)
            finally:
                backend.close(root)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The kernel's wall, on threads of this process: what it lets through, what it refuses, and at every ABI."""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from rootcellar.confine import _landlock
from rootcellar.confine._landlock import NULL_DEVICE, READ, WRITE, Allowance, Right, Support

T = TypeVar("T")
needs_landlock = pytest.mark.skipif(not _landlock.support().abi, reason=f"no Landlock: {_landlock.support().why_not}")


@pytest.fixture
def base(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("rw", "ro", "outside"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "f").write_text(name)
    (tmp_path / "rw" / "out").symlink_to(tmp_path / "outside")
    return tmp_path


@pytest.fixture
def allowances(base: pathlib.Path) -> Iterator[list[Allowance]]:
    opened = [
        Allowance(os.open(base / "rw", os.O_RDONLY), WRITE, "a root"),
        Allowance(os.open(base / "ro", os.O_RDONLY), READ, "a root"),
    ]
    yield opened
    for allowance in opened:
        os.close(allowance.fd)


def behind(allowances: list[Allowance], act: Callable[[], T], abi: int | None = None) -> T:
    """Run on a thread of its own that restricts itself first."""
    outcome: list[T | BaseException] = []

    def body() -> None:
        try:
            _landlock.restrict_this_thread(allowances, abi=abi)
            outcome.append(act())
        except BaseException as error:  # noqa: BLE001 - carried to the test
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def made_moved_removed(base: pathlib.Path) -> None:
    (base / "rw/n").write_text("x")
    (base / "rw/n").rename(base / "rw/sub/n")
    (base / "rw/sub/n").unlink()


# What is done, and what the kernel answers; None is success. The same act without the wall always succeeds.
ACTS: dict[str, tuple[Callable[[pathlib.Path], object], int | None]] = {
    "read in a read-write root": (lambda b: (b / "rw/f").read_text(), None),
    "read in a read-only root": (lambda b: (b / "ro/f").read_text(), None),
    "list a root": (lambda b: os.listdir(b / "ro"), None),
    "write in a read-write root": (lambda b: (b / "rw/f").write_text("x"), None),
    "create, rename into a directory, remove": (made_moved_removed, None),
    "make a directory": (lambda b: (b / "rw/d").mkdir(), None),
    "make a link": (lambda b: (b / "rw/l").symlink_to("f"), None),
    "make a FIFO": (lambda b: os.mkfifo(b / "rw/p"), None),
    "write in a read-only root": (lambda b: (b / "ro/f").write_text("x"), errno.EACCES),
    "truncate in a read-only root": (lambda b: os.truncate(b / "ro/f", 0), errno.EACCES),
    "create in a read-only root": (lambda b: (b / "ro/n").write_text("x"), errno.EACCES),
    "remove in a read-only root": (lambda b: (b / "ro/f").unlink(), errno.EACCES),
    "rename into a read-only root": (lambda b: (b / "rw/f").rename(b / "ro/n"), errno.EACCES),
    "read outside": (lambda b: (b / "outside/f").read_text(), errno.EACCES),
    "read outside through a link": (lambda b: (b / "rw/out/f").read_text(), errno.EACCES),
    "read outside through dotdot": (lambda b: (b / "rw/../outside/f").read_text(), errno.EACCES),
    "list outside": (lambda b: os.listdir(b / "outside"), errno.EACCES),
    "list the file system": (lambda _: os.listdir("/"), errno.EACCES),
    "write outside": (lambda b: (b / "outside/f").write_text("x"), errno.EACCES),
    "truncate outside": (lambda b: os.truncate(b / "outside/f", 0), errno.EACCES),
    "create outside": (lambda b: (b / "outside/n").write_text("x"), errno.EACCES),
    "rename out": (lambda b: (b / "rw/f").rename(b / "outside/n"), errno.EACCES),
    "rename in": (lambda b: (b / "outside/f").rename(b / "rw/n"), errno.EACCES),
    "link in": (lambda b: os.link(b / "outside/f", b / "rw/n"), errno.EXDEV),
    "remove outside": (lambda b: (b / "outside/f").unlink(), errno.EACCES),
    "make a directory outside": (lambda b: (b / "outside/d").mkdir(), errno.EACCES),
    "run a program": (lambda _: subprocess.run(["/bin/true"], check=True, stdin=sys.stderr), errno.EACCES),
    "make a device in a root": (lambda b: os.mknod(b / "rw/null", 0o020600, os.makedev(1, 3)), errno.EACCES),
}
BITES = ["make a device in a root"]  # needs privileges without the wall, too


@needs_landlock
@pytest.mark.parametrize("act", ACTS)
def test_a_restricted_thread_can_do_this_and_no_more(act: str, base: pathlib.Path, allowances: list[Allowance]) -> None:
    function, expected = ACTS[act]
    if expected is None:
        behind(allowances, lambda: function(base))
    else:
        with pytest.raises(OSError) as caught:
            behind(allowances, lambda: function(base))
        assert caught.value.errno == expected
    assert (base / "outside/f").read_text() == "outside"
    assert sorted(os.listdir(base / "outside")) == ["f", "sub"]


@pytest.mark.skipif(sys.platform != "linux", reason="the acts are spelled for Linux")
@pytest.mark.parametrize("act", [name for name in ACTS if name not in BITES])
def test_the_table_bites_without_the_wall_every_act_succeeds(act: str, base: pathlib.Path) -> None:
    ACTS[act][0](base)


@needs_landlock
@pytest.mark.parametrize("abi", range(1, _landlock.support().abi + 1))
def test_every_older_abi_still_denies_what_it_knows(abi: int, base: pathlib.Path, allowances: list[Allowance]) -> None:
    assert behind(allowances, (base / "rw/f").read_text, abi) == "rw"
    with pytest.raises(PermissionError):
        behind(allowances, (base / "outside/f").read_text, abi)
    with pytest.raises(OSError) as caught:
        behind(allowances, lambda: (base / "rw/f").rename(base / "outside/n"), abi)
    assert caught.value.errno in {errno.EACCES, errno.EXDEV}
    if abi == 1:
        with pytest.raises(OSError) as caught:
            behind(allowances, lambda: (base / "rw/f").rename(base / "rw/sub/f"), abi)
        assert caught.value.errno == errno.EXDEV  # why a pool does not use ABI 1 for a read-write root


def test_each_abi_denies_exactly_the_rights_it_brought() -> None:
    counts = {abi: Support(abi).rights.bit_count() for abi in range(1, 8)}
    assert counts == {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16}
    assert [Support(abi).denies_tcp for abi in (3, 4, 7)] == [False, True, True]
    assert ctypes.sizeof(_landlock._RulesetAttr) == 24
    assert ctypes.sizeof(_landlock._PathBeneathAttr) == 12


def test_a_root_grants_neither_execution_nor_devices() -> None:
    assert not WRITE & (Right.EXECUTE | Right.MAKE_CHARACTER_DEVICE | Right.MAKE_BLOCK_DEVICE | Right.DEVICE_IOCTL)
    assert not READ & ~(Right.READ_FILE | Right.READ_DIRECTORY)


@needs_landlock
@pytest.mark.skipif(not _landlock.support().denies_tcp, reason="TCP is denied from ABI 4 on")
def test_a_restricted_thread_opens_no_tcp_connection(allowances: list[Allowance]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PermissionError):
            behind(allowances, lambda: socket.create_connection(("127.0.0.1", port)))
        with pytest.raises(PermissionError):
            behind(allowances, lambda: socket.create_server(("127.0.0.1", 0)))
        socket.create_connection(("127.0.0.1", port)).close()


@needs_landlock
def test_the_restriction_cannot_be_widened_and_is_inherited(base: pathlib.Path, allowances: list[Allowance]) -> None:
    outside = Allowance(os.open(base / "outside", os.O_RDONLY), WRITE, "too late")

    def widen_then_read() -> None:
        _landlock.restrict_this_thread([*allowances, outside])
        (base / "outside/f").read_text()

    def read_on_a_new_thread() -> int | None:
        seen: list[int | None] = []

        def body() -> None:
            try:
                (base / "outside/f").read_text()
                seen.append(None)
            except OSError as error:
                seen.append(error.errno)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return seen[0]

    with pytest.raises(PermissionError):
        behind(allowances, widen_then_read)
    assert behind(allowances, read_on_a_new_thread) == errno.EACCES
    os.close(outside.fd)


@needs_landlock
def test_a_program_runs_behind_the_wall_only_if_it_is_allowed(base: pathlib.Path, allowances: list[Allowance]) -> None:
    program = "/bin/cat"

    def cat(name: str) -> tuple[int, str]:
        done = subprocess.run(
            [program, str(base / name)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout

    needs = [
        Allowance(os.open(path, os.O_PATH), rights, purpose)
        for path, rights, purpose in (NULL_DEVICE, *_landlock.needs_of(program))
    ]
    assert behind([*allowances, *needs], lambda: cat("rw/f")) == (0, "rw")
    assert behind([*allowances, *needs], lambda: cat("outside/f"))[0] != 0
    with pytest.raises(PermissionError):
        behind([*allowances, needs[0]], lambda: cat("rw/f"))
    for need in needs:
        os.close(need.fd)


@pytest.mark.parametrize(("number", "words"), [*_landlock._WHY_NOT.items(), (errno.EIO, "EIO")])
def test_an_absent_wall_says_why(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_landlock, "_call", refuse)
    monkeypatch.setattr(sys, "platform", "linux")
    _landlock.support.cache_clear()
    try:
        found = _landlock.support()
        assert found.abi == 0
        assert words in found.why_not
        with pytest.raises(OSError):
            _landlock.restrict_this_thread([])
    finally:
        _landlock.support.cache_clear()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_import_it_and_hear_that_there_is_none(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    _landlock.support.cache_clear()
    try:
        assert _landlock.support() == Support(0, "Landlock exists on Linux only")
    finally:
        _landlock.support.cache_clear()

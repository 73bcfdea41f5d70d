"""Pools: every thread behind the wall, two lanes, fresh pools for fresh roots, and nothing left behind."""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.
# ruff: noqa: D101

from __future__ import annotations

import errno
import gc
import hashlib
import os
import pathlib
import resource
import subprocess
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

import pytest

from rootcellar import limits
from rootcellar.confine import _landlock, _wall, pool
from rootcellar.confine.pool import Errand, Lane, Pools
from rootcellar.errors import Busy, Failed, NotFound
from rootcellar.policy import Access

needs_landlock = pytest.mark.skipif(not _landlock.support().abi, reason=f"no Landlock: {_landlock.support().why_not}")
GROWN = limits.DATABASE_THREADS + 7
EVERY_THREAD = limits.QUICK_THREADS + limits.LONG_THREADS + GROWN


@dataclass(frozen=True)
class Held:
    handle: int
    access: Access = Access.READ_WRITE


@pytest.fixture
def base(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("root", "two", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    return tmp_path


@pytest.fixture
def root(base: pathlib.Path) -> Iterator[Held]:
    held = Held(os.open(base / "root", os.O_RDONLY))
    yield held
    os.close(held.handle)


@pytest.fixture
def pools() -> Iterator[Pools]:
    made = Pools()
    yield made
    made.end()


def denied(path: pathlib.Path) -> bool:
    try:
        path.read_text()
    except PermissionError:
        return True
    return False


def threads_named(prefix: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]


def eventually(condition: object, seconds: float = 5.0) -> bool:
    """Wait for something other threads do; the time is a bound, not an expectation."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        threading.Event().wait(0.005)
    return True


@needs_landlock
def test_every_thread_of_all_lanes_is_held_to_the_roots(pools: Pools, root: Held, base: pathlib.Path) -> None:
    gate = threading.Barrier(EVERY_THREAD)

    def look() -> tuple[str, bool, int]:
        gate.wait(10)  # so that each thread takes exactly one
        return (base / "root/f").read_text(), denied(base / "outside/f"), threading.get_ident()

    futures = [
        pools.run([root], lane, look)
        for lane, count in (
            (Lane.QUICK, limits.QUICK_THREADS),
            (Lane.LONG, limits.LONG_THREADS),
            (Lane.DATABASE, GROWN),  # one that its own threads let grow
        )
        for _ in range(count)
    ]
    seen = [future.result(10) for future in futures]
    assert {(text, refused) for text, refused, _ in seen} == {("root", True)}
    assert len({ident for _, _, ident in seen}) == EVERY_THREAD
    assert not denied(base / "outside/f"), "the thread that makes pools stays free"


@needs_landlock
def test_read_only_and_read_write_roots_differ_behind_the_wall(pools: Pools, root: Held, base: pathlib.Path) -> None:
    two = Held(os.open(base / "two", os.O_RDONLY), Access.READ_ONLY)
    run = pools.run([root, two], Lane.QUICK, (base / "root/n").write_text, "x")
    assert run.result(10) == 1
    with pytest.raises(PermissionError):
        pools.run([root, two], Lane.QUICK, (base / "two/n").write_text, "x").result(10)
    assert pools.run([root, two], Lane.QUICK, (base / "two/f").read_text).result(10) == "two"
    os.close(two.handle)


@needs_landlock
def test_the_same_roots_share_a_pool_and_other_roots_or_access_do_not(
    pools: Pools, root: Held, base: pathlib.Path
) -> None:
    again = Held(os.open(base / "root", os.O_RDONLY))
    read_only = Held(again.handle, Access.READ_ONLY)
    assert pools.pool([root]) is pools.pool([again, root])
    assert pools.pool([root]) is not pools.pool([read_only])
    os.close(again.handle)


def test_what_a_call_raises_reaches_the_caller_whole(pools: Pools, root: Held) -> None:
    def refuse() -> None:
        message = "no `x`"
        raise NotFound(message, "Look elsewhere")

    with pytest.raises(NotFound) as caught:
        pools.run([root], Lane.QUICK, refuse).result(10)
    assert str(caught.value) == "no `x`. Look elsewhere"


def test_a_full_long_lane_never_starves_short_calls(pools: Pools, root: Held) -> None:
    release = threading.Event()
    long = [pools.run([root], Lane.LONG, release.wait, 30) for _ in range(100)]
    assert pools.run([root], Lane.QUICK, lambda: "quick").result(5) == "quick"
    release.set()
    assert all(future.result(10) for future in long)


def test_a_cancelled_call_never_starts(pools: Pools, root: Held) -> None:
    release, ran = threading.Event(), list[int]()
    blocking = [pools.run([root], Lane.LONG, release.wait, 30) for _ in range(limits.LONG_THREADS)]
    late = [pools.run([root], Lane.LONG, ran.append, number) for number in range(20)]
    assert all(future.cancel() for future in late[::2])
    release.set()
    wait(set[Future[Any]]([*blocking, *late]), 10)
    assert sorted(ran) == list(range(1, 20, 2))


def test_a_stuck_lane_gets_spares_up_to_a_cap_and_gives_them_back(
    pools: Pools, root: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STUCK_QUICK_S", 0.05)
    monkeypatch.setattr(limits, "SPARE_THREADS_MAX", 3)
    release = threading.Event()
    stuck = [pools.run([root], Lane.QUICK, release.wait, 60) for _ in range(limits.QUICK_THREADS + 3)]
    assert pools.run([root], Lane.LONG, lambda: "the other lane").result(10) == "the other lane"
    line = pools.pool([root])._lines[Lane.QUICK]
    assert eventually(lambda: line.spares == 3 and line.threads == limits.QUICK_THREADS + 3)
    release.set()
    assert all(future.result(10) for future in stuck)
    wait([pools.run([root], Lane.QUICK, time.monotonic) for _ in range(50)], 10)
    assert eventually(lambda: line.spares == 0 and line.threads == limits.QUICK_THREADS)


@needs_landlock
def test_a_spare_is_behind_the_wall_too(
    pools: Pools, root: Held, base: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STUCK_QUICK_S", 0.05)
    release = threading.Event()
    stuck = [pools.run([root], Lane.QUICK, release.wait, 60) for _ in range(limits.QUICK_THREADS)]
    name, refused = pools.run(
        [root], Lane.QUICK, lambda: (threading.current_thread().name, denied(base / "outside/f"))
    ).result(10)
    assert (name, refused) == ("rootcellar-quick-spare", True)
    release.set()
    wait(stuck, 10)


def test_a_stuck_thread_does_not_hold_up_the_exit_of_the_process(base: pathlib.Path) -> None:
    code = (
        "import os, sys, threading, time; from rootcellar.confine.pool import *; from rootcellar.policy import Access\n"
        "class H: handle = os.open(sys.argv[1], os.O_RDONLY); access = Access.READ_WRITE\n"
        "p = Pools(); at_work = threading.Event(); p.run([H], Lane.QUICK, lambda: (at_work.set(), time.sleep(600)))\n"
        "at_work.wait(); print('bye')"
    )
    for _ in range(8):  # the C library ends the idle threads at exit, in a race; it may need nothing new for that
        done = subprocess.run(
            [sys.executable, "-c", code, base / "root"], capture_output=True, text=True, timeout=20, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "bye\n", "")


def test_a_retired_pool_finishes_its_queue_and_lets_its_roots_go(pools: Pools, root: Held) -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    release = threading.Event()
    old = pools.pool([root])
    queued = [pools.run([root], Lane.QUICK, release.wait, 30) for _ in range(30)]
    pools.retire()
    assert pools.pool([root]) is not old
    assert pools.run([root], Lane.QUICK, lambda: "new roots").result(10) == "new roots"
    release.set()
    assert all(future.result(10) for future in queued)
    pools.end()
    assert eventually(lambda: not old._allowances and not threads_named("rootcellar-"))
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def test_idle_pools_end_and_work_brings_them_back(pools: Pools, root: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POOL_IDLE_S", 0.2)
    first = pools.pool([root])
    assert eventually(lambda: first.ended and not first._allowances)
    assert pools.run([root], Lane.QUICK, lambda: 1).result(10) == 1


@needs_landlock
def test_only_a_few_sets_of_roots_are_kept(pools: Pools, base: pathlib.Path) -> None:
    held = []
    for number in range(limits.POOLS_MAX + 2):
        (base / f"r{number}").mkdir()
        held.append(Held(os.open(base / f"r{number}", os.O_RDONLY)))
    made = [pools.pool([one]) for one in held]
    assert [one.ended for one in made] == [True, True] + [False] * limits.POOLS_MAX
    for one in held:
        os.close(one.handle)


@needs_landlock
def test_without_descriptors_the_call_is_refused_and_later_served(root: Held, base: pathlib.Path) -> None:
    pools = Pools()
    pools.warm()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = max(int(name) for name in os.listdir("/proc/self/fd"))
    for spare in range(4):  # also when the shortage strikes half-way
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(in_use, 3) + spare, hard))
        try:
            with pytest.raises(Busy):
                pools.run([root], Lane.QUICK, lambda: None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert pools.run([root], Lane.QUICK, denied, base / "outside/f").result(10)
    pools.end()
    assert eventually(lambda: not threads_named("rootcellar-"))


@needs_landlock
def test_a_wall_that_cannot_be_raised_refuses_and_starts_nothing(
    pools: Pools, root: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.E2BIG, "too many nested rulesets")

    ran: list[int] = []
    monkeypatch.setattr(_landlock, "restrict_this_thread", fail)
    with pytest.raises(Failed, match="could not be held to the roots"):
        pools.run([root], Lane.QUICK, ran.append, 1)
    assert not ran
    assert eventually(lambda: not threads_named("rootcellar-quick") and not threads_named("rootcellar-long"))


@needs_landlock
def test_a_wall_that_is_taken_and_not_enforced_refuses_too(
    pools: Pools, root: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_landlock, "restrict_this_thread", lambda *_: None)
    with pytest.raises(Failed):
        pools.run([root], Lane.QUICK, lambda: None)


def test_without_a_wall_the_threads_work_and_say_so(
    pools: Pools, root: Held, base: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wall, "support", lambda: _landlock.Support(0, "no Landlock in this kernel"))
    assert pools.run([root], Lane.QUICK, (base / "outside/f").read_text).result(10) == "outside"
    assert pools.pool([root]).wall == _landlock.Support(0, "no Landlock in this kernel")


def test_an_old_kernel_that_forbids_renames_stands_aside_for_read_write_roots(
    root: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wall, "support", lambda: _landlock.Support(1))
    assert _wall.wall([root]).abi == 0
    assert "rename" in _wall.wall([root]).why_not
    assert _wall.wall([Held(root.handle, Access.READ_ONLY)]).abi == 1


@needs_landlock
def test_an_errand_reaches_its_own_directory_and_no_other_call_does(
    pools: Pools, root: Held, base: pathlib.Path
) -> None:
    (base / "store").mkdir()
    (base / "root/gone").write_text("x")

    def prepare() -> Errand[tuple[bool, bool]]:
        assert not denied(base / "outside/f"), "it opens what we own before it is held"
        fd = os.open(base / "store", os.O_PATH)

        def act() -> tuple[bool, bool]:
            os.rename(base / "root/gone", "kept", dst_dir_fd=fd)
            return denied(base / "outside/f"), denied(base / "store/kept")

        return Errand((_landlock.Allowance(fd, _landlock.RECEIVE, "a store"),), act, lambda: os.close(fd))

    assert pools.run([root], Lane.QUICK, pool.errand, prepare).result(10) == (True, True)
    assert (base / "store/kept").read_text() == "x"
    with pytest.raises(PermissionError):
        pools.run([root], Lane.QUICK, os.rename, base / "root/f", base / "store/f").result(10)


def test_an_idle_thread_keeps_no_argument_or_result_alive(pools: Pools, root: Held) -> None:
    class Large:
        pass

    def give(_: Large) -> Large:
        return Large()

    large = Large()
    argument = weakref.ref(large)
    future: Future[Large] = pools.run([root], Lane.QUICK, give, large)
    result = weakref.ref(future.result(10))
    del large, future
    assert eventually(lambda: (gc.collect(), argument() is None and result() is None)[1])


def test_ordinary_work_needs_nothing_from_outside_the_roots(base: pathlib.Path) -> None:
    """In a fresh process, so that nothing is loaded by chance: text, hashes, images, detection, the search engine."""
    engine = pathlib.Path(sysconfig.get_path("scripts")) / "rg"
    done = subprocess.run(
        [sys.executable, "-c", _ORDINARY, base / "root", engine],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "utf-16 cp1252 shift_jis big5 idna ok", hashlib.sha256(b"x").hexdigest(), "cp1252 é", "PNG (4, 4) JPEG",
        "f:1:root", "[2]", "traceback ok",
    ]  # fmt: skip


_ORDINARY = r"""
import io, os, pathlib, subprocess, sys, time
import PIL.Image, charset_normalizer
from rootcellar.confine.pool import Lane, Pools
from rootcellar.policy import Access

class Root:
    handle = os.open(sys.argv[1], os.O_RDONLY)
    access = Access.READ_WRITE

home, engine = pathlib.Path(sys.argv[1]), sys.argv[2]
picture = io.BytesIO()
PIL.Image.new("RGB", (4, 4)).save(picture, "png")
(home / "p.png").write_bytes(picture.getvalue())
pools = Pools(programs=[engine], warm=[PIL.Image.init])

def encodings():
    names = ["utf-16", "cp1252", "shift_jis", "big5", "idna"]
    return " ".join([name for name in names if "a".encode(name).decode(name) == "a"] + ["ok"])

def digest():
    import hashlib
    return hashlib.sha256(b"x").hexdigest()

def detect():
    best = charset_normalizer.from_bytes("Où sont les élèves près de la fenêtre ? Là-bas, déjà.".encode("cp1252"))
    return "cp1252 é" if best.best() is not None else "nothing"

def image():
    with PIL.Image.open(home / "p.png") as opened:
        out = io.BytesIO()
        opened.convert("RGB").save(out, "jpeg")
        return f"{opened.format} {opened.size} {PIL.Image.open(io.BytesIO(out.getvalue())).format}"

def search():
    done = subprocess.run([engine, "-n", "-H", "root", "f"], cwd=home, stdin=subprocess.DEVNULL, capture_output=True)
    return done.stdout.decode().strip() or done.stderr.decode()

def outside():
    done = subprocess.run([engine, "root", "/etc"], stdin=subprocess.DEVNULL, capture_output=True)
    return [done.returncode]

def formatted():
    import traceback
    try:
        time.localtime(), 1 / 0
    except ZeroDivisionError:
        return "traceback ok" if "ZeroDivisionError" in traceback.format_exc() else "none"

for work in (encodings, digest, detect, image, search, outside, formatted):
    print(pools.run([Root], Lane.QUICK, work).result(20))
"""

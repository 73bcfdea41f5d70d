"""Nobody wins a race against the wall: every verb, while another process swaps what its path leads through.

The victims prove that each attack works: code that checks a path and then uses it leaks under the same swapping.
"""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from confine import raceyard
from confine.raceyard import ATTACKS, READS, WRITES, Attack, Yard
from confine.yard import backends
from rootcellar.confine import Grant, Ground, Lane, Roots
from rootcellar.confine._open import Backend, Kind, Stat
from rootcellar.confine._posix_look import described
from rootcellar.confine.pool import Pools
from rootcellar.errors import Refusal
from rootcellar.policy import Access, Policy

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the swapper needs renameat2"),
    pytest.mark.timeout(900),
]
BACKENDS = {backend.label: backend for backend in backends()}
full = pytest.mark.full


def roots_of(yard: Yard, backend: Backend | None = None) -> Roots:
    grant = Grant(str(yard.base / "root"), Access.READ_WRITE)
    return Ground(backend).roots([grant], Policy())


def realpath_victim(base: str, path: str) -> bytes:
    """What most servers do: resolve, compare, open."""
    real = os.path.realpath(f"{base}/{path}")
    if not real.startswith(base + "/"):
        return b""
    with open(real, "rb") as file:
        return file.read()


def counting_victim(base: str, path: str) -> bytes:
    """A careful walk without links that counts its depth and lets the kernel go up."""
    here, depth = os.open(base, os.O_PATH), 0
    try:
        *names, last = path.split("/")
        for name in names:
            depth += -1 if name == ".." else 1
            if depth < 0:
                return b""
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=here)
        try:
            return os.read(fd, 1 << 20)
        finally:
            os.close(fd)
    finally:
        os.close(here)


VICTIMS = {"moveout": counting_victim}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_attack_bites_code_that_checks_and_then_opens(attack: Attack) -> None:
    victim = VICTIMS.get(attack.name, realpath_victim)
    with raceyard.yard(attack) as yard, yard.under_attack():
        root, end = str(yard.base / "root"), time.monotonic() + 20
        while len(yard.escapes) < 3 and time.monotonic() < end:
            yard.tries += 1
            try:
                yard.saw("victim", victim(root, attack.file))
            except OSError:
                continue
    print(f"\n{attack.name}: the victim leaked {len(yard.escapes)} of {yard.tries} reads, {yard.swaps} swaps")
    assert len(yard.escapes) == 3


def race(attack: Attack, calls: int, hit: Callable[[Yard, Roots, int], int], backend: Backend | None = None) -> Yard:
    """Run and report."""
    with raceyard.yard(attack) as yard:
        roots = roots_of(yard, backend)
        begun = time.monotonic()
        with yard.under_attack():
            refused = hit(yard, roots, calls)
        yard.look("the end")
        told = f"{yard.tries} calls, {refused} refused, {len(yard.escapes)} escapes, {yard.swaps} swaps"
        print(f"\n{attack.name} {backend.label if backend else ''}: {told}, {time.monotonic() - begun:.1f} s")
    return yard


# 2 backends x 5 attacks x (7 read verbs x 1500 + 13 write verbs x 800) = 209,000 calls
AMOUNTS = [(300, 80), pytest.param((1500, 800), marks=full)]


@pytest.mark.parametrize("amount", AMOUNTS, ids=["quick", "full"])
@pytest.mark.parametrize("label", BACKENDS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_verb_ever_reads_or_changes_anything_outside(
    attack: Attack, label: str, amount: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hit(yard: Yard, roots: Roots, _: int) -> int:
        monkeypatch.setenv("XDG_DATA_HOME", str(yard.base / "data"))
        reads, writes = amount
        return raceyard.attack_with(READS, roots, yard, reads) + raceyard.attack_with(WRITES, roots, yard, writes)

    yard = race(attack, 0, hit, BACKENDS[label])
    assert yard.escapes == []
    print(dict(yard.done))
    assert set(yard.done) >= {*READS}, "there was something to win"
    assert yard.swaps > 100


class OpenDoor(type(BACKENDS["openat2"]) if "openat2" in BACKENDS else object):  # type: ignore[misc]
    """The first wall, deliberately broken: every step follows links, and nothing is looked at twice."""

    label = "open door"

    def open_below(self, directory: int, names: Sequence[str]) -> int | None:
        return os.open("/".join(names), os.O_PATH | os.O_DIRECTORY, dir_fd=directory)

    def enter(self, directory: int, name: str) -> int:
        return os.open(name, os.O_PATH | os.O_DIRECTORY, dir_fd=directory)

    def lstat(self, directory: int, name: str) -> Stat:
        return described(os.stat(name, dir_fd=directory))

    def open_file(self, directory: int, name: str) -> int:
        return os.open(name, os.O_RDONLY, dir_fd=directory)

    def rewrite(self, directory: int, name: str, expected: Stat) -> int:
        return os.open(name, os.O_RDWR, dir_fd=directory)


# The kernel does not restrict what only describes: these say a size or a name's existence, never a byte.
UNRESTRICTED = {"stat", "lstat"}
LANDLOCKED_READS = {name: verb for name, verb in READS.items() if name not in UNRESTRICTED}
LANDLOCKED_READS["list"] = lambda roots, a, _: [item.name for item in roots.entry(a.directory).list()]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_with_the_first_wall_broken_and_no_second_one_everything_leaks(attack: Attack) -> None:
    if attack.name == "moveout":
        pytest.skip("`..` is the walker's, not the backend's: a broken backend cannot break it")

    # A write puts its new file in the place of a link that is the last name: nothing outside to see there.
    wanted = {"saw"} if attack.name == "leaf" else {"saw", "changed"}

    def hit(yard: Yard, roots: Roots, calls: int) -> int:
        end, refused = time.monotonic() + 20, 0
        while time.monotonic() < end and not wanted <= {escape.split()[1] for escape in yard.escapes}:
            refused += raceyard.attack_with({"read": READS["read"]}, roots, yard, calls)
            refused += raceyard.attack_with({"replace": WRITES["replace"]}, roots, yard, calls)
        return refused

    yard = race(attack, 50, hit, OpenDoor())
    assert wanted <= {escape.split()[1] for escape in yard.escapes}


@pytest.mark.parametrize("amount", [(100, 30), pytest.param((3000, 1000), marks=full)], ids=["quick", "full"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_with_the_first_wall_broken_the_second_one_holds(
    attack: Attack, amount: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = Pools()

    def hit(yard: Yard, roots: Roots, _: int) -> int:
        monkeypatch.setenv("XDG_DATA_HOME", str(yard.base / "data"))
        if not pools.pool(roots.roots).wall.abi:
            pytest.skip(pools.pool(roots.roots).wall.why_not)

        def act(verbs: dict[str, raceyard.Verb], calls: int) -> int:
            """One call after another behind the wall; looking at what is outside is for this side of it."""
            refused = 0
            for name, verb in verbs.items():
                for number in range(calls):
                    yard.tries += 1
                    failure = pools.run(roots.roots, Lane.QUICK, guarded, verb, number, name).result(30)
                    refused += failure is not None
                    if number % 16 == 0:
                        raceyard._mend(yard)
                        yard.look(name)
            return refused

        def guarded(verb: raceyard.Verb, number: int, name: str) -> str | None:
            try:
                yard.saw(name, verb(roots, yard.attack, number))
            except (Refusal, OSError) as refusal:
                return str(refusal)
            return None

        reads, writes = amount
        return act(LANDLOCKED_READS, reads) + act(WRITES, writes)

    yard = race(attack, 0, hit, OpenDoor())
    pools.end()
    assert yard.escapes == []


def test_a_directory_held_open_and_moved_out_is_out_of_reach_behind_the_wall() -> None:
    """The one thing handles alone cannot see: what was inside when it was opened."""
    attack = next(attack for attack in ATTACKS if attack.name == "moveout")
    with raceyard.yard(attack) as yard:
        roots, pools = roots_of(yard), Pools()
        if not pools.pool(roots.roots).wall.abi:
            pytest.skip(pools.pool(roots.roots).wall.why_not)
        backend, opened, moved = BACKENDS["openat2"], threading.Event(), threading.Event()

        def act() -> str:
            handle = backend.open_below(roots.roots[0].handle, ["a", "b"])
            assert handle is not None
            opened.set()
            moved.wait(10)
            try:
                os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
            except PermissionError:
                return "refused"
            finally:
                os.close(handle)
            return "made"

        future = pools.run(roots.roots, Lane.QUICK, act)
        opened.wait(10)
        (yard.base / "root/a/b").rename(yard.base / "outside/b")
        moved.set()
        assert future.result(10) == "refused"
        assert os.listdir(yard.base / "outside/b") == ["c"]
        pools.end()


def test_the_attacks_lead_outside_when_nothing_guards_them() -> None:
    """Each path reaches `outside/f` once the swap stands still on the attacker's side."""
    for attack in ATTACKS:
        if attack.how == "m":
            continue
        with raceyard.yard(attack) as yard:
            one, other = yard.base / attack.one, yard.base / attack.other
            one.rename(yard.base / "kept")
            other.rename(one)
            assert (yard.base / "root" / attack.file).read_bytes() == raceyard.LEAK
            assert described(os.stat(yard.base / "root" / attack.file)).kind is Kind.FILE

"""Attacks: another process swaps names as fast as it can while verbs run; and what would count as an escape.

`outside/` holds files whose bytes, sizes and names occur nowhere inside, so whatever is read of it, or changed in it,
is seen. The swapping is done by a small C program (`renameat2(RENAME_EXCHANGE)`), or by Python where there is no
compiler.
"""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.

from __future__ import annotations

import collections
import contextlib
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rootcellar.confine import Overwrite, Roots
from rootcellar.confine.entry import Entry
from rootcellar.errors import Refusal

LEAK = b"OUTSIDE" * 999  # its size is seen, too
SIZE = re.compile(rb"\b%d\b" % len(LEAK))
C_SWAPPER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile sig_atomic_t go = 1;
static void stop(int s) { (void)s; go = 0; }
int main(int c, char **v) {
  unsigned flags = v[1][0] == 'x' ? 2 : 0; /* exchange, or there and back */
  unsigned long n = 0; int fails = 0;
  (void)c; signal(SIGTERM, stop);
  puts("go"); fflush(stdout);
  while (go) {
    if (syscall(SYS_renameat2, AT_FDCWD, v[2], AT_FDCWD, v[3], flags)) { if (++fails > 1000) usleep(100); } else n++;
    if (!flags && !syscall(SYS_renameat2, AT_FDCWD, v[3], AT_FDCWD, v[2], flags)) n++;
  }
  printf("%lu\n", n);
  return 0;
}
"""
PYTHON_SWAPPER = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None); going = [1]; count = 0
signal.signal(signal.SIGTERM, lambda *_: going.clear())
one, other = os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3]); flags = 2 if sys.argv[1] == "x" else 0
print("go", flush=True)
while going:
    count += not libc.renameat2(-100, one, -100, other, flags)
    if not flags:
        count += not libc.renameat2(-100, other, -100, one, flags)
print(count)
"""


@functools.cache
def swapper() -> list[str]:
    """The fastest swapper to be had here."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler:
        program = pathlib.Path(tempfile.mkdtemp(prefix="rootcellar-swap-")) / "swap"
        built = subprocess.run([compiler, "-O2", "-xc", "-", "-o", program], input=C_SWAPPER.encode(), check=False)
        if built.returncode == 0:
            return [str(program)]
    return [sys.executable, "-c", PYTHON_SWAPPER]


@dataclass(frozen=True)
class Attack:
    """What is swapped with what (or moved where and back), and the paths that lead through the swap."""

    name: str
    how: str  # "x" exchange, "m" move there and back
    one: str
    other: str
    make: Callable[[pathlib.Path], None]
    file: str  # leads to a file inside, or to `outside/f` when the race is lost
    directory: str  # the same for a directory
    leaves: tuple[str, ...] = ()  # what the swapper itself may leave outside


def _dir_to(target: str) -> Callable[[pathlib.Path], None]:
    def make(base: pathlib.Path) -> None:
        (base / "root/d").mkdir()
        (base / "root/d/f").write_bytes(b"IN")
        (base / "root/x").symlink_to(target.replace("$OUT", str(base / "outside")))

    return make


def _leaf(base: pathlib.Path) -> None:
    (base / "root/f").write_bytes(b"IN")
    (base / "root/x").symlink_to("../outside/f")


def _dotdot(base: pathlib.Path) -> None:
    _dir_to("$OUT")(base)
    (base / "root/d/sub").mkdir()


def _moveout(base: pathlib.Path) -> None:
    (base / "root/a/b/c").mkdir(parents=True)
    (base / "root/a/f").write_bytes(b"IN")


ATTACKS = [
    Attack("dir-abs", "x", "root/d", "root/x", _dir_to("$OUT"), "d/f", "d"),
    Attack("dir-rel", "x", "root/d", "root/x", _dir_to("../outside"), "d/f", "d"),
    Attack("leaf", "x", "root/f", "root/x", _leaf, "f", "."),
    Attack("dotdot", "x", "root/d", "root/x", _dotdot, "d/sub/../f", "d/sub/.."),
    Attack("moveout", "m", "root/a/b", "outside/b", _moveout, "a/b/c/../../f", "a/b/c/../..", ("b",)),
]


@dataclass
class Yard:
    """One base directory under one attack."""

    base: pathlib.Path
    attack: Attack
    tries: int = 0
    escapes: list[str] = field(default_factory=list)
    done: collections.Counter[str] = field(default_factory=collections.Counter)  # calls that were not refused, by verb

    @property
    def outside(self) -> pathlib.Path:
        return self.base / "outside"

    def lay(self) -> None:
        """Make everything as it was at the start; the swapper may be at work meanwhile."""
        for name in list(os.listdir(self.outside)):
            if name not in (*self.attack.leaves, "f", "sub"):
                self._sweep(self.outside / name)
        (self.outside / "sub").mkdir(exist_ok=True)
        if not (self.outside / "f").is_file() or (self.outside / "f").read_bytes() != LEAK:
            (self.outside / "f").write_bytes(LEAK)

    @staticmethod
    def _sweep(path: pathlib.Path) -> None:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)

    def look(self, verb: str) -> None:
        """Count it if anything outside was made, changed or taken away; then lay it again."""
        found = sorted(set(os.listdir(self.outside)) - set(self.attack.leaves))
        same = found == ["f", "sub"] and (self.outside / "f").read_bytes() == LEAK
        if not same or os.listdir(self.outside / "sub"):
            self.escapes.append(f"{verb} changed outside: {found}")
            self.lay()

    def saw(self, verb: str, data: object) -> None:
        """Count it if this came from outside."""
        text = data if isinstance(data, bytes) else repr(data).encode("utf-8", "backslashreplace")
        if b"OUTSIDE" in text or SIZE.search(text):
            self.escapes.append(f"{verb} saw {text[:80]!r}")

    @contextlib.contextmanager
    def under_attack(self) -> Iterator[None]:
        """The swapper works as long as the block runs."""
        a = self.attack
        with subprocess.Popen(
            [*swapper(), a.how, str(self.base / a.one), str(self.base / a.other)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            process.stdout.readline()
            try:
                yield
            finally:
                process.terminate()
                self.swaps = int(process.stdout.read() or 0)

    swaps: int = 0


@contextlib.contextmanager
def yard(attack: Attack) -> Iterator[Yard]:
    """A base directory in memory where there is some: the race is for speed, not for disks."""
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="rootcellar-race-", dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True
    ) as top:
        base = pathlib.Path(os.path.realpath(top))
        (base / "root").mkdir()
        (base / "outside").mkdir()
        (base / "data").mkdir()
        made = Yard(base, attack)
        made.lay()
        attack.make(base)
        (base / "root/mine").write_bytes(b"IN")
        yield made


Verb = Callable[[Roots, Attack, int], object]
NEVER: int = 1 << 20


def _at(roots: Roots, path: str) -> Entry:
    return roots.entry(path)


def _bytes(entry: Entry) -> bytes:
    with entry.open_read() as content:
        return content.read_at(0, NEVER)


def _there_and_back(roots: Roots, a: Attack, n: int) -> object:
    taken = _at(roots, f"taken{n}")
    _at(roots, a.file).move(taken)
    data = taken.read(NEVER) if taken.lstat().kind.value == "file" else b""
    taken.move(_at(roots, a.file))
    return data


def _copied_out(roots: Roots, a: Attack, n: int) -> bytes:
    got = _at(roots, f"got{n}")
    _at(roots, a.file).copy(got)
    data = got.read(NEVER)
    got.remove()
    return data


def _moved_over(roots: Roots, a: Attack, n: int) -> None:
    _at(roots, "mine").copy(_at(roots, f"tmp{n}"))
    _at(roots, f"tmp{n}").move(_at(roots, a.file), Overwrite.REPLACE)


def _made_and_removed(roots: Roots, a: Attack, n: int) -> None:
    gone = _at(roots, f"{a.directory}/gone{n}")
    gone.create(b"W")
    gone.remove()


def _removed_and_made(roots: Roots, a: Attack, _: int) -> None:
    _at(roots, a.file).remove()
    _at(roots, a.file).create(b"IN")


READS: dict[str, Verb] = {
    "read": lambda roots, a, _: _at(roots, a.file).read(NEVER),
    "open_read": lambda roots, a, _: _bytes(_at(roots, a.file)),
    "version": lambda roots, a, _: _at(roots, a.file).version() and b"",
    "stat": lambda roots, a, _: _at(roots, a.file).stat(),
    "lstat": lambda roots, a, _: _at(roots, a.file).lstat(),
    "list": lambda roots, a, _: [
        (item.name, item.stat.size) for item in _at(roots, a.directory).list() if item.name != "x"
    ],
    "walk": lambda roots, a, _: [(found.shown, found.stat) for found in _at(roots, a.directory).walk()],
}
WRITES: dict[str, Verb] = {
    "create": lambda roots, a, n: _at(roots, f"{a.directory}/new{n}").create(b"W"),
    "replace": lambda roots, a, _: _at(roots, a.file).replace(b"IN"),
    "append": lambda roots, a, _: _at(roots, a.file).append(b""),
    "edit": lambda roots, a, _: _at(roots, a.file).edit(lambda data: b"IN" + data[:1]),
    "make_directory": lambda roots, a, n: _at(roots, f"{a.directory}/made{n}").make_directory(),
    "copy in": lambda roots, a, n: _at(roots, "mine").copy(_at(roots, f"{a.directory}/copy{n}")),
    "copy over": lambda roots, a, _: _at(roots, "mine").copy(_at(roots, a.file), Overwrite.REPLACE),
    "copy out": _copied_out,
    "move": _there_and_back,
    "move over": _moved_over,
    "remove": _made_and_removed,
    "remove f": _removed_and_made,
    "trash": lambda roots, a, _: (_at(roots, a.file).trash(), _at(roots, a.file).create(b"IN")),
}


def attack_with(verbs: dict[str, Verb], roots: Roots, yard_: Yard, calls: int) -> int:
    """So many calls of each verb; Refusals are what a verb may raise, and nothing else. Gives how many were refused."""
    refused = 0
    for number in range(calls):  # verb by verb in turn: each meets the swapper in all its moods
        for name, verb in verbs.items():
            yard_.tries += 1
            try:
                yard_.saw(name, verb(roots, yard_.attack, number))
                yard_.done[name] += 1
            except Refusal as refusal:
                refused += 1
                yard_.saw(name, str(refusal))
            if name in WRITES and number % 16 == 0:
                yard_.look(name)
        if number % 4 == 0:
            _mend(yard_)
    yard_.look("the last")
    return refused


def _mend(yard_: Yard) -> None:
    """Put back what a lost race, or a move that found no way back, left missing inside."""
    inside = yard_.base / "root"
    names = ("f",) if yard_.attack.name == "leaf" else ("a/f",) if yard_.attack.name == "moveout" else ()
    for name in names:
        with contextlib.suppress(FileExistsError), (inside / name).open("xb") as file:
            file.write(b"IN")
    if yard_.attack.name.startswith("d"):
        for place in ("d", "x"):
            if (inside / place).is_symlink():
                continue
            with contextlib.suppress(OSError):
                here = os.open(inside / place, os.O_DIRECTORY | os.O_NOFOLLOW)
                with contextlib.suppress(OSError):
                    os.close(os.open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=here))
                os.close(here)

"""Random trees of links, random paths of eight tokens: every backend against an oracle that shares no code with them.

The oracle works on a model of the tree, in the other classic way: it rewrites the path and starts again from the root at
every link and every `..`. On Linux the kernel's own `RESOLVE_BENEATH` is a second one, for trees without absolute links.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import random
import sys
from pathlib import Path

import pytest

from confine.yard import Place, backends, open_descriptors
from rootcellar.confine._open import Backend
from rootcellar.confine.ground import Ground
from rootcellar.confine.resolve import Ending, find
from rootcellar.confine.roots import Grant, Root
from rootcellar.errors import LinkLoop, OutsideRoots, Refusal
from rootcellar.policy import Policy

TOKENS = ("..", ".", "a", "b", "f", "l", "m", "n")
Verdict = tuple[str, ...]  # ("inside", real names...) or one word


class Model:
    """What the tree holds, by path: "dir", "file", or "-> target"."""

    def __init__(self, rng: random.Random, root: Path, absolute: int) -> None:
        self.root = str(root)
        self.nodes: dict[tuple[str, ...], str] = {(): "dir"}
        for path in [("a",), ("b",), ("a", "a"), ("a", "b"), ("b", "a"), ("a", "a", "b")]:
            if path[:-1] in self.nodes and rng.random() < 0.85:
                self.nodes[path] = "dir"
        for parent in [path for path, kind in self.nodes.items() if kind == "dir"]:
            if rng.random() < 0.7:
                self.nodes[(*parent, "f")] = "file"
            for link in ("l", "m", "n", "a", "b"):
                if (*parent, link) not in self.nodes and rng.random() < 0.45:
                    target = "/".join(rng.choice(TOKENS) for _ in range(rng.randint(1, 4)))
                    if rng.random() * 100 < absolute:
                        target = (
                            rng.choice([self.root, self.root, self.root + "/..", "/nope", self.root + "x"])
                            + "/"
                            + target
                        )
                    self.nodes[(*parent, link)] = "-> " + target

    def build(self) -> None:
        """Make it on the disk."""
        for path, kind in self.nodes.items():
            name = os.path.join(self.root, *path)
            if kind == "dir":
                os.makedirs(name, exist_ok=True)
            elif kind == "file":
                Path(name).write_bytes(b"")
            else:
                os.symlink(kind[3:], name)

    def oracle(self, path: str, ending: Ending) -> Verdict:  # noqa: C901, PLR0911 - one piece, unlike the wall
        """Rewrite until nothing is left to rewrite."""
        names, hops = [name for name in path.split("/") if name not in ("", ".")], 0
        wants_directory = path.endswith(("/", "/.")) or path == "."
        index = 0
        while index < len(names):
            at = tuple(names[:index])
            name = names[index]
            if self.nodes.get(at) != "dir":
                return ("missing",) if at not in self.nodes else ("not a directory",)
            if name == "..":
                if index == 0:
                    return ("escape",)
                names[index - 1 : index + 1] = []
                index -= 1
                continue
            node = self.nodes.get((*at, name), "")
            is_last = index == len(names) - 1
            if not node.startswith("-> ") or (is_last and not wants_directory and ending is Ending.ITSELF):
                index += 1
                continue
            if is_last and ending is Ending.ITSELF:
                return ("not a directory",)  # a link with a slash is not followed by verbs on the link itself
            hops += 1
            if hops > 40:
                return ("loop",)
            target = node[3:]
            wants_directory = wants_directory or (is_last and target.endswith(("/", "/.", "/..")))
            found = [part for part in target.split("/") if part not in ("", ".")]
            if target.startswith("/"):
                prefix = [part for part in self.root.split("/") if part]
                if found[: len(prefix)] != prefix:
                    return ("escape",)
                names[: index + 1] = found[len(prefix) :]
                index = 0
            else:
                names[index : index + 1] = found
        end = tuple(names)
        if end in self.nodes:
            if wants_directory and self.nodes[end] != "dir":
                return ("not a directory",)
            return ("inside", *end)
        return ("inside", *end) if ending is Ending.NEW and not wants_directory else ("missing",)


def verdict(root: Root, path: str, ending: Ending) -> Verdict:
    """What the wall says, in the oracle's words."""
    backend = root.backend
    parts = tuple(backend.split(path)[1])
    try:
        with find(root, parts, ending, lambda _parents, _name: None) as place:
            if place.stat is not None:
                assert backend.lstat(place.directory, place.name).identity == place.stat.identity
            return ("inside", *place.parts)
    except OutsideRoots:
        return ("escape",)
    except FileNotFoundError:
        return ("missing",)
    except Refusal as refusal:
        return (type(refusal).__name__,)
    except OSError as error:
        return ("loop",) if error.errno == errno.ELOOP else (os.strerror(error.errno or 0),)
    except Exception as signal:  # noqa: BLE001 - OddFile and kin, by name
        return ("not a directory",) if type(signal).__name__ == "OddFile" else (type(signal).__name__,)


def said(words: Verdict) -> Verdict:
    """One spelling for ENOTDIR."""
    return ("not a directory",) if words == ("Not a directory",) else words


def compare(base: Path, trees: int, paths: int, seed: int) -> tuple[int, dict[str, int]]:
    """Compare; how often, and how the verdicts were spread."""
    rng = random.Random(seed)
    count = 0
    spread: dict[str, int] = {}
    found: list[Backend] = backends()
    for number in range(trees):
        root = base / str(number)
        model = Model(rng, root, absolute=rng.choice([0, 0, 20]))
        model.build()
        gc.collect()
        before = open_descriptors()
        opened = [Ground(backend).roots([Grant(str(root))], Policy(sealed=())).roots[0] for backend in found]
        for _ in range(paths):
            path = "/".join(rng.choice(TOKENS) for _ in range(rng.randint(1, 6))) + rng.choice(["", "", "", "/"])
            ending = rng.choice(list(Ending))
            wanted = model.oracle(path, ending)
            spread[wanted[0]] = spread.get(wanted[0], 0) + 1
            for one in opened:
                got = said(verdict(one, path, ending))
                if path.endswith(("/", ".")) and ending is Ending.NEW and wanted == ("missing",) and got[0] == "inside":
                    got = wanted  # a name with a slash may be made by make_directory: the verb decides
                assert got == wanted, (one.backend.label, path, ending, model.nodes)
                count += 1
        del one, opened
        gc.collect()
        assert open_descriptors() == before
    return count, spread


@pytest.mark.parametrize("seed", range(2))
def test_backends_agree_with_the_oracle(tmp_path: Path, seed: int) -> None:
    count, spread = compare(Path(os.path.realpath(tmp_path)), 24, 70, seed)
    print(f"{count} comparisons, {spread}")
    assert {"inside", "escape", "loop", "missing", "not a directory"} <= set(spread)


@pytest.mark.full
def test_backends_agree_with_the_oracle_over_two_hundred_thousand_comparisons(tmp_path: Path) -> None:
    count, spread = compare(Path(os.path.realpath(tmp_path)), 500, 250, 2026)
    print(f"{count} comparisons, {spread}")
    assert count >= 200_000


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@pytest.mark.skipif(sys.platform != "linux", reason="openat2 is Linux")
def test_the_kernel_itself_agrees(place: Place) -> None:
    """`openat2(O_PATH, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)` and the wall reach the same inodes."""
    libc = ctypes.CDLL(None, use_errno=True)
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, 0x08 | 0x02)
    rng, count = random.Random(7), 0
    for number in range(30):
        folder = place.root / str(number)
        model = Model(rng, folder, absolute=0)
        model.build()
        root = Ground(place.backend).roots([Grant(str(folder))], Policy(sealed=())).roots[0]
        for _ in range(100):
            path = "/".join(rng.choice(TOKENS) for _ in range(rng.randint(1, 6)))
            fd = libc.syscall(437, root.handle, path.encode(), ctypes.byref(how), ctypes.sizeof(how))
            failed = ctypes.get_errno()
            got = verdict(root, path, Ending.FOLLOW)
            if fd < 0:
                assert got[0] != "inside", (path, model.nodes)
                assert (failed == errno.EXDEV) is (got == ("escape",)), (path, got, model.nodes)
            else:
                assert got[0] == "inside", (path, got, model.nodes)
                assert os.path.samestat(os.fstat(fd), os.stat(os.path.join(folder, *got[1:])))
                os.close(fd)
            count += 1
    print(f"{count} comparisons with the kernel")


def test_the_loop_word_is_the_wall_s_own(place: Place) -> None:
    place.make("l -> l")
    with pytest.raises(LinkLoop):
        place.roots().entry("l").stat()

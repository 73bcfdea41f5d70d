"""Deleted things can be taken back: where they go, under which names, and what a race or a kill may not do."""

# System calls by their names, small classes without docstrings, look-alikes: all on purpose here.
# ruff: noqa: D101

from __future__ import annotations

import errno
import os
import pathlib
import signal
import subprocess
import sys
import types
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from rootcellar.confine import _open, trash
from rootcellar.confine.pool import Lane, Pools
from rootcellar.confine.trash import Doomed, Trashed
from rootcellar.errors import Cancelled, Denied, Exists, Failed, Stale, WrongKind
from rootcellar.policy import Access

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the freedesktop.org trash is Linux's")
BACKEND = _open.choose()


@dataclass(frozen=True)
class Held:
    handle: int
    access: Access = Access.READ_WRITE


class Going:
    cancelled = False

    def check(self) -> None:
        """Go on."""


@dataclass(frozen=True)
class Ground:
    root: pathlib.Path
    held: Held
    bin: pathlib.Path
    pools: Pools

    def doomed(self, name: str, path: pathlib.Path | None = None) -> Doomed:
        return Doomed(self.held.handle, name, str(path or self.root / name), BACKEND.lstat(self.held.handle, name))

    def delete(self, doomed: Doomed, cancel: trash.Cancel | None = None) -> Trashed:
        """On a pool's thread, as the server does."""
        return self.pools.run([self.held], Lane.QUICK, trash.send, BACKEND, doomed, cancel or Going()).result(20)

    def info(self, name: str) -> dict[str, str]:
        lines = (self.bin / "info" / f"{name}.trashinfo").read_text("ascii").splitlines()
        assert lines[0] == "[Trash Info]"
        return dict(line.split("=", 1) for line in lines[1:])


def make(root: pathlib.Path, home: pathlib.Path) -> Ground:
    return Ground(root, Held(os.open(root, os.O_PATH)), home / "Trash", Pools())


@pytest.fixture
def ground(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "root").mkdir()
    made = make(tmp_path / "root", tmp_path / "data")
    yield made
    made.pools.end()
    os.close(made.held.handle)


@pytest.fixture
def far(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """A root whose disk is not that of the home trash, and at whose top no trash can be made."""
    memory = pathlib.Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    root = memory / f"rootcellar-test-{os.getpid()}"
    root.mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("rootcellar.confine._trash_places._top_trashes", lambda _: iter(()))
    made = make(root, tmp_path / "data")
    yield made
    made.pools.end()
    os.close(made.held.handle)
    subprocess.run(["rm", "-rf", root], check=True)


def directory(path: pathlib.Path) -> None:
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "f").write_text("text")


# name, and how it is made: each kind of thing goes to the trash whole
KINDS: dict[str, Callable[[pathlib.Path], object]] = {
    "plain.txt": lambda p: p.write_text("text"),
    "no extension": lambda p: p.write_text("text"),
    ".hidden": lambda p: p.write_text("text"),
    "newline\nand ünïcode %41": lambda p: p.write_text("text"),
    os.fsdecode(b"not utf-8 \xff"): lambda p: p.write_text("text"),
    "n" * 255: lambda p: p.write_text("text"),
    "ü" * 127: lambda p: p.write_text("text"),
    "directory": directory,
    "empty directory": os.mkdir,
    "link out": lambda p: p.symlink_to("/etc/passwd"),
    "dangling": lambda p: p.symlink_to("nowhere"),
    "fifo": os.mkfifo,
}


@pytest.mark.parametrize("name", KINDS, ids=lambda name: ascii(name)[:24])
def test_every_kind_of_thing_goes_to_the_trash_with_its_record(ground: Ground, name: str) -> None:
    path = ground.root / name
    KINDS[name](path)
    was = path.lstat()
    gone = ground.delete(ground.doomed(name))
    assert not os.path.lexists(path)
    now = (ground.bin / "files" / gone.name).lstat()
    assert (now.st_ino, now.st_mode, now.st_size) == (was.st_ino, was.st_mode, was.st_size)
    record = ground.info(gone.name)
    assert os.fsdecode(urllib.parse.unquote_to_bytes(record["Path"])) == str(path)
    assert len(record["DeletionDate"]) == 19
    assert gone.place == "the trash"
    assert len(os.fsencode(gone.name + ".trashinfo")) <= 255


def test_things_of_one_name_get_names_of_their_own(ground: Ground) -> None:
    names = []
    for text in "abc":
        (ground.root / "f.txt").write_text(text)
        names.append(ground.delete(ground.doomed("f.txt")).name)
    assert names == ["f.txt", "f.2.txt", "f.3.txt"]
    assert [(ground.bin / "files" / name).read_text() for name in names] == ["a", "b", "c"]


def test_a_record_or_a_file_left_by_a_crash_is_stepped_over(ground: Ground) -> None:
    for part in ("files", "info"):
        (ground.bin / part).mkdir(parents=True)
    (ground.bin / "info" / "f.trashinfo").write_text("[Trash Info]\n")
    (ground.bin / "files" / "f.2").write_text("an orphan")
    (ground.root / "f").write_text("x")
    assert ground.delete(ground.doomed("f")).name == "f.3"
    assert (ground.bin / "files" / "f.2").read_text() == "an orphan"
    assert sorted(os.listdir(ground.bin / "info")) == ["f.3.trashinfo", "f.trashinfo"]


def test_a_name_that_became_another_file_is_put_back(ground: Ground) -> None:
    (ground.root / "f").write_text("old")
    doomed = ground.doomed("f")
    (ground.root / "new").write_text("new")
    (ground.root / "new").rename(ground.root / "f")
    with pytest.raises(Stale):
        ground.delete(doomed)
    assert (ground.root / "f").read_text() == "new"
    assert os.listdir(ground.bin / "files") == os.listdir(ground.bin / "info") == []


def test_a_directory_moved_out_of_the_root_is_refused_by_the_kernel(ground: Ground, tmp_path: pathlib.Path) -> None:
    (ground.root / "d").mkdir()
    (ground.root / "d" / "f").write_text("x")
    inside = os.open(ground.root / "d", os.O_PATH)
    doomed = Doomed(inside, "f", str(ground.root / "d/f"), BACKEND.lstat(inside, "f"))
    (ground.root / "d").rename(tmp_path / "moved")
    if ground.pools.pool([ground.held]).wall.abi:
        with pytest.raises(OSError) as caught:
            ground.delete(doomed)
        assert caught.value.errno == errno.EACCES
        assert (tmp_path / "moved" / "f").read_text() == "x"
    os.close(inside)


def test_no_other_call_of_the_pool_reaches_the_trash(ground: Ground) -> None:
    (ground.root / "f").write_text("secret of yesterday")
    ground.delete(ground.doomed("f"))
    if ground.pools.pool([ground.held]).wall.abi:
        for act in (
            (ground.bin / "files/f").read_text,
            (ground.bin / "files/f").unlink,
            (ground.bin / "files/n").touch,
        ):
            with pytest.raises(PermissionError):
                ground.pools.run([ground.held], Lane.QUICK, act).result(10)


def test_the_trash_itself_may_be_inside_the_root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ground = make(tmp_path, tmp_path / "data")
    (tmp_path / "f").write_text("x")
    assert ground.delete(ground.doomed("f")).name == "f"
    with pytest.raises(OSError) as caught:
        ground.delete(ground.doomed("data"))
    assert caught.value.errno == errno.EINVAL
    ground.pools.end()
    os.close(ground.held.handle)


def test_another_disk_uses_the_trash_at_its_top(far: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    top = pathlib.Path("/dev/shm") / f".Trash-{os.getuid()}"
    there_before = top.exists()
    (far.root / "d").mkdir()
    (far.root / "d" / "f ü").write_text("x")
    inside = os.open(far.root / "d", os.O_PATH)
    gone = far.delete(Doomed(inside, "f ü", str(far.root / "d/f ü"), BACKEND.lstat(inside, "f ü")))
    os.close(inside)
    assert gone.place == "the trash of its disk"
    assert (top / "files" / gone.name).read_text() == "x"
    assert f"Path={urllib.parse.quote(far.root.name + '/d/f ü')}\n" in (top / f"info/{gone.name}.trashinfo").read_text()
    assert top.stat().st_mode & 0o777 == 0o700
    (top / "files" / gone.name).unlink()
    (top / f"info/{gone.name}.trashinfo").unlink()
    if not there_before:
        subprocess.run(["rm", "-rf", top], check=True)


@pytest.mark.parametrize("trick", ["link", "other owner", "file"])
def test_a_trash_prepared_by_somebody_else_is_not_used(
    far: Ground, trick: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("XDG_DATA_HOME", str(far.bin.parent))
    top = pathlib.Path("/dev/shm") / f".Trash-{os.getuid()}"
    if top.exists() or os.getuid() != 0:
        pytest.skip("the trash of this disk is in use")
    (far.bin.parent / "trap").mkdir()
    try:
        if trick == "link":
            top.symlink_to(far.bin.parent / "trap")
        elif trick == "file":
            top.write_text("")
        else:
            top.mkdir()
            os.chown(top, 1234, 1234)
        (far.root / "f").write_text("x")
        gone = far.delete(far.doomed("f"))
        assert (gone.place, (far.bin / "files" / gone.name).read_text()) == ("the trash", "x")
        assert os.listdir(far.bin.parent / "trap") == []
    finally:
        subprocess.run(["rm", "-rf", top], check=True)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "fifo"], ids=lambda name: ascii(name)[:24])
def test_without_a_trash_on_its_disk_the_thing_is_copied_home(far: Ground, name: str) -> None:
    KINDS[name](far.root / name)
    gone = far.delete(far.doomed(name))
    assert not os.path.lexists(far.root / name)
    kept = far.bin / "files" / gone.name
    assert os.path.lexists(kept)
    if name == "directory":
        assert (kept / "a" / "f").read_text() == "text"
        assert (kept / "a" / "b").is_dir()
    elif kept.is_symlink():
        assert os.readlink(kept) in {"/etc/passwd", "nowhere"}
    elif kept.is_file():
        assert kept.read_text() == "text"


def test_what_cannot_be_copied_stays_whole_and_leaves_nothing_in_the_trash(far: Ground) -> None:
    (far.root / "d").mkdir()
    (far.root / "d" / "f").write_text("x")
    os.mkfifo(far.root / "d" / "p")
    with pytest.raises(WrongKind):
        far.delete(far.doomed("d"))
    assert sorted(os.listdir(far.root / "d")) == ["f", "p"]
    assert os.listdir(far.bin / "files") == os.listdir(far.bin / "info") == []


def test_a_cancelled_copy_leaves_the_thing_whole(far: Ground) -> None:
    class Gone:
        cancelled = True

        def check(self) -> None:
            message = "taken back"
            raise Cancelled(message)

    (far.root / "f").write_text("x")
    with pytest.raises(Cancelled):
        far.delete(far.doomed("f"), Gone())
    assert (far.root / "f").read_text() == "x"
    assert os.listdir(far.bin / "files") == os.listdir(far.bin / "info") == []


def test_what_changes_while_it_is_copied_is_not_removed(far: Ground) -> None:
    class Meddling:
        cancelled = False

        def check(self) -> None:
            (far.root / "d" / "new").write_text("made meanwhile")

    (far.root / "d").mkdir()
    (far.root / "d" / "f").write_text("x")
    with pytest.raises(Stale):
        far.delete(far.doomed("d"), Meddling())
    assert (far.root / "d" / "new").read_text() == "made meanwhile"


def test_an_unusable_home_is_a_refusal(ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").write_text("a file")
    monkeypatch.setattr("rootcellar.confine._trash_places._top_trashes", lambda _: iter(()))
    (ground.root / "f").write_text("x")
    with pytest.raises(Denied):
        ground.delete(ground.doomed("f"))
    assert (ground.root / "f").read_text() == "x"


def test_nothing_is_left_open(ground: Ground) -> None:
    ground.pools.pool([ground.held])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        (ground.root / "f").write_text("x")
        ground.delete(ground.doomed("f"))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("then", ["gone", "kept", "new"])
def test_a_trash_that_takes_paths_is_watched_from_both_sides(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """On macOS and Windows: the call is theirs, here played by one that works, one that does nothing, one that loses a race."""

    def send2trash(path: str) -> None:
        if then != "kept":
            os.rename(path, ground.root.parent / "taken")
        if then == "new":
            pathlib.Path(path).write_text("made meanwhile")

    monkeypatch.setitem(sys.modules, "send2trash", types.SimpleNamespace(send2trash=send2trash))
    (ground.root / "f").write_text("x")
    doomed = ground.doomed("f")
    if then == "gone":
        assert trash._send_by_path(BACKEND, doomed).name == "f"
        with pytest.raises(Stale):
            trash._send_by_path(BACKEND, doomed)
    else:
        with pytest.raises(Failed if then == "kept" else Exists):
            trash._send_by_path(BACKEND, doomed)
    (ground.root / "g").write_text("another file")
    os.rename(ground.root / "g", ground.root / "f")
    with pytest.raises(Stale):
        trash._send_by_path(BACKEND, doomed)
    assert (ground.root / "f").read_text() == "another file"


_DELETER = """
import os, sys
from rootcellar.confine import _open, trash
from rootcellar.confine.trash import Doomed
class Going:
    cancelled = False
    def check(self): pass
b = _open.choose()
d = os.open(sys.argv[1], os.O_PATH)
print("ready", flush=True)
for n in range(100000):
    name = f"f{n}"
    with open(os.path.join(sys.argv[1], name), "x") as f: f.write(name)
    trash.send(b, Doomed(d, name, os.path.join(sys.argv[1], name), b.lstat(d, name)), Going())
"""


@pytest.mark.parametrize("rounds", [6, pytest.param(100, marks=pytest.mark.full)])
def test_a_kill_at_any_moment_loses_nothing(ground: Ground, rounds: int) -> None:
    """Every file is either still there or in the trash, whole, with its record."""
    orphans = 0
    for number in range(rounds):
        home = ground.root / str(number)
        home.mkdir()
        with subprocess.Popen([sys.executable, "-c", _DELETER, home], stdout=subprocess.PIPE) as deleter:
            assert deleter.stdout is not None
            deleter.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                deleter.wait(0.02 + 0.001 * (number % 50))
            deleter.send_signal(signal.SIGKILL)
        left = set(os.listdir(home))
        binned = set(os.listdir(ground.bin / "files"))
        records = {name.removesuffix(".trashinfo") for name in os.listdir(ground.bin / "info")}
        assert binned <= records
        orphans += len(records - binned)
        assert len(left) <= 1
        for name in binned:
            assert (ground.bin / "files" / name).read_text() == name.split(".")[0]
        subprocess.run(["rm", "-rf", ground.bin], check=True)
    print(f"\n{rounds} kills, {orphans} records without a file, 0 files lost")

"""Changing one file: what it keeps, what it refuses, and who may change it at the same time."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from confine.yard import PRELUDE, Place, as_nobody
from rootcellar import limits
from rootcellar.confine import Entry, version_of
from rootcellar.confine._open import Kind
from rootcellar.errors import BadName, Denied, Exists, NotFound, ReadOnly, Stale, TooLarge, WrongKind
from rootcellar.policy import Access, Policy

pytestmark = pytest.mark.usefixtures("no_leaks")
is_root = pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="needs root")
has_xattrs = pytest.mark.skipif(not hasattr(os, "setxattr"), reason="needs extended attributes")

# user::rw-, user:1000:r--, group::r--, mask::r--, other::--- in the kernel's form
ACL = bytes.fromhex(
    "02000000 01000600ffffffff 02000400e8030000 04000400ffffffff 10000400ffffffff 20000000ffffffff".replace(" ", "")
)


def rewritten(entry: Entry) -> list[str]:
    """Change a file in every way; the names of the ways."""
    entry.replace(b"one")
    entry.edit(lambda data: data + b" two")
    entry.append(b" three")
    assert entry.read(100) == b"one two three"
    return ["replace", "edit", "append"]


def test_create_makes_a_whole_file_once(place: Place) -> None:
    entry = place.roots().entry("new")
    made = entry.create(b"data")
    assert (made.kind, made.size, made.nlink) == (Kind.FILE, 4, 1)
    assert made.identity == entry.stat().identity
    with pytest.raises(Exists):
        entry.create(b"other")
    assert entry.read(10) == b"data"
    assert os.listdir(place.root) == ["new"]


def test_new_files_get_the_mode_new_files_get(place: Place) -> None:
    before = os.umask(0o027)
    try:
        place.roots().entry("new").create(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((place.root / "new").stat().st_mode) == 0o640


def test_replace_and_append_make_a_missing_file_and_edit_does_not(place: Place) -> None:
    entry = place.roots().entry
    entry("a").replace(b"1")
    entry("b").append(b"2")
    with pytest.raises(NotFound):
        entry("c").edit(lambda data: data)
    with pytest.raises(NotFound):
        entry("no/d").create(b"x")
    with pytest.raises(Stale):
        entry("c").replace(b"3", if_version="0")
    assert {path.name: path.read_bytes() for path in place.root.iterdir()} == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o755, 0o4755, 0o2755, 0o644, 0o666])
def test_the_mode_is_kept_without_setuid_and_setgid(place: Place, mode: int) -> None:
    place.make("f")
    (place.root / "f").chmod(mode)
    for _ in rewritten(place.roots().entry("f")):
        assert stat.S_IMODE((place.root / "f").stat().st_mode) == mode & 0o777


@is_root
def test_owner_and_group_are_kept(place: Place) -> None:
    place.make("f")
    os.chown(place.root / "f", 1234, 5678)
    rewritten(place.roots().entry("f"))
    found = (place.root / "f").stat()
    assert (found.st_uid, found.st_gid) == (1234, 5678)


@has_xattrs
def test_attributes_and_acl_are_kept_and_none_are_added(place: Place) -> None:
    if place.backend.label == "posix":
        pytest.skip("what every POSIX system has knows no attributes")
    place.make("f", "d/f")
    path = place.root / "f"
    os.setxattr(path, "user.note", b"kept")
    os.setxattr(path, "system.posix_acl_access", ACL)
    os.setxattr(place.root / "d", "system.posix_acl_default", ACL)  # new files in d would get it
    rewritten(place.roots().entry("f"))
    rewritten(place.roots().entry("d/f"))
    assert os.getxattr(path, "user.note") == b"kept"
    assert os.getxattr(path, "system.posix_acl_access") == ACL
    assert "system.posix_acl_access" not in os.listxattr(place.root / "d/f")
    place.roots().entry("d/new").create(b"x")
    assert "system.posix_acl_access" in os.listxattr(place.root / "d/new")


def test_a_hard_link_s_other_name_is_never_written_through(place: Place) -> None:
    os.link(place.out / "secret", place.root / "h")
    before = place.outside()
    entry = place.roots().entry("h")
    assert entry.read(10) == b"SECRET"
    rewritten(entry)
    assert place.outside() == before
    assert entry.stat().nlink == 1


def test_a_read_only_file_is_refused_with_a_hint(place: Place) -> None:
    place.make("f")
    (place.root / "f").chmod(0o444)
    entry = place.roots().entry("f")
    for change in (
        lambda: entry.replace(b"x"),
        lambda: entry.append(b"x"),
        lambda: entry.edit(lambda data: data + b"x"),
    ):
        with pytest.raises(Denied, match="writable"):
            change()
    assert entry.read(10) == b"f"


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "directory"])
def test_only_regular_files_are_opened_and_the_answer_comes_at_once(place: Place, kind: str) -> None:
    odd = place.root / "odd"
    server = socket.socket(socket.AF_UNIX)
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "socket":
        os.chdir(place.root)
        server.bind("odd")
    elif kind == "device":
        if os.getuid() != 0:
            pytest.skip("needs root")
        os.mknod(odd, 0o666 | stat.S_IFCHR, os.makedev(5, 0))
    else:
        odd.mkdir()
    place.make("l -> odd")
    server.close()
    for name in ("odd", "l"):
        entry = place.roots().entry(name)
        assert entry.stat().kind is Kind(kind)
        for verb, *arguments in (("read", 10), ("replace", b"x"), ("append", b"x"), ("edit", bytes), ("version",)):
            with pytest.raises(WrongKind, match=kind if kind != "fifo" else "FIFO"):
                getattr(entry, verb)(*arguments)


def test_limits(place: Place) -> None:
    with (place.root / "big").open("wb") as file:
        file.truncate(1 << 40)
    entry = place.roots().entry("big")
    assert entry.stat().size == 1 << 40
    with pytest.raises(TooLarge):
        entry.read(1 << 20)
    with pytest.raises(TooLarge, match=str(limits.EDIT_BYTES_MAX)):
        entry.edit(lambda data: data)
    with entry.open_read() as content:
        assert content.read_at((1 << 40) - 3, 10) == b"\0\0\0"
        assert content.read_at(1 << 40, 10) == b""


def test_versions(place: Place) -> None:
    place.make("f")
    entry = place.roots().entry("f")
    version = entry.version()
    assert version == version_of(b"f")
    entry.replace(b"two", if_version=version)
    with pytest.raises(Stale, match=version_of(b"two")):
        entry.replace(b"three", if_version=version)
    with pytest.raises(Stale):
        entry.edit(lambda data: data + b"x", if_version=version)
    edited = entry.edit(lambda data: data + b"!", if_version=version_of(b"two"))
    assert (edited.before, edited.after, entry.read(10)) == (b"two", b"two!", b"two!")


def test_an_edit_that_changes_nothing_writes_nothing(place: Place) -> None:
    place.make("f")
    entry = place.roots().entry("f")
    before = entry.stat()
    assert entry.edit(lambda data: data).stat.ctime_ns == before.ctime_ns
    assert entry.stat().identity == before.identity


def test_a_failing_edit_leaves_the_file_alone(place: Place) -> None:
    place.make("f")

    def change(_data: bytes) -> bytes:
        raise TooLarge("no")

    with pytest.raises(TooLarge):
        place.roots().entry("f").edit(change)
    assert os.listdir(place.root) == ["f"]
    assert (place.root / "f").read_bytes() == b"f"


def test_twenty_parallel_edits_keep_all_twenty(place: Place) -> None:
    (place.root / "f").write_bytes(b"".join(b"line %02d\n" % n for n in range(20)))
    entry = place.roots().entry
    start, failed = threading.Barrier(20), []

    def edit(number: int) -> None:
        start.wait()
        try:
            way = "f" if number % 2 else "./d/../f"
            entry(way).edit(lambda data: data.replace(b"line %02d\n" % number, b"LINE %02d\n" % number))
        except Exception as error:  # noqa: BLE001 - counted
            failed.append(error)

    (place.root / "d").mkdir()
    threads = [threading.Thread(target=edit, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (place.root / "f").read_bytes() == b"".join(b"LINE %02d\n" % n for n in range(20))


def test_edits_of_several_processes_keep_all(shared_place: Place) -> None:
    """Other processes are not held back by our turns: the exchange notices, and the edit starts again."""
    (shared_place.root / "f").write_bytes(b"")
    shared_place.root.chmod(0o777)
    (shared_place.root / "f").chmod(0o666)
    code = PRELUDE.replace("if os.getuid() == 0:", "if False:") + (
        "for n in range(25): entry('f').edit(lambda data: data + sys.argv[2].encode() + b'%02d\\n' % n)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(shared_place.root), letter])
        for letter in ("a", "b", "c", "d")
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    lines = (shared_place.root / "f").read_text().split()
    assert sorted(lines) == sorted(f"{letter}{n:02}" for letter in "abcd" for n in range(25))
    assert os.listdir(shared_place.root) == ["f"]


def test_a_change_by_another_program_during_an_edit_is_seen(place: Place) -> None:
    place.make("f")
    calls = []

    def change(data: bytes) -> bytes:
        calls.append(data)
        if len(calls) == 1:
            (place.root / "f").write_bytes(b"theirs")
        return data + b" ours"

    place.roots().entry("f").edit(change)
    assert calls == [b"f", b"theirs"]
    assert (place.root / "f").read_bytes() == b"theirs ours"


def test_a_change_by_another_program_makes_a_named_version_stale(place: Place) -> None:
    place.make("f")
    theirs = place.root / "theirs"

    def change(data: bytes) -> bytes:
        theirs.write_bytes(b"theirs")
        theirs.rename(place.root / "f")
        return data + b" ours"

    with pytest.raises(Stale, match=version_of(b"theirs")):
        place.roots().entry("f").edit(change, if_version=version_of(b"f"))
    assert (place.root / "f").read_bytes() == b"theirs"
    assert os.listdir(place.root) == ["f"]


def test_a_file_that_never_holds_still_is_given_up_on(place: Place) -> None:
    place.make("f")
    count = iter(range(1000))

    def change(data: bytes) -> bytes:
        (place.root / "f").write_bytes(b"theirs %d" % next(count))
        return data + b" ours"

    with pytest.raises(Stale, match="keeps changing"):
        place.roots().entry("f").edit(change)
    assert (place.root / "f").read_bytes().startswith(b"theirs")
    assert os.listdir(place.root) == ["f"]


@pytest.mark.parametrize("policy", [Policy(read_only=True), Policy()])
def test_nothing_is_changed_where_only_reading_is_admitted(place: Place, policy: Policy) -> None:
    place.make("f", "d/", "l -> f")
    access = Access.READ_WRITE if policy.read_only else Access.READ_ONLY
    entry = place.roots(policy, access).entry
    assert entry("f").read(10) == b"f"
    for change in (
        lambda: entry("f").replace(b"x"), lambda: entry("new").create(b"x"), lambda: entry("l").append(b"x"),
        lambda: entry("f").edit(lambda data: data), lambda: entry("n").make_directory(), lambda: entry("f").remove(),
        lambda: entry("f").copy(entry("g")), lambda: entry("f").move(entry("g")), lambda: entry("d").trash(),
    ):  # fmt: skip
        with pytest.raises(ReadOnly):
            change()
    assert sorted(os.listdir(place.root)) == ["d", "f", "l"]


def test_names_for_directories_are_no_names_for_files(place: Place) -> None:
    place.make("d/")
    entry = place.roots().entry
    with pytest.raises(BadName):
        entry("new/").create(b"x")
    for path in ("d", ".", "", "d/", "d/."):
        with pytest.raises(WrongKind):
            entry(path).replace(b"x")
    assert os.listdir(place.root) == ["d"]


def test_directories_above_are_made_when_asked_for(place: Place) -> None:
    place.make("a/f", "l -> a")
    entry = place.roots().entry
    entry("l/b/c").make_directories()
    assert (place.root / "a/b/c").is_dir()
    assert entry("l/b/c").make_directories().kind is Kind.DIRECTORY
    for path in ("a/f", "a/f/x"):
        with pytest.raises(WrongKind):
            entry(path).make_directories()
    with pytest.raises(NotFound):
        entry("x/y").make_directory()


@is_root
def test_a_file_of_somebody_else_keeps_its_inode_and_owner(shared_place: Place) -> None:
    shared_place.make("f")
    path = shared_place.root / "f"
    shared_place.root.chmod(0o777)
    path.chmod(0o666)
    before = path.stat()
    as_nobody(shared_place.root, "entry('f').replace(b'longer than before'); entry('f').edit(lambda data: data[:6])")
    after = path.stat()
    assert (after.st_ino, after.st_uid, stat.S_IMODE(after.st_mode)) == (before.st_ino, 0, 0o666)
    assert path.read_bytes() == b"longer"
    assert os.listdir(shared_place.root) == ["f"]


@is_root
def test_somebody_else_s_file_with_another_name_is_not_written_through(shared_place: Place) -> None:
    shared_place.make("f")
    shared_place.root.chmod(0o777)
    (shared_place.root / "f").chmod(0o666)
    os.link(shared_place.root / "f", shared_place.out / "other")
    said = as_nobody(
        shared_place.root,
        """
        try:
            entry("f").replace(b"x")
        except Refusal as refusal:
            print(type(refusal).__name__)
        """,
    )
    assert said == "Denied"
    assert (shared_place.out / "other").read_bytes() == b"f"
    assert os.listdir(shared_place.root) == ["f"]


@is_root
def test_a_directory_that_takes_no_new_names_refuses_a_write_that_could_tear(shared_place: Place) -> None:
    shared_place.make("f")
    (shared_place.root / "f").chmod(0o666)
    said = as_nobody(
        shared_place.root,
        """
        try:
            entry("f").replace(b"x")
        except Refusal as refusal:
            print(type(refusal).__name__)
        """,
    )
    assert said == "Denied"
    assert (shared_place.root / "f").read_bytes() == b"f"


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE and its signal")
def test_a_file_size_limit_refuses_and_leaves_nothing(shared_place: Place) -> None:
    shared_place.make("f")
    for path in (shared_place.root, shared_place.root / "f"):
        path.chmod(0o777)
    said = as_nobody(
        shared_place.root,
        """
        from rootcellar.confine import survive_file_limits
        survive_file_limits()
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        for change in (lambda: entry("new").create(b"x" * 100), lambda: entry("f").replace(b"x" * 100)):
            try:
                change()
            except Refusal as refusal:
                print(type(refusal).__name__)
        print(entry("f").read(10))
        """,
    )
    assert said.split() == ["NoSpace", "NoSpace", "b'f'"]
    assert os.listdir(shared_place.root) == ["f"]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_NOFILE as Linux has it")
def test_without_descriptors_the_answer_is_busy_and_later_all_is_well(shared_place: Place) -> None:
    shared_place.make("a/f")
    said = as_nobody(
        shared_place.root,
        """
        held, again = entry("a/f"), resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, again[1]))
        for look in (lambda: held.read(10), lambda: held.parent.list(), lambda: list(held.parent.walk())):
            try:
                look()
            except Refusal as refusal:
                print(type(refusal).__name__)
        resource.setrlimit(resource.RLIMIT_NOFILE, again)
        print(held.read(10))
        """,
    )
    assert said.split() == ["Busy", "Busy", "Busy", "b'a/f'"]


@pytest.mark.skipif(sys.platform != "linux", reason="a small file system of its own")
@is_root
def test_a_full_disk_leaves_nothing(place: Place) -> None:
    place.make("m/")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place.root / "m"], check=False).returncode:
        pytest.skip("no mount here")
    try:
        entry = place.roots().entry
        entry("m/f").create(b"old")
        for change in (
            lambda: entry("m/new").create(b"x" * 2_000_000),
            lambda: entry("m/f").replace(b"x" * 2_000_000),
            lambda: entry("m/f").append(b"x" * 2_000_000),
        ):
            with pytest.raises(Exception, match="disk is full"):
                change()  # type: ignore[no-untyped-call] # lambdas in a row
        assert os.listdir(place.root / "m") == ["f"]
        assert (place.root / "m/f").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", place.root / "m"], check=True)


def test_the_content_stays_what_was_opened(place: Place) -> None:
    place.make("f")
    entry = place.roots().entry("f")
    with entry.open_read() as content:
        entry.replace(b"new and longer")
        assert (content.read_at(0, 100), content.size) == (b"f", 1)


def test_errno_words_never_hold_a_path_outside(place: Place) -> None:
    from rootcellar.confine.refusals import refusal

    told = {code: refusal(OSError(code, "x", "/secret/path"), "name") for code in errno.errorcode}
    assert all("/secret" not in str(one) and "`name`" in str(one) and one.hint for one in told.values())
    assert {type(told[errno.EDQUOT]).__name__, type(told[errno.EFBIG]).__name__} == {"NoSpace"}


def test_a_shrinking_file_is_read_to_its_end(place: Place, tmp_path: Path) -> None:
    place.make("f")
    (place.root / "f").write_bytes(b"x" * 100)
    with place.roots().entry("f").open_read() as content:
        os.truncate(place.root / "f", 10)
        assert content.read_at(0, 100) == b"x" * 10
    assert tmp_path.exists()

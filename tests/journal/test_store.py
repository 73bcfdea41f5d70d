"""The store: what is recorded is there, what did not happen is not, and nothing is kept that nobody refers to."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootcellar import limits
from rootcellar.errors import Busy, NotFound, TooLargeToKeep
from rootcellar.journal.changes import Caps, Filter, State
from rootcellar.journal.drafting import Draft
from rootcellar.journal.shelf import CAPS
from rootcellar.journal.store import Store
from rootcellar.policy import Effect


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "journal"))
    yield made
    made.close(5)


def begin(store: Store, request_key: str = "") -> Draft:
    return store.begin("edit_file", '{"path": "f"}', "a host", Effect.DESTROY, request_key)


def file_with(data: bytes) -> int:
    fd, path = tempfile.mkstemp()
    os.unlink(path)
    os.write(fd, data)
    return fd


def contents(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "journal" / "contents")


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"text " * 1000, os.urandom(5000), b"line of text\n" * 100_000, os.urandom(2_000_000)],
    ids=["empty", "one byte", "small text", "small noise", "text", "noise"],
)
def test_a_kept_content_comes_back_byte_for_byte(store: Store, data: bytes) -> None:
    fd = file_with(b"before" + data + b"after")
    kept = store.keep(fd, len(data), at=6)
    os.close(fd)
    assert kept == store.keep_bytes(data)
    draft = begin(store)
    draft.step("file.replace", {"a": 1}, [kept])
    back = store.open(kept.hash)
    assert os.read(back, len(data) + 1) == data
    os.close(back)
    assert kept.laid is not None
    assert kept.laid.stored <= len(data)


def test_in_quiet_times_contents_are_packed_where_it_pays(store: Store, tmp_path: Path) -> None:
    text, noise = b"line of text\n" * 100_000, os.urandom(1_000_000)
    kept = [store.keep_bytes(text), store.keep_bytes(noise)]
    draft = begin(store)
    draft.amend(draft.step("file.replace", {}, kept), {})
    before = store.stored()
    assert [store.ask(lambda: store.shelf().pack_one()) for _ in range(3)] == [True, True, False]
    assert [store.read(one.hash, 2_000_000) for one in kept] == [text, noise]
    assert store.stored() < before - len(text) * 0.9
    sizes = sorted(path.stat().st_size for path in (tmp_path / "journal" / "contents").iterdir())
    assert len(sizes) == 2
    assert sizes[0] < 20_000
    draft.drop(1)
    draft.seal("")
    store.ask(lambda: None)
    assert (contents(tmp_path), store.stored()) == ([], 0)


def test_a_change_is_what_its_steps_did(store: Store) -> None:
    draft = begin(store)
    with pytest.raises(NotFound):
        store.change(draft.id)
    one = draft.step("file.create", {"a": 1}, [store.keep_bytes(b"new")], ["/r/d/f"])
    two = draft.step("file.replace", {"a": 2}, [], ["/r/d/g"])
    assert store.change(draft.id).state is State.BEGUN
    draft.amend(one, {"b": 3})
    draft.drop(two)
    change = draft.seal("Created `f`")
    assert change is not None
    assert (change.state, change.summary, change.tool, change.bytes_kept) == (State.DONE, "Created `f`", "edit_file", 3)
    assert [(step.kind, step.facts, step.paths) for step in change.steps] == [
        ("file.create", {"a": 1, "b": 3}, ("/r/d/f",))
    ]
    assert store.change(change.id) == change


def test_a_call_that_changes_nothing_leaves_nothing(store: Store, tmp_path: Path) -> None:
    assert begin(store).seal("nothing") is None
    draft = begin(store)
    draft.drop(draft.step("file.create", {}, [store.keep_bytes(os.urandom(100_000))], ["/r/f"]))
    assert draft.seal("nothing") is None
    assert store.changes(Filter()).changes == ()
    store.ask(lambda: None)
    assert (contents(tmp_path), store.stored()) == ([], 0)


def test_equal_contents_are_kept_once(store: Store, tmp_path: Path) -> None:
    data = os.urandom(100_000)
    for _ in range(3):
        draft = begin(store)
        draft.amend(draft.step("file.replace", {}, [store.keep_bytes(data)]), {})
        draft.seal("again")
    store.ask(lambda: None)
    assert len(contents(tmp_path)) == 1


def test_the_store_is_private(store: Store, tmp_path: Path) -> None:
    begin(store).step("file.replace", {}, [store.keep_bytes(os.urandom(100_000))])
    for path in (tmp_path / "journal").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o700


def test_changes_are_listed_newest_first_by_path_and_by_page(store: Store) -> None:
    made = []
    for number in range(7):
        draft = begin(store)
        draft.amend(draft.step("file.create", {}, [], [f"/r/d{number % 2}/f{number}"]), {})
        change = draft.seal(str(number))
        assert change is not None
        made.append(change.id)
    assert sorted(made) == made
    page = store.changes(Filter(), count=4)
    assert [change.id for change in page.changes] == made[:2:-1]
    assert [change.id for change in store.changes(Filter(), page.cursor, count=4).changes] == made[2::-1]
    near = {
        path: [c.summary for c in store.changes(Filter(path=path)).changes]
        for path in ("/r", "/r/d1", "/r/d1/f3", "/r/d1/f3/x", "/r/d")
    }
    assert near == {"/r": list("6543210"), "/r/d1": list("531"), "/r/d1/f3": ["3"], "/r/d1/f3/x": ["3"], "/r/d": []}


def test_the_oldest_go_first_and_never_one_that_is_held(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "journal"), Caps(300_000, 1e9, 100_000))
    made = []
    for _ in range(6):
        draft = begin(store)
        draft.amend(draft.step("file.replace", {}, [store.keep_bytes(os.urandom(90_000))]), {})
        change = draft.seal("")
        assert change is not None
        made.append(change.id)
        store.hold(made[:1])
    assert [change.id for change in store.changes(Filter()).changes] == [made[5], made[4], made[0]]
    store.ask(lambda: None)
    assert len(contents(tmp_path)) == 3
    assert store.stored() <= 300_000
    store.close(5)


def test_what_is_too_large_to_keep_is_told_before_anything_is_recorded(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "journal"), Caps(300_000, 1e9, 100_000))
    with pytest.raises(TooLargeToKeep):
        store.keep_bytes(os.urandom(100_001))
    store.close(5)
    assert CAPS.content_bytes_max == limits.JOURNAL_CONTENT_BYTES_MAX


def test_a_request_is_carried_out_once_across_servers(store: Store, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "journal"))
    assert store.by_request_key("key") is None
    draft = begin(store, "key")
    number = draft.step("file.create", {}, [], ["/r/f"])
    for asked in (store, other):
        with pytest.raises(Busy):
            asked.by_request_key("key")
        with pytest.raises(Busy):
            begin(asked, "key").step("file.create", {}, [], ["/r/f"])
    draft.amend(number, {})
    change = draft.seal("done")
    assert change is not None
    assert other.by_request_key("key") == change
    other.close(5)


def test_what_a_server_that_is_gone_has_begun_is_settled_by_the_next(tmp_path: Path) -> None:
    place = str(tmp_path / "journal")
    first = Store(place)
    draft = begin(first, "key")
    draft.step("file.create", {"there": 1}, [first.keep_bytes(os.urandom(50_000))], ["/r/f"])
    draft.step("file.create", {"there": 0}, [first.keep_bytes(os.urandom(50_000))], ["/r/g"])
    first.keep_bytes(os.urandom(50_000))
    gone = begin(first)
    gone.step("file.create", {"there": 0}, [], ["/r/h"])
    first.close(5)
    second = Store(place, settlers={"file": lambda step: bool(step.facts["there"])})
    found = second.changes(Filter()).changes
    assert [(change.id, change.interrupted, len(change.steps)) for change in found] == [(draft.id, True, 1)]
    settled = second.by_request_key("key")
    assert settled is not None
    assert settled.id == draft.id
    second.ask(lambda: None)
    assert len(contents(tmp_path)) == 1
    second.close(5)
    assert os.listdir(tmp_path / "journal" / "owners") == []

"""The journal through the tools, in both eras, over a real process: asked, recorded, listed, shown, undone, once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from driver import ERAS, Host, Json, uri, yes
from rootcellar import limits
from rootcellar.policy import Policy
from rootcellar.tools import TOOLSETS
from rootcellar.toolset import admitted

Change = tuple[str, dict[str, Any]]


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOTCELLAR_DATA", str(tmp_path / "data"))
    root = tmp_path / "root"
    for name, text in {"a.md": "one\ntwo\n", "b.md": "b\n", "tree/x": "x", "tree/deep/y": "y"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in sorted(root.rglob("*")) if path.is_file()}


def no(_question: Json) -> Json:
    return {"action": "decline"}


def change_id(told: str) -> str:
    return told.rpartition("[change_id ")[2].partition(";")[0]


DESTROYING: list[Change] = [
    ("write_file", {"path": "a.md", "content": "new\n", "mode": "replace"}),
    ("edit_file", {"path": "a.md", "edits": [{"old_text": "two", "new_text": "three"}]}),
    ("copy_file", {"source": "b.md", "destination": "a.md", "overwrite": True}),
    ("move_file", {"source": "b.md", "destination": "a.md", "overwrite": True}),
    ("delete_file", {"path": "a.md"}),
    ("delete_file", {"path": "tree"}),
]
HARMLESS: list[Change] = [
    ("write_file", {"path": "new.md", "content": "new\n"}),
    ("write_file", {"path": "new2.md", "content": "new\n", "mode": "replace"}),
    ("write_file", {"path": "a.md", "content": "more\n", "mode": "append"}),
    ("create_directory", {"path": "folder/inner"}),
    ("copy_file", {"source": "tree", "destination": "tree2"}),
    ("edit_file", {"path": "a.md", "edits": [{"old_text": "two", "new_text": "three"}], "dry_run": True}),
    ("move_file", {"source": "a.md", "destination": "c.md"}),
]


def test_the_list_of_change_tools_stays_within_sixteen_hundred_bytes() -> None:
    tools = [
        tool.spec() for name, tool in admitted(TOOLSETS, Policy()).items() if name.endswith(("_change", "_changes"))
    ]
    assert len(tools) == 3
    assert len(json.dumps({"tools": tools}, separators=(",", ":"))) <= 1_600


# Consent


def test_what_destroys_is_asked_and_a_no_changes_nothing(era: str, root: Path) -> None:
    before = tree(root)
    with Host(str(root), era=era, user=no) as host:
        for count, (tool, arguments) in enumerate(DESTROYING, 1):
            host.user = no
            reason, told = host.refusal(tool, **arguments)
            assert (reason, "nothing was changed" in told) == ("declined", True), tool
            assert tree(root) == before
            assert len(host.questions) == 3 * count - 2
            assert "a.md" in host.questions[-1] or "tree" in host.questions[-1]
            assert len(host.text("list_changes").splitlines()) == 1 + (2 * count - 1 if count > 1 else 0)
            host.user = yes
            made = change_id(host.text(tool, **arguments))
            assert tree(root) != before
            host.text("undo_change", change_id=made)
            assert tree(root) == before


def test_what_destroys_nothing_is_not_asked(era: str, root: Path) -> None:
    with Host(str(root), era=era, user=no) as host:
        for tool, arguments in HARMLESS:
            host.text(tool, **arguments)
        assert not host.questions


def test_only_a_filled_in_yes_counts(era: str, root: Path) -> None:
    with Host(str(root), era=era, user=no) as host:
        for answer in (
            {"action": "cancel"},
            {"action": "accept", "content": {"confirm": False}},
            {"action": "accept"},
            {"action": "accept", "content": {}},
        ):
            host.user = lambda _, answer=answer: answer
            assert host.refusal("delete_file", path="a.md")[0] == "declined"
        assert (root / "a.md").exists()


def test_the_question_says_exactly_what_will_happen(era: str, root: Path) -> None:
    with Host(str(root), era=era, user=no) as host:
        host.refusal("edit_file", path="a.md", edits=[{"old_text": "two", "new_text": "three"}])
        host.refusal("delete_file", path="tree")
        assert "8 bytes become 10" in host.questions[0]
        assert "-two\n+three" in host.questions[0]
        assert "with 3 things in it, 2 bytes" in host.questions[1]


def test_roots_and_consent_may_both_be_asked_in_one_call(era: str, root: Path) -> None:
    with Host(era=era, roots=[uri(root)], user=yes) as host:
        host.text("delete_file", path="a.md")
        assert host.asked >= 1
        assert len(host.questions) == 1
        assert not (root / "a.md").exists()


def test_a_target_that_changed_meanwhile_is_asked_about_again(era: str, root: Path) -> None:
    def meddler(question: Json) -> Json:
        if len(host.questions) == 1:
            (root / "a.md").write_text("somebody else\n", "utf-8")
        return yes(question)

    with Host(str(root), era=era, user=meddler) as host:
        host.text("write_file", path="a.md", content="new\n", mode="replace")
        assert len(host.questions) == 2
        assert host.questions[1].startswith("It has changed since you were asked.")
        assert "somebody else" in host.questions[1]


def test_a_target_that_keeps_changing_is_given_up(era: str, root: Path) -> None:
    def meddler(question: Json) -> Json:
        (root / "a.md").write_text(f"{len(host.questions)} times\n", "utf-8")
        return yes(question)

    with Host(str(root), era=era, user=meddler) as host:
        reason, told = host.refusal("write_file", path="a.md", content="new\n", mode="replace")
        assert reason == "declined"
        assert "kept changing" in told
        assert (root / "a.md").read_text("utf-8") == "5 times\n"


def test_a_replayed_yes_confirms_nothing(root: Path) -> None:
    with Host(str(root), era="modern", user=yes) as host:
        params: Json = {"name": "write_file", "arguments": {"path": "a.md", "content": "new\n", "mode": "replace"}}
        first = host.start("tools/call", params)[1].get(timeout=20)["result"]
        said = {key: yes({}) for key in first["inputRequests"]}
        retry = {**params, "inputResponses": said, "requestState": first["requestState"]}
        assert host.start("tools/call", retry)[1].get(timeout=20)["result"]["resultType"] == "complete"
        (root / "a.md").write_text("one\ntwo\n", "utf-8")
        again = host.start("tools/call", retry)[1].get(timeout=20)["result"]
        assert again["resultType"] == "input_required"
        assert (root / "a.md").read_text("utf-8") == "one\ntwo\n"


def test_a_yes_belongs_to_its_own_question(root: Path) -> None:
    with Host(str(root), era="modern", user=yes) as host:
        params: Json = {"name": "delete_file", "arguments": {"path": "a.md"}}
        first = host.start("tools/call", params)[1].get(timeout=20)["result"]
        said = {key: yes({}) for key in first["inputRequests"]}
        unasked = {**params, "inputResponses": said}
        assert host.start("tools/call", unasked)[1].get(timeout=20)["result"]["resultType"] == "input_required"
        other = {"name": "delete_file", "arguments": {"path": "b.md"}}
        stolen = {**other, "inputResponses": said, "requestState": first["requestState"]}
        assert host.start("tools/call", stolen)[1].get(timeout=20)["error"]["code"] == -32602
        assert {"a.md", "b.md"} <= set(tree(root))


def test_other_calls_go_on_while_the_user_thinks(era: str, root: Path) -> None:
    thinking, decided = threading.Event(), threading.Event()

    def slow(question: Json) -> Json:
        thinking.set()
        assert decided.wait(20)
        return yes(question)

    with Host(str(root), era=era, user=slow) as host:
        told: list[str] = []
        call = threading.Thread(target=lambda: told.append(host.text("delete_file", path="a.md")))
        call.start()
        assert thinking.wait(20)
        for _ in range(30):
            host.text("read_file", path="a.md")
        host.text("write_file", path="a.md", content="more\n", mode="append")
        decided.set()
        call.join(20)
        assert len(host.questions) == 2
        assert told


@pytest.mark.parametrize("confirm", ["ask", "never", "refuse"])
def test_a_client_that_cannot_ask(era: str, root: Path, confirm: str) -> None:
    with Host(str(root), "--confirm", confirm, era=era) as host:
        if confirm == "refuse":
            reason, told = host.refusal("delete_file", path="a.md")
            assert reason == "declined"
            assert "--confirm ask" in told
            assert (root / "a.md").exists()
            host.text("write_file", path="new.md", content="harmless\n")
        else:
            assert change_id(host.text("delete_file", path="a.md"))
        assert not host.questions


def test_never_asks_nobody_and_refuse_asks_who_can_be_asked(era: str, root: Path) -> None:
    with Host(str(root), "--confirm", "never", era=era, user=no) as host:
        host.text("delete_file", path="a.md")
        assert not host.questions
    with Host(str(root), "--confirm", "refuse", era=era, user=yes) as host:
        host.text("delete_file", path="b.md")
        assert len(host.questions) == 1


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26"])
def test_a_revision_without_elicitation_cannot_ask(root: Path, version: str) -> None:
    with Host(str(root), era="legacy", version=version, user=yes) as host:
        host.text("delete_file", path="a.md")
        assert not host.questions


def test_a_client_that_says_it_can_ask_and_cannot_is_let_through(root: Path) -> None:
    with Host(str(root), era="legacy", user=lambda _: {"code": -32601, "message": "no"}) as host:
        assert change_id(host.text("delete_file", path="a.md"))
    with Host(str(root), era="legacy", user=lambda _: {"code": -32603, "message": "broken"}) as host:
        assert host.refusal("delete_file", path="b.md")[0] == "declined"


def test_what_is_too_large_to_keep_needs_a_yes_of_its_own(era: str, root: Path) -> None:
    arguments: Json = {"source": "b.md", "destination": "large", "overwrite": True}
    with (root / "large").open("wb") as large:
        large.truncate(limits.JOURNAL_CONTENT_BYTES_MAX + 1)
    with Host(str(root), era=era) as host:
        assert host.refusal("copy_file", **arguments)[0] == "too_large_to_keep"
    with Host(str(root), era=era, user=yes) as host:
        told = host.text("copy_file", **arguments)
        assert "cannot be undone" in told
        assert host.questions[-1].startswith("This cannot be undone: ")
        assert host.refusal("undo_change", change_id=change_id(told))[0] == "not_found"


# Databases


def test_changes_of_a_database_are_asked_shown_and_undone(era: str, root: Path) -> None:
    database = root / "shop.db"
    with contextlib.closing(sqlite3.connect(database)) as shop:
        shop.executescript("CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t VALUES (1, 'x'), (2, 'y');")
    before = dump(database)
    with Host(str(root), era=era, user=no) as host:

        def change(sql: str) -> str:
            return change_id(host.text("change_database", database="shop.db", sql=sql))

        insert = change("INSERT INTO t VALUES (3, 'z')")
        assert not host.questions
        assert host.refusal("change_database", database="shop.db", sql="DELETE FROM t")[0] == "declined"
        assert "3 rows in t" in host.questions[-1]
        assert "deleted t: 1|x" in host.questions[-1]
        assert dump(database).count("INSERT") == 3
        host.user = yes
        delete, drop = change("DELETE FROM t"), change("DROP TABLE t")
        assert "DROP TABLE t" in host.questions[-1]
        assert "deleted t: 1|x" in host.text("show_change", change_id=delete)
        assert [line.split()[0] for line in host.text("list_changes", database="shop.db").splitlines()[:3]] == [
            drop, delete, insert,
        ]  # fmt: skip
        assert host.refusal("undo_change", change_id=insert)[0] == "in_the_way"
        host.text("undo_change", change_id=insert, chain=True)
    assert dump(database) == before


def test_what_tools_make_of_databases_can_be_undone(era: str, root: Path) -> None:
    (root / "rows.csv").write_text("x\n1\n2\n", "utf-8")
    before = set(os.listdir(root))
    with Host(str(root), era=era) as host:
        host.text("change_database", database="new.db", sql="CREATE TABLE t(x)", create=True)
        made = [
            change_id(host.text("import_table", database="new.db", path="rows.csv", table="t")),
            change_id(host.text("export_table", database="new.db", table="t", path="out.csv")),
            change_id(host.text("backup_database", database="new.db", path="copy.db")),
        ]
        for known in made[::-1]:
            host.text("undo_change", change_id=known)
        assert set(os.listdir(root)) == before | {"new.db"}


def test_a_rehearsal_leaves_no_change(era: str, root: Path) -> None:
    with Host(str(root), era=era) as host:
        host.text("change_database", database="new.db", sql="CREATE TABLE t(x)", create=True, dry_run=True)
        assert host.text("list_changes") == "[0 changes]"


def dump(database: Path) -> str:
    with contextlib.closing(sqlite3.connect(database)) as shop:
        return "\n".join(shop.iterdump())


# Listing, showing, undoing


def test_changes_are_listed_shown_and_undone(era: str, root: Path) -> None:
    before = tree(root)
    with Host(str(root), era=era) as host:
        made = [
            change_id(host.text(tool, **arguments)) for tool, arguments in (HARMLESS[0], DESTROYING[1], DESTROYING[5])
        ]
        listed = host.text("list_changes").splitlines()
        assert [line.split()[0] for line in listed[:3]] == made[::-1]
        assert listed[1].split()[3:5] == ["edit_file", "a.md"]
        assert host.text("list_changes", tool="edit_file").split()[0] == made[1]
        assert host.text("list_changes", path="tree/deep").split()[0] == made[2]
        assert host.text("list_changes", host="t", since="1h").count("\n") == 4
        assert host.text("list_changes", host="another") == "[0 changes]"
        assert "-two\n+three" in host.text("show_change", change_id=made[1])
        assert "nothing was undone" in host.text("undo_change", change_id=made[2], dry_run=True)
        assert not (root / "tree").exists()
        undo = change_id(host.text("undo_change", since="1h"))
        assert tree(root) == before
        assert f"undone by {undo}" in host.text("list_changes", tool="delete_file")
        host.text("undo_change", change_id=undo)
        assert "three" in (root / "a.md").read_text("utf-8")


def test_later_work_is_not_lost_by_an_undo(era: str, root: Path) -> None:
    with Host(str(root), era=era) as host:
        first = change_id(host.text("write_file", path="a.md", content="first\n", mode="replace"))
        second = change_id(host.text("write_file", path="a.md", content="second\n", mode="replace"))
        reason, told = host.refusal("undo_change", change_id=first)
        assert reason == "in_the_way"
        assert second in told
        host.text("undo_change", change_id=first, chain=True)
        assert (root / "a.md").read_text("utf-8") == "one\ntwo\n"
        third = change_id(host.text("write_file", path="a.md", content="third\n", mode="replace"))
        (root / "a.md").write_text("the user's own\n", "utf-8")
        reason, told = host.refusal("undo_change", change_id=third)
        assert reason == "stale"
        assert "the user's own" in told
        assert (root / "a.md").read_text("utf-8") == "the user's own\n"


def test_nothing_is_told_of_changes_outside_the_roots(era: str, root: Path) -> None:
    (root / "tree/deep/z").write_text("z", "utf-8")
    with Host(str(root), era=era) as host:
        outer = change_id(host.text("delete_file", path="a.md"))
    with Host(str(root / "tree"), era=era) as host:
        assert host.text("list_changes") == "[0 changes]"
        assert host.refusal("show_change", change_id=outer)[0] == "not_found"
        assert host.refusal("undo_change", change_id=outer)[0] == "not_found"
        assert "Nothing was changed" in host.text("undo_change", since="1h")
        assert not (root / "a.md").exists()


def test_a_wrong_id_or_time_is_told_so(era: str, root: Path) -> None:
    with Host(str(root), era=era) as host:
        assert host.refusal("show_change", change_id="nope")[0] == "not_found"
        assert host.refusal("undo_change")[0] == "argument"
        assert host.refusal("undo_change", change_id="x", since="1h")[0] == "argument"
        assert host.refusal("list_changes", since="yesterday-ish")[0] == "argument"


def test_who_only_reads_leaves_no_trace(era: str, root: Path, tmp_path: Path) -> None:
    with Host(str(root), era=era) as host:
        host.text("read_file", path="a.md")
        host.text("list_changes")
        host.refusal("show_change", change_id="nope")
        host.refusal("delete_file", path="missing")
        assert not (tmp_path / "data/journal").exists()


def test_a_store_that_cannot_be_opened_refuses_changes_and_nothing_else(era: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way", "utf-8")
    before = tree(root)
    with Host(str(root), era=era) as host:
        for tool, arguments in (HARMLESS[0], *DESTROYING):
            host.refusal(tool, **arguments)
        assert tree(root) == before
        host.text("read_file", path="a.md")


# Once


def test_a_request_key_makes_a_retried_change_happen_once(era: str, root: Path) -> None:
    grow: Json = {"path": "a.md", "content": "more\n", "mode": "append", "request_key": "k-1"}
    with Host(str(root), era=era) as host:
        first = host.text("write_file", **grow)
        assert host.text("write_file", **grow) == first
    with Host(str(root), era=era) as host:
        assert host.text("write_file", **grow) == first
        assert (root / "a.md").read_text("utf-8") == "one\ntwo\nmore\n"
        reason, told = host.refusal("write_file", **{**grow, "content": "other\n"})
        assert reason == "argument"
        assert change_id(first) in told


def test_a_retry_of_what_was_refused_is_tried_again(era: str, root: Path) -> None:
    with Host(str(root), era=era) as host:
        host.refusal("delete_file", path="later.md", request_key="k")
        (root / "later.md").write_text("now", "utf-8")
        host.text("delete_file", path="later.md", request_key="k")
        assert not (root / "later.md").exists()


def test_two_servers_with_one_key_change_once(root: Path) -> None:
    with Host(str(root)) as one, Host(str(root)) as other:
        told: list[str] = []

        def append(host: Host) -> None:
            told.append(host.text("write_file", path="a.md", content="more\n", mode="append", request_key="same"))

        for host in (one, other):
            host.text("read_file", path="a.md")
        threads = [threading.Thread(target=append, args=(host,)) for host in (one, other) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(told) == 6
        assert len(set(told)) == 1
        assert (root / "a.md").read_text("utf-8") == "one\ntwo\nmore\n"


# What a crash leaves


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_server_killed_in_the_middle_of_a_change_leaves_it_whole_or_absent_and_undoable(era: str, root: Path) -> None:
    for number in range(3):
        before = tree(root)
        with Host(str(root), era=era) as host:
            host.text("read_file", path="a.md")
            for attempt in range(40):
                edit = {"path": f"n{number}-{attempt}.md", "content": "x" * 200_000}
                host.start("tools/call", {"name": "write_file", "arguments": edit})
            time.sleep(0.03 * number)
            host.process.send_signal(signal.SIGKILL)
            host.process.wait()
        left = tree(root)
        assert all(len(text) == 200_000 for name, text in left.items() if name not in before)
        with Host(str(root), era=era) as host:
            host.text("undo_change", since="1h")
            assert tree(root) == before
            assert not [path for path in root.rglob("*") if path.name.startswith(".rootcellar-")]


def test_undo_after_a_restart(era: str, root: Path) -> None:
    before = tree(root)
    made: list[str] = []
    for tool, arguments in (DESTROYING[1], HARMLESS[0], DESTROYING[5]):
        with Host(str(root), era=era) as host:
            made.append(change_id(host.text(tool, **arguments)))
    with Host(str(root), era=era) as host:
        for known in made:
            host.text("undo_change", change_id=known)
    assert tree(root) == before

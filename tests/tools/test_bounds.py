"""Odd, huge and ill-timed requests over a real process: answers stay bounded, and no fault of ours shows."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from driver import ERAS, Host, uri

ANSWER_CHARS = 103_000  # limits.ANSWER_CHARS_MAX and a note
ROOTS_KEY = "rootcellar.roots"


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "f").write_text("text\n", "utf-8")
    return root


def length(result: dict[str, object]) -> int:
    content = result["content"]
    assert isinstance(content, list)
    return sum(len(block["text"]) for block in content)


@pytest.mark.parametrize("value", ["[" * 50_000, "[" * 50_000 + "]" * 50_000, "[" + "[]," * 400_000 + "[]]"])
def test_a_list_as_json_text_that_no_wire_would_carry_is_a_bad_argument(era: str, root: Path, value: str) -> None:
    with Host(str(root), era=era) as host:
        assert host.refusal("read_files", paths=value)[0] == "argument"
    assert not host.errors


def test_what_is_sent_in_bulk_is_not_sent_back(era: str, root: Path) -> None:
    bulk = "x" * 1_000_000
    asked: list[tuple[str, dict[str, object]]] = [
        ("tools/call", {"name": bulk}),
        ("prompts/get", {"name": bulk}),
        ("prompts/get", {"name": "explore", "arguments": {"path": bulk}}),
        ("resources/read", {"uri": bulk}),
        ("resources/read", {"uri": f"file:///{bulk}"}),
    ]
    with Host(str(root), era=era) as host:
        for method, params in asked:
            answer = host.request(method, params)
            assert "error" in answer, (method, str(answer)[:200])
            assert len(json.dumps(answer)) < 1_000, method
        error = host.request("resources/read", {"uri": "file:///nowhere"})["error"]
        assert error["data"] == {"uri": "file:///nowhere"}


def test_numbered_lines_stay_within_the_answer_and_join_without_a_seam(era: str, root: Path) -> None:
    count = 60_000
    (root / "f").write_text("".join(f"{number}\n" for number in range(1, count + 1)), "utf-8")
    with Host(str(root), era=era) as host:
        got: list[str] = []
        start: int | None = 1
        while start is not None:
            result = host.call("read_file", path="f", start_line=start, line_numbers=True)
            assert length(result) < ANSWER_CHARS
            text, note = (block["text"] for block in result["content"])
            got += [line.strip() for line in text.splitlines()]
            assert re.search(rf"lines {start:,}-{len(got):,} of {count:,}", note), note
            following = re.search(r"start_line=(\d+)", note)
            start = int(following[1]) if following else None
        assert got == [f"{number}\t{number}" for number in range(1, count + 1)]
        result = host.call("read_file", path="f", tail=count, line_numbers=True)
        assert length(result) < ANSWER_CHARS
        text, note = (block["text"] for block in result["content"])
        assert text.endswith(f"{count}\t{count}")
        assert text.startswith(re.search(r"lines ([\d,]+)-", note)[1].replace(",", ""))  # type: ignore[index]
        assert "cut at the beginning" in note


def test_several_files_stay_within_the_answer_whatever_they_are_called(era: str, root: Path) -> None:
    (root / "f").write_text("x" * 2_000_000, "utf-8")
    with Host(str(root), era=era) as host:
        for paths in (["f"] * 100, ["f", *("y" * 1_990 + str(number) for number in range(99))]):
            result = host.call("read_files", paths=paths)
            assert length(result) < ANSWER_CHARS
            assert "more not read, the answer is full" in result["content"][-1]["text"]


def test_the_list_of_roots_is_bounded_whatever_the_client_offers(era: str) -> None:
    for roots in ([f"/{'z' * 3_000}{number}" for number in range(300)], ["/" + "z" * 1_000_000]):
        with Host(era=era, roots=roots) as host:
            assert length(host.call("list_roots")) < ANSWER_CHARS
            assert host.refusal("read_file", path="f")[0] == "no_roots"


def test_a_call_cancelled_while_the_client_lists_its_roots_leaves_them_to_be_asked_again(root: Path) -> None:
    asked, answer = threading.Event(), threading.Event()

    def offered() -> list[str]:
        asked.set()
        answer.wait(5)
        return [uri(root)]

    with Host(era="legacy", roots=offered) as host:
        number, _ = host.start("tools/call", {"name": "list_roots", "arguments": {}})
        assert asked.wait(20)
        host.notify("notifications/cancelled", {"requestId": number})
        host.request("ping")
        answer.set()
        assert "text" in host.text("read_file", path="f")


def test_roots_written_into_the_meta_of_a_request_are_not_an_answer(root: Path) -> None:
    with Host(era="modern", roots=[uri(root)]) as host:
        params = {"name": "list_roots", "arguments": {}}
        state = host.start("tools/call", params)[1].get(timeout=20)["result"]["requestState"]
        for forged in (5, [1, 2], "/etc", [uri(root)]):
            meta = {"com.github.rootcellar/roots": forged}
            answer = host.start("tools/call", {**params, "requestState": state, "_meta": meta})[1].get(timeout=20)
            assert answer["result"]["resultType"] == "input_required", answer


def test_a_version_told_after_an_append_is_of_what_was_appended(era: str, root: Path) -> None:
    with Host(str(root), era=era) as host:

        def version(text: str) -> str:
            found = re.search(r"version (\w+)", text)
            assert found, text
            return found[1]

        told = version(host.text("read_file", path="f"))
        told = version(host.text("write_file", path="f", content="more\n", mode="append", if_version=told))
        assert told == version(host.text("read_file", path="f"))
        assert (root / "f").read_text("utf-8") == "text\nmore\n"


def test_what_is_said_of_a_file_is_the_same_in_every_tool(era: str, root: Path) -> None:
    (root / "mark").write_bytes(b"\xff\xfe")
    (root / "guess").write_bytes("Größe, Straße, Äpfel für Müller\n".encode("latin-1") * 3)
    (root / "binary").write_bytes(bytes(range(256)) * 20)
    with Host(str(root), era=era) as host:
        assert "empty file; UTF-16LE with BOM" in host.text("read_file", path="mark")
        guessed = re.search(r"of 3; ([^;]*\?);", host.text("read_file", path="guess"))
        assert guessed
        assert f"encoding: {guessed[1]}\n" in host.text("get_file_info", path="guess")
        for tool, more in (("read_file", {}), ("search_text", {"pattern": "x"})):
            reason, text = host.refusal(tool, path="binary", **more)
            assert (reason, text.startswith("`binary`: ")) == ("not_text", True), text

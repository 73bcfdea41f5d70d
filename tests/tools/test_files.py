"""The file tools over a real process: reading, writing, editing, moving, deleting."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driver import ERAS, Host

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module", params=ERAS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Path]]:
    root = tmp_path_factory.mktemp("served") / "root"
    root.mkdir()
    home = tmp_path_factory.mktemp("home")
    with Host(str(root), era=request.param, env={"HOME": str(home), "XDG_DATA_HOME": str(home / "share")}) as host:
        yield host, root


@pytest.fixture
def host(served: tuple[Host, Path]) -> Host:
    return served[0]


@pytest.fixture
def root(served: tuple[Host, Path], request: pytest.FixtureRequest) -> Path:
    """A folder of its own for each test, inside the one root."""
    folder = served[1] / re.sub(r"\W+", "_", request.node.name)
    folder.mkdir()
    return folder


def version(text: str) -> str:
    found = re.search(r"version:? (\w+)", text)
    assert found, text
    return found[1]


def test_a_text_is_given_exactly_and_its_facts_follow_in_a_block_of_their_own(host: Host, root: Path) -> None:
    exact = "first\r\n  second\t\n\nlast without an end"
    (root / "f.txt").write_bytes(exact.encode())
    result = host.call("read_file", path=f"{root.name}/f.txt")
    assert result["content"][0]["text"] == exact
    assert "lines 1-4 of 4" in result["content"][1]["text"]
    assert len(result["content"]) == 2
    assert "structuredContent" not in result


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"start_line": 3, "end_line": 4}, "line 3\nline 4\n"),
        ({"start_line": 99}, "line 99\nline 100\n"),
        ({"head": 2}, "line 1\nline 2\n"),
        ({"tail": 2}, "line 99\nline 100\n"),
        ({"start_line": 9, "end_line": 10, "line_numbers": True}, " 9\tline 9\n10\tline 10"),
    ],
)
def test_parts_of_a_text(host: Host, root: Path, arguments: dict[str, Any], expected: str) -> None:
    (root / "f").write_text("".join(f"line {number}\n" for number in range(1, 101)), "utf-8")
    assert host.call("read_file", path=f"{root.name}/f", **arguments)["content"][0]["text"] == expected


def test_a_long_text_comes_in_pages_that_join_without_a_seam(host: Host, root: Path) -> None:
    whole = "".join(f"{number} {'x' * (number % 300)}\n" for number in range(3000))
    (root / "f").write_text(whole, "utf-8")
    got, start = "", 1
    for _ in range(20):
        text, note = (b["text"] for b in host.call("read_file", path=f"{root.name}/f", start_line=start)["content"])
        assert len(text) <= 100_000
        got += text
        following = re.search(r"start_line=(\d+)", note)
        if not following:
            break
        start = int(following[1])
    assert got == whole


def test_one_giant_line_comes_in_pieces(host: Host, root: Path) -> None:
    whole = "é" * 250_000 + "\n"
    (root / "f").write_text(whole, "utf-8")
    got, arguments = "", {"start_line": 1}
    for _ in range(10):
        text, note = (b["text"] for b in host.call("read_file", path=f"{root.name}/f", **arguments)["content"])
        got += text
        following = re.search(r"start_line=(\d+)(?:, start_char=(\d+))?", note)
        if not following:
            break
        arguments = {"start_line": int(following[1]), "start_char": int(following[2] or 0)}
    assert got == whole


def test_the_tail_of_a_large_log_is_read_without_reading_it_whole(host: Host, root: Path) -> None:
    block = b"".join(b"entry %d\n" % number for number in range(50_000))
    with (root / "log").open("wb") as log:
        for _ in range(300):
            log.write(block)
    text = host.call("read_file", path=f"{root.name}/log", tail=2)["content"][0]["text"]
    (root / "log").unlink()
    assert text == "entry 49998\nentry 49999\n"


@pytest.mark.parametrize(
    ("data", "text", "label"),
    [
        ("ü\n".encode("utf-16"), "ü\n", "UTF-16"),
        (b"\xef\xbb\xbf" + "ü\n".encode(), "ü\n", "BOM"),
        ("Straße, Müller, größer als je zuvor\n".encode("cp1252"), "Straße, Müller, größer als je zuvor\n", "1252"),
        (b"", "", "empty file"),
    ],
)
def test_encodings_are_found_and_named(host: Host, root: Path, data: bytes, text: str, label: str) -> None:
    (root / "f").write_bytes(data)
    content = host.call("read_file", path=f"{root.name}/f")["content"]
    assert ("".join(block["text"] for block in content[:-1])) == text
    assert label in content[-1]["text"]


def test_binary_data_is_named_and_never_dumped(host: Host, root: Path) -> None:
    (root / "db").write_bytes(b"SQLite format 3\0" + bytes(5000))
    reason, text = host.refusal("read_file", path=f"{root.name}/db")
    assert reason == "not_text"
    assert "SQLite database" in text


def test_an_image_comes_as_an_image(host: Host, root: Path) -> None:
    (root / "dot.png").write_bytes(PNG)
    block = host.call("read_file", path=f"{root.name}/dot.png")["content"][0]
    assert (block["type"], block["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(block["data"]).startswith(b"\x89PNG")


def test_several_files_share_a_budget_and_fail_one_by_one(host: Host, root: Path) -> None:
    (root / "a").write_text("alpha\n", "utf-8")
    (root / "b").write_text("x\n" * 200_000, "utf-8")
    (root / "c").write_text("gamma\n", "utf-8")
    paths = [f"{root.name}/{name}" for name in ("a", "missing", "b", "c", ".env")]
    content = host.call("read_files", paths=paths)["content"]
    text = "\n".join(block["text"] for block in content)
    assert "alpha" in text
    assert "gamma" in text
    assert "does not exist" in text
    assert "sealed" in text
    assert "start_line=" in text
    assert len(text) < 110_000


def test_create_never_overwrites_replace_does_and_append_adds(host: Host, root: Path) -> None:
    path = f"{root.name}/f"
    assert "Created" in host.text("write_file", path=path, content="one\n")
    assert host.refusal("write_file", path=path, content="two\n")[0] == "exists"
    assert (root / "f").read_text("utf-8") == "one\n"
    host.text("write_file", path=path, content="two\n", mode="replace")
    host.text("write_file", path=path, content="three\n", mode="append")
    assert (root / "f").read_text("utf-8") == "two\nthree\n"


def test_append_keeps_to_the_encoding_of_the_file(host: Host, root: Path) -> None:
    (root / "f").write_bytes("a\n".encode("utf-16"))
    host.text("write_file", path=f"{root.name}/f", content="ü\n", mode="append")
    assert (root / "f").read_bytes().decode("utf-16") == "a\nü\n"


def test_a_version_makes_a_change_conditional(host: Host, root: Path) -> None:
    path = f"{root.name}/f"
    first = version(host.text("write_file", path=path, content="one\n"))
    assert version(host.text("read_file", path=path)) == first
    assert version(host.text("get_file_info", path=path)) == first
    (root / "f").write_text("someone else's\n", "utf-8")
    edits = [{"old_text": "one", "new_text": "two"}]
    for refused in (
        host.refusal("write_file", path=path, content="two\n", mode="replace", if_version=first),
        host.refusal("write_file", path=path, content="two\n", mode="append", if_version=first),
        host.refusal("edit_file", path=path, edits=edits, if_version=first),
        host.refusal("edit_file", path=path, edits=edits, if_version=first, dry_run=True),
    ):
        assert refused[0] == "stale"
    assert (root / "f").read_text("utf-8") == "someone else's\n"


def test_an_edit_shows_its_diff_and_a_dry_run_writes_nothing(host: Host, root: Path) -> None:
    (root / "f").write_bytes(b"a\r\nb\r\nc\r\n")
    edits = [{"old_text": "b", "new_text": "B\nBB"}]
    for dry_run, after in ((True, b"a\r\nb\r\nc\r\n"), (False, b"a\r\nB\r\nBB\r\nc\r\n")):
        shown = host.text("edit_file", path=f"{root.name}/f", edits=edits, dry_run=dry_run)
        assert "-b" in shown
        assert "+BB" in shown
        assert (root / "f").read_bytes() == after


def test_twenty_parallel_edits_of_twenty_lines_keep_twenty(host: Host, root: Path) -> None:
    (root / "f").write_text("".join(f"line {number:02}.\n" for number in range(20)), "utf-8")
    acknowledged: list[bool] = []

    def change(number: int) -> None:
        edits = [{"old_text": f"line {number:02}.", "new_text": f"changed {number:02}."}]
        acknowledged.append(not host.call("edit_file", path=f"{root.name}/f", edits=edits).get("isError"))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert acknowledged == [True] * 20
    assert (root / "f").read_text("utf-8") == "".join(f"changed {number:02}.\n" for number in range(20))


def test_moves_and_copies_never_overwrite_unless_told(host: Host, root: Path) -> None:
    (root / "a").write_text("a", "utf-8")
    (root / "b").write_text("b", "utf-8")
    source, destination = f"{root.name}/a", f"{root.name}/b"
    for tool in ("copy_file", "move_file"):
        assert host.refusal(tool, source=source, destination=destination)[0] == "exists"
    assert (root / "b").read_text("utf-8") == "b"
    host.text("copy_file", source=source, destination=destination, overwrite=True)
    assert (root / "b").read_text("utf-8") == "a"
    host.text("move_file", source=source, destination=f"{root.name}/c")
    assert not (root / "a").exists()
    assert (root / "c").read_text("utf-8") == "a"


def test_whole_folders_are_copied_moved_and_deleted(host: Host, root: Path) -> None:
    (root / "tree/deep").mkdir(parents=True)
    (root / "tree/deep/f").write_text("x", "utf-8")
    (root / "tree/.env").write_text("SECRET", "utf-8")
    told = host.text("copy_file", source=f"{root.name}/tree", destination=f"{root.name}/twin")
    assert "left out 1 sealed" in told
    assert (root / "twin/deep/f").read_text("utf-8") == "x"
    assert not (root / "twin/.env").exists()
    host.text("move_file", source=f"{root.name}/twin", destination=f"{root.name}/moved")
    host.text("delete_file", path=f"{root.name}/moved")
    assert not (root / "moved").exists()
    assert host.refusal("delete_file", path=f"{root.name}/tree")[0] == "sealed"
    assert (root / "tree/.env").exists()


def test_facts_about_a_file_and_a_link(host: Host, root: Path) -> None:
    (root / "f.py").write_bytes(b"print(1)\r\nprint(2)\r\n")
    (root / "l").symlink_to("f.py")
    (root / "out").symlink_to("/etc/passwd")
    told = host.text("get_file_info", path=f"{root.name}/f.py", sha256=True)
    digest = hashlib.sha256(b"print(1)\r\nprint(2)\r\n").hexdigest()
    for fact in ("kind: file", "size: 20 bytes", "line ending: CRLF", "lines: 2", "media type: text/x-python", digest):
        assert fact in told
    assert "leads to: " in host.text("get_file_info", path=f"{root.name}/l")
    assert host.refusal("get_file_info", path=f"{root.name}/out")[0] == "escape"


@pytest.mark.parametrize("sort", ["name", "size", "time"])
def test_a_long_directory_comes_in_pages_that_miss_nothing(host: Host, root: Path, sort: str) -> None:
    for number in range(2_345):
        (root / f"f{number:04}").write_bytes(b"x" * (number % 7))
    names: list[str] = []
    cursor = None
    for _ in range(5):
        listed = host.text("list_directory", path=root.name, sort=sort, **({"cursor": cursor} if cursor else {}))
        names += re.findall(r"\bf\d{4}\b", listed)
        found = re.search(r"cursor=([\w-]+)", listed)
        if not found:
            break
        cursor = found[1]
    assert sorted(names) == [f"f{number:04}" for number in range(2_345)]
    assert host.refusal("list_directory", path=root.name, cursor="nonsense")[0] == "argument"


def test_a_name_that_is_no_utf8_is_shown_read_moved_and_deleted_by_what_was_shown(host: Host, root: Path) -> None:
    (root / os.fsdecode(b"bad\xff.txt")).write_bytes(b"inside\n")
    shown = host.text("list_directory", path=root.name).split("\n")[0].split()[-1]
    assert "inside" in host.text("read_file", path=f"{root.name}/{shown}")
    assert shown in host.text("directory_tree", path=root.name)
    assert shown in host.text("search_files", path=root.name, pattern="*.txt")
    host.text("move_file", source=f"{root.name}/{shown}", destination=f"{root.name}/{shown}.bak")
    host.text("delete_file", path=f"{root.name}/{shown}.bak")
    assert list(root.iterdir()) == []


def test_a_folder_is_made_with_those_above_it(host: Host, root: Path) -> None:
    host.text("create_directory", path=f"{root.name}/a/b/c")
    host.text("create_directory", path=f"{root.name}/a/b/c")
    assert (root / "a/b/c").is_dir()


def test_the_tree_collapses_and_leaves_out_what_git_ignores(host: Host, root: Path) -> None:
    (root / ".gitignore").write_text("junk/\n", "utf-8")
    for number in range(300):
        path = root / f"many/sub{number % 3}/file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", "utf-8")
    (root / "junk").mkdir()
    (root / "junk/hidden").write_text("x", "utf-8")
    told = host.text("directory_tree", path=root.name)
    assert "many" in told
    assert "hidden" not in told
    assert "junk" in told
    assert "hidden" in host.text("directory_tree", path=root.name, ignored=True)


def test_names_and_texts_are_found(host: Host, root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub/one.py").write_text("alpha\nneedle = 1\nomega\n", "utf-8")
    (root / "two.txt").write_text("no such thing\nNEEDLE\n", "utf-8")
    (root / ".env").write_text("needle\n", "utf-8")
    assert f"{root.name}/sub/one.py" in host.text("search_files", path=root.name, pattern="*.py")
    told = host.text("search_text", path=root.name, pattern="needle")
    assert f"{root.name}/sub/one.py" in told
    assert "needle = 1" in told
    assert "two.txt" not in told
    assert "two.txt" in host.text("search_text", path=root.name, pattern="needle", ignore_case=True)
    assert "alpha" in host.text("search_text", path=root.name, pattern=r"n[e]+dle\s=", regex=True, context=1)
    assert ".env:" not in host.text("search_text", path=root.name, pattern="needle", ignore_case=True)
    assert host.refusal("search_text", path=root.name, pattern="(", regex=True)[0] == "argument"

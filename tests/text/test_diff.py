"""Diffs apply, are bounded, and are quick for large files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootcellar import limits
from rootcellar.text.diff import DIFF_CHARS_MAX, diff, unified


def patched(before: str, patch: str) -> str:
    """Apply a unified diff, strictly."""
    lines, out, at = re.findall(r"[^\n]*\n|[^\n]+", before), [], 0
    rows = patch.split("\n")[2:-1]
    n = 0
    while n < len(rows):
        header = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", rows[n])
        assert header, rows[n]
        start, count = int(header[1]), int(header[2] or 1)
        begin = start - 1 if count else start
        out += lines[at:begin]
        at = begin
        assert len(out) == (int(header[3]) - 1 if header[4] != "0" else int(header[3]))
        n += 1
        while n < len(rows) and not rows[n].startswith("@@"):
            sign, body = rows[n][0], rows[n][1:].replace("\u240d", "\r") + "\n"
            if n + 1 < len(rows) and rows[n + 1].startswith("\\"):
                body = body[:-1]
                n += 1
            if sign in " -":
                assert lines[at] == body
                at += 1
            if sign in " +":
                out.append(body)
            n += 1
    return "".join(out + lines[at:])


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\r\n", "\n", "e\r\n"]), max_size=40)


@given(LINES, LINES, st.sampled_from(["", "x"]), st.sampled_from(["", "x", "a\n"]))
@settings(max_examples=500)
def test_a_diff_applied_to_the_old_text_gives_the_new_one(a: list[str], b: list[str], tail: str, other: str) -> None:
    before, after = "".join(a) + tail, "".join(b) + other
    made = diff("m\r\nn\n" + before, "m\r\nn\n" + after, "f")
    if before == after:
        assert made.text == ""
    else:
        assert patched("m\r\nn\n" + before, made.text) == "m\r\nn\n" + after
        assert made.added == len(re.findall(r"^\+(?!\+\+)", made.text, re.MULTILINE))
        assert made.removed == len(re.findall(r"^-(?!--)", made.text, re.MULTILINE))


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies it")
def test_git_applies_it(tmp_path: Path) -> None:
    before = "".join(f"line {n % 50}\n" for n in range(400))
    after = before.replace("line 7\n", "seven\nseven and a half\n", 3).replace("line 33\n", "") + "no end"
    (tmp_path / "f").write_text(before)
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=unified(before, after, "f").encode(), check=True)
    assert (tmp_path / "f").read_text() == after


def test_the_form_is_the_usual_one() -> None:
    before = "".join(f"{n}\n" for n in range(1, 30))
    after = before.replace("5\n", "five\n", 1).replace("28\n", "28\n28b\n").removesuffix("\n")
    assert unified(before, after, "dir/f.txt") == (
        "--- a/dir/f.txt\n+++ b/dir/f.txt\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        "@@ -26,4 +26,5 @@\n 26\n 27\n 28\n-29\n+28b\n+29\n\\ No newline at end of file\n"
    )


def test_returns_are_shown_only_where_endings_differ() -> None:
    assert "\u240d" not in unified("a\r\nb\r\n", "a\r\nc\r\n", "f")
    shown = unified("a\r\nb\n", "a\r\nb\r\n", "f")
    assert "-b\n+b\u240d\n" in shown
    assert "-a\u240d\n" not in shown


def test_a_large_file_with_small_changes_far_apart_shows_just_these() -> None:
    before = "".join(f"line {n} of {n % 7}\n" for n in range(60_000))
    after = before.replace("line 10 of 3\n", "ten\n").replace("line 59990 of 0\n", "late\n")
    made = diff(before, after, "f")
    assert (made.added, made.removed, made.hunks, made.omitted) == (2, 2, 2, 0)


def test_an_answer_is_bounded_and_counts_what_it_leaves_out() -> None:
    before = "".join(f"line {n}\n" for n in range(20_000))
    made = diff(before, before.replace("00\n", "zero\n"), "f")
    assert len(made.text) < DIFF_CHARS_MAX + 500
    assert made.omitted > 0
    assert f"... {made.omitted:,} more hunks not shown" in made.text
    whole = diff("a\n" * 50_000, "b\n" * 50_000, "f")
    assert len(whole.text) < DIFF_CHARS_MAX + 500
    assert "more lines of this hunk not shown" in whole.text
    long = unified("x\n", "y" * 1_000_000 + "\n", "f")
    assert len(long) < limits.LINE_CHARS_MAX + 500
    assert "(+998,000 characters)" in long


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\n" * 100_000, "a\n" * 50_000 + "b\n" + "a\n" * 50_000),
        ("a\nb\n" * 50_000, "b\na\n" * 50_000),
        ("".join(f"{n}\n" for n in range(60_000)), "".join(f"{n}\n" for n in range(60_000, 0, -1))),
        ("".join(f"{n % 300}\n" for n in range(60_000)), "".join(f"{n % 301}\n" for n in range(60_000))),
        ("x" * 3_000_000, "x" * 2_999_999 + "y"),
    ],
)
@pytest.mark.timeout(20)  # what is quadratic here would take hours
def test_no_pair_of_texts_takes_long(before: str, after: str) -> None:
    made = diff(before, after, "f")
    assert made.text
    assert len(made.text) < DIFF_CHARS_MAX + 500


def test_stray_bytes_can_be_sent() -> None:
    unified("a\udc80\n", "b\udc80\n", "f").encode("utf-8")

"""Ignore files mean what git says they mean."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from rootcellar.text.glob import Case
from rootcellar.text.ignore import Ignore, parse

NAMES = ["a", "b", "ab", "a.c", "b.log", "x.c", "keep.log", "build", "foo bar", "#h", "!n", "[z]"]
LINES = [
    "a", "b/", "/a", "*.log", "!keep.log", "a/b", "a/**", "**/b", "a/**/b", "/build/", "build", "*.c", "!x.c", "?b",
    "[ab]", "[!a]b", "foo\\ bar", "foo bar ", "\\#h", "\\!n", "\\[z\\]", "# comment", "", "   ", "*", "!*/", "/*",
    "!/a",
    "a*", "**", "a/*", "!a/b", "/a/b/", "**/a/b", "b/**/a", "*b*", "[z", "a//b", "/", "!", "a.[ch]", "*.[!c]",
]  # fmt: skip


def ours(texts: dict[str, str], path: str, *, directory: bool) -> bool:
    """Whether a walk from the top would leave the path out: one of its parents, or itself."""
    rules = Ignore().within("", {".gitignore": texts.get("", "")})
    parts = path.split("/")
    for depth, name in enumerate(parts):
        if rules.leaves_out(name, directory=directory or depth < len(parts) - 1):
            return True
        inner = "/".join(parts[: depth + 1])
        rules = Ignore(f"{inner}/", rules.levels).within(f"{inner}/", {".gitignore": texts.get(inner, "")})
    return False


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the oracle")
def test_hundreds_of_random_ignore_files_agree_with_git(tmp_path: Path) -> None:
    rng = random.Random(20_261_121)
    git = ["git", "-c", "core.excludesFile=", "-c", "core.ignoreCase=false", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("")
    paths = sorted({"/".join(rng.choices(NAMES, k=rng.randint(1, 4))) for _ in range(300)})
    directories: list[str] = []
    for path in paths:
        try:
            if rng.random() < 0.5:
                (tmp_path / path).mkdir(parents=True, exist_ok=True)
            else:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).touch()
        except OSError:
            continue
    there = [p for p in sorted(tmp_path.rglob("*")) if ".git" not in p.relative_to(tmp_path).parts]
    directories = [p.relative_to(tmp_path).as_posix() for p in there if p.is_dir()]
    checked = 0
    for _ in range(150):
        texts = {"": "\n".join(rng.choices(LINES, k=rng.randint(1, 5)))}
        texts |= {rng.choice(directories): "\n".join(rng.choices(LINES, k=rng.randint(1, 4))) for _ in range(2)}
        for where, text in texts.items():
            (tmp_path / where / ".gitignore").write_text(text + "\n")
        asked = "\0".join(p.relative_to(tmp_path).as_posix() for p in there if p.name != ".gitignore")
        answer = subprocess.run(
            [*git, "check-ignore", "-z", "--stdin", "--no-index"], input=asked, capture_output=True, text=True,
            check=False,
        ).stdout  # fmt: skip
        ignored = set(answer.split("\0")) - {""}
        for one in there:
            name = one.relative_to(tmp_path).as_posix()
            got = ours(texts, name, directory=one.is_dir())
            assert got is (name in ignored), (texts, name)
            checked += 1
        for where in texts:
            (tmp_path / where / ".gitignore").unlink()
    assert checked > 20_000


def test_dot_ignore_outranks_gitignore_which_outranks_exclude() -> None:
    rules = Ignore().within("", {".gitignore": "a\n!b\n", ".ignore": "!a\n", ".git/info/exclude": "b\nc\n"})
    assert [rules.leaves_out(name, directory=False) for name in "abcd"] == [False, False, True, False]


def test_git_itself_is_always_left_out() -> None:
    assert Ignore().within("", {".gitignore": "!.git\n"}).leaves_out(".git", directory=True)


def test_a_deeper_file_outranks_one_above_it_and_speaks_of_its_own_directory() -> None:
    outer = Ignore().within("", {".gitignore": "*.log\n/only\n"})
    inner = Ignore("sub/", outer.levels).within("sub/", {".gitignore": "!keep.log\n/only2\n"})
    judged = {name: inner.leaves_out(name, directory=False) for name in ("x.log", "keep.log", "only", "only2")}
    assert judged == {"x.log": True, "keep.log": False, "only": False, "only2": True}


def test_crlf_a_byte_order_mark_and_undecodable_bytes_do_not_matter() -> None:
    rules = parse(b"\xef\xbb\xbf*.log\r\ncaf\xe9\r\n".decode("utf-8", "surrogateescape"))
    assert rules.decide("x.log", "x.log", directory=False)
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert rules.decide(name, name, directory=False)


def test_case_can_be_folded() -> None:
    assert parse("*.LOG\nBuild/\n", Case.FOLD).decide("x.Log", "x.Log", directory=False)
    assert parse("*.LOG\n").decide("x.log", "x.log", directory=False) is None


@pytest.mark.timeout(20)  # a rule that backtracks would not end in a lifetime
def test_no_rule_makes_a_walk_slow() -> None:
    rules = parse("*a" * 60 + "b\n" + "**/a/" * 60 + "b\n" + "\n".join(f"dir{n}/*.x{n}" for n in range(2_000)))
    for n in range(300):
        assert rules.decide("a/" * 50 + f"a{n}", "a" * 200 + str(n), directory=False) is None

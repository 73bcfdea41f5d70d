"""Names found and trees drawn through the wall: what ignore files say, page by page, always bounded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rootcellar import errors, limits
from rootcellar.confine import Entry, Grant, Ground, Kind
from rootcellar.policy import Policy
from rootcellar.text import cursor as cursors
from rootcellar.text.find import Found, Order, Query, Wanted, find
from rootcellar.text.glob import Case, compile_glob
from rootcellar.text.leaving import Honour
from rootcellar.text.tree import DIRECTORIES_SHOWN_MAX, tree


def root(path: Path) -> Entry:
    return Ground().roots([Grant(str(path))], Policy()).entry(".")


def plant(base: Path, *names: str) -> None:
    for name in names:
        path = base / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)


PROJECT = (
    "(group)/page.tsx", "(group)/x.log", "a.py", "build/out.py", "docs/a.md", "docs/keep.log", "docs/x.log",
    "src/a.py", "src/deep/er/b.py", "src/gen/g.py", "src/.hidden.py", ".git/config.py",
    "sub/build/in.py", "sub/tmp/only.py", ".env",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    plant(tmp_path, *PROJECT)
    (tmp_path / ".gitignore").write_text("/build/\n*.log\n")
    (tmp_path / "docs/.gitignore").write_text("!keep.log\n")
    (tmp_path / "src/.ignore").write_text("gen\n")
    (tmp_path / "sub/.gitignore").write_text("/tmp\n")
    (tmp_path / ".git/info").mkdir()
    (tmp_path / ".git/info/exclude").write_text("er/\n")
    return tmp_path


def query(*patterns: str, **options: object) -> Query:
    return Query(tuple(map(compile_glob, patterns)), **options)  # type: ignore[arg-type]


def names(found: Found) -> list[str]:
    return [hit.path for hit in found.hits]


@pytest.mark.parametrize(
    ("start", "pattern", "honour", "expected"),
    [
        (".", "*.py", Honour.IGNORE_FILES, ["a.py", "src/.hidden.py", "src/a.py", "sub/build/in.py"]),
        (".", "*.log", Honour.IGNORE_FILES, ["docs/keep.log"]),
        (".", "*.log", Honour.NOTHING, ["(group)/x.log", "docs/keep.log", "docs/x.log"]),
        (".", "**/deep/**", Honour.NOTHING, ["src/deep/er", "src/deep/er/b.py"]),
        (".", "src/*", Honour.IGNORE_FILES, ["src/.hidden.py", "src/.ignore", "src/a.py", "src/deep"]),
        (".", "*config*", Honour.NOTHING, []),
        ("sub", "*.py", Honour.IGNORE_FILES, ["build/in.py"]),
        ("build", "*.py", Honour.IGNORE_FILES, ["out.py"]),
        ("src/deep", "*.py", Honour.IGNORE_FILES, []),
        ("src/deep/er", "*.py", Honour.IGNORE_FILES, ["b.py"]),
    ],
)
def test_ignore_files_decide_wherever_the_search_begins(
    project: Path, start: str, pattern: str, honour: Honour, expected: list[str]
) -> None:
    where = root(project).below(tuple(start.split("/"))) if start != "." else root(project)
    assert names(find(where, query(pattern, honour=honour))) == expected


def test_ignore_rules_are_known_after_coming_back_from_a_directory_below(tmp_path: Path) -> None:
    plant(tmp_path, "a/b/c/x", "a/b/z.log", "a/z.log", "z.log", "a/b/c/z.log", "b/z.log", "a/c/z.log")
    (tmp_path / "a/.gitignore").write_text("*.log\n")
    assert names(find(root(tmp_path), query("*.log"))) == ["b/z.log", "z.log"]


def test_sealed_names_are_marked_and_nothing_below_them_is_found(tmp_path: Path) -> None:
    plant(tmp_path, ".ssh/id.py", "x/.env", "a.py")
    found = find(root(tmp_path), query("*"))
    assert [(hit.path, hit.sealed) for hit in found.hits] == [
        (".ssh", True), ("a.py", False), ("x", False), ("x/.env", True),
    ]  # fmt: skip


def test_links_are_found_and_never_entered(tmp_path: Path) -> None:
    plant(tmp_path, "a/x.py")
    (tmp_path / "loop").symlink_to(".")
    found = find(root(tmp_path), query("*", wanted=Wanted.ANY))
    assert [(hit.path, hit.kind) for hit in found.hits] == [
        ("a", Kind.DIRECTORY), ("a/x.py", Kind.FILE), ("loop", Kind.LINK),
    ]  # fmt: skip


def test_kinds_and_exclusions(project: Path) -> None:
    assert names(find(root(project), query("s*", wanted=Wanted.DIRECTORIES))) == ["src", "sub"]
    only = query("*.py", exclude=(compile_glob("src"), compile_glob("**/build/*")))
    assert names(find(root(project), only)) == ["a.py"]
    folded = Query((compile_glob("A.PY", Case.FOLD),))
    assert names(find(root(project), folded)) == ["a.py", "src/a.py"]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_pages_together_are_the_whole_and_nothing_twice(tmp_path: Path, order: Order, size: int) -> None:
    plant(tmp_path, *(f"{a}/{b}.py" for a in ("a", "a.b", "ab", "B", "é") for b in ("x", "x.y", "z")), "a.py", "zz.py")
    for n, path in enumerate(sorted(tmp_path.rglob("*.py"), key=str, reverse=True)):
        os.utime(path, ns=(n // 3, n // 3))
    wanted = query("*.py", order=order)
    whole = names(find(root(tmp_path), wanted))
    assert len(whole) == 17
    got: list[str] = []
    cursor = None
    while True:
        page = find(root(tmp_path), wanted, cursor=cursor, hits_max=size)
        assert 0 < len(page.hits) <= size
        assert page.total == 17
        got += names(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert got == whole


def test_the_newest_come_first(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b", "c/d")
    for n, name in enumerate(("b", "c/d", "a")):
        os.utime(tmp_path / name, ns=(n * 10**9, n * 10**9))
    assert names(find(root(tmp_path), query("*", order=Order.NEWEST, wanted=Wanted.FILES))) == ["a", "c/d", "b"]


def test_a_page_is_bounded_in_characters_too(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{n:03}_{'x' * 90}" for n in range(60)))
    page = find(root(tmp_path), query("*"), chars_max=1_000)
    assert 1 < len(page.hits) < 12
    assert page.cursor


@pytest.mark.parametrize("cursor", ["", "x", "W10", "eyJhIjoxfQ", "é", "WzEsMiwzXQ", "[" * 20_000])
def test_a_cursor_that_was_not_given_out_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(errors.BadArgument, match="not one that was given out"):
        find(root(tmp_path), query("*"), cursor=cursor)


def test_a_cursor_of_another_search_is_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b")
    cursor = find(root(tmp_path), query("*"), hits_max=1).cursor
    assert cursor
    with pytest.raises(errors.BadArgument, match="another search"):
        find(root(tmp_path), query("?"), cursor=cursor)


def test_a_cursor_that_says_what_it_likes_only_chooses_a_place_in_the_answer(tmp_path: Path) -> None:
    plant(tmp_path, "a", "b")
    wanted = query("*")
    forged = cursors.write(["..", "..", "etc"], (".", wanted.mark))
    assert names(find(root(tmp_path), wanted, cursor=forged)) == ["a", "b"]


def test_out_of_time_a_search_gives_what_it_has_and_goes_on_from_there(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{n:04}" for n in range(600)))
    page = find(root(tmp_path), query("*"), seconds_max=0.0)
    assert page.timed_out
    assert not page.complete
    assert page.cursor
    got = names(page) + names(find(root(tmp_path), query("*"), cursor=page.cursor))
    assert got == [f"{n:04}" for n in range(600)]


class TakenBack:
    """A request that was taken back already."""

    cancelled = True

    def check(self) -> None:
        """Say so."""
        raise errors.Cancelled("taken back")


def test_a_search_ends_when_the_request_is_taken_back(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{n}/" for n in range(300)))
    for act in (lambda: find(root(tmp_path), query("*"), cancel=TakenBack()),
                lambda: tree(root(tmp_path), cancel=TakenBack())):  # fmt: skip
        with pytest.raises(errors.Cancelled):
            act()


def test_a_tree_shows_directories_first_and_what_is_special(project: Path) -> None:
    (project / "empty").mkdir()
    (project / "link").symlink_to("a.py")
    (project / "out").mkdir()
    (project / "out/x.log").touch()
    assert tree(root(project)).text.split("\n") == [
        "(group)/", "  page.tsx", "build/ (ignored)", "docs/", "  .gitignore", "  a.md", "  keep.log", "empty/ (empty)",
        "out/ (only ignored files)", "src/", "  deep/", "    er/ (ignored)", "  gen/ (ignored)", "  .hidden.py",
        "  .ignore", "  a.py", "sub/", "  build/", "    in.py", "  tmp/ (ignored)", "  .gitignore", ".env (sealed)",
        ".gitignore", "a.py", "link (link)",
    ]  # fmt: skip


def test_a_chain_of_directories_is_one_line_and_depth_closes_with_counts(tmp_path: Path) -> None:
    plant(tmp_path, "src/main/java/com/A.java", "src/main/java/com/B.java", "x/y/1", "x/y/2", "x/3")
    assert tree(root(tmp_path)).text == "src/main/java/com/\n  A.java\n  B.java\nx/\n  y/\n    1\n    2\n  3"
    assert tree(root(tmp_path), depth=1).text == "src/ (3 dirs, 2 files)\nx/ (1 dir, 3 files)"
    assert tree(root(tmp_path), depth=2).text == "src/\n  main/ (2 dirs, 2 files)\nx/\n  y/ (2 files)\n  3"


def test_the_largest_directories_stay_closed_and_the_tree_fits(tmp_path: Path) -> None:
    plant(tmp_path, *(f"big/{n:02}/file_{m:02}.txt" for n in range(30) for m in range(20)), "small/a", "small/b")
    drawn = tree(root(tmp_path), chars_max=300)
    assert len(drawn.text) <= 300
    assert "big/ (30 dirs, 600 files)" in drawn.text
    assert "small/\n  a\n  b" in drawn.text
    assert (drawn.files, drawn.directories) == (602, 32)


@pytest.mark.parametrize("name", ["{}", "{}" + "x" * 240])
def test_one_flat_directory_of_thousands_still_fits(tmp_path: Path, name: str) -> None:
    for n in range(1_000):
        (tmp_path / name.format(f"d{n:04}")).mkdir()
        (tmp_path / name.format(f"f{n:04}")).touch()
    drawn = tree(root(tmp_path))
    assert len(drawn.text) <= limits.TREE_CHARS_MAX + 20
    if len(name) < 10:
        assert f"... {1_000 - DIRECTORIES_SHOWN_MAX} more dirs" in drawn.text
        assert "... 960 more files" in drawn.text


def test_the_same_tree_always_gives_the_same_text(project: Path) -> None:
    assert len({tree(root(project), chars_max=200).text for _ in range(5)}) == 1


def test_names_with_line_breaks_cannot_forge_lines(tmp_path: Path) -> None:
    (tmp_path / "a\nb (sealed)").touch()
    assert tree(root(tmp_path)).text == "a\\nb (sealed)"


def test_out_of_time_a_tree_says_so(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{n:04}" for n in range(600)))
    assert tree(root(tmp_path), seconds_max=0.0).timed_out

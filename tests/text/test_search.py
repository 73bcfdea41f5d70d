"""Text found in files: the right lines, bounded, honest about what was left out, and never from outside the wall."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootcellar import errors
from rootcellar.confine import Entry, Grant, Ground, Kind, _rg
from rootcellar.policy import Policy
from rootcellar.text import search as searching
from rootcellar.text.glob import Case, compile_glob
from rootcellar.text.leaving import Honour
from rootcellar.text.search import Found, search
from rootcellar.text.show import LINE_SHOWN_CHARS
from rootcellar.text.suggest import Matching, Query, Row, Rows, Told, plain, suggested


def root(path: Path) -> Entry:
    return Ground().roots([Grant(str(path))], Policy()).entry(".")


def plant(base: Path, files: dict[str, str | bytes]) -> Entry:
    for name, content in files.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root(base)


def told(found: Found) -> list[str]:
    lines = [(file.path or "it", line) for file in found.files for line in file.lines]
    return [f"{path}:{line.number}{':' if line.is_match else '-'}{line.text}" for path, line in lines]


def regex(pattern: str, **options: object) -> Query:
    return Query(pattern, Matching.REGEX, **options)  # type: ignore[arg-type]


def test_every_matching_line_is_whole_and_in_the_order_of_a_walk(tmp_path: Path) -> None:
    files = {"b.txt": "foo\nx foo y foo\n", "a/z.txt": "no\n  foo", "a.txt": "Foo\nfoo()\n", "c": "bar"}
    start = plant(tmp_path, dict(files))
    assert told(search(start, Query("foo"))) == [
        "a/z.txt:2:  foo", "a.txt:2:foo()", "b.txt:1:foo", "b.txt:2:x foo y foo",
    ]  # fmt: skip
    found = search(start, Query("foo", case=Case.FOLD))
    assert (found.total_lines, found.total_files, found.complete) == (5, 3, True)


def test_a_regular_expression_sees_line_ends_as_people_do(tmp_path: Path) -> None:
    start = plant(tmp_path, {"crlf.txt": "foo\r\nbar foo\r\nfoox\r\n", "lf.txt": "foo\n\nfoox"})
    assert told(search(start, regex("foo$"))) == ["crlf.txt:1:foo", "crlf.txt:2:bar foo", "lf.txt:1:foo"]
    assert told(search(start, regex("^$"))) == ["lf.txt:2:"]
    assert told(search(start, regex(r"^\w+x"))) == ["crlf.txt:3:foox", "lf.txt:3:foox"]


def test_special_characters_of_a_literal_are_plain(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a": "a.c\nabc\n$x(y)*[z]\n-v\n"})
    for pattern in ("a.c", "$x(y)*[z]", "-v", "(y)"):
        assert len(told(search(start, Query(pattern)))) == 1


def test_context_joins_and_never_shows_a_line_twice(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a": "".join(f"{n}\n" for n in range(1, 21))})
    found = search(start, regex("^(3|5|15)$", context=2))
    assert told(found) == [
        "a:1-1", "a:2-2", "a:3:3", "a:4-4", "a:5:5", "a:6-6", "a:7-7", "a:13-13", "a:14-14", "a:15:15", "a:16-16",
        "a:17-17",
    ]  # fmt: skip


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_large_file_shows_the_same_lines_as_a_small_one(tmp_path: Path, context: int, size: int) -> None:
    lines = [f"line {n} é" + ("x" * 50 if n % 2 else "") for n in range(size)]
    start = plant(tmp_path, {"a.txt": "\n".join(lines)})
    wanted = sorted({0, 1, size // 2, size - 2, size - 1})
    found = search(start, regex("^line (" + "|".join(map(str, wanted)) + ") ", context=context))
    near = sorted({k for n in wanted for k in range(max(0, n - context), min(size, n + context + 1))})
    assert told(found) == [f"a.txt:{k + 1}{':' if k in wanted else '-'}{lines[k]}" for k in near]


def test_ignore_files_globs_and_seals_decide_what_is_searched(tmp_path: Path) -> None:
    files = {
        ".gitignore": "build/\n*.log\n", "build/a.py": "foo", "x.log": "foo", "docs/.gitignore": "!keep.log\n",
        "docs/keep.log": "foo", "src/a.py": "foo", "src/a.js": "foo", ".hidden/a.py": "foo", ".git/a.py": "foo",
        ".env": "foo", ".ssh/config": "foo", "src/key.pem": "foo", "src/.ignore": "gen\n", "src/gen/a.py": "foo",
    }  # fmt: skip
    start = plant(tmp_path, dict(files))

    def paths(query: Query, at: Entry = start) -> list[str]:
        return [file.path for file in search(at, query).files]

    assert paths(Query("foo")) == [".hidden/a.py", "docs/keep.log", "src/a.js", "src/a.py"]
    everything = [".hidden/a.py", "build/a.py", "docs/keep.log", "src/a.js", "src/a.py", "src/gen/a.py", "x.log"]
    assert paths(Query("foo", honour=Honour.NOTHING)) == everything
    assert paths(Query("foo", globs=(compile_glob("*.py"),))) == [".hidden/a.py", "src/a.py"]
    assert paths(Query("foo", globs=(compile_glob("**/*"),))) == paths(Query("foo"))
    assert paths(Query("foo", globs=(compile_glob("*"),))) == paths(Query("foo"))
    assert paths(Query("foo", globs=(compile_glob("*.log"),))) == ["docs/keep.log"]
    assert paths(Query("foo", globs=(compile_glob("src/**/*.py"), compile_glob("*.JS", Case.FOLD)))) == [
        "src/a.js", "src/a.py",
    ]  # fmt: skip
    assert paths(Query("foo", globs=(compile_glob("src/"),))) == ["src/a.js", "src/a.py"]
    assert paths(Query("foo", exclude=(compile_glob("*.js"), compile_glob(".hidden")))) == ["docs/keep.log", "src/a.py"]
    assert paths(Query("foo", globs=(compile_glob("/a.*"),)), start.child("src")) == ["a.js", "a.py"]
    assert paths(Query("foo", exclude=(compile_glob("/a.js"),)), start.child("src")) == ["a.py"]
    assert paths(Query("foo"), start.child("build")) == ["a.py"]
    assert paths(Query("foo"), start.child("docs")) == ["keep.log"]
    assert paths(Query("foo"), start.child("x.log")) == [""]
    for name in (".env", ".ssh/config", "src/key.pem"):
        with pytest.raises(errors.Sealed):
            search(start.below(tuple(name.split("/"))), Query("foo"))


def test_rules_of_directories_above_the_start_hold_below_it(tmp_path: Path) -> None:
    start = plant(tmp_path, {
        ".gitignore": "*.tmp\n", "a/.gitignore": "/b/out\n!keep.tmp\n", "a/b/out/x": "foo", "a/b/x": "foo",
        "a/b/y.tmp": "foo", "a/b/keep.tmp": "foo", "a/b/c/.gitignore": "!z.tmp\n", "a/b/c/z.tmp": "foo",
    })  # fmt: skip
    below = start.below(("a", "b"))
    assert [file.path for file in search(below, Query("foo")).files] == ["c/z.tmp", "keep.tmp", "x"]


def test_when_only_ignored_files_hold_it_that_is_said(tmp_path: Path) -> None:
    start = plant(tmp_path, {".gitignore": "out/\n", "out/a": "foo", "out/b": "foo", "a": "bar"})
    found = search(start, Query("foo"))
    assert (found.files, found.ignored_files) == ([], 2)
    assert search(start, Query("bar")).ignored_files == 0


ENCODED = {
    "utf-8": "价格 Äpfel - привет", "utf-8-sig": "价格 Äpfel - привет", "utf-16": "价格 Äpfel - привет",
    "gbk": "# 配置文件\nname = 测试\n价格: 100元", "shift_jis": "# 設定ファイル\nname = テスト",
    "cp1251": "Привет, мир\nИмя = тест",
    "cp1252": "Größe - “café” für 5 €", "latin-1": "El niño comió piña mañana",
}  # fmt: skip
NEEDLES = {"gbk": "测试", "shift_jis": "テスト", "cp1251": "Имя", "cp1252": "für", "latin-1": "piña"}


@pytest.mark.parametrize("codec", ENCODED)
@pytest.mark.parametrize("alone", [False, True])
def test_text_is_found_and_shown_in_its_own_encoding(tmp_path: Path, codec: str, alone: bool) -> None:  # noqa: FBT001
    needle = NEEDLES.get(codec, "Äpfel")
    text = "1st line\n" + ENCODED[codec] + "\nlast\n"
    start = plant(tmp_path, {"a.txt": text.encode(codec), "b.txt": "nothing here\n"})
    at = start.child("a.txt") if alone else start
    expected = [
        f"{'it' if alone else 'a.txt'}:{n}:{line}" for n, line in enumerate(text.split("\n"), 1) if needle in line
    ]
    assert told(search(at, Query(needle))) == expected
    assert told(search(at, Query(needle.upper(), case=Case.FOLD))) == expected
    if alone or codec in ("utf-8", "utf-8-sig", "utf-16"):
        assert told(search(at, regex(needle[0] + "." + needle[2:] if len(needle) > 2 else needle))) == expected


def test_bytes_that_only_look_alike_in_another_code_page_are_no_match(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a.txt": "Привет, мир. Это обычный русский текст".encode("cp1251")})
    assert told(search(start, Query("Ïðèâåò"))) == []


def test_utf16_without_a_mark_is_found_when_named(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a.txt": "one\r\ntwo foo\r\n".encode("utf-16-le")})
    assert told(search(start.child("a.txt"), Query("foo"))) == ["it:2:two foo"]


def test_lines_that_end_with_cr_are_lines(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a.txt": "one\rtwo foo\rthree\rfoo\r"})
    assert told(search(start, Query("foo"))) == ["a.txt:2:two foo", "a.txt:4:foo"]


def test_a_long_line_is_shown_around_its_match(tmp_path: Path) -> None:
    line = "é" * 300_000 + "NEEDLE" + "ü" * 300_000
    for size in (1, 10):
        start = plant(tmp_path, {"a.js": "x\n" + line * size + "\ny\n"})
        (shown,) = [one for one in search(start, Query("NEEDLE", context=1)).files[0].lines if one.is_match]
        assert shown.number == 2
        assert "éNEEDLEü" in shown.text
        assert "\ufffd" not in shown.text
        assert shown.cut_before
        assert shown.cut_after
        assert len(shown.text) <= LINE_SHOWN_CHARS


def test_binary_files_are_named_not_shown(tmp_path: Path) -> None:
    start = plant(tmp_path, {
        "a.bin": b"\x7fELF foo\n" + bytes(100),
        "b.dat": b"foo\n" * 10 + b"bar\n" * 30_000 + b"\0\1\2" * 100, "c.txt": "foo",
        "d.bin": b"foo\n\x01\x02\x03\x04\x05\x06\xff\xfe\x80" * 50,
    })  # fmt: skip
    found = search(start, Query("foo", context=1))
    assert [file.path for file in found.files] == ["b.dat", "c.txt"]
    assert ("b.dat", "binary data follows its text") in found.skipped
    assert ("d.bin", "binary") in found.skipped
    with pytest.raises(errors.NotText, match="ELF"):
        search(start.child("a.bin"), Query("foo"))


def pages(start: Entry, query: Query, **limits: int) -> list[str]:
    got: list[str] = []
    cursor = None
    for _ in range(1_000):
        found = search(start, query, cursor=cursor, **limits)  # type: ignore[arg-type]
        got += told(found)
        cursor = found.cursor
        if cursor is None:
            return got
    raise AssertionError("no end")


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
@pytest.mark.parametrize("held", [3, 20_000])
def test_pages_together_are_the_whole_and_nothing_twice(
    tmp_path: Path, size: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{a}/{b}" for a in ("a", "a.b", "ab", "é", "B") for b in "xyz"]
    start = plant(tmp_path, dict.fromkeys(names, "foo 1\nbar\nfoo 2 foo\n"))
    whole = told(search(start, Query("foo")))
    assert len(whole) == 30
    monkeypatch.setattr(searching, "_ROWS_HELD", held)
    assert pages(start, Query("foo"), lines_max=size) == whole


def test_pages_of_one_file_are_the_whole_of_it(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a.log": "".join(f"foo {n}\n" for n in range(40_000))}).child("a.log")
    first = search(start, Query("foo"), lines_max=300)
    assert not first.complete
    wanted = [f"it:{n + 1}:foo {n}" for n in range(0, 40_000, 5)]
    assert pages(start, regex("foo .*[05]$"), lines_max=1_000) == wanted


def test_one_file_does_not_drown_the_others(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a.log": "foo\n" * 100_000, "b.txt": "foo\n"})
    found = search(start, Query("foo"))
    assert [(file.path, len(file.lines), file.more) for file in found.files] == [
        ("a.log", searching.LINES_PER_FILE_MAX, True), ("b.txt", 1, False),
    ]  # fmt: skip
    assert not found.complete
    assert found.cursor is None


def test_an_answer_is_bounded_in_characters(tmp_path: Path) -> None:
    start = plant(tmp_path, {f"{n:02}": ("foo" + "x" * 900 + "\n") * 20 for n in range(30)})
    found = search(start, Query("foo"), chars_max=20_000)
    assert sum(len(line.text) for file in found.files for line in file.lines) <= 20_000
    assert found.cursor
    assert len(pages(start, Query("foo"), chars_max=20_000)) == 600


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(""), "empty"),
        (Query("a\nb"), "line break"),
        (Query("a\0b"), "NUL"),
        (Query("\ud800"), "half a character"),
        (Query("x" * 5_000), "longer"),
        (regex("a("), "unclosed group"),
        (regex("(?=a)b"), "look-around"),
        (regex(r"(a)\1"), "backreference"),
        (regex("a{1000}{1000}{1000}"), "too large"),
        (regex("*a"), "repetition"),
        (regex(r"\n"), "not allowed"),
    ],
)
def test_patterns_that_cannot_be_are_refused_with_the_reason(tmp_path: Path, query: Query, message: str) -> None:
    start = plant(tmp_path, {"a": "x"})
    with pytest.raises(errors.BadArgument, match=message) as refused:
        search(start, query)
    assert len(str(refused.value)) < 500


def test_a_pattern_that_would_backtrack_for_ever_is_no_different(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a": "a" * 50_000 + "!\n"})
    assert told(search(start, regex("(a+)+(a|aa)+$"))) == []


def test_options_in_a_pattern_or_a_name_are_only_text(tmp_path: Path) -> None:
    start = plant(tmp_path, {"--files": "--pre=sh\n", "-e": "x\n"})
    assert told(search(start, Query("--pre=sh"))) == ["--files:1:--pre=sh"]
    assert told(search(start, Query("x"))) == ["-e:1:x"]
    assert told(search(start.child("-e"), Query("x"))) == ["it:1:x"]


def test_no_configuration_of_ours_reaches_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rc").write_text("--files-with-matches\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(tmp_path / "rc"))
    start = plant(tmp_path / "root", {"a": "foo\n"})
    assert told(search(start, Query("foo"))) == ["a:1:foo"]


def test_odd_names_are_found_and_can_be_opened_by_the_name_shown(tmp_path: Path) -> None:
    odd = ["a\nb.txt", "a: WARNING: x\n", "b\\c", "c\u202fd", " ", "-", "é\u0301", "x:1:2"]
    start = plant(tmp_path, dict.fromkeys(odd, "foo\n"))
    roots = Ground().roots([Grant(str(tmp_path))], Policy())
    (tmp_path / os.fsdecode(b"\xff\xfe")).write_text("foo\n")
    found = search(start, Query("foo"))
    assert len(found.files) == len(odd) + 1
    for file in found.files:
        assert "\n" not in file.path
        assert roots.entry(file.path).read(100) == b"foo\n"


def test_links_are_neither_searched_nor_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    plant(outside, {"secret.txt": "foo secret\n"})
    start = plant(tmp_path / "root", {"a.txt": "foo\n"})
    (tmp_path / "root/link.txt").symlink_to(outside / "secret.txt")
    (tmp_path / "root/dir").symlink_to(outside)
    (tmp_path / "root/loop").symlink_to(".")
    assert told(search(start, Query("foo"))) == ["a.txt:1:foo"]
    for name in ("link.txt", "dir"):
        with pytest.raises(errors.OutsideRoots):
            search(start.child(name), Query("foo"))


def test_what_the_engine_saw_elsewhere_is_not_shown(tmp_path: Path) -> None:
    """It bites: the engine, led outside by an exchanged directory, suggests lines; none of their text is shown."""
    outside = tmp_path / "outside"
    plant(outside, {"sub/a.txt": "padding\nfoo secret\n"})
    start = plant(tmp_path / "root", {"sub/a.txt": "x\n", "sub/b.txt": "foo\n"})
    stop = threading.Event()

    def flip() -> None:
        here, there = tmp_path / "root/sub", tmp_path / "root/other"
        there.symlink_to(outside / "sub")
        while not stop.is_set():
            here.rename(tmp_path / "root/third")
            there.rename(here)
            here.rename(there)
            (tmp_path / "root/third").rename(here)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for _ in range(60):
            found = search(start, Query("foo"))
            assert "secret" not in str(told(found))
    finally:
        stop.set()
        thread.join()
    suggestion = Row((b"sub", b"a.txt"), 2, 8, b"foo")
    page = searching._Page(start, Query("foo"), 10, 10_000, None, None, time.monotonic() + 9)
    page._show(iter([suggestion]), ((), 0), counts=False)
    assert page.found.files == []
    assert page.found.skipped == [("sub/a.txt", "changed while it was searched")]


class Cancel:
    """A request that can be taken back."""

    def __init__(self) -> None:
        self.cancelled = False

    def check(self) -> None:
        """Say whether it was."""
        if self.cancelled:
            raise errors.Cancelled("taken back")


def children() -> set[str]:
    return {task for task in os.listdir("/proc") if task.isdigit() and _is_child(task)}


def _is_child(task: str) -> bool:
    try:
        fields = Path(f"/proc/{task}/stat").read_text().rsplit(")", 1)
    except OSError:
        return False
    return int(fields[1].split()[1]) == os.getpid() and "(rg" in fields[0]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks at the process table")
def test_a_search_taken_back_ends_with_its_child_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    start = plant(tmp_path, {f"{n}.log": "aab" * 4_000_000 for n in range(4)})
    cancel = Cancel()
    ended: list[float] = []

    def run() -> None:
        with pytest.raises(errors.Cancelled):
            search(start, regex("[a-b]{50}.*[a-b]{50}c", case=Case.FOLD), cancel=cancel)
        ended.append(time.monotonic())

    thread = threading.Thread(target=run)
    thread.start()
    limit = time.monotonic() + 20
    while not children():
        assert time.monotonic() < limit
    cancel.cancelled = True
    asked = time.monotonic()
    thread.join()
    assert not children()
    assert ended[0] - asked < 0.5, "0.05 s between two looks, and the machine may be busy"


def test_out_of_time_a_search_says_so_and_leaves_no_child(tmp_path: Path) -> None:
    start = plant(tmp_path, {f"{n}.log": "aab" * 4_000_000 for n in range(4)})
    found = search(start, regex("[a-b]{50}.*[a-b]{50}c", case=Case.FOLD), seconds_max=0.02)
    assert found.timed_out
    assert not found.complete


def test_progress_is_told_in_long_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootcellar.limits.PROGRESS_EVERY_S", 0.0)
    said: list[tuple[int, str]] = []
    search(plant(tmp_path, {"a": "foo\n" * 10}), Query("foo"), progress=lambda n, words: said.append((n, words)))
    assert said[-1][1] == "10 matches so far, 0 lines read"
    assert [n for n, _ in said] == list(range(1, len(said) + 1)), "progress only rises"


def test_progress_is_told_while_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootcellar.limits.PROGRESS_EVERY_S", 0.0)
    said: list[str] = []
    start = plant(tmp_path, {f"{n}.log": "aab" * 12_000_000 for n in range(6)})
    slow = regex("[a-b]{50}.*[a-b]{50}c", case=Case.FOLD)
    search(start, slow, progress=lambda _, words: said.append(words), seconds_max=1.0)
    assert said


def test_seals_of_the_users_own_hold_whatever_their_characters(tmp_path: Path) -> None:
    files = dict.fromkeys(("[x].txt", "x.txt", "{a,b}", "a", "d/e[1]/f", "ok"), "foo\n")
    plant(tmp_path, dict(files))
    policy = Policy(sealed=("[x].txt", "{a,b}", "/d/e[1]/", "*q?"))
    start = Ground().roots([Grant(str(tmp_path))], policy).entry(".")
    assert [file.path for file in search(start, Query("foo")).files] == ["a", "ok", "x.txt"]


def test_without_ripgrep_literals_are_found_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = plant(tmp_path, {
        "a.py": "foo\nbar\nx foo", "é.txt": "größer foo\n".encode("latin-1"), "w.txt": "foo\n".encode("utf-16"),
        ".gitignore": "out\n", "out/x": "foo", "b.bin": b"foo\0\1\2", ".env": "foo",
    })  # fmt: skip
    with_it = [told(search(start, query)) for query in (Query("foo"), Query("größer"), Query("FOO", case=Case.FOLD))]
    monkeypatch.setattr(_rg, "program", lambda: None)
    without = [told(search(start, query)) for query in (Query("foo"), Query("größer"), Query("FOO", case=Case.FOLD))]
    assert without == with_it
    assert len(with_it[0]) == 4
    with pytest.raises(errors.BadArgument, match="need ripgrep"):
        search(start, regex("foo"))


ENGINES: dict[str, Callable[..., Iterator[Row]]] = {"ripgrep": suggested, "plain": plain}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engines_suggest_the_same_rows(tmp_path: Path, engine: str) -> None:
    start = plant(tmp_path, {"a": "x foo foo\nfoo\n", "b/c": "é foo\r\n", "d": "none"})
    rows = ENGINES[engine](start, Query("foo"), Told(), cancel=None, deadline=time.monotonic() + 20)
    assert sorted(rows, key=lambda row: (row.place, row.offset)) == [
        Row((b"a",), 1, 2, b"foo"), Row((b"a",), 1, 6, b"foo"), Row((b"a",), 2, 10, b"foo"),
        Row((b"b", b"c"), 1, 3, b"foo"),
    ]  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000])
def test_rows_are_read_from_pieces_of_any_size(step: int) -> None:
    output = (
        b"./a\x001:0:foo\r\n./new\nline\x0012:34:x:y\r\n./bin: WARNING: stopped searching binary file after match "
        b'(found "\\0" byte around offset 9)\n./b/c\x003:4:\r\n'
        b'./d: binary file matches (found "\\0" byte around offset 9)\n'
    )
    rows = Rows(0)
    got = [row for at in range(0, len(output), step) for row in rows.feed(output[at : at + step])]
    rows.end()
    assert got == [
        Row((b"a",), 1, 0, b"foo"), Row((b"new\nline",), 12, 34, b"x:y"), Row((b"b", b"c"), 3, 4, b""),
    ]  # fmt: skip
    assert rows.binary == {(b"bin",), (b"d",)}


def test_a_match_of_megabytes_is_cut_not_held() -> None:
    rows = Rows(0)
    got = list(rows.feed(b"./a\x001:0:"))
    for _ in range(80):
        got += rows.feed(b"x" * 65_536)
        assert len(rows._rest) < 2_000_000
    got += rows.feed(b"\r\n./b\x001:0:y\r\n")
    assert [row.names for row in got] == [(b"a",), (b"b",)]
    assert len(got[0].match) < 10_000


def test_a_directory_that_cannot_be_read_is_told() -> None:
    from rootcellar.text.suggest import _judge

    said = Told()
    words = "rg: ./sub/secret: Permission denied (os error 13)\nrg: sub/x: Input/output error (os error 5)\n"
    _judge(2, words, said, "sub")
    assert said.unreadable == (("secret", "permission denied"), ("x", "input/output error"))


def test_the_start_must_be_a_file_or_a_directory(tmp_path: Path) -> None:
    start = plant(tmp_path, {"a": "x"})
    os.mkfifo(tmp_path / "fifo")
    assert start.child("fifo").lstat().kind is Kind.FIFO
    for name, kind in (("fifo", errors.WrongKind), ("missing", errors.NotFound)):
        with pytest.raises(kind):
            search(start.child(name), Query("x"))


def test_the_program_is_ours_and_never_from_the_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "rg"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    _rg.program.cache_clear()
    path = _rg.program()
    assert path
    assert not path.startswith(str(tmp_path))

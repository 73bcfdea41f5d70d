"""All of it works on the threads that the kernel holds to the roots, where nothing can be loaded or opened besides."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from rootcellar.confine import Entry, Grant, Ground, Lane, Roots, _rg
from rootcellar.confine.pool import Pools
from rootcellar.policy import Policy
from rootcellar.text import media
from rootcellar.text.decode import decode
from rootcellar.text.edit import Replacement, edit
from rootcellar.text.find import Query as Names
from rootcellar.text.find import find
from rootcellar.text.glob import compile_glob
from rootcellar.text.search import search
from rootcellar.text.suggest import Matching, Query
from rootcellar.text.tree import tree


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.txt").write_text("one\ntwo foo\n")
    (tmp_path / "sub/gbk.txt").write_bytes("# 配置文件\nname = 测试 foo\n".encode("gbk"))
    (tmp_path / ".gitignore").write_text("out\n")
    (tmp_path / "out").write_text("foo\n")
    picture = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(picture, "TIFF")
    (tmp_path / "picture.tif").write_bytes(picture.getvalue())
    return Ground().roots([Grant(str(tmp_path))], Policy())


@pytest.fixture
def pools() -> Iterator[Pools]:
    program = _rg.program()
    assert program
    made = Pools(programs=[program], warm=("charset_normalizer", media.warm))
    yield made
    made.end()


def searched(entry: Entry) -> object:
    found = search(entry, Query("foo", context=1))
    return [(file.path, [line.text for line in file.lines]) for file in found.files], found.skipped


def regex(entry: Entry) -> object:
    return [file.path for file in search(entry.child("sub"), Query("^t.o", Matching.REGEX)).files]


def below(entry: Entry) -> object:
    return [file.path for file in search(entry.child("sub"), Query("测试")).files]


ACTS: dict[str, tuple[Callable[[Entry], object], object]] = {
    "search": (
        searched,
        ([("sub/a.txt", ["one", "two foo"]), ("sub/gbk.txt", ["# 配置文件", "name = 测试 foo"])], []),
    ),
    "regex": (regex, ["a.txt"]),
    "search below": (below, ["gbk.txt"]),
    "find": (lambda entry: [hit.path for hit in find(entry, Names((compile_glob("*.txt"),))).hits],
             ["sub/a.txt", "sub/gbk.txt"]),
    "tree": (lambda entry: tree(entry).text, "sub/\n  a.txt\n  gbk.txt\n.gitignore\npicture.tif"),
    "image": (lambda entry: media.image(entry.child("picture.tif").read(10**6), "image/tiff").mime, "image/png"),
    "decode": (lambda entry: decode(entry.below(("sub", "gbk.txt")).read(1_000)).encoding.codec, "gb18030"),
    "edit": (lambda entry: edit(entry.below(("sub", "gbk.txt")).read(1_000), [Replacement("测试", "正式")]).after,
             "# 配置文件\nname = 正式 foo\n"),
}  # fmt: skip


@pytest.mark.parametrize("act", ACTS)
def test_behind_the_wall_it_does_what_it_does_in_front_of_it(pools: Pools, roots: Roots, act: str) -> None:
    function, expected = ACTS[act]
    assert function(roots.entry(".")) == expected
    future = pools.run(roots.roots, Lane.LONG, function, roots.entry("."))
    assert future.result(timeout=30) == expected

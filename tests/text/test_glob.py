"""Globs agree with a slow and simple oracle, and stay quick whatever is asked."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootcellar.errors import BadArgument
from rootcellar.text.glob import ALTERNATIVES_MAX, Case, Globs, compile_glob, expand


def slow_name(pattern: str, name: str) -> bool:
    """One component, by trying everything."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(slow_name(pattern[1:], name[n:]) for n in range(len(name) + 1))
    if not name:
        return False
    if pattern[0] == "[":
        end = pattern.index("]", 2)
        inside = pattern[1:end]
        negated = inside[0] in "!^"
        return (name[0] in inside.lstrip("!^")) is not negated and slow_name(pattern[end + 1 :], name[1:])
    return pattern[0] in ("?", name[0]) and slow_name(pattern[1:], name[1:])


def slow_path(pattern: list[str], path: list[str]) -> bool:
    """A whole path, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(slow_path(pattern[1:], path[n:]) for n in range(len(path) + 1))
    return bool(path) and slow_name(pattern[0], path[0]) and slow_path(pattern[1:], path[1:])


COMPONENTS = st.lists(st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[!a]"]), min_size=1, max_size=5).map("".join)
PATTERNS = st.lists(st.one_of(st.just("**"), COMPONENTS.filter(lambda c: set(c) != {"."})), min_size=1, max_size=4)
PATHS = st.lists(st.text("ab.", min_size=1, max_size=5).filter(lambda c: set(c) != {"."}), min_size=1, max_size=5)


@given(PATTERNS, PATHS)
@settings(max_examples=800)
def test_a_pattern_with_slashes_matches_as_the_oracle_says(pattern: list[str], path: list[str]) -> None:
    plain = [part if part == "**" else re.sub(r"\*+", "*", part) for part in pattern]
    expected = slow_path(plain, path)
    assert compile_glob("/" + "/".join(pattern)).matches("/".join(path)) is expected


@given(COMPONENTS.filter(lambda c: set(c) != {"."}), PATHS)
@settings(max_examples=500)
def test_a_pattern_without_a_slash_matches_the_name_at_any_depth(pattern: str, path: list[str]) -> None:
    assert compile_glob(pattern).matches("/".join(path)) is slow_name(pattern, path[-1])


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a/b/c.py", True),
        ("/*.py", "a/c.py", False),
        ("/*.py", "c.py", True),
        ("./*.py", "a/c.py", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "x/src/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("**/test_*.py", "test_a.py", True),
        ("src/**", "src/x/y", True),
        ("src/**", "src", False),
        ("node_modules/", "a/node_modules/x", True),
        ("*.{js,ts}", "a/x.ts", True),
        ("*.{js,ts}", "a/x.tsx", False),
        ("{a,b{c,d}}.x", "bd.x", True),
        ("{a,b/c}/*", "b/c/d", True),
        ("[!a-c]x", "dx", True),
        ("[!a-c]x", "bx", False),
        ("[a-]", "-", True),
        ("[]a]", "]", True),
        (r"\[id\].tsx", "app/[id].tsx", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("a?c", "a/c", False),
        ("[^a]", "/", False),
        ("a[!b]c", "a/c", False),
        (".*", "x/.env", True),
        ("*", ".hidden", True),
        ("café", "cafe\u0301", True),
        ("cafe\u0301", "café", True),
        ("a\nb", "a\nb", True),
        ("*b", "a\nb", True),
        ("[z-a]", "b", False),
        ("{}", "{}", False),
        ("a,b", "a,b", True),
    ],
)
def test_patterns_that_people_write(pattern: str, path: str, expected: bool) -> None:  # noqa: FBT001 - a table
    glob = compile_glob(pattern)
    assert glob.matches(path) is expected
    *parents, name = path.split("/")
    assert Globs((glob,)).match(tuple(parents), name) is expected


def test_case_counts_unless_it_is_folded() -> None:
    assert not compile_glob("*.PY").matches("a.py")
    assert compile_glob("*.PY", Case.FOLD).matches("a.py")
    assert compile_glob("readme*", Case.FOLD).matches("x/README.md")
    assert compile_glob("[A-C]x", Case.FOLD).matches("bX")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "empty"),
        ("/", "empty"),
        ("a[b", "never closed"),
        ("a{b", "never closed"),
        ("a[b/c]", "never closed"),
        ("../*.py", "upwards"),
        ("a/../b", "upwards"),
        (r"src\x.py", "backslash"),
        ("a\0b", "NUL"),
        ("*" * 1_001, "longer"),
        ("{a,b}" * 9, f"more than {ALTERNATIVES_MAX}"),
        ("{" * 400 + "}" * 400 + "{a,b,c}" * 20, "more than"),
        ("a\\", "backslash"),
    ],
)
def test_what_cannot_mean_anything_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        compile_glob(pattern)


def test_braces_are_multiplied_out_in_order() -> None:
    assert expand("a{b,{c,d}e}f") == ["abf", "acef", "adef"]


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 60 + "b", "a" * 4_000),
        ("**/a/" * 60 + "b", "a/" * 1_500 + "c"),
        ("**/*a*/" * 30 + "b", "aaaa/" * 500 + "c"),
        ("?*" * 100 + "x", "a" * 3_000),
        ("[ab]*" * 100 + "x", "ab" * 1_500),
    ],
)
@pytest.mark.timeout(20)  # a pattern that backtracks would not end in a lifetime
def test_no_pattern_makes_matching_slow(pattern: str, path: str) -> None:
    assert not compile_glob("/" + pattern).matches(path)

"""Generated configs: adding and taking back is the identity, everything else stays equal, broken text is refused."""

from __future__ import annotations

import json
import re
import tomllib

import json5
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rootcellar.errors import BadConfig
from rootcellar.hosts.edit import Edit, Form, Target, added, digest, entry_of, removed, taken_back
from rootcellar.hosts.tree import Named, Path, Value

ENTRY: dict[str, Value] = {"command": "/opt/root cellar/rootcellar", "args": ["serve", "/home/Björn/notes"]}
EXAMPLES = settings(max_examples=150, deadline=None)

words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x7f\ufeff\u2028\u2029\x85"), max_size=6
)


# JSON with comments: text is generated, not values, so that every odd spelling is in it


@st.composite
def jsonc(draw: st.DrawFn, strict: st.SearchStrategy[bool] | None = None) -> str:
    plain = draw(st.booleans() if strict is None else strict)
    eol = draw(st.sampled_from(["\n", "\r\n"]))
    gaps = ["", " ", eol, "\t", f"{eol}  ", f"{eol}\t\t"]
    comments = [f" // it's {{ , \" // \\{eol}", "/* , } */", f"/*{eol} ** **/", f'// "rootcellar": {{}},{eol}']
    gap = st.sampled_from(gaps if plain else gaps + comments)
    scalar = st.one_of(
        st.sampled_from(["1e3", "2.50", "-0", "12345678901234567890", "true", "null", '"\\u00e9\\/\\ud800"', '"a//b"']),
        words.map(lambda word: json.dumps(word, ensure_ascii=False)),
    )

    def listed(parts: list[str], ends: str) -> str:
        comma = "," if parts and not plain and draw(st.booleans()) else ""
        body = ",".join(draw(gap) + part + draw(gap) for part in parts)
        return ends[0] + body + comma + draw(gap) + ends[1]

    def value(depth: int) -> str:
        kind = draw(st.integers(0, 3)) if depth < 3 else 0
        if kind == 1:
            return listed([value(depth + 1) for _ in range(draw(st.integers(0, 3)))], "[]")
        return obj(depth + 1, draw(st.lists(words, unique=True, max_size=3))) if kind == 2 else draw(scalar)

    def obj(depth: int, keys: list[str]) -> str:
        pairs = [json.dumps(key, ensure_ascii=False) + draw(gap) + ":" + draw(gap) + value(depth) for key in keys]
        return listed(pairs, "{}")

    top = [word for word in draw(st.lists(words, unique=True, max_size=4)) if word != "mcpServers"]
    pairs = [json.dumps(key, ensure_ascii=False) + draw(gap) + ":" + draw(gap) + value(1) for key in top]
    if draw(st.booleans()):
        inner = [word for word in draw(st.lists(words, unique=True, max_size=3)) if word != "rootcellar"]
        servers = '"mcpServers"' + draw(gap) + ":" + draw(gap) + obj(1, inner)
        pairs.insert(draw(st.integers(0, len(pairs))), servers)
    return draw(gap) + listed(pairs, "{}") + draw(gap)


def _round_trip(target: Target, data: bytes) -> Edit:
    edit = added(target, data, ENTRY)
    assert edit.after is not None
    back = taken_back(target, edit.after, edit.splices, (digest(data), digest(edit.after)))
    assert back is not None
    assert back.after == data
    around = removed(target, edit.after, edit.kept)
    assert around is not None
    assert around.after is not None
    assert entry_of(target, around.after) is None
    return edit


JSON_TARGET = Target("mcp.json", Form.JSONC, ("mcpServers", "rootcellar"))


@EXAMPLES
@given(jsonc(), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_jsonc_add_then_take_back_is_the_identity_and_a_third_parser_agrees(text: str, mark: bytes) -> None:
    edit = _round_trip(JSON_TARGET, mark + text.encode())
    assert edit.after is not None
    assert edit.after.startswith(mark)
    before, after = json5.loads(text), json5.loads(edit.after.removeprefix(mark).decode())
    assert after["mcpServers"].pop("rootcellar") == ENTRY
    if "mcpServers" not in before:
        assert after.pop("mcpServers") == {}
    assert list(after.items()) == list(before.items())


@EXAMPLES
@given(jsonc(st.just(True)))
def test_strict_json_stays_strict_json(text: str) -> None:
    strict = Target("mcp.json", Form.JSON, ("mcpServers", "rootcellar"))
    edit = _round_trip(strict, text.encode())
    assert edit.after is not None
    assert json.loads(edit.after)["mcpServers"]["rootcellar"] == ENTRY


@EXAMPLES
@given(jsonc())
def test_only_lines_of_ours_are_added_where_servers_have_lines_of_their_own(text: str) -> None:
    edit = added(JSON_TARGET, text.encode(), ENTRY)
    assert len(edit.splices) == 1
    assert not edit.splices[0].removed


@EXAMPLES
@given(jsonc(), words)
def test_our_lines_come_out_of_a_config_that_changed_elsewhere(text: str, word: str) -> None:
    edit = added(JSON_TARGET, text.encode(), ENTRY)
    assert edit.after is not None
    note = f"\n// {word}\n".encode()
    back = taken_back(JSON_TARGET, edit.after + note, edit.splices, (digest(text.encode()), digest(edit.after)))
    assert back is not None
    assert back.after == text.encode() + note


@EXAMPLES
@given(jsonc(), st.data())
def test_cut_json_is_refused_or_is_json(text: str, data: st.DataObject) -> None:
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        added(JSON_TARGET, cut.encode(), ENTRY)
    except BadConfig as refusal:
        said = str(refusal)
    else:
        bare = json5.loads(f"[{cut}\n]")
        assert bare == [] or isinstance(bare[0], dict)
        return
    assert re.search(r"line \d+, column \d+", said)


# TOML

NAMES = ["a", "b-c", '"quoted.name"', "'lit'", '"mcp_servers"', "mcp_servers.github", "profiles.work", "x"]
VALUES = [
    "1", "0xFF", "1_000", "2.50", "inf", "true", '"text # no"', "'C:\\\\x'", "2026-01-02T03:04:05Z",
    "2026-01-02 03:04:05",
    "[1, 2]",
    '[\n  "-y", # yes\n  "[x]",\n]', '{ a = 1, "b.c" = [1, {d = "}"}] }', '"""\n[mcp_servers.rootcellar]\n"""',
    "'''x''' ", "[]", "{}", '"\\u00e9"',
]  # fmt: skip
TOML_TARGET = Target("config.toml", Form.TOML, ("mcp_servers", "rootcellar"))


@st.composite
def toml(draw: st.DrawFn) -> str:
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.integers(0, 4))
        name, number = draw(st.sampled_from(NAMES)), draw(st.integers(0, 3))
        if kind == 0:
            lines.append(draw(st.sampled_from(["", "# comment [x]", "   ", "\t# y = 1"])))
        elif kind == 1:
            lines.append(f"[{name}.t{number}]" + draw(st.sampled_from(["", " # tail"])))
        elif kind == 2:
            lines.append(f"[[list{number}]]")
        else:
            key = draw(st.sampled_from([f"k{number}", f"{name}.k{number}", f" k{number}", f'"k {number}"']))
            lines.append(f"{key} = {draw(st.sampled_from(VALUES))}" + draw(st.sampled_from(["", "  # tail"])))
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@EXAMPLES
@given(toml())
def test_toml_add_then_take_back_is_the_identity_and_the_rest_is_equal(text: str) -> None:
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(BadConfig, match=r"line \d+, column \d+"):
            added(TOML_TARGET, text.encode(), ENTRY)
        return
    edit = _round_trip(TOML_TARGET, text.encode())
    assert edit.after is not None
    after = tomllib.loads(edit.after.decode())
    assert after["mcp_servers"].pop("rootcellar") == ENTRY
    if "mcp_servers" not in before:
        assert after.pop("mcp_servers") == {}
    assert repr(after) == repr(before)


@EXAMPLES
@given(toml())
def test_toml_structural_removal_leaves_the_text_that_was_there(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    edit = added(TOML_TARGET, text.encode(), ENTRY)
    assert edit.after is not None
    more = edit.after + b'\n[projects."/x"]\ntrust_level = "trusted"\n'
    back = removed(TOML_TARGET, more, edit.kept)
    assert back is not None
    assert back.after is not None
    assert back.after.startswith(text.encode().rstrip())


# YAML

YAML_TARGET = Target("config.yaml", Form.YAML, ("extensions", "rootcellar"))
YAML_LIST = Target("config.yaml", Form.YAML, ("mcpServers", Named("rootcellar")))
YAML_SCALARS = [
    "yes", "0300", "~", "plain words", "'single # x'", '"dou\\"ble"', "[-y, '@x/y']", "{a: 1, b: [2]}",
    "|\n  line1\n\n  line2",
    ">-\n  folded\n  text", "&anchor v", "2026-01-02", "1.50", "|+\n  keep\n\n", "''",
]  # fmt: skip


@st.composite
def yaml_text(draw: st.DrawFn, holder: str, item: str) -> str:
    step = " " * draw(st.sampled_from([2, 4, 1]))
    comment = st.sampled_from(["", "# c", "  # indented: no", " "])
    lines: list[str] = draw(st.sampled_from([[], ["# head"], ["---"], ["%YAML 1.1", "---"]]))[:]

    def scalars(indent: str, count: int, prefix: str) -> list[str]:
        found = []
        for number in range(count):
            found += [line for line in [draw(comment)] if line]
            value = draw(st.sampled_from(YAML_SCALARS)).replace("\n  ", f"\n{indent}{step}").replace("anchor", prefix)
            found.append(
                f"{indent}{prefix}{number}: {value}" + draw(st.sampled_from(["", "  # tail"])) * ("\n" not in value)
            )
        return found

    lines += scalars("", draw(st.integers(0, 2)), "a")
    if draw(st.booleans()):
        if draw(st.booleans()):
            lines.append(
                f"{holder}: "
                + draw(st.sampled_from(["{}", "{github: {cmd: npx}}"] if item == "map" else ["[]", "[{name: x}]"]))
            )
        else:
            lines.append(f"{holder}:" + draw(st.sampled_from(["", " # servers", " &servers"])))
            lines += [line for line in [draw(comment)] if line]
            dash = draw(st.sampled_from(["", step]))
            for number in range(draw(st.integers(1, 2))):
                if item == "map":
                    lines += [f"{step}s{number}:", *scalars(step * 2, 2, "k")]
                else:
                    lines += [f"{dash}- name: s{number}", *scalars(f"{dash}  ", 1, "k")]
    lines += scalars("", draw(st.integers(0, 2)), "z")
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n", "\n...\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def _yaml_case(target: Target, path: Path, text: str) -> None:
    try:
        before = list(yaml.compose_all(text))
    except yaml.YAMLError:
        with pytest.raises(BadConfig, match=r"line \d+, column \d+"):
            added(target, text.encode(), ENTRY)
        return
    assume(len(before) < 2)
    try:
        edit = added(target, text.encode(), ENTRY)
    except BadConfig:
        return
    _round_trip(target, text.encode())
    assert edit.after is not None
    old, new = yaml.safe_load(text) or {}, yaml.safe_load(edit.after)
    holder = str(path[0])
    if isinstance(path[1], Named):
        assert new[holder].pop(0) == {"name": "rootcellar", **ENTRY}
    else:
        assert new[holder].pop("rootcellar") == ENTRY
    if holder not in old:
        assert not new.pop(holder)
    assert repr(new) == repr(old)


@EXAMPLES
@given(yaml_text("extensions", "map"))
def test_yaml_mapping_add_then_take_back_is_the_identity_and_the_rest_is_equal(text: str) -> None:
    _yaml_case(YAML_TARGET, YAML_TARGET.path, text)


@EXAMPLES
@given(yaml_text("mcpServers", "list"))
def test_yaml_list_add_then_take_back_is_the_identity_and_the_rest_is_equal(text: str) -> None:
    _yaml_case(YAML_LIST, YAML_LIST.path, text)


@EXAMPLES
@given(st.binary(max_size=60), st.sampled_from([JSON_TARGET, TOML_TARGET, YAML_TARGET, YAML_LIST]))
def test_any_bytes_are_refused_or_round_trip(data: bytes, target: Target) -> None:
    try:
        edit = added(target, data, ENTRY)
    except BadConfig:
        return
    assert edit.after is not None
    back = taken_back(target, edit.after, edit.splices, (digest(data), digest(edit.after)))
    assert back is not None
    assert back.after == data

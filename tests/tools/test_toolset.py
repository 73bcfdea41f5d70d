"""The declarations: schemas, sizes, annotations, and what a bad argument is told."""

from __future__ import annotations

import json

import pytest

from rootcellar.errors import BadArgument
from rootcellar.policy import Effect, Policy
from rootcellar.tools import TOOLSETS
from rootcellar.toolset import ANNOTATIONS, Tool, admitted

TOOLS = admitted(TOOLSETS, Policy())
ALL = [pytest.param(tool, id=name) for name, tool in TOOLS.items()]
FILE_TOOLS = [
    *("list_roots", "read_file", "read_files", "list_directory", "directory_tree", "search_files", "search_text"),
    *("get_file_info", "write_file", "edit_file", "create_directory", "copy_file", "move_file", "delete_file"),
]


def test_the_file_tools_are_all_there() -> None:
    assert set(FILE_TOOLS) <= set(TOOLS)


def test_the_list_of_file_tools_stays_within_ten_thousand_bytes() -> None:
    listed = {"tools": [TOOLS[name].spec() for name in FILE_TOOLS]}
    assert len(json.dumps(listed, separators=(",", ":"))) <= 10_000


@pytest.mark.parametrize("tool", ALL)
def test_every_tool_is_fully_declared(tool: Tool) -> None:
    spec = tool.spec()
    schema = spec["inputSchema"]
    assert spec["title"]
    assert len(spec["description"]) > 40
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert not {"anyOf", "oneOf", "allOf", "$defs", "$schema", "title"} & set(schema)
    assert "outputSchema" not in spec
    assert spec["annotations"]["openWorldHint"] is False


@pytest.mark.parametrize("tool", ALL)
def test_annotations_and_admission_follow_from_the_effect(tool: Tool) -> None:
    assert tool.spec()["annotations"] == ANNOTATIONS[tool.effect]
    assert (tool.name in admitted(TOOLSETS, Policy(read_only=True))) == (tool.effect is Effect.READ)


def test_names_are_unique() -> None:
    names = [tool.name for family in TOOLSETS for tool in family.tools]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("tool", "given", "told"),
    [
        ("read_file", {}, "`path` is missing"),
        ("read_file", {"path": 7}, "`path` must be a text"),
        ("read_file", {"path": "f", "head": "many"}, "`head` must be a whole number"),
        ("read_file", {"path": "f", "head": 0}, "`head` must be at least 1"),
        ("read_file", {"path": "f", "colour": "red"}, "`colour` is not an argument"),
        ("read_file", {"path": "f", "x" * 5000: 1}, "`one name given` is not an argument"),
        ("read_files", {"paths": "f"}, "`paths` must be a list"),
        ("read_files", {"paths": []}, "`paths` must hold at least 1"),
        ("write_file", {"path": "f", "content": "x", "mode": "clobber"}, "`mode` must be one of 'create', "),
        ("edit_file", {"path": "f", "edits": [{"old_text": "a"}]}, "`edits[0].new_text` is missing"),
        ("edit_file", {"path": "f", "edits": ["a"]}, "`edits[0]` must be an object"),
        ("delete_file", {"path": None}, "`path` must be a text"),
    ],
)
def test_a_bad_argument_is_told_what_to_send(tool: str, given: dict[str, object], told: str) -> None:
    with pytest.raises(BadArgument) as refused:
        TOOLS[tool].parse(given)
    text = str(refused.value)
    assert text.startswith(told)
    assert f"`{tool}` takes " in text
    assert "pydantic" not in text
    assert len(text) < 500


def test_a_list_that_comes_as_its_json_text_is_taken_for_a_list() -> None:
    assert TOOLS["read_files"].parse({"paths": '["a", "b"]'})["paths"] == ["a", "b"]
    edits = TOOLS["edit_file"].parse({"path": "f", "edits": '[{"old_text": "a", "new_text": "b"}]'})["edits"]
    assert edits[0].old_text == "a"


def test_a_text_that_looks_like_json_stays_a_text() -> None:
    assert TOOLS["write_file"].parse({"path": "f", "content": "[1]"})["content"] == "[1]"

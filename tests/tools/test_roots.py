"""Which roots are in force: the table of the design, in both eras, over a real process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from driver import ERAS, Host, uri


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("one", "two", "one/inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name, "utf-8")
    return tmp_path


def seen(host: Host) -> list[str]:
    """The names of the roots in force."""
    return [line.split()[0] for line in host.text("list_roots").splitlines() if line and not line.startswith("dropped")]


def test_the_clients_roots_count_when_none_are_granted(era: str, folders: Path) -> None:
    with Host(era=era, roots=[uri(folders / "one")]) as host:
        assert seen(host) == ["one"]
        assert "one" in host.text("read_file", path="f")


def test_the_granted_ones_count_when_the_client_has_none(era: str, folders: Path) -> None:
    with Host(str(folders / "two"), era=era) as host:
        assert seen(host) == ["two"]


def test_an_empty_answer_leaves_the_granted_ones(era: str, folders: Path) -> None:
    with Host(str(folders / "two"), era=era, roots=[]) as host:
        assert seen(host) == ["two"]


@pytest.mark.parametrize(
    ("granted", "offered", "mode", "in_force"),
    [
        ("one", "one/inner", "narrow", ["inner"]),
        ("one/inner", "one", "narrow", ["inner"]),
        ("one", "one", "narrow", ["one"]),
        ("one", "two", "narrow", []),
        ("one", "two", "add", ["one", "two"]),
        ("one", "two", "ignore", ["one"]),
    ],
)
def test_client_roots_and_granted_ones_meet(
    era: str, folders: Path, granted: str, offered: str, mode: str, in_force: list[str]
) -> None:
    with Host(str(folders / granted), "--client-roots", mode, era=era, roots=[uri(folders / offered)]) as host:
        if in_force:
            assert sorted(seen(host)) == in_force
        else:
            reason, text = host.refusal("list_directory", path=".")
            assert reason == "no_roots"
            assert "--client-roots" in text


def test_a_client_cannot_unseal_what_a_grant_seals_by_naming_it_as_a_root(era: str, folders: Path) -> None:
    for name in (".ssh", ".ssh/deeper", ".config/gh"):
        (folders / "one" / name).mkdir(parents=True)
        (folders / "one" / name / "known").write_text("SECRET", "utf-8")
        (folders / "way").unlink(missing_ok=True)
        (folders / "way").symlink_to(folders / "one" / name)
        for offered in (folders / "one" / name, folders / "way"):
            with Host(str(folders / "one"), era=era, roots=[uri(offered)]) as host:
                assert host.refusal("read_file", path=str(offered / "known"))[0] == "no_roots"
                assert "sealed" in host.text("list_roots")
    with Host(str(folders / "one"), str(folders / "one/.ssh"), era=era, roots=[uri(folders / "one/.ssh")]) as host:
        assert "SECRET" in host.text("read_file", path="known")


def test_ignored_client_roots_are_not_even_asked_for(era: str, folders: Path) -> None:
    with Host(str(folders / "one"), "--client-roots", "ignore", era=era, roots=[uri(folders / "two")]) as host:
        assert seen(host) == ["one"]
        assert host.asked == 0


def test_without_any_root_every_tool_refuses_and_says_what_to_do(era: str) -> None:
    with Host(era=era) as host:
        tools = host.request("tools/list")["result"]["tools"]
        for tool in tools:
            if tool["name"] == "list_roots":
                assert "rootcellar serve" in host.text("list_roots")
                continue
            needed = tool["inputSchema"].get("required", [])
            given = {"edits": [{"old_text": "a", "new_text": "b"}], "paths": ["x"]}
            reason, text = host.refusal(tool["name"], **{name: given.get(name, "x") for name in needed})
            assert reason == "no_roots", tool["name"]
            assert "rootcellar serve" in text, tool["name"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("https://example.com/x", "only `file:` roots"),
        ("file://otherhost/x", "another machine"),
        ("file:///nowhere/at/all", "missing"),
        ("file:///", "system"),
        ("relative", "absolute"),
        ({"name": "no uri at all"}, ""),
        (7, ""),
    ],
)
def test_a_bad_root_costs_only_itself(era: str, folders: Path, bad: object, why: str) -> None:
    with Host(era=era, roots=[bad, uri(folders / "one")]) as host:
        assert "one" in host.text("read_file", path="f")
        assert why in host.text("list_roots")


def test_a_bare_path_is_a_root(era: str, folders: Path) -> None:
    with Host(era=era, roots=[str(folders / "one")]) as host:
        assert "one" in host.text("read_file", path="f")


@pytest.mark.parametrize("answer", [{"code": -32601, "message": "no"}, {"roots": "none"}, {}])
def test_a_failing_answer_means_no_client_roots(folders: Path, answer: object) -> None:
    with Host(era="legacy", roots=lambda: answer) as host:
        reason, text = host.refusal("list_directory", path=".")
        assert reason == "no_roots"
        assert "client" in text
    with Host(str(folders / "one"), era="legacy", roots=lambda: answer) as host:
        assert seen(host) == ["one"]


@pytest.mark.slow
def test_a_client_that_never_answers_costs_one_wait(folders: Path) -> None:
    with Host(str(folders / "one"), era="legacy", roots=lambda: "silence") as host:
        begun = time.monotonic()
        assert seen(host) == ["one"]
        first = time.monotonic() - begun
        begun = time.monotonic()
        assert seen(host) == ["one"]
        assert time.monotonic() - begun < first / 4


def test_a_legacy_client_is_asked_once_until_it_says_the_list_changed(folders: Path) -> None:
    offered = [uri(folders / "one")]
    with Host(era="legacy", roots=lambda: list(offered)) as host:
        assert seen(host) == ["one"]
        assert seen(host) == ["one"]
        assert host.asked == 1
        offered[:] = [uri(folders / "two")]
        host.notify("notifications/roots/list_changed")
        assert seen(host) == ["two"]
        assert host.refusal("read_file", path=str(folders / "one/f"))[0] == "escape"
        offered.clear()
        host.notify("notifications/roots/list_changed")
        assert host.refusal("read_file", path=str(folders / "two/f"))[0] == "no_roots"


def test_a_modern_client_is_asked_in_every_call(folders: Path) -> None:
    offered = [uri(folders / "one")]
    with Host(era="modern", roots=lambda: list(offered)) as host:
        assert seen(host) == ["one"]
        offered[:] = [uri(folders / "two")]
        assert seen(host) == ["two"]
        assert host.asked == 2


def test_a_forged_state_is_refused_and_answers_without_state_are_asked_again(folders: Path) -> None:
    with Host(era="modern", roots=[uri(folders / "one")]) as host:
        params = {"name": "list_directory", "arguments": {"path": "."}}
        first = host.start("tools/call", params)[1].get(timeout=20)["result"]
        answers = {key: {"roots": [{"uri": uri(folders / "two")}]} for key in first["inputRequests"]}
        forged = {**params, "inputResponses": answers, "requestState": first["requestState"][:-4] + "AAAA"}
        assert host.start("tools/call", forged)[1].get(timeout=20)["error"]["code"] == -32602
        other = {**params, "name": "directory_tree", "inputResponses": answers, "requestState": first["requestState"]}
        assert host.start("tools/call", other)[1].get(timeout=20)["error"]["code"] == -32602
        unasked = {**params, "inputResponses": answers}
        assert host.start("tools/call", unasked)[1].get(timeout=20)["result"]["resultType"] == "input_required"


def test_roots_are_asked_for_inside_a_call_and_never_before(folders: Path) -> None:
    with Host(era="legacy", roots=[uri(folders / "one")]) as host:
        host.request("tools/list")
        host.notify("notifications/roots/list_changed")
        host.request("ping")
        assert host.asked == 0


def test_a_root_given_through_a_link_works_by_both_names(era: str, folders: Path) -> None:
    (folders / "via").symlink_to("one")
    with Host(era=era, roots=[uri(folders / "via")]) as host:
        assert "one" in host.text("read_file", path=str(folders / "via" / "f"))
        assert "one" in host.text("read_file", path=str(folders / "one" / "f"))


def test_a_root_that_goes_and_comes_back_is_served_again(era: str, folders: Path) -> None:
    root = folders / "one"
    with Host(str(root), str(folders / "two"), era=era) as host:
        assert sorted(seen(host)) == ["one", "two"]
        root.rename(folders / "away")
        assert seen(host) == ["two"]
        assert "one" in host.text("list_roots")
        (folders / "away").rename(root)
        assert sorted(seen(host)) == ["one", "two"]


def test_a_root_that_becomes_a_link_elsewhere_is_refused(era: str, folders: Path) -> None:
    root = folders / "one"
    with Host(str(root), era=era) as host:
        assert seen(host) == ["one"]
        root.rename(folders / "away")
        root.symlink_to("two")
        assert host.refusal("read_file", path="f")[0] == "no_roots"


def test_read_only_roots_and_servers_admit_no_change(era: str, folders: Path) -> None:
    with Host(str(folders / "two"), "--root-ro", str(folders / "one"), era=era) as host:
        assert host.refusal("write_file", path="one/new", content="x")[0] == "read_only"
        host.text("write_file", path="two/new", content="x")
        assert not (folders / "one/new").exists()
    with Host(str(folders / "two"), "--read-only", era=era) as host:
        names = [tool["name"] for tool in host.request("tools/list")["result"]["tools"]]
        assert "write_file" not in names
        assert host.request("tools/call", {"name": "write_file", "arguments": {}})["error"]["code"] == -32602


def test_several_roots_of_one_name_are_told_apart(era: str, folders: Path) -> None:
    (folders / "two/inner").mkdir()
    (folders / "two/inner/f").write_text("second", "utf-8")
    with Host(str(folders / "one/inner"), str(folders / "two/inner"), era=era) as host:
        names = seen(host)
        assert len(set(names)) == 2
        assert {host.text("read_file", path=f"{name}/f").split("\n")[0] for name in names} == {"one/inner", "second"}


def test_the_only_root_may_be_named_unless_something_in_it_has_that_name(era: str, folders: Path) -> None:
    with Host(str(folders / "one"), era=era) as host:
        assert "one" in host.text("read_file", path="one/f")
        assert "one/inner" in host.text("read_file", path="one/inner/f")
        (folders / "one/one").mkdir()
        (folders / "one/one/f").write_text("nested", "utf-8")
        assert "nested" in host.text("read_file", path="one/f")


def test_the_top_of_several_roots_is_their_list(era: str, folders: Path) -> None:
    with Host(str(folders / "one"), str(folders / "two"), era=era) as host:
        told = host.text("list_directory")
        assert "one  read-write" in told
        assert "two  read-write" in told

"""What the release workflow does, done here: a tag is checked, artefacts are gathered, the registry's entry is whole."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import build_frozen
import release
from rootcellar import __version__


def test_the_tag_the_version_and_the_changelog_agree() -> None:
    assert release.problems(f"v{__version__}") == []


@pytest.mark.parametrize("tag", [__version__, "v99.0.0", f"v{__version__}.1", ""])
def test_another_tag_is_refused(tag: str) -> None:
    assert release.problems(tag)


def test_the_notes_are_one_version_of_the_changelog() -> None:
    said = release.notes(__version__)
    assert len(said) > 200
    assert "\n## " not in said
    assert release.notes("99.0.0") == ""


@pytest.fixture
def gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The artefacts of two systems, in one folder."""
    for system in ("Linux-X64", "Windows-X64"):
        part = tmp_path / "parts" / f"dist-{system}"
        part.mkdir(parents=True)
        (part / f"rootcellar-{__version__}-py3-none-any.whl").write_bytes(b"the same")
        (part / f"rootcellar-{__version__}-{system.lower()}.mcpb").write_bytes(system.encode())
        (part / "SHA256SUMS").write_text("of that system alone\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_REPOSITORY", "Somebody/rootcellar")
    release.gather(tmp_path / "parts", tmp_path / "dist")
    return tmp_path / "dist"


def test_checksums_cover_every_file(gathered: Path) -> None:
    lines = (gathered / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(listed) == {path.name for path in gathered.iterdir()} - {"SHA256SUMS"}
    for name, digest in listed.items():
        assert hashlib.sha256((gathered / name).read_bytes()).hexdigest() == digest


def test_two_systems_that_differ_where_they_must_not_stop_the_release(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / "parts" / str(number)).mkdir(parents=True)
        (tmp_path / "parts" / str(number) / "rootcellar.whl").write_text(str(number))
    with pytest.raises(build_frozen.BuildError, match=r"different rootcellar\.whl"):
        release.gather(tmp_path / "parts", tmp_path / "dist")


# The registry's schema of 2025-12-11, as far as we use it.
RULES: dict[str, str] = {
    "name": r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+",
    "title": r".{1,100}",
    "description": r".{1,100}",
    "version": r"\d+\.\d+\.\d+\S*",
}
PACKAGE = {
    "registryType", "identifier", "version", "runtimeHint", "transport", "packageArguments", "fileSha256",
    "registryBaseUrl", "runtimeArguments", "environmentVariables",
}  # fmt: skip


def test_the_registrys_entry_keeps_its_rules(gathered: Path) -> None:
    entry: dict[str, Any] = json.loads((gathered / "server.json").read_text("utf-8"))
    assert set(entry) == {"$schema", "repository", "packages", *RULES}
    for key, rule in RULES.items():
        assert re.fullmatch(rule, entry[key]), key
    assert entry["$schema"] == "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    assert entry["name"] == "io.github.somebody/rootcellar"
    assert set(entry["repository"]) == {"url", "source"}
    for package in entry["packages"]:
        assert set(package) <= PACKAGE
        assert package["transport"] == {"type": "stdio"}
        assert package["version"] == entry["version"] == __version__
        for argument in package.get("packageArguments", ()):
            assert argument["type"] in {"positional", "named"}
            assert {"value", "valueHint"} & set(argument)


def test_the_registry_is_told_the_hash_of_each_bundle(gathered: Path) -> None:
    entry = json.loads((gathered / "server.json").read_text("utf-8"))
    bundles = {one["identifier"].rpartition("/")[2]: one for one in entry["packages"] if one["registryType"] == "mcpb"}
    assert set(bundles) == {path.name for path in gathered.glob("*.mcpb")}
    for name, one in bundles.items():
        assert one["fileSha256"] == hashlib.sha256((gathered / name).read_bytes()).hexdigest()
        assert re.fullmatch(r"https://github\.com/.+mcp.+", one["identifier"])

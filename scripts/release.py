"""What the release workflow does, one step a word; each runs on any machine.

release.py ready v1.2.3       the tag, the version and the changelog agree; else it says what does not
release.py gather PARTS OUT   one folder of artefacts, SHA256SUMS, server.json for the MCP Registry, notes.md
release.py keychain           macOS: a keychain with the certificates that MACOS_* name, and notarytool's profile
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import build_frozen
import build_parts

CHANGELOG = build_frozen.HERE / ".github" / "CHANGELOG.md"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"


def main(arguments: list[str]) -> int:
    """Do one step; the exit code."""
    match arguments:
        case ["ready", tag]:
            found = problems(tag)
            print("\n".join(found) or f"{tag} is ready")
            return 1 if found else 0
        case ["gather", parts, out]:
            gather(Path(parts), Path(out))
            return 0
        case ["keychain"]:
            keychain()
            return 0
    print(__doc__)
    return 2


def problems(tag: str) -> list[str]:
    """What keeps this tag from being released."""
    version = build_frozen.version()
    found = [] if tag == f"v{version}" else [f"the tag is {tag}, the version {version}"]
    if not notes(version):
        found.append(f"{CHANGELOG.name} has no section for {version}")
    return found


def notes(version: str) -> str:
    """The changelog's section for a version."""
    text = CHANGELOG.read_text("utf-8")
    found = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def gather(parts: Path, out: Path) -> None:
    """Put the artefacts of all systems into one folder, and what is said of them all beside."""
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(path for path in parts.rglob("*") if path.is_file() and path.name != build_parts.SUMS):
        target = out / file.name
        if target.exists() and target.read_bytes() != file.read_bytes():
            raise build_frozen.BuildError(f"two systems made a different {file.name}")
        shutil.copy(file, target)
    version = build_frozen.version()
    listed = sorted(path for path in out.iterdir() if path.is_file() and path.name != build_parts.SUMS)
    entry = registry_entry(os.environ.get("GITHUB_REPOSITORY", "OWNER/rootcellar"), version, listed)
    (out / "server.json").write_text(json.dumps(entry, indent=2, ensure_ascii=False) + "\n", "utf-8")
    build_parts.sums([*listed, out / "server.json"], out)
    Path("notes.md").write_text(notes(version) + "\n", "utf-8")


def registry_entry(repository: str, version: str, artefacts: list[Path]) -> dict[str, Any]:
    """`server.json`: where the MCP Registry says that we can be had.

    The registry asks PyPI's page of the package whether it names us (`mcp-name: NAME`), so the README must.
    """
    owner = repository.partition("/")[0].lower()
    home = f"https://github.com/{repository}"
    folder = {
        "type": "positional", "valueHint": "folder", "description": "A folder to grant, read and write",
        "format": "filepath", "isRepeated": True,
    }  # fmt: skip
    packages: list[dict[str, Any]] = [
        {
            "registryType": "pypi",
            "identifier": "rootcellar",
            "version": version,
            "runtimeHint": "uvx",
            "transport": {"type": "stdio"},
            "packageArguments": [{"type": "positional", "value": "serve"}, folder],
        }
    ]
    packages += [
        {
            "registryType": "mcpb",
            "identifier": f"{home}/releases/download/v{version}/{path.name}",
            "version": version,
            "fileSha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "transport": {"type": "stdio"},
        }
        for path in artefacts
        if path.suffix == ".mcpb"
    ]
    return {
        "$schema": SCHEMA,
        "name": f"io.github.{owner}/rootcellar",
        "title": "Rootcellar",
        "description": "Your own files and SQLite databases: confined to your folders, every change undoable.",
        "version": version,
        "repository": {"url": home, "source": "github"},
        "packages": packages,
    }


def keychain() -> None:
    """A keychain of its own with the signing certificates, for the length of this job; nothing where none are given."""
    packed = os.environ.get("MACOS_CERTIFICATES")
    if not packed:
        print("no certificates: programs are signed ad hoc")
        return
    password, name = secrets.token_hex(16), "signing.keychain-db"
    run = subprocess.check_call
    run(["security", "create-keychain", "-p", password, name])
    run(["security", "set-keychain-settings", "-lut", "7200", name])
    run(["security", "unlock-keychain", "-p", password, name])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "certificates.p12")
        file.write_bytes(base64.b64decode(packed))
        given = os.environ.get("MACOS_CERTIFICATES_PASSWORD", "")
        tools = [word for tool in ("codesign", "productbuild", "pkgbuild") for word in ("-T", f"/usr/bin/{tool}")]
        run(["security", "import", str(file), "-k", name, "-P", given, *tools])
        run(["security", "set-key-partition-list", "-S", "apple-tool:,apple:", "-s", "-k", password, name])
        run(["security", "list-keychains", "-d", "user", "-s", name, "login.keychain-db"])
        if key := os.environ.get("MACOS_NOTARY_KEY"):
            file = Path(folder, "key.p8")
            file.write_text(key)
            words = ["--key", str(file), "--key-id", os.environ["MACOS_NOTARY_KEY_ID"]]
            words += ["--issuer", os.environ["MACOS_NOTARY_ISSUER"], "--keychain", name]
            run(["xcrun", "notarytool", "store-credentials", "rootcellar", *words])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

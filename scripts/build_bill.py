"""What a bundle is made of: every part's licence (THIRD-PARTY-LICENSES.txt) and a CycloneDX bill (sbom.cdx.json).

The parts are read from what PyInstaller collected, each file traced to the distribution of the build environment that
brought it; what came from elsewhere is the interpreter's or the system's. Libraries that hide inside other libraries
(SQLite in apsw, OpenSSL in cryptography, codecs in Pillow) are asked for their versions in the build environment.
"""

from __future__ import annotations

import ast
import datetime as dt
import hashlib
import json
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
ASK = HERE / "packaging" / "ask.py"


@dataclass(slots=True)
class Part:
    """One thing in the bundle that somebody else made."""

    name: str
    version: str
    kind: str  # how it is named to others: `pypi`, `deb`, `generic`
    licence: str = ""
    texts: list[tuple[str, str]] = field(default_factory=list)
    within: str = ""
    hashes: dict[str, str] = field(default_factory=dict)

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:{self.kind}/{self.name.lower().replace('_', '-')}@{self.version}"


def write(bundle: Path, python: Path, work: Path, version: str, epoch: int) -> None:
    """Put the papers into the bundle."""
    shutil.copyfile(HERE / "LICENSE", bundle / "LICENSE.txt")
    parts = sorted(parts_of(bundle, python, work), key=lambda part: (part.name.lower(), part.within))
    (bundle / "THIRD-PARTY-LICENSES.txt").write_text(licences(parts), "utf-8", newline="\n")
    text = json.dumps(bill(parts, version, epoch), indent=1, ensure_ascii=False)
    (bundle / "sbom.cdx.json").write_text(text + "\n", "utf-8", newline="\n")


def collected(work: Path) -> set[str]:
    """The files that the bundle was made from, but for what PyInstaller itself made."""
    found = set()
    for table in ("PYZ-00.toc", "COLLECT-00.toc"):
        [path] = work.rglob(table)
        for rows in ast.literal_eval(path.read_text("utf-8")):
            entries = [row for row in rows if isinstance(row, tuple)] if isinstance(rows, list) else []
            found |= {source for _, source, kind in entries if source and kind != "SYMLINK"}
    return {source for source in found if source != "-" and not Path(source).is_relative_to(work)}


def parts_of(bundle: Path, python: Path, work: Path) -> list[Part]:
    """Everything that is not ours."""
    question = json.dumps(sorted(collected(work)))
    asked = subprocess.run([python, ASK], input=question, capture_output=True, text=True, check=True, encoding="utf-8")
    told: dict[str, Any] = json.loads(asked.stdout)
    parts = [Part(**one) for one in told["parts"]]
    return parts + [_of_the_system(Path(source), bundle) for source in told["others"]]


def _of_the_system(source: Path, bundle: Path) -> Part:
    """A library of the build machine's system, as its package manager knows it."""
    digest = hashlib.sha256((bundle / "_internal" / source.name).read_bytes()).hexdigest()
    hashes = {source.name: digest}
    for path in (source, source.resolve()):
        try:
            owner = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        package = owner.partition(": ")[0].partition(":")[0]
        version = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True
        ).stdout
        paper = Path("/usr/share/doc", package, "copyright")
        texts = [("copyright", paper.read_text("utf-8", "replace"))] if paper.is_file() else []
        return Part(package, version, "deb/debian", "", texts, source.name, hashes)
    return Part(source.name, "unknown", "generic", "unknown", [], "", hashes)


def licences(parts: list[Part]) -> str:
    """One text: a list, then every licence once, with the parts it is for."""
    lines = ["What Rootcellar's binary holds besides Rootcellar, and under which terms.", ""]
    lines += [f"  {part.name} {part.version}{_within(part)}: {part.licence or 'see its text'}" for part in parts]
    papers: dict[str, list[str]] = {}
    for part in parts:
        for name, text in part.texts:
            papers.setdefault(text.strip(), []).append(f"{part.name} ({name})")
    for text, names in papers.items():
        lines += ["", "=" * 100, ", ".join(dict.fromkeys(names)), "=" * 100, "", text]
    return "\n".join(lines) + "\n"


def _within(part: Part) -> str:
    return f" (in {part.within})" if part.within else ""


def bill(parts: list[Part], version: str, epoch: int) -> dict[str, Any]:
    """The CycloneDX 1.6 document; the same for the same parts."""
    components = []
    for part in parts:
        one: dict[str, Any] = {"type": "library", "bom-ref": part.purl + (f"#{part.within}" if part.within else "")}
        one |= {"name": part.name, "version": part.version, "purl": part.purl}
        one["licenses"] = [_licence(part.licence or "as in THIRD-PARTY-LICENSES.txt")]
        if part.hashes:
            files = sorted(part.hashes.items())
            one["components"] = [
                {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
                for name, digest in files
            ]
        if part.within:
            one["properties"] = [{"name": "rootcellar:within", "value": part.within}]
        components.append(one)
    ours = {"type": "application", "bom-ref": "rootcellar", "name": "rootcellar", "version": version}
    ours["licenses"] = [{"license": {"id": "MIT"}}]  # type: ignore[assignment] # JSON
    ours["purl"] = f"pkg:pypi/rootcellar@{version}"
    body = json.dumps(components, sort_keys=True)
    when = dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, body)}",
        "version": 1,
        "metadata": {"timestamp": when, "component": ours, "properties": [{"name": "os", "value": sys.platform}]},
        "components": components,
        "dependencies": [{"ref": "rootcellar", "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _licence(said: str) -> dict[str, Any]:
    """A short identifier as an expression, anything longer as a name."""
    words = said.replace("(", "").replace(")", "").split()
    spdx = len(words) == 1 or (len(words) > 1 and set(words[1::2]) <= {"AND", "OR", "WITH"})
    return {"expression": said} if spdx else {"license": {"name": said}}

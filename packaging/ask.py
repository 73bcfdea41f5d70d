"""Run in the build environment: whose are these files, and what do they hold? Sources in, parts out, as JSON.

Answers `{"parts": [...], "others": [...]}`: others are files that no distribution and no interpreter brought.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

INTERPRETER = Path(sys.base_prefix).resolve()
HERE = Path(__file__).resolve().parent.parent


def owners() -> dict[str, metadata.Distribution]:
    """Every file of the environment, and its distribution."""
    found = {}
    for distribution in metadata.distributions():
        for file in distribution.files or ():
            found[os.path.realpath(str(distribution.locate_file(file)))] = distribution
    return found


def licence_of(distribution: metadata.Distribution) -> str:
    """Its licence in a word, as its author gave it."""
    said = distribution.metadata
    if said["Name"] == "pyinstaller":
        return "GPL-2.0-or-later WITH Bootloader-exception"
    if expression := said.get("License-Expression"):
        return str(expression)
    text = str(said.get("License") or "")
    if text and "\n" not in text and len(text) < 60:  # noqa: PLR2004 - some put the whole text there
        return text
    classes = [one.rpartition(" :: ")[2] for one in said.get_all("Classifier") or () if one.startswith("License")]
    return " / ".join(classes)


def texts_of(distribution: metadata.Distribution) -> list[tuple[str, str]]:
    """Its licence files."""
    found = []
    for file in distribution.files or ():
        name = file.name.upper()
        inside = any(part.endswith(".dist-info") for part in file.parts)
        if inside and name.startswith(("LICEN", "COPYING", "NOTICE", "UNLICENSE", "AUTHORS")):
            path = Path(str(distribution.locate_file(file)))
            found.append((file.name, path.read_text("utf-8", "replace")))
    return sorted(found)


def interpreter() -> dict[str, object]:
    """Python itself."""
    places = (Path(os.__file__).parent / "LICENSE.txt", INTERPRETER / "LICENSE.txt", INTERPRETER / "LICENSE")
    texts = [("LICENSE.txt", path.read_text("utf-8", "replace")) for path in places if path.is_file()][:1]
    version = platform.python_version()
    return {"name": "cpython", "version": version, "kind": "generic", "licence": "PSF-2.0", "texts": texts}


# Inside Pillow's wheel; its own bill lists what could be there.
_PILLOW = {
    "Xau": "MIT", "avif": "BSD-2-Clause", "jpeg": "IJG AND BSD-3-Clause", "lzma": "0BSD", "openjp2": "BSD-2-Clause",
    "sharpyuv": "BSD-3-Clause", "tiff": "libtiff", "webp": "BSD-3-Clause", "webpdemux": "BSD-3-Clause",
    "webpmux": "BSD-3-Clause", "xcb": "MIT", "zstd": "BSD-3-Clause",
}  # fmt: skip
_LIBRARY = re.compile(r"lib([A-Za-z0-9]+?)-[0-9a-f]{8}\.so\.([0-9.]+)$|lib([A-Za-z0-9]+)\.([0-9.]+)\.dylib$")


def part(name: str, version: object, licence: str, within: str, kind: str = "generic") -> dict[str, object]:
    """A part that hides inside another."""
    return {"name": name, "version": str(version), "kind": kind, "licence": licence, "within": within}


def hidden(used: dict[str, metadata.Distribution], sources: list[str]) -> list[dict[str, object]]:
    """The libraries inside the libraries, with the versions they report."""
    import decimal
    import pyexpat

    found = [
        part("expat", pyexpat.EXPAT_VERSION.removeprefix("expat_"), "MIT", "cpython"),
        part("libmpdec", vars(decimal).get("__libmpdec_version__", "unknown"), "BSD-2-Clause", "cpython"),
    ]
    for name, one in sorted(used.items()):
        if name == "pillow":
            matches = [match for source in sources if (match := _LIBRARY.search(source)) and "pillow" in source.lower()]
            pairs = {(match[1] or match[3], match[2] or match[4]) for match in matches}
            found += [part(f"lib{what}", version, _PILLOW.get(what, ""), name) for what, version in sorted(pairs)]
        elif name in {"apsw-sqlite3mc", "apsw_sqlite3mc"}:
            import apsw

            found.append(part("sqlite", apsw.sqlite_lib_version(), "blessing", name))
            found.append(part("sqlite3multipleciphers", getattr(apsw, "mc_version", "").split()[-1], "MIT", name))
        else:
            found += declared(name, one)
    return found


def declared(name: str, distribution: metadata.Distribution) -> list[dict[str, object]]:
    """What a distribution's own bills (PEP 770) say is compiled into it."""
    found = {}
    for file in distribution.files or ():
        if "sboms" in file.parts and file.suffix == ".json":
            told = json.loads(Path(str(distribution.locate_file(file))).read_text("utf-8"))
            for one in told.get("components", ()):
                if one.get("type") != "library" or one.get("scope") == "excluded":
                    continue
                said = [term.get("expression") or term.get("license", {}).get("id") for term in one.get("licenses", ())]
                kind = str(one.get("purl", "")).removeprefix("pkg:").partition("/")[0] or "generic"
                licence = " AND ".join(term for term in said if term)
                found[one["name"]] = part(one["name"], one.get("version", "unknown"), licence, name, kind)
    return [found[one] for one in sorted(found)]


def main() -> None:
    """Answer."""
    sources: list[str] = json.load(sys.stdin)
    known, used, others = owners(), {}, []
    for source in sources:
        real = os.path.realpath(source)
        if distribution := known.get(real):
            used[distribution.metadata["Name"]] = distribution
        elif not Path(real).is_relative_to(INTERPRETER) and not Path(real).is_relative_to(HERE):
            others.append(source)
    loader = metadata.distribution("pyinstaller")
    used[loader.metadata["Name"]] = loader  # its loader is the program's first page
    parts = [
        {
            "name": name,
            "version": one.version,
            "kind": "pypi",
            "licence": licence_of(one),
            "texts": texts_of(one),
        }
        for name, one in used.items()
    ]
    json.dump({"parts": [interpreter(), *parts, *hidden(used, sources)], "others": others}, sys.stdout)


main()

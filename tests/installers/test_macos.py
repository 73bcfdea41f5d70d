"""The macOS package's scripts, run here with stand-ins for Apple's tools: what is signed, in which order, and where it goes.

Only the scripts are tried. Whether Apple's tools accept what they are given shows on a Mac, in the workflow.
"""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree as ET

import pytest

from installers.standin import bundle_at, running

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are for Linux")]
MACOS = Path(__file__).parents[2] / "packaging" / "macos"
SIGNED = {
    "MACOS_APPLICATION_IDENTITY": "Developer ID Application: Zoë (T3AM)",
    "MACOS_INSTALLER_IDENTITY": "Developer ID Installer: Zoë (T3AM)",
    "MACOS_NOTARY_PROFILE": "rootcellar",
}
TOOLS = {
    "ditto": 'cp -a "$1" "$2"',
    "osacompile": 'mkdir -p "$2/Contents/Resources"; echo "<plist/>" > "$2/Contents/Info.plist"; cp "$3" "$2/Contents/Resources/main.scpt"',
    "plutil": "case $2 in 0.*) ;; [1-9]*) exit 1 ;; esac",
    "file": 'case $2 in */holds | */rootcellar) echo "Mach-O 64-bit executable" ;; *) echo text ;; esac',
    "codesign": 'case $1 in -d) echo "designated => identifier \\"org.rootcellar.rootcellar\\" and anchor apple generic" ;; esac',
    "pkgbuild": 'case $1 in --analyze) touch "$4" ;; *) cp -a "$2" "$KEPT/root"; cp -a "$6" "$KEPT/scripts"; for out; do :; done; touch "$out" ;; esac',
    "productbuild": 'cp "$2" "$KEPT/distribution.xml"; for out; do :; done; echo pkg > "$out"',
    "xcrun": "",
    "spctl": "",
}


@dataclass(frozen=True)
class Mac:
    """Stand-ins for Apple's tools, and what they were told."""

    folder: Path

    @property
    def kept(self) -> Path:
        """What the package was made of."""
        return self.folder / "kept"

    @property
    def base(self) -> Path:
        """Where the program lies, once the package is installed on a disk of that content."""
        return self.kept / "root/Library/Application Support/Rootcellar"

    def run(self, *words: str | Path, code: int = 0, env: Mapping[str, str] = MappingProxyType({})) -> str:
        """What a script says; it must end with that code."""
        path = f"{self.folder / 'tools'}:/usr/bin:/bin"
        everything = {
            "PATH": path,
            "KEPT": str(self.kept),
            "HOME": str(self.folder),
            "TOLD": str(self.folder / "told"),
            **env,
        }
        done = subprocess.run(
            list(map(str, words)), check=False, capture_output=True, text=True, timeout=60, env={**everything, **env},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def build(
        self, version: str = "1.0.0", target: str = "macos-aarch64", env: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Make the package of a stand-in for the frozen bundle."""
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir()
        (self.folder / "told").write_text("")
        bundle = bundle_at(self.folder / version, version, target)
        return self.run("sh", MACOS / "build.sh", bundle, version, self.folder / "out.pkg", env=env)

    @property
    def told(self) -> list[str]:
        """What the tools were told, in order."""
        return (self.folder / "told").read_text("utf-8").splitlines()

    def install(self) -> str:
        """What the installer does once the files are there."""
        script = self.kept / "scripts/postinstall"
        return self.run("sh", script, "out.pkg", "/", f"{self.kept}/root/", "/")


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    """A Mac's tools."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, body in {**TOOLS, "sudo": '"$@"', "pkgutil": "", "lsof": LSOF}.items():
        path = tools / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "$TOLD"\n{body}\n', encoding="utf-8")
        path.chmod(0o755)
    return Mac(tmp_path)


LSOF = 'for exe in /proc/[0-9]*/exe; do case $(readlink "$exe") in "${3%/*}"/*) echo 1 ;; esac; done'


def test_every_program_is_signed_from_the_inside_out_and_then_the_package(mac: Mac) -> None:
    assert "not signed for release" not in mac.build(env=SIGNED)
    names = [line.split()[0] for line in mac.told]
    signing = [line for line in mac.told if line.startswith("codesign --force")]
    assert [line.rpartition("/")[2] for line in signing] == ["holds", "rootcellar", "Rootcellar Setup.app"]
    assert all("--options runtime --timestamp --sign Developer ID Application" in line for line in signing)
    assert "--identifier org.rootcellar.rootcellar --entitlements" in signing[1]
    last = max(index for index, name in enumerate(names) if name == "codesign")
    assert last < names.index("pkgbuild")
    assert names.index("productbuild") < names.index("xcrun") < names.index("spctl")
    told = "\n".join(mac.told)
    assert "--sign Developer ID Installer: Zoë (T3AM) --timestamp" in told
    assert "xcrun notarytool submit" in told
    assert "xcrun stapler staple" in told
    assert (mac.folder / "out.pkg").read_text() == "pkg\n"


def test_without_identities_it_is_signed_ad_hoc_and_says_so(mac: Mac) -> None:
    assert "not signed for release" in mac.build()
    told = "\n".join(mac.told)
    assert "codesign --force --sign - " in told
    assert "xcrun" not in told
    assert "Developer ID" not in told


def test_a_program_whose_requirement_is_another_stops_the_build(mac: Mac) -> None:
    other = mac.folder / "tools/codesign"
    other.write_text(other.read_text().replace("org.rootcellar.rootcellar", "org.rootcellar.other"))
    (mac.folder / "kept").mkdir()
    bundle = bundle_at(mac.folder)
    assert "keys would be asked for" in mac.run(
        "sh", MACOS / "build.sh", bundle, "1.0.0", mac.folder / "o.pkg", code=1, env=SIGNED
    )


@pytest.mark.parametrize(("target", "architecture"), [("macos-aarch64", "arm64"), ("macos-x86_64", "x86_64")])
def test_the_package_is_for_its_architecture_and_its_files_are_well_formed(
    mac: Mac, target: str, architecture: str
) -> None:
    mac.build(target=target)
    tree = ET.parse(mac.kept / "distribution.xml")  # of our own making
    options = tree.find("options")
    assert options is not None
    assert options.get("hostArchitectures") == architecture
    assert "@" not in (mac.kept / "distribution.xml").read_text()
    with (MACOS / "entitlements.plist").open("rb") as file:
        assert list(plistlib.load(file)) == ["com.apple.security.cs.allow-unsigned-executable-memory"]
    assert (MACOS / "rootcellar.icns").read_bytes()[:4] == b"icns"


def test_installed_it_is_at_the_place_that_stays(mac: Mac) -> None:
    mac.build()
    mac.install()
    assert os.readlink(mac.base / "current") == "versions/1.0.0"
    assert (mac.base / "installed-by").read_text() == "pkg\n"
    assert not (mac.base / "arriving").exists()
    link = mac.kept / "root/usr/local/bin/rootcellar"
    assert os.readlink(link) == "/Library/Application Support/Rootcellar/current/rootcellar"
    assert (
        "current/rootcellar' setup"
        in (mac.kept / "root/Applications/Rootcellar Setup.app/Contents/Resources/main.scpt").read_text()
    )


def test_an_update_moves_the_link_and_a_running_server_keeps_its_files(mac: Mac) -> None:
    mac.build("1.0.0")
    mac.install()
    disk = mac.folder / "disk"
    mac.base.rename(disk)
    mac.build("1.1.0")
    shutil.copytree(disk / "versions", mac.base / "versions", symlinks=True)
    (mac.base / "current").symlink_to("versions/1.0.0")
    with running(mac.base / "versions/1.0.0/_internal/holds") as server:
        mac.install()
        assert os.readlink(mac.base / "current") == "versions/1.1.0"
        assert (mac.base / "versions/1.0.0/_internal/lazy.txt").read_text() == "1.0.0"
        assert server.communicate(b"still here")[0] == b"still here"
    (mac.base / "arriving").mkdir()
    shutil.copytree(mac.base / "versions/1.1.0", mac.base / "arriving/1.1.0", symlinks=True)
    mac.install()
    assert [path.name for path in (mac.base / "versions").iterdir()] == ["1.1.0"]


@pytest.mark.parametrize(("word", "said"), [("--take-out-hosts", ["uninstall --yes"]), ("--keep-hosts", [])])
def test_uninstalled_nothing_of_it_is_left(mac: Mac, word: str, said: list[str]) -> None:
    mac.build()
    mac.install()
    mac.run("sh", mac.base / "uninstall.sh", word, env={"ROOTCELLAR_VOLUME": str(mac.kept / "root")})
    path = mac.folder / "said"
    assert (path.read_text().splitlines() if path.exists() else []) == said
    assert [found for found in (mac.kept / "root").rglob("*") if "ootcellar" in found.name] == []


def test_entries_that_cannot_be_taken_out_keep_the_program(mac: Mac) -> None:
    mac.build()
    mac.install()
    (mac.folder / "refuse").touch()
    mac.run(
        "sh", mac.base / "uninstall.sh", "--take-out-hosts", code=1, env={"ROOTCELLAR_VOLUME": str(mac.kept / "root")}
    )
    assert (mac.base / "current/rootcellar").exists()

"""Setup for Windows: compiled here by NSIS, and run under Wine with a stand-in for the program.

Wine has no junctions, so what runs here is the way for disks without them; what needs a real Windows is said in README.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from installers.standin import built

MAKENSIS = shutil.which("makensis")
WINE = shutil.which("wine")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MAKENSIS is None, reason="makensis is not here (Debian: nsis)"),
]
LISTED = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Rootcellar"


def windows_bundle(folder: Path, version: str = "1.0.0") -> Path:
    """A stand-in for the frozen bundle on Windows."""
    made = folder / f"rootcellar-{version}-windows-x86_64"
    (made / "_internal").mkdir(parents=True)
    (made / "_internal" / "lazy.txt").write_text(version)
    source = Path(__file__).with_name("standin.nsi")
    subprocess.run([str(MAKENSIS), "-V2", f"-DOUT={made / 'rootcellar.exe'}", str(source)], check=True, timeout=60)
    return made


def test_it_compiles_without_a_warning_and_twice_to_the_same_bytes(tmp_path: Path) -> None:
    bundle = windows_bundle(tmp_path)
    first, second = (built(bundle, tmp_path / name, ".exe") for name in ("one", "two"))
    assert first.name == "rootcellar-1.0.0-x86_64-setup.exe"
    assert first.read_bytes()[:2] == b"MZ"
    assert first.read_bytes() == second.read_bytes()


def test_the_uninstaller_and_the_setup_are_both_signed(tmp_path: Path) -> None:
    signer, signed = tmp_path / "sign.sh", tmp_path / "signed"
    signer.write_text(f'#!/bin/sh\nhead -c 2 "$1" >> {signed}\n')
    signer.chmod(0o755)
    built(windows_bundle(tmp_path), tmp_path / "out", ".exe", WINDOWS_SIGN=f'{signer} "%1"')
    assert signed.read_bytes() == b"MZMZ"


@dataclass(frozen=True)
class Windows:
    """A Windows user, as Wine plays one."""

    prefix: Path

    @property
    def profile(self) -> Path:
        """The user's folder."""
        return next(path for path in (self.prefix / "drive_c/users").iterdir() if path.name != "Public")

    @property
    def base(self) -> Path:
        """Where the program lies."""
        return self.profile / "AppData/Local/Programs/Rootcellar"

    def run(self, *words: str | Path, code: int = 0) -> str:
        """What a program says; it must end with that code."""
        env = {
            **os.environ,
            "WINEPREFIX": str(self.prefix),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=",
        }
        done = subprocess.run(
            [str(WINE), *map(str, words)],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env=env,
            errors="replace",
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    @property
    def said(self) -> list[str]:
        """How the program was started."""
        path = self.profile / "said"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    @property
    def shortcut(self) -> Path:
        """The entry in the Start menu."""
        return self.profile / "AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Rootcellar Setup.lnk"

    def uninstall(self, *words: str, code: int = 0) -> None:
        """Run the uninstaller, which goes on from a copy of itself unless told where it is."""
        place = "C:" + str(self.base).partition("drive_c")[2].replace("/", "\\")
        self.run(self.base / "uninstall.exe", "/S", *words, f"_?={place}", code=code)


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    """A fresh Windows."""
    if WINE is None:
        pytest.skip("wine is not here (Debian: wine, wine64)")
    made = Windows(tmp_path / "wine")
    made.run("wineboot", "-i")
    return made


@pytest.fixture(scope="module")
def two_setups(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Setups of two versions."""
    folder = tmp_path_factory.mktemp("setup")
    first = built(windows_bundle(folder, "1.0.0"), folder / "out", ".exe")
    return first, built(windows_bundle(folder, "1.1.0"), folder / "out", "1.1.0-x86_64-setup.exe")


@pytest.mark.full
def test_silently_installed_updated_and_removed(windows: Windows, two_setups: tuple[Path, Path]) -> None:
    windows.run(two_setups[0], "/S")
    assert (windows.base / "current/_internal/lazy.txt").read_text() == "1.0.0"
    assert (windows.base / "installed-by").read_text() == "setup"
    assert windows.shortcut.is_file()
    assert windows.said == []  # silent: it opens nothing
    assert "1.0.0" in windows.run("reg", "query", LISTED)
    windows.run(two_setups[1], "/S")
    assert (windows.base / "current/_internal/lazy.txt").read_text() == "1.1.0"
    assert [path.name for path in (windows.base / "versions").iterdir()] == ["1.1.0"]
    listed = windows.run("reg", "query", LISTED)
    assert "DisplayVersion    REG_SZ    1.1.0" in listed
    assert "QuietUninstallString" in listed
    windows.uninstall()
    assert windows.said == ["uninstall --yes"]
    assert [path.name for path in windows.base.iterdir()] == ["uninstall.exe"]  # it was told not to leave its place
    assert not windows.shortcut.exists()
    windows.run("reg", "query", LISTED, code=1)


@pytest.mark.full
def test_entries_that_cannot_be_taken_out_keep_the_program_unless_they_are_to_stay(
    windows: Windows, two_setups: tuple[Path, Path]
) -> None:
    windows.run(two_setups[0], "/S")
    (windows.profile / "refuse").touch()
    windows.uninstall(code=3)
    assert (windows.base / "current/rootcellar.exe").exists()
    assert windows.shortcut.exists()
    before = windows.said
    windows.uninstall("/KEEPHOSTS")
    assert windows.said == before
    assert not (windows.base / "versions").exists()


@pytest.mark.full
def test_the_uninstaller_takes_itself_away(windows: Windows, two_setups: tuple[Path, Path]) -> None:
    windows.run(two_setups[0], "/S", r"/D=C:\Elsewhere\Rootcellar")
    place = windows.prefix / "drive_c/Elsewhere/Rootcellar"
    assert (place / "current/rootcellar.exe").exists()
    windows.run(place / "uninstall.exe", "/S")
    end = time.monotonic() + 60
    while place.exists():
        assert time.monotonic() < end
        windows.run("cmd", "/c", "exit")
    assert windows.said == ["uninstall --yes"]

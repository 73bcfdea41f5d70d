"""The Debian package, installed, upgraded, removed and purged by dpkg in a root directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from installers.standin import built, bundle_at, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("dpkg") is None or os.geteuid() != 0, reason="needs dpkg, and root for its owners"),
]
Two = tuple[Path, Path]


@dataclass(frozen=True)
class System:
    """A system that has nothing but a package database, and one person."""

    root: Path

    @property
    def base(self) -> Path:
        """Where the program lies."""
        return self.root / "usr/lib/rootcellar"

    @property
    def home(self) -> Path:
        """The person's home, in which no script has any business."""
        return self.root / "home/zoe"

    def dpkg(self, *words: str | Path, **env: str) -> str:
        """Run dpkg here; its scripts run beside this root, not in it."""
        forced = ["--force-script-chrootless", "--force-depends", "--force-not-root", "--force-unsafe-io"]
        done = subprocess.run(
            ["dpkg", f"--root={self.root}", *forced, *map(str, words)],
            check=False, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(self.home), "LC_ALL": "C.UTF-8", **env},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def said(self) -> list[str]:
        """How the program was started."""
        path = self.home / "said"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def ours(self) -> set[str]:
        """Every path of the package that is there."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
        return {path for path in found if "rootcellar" in path and not path.startswith(("var/", "home/"))}


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A system with nothing in it."""
    root = tmp_path / "root"
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "home/zoe"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    return System(root)


def test_installed_it_is_on_the_path_in_the_menu_and_in_nobodys_home(system: System, two_debs: Two) -> None:
    said = system.dpkg("-i", two_debs[0])
    assert "Rootcellar is here. Each user sets it up" in said
    assert os.readlink(system.base / "current") == "versions/1.0.0"
    assert (system.base / "installed-by").read_text() == "deb\n"
    link = system.root / "usr/bin/rootcellar"
    assert link.resolve() == system.base / "versions/1.0.0/rootcellar"
    owned, run = (os.stat(system.base / place / "rootcellar") for place in ("dist", "versions/1.0.0"))
    assert (owned.st_ino, owned.st_uid, owned.st_mode & 0o7777) == (run.st_ino, 0, 0o755)  # linked, not copied
    entry = (system.root / "usr/share/applications/rootcellar-setup.desktop").read_text()
    assert "\nExec=/usr/bin/rootcellar setup\n" in entry
    assert (system.root / "usr/share/icons/hicolor/scalable/apps/rootcellar.svg").is_file()
    assert list(system.home.iterdir()) == []


def test_an_upgrade_moves_the_link_and_a_running_server_keeps_its_files(system: System, two_debs: Two) -> None:
    system.dpkg("-i", two_debs[0])
    with running(system.base / "versions/1.0.0/_internal/holds") as server:
        assert "sets it up" not in system.dpkg("-i", two_debs[1])
        assert os.readlink(system.base / "current") == "versions/1.1.0"
        assert (system.base / "versions/1.0.0/_internal/lazy.txt").read_text() == "1.0.0"
        assert server.communicate(b"still here")[0] == b"still here"
    system.dpkg("-i", two_debs[1])
    assert [path.name for path in (system.base / "versions").iterdir()] == ["1.1.0"]
    assert list(system.home.iterdir()) == []


def test_the_same_version_built_anew_leaves_the_running_one_alone(
    system: System, two_debs: Two, tmp_path: Path
) -> None:
    system.dpkg("-i", two_debs[0])
    other = bundle_at(tmp_path / "again")
    (other / "_internal/lazy.txt").write_text("anew")
    again = built(other, tmp_path / "out", ".deb")
    with running(system.base / "versions/1.0.0/_internal/holds") as server:
        system.dpkg("-i", again)
        assert (system.base / "versions/1.0.0/_internal/lazy.txt").read_text() == "1.0.0"
        assert (system.base / "current/_internal/lazy.txt").read_text() == "anew"
        server.communicate(b"")


@pytest.mark.parametrize("way", ["-r", "-P"])
def test_removed_or_purged_nothing_of_it_is_left(system: System, two_debs: Two, way: str) -> None:
    system.dpkg("-i", two_debs[0])
    system.dpkg("-i", two_debs[1])
    said = system.dpkg(way, "rootcellar")
    assert "Entries in applications' settings stay" in said
    assert system.said == []
    assert system.ours == set()


def test_a_removal_takes_the_entries_out_first_where_that_was_said(system: System, two_debs: Two) -> None:
    system.dpkg("-i", two_debs[0])
    system.dpkg("-r", "rootcellar", ROOTCELLAR_UNINSTALL_HOSTS="yes")
    assert system.said == ["uninstall --yes"]
    assert system.ours == set()


def test_what_dpkg_knows_of_it_is_true(system: System, two_debs: Two) -> None:
    system.dpkg("-i", two_debs[0])
    assert system.dpkg("--verify", "rootcellar") == ""
    shown = subprocess.run(["dpkg-deb", "--field", two_debs[0]], check=True, capture_output=True, text=True).stdout
    assert "\nArchitecture: amd64\n" in shown
    assert "Depends: libc6 (>= 2." in shown


def test_two_builds_of_one_bundle_are_the_same_bytes(two_debs: Two, tmp_path: Path) -> None:
    again = built(bundle_at(tmp_path), tmp_path / "out", ".deb")
    assert again.read_bytes() == two_debs[0].read_bytes()

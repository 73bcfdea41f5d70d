"""The self-extracting installer: whole or refused, per user, versions side by side, and gone without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from installers.standin import built, bundle_at, running

pytestmark = pytest.mark.slow
Two = tuple[Path, Path]


@dataclass(frozen=True)
class User:
    """A person's home, with a space and a letter outside ASCII in its path, and installers run in it."""

    home: Path

    @property
    def base(self) -> Path:
        """Where the program lies."""
        return self.home / ".local/share/rootcellar"

    def run(self, *words: str | Path, code: int = 0, **env: str) -> str:
        """What a command says; it must end with that code."""
        everything = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **env}
        done = subprocess.run(
            list(map(str, words)), check=False, capture_output=True, text=True, timeout=60, env=everything, cwd=self.home,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def said(self) -> list[str]:
        """How the program was started."""
        path = self.home / "said"
        return [line for line in path.read_text().splitlines() if line != "--version"] if path.exists() else []

    @property
    def tree(self) -> set[str]:
        """Every path in the home."""
        found = {path.relative_to(self.home).as_posix() for path in self.home.rglob("*")}
        return found - {"said", ".local", ".local/share", ".local/bin", ".local/share/applications"}


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A person's home."""
    home = tmp_path / "Zoë Home"
    home.mkdir()
    return User(home)


def test_installed_it_is_at_the_place_that_stays_and_in_the_menu(user: User, two_runs: Two) -> None:
    said = user.run("sh", two_runs[0])
    assert f"Rootcellar 1.0.0 is in {user.base}" in said
    assert os.readlink(user.base / "current") == "versions/1.0.0"
    assert (user.base / "installed-by").read_text() == "run\n"
    assert os.stat(user.base).st_mode & 0o777 == 0o700
    kept = user.base / "current/_internal/kept folder/größe.txt"
    assert kept.read_text() == "x" * 10_000
    assert os.readlink(user.base / "current/_internal/link.txt") == "lazy.txt"
    assert user.run(user.home / ".local/bin/rootcellar", "hosts").strip() == "rootcellar 1.0.0"
    entry = (user.home / ".local/share/applications/rootcellar-setup.desktop").read_text()
    assert f'Exec="{user.base}/current/rootcellar" setup\n' in entry
    assert Path(next(line for line in entry.splitlines() if line.startswith("Icon="))[5:]).is_file()


def test_with_a_display_it_opens_setup_unless_told_not_to(user: User, two_runs: Two) -> None:
    user.run("sh", two_runs[0], "--no-setup", DISPLAY=":0")
    assert user.said == []
    user.run("sh", two_runs[0], DISPLAY=":0")
    assert user.said == ["setup"]


def test_an_update_moves_the_link_and_a_running_server_keeps_its_files(user: User, two_runs: Two) -> None:
    user.run("sh", two_runs[0])
    with running(user.base / "versions/1.0.0/_internal/holds") as server:
        user.run("sh", two_runs[1])
        assert os.readlink(user.base / "current") == "versions/1.1.0"
        assert (user.base / "versions/1.0.0/_internal/lazy.txt").read_text() == "1.0.0"
        assert server.communicate(b"still here")[0] == b"still here"
    user.run("sh", two_runs[1])
    assert [path.name for path in (user.base / "versions").iterdir()] == ["1.1.0"]
    assert user.run(user.home / ".local/bin/rootcellar").strip() == "rootcellar 1.1.0"


def test_the_same_version_twice_is_the_same_and_built_anew_it_is_the_new_one(
    user: User, two_runs: Two, tmp_path: Path
) -> None:
    user.run("sh", two_runs[0])
    before = os.stat(user.base / "current/rootcellar").st_ino
    user.run("sh", two_runs[0])
    assert os.stat(user.base / "current/rootcellar").st_ino == before
    other = bundle_at(tmp_path / "again")
    (other / "_internal/lazy.txt").write_text("anew")
    again = built(other, tmp_path / "out", ".run")
    with running(user.base / "versions/1.0.0/_internal/holds") as server:
        user.run("sh", again)
        assert (user.base / "versions/1.0.0/_internal/lazy.txt").read_text() == "1.0.0"
        assert (user.base / "current/_internal/lazy.txt").read_text() == "anew"
        server.communicate(b"")


def test_uninstalled_it_leaves_what_was_there_before(user: User, two_runs: Two) -> None:
    (user.home / ".local/share/rootcellar").mkdir(parents=True)
    journal = user.home / ".local/share/rootcellar/journal"
    journal.write_bytes(b"what can be undone")
    before = user.tree
    user.run("sh", two_runs[0])
    said = user.run(user.base / "uninstall", "--take-out-hosts")
    assert "stays in" in said
    assert user.said == ["uninstall --yes"]
    assert user.tree == before


@pytest.mark.parametrize("way", ["uninstall", "installer"])
def test_without_a_terminal_and_without_a_word_the_entries_stay(user: User, two_runs: Two, way: str) -> None:
    user.run("sh", two_runs[0])
    words: list[str | Path] = [user.base / "uninstall"] if way == "uninstall" else ["sh", two_runs[0], "--uninstall"]
    assert "Entries in your applications stay" in user.run(*words)
    assert (user.said, user.tree) == ([], set())


def test_entries_that_cannot_be_taken_out_keep_the_program(user: User, two_runs: Two) -> None:
    user.run("sh", two_runs[0])
    (user.home / "refuse").touch()
    assert "nothing else was removed" in user.run(user.base / "uninstall", "--take-out-hosts", code=1)
    assert (user.base / "current/rootcellar").exists()


def test_a_rootcellar_of_another_origin_on_the_path_is_left_alone(user: User, two_runs: Two) -> None:
    shim = user.home / ".local/bin/rootcellar"
    shim.parent.mkdir(parents=True)
    shim.write_text("theirs")
    assert "is another one, and is left alone" in user.run("sh", two_runs[0])
    user.run(user.base / "uninstall", "--keep-hosts")
    assert shim.read_text() == "theirs"


def _cut(data: bytes) -> bytes:
    return data[:-100]


def _flipped(data: bytes) -> bytes:
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize(("spoil", "words"), [(_cut, "not whole"), (_flipped, "damaged")])
def test_a_download_that_is_not_whole_installs_nothing(
    user: User, two_runs: Two, tmp_path: Path, spoil: Callable[[bytes], bytes], words: str
) -> None:
    bad = tmp_path / "bad.run"
    bad.write_bytes(spoil(two_runs[0].read_bytes()))
    assert words in user.run("sh", bad, code=1)
    assert words in user.run("sh", bad, "--check", code=1)
    assert "whole" in user.run("sh", two_runs[0], "--check")
    assert user.tree == set()


def test_a_home_that_runs_no_programs_is_told_so_and_left_as_it_was(user: User, tmp_path: Path) -> None:
    bundle = bundle_at(tmp_path / "broken")
    (bundle / "rootcellar").write_text("#!/bin/sh\nexit 126\n")  # what a noexec mount amounts to
    broken = built(bundle, tmp_path / "out", ".run")
    assert "programs cannot be run from" in user.run("sh", broken, code=1)
    assert not (user.base / "current").exists()
    assert list((user.base / "versions").iterdir()) == []


def test_a_disk_that_is_full_half_way_leaves_the_version_that_was_there(user: User, two_runs: Two) -> None:
    user.run("sh", two_runs[0])
    said = user.run("bash", "-c", 'ulimit -f 4; trap "" XFSZ; sh "$0"', two_runs[1], code=1)
    assert "could not be unpacked" in said
    assert os.readlink(user.base / "current") == "versions/1.0.0"
    assert [path.name for path in (user.base / "versions").iterdir()] == ["1.0.0"]


def test_what_a_killed_run_left_behind_goes_with_the_next(user: User, two_runs: Two) -> None:
    left, busy = (user.base / "versions" / f".new-{number}" for number in (4_999_999, os.getpid()))
    for folder in (left, busy):
        folder.mkdir(parents=True)
    user.run("sh", two_runs[0])
    assert (left.exists(), busy.exists()) == (False, True)


def test_it_does_not_install_for_root_by_mistake(user: User, two_runs: Two) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs to be root")
    assert "run it without sudo" in user.run("sh", two_runs[0], code=1, SUDO_USER="zoe")
    assert user.tree == set()


def test_it_can_be_looked_into_without_installing(user: User, two_runs: Two, tmp_path: Path) -> None:
    user.run("sh", two_runs[0], "--extract", tmp_path / "inside")
    assert (tmp_path / "inside/_internal/lazy.txt").read_text() == "1.0.0"
    assert "is there already" in user.run("sh", two_runs[0], "--extract", tmp_path / "inside", code=1)
    assert "is not an option" in user.run("sh", two_runs[0], "--quiet", code=1)
    assert user.run("sh", two_runs[0], "--version").strip() == "1.0.0"
    assert user.tree == set()


def test_two_builds_of_one_bundle_are_the_same_bytes(two_runs: Two, tmp_path: Path) -> None:
    again = built(bundle_at(tmp_path), tmp_path / "out", ".run")
    assert again.read_bytes() == two_runs[0].read_bytes()


def test_every_script_passes_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here (Debian: shellcheck)")
    packaging = Path(__file__).parents[2] / "packaging"
    scripts = [packaging / "run/head.sh", *(packaging / "deb" / name for name in ("postinst", "prerm", "postrm"))]
    scripts += sorted((packaging / "macos").glob("**/*.sh")) + sorted((packaging / "macos").glob("scripts/*"))
    done = subprocess.run(["shellcheck", *map(str, scripts)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

"""Pass the tests, on a machine where nothing is set up: `python3 scripts/test.py [--quick|--full] [pytest arguments]`.

Without a switch: everything that CI runs (under 30 minutes). `--quick`: daily work, under two minutes, no network.
`--full`: also the long attacks (races, kill loops, fuzzing) and real hosts.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence

import start

QUICK, FULL = "--quick", "--full"
SOME_FAILED = 1  # pytest's exit code for it


def main(arguments: list[str]) -> int:
    """Set up, check the sources, run the tests; the exit code is the tests'."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    python = str(start.environment())
    chosen = [argument for argument in arguments if argument not in (QUICK, FULL)]
    if QUICK in arguments:
        chosen = ["-m", "not full and not slow and not clients", *chosen]
    elif FULL not in arguments:
        system_packages(SYSTEM_PACKAGES)
        chosen = ["-m", "not full", *chosen]
    else:
        system_packages(SYSTEM_PACKAGES | COMPILED)
    named = [argument for argument in chosen if argument.startswith("tests")]
    checked = 0 if named else start.run([python, "scripts/check"])
    tested = start.run([python, "-m", "pytest", "-n", "2", "--dist", "worksteal", *chosen])
    if tested == SOME_FAILED:
        # Some tests measure time, and two run at once on a machine that may be busy: failures get one more try, alone.
        start.say("once more, alone: what failed beside other tests; what fails again has failed")
        tested = start.run([python, "-m", "pytest", "--last-failed", "-n", "0", *chosen])
    return tested or checked


# What some tests drive besides Python: the command they look for, and the Debian packages that bring it.
SYSTEM_PACKAGES = {
    "npm": ("nodejs", "npm"),
    "chromedriver": ("chromium", "chromium-driver"),
    "dbus-run-session": ("dbus",),
    "gnome-keyring-daemon": ("gnome-keyring",),
    "makensis": ("nsis",),
    "shellcheck": ("shellcheck",),
    "objdump": ("binutils",),
}
# VS Code's engine comes from npm, and is compiled.
COMPILED = {"g++": ("g++", "make"), "krb5-config": ("libkrb5-dev",), "pkg-config": ("pkg-config",)}


def system_packages(known: Mapping[str, Sequence[str]]) -> None:
    """Install what is missing of those, where that needs no question; the tests say what they did without."""
    wanted = [command for command in known if not shutil.which(command)]
    if wanted and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [name for command in wanted for name in known[command]]
        start.say(f"installing {', '.join(packages)}")
        start.run(["apt-get", "update", "-qq"])
        start.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])
    for command in wanted:
        if not shutil.which(command):
            start.say(f"{command} is not here: the tests that drive it will say so")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Pass the tests, on a machine where nothing is set up: `python3 scripts/test.py [--quick|--full] [pytest arguments]`.

Without a switch: everything that CI runs (under 30 minutes). `--quick`: daily work, under two minutes, no network.
`--full`: also the long attacks (races, kill loops, fuzzing) and real hosts.
"""

from __future__ import annotations

import os
import shutil
import sys

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
        system_packages()
        chosen = ["-m", "not full", *chosen]
    else:
        system_packages()
    named = [argument for argument in chosen if argument.startswith("tests")]
    checked = 0 if named else start.run([python, "scripts/check"])
    tested = start.run([python, "-m", "pytest", "-n", "2", "--dist", "worksteal", *chosen])
    if tested == SOME_FAILED:
        # Some tests measure time, and two run at once on a machine that may be busy: failures get one more try, alone.
        start.say("once more, alone: what failed beside other tests; what fails again has failed")
        tested = start.run([python, "-m", "pytest", "--last-failed", "-n", "0", *chosen])
    return tested or checked


def system_packages() -> None:
    """What some tests drive besides Python: Node.js with npm. Installed where that needs no question."""
    if shutil.which("npm"):
        return
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        start.say("installing nodejs and npm")
        start.run(["apt-get", "update", "-qq"])
        start.run(["apt-get", "install", "-y", "-qq", "nodejs", "npm"])
    if not shutil.which("npm"):
        start.say("npm is not here: the tests that drive other people's clients will say so")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

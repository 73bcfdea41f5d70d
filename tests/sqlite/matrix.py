"""Run the attack tables on every Python found here: `python tests/sqlite/matrix.py [python ...]`. Throw-away environments."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TABLES = ("test_bypass.py", "test_statement.py", "test_opening.py", "test_worker.py", "test_cipher.py")
NEEDED = ("apsw-sqlite3mc", "aiosqlite", "sqlcipher3", "pytest", "pytest-timeout", "hypothesis")


def main(pythons: list[str]) -> int:
    """One environment and one run for each; the exit code says whether all passed."""
    failed = 0
    for python in pythons or [sys.executable]:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([python, "-m", "venv", folder], check=True)
            there = str(Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
            subprocess.run([there, "-m", "pip", "install", "-q", *NEEDED], check=True)
            tests = [str(ROOT / "tests" / "sqlite" / name) for name in TABLES]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
            options = [
                "-q",
                "-c",
                os.devnull,
                "--rootdir",
                str(ROOT),
                "--import-mode=importlib",
                "-p",
                "no:cacheprovider",
            ]
            print(python, flush=True)
            failed += subprocess.run([there, "-m", "pytest", *options, *tests], env=environment, check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

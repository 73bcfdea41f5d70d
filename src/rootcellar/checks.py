"""What `rootcellar doctor` looks at on this machine: settings, walls, programs, keychain, our own directory.

Each check is a small function that promises never to fail itself; what it needs is imported in it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from rootcellar import __version__, ours
from rootcellar.errors import NoKeychain, Refusal

SQLITE_MIN = (3, 54, 0)  # older ones have known holes that a crafted database reaches
ROOM_BYTES_MIN = 256 << 20  # what undo may want of the disk on a busy day
AGAIN = "install rootcellar again"


class Level(Enum):
    """How bad it is."""

    GOOD = "ok"
    NOTE = "note"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Told:
    """One line: what was looked at, how it is, and the next step."""

    about: str
    level: Level
    what: str
    then: str = "nothing to do"


def program() -> Told:
    """What runs here."""
    frozen = "frozen binary" if getattr(sys, "frozen", False) else f"Python {sys.version.split()[0]}"
    return Told("program", Level.GOOD, f"rootcellar {__version__}, {frozen}, {sys.executable}")


def data(env: Mapping[str, str]) -> Told:
    """Whether our own directory can take records, backups and undo."""
    about = "our data"
    try:
        path = ours.data_directory(env)
    except Refusal as refusal:
        return Told(about, Level.BAD, refusal.message, refusal.hint)
    stands = next(parent for parent in (path, *path.parents) if parent.exists())
    if not stands.is_dir() or not os.access(stands, os.W_OK | os.X_OK):
        return Told(about, Level.BAD, f"`{path}` may not be written", f"give yourself write permission to `{stands}`")
    free = shutil.disk_usage(stands).free
    if free < ROOM_BYTES_MIN:
        return Told(about, Level.LOOK, f"`{path}` has {free >> 20} MiB left on its disk", "free some space")
    return Told(about, Level.GOOD, f"{path}, {free >> 30} GiB free")


def roots(env: Mapping[str, str], config: Path) -> Iterator[Told]:
    """The folders that the user's settings grant."""
    from rootcellar.confine.system import why_not
    from rootcellar.settings import Flags, resolve

    try:
        text = config.read_text("utf-8") if config.exists() else ""
        settings = resolve(Flags(), env, text, config_name=str(config), separator=os.pathsep)
    except (OSError, UnicodeDecodeError) as error:
        yield Told("settings", Level.BAD, f"`{config}` cannot be read: {error}", "mend its permissions or encoding")
        return
    except Refusal as refusal:
        yield Told("settings", Level.BAD, refusal.message, refusal.hint)
        return
    granted = [*settings.roots, *settings.roots_read_only]
    for folder in granted:
        path = Path(folder).expanduser()
        if why := why_not(str(path)):
            yield Told("folder", Level.BAD, f"`{path}` cannot be a root: {why}", f"change {config}")
        elif path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            yield Told("folder", Level.GOOD, str(path))
        else:
            yield Told(
                "folder", Level.LOOK, f"`{path}` is not a folder that can be read", f"make it, or change {config}"
            )
    if not granted:
        yield Told("folders", Level.GOOD, "none in the settings: hosts give theirs, or entries name them")


def wall() -> Told:
    """Whether the second wall stands."""
    if sys.platform != "linux":
        return Told("second wall", Level.NOTE, "there is none on this system", "the first wall stands alone")
    support = importlib.import_module("rootcellar.confine._landlock").support()
    if support.abi:
        return Told("second wall", Level.GOOD, f"Landlock, version {support.abi}")
    return Told(
        "second wall", Level.LOOK, support.why_not, "the first wall stands alone; a newer kernel adds the second"
    )


def search() -> Told:
    """Whether the search engine is where it should be."""
    found = importlib.import_module("rootcellar.confine._rg").program()
    if found:
        return Told("search", Level.GOOD, str(found))
    return Told("search", Level.LOOK, "ripgrep is not beside this program: searching is slower", AGAIN)


def sqlite() -> Told:
    """Which SQLite answers, and whether it has known holes."""
    try:
        apsw = importlib.import_module("apsw")
    except ImportError as error:
        return Told("SQLite", Level.BAD, f"its library does not load: {error}", AGAIN)
    version = str(apsw.sqlitelibversion())
    if tuple(map(int, version.split("."))) < SQLITE_MIN:
        return Told("SQLite", Level.BAD, f"{version} has known holes", AGAIN)
    support = importlib.import_module("rootcellar.confine._landlock").support()
    fence = "its workers reach one folder each" if support.abi else f"its workers are not fenced in: {support.why_not}"
    return Told("SQLite", Level.GOOD, f"{version}; {fence}")


def worker() -> Told:
    """Whether the process that runs SQL starts, and whether the second wall stands round it."""
    about, started = "database worker", time.monotonic()
    try:
        fence = _fence()
    except (Refusal, OSError) as error:
        return Told(about, Level.BAD, f"it does not start: {error}", "run `rootcellar serve` in a terminal")
    took = f"answers in {(time.monotonic() - started) * 1000:.0f} ms"
    if not fence:
        return Told(about, Level.GOOD, f"{took}; Landlock holds it to the database's folder")
    if sys.platform != "linux":
        return Told(about, Level.NOTE, f"{took}; there is no second wall on this system", "the first wall stands alone")
    return Told(about, Level.LOOK, f"{took}; no second wall: {fence}", "a newer kernel, or one with Landlock, adds it")


def _fence() -> str:
    """Have a real worker stand at an empty database; why it is not fenced in, empty if it is."""
    process: Any = importlib.import_module("rootcellar.sqlite.process")
    profile: Any = importlib.import_module("rootcellar.sqlite.statement").Profile
    with tempfile.TemporaryDirectory() as folder:
        database = Path(os.path.realpath(folder), "empty.db")
        database.touch()
        status = database.stat()
        child = process.start()
        try:
            said = child.ask({
                "verb": "stand", "directory": str(database.parent), "name": database.name, "device": status.st_dev,
                "inode": status.st_ino, "profile": profile.READ.value, "writable": "read", "key": "",
            })  # fmt: skip
        finally:
            child.process.kill()
            child.bury(time.monotonic() + 1.0)
            child.process.stdin.close()
        return str(said["fence"])


def keychain() -> Told:
    """Whether the keychain that holds the keys of encrypted databases keeps what it is given; nobody is asked."""
    backends: Any = importlib.import_module("rootcellar.backends")
    keys: Any = importlib.import_module("rootcellar.keychain")
    title = backends.title(sys.platform)
    try:
        took = keys.Keychain().proven(backends.Ask.NOBODY)
    except NoKeychain as refusal:
        return Told("keychain", Level.NOTE, f"{refusal.message}: encrypted databases cannot be opened", refusal.hint)
    except Refusal as refusal:
        return Told("keychain", Level.LOOK, f"{title}: {refusal.message}", refusal.hint)
    return Told("keychain", Level.GOOD, f"{title} keeps, gives back and forgets, in {took * 1000:.0f} ms")

"""A directory, or the file, exchanged for a link outside while it is opened: never an escape."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import threading
import time
from contextlib import closing, suppress

import pytest

from rootcellar import errors
from sqlite.dbyard import Yard

TABLE = "CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('inside');"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="exchanges two names in one step with renameat2")


def exchange(first: str, second: str) -> None:
    """Swap two names in one step (renameat2, RENAME_EXCHANGE)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.renameat2(-100, first.encode(), -100, second.encode(), 2)


def swap_attack(yard: Yard, seconds: float, what: str) -> tuple[int, int, int]:
    """Query while a directory, or the file, is exchanged for a link outside; (escapes, tries, answers)."""
    yard.make("sub/a.db", TABLE)
    outside = yard.outside / "a.db"
    with closing(sqlite3.connect(outside)) as made:
        made.executescript("CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('SECRET');")
    secret = outside.read_bytes()
    link = yard.root / "link"
    target = yard.root / "sub" if what == "directory" else yard.root / "sub" / "a.db"
    os.symlink(yard.outside if what == "directory" else outside, link)
    over = threading.Event()

    def attack() -> None:
        while not over.is_set():
            exchange(str(link), str(target))

    attacker = threading.Thread(target=attack)
    attacker.start()
    escapes = tries = answers = 0
    until = time.monotonic() + seconds
    roots = yard.roots()
    try:
        while time.monotonic() < until:
            tries += 1
            try:
                database = yard.databases.open(roots.entry("sub/a.db"))
                if tries % 5:
                    seen = yard.one(database, "SELECT v FROM t LIMIT 1")
                else:
                    seen = "inside"
                    database.change("INSERT INTO t VALUES ('written')")
            except errors.Refusal:
                continue
            answers += 1
            escapes += seen == "SECRET"
    finally:
        over.set()
        attacker.join()
    escapes += outside.read_bytes() != secret
    return escapes, tries, answers


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_swap_attack_never_reaches_outside(yard: Yard, what: str) -> None:
    escapes, tries, answers = swap_attack(yard, 3, what)
    print(f"swap attack on the {what}: {escapes} escapes, {tries} tries, {answers} answers")
    assert not escapes
    assert tries > 20


@pytest.mark.full
@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_long_swap_attack_never_reaches_outside(yard: Yard, what: str) -> None:
    escapes, tries, answers = swap_attack(yard, 45, what)
    print(f"long swap attack on the {what}: {escapes} escapes, {tries} tries, {answers} answers")
    assert not escapes
    assert answers


def test_the_swap_attack_bites_a_naive_opening(yard: Yard) -> None:
    yard.make("sub/a.db", TABLE)
    with closing(sqlite3.connect(yard.outside / "a.db")) as made:
        made.executescript("CREATE TABLE t (v TEXT); INSERT INTO t VALUES ('SECRET');")
    os.symlink(yard.outside, yard.root / "link")
    over = threading.Event()

    def attack() -> None:
        while not over.is_set():
            exchange(str(yard.root / "link"), str(yard.root / "sub"))

    attacker = threading.Thread(target=attack)
    attacker.start()
    seen: set[str] = set()
    until = time.monotonic() + 20
    try:
        while "SECRET" not in seen and time.monotonic() < until:
            real = ""
            with suppress(OSError):  # it looked while the names changed places
                real = os.path.realpath(yard.root / "sub" / "a.db")
            if real.startswith(str(yard.root)):
                with closing(sqlite3.connect(f"file:{yard.root}/sub/a.db?mode=ro", uri=True)) as naive:
                    seen |= {row[0] for row in naive.execute("SELECT v FROM t")}
    finally:
        over.set()
        attacker.join()
    assert "SECRET" in seen

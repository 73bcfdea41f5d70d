"""Encrypted databases: other programs' files open here and ours there; the key shows nowhere."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlcipher3  # type: ignore[import-untyped]

from journal.dbkept import Kept
from rootcellar import errors
from rootcellar.sqlite import Databases, Key, Query
from rootcellar.sqlite.cipher import looks_encrypted
from sqlite.dbyard import Yard

RAW = bytes(range(32))
PHRASE = 'correct "horse" battery'


class Keys:
    """A provider as the keychain is one."""

    def __init__(self) -> None:
        self.known: dict[str, Key] = {}

    def key_for(self, database: str, salt: bytes) -> Key | None:
        return self.known.get(Path(database).name)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def locked(tmp_path: Path, keys: Keys) -> Iterator[Yard]:
    databases = Databases(keys)
    made = Yard(Path(os.path.realpath(tmp_path)), databases)
    made.root.mkdir()
    made.outside.mkdir()
    yield made
    databases.close()


def sqlcipher(path: Path, key: str) -> sqlcipher3.Connection:
    connection = sqlcipher3.connect(str(path), isolation_level=None)
    connection.execute(f'PRAGMA key = "{key}"')
    return connection


KEYS = [(Key.raw(RAW), f"x'{RAW.hex()}'"), (Key.passphrase(PHRASE), PHRASE.replace('"', '""'))]


@pytest.mark.parametrize(("key", "spelled"), KEYS, ids=["raw", "passphrase"])
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_another_programs_file_opens_here_and_stays_its(
    locked: Yard, keys: Keys, key: Key, spelled: str, journal: str
) -> None:
    with closing(sqlcipher(locked.root / "a.db", spelled)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
        other.execute("CREATE TABLE t (v TEXT)")
        other.execute("INSERT INTO t VALUES ('theirs')")
    keys.known["a.db"] = key
    database = locked.open("a.db")
    assert database.query(Query("SELECT v FROM t")).lines == ("theirs",)
    assert "t (1 row)" in database.describe()
    database.change("INSERT INTO t VALUES ('ours')")
    for side in locked.root.iterdir():
        assert b"ours" not in side.read_bytes(), f"{side.name} holds plain text"
    with closing(sqlcipher(locked.root / "a.db", spelled)) as other:  # while our own log may still be there
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)
    assert database.check().encrypted
    database.backup(locked.entry("copy.db"))
    for name in ("a.db", "copy.db"):
        with closing(sqlcipher(locked.root / name, spelled)) as other:
            assert other.execute("SELECT v FROM t").fetchall() == [("theirs",), ("ours",)]
        assert b"theirs" not in (locked.root / name).read_bytes()


def test_a_new_encrypted_file_opens_in_another_program(locked: Yard, keys: Keys) -> None:
    keys.known["new.db"] = Key.raw(RAW)
    locked.databases.create(locked.entry("new.db")).change("CREATE TABLE t (v); INSERT INTO t VALUES ('ours')")
    with closing(sqlcipher(locked.root / "new.db", f"x'{RAW.hex()}'")) as other:
        assert other.execute("SELECT v FROM t").fetchall() == [("ours",)]
    assert locked.one(locked.open("new.db"), "SELECT v FROM t") == "ours"


def test_an_unfinished_change_of_an_encrypted_file_lies_nowhere_in_plain(locked: Yard, keys: Keys) -> None:
    keys.known["a.db"] = Key.raw(RAW)
    database = locked.databases.create(locked.entry("a.db"))
    database.change("CREATE TABLE t (v)")
    database.change(
        ";".join(
            ["INSERT INTO t SELECT 'PLAINTEXT' || hex(randomblob(500)) FROM json_each('[1,2,3,4,5,6,7,8,9]')"] * 300
        )
    )
    seen: list[str] = []

    def look() -> None:
        for side in locked.root.iterdir():
            assert b"PLAINTEXT" not in side.read_bytes(), f"{side.name} holds plain text"
            seen.append(side.name)

    whole, rows = Kept(database.entry, look), Kept(database.entry, look)
    database.change("UPDATE t SET v = v || 'x'", record=whole)
    again = locked.databases.open(locked.entry("a.db"))  # what a call has made itself it keeps whole
    again.change("UPDATE t SET v = v || 'x' WHERE rowid <= 20", record=rows)
    assert whole.changed
    assert rows.changed
    assert (whole.changed.is_whole, rows.changed.is_whole) == (True, False)
    assert len(b"".join(whole.files)) > 1_000_000
    assert len(rows.changed.images) > 20_000
    assert b"PLAINTEXT" not in b"".join([*whole.files, rows.changed.images])
    assert "a.db-journal" in seen


def test_without_its_key_or_with_a_wrong_one_it_says_what_to_run(locked: Yard, keys: Keys) -> None:
    with closing(sqlcipher(locked.root / "a.db", f"x'{RAW.hex()}'")) as other:
        other.execute("CREATE TABLE t (v)")
    with pytest.raises(errors.NeedsKey, match="is encrypted") as refused:
        locked.open("a.db").query(Query("SELECT 1"))
    assert "rootcellar secret set --database PATH" in refused.value.hint
    keys.known["a.db"] = Key.raw(bytes(32))
    with pytest.raises(errors.NeedsKey, match="does not open"):
        locked.open("a.db").query(Query("SELECT * FROM t"))


def test_a_key_shows_nowhere(locked: Yard, keys: Keys, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(sqlcipher(locked.root / "a.db", f"x'{RAW.hex()}'")) as other:
        other.execute("CREATE TABLE t (v)")
    key = keys.known["a.db"] = Key.raw(RAW)
    locked.open("a.db").query(Query("SELECT * FROM t"))
    assert RAW.hex() not in repr(key) + str(key) + repr(locked.databases)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    mine = [
        (Path(f"/proc/{pid}/cmdline").read_bytes(), Path(f"/proc/{pid}/environ").read_bytes())
        for pid in os.listdir("/proc")
        if pid.isdigit() and os.path.exists(f"/proc/{pid}/cwd") and os.readlink(f"/proc/{pid}/cwd") == str(locked.root)
    ]
    assert mine
    assert all(RAW.hex().encode() not in part for parts in mine for part in parts)
    for sql in ("PRAGMA key", "SELECT sqlite3mc_codec_data('raw_key')", "SELECT nosuch"):
        with pytest.raises(errors.Refusal) as refused:
            locked.open("a.db").query(Query(sql))
        assert RAW.hex() not in str(refused.value)
    assert RAW.hex() not in "".join(capfd.readouterr())


LOOKS = [
    (os.urandom(4096), 8192, True),
    (os.urandom(4096), 8191, False),
    (b"PK\x03\x04" + os.urandom(4092), 8192, False),
    (b"text " * 900, 4500, False),
    (b"\0" * 4096, 4096, False),
    (bytes(range(256)) * 16, 4096, True),
    (b"", 0, False),
]


@pytest.mark.parametrize(("start", "size", "encrypted"), LOOKS)
def test_only_whole_pages_of_noise_look_encrypted(start: bytes, size: int, encrypted: bool) -> None:  # noqa: FBT001
    assert looks_encrypted(start, size) is encrypted


@pytest.mark.parametrize("size", [31, 33, 0])
def test_a_raw_key_has_its_size(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Key.raw(bytes(size))

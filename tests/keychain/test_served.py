"""The server uses secrets by name: encrypted databases open behind the wall, changes leave a chained trail."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlcipher3  # type: ignore[import-untyped]

from driver import ERAS, Host
from keychain import ring as rings
from keychain.ring import Ring
from rootcellar import audit
from rootcellar.request_state import KeptCodec

KEY = "CANARY-4711 key"


def hosted(ring: Ring, root: Path, era: str = "modern", *serve: str, config: str = "") -> Host:
    settings = ring.home / "served.toml"
    settings.write_text(config)
    hidden = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY")
    env = {**ring.env, "ROOTCELLAR_CONFIG": str(settings), **{name: "" for name in hidden if name in os.environ}}
    return Host(str(root), *serve, era=era, env=env)


def encrypted(path: Path, key: str = KEY) -> Path:
    with closing(sqlcipher3.connect(str(path), isolation_level=None)) as db:
        db.execute(f"PRAGMA key = '{key}'")
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES ('inside')")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


@pytest.mark.parametrize("era", ERAS)
def test_an_encrypted_database_opens_by_its_identity_from_behind_the_wall(keyring: Ring, root: Path, era: str) -> None:
    path = encrypted(root / "a.db")
    assert keyring.run("secret", "set", "--database", str(path), said=KEY).returncode == 0
    with hosted(keyring, root, era) as host:
        assert "inside" in host.text("query_database", database="a.db", sql="SELECT v FROM t")
        moved = root / "deep"
        moved.mkdir()
        path.rename(moved / "b.db")
        encrypted(root / "a.db", "another key")
        assert "inside" in host.text("query_database", database="deep/b.db", sql="SELECT v FROM t")
        reason, told = host.refusal("query_database", database="a.db", sql="SELECT v FROM t")
        assert reason == "needs_key"
        assert "rootcellar secret set --database PATH" in told
        assert "in a terminal" in told
        host.text("backup_database", database="deep/b.db", path="backup.db")
        assert "inside" in host.text("query_database", database="backup.db", sql="SELECT v FROM t")
        host.text("change_database", database="deep/b.db", sql="INSERT INTO t VALUES ('more')")
        listed = host.text("list_secrets")
        assert KEY not in listed
        assert str(keyring.home) not in listed
    with closing(sqlcipher3.connect(str(moved / "b.db"))) as db:
        db.execute(f"PRAGMA key = '{KEY}'")
        assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_the_users_settings_name_a_key_for_a_database_that_is_yet_to_be_made(keyring: Ring, root: Path) -> None:
    assert keyring.run("secret", "set", "books", said=KEY).returncode == 0
    config = f'[databases]\n"{root}/new.db" = "keychain:books"\n'
    with hosted(keyring, root, "modern", config=config) as host:
        host.text("change_database", database="new.db", sql="CREATE TABLE t (v)", create=True)
        assert "new.db" in host.text("list_databases")
    assert not (root / "new.db").read_bytes().startswith(b"SQLite")
    with closing(sqlcipher3.connect(str(root / "new.db"))) as db:
        db.execute(f"PRAGMA key = '{KEY}'")
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
    missing = f'[databases]\n"{root}/none.db" = "keychain:no-such"\n'
    with hosted(keyring, root, "modern", config=missing) as host:
        assert (
            host.refusal("change_database", database="none.db", sql="CREATE TABLE t (v)", create=True)[0] == "no_secret"
        )


def test_a_value_in_the_settings_is_refused_and_not_repeated(keyring: Ring, root: Path) -> None:
    settings = keyring.home / "bad.toml"
    settings.write_text(f'[databases]\n"x.db" = "{KEY}"\n')
    done = keyring.run("serve", str(root), env={"ROOTCELLAR_CONFIG": str(settings)})
    assert done.returncode == 1
    assert "keychain:NAME" in done.stderr
    assert KEY not in done.stdout + done.stderr


def test_a_keychain_that_does_not_answer_costs_that_call_and_nothing_else(root: Path) -> None:
    encrypted(root / "a.db")
    (root / "a.txt").write_text("hello")
    with rings.odd("deaf") as ring, hosted(ring, root) as host:
        assert "hello" in host.text("read_file", path="a.txt")
        began = time.monotonic()
        arguments = {"database": "a.db", "sql": "SELECT 1"}
        waiting = host.start("tools/call", {"name": "query_database", "arguments": arguments})[1]
        assert "hello" in host.text("read_file", path="a.txt")
        assert waiting.empty(), "the read had to wait for the keychain"
        answer = waiting.get(timeout=40)["result"]
        assert answer["isError"], "a file that the index does not know is asked about quietly"
        assert time.monotonic() - began < 20
        assert host.close() == 0


def lines(ring: Ring) -> list[dict[str, Any]]:
    path = ring.data / audit.FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def waited_for(ring: Ring, count: int) -> None:
    """A server that is ended at once writes its last lines without waiting for the key."""
    until = time.monotonic() + 20
    while len(lines(ring)) < count and time.monotonic() < until:
        time.sleep(0.02)


def audited(ring: Ring) -> dict[str, Any]:
    done = ring.run("secret", "test", "--json")
    return next(check for check in json.loads(done.stdout)["checks"] if check["about"] == "audit trail")


@pytest.fixture
def fresh() -> Iterator[Ring]:
    with rings.keyring() as ring:
        yield ring


def test_changes_leave_a_keyed_chain_that_shows_every_alteration(fresh: Ring, root: Path) -> None:
    with hosted(fresh, root) as host:
        for n in range(5):
            host.text("write_file", path=f"{n}.txt", content=f"{KEY} {n}", mode="create")
        host.refusal("write_file", path="0.txt", content="again", mode="create")
        host.text("read_file", path="0.txt")
        waited_for(fresh, 6)
    with hosted(fresh, root, "legacy") as host:
        host.text("delete_file", path="4.txt")
        waited_for(fresh, 7)
    found = lines(fresh)
    assert [(line["tool"], line["about"]["path"]) for line in found] == [
        *(("write_file", f"{n}.txt") for n in range(5)), ("write_file", "0.txt"), ("delete_file", "4.txt"),
    ]  # fmt: skip
    assert all(line["keyed"] for line in found)
    assert found[5]["outcome"] == "refused: exists"
    assert KEY not in (fresh.data / audit.FILE).read_text()
    assert "7 lines, whole" in audited(fresh)["what"]
    path = fresh.data / audit.FILE
    whole = path.read_text().splitlines(keepends=True)
    changed = json.loads(whole[2])
    changed["about"]["path"] = "other.txt"
    forged = dict(changed, code=audit._code(changed, b""))
    for attack in (
        [*whole[:2], json.dumps(changed) + "\n", *whole[3:]],
        [*whole[:2], json.dumps(forged) + "\n", *whole[3:]],
        [*whole[:2], *whole[3:]],
        [*whole[:2], whole[3], whole[2], *whole[4:]],
        [*whole[:3], "torn", *whole[3:]],
    ):
        path.write_text("".join(attack))
        assert not audited(fresh)["ok"]
    path.write_text("".join(whole))
    assert audited(fresh)["ok"]


def test_several_servers_share_one_chain(fresh: Ring, root: Path) -> None:
    def work(number: int) -> None:
        with hosted(fresh, root) as host:
            for n in range(10):
                host.text("write_file", path=f"{number}-{n}.txt", content="x", mode="create")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line["n"] for line in lines(fresh)] == list(range(1, 31))
    assert "30 lines, whole" in audited(fresh)["what"]


def test_without_a_keychain_the_trail_says_that_it_has_no_key(root: Path) -> None:
    with rings.home() as ring:
        with hosted(ring, root) as host:
            host.text("write_file", path="a.txt", content="x", mode="create")
        assert [line["keyed"] for line in lines(ring)] == [False]
        assert "without a key" in audited(ring)["what"]


def test_a_trail_that_is_full_goes_on_in_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootcellar.limits.AUDIT_BYTES_MAX", 2_000)
    for n in range(60):
        audit.append(str(tmp_path), {"tool": f"t{n}"}, b"key")
    assert (tmp_path / audit.FILE).stat().st_size < 3_000
    verified = audit.verify(str(tmp_path), b"key")
    assert verified.broken_at == 0
    assert 8 < verified.lines < 60
    assert audit.verify(str(tmp_path), b"other").broken_at == 1
    assert verified.keyed == verified.lines


def test_what_one_process_sealed_another_opens_with_the_kept_key_and_not_without(here: Ring) -> None:
    from mcp.server.request_state import InvalidRequestState

    from rootcellar.keys import Keys

    def codec() -> KeptCodec:
        return KeptCodec.of(Keys(lambda: str(here.data)))

    first = codec()
    own = first.seal(b"before the key came")
    assert first.unseal(own) == b"before the key came"
    first._found.wait(5)
    kept = first.seal(b"kept")
    assert first.unseal(own) == b"before the key came"
    assert codec().unseal(kept) == b"kept"
    alone = KeptCodec(lambda: None, lambda act: act())
    assert alone.unseal(alone.seal(b"x")) == b"x"
    for token in (kept, own, "v1.x", "", base64.urlsafe_b64encode(b"x" * 60).decode()):
        with pytest.raises(InvalidRequestState):
            alone.unseal(token)

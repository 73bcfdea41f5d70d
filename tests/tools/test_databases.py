"""The database tools over a real process."""

from __future__ import annotations

import base64
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from driver import ERAS, Host
from rootcellar.tools.databases import DATABASES


@pytest.fixture(scope="module", params=ERAS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Path]]:
    root = tmp_path_factory.mktemp("shop") / "root"
    root.mkdir()
    with closing(sqlite3.connect(root / "shop.db")) as made:
        made.execute("CREATE TABLE album (id INTEGER PRIMARY KEY, title TEXT NOT NULL, price REAL)")
        made.executemany("INSERT INTO album VALUES (?, ?, ?)", [(n, f"Album {n}", n / 100) for n in range(1, 5001)])
        made.commit()
    with Host(str(root), era=request.param) as host:
        yield host, root


@pytest.fixture
def host(served: tuple[Host, Path]) -> Host:
    return served[0]


@pytest.fixture
def root(served: tuple[Host, Path]) -> Path:
    return served[1]


def test_databases_are_found_and_described(host: Host) -> None:
    assert "shop.db" in host.text("list_databases")
    told = host.text("describe_database", database="shop.db")
    assert "album" in told
    assert "5,000" in told or "5000" in told
    assert "Album 1" in host.text("describe_database", database="shop.db", table="album", samples=2)
    assert "ok" in host.text("describe_database", database="shop.db", check=True).lower()


def test_rows_come_in_pages(host: Host) -> None:
    first = host.text("query_database", database="shop.db", sql="SELECT id FROM album ORDER BY id", limit=3000)
    cursor = first.rpartition("cursor ")[2].split(")")[0]
    second = host.text("query_database", database="shop.db", cursor=cursor, limit=3000)
    assert "5000" in second.split()
    assert "1" not in second.split()[:3]
    assert "Album 7" in host.text(
        "query_database", database="shop.db", sql="SELECT * FROM album WHERE id = ?", params=[7]
    )
    assert "SCAN" in host.text(
        "query_database", database="shop.db", sql="SELECT * FROM album WHERE title = 'x'", explain=True
    )


@pytest.mark.parametrize(
    "sql", ["DELETE FROM album", "PRAGMA journal_mode=WAL", "ATTACH '/etc/x' AS y", "SELECT 1; DROP TABLE album"]
)
def test_a_query_changes_nothing(host: Host, root: Path, sql: str) -> None:
    before = (root / "shop.db").read_bytes()
    host.refusal("query_database", database="shop.db", sql=sql)
    assert (root / "shop.db").read_bytes() == before


def test_a_change_can_be_tried_first(host: Host, root: Path) -> None:
    sql = "UPDATE album SET price = 0 WHERE id <= 10"
    assert "10" in host.text("change_database", database="shop.db", sql=sql, dry_run=True)
    with closing(sqlite3.connect(root / "shop.db")) as seen:
        assert seen.execute("SELECT count(*) FROM album WHERE price = 0").fetchone() == (0,)
    host.text("change_database", database="shop.db", sql=sql)
    with closing(sqlite3.connect(root / "shop.db")) as seen:
        assert seen.execute("SELECT count(*) FROM album WHERE price = 0").fetchone() == (10,)


def test_rows_are_imported_exported_and_backed_up(host: Host, root: Path) -> None:
    name = host.era
    (root / f"{name}.csv").write_text("name,age\nAda,36\nAlan,41\n", "utf-8")
    host.text("change_database", database=f"{name}.db", sql="CREATE TABLE t (x)", create=True)
    host.text("import_table", database=f"{name}.db", path=f"{name}.csv", table="people")
    host.text("export_table", database=f"{name}.db", path=f"{name}-out.jsonl", table="people")
    assert '"Ada"' in (root / f"{name}-out.jsonl").read_text("utf-8")
    host.text("backup_database", database=f"{name}.db", path=f"{name}-copy.db")
    assert "Alan" in host.text("search_database", database=f"{name}-copy.db", word="Alan")


def test_a_database_outside_the_roots_is_not_reached(host: Host, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as made:
        made.execute("CREATE TABLE t (x)")
    assert host.refusal("query_database", database=str(tmp_path / "other.db"), sql="SELECT 1")[0] == "escape"


@pytest.mark.parametrize("value", [[1], {"a": 1}, 10**30, -(2**63) - 1, 2**63], ids=str)
def test_a_value_that_sqlite_cannot_hold_is_refused_and_no_worker_dies_of_it(host: Host, value: object) -> None:
    for params in ([value], {"v": value}):
        sql = "SELECT :v AS v" if isinstance(params, dict) else "SELECT ? AS v"
        for tool, more in (("query_database", {}), ("query_database", {"explain": True}), ("change_database", {})):
            reason, text = host.refusal(tool, database="shop.db", sql=sql, params=params, **more)
            assert (reason, text.startswith("`params` holds ")) == ("argument", True), text
        reason, _ = host.refusal("export_table", database="shop.db", sql=sql, params=params, path="out.csv")
        assert reason == "argument"
    assert not host.errors


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 1.5, "é", None, True], ids=str)
def test_a_value_that_sqlite_can_hold_is_bound(host: Host, value: object) -> None:
    assert "1 row" in host.text("query_database", database="shop.db", sql="SELECT ? AS v", params=[value])


def test_an_image_that_is_the_only_cell_is_shown(host: Host, root: Path) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(sink, "PNG")
    path = root / f"{host.era}-covers.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE album (id INTEGER PRIMARY KEY, cover BLOB)")
        rows = [(1, sink.getvalue()), (2, b"\x89PNG\r\n\x1a\n damaged"), (3, b"no image")]
        made.executemany("INSERT INTO album VALUES (?, ?)", rows)
        made.commit()
    one = "SELECT cover FROM album WHERE id = ?"
    shown = host.call("query_database", database=path.name, sql=one, params=[1])["content"]
    assert (shown[0]["type"], shown[0]["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(shown[0]["data"]) == sink.getvalue()
    assert "cover" in shown[1]["text"]
    assert "8 x 6 pixels" in shown[1]["text"]
    told = host.text("query_database", database=path.name, sql="SELECT id, cover FROM album")
    assert "image/png 89504e47" in told
    damaged = host.text("query_database", database=path.name, sql=one, params=[2])
    assert "<blob 16 bytes image/png" in damaged
    assert "not shown" in damaged
    assert "<blob 8 bytes 6e6f" in host.text("query_database", database=path.name, sql=one, params=[3])


def test_the_tools_of_databases_are_few_and_small() -> None:
    sizes = [len(json.dumps(tool.spec(), separators=(",", ":"))) + 1 for tool in DATABASES.tools]
    assert len(sizes) <= 8
    assert sum(sizes) <= 4_500


def test_a_new_database_that_came_to_nothing_leaves_no_file(host: Host, root: Path) -> None:
    name = f"{host.era}-fresh.db"
    host.refusal("change_database", database=name, sql="CREATE TABLE t (", create=True)
    assert not (root / name).exists()
    host.text("change_database", database=name, sql="CREATE TABLE t (x)", create=True, dry_run=True)
    assert not (root / name).exists()
    (root / name).touch()
    host.refusal("change_database", database=name, sql="CREATE TABLE t (", create=True)
    assert (root / name).read_bytes() == b""
    host.text("change_database", database=name, sql="CREATE TABLE t (x)", create=True)
    assert host.refusal("import_table", database=name, path="x.csv", table="")[0] == "argument"

"""Play a session: `python3 scripts/demo.py [DIR]`. Sets everything up, then a real client works in a real folder.

The client is the official SDK's, over stdio, as a host would do it; the server gets its one root from it. Without DIR
a sample folder is made and removed again. With DIR that folder is only read.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and "--inside" not in sys.argv:
    import start

    if "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__)
        sys.exit(0)
    sys.exit(start.run([str(start.environment()), __file__, "--inside", *sys.argv[1:]]))

import asyncio
import contextlib
import os
import random
import sqlite3
import tempfile
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

SHOWN_LINES, SHOWN_COLUMNS, GIVEN_COLUMNS = 14, 116, 200


@contextlib.contextmanager
def sample() -> Iterator[Path]:
    """A folder like a person's: notes, a project with ignored parts, odd names, a secret, a link that leads out."""
    with tempfile.TemporaryDirectory(prefix="rootcellar-demo-") as base:
        root = Path(base) / "home"
        for name, text in {
            "notes/2026-11-garden.md": "# Garden\n\n- plant garlic\n- mulch the beds\n- order seeds: leek, kale\n",
            "notes/reading.md": "# Reading\n\n- The Left Hand of Darkness\n- seeds of change (chapter 3)\n",
            "notes/crlf.txt": "kept\r\nas it is\r\nfrom another system\r\n",
            "project/app.py": "def greet(name):\n\treturn 'Hello ' + name\n\n\nprint(greet('cellar'))\n",
            "project/.gitignore": "node_modules/\n*.log\n",
            "project/.env": "TOKEN=not-for-a-model\n",
            "letters/café — draft.txt": "Dear all,\n",
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        for number in range(400):
            package = root / f"project/node_modules/package{number % 40}/file{number}.js"
            package.parent.mkdir(parents=True, exist_ok=True)
            package.write_text(f"module.exports = {number}\n", "utf-8")
        with (root / "project/server.log").open("w", encoding="utf-8") as log:
            log.writelines(f"{number:08d} GET /item/{number % 97} 200\n" for number in range(400_000))
        if os.name == "posix":
            (root / "notes/way-out").symlink_to("/etc")
        music_shop(root / "shop/music.db")
        yield root


def music_shop(path: Path) -> None:
    """A shop's database: artists, albums, tracks, customers and 60,000 sales."""
    path.parent.mkdir()
    chance = random.Random(7)  # noqa: S311 - a sample, the same every time
    words = ["River", "Stone", "Winter", "Copper", "Night", "Garden", "Paper", "Signal", "Harbour", "Ember", "Orchard"]
    with contextlib.closing(sqlite3.connect(path)) as shop:
        shop.executescript(
            "CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT NOT NULL);"
            "CREATE TABLE album (id INTEGER PRIMARY KEY, artist_id INTEGER NOT NULL REFERENCES artist, title TEXT);"
            "CREATE TABLE track (id INTEGER PRIMARY KEY, album_id INTEGER NOT NULL REFERENCES album, title TEXT,"
            " seconds INTEGER, price REAL);"
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, town TEXT);"
            "CREATE TABLE sale (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer,"
            " track_id INTEGER REFERENCES track, day TEXT);"
        )
        name = lambda: f"{chance.choice(words)} {chance.choice(words)}"  # noqa: E731 - one short use
        shop.executemany("INSERT INTO artist VALUES (?, ?)", [(n, name()) for n in range(1, 201)])
        shop.executemany("INSERT INTO album VALUES (?, ?, ?)", [(n, n % 200 + 1, name()) for n in range(1, 601)])
        tracks = [(n, n % 600 + 1, name(), chance.randint(90, 600), 0.99) for n in range(1, 7_001)]
        shop.executemany("INSERT INTO track VALUES (?, ?, ?, ?, ?)", tracks)
        people = [(n, f"Customer {n}", chance.choice(words)) for n in range(1, 501)]
        shop.executemany("INSERT INTO customer VALUES (?, ?, ?)", people)
        sales = [
            (n, chance.randint(1, 500), chance.randint(1, 7_000), f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}")
            for n in range(1, 60_001)
        ]
        shop.executemany("INSERT INTO sale VALUES (?, ?, ?, ?)", sales)
        shop.commit()


def show(answer: types.CallToolResult) -> None:
    """An answer as the assistant gets it, shortened for the eye."""
    for block in answer.content:
        lines = block.text.splitlines() if isinstance(block, types.TextContent) else [f"<{block.type}>"]
        for line in lines[:SHOWN_LINES]:
            print("    " + textwrap.shorten(line, SHOWN_COLUMNS) if len(line) > SHOWN_COLUMNS else "    " + line)
        if len(lines) > SHOWN_LINES:
            print(f"    … {len(lines) - SHOWN_LINES} more lines")


class Session:
    """One connection that prints what it does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.calls = 0
        self.says_yes = True  # what the user answers when asked

    async def call(self, why: str, tool: str, **arguments: Any) -> types.CallToolResult:
        """Call a tool, print the call, its answer and its time."""
        self.calls += 1
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        print(f"\n▸ {why}\n  {tool}({textwrap.shorten(given, GIVEN_COLUMNS)})")
        begun = time.perf_counter()
        answer = await self.client.call_tool(tool, arguments)
        took = (time.perf_counter() - begun) * 1000
        size = sum(len(block.text) for block in answer.content if isinstance(block, types.TextContent))
        print(f"  {'refused' if answer.is_error else 'answered'} in {took:.1f} ms, {size:,} characters")
        show(answer)
        return answer


async def read_only(session: Session) -> None:
    """The part that changes nothing; it suits any folder."""
    await session.call("Which folders may I see?", "list_roots")
    await session.call("What is in here?", "directory_tree", path=".", depth=3)
    await session.call("What lies at the top?", "list_directory", path=".")
    await session.call("Where are texts?", "search_files", path=".", pattern="*.{md,txt}")


async def sample_session(session: Session) -> None:
    """Search, read, edit and move in the sample folder, and try what must not work."""
    await session.call("Where did I write about seeds?", "search_text", path=".", pattern="seeds", context=1)
    await session.call("Read that note", "read_file", path="notes/2026-11-garden.md")
    log = "project/server.log"
    await session.call("The end of a 12 MB log, without reading it whole", "read_file", path=log, tail=3)
    edits = [{"old_text": "order seeds: leek, kale", "new_text": "order seeds: leek, kale, chard"}]
    await session.call("Try an edit first", "edit_file", path="notes/2026-11-garden.md", edits=edits, dry_run=True)
    await session.call("Make it", "edit_file", path="notes/2026-11-garden.md", edits=edits)
    edits = [{"old_text": "as it is", "new_text": "exactly as it is"}]
    why = "Edit a file with Windows line endings: they stay"
    await session.call(why, "edit_file", path="notes/crlf.txt", edits=edits)
    edits = [{"old_text": "return 'Hi ' + name", "new_text": "return f'Hi {name}'"}]
    why = "An edit that does not fit says where it nearly does"
    await session.call(why, "edit_file", path="project/app.py", edits=edits)
    await session.call("A new folder", "create_directory", path="archive/2026")
    letter = "letters/café — draft.txt"
    await session.call("Move a letter", "move_file", source=letter, destination="archive/2026/café.txt")
    await session.call("Write a new note", "write_file", path="notes/today.md", content="# Today\n\n- nothing lost\n")
    await session.call("Writing it again does not overwrite", "write_file", path="notes/today.md", content="oops")
    await session.call("A secret stays sealed", "read_file", path="project/.env")
    if os.name == "posix":
        await session.call("A link that leads out leads nowhere", "read_file", path="notes/way-out/passwd")
    await session.call("Neither does a path", "read_file", path="../../../etc/passwd")
    await session.call("And how is it now?", "directory_tree", path=".", depth=2)


async def database_session(session: Session) -> None:
    """Find, explore, ask and change a database."""
    shop = "shop/music.db"
    await session.call("Which databases are there?", "list_databases")
    await session.call("What is in the shop?", "describe_database", database=shop)
    best = (
        "SELECT artist.name, count(*) AS sold FROM sale JOIN track ON track.id = sale.track_id"
        " JOIN album ON album.id = track.album_id JOIN artist ON artist.id = album.artist_id"
        " WHERE sale.day BETWEEN :from AND :to GROUP BY artist.id ORDER BY sold DESC"
    )
    params = {"from": "2026-06-01", "to": "2026-08-31"}
    await session.call("Who sold best in summer?", "query_database", database=shop, sql=best, params=params, limit=5)
    sql = "SELECT * FROM sale WHERE customer_id = 7"
    await session.call("Is that query quick?", "query_database", database=shop, sql=sql, explain=True)
    await session.call("All 60,000 sales, a page at a time", "query_database", database=shop, sql="SELECT * FROM sale")
    await session.call("A query cannot change anything", "query_database", database=shop, sql="DELETE FROM sale")
    cut = "UPDATE track SET price = 0.79 WHERE seconds < 120"
    await session.call("Try a price cut", "change_database", database=shop, sql=cut, dry_run=True)
    await session.call("Make it", "change_database", database=shop, sql=cut)
    await session.call("Where does a word stand?", "search_database", database=shop, word="Ember", limit=3)
    report = "shop/summer.csv"
    await session.call("A report as a file", "export_table", database=shop, sql=best, params=params, path=report)
    await session.call("Read it", "read_file", path=report, head=3)


async def journal_session(session: Session) -> None:
    """Be asked before something is destroyed; list, show and take back what was changed."""
    drop = {"database": "shop/music.db", "sql": "DROP TABLE sale"}
    session.says_yes = False
    await session.call("Drop a table: the user is asked, and says no", "change_database", **drop)
    session.says_yes = True
    await session.call("Asked again, the user says yes", "change_database", **drop)
    await session.call("Delete a folder with all it holds", "delete_file", path="notes")
    changes = await session.call("What was changed so far?", "list_changes")
    ids = {line.split()[3]: line.split()[0] for line in text_of(changes).splitlines() if line.startswith("c")}
    await session.call("What did that edit do?", "show_change", change_id=ids["edit_file"])
    await session.call("What would an undo do?", "undo_change", change_id=ids["delete_file"], dry_run=True)
    await session.call("The folder comes back", "undo_change", change_id=ids["delete_file"])
    once = {"path": "notes/today.md", "content": "- once\n", "mode": "append", "request_key": "demo-1"}
    await session.call("A change with a key of the caller's", "write_file", **once)
    await session.call("Sent again, it is not made twice", "write_file", **once)
    await session.call("And everything of this session, back to how it began", "undo_change", since="1h")
    why = "The best of summer are there again"
    sql = "SELECT count(*) AS sales, (SELECT count(*) FROM track WHERE price = 0.79) AS cheap FROM sale"
    await session.call(why, "query_database", database="shop/music.db", sql=sql)
    await session.call("So are the folders", "directory_tree", path=".", depth=2)


def text_of(answer: types.CallToolResult) -> str:
    """All the text of an answer."""
    return "\n".join(block.text for block in answer.content if isinstance(block, types.TextContent))


async def play(root: Path, chapters: list[Callable[[Session], Awaitable[None]]]) -> int:
    """Connect in the newest protocol, with `root` as the client's only root, and play the chapters."""

    async def roots(_context: object) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=root.as_uri(), name=root.name)])  # type: ignore[arg-type]

    # A journal of its own: what is played here is no part of the user's.
    with tempfile.TemporaryDirectory(prefix="rootcellar-demo-journal-") as data:
        return await _play(roots, {**os.environ, "ROOTCELLAR_DATA": data}, chapters)


async def _play(
    roots: Callable[[object], Awaitable[types.ListRootsResult]],
    env: dict[str, str],
    chapters: list[Callable[[Session], Awaitable[None]]],
) -> int:
    asked: list[Session] = []

    async def user(_context: object, question: types.ElicitRequestParams) -> types.ElicitResult:
        says_yes = asked[0].says_yes
        print(textwrap.indent(textwrap.shorten(question.message, 400), "  the user is asked: "))
        print(f"  the user says {'yes' if says_yes else 'no'}")
        return types.ElicitResult(action="accept", content={"confirm": says_yes})

    server = StdioServerParameters(command=sys.executable, args=["-m", "rootcellar", "serve"], env=env)
    begun = time.perf_counter()
    connection = Client(stdio_client(server), list_roots_callback=roots, elicitation_callback=user)
    async with connection as client:
        tools = (await client.list_tools()).tools
        took = (time.perf_counter() - begun) * 1000
        print(f"Connected over stdio in {took:.0f} ms, protocol {client.protocol_version}; {len(tools)} tools:")
        print(textwrap.fill(", ".join(tool.name for tool in tools), 100, initial_indent="  ", subsequent_indent="  "))
        session = Session(client)
        asked.append(session)
        for chapter in chapters:
            await chapter(session)
    print(f"\n{session.calls} calls, all answered; the server has ended.")
    return 0


def main(arguments: list[str]) -> int:
    """Play in the folder that was named, or in the sample."""
    named = [argument for argument in arguments if argument != "--inside"]
    if named:
        folder = Path(named[0]).expanduser().resolve()
        if not folder.is_dir():
            print(f"demo: `{named[0]}` is not a folder", file=sys.stderr)
            return 2
        return asyncio.run(play(folder, [read_only]))
    with sample() as root:
        return asyncio.run(play(root, [read_only, sample_session, database_session, journal_session]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One database in a worker: its connection, opened on demand, let go when idle, and the reads and writes done on it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiosqlite
import apsw

from rootcellar import errors, limits
from rootcellar.sqlite import faults, ground
from rootcellar.sqlite.acts import Act
from rootcellar.sqlite.connect import Opening, Way, connect, past_of, tidy, way_now
from rootcellar.sqlite.engine import Budget, Connection, Fetched
from rootcellar.sqlite.statement import Profile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
_INTERRUPT_EVERY_S: Final = 0.01


class Session:
    """The database this worker serves. All SQL goes through aiosqlite; `connection` is what it drives."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.connection: Connection | None = None
        self.way = Way.LOCKED
        self._db: aiosqlite.Connection | None = None
        self._stamp: tuple[int, ...] = ()
        self._stopper: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.opening.place.name

    async def db(self) -> aiosqlite.Connection:
        """The open connection; opened now if it is not."""
        if self._db is None:
            self.way = way_now(self.opening)
            await self._open()
        if self._db is None:  # for the type checker: `_open` sets it or raises
            raise errors.Failed(f"`{self.name}` could not be opened", "try again")
        return self._db

    async def close(self) -> None:
        """Nothing of ours stays open in the user's file, nor beside it."""
        db, self._db, held, self.connection = self._db, None, self.connection, None
        if db is not None:
            if held is not None and self.opening.profile is Profile.CHANGE:
                await db.execute_fetchall(Act.of("checkpoint", _checkpoint))
            await db.close()
            if self.opening.profile is Profile.READ and self.way is Way.LOCKED:
                tidy(self.opening)

    async def read(self, act: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
        """Do reads that may be done twice: what was read as it lies counts only if the file has not changed."""
        db = await self.db()
        if self.way is Way.LOCKED:
            try:
                return await act(db)
            except apsw.ReadOnlyError:  # another program died in a change since we connected: roll it back first
                await self.close()
                return await act(await self.db())
        before = self._stamp
        if ground.stamp(self.name) == before:
            try:
                answer = await act(db)
            except (apsw.Error, errors.Refusal):
                if ground.stamp(self.name) == before:
                    raise
            else:
                if ground.stamp(self.name) == before:
                    return answer
        await self.reopen_locked()
        return await act(await self.db())

    async def reopen_locked(self) -> None:
        """From now on under SQLite's own locks."""
        if self.way is Way.AS_IT_LIES or self._db is None:
            await self.close()
            self.way = Way.LOCKED
            await self._open()

    async def all(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - DB-API
        """Every row of a statement of our own."""
        return await self.do("ours", lambda connection: connection.ours(sql, parameters))

    async def do(self, name: str, act: Callable[[Connection], T]) -> T:
        """Work of several steps on aiosqlite's thread."""
        (result,) = await (await self.db()).execute_fetchall(Act.of(name, act))
        return result  # type: ignore[return-value]  # aiosqlite says rows; `Act` says what its function gives

    async def fetch(self, sql: str, parameters: Any, budget: Budget) -> Fetched:  # noqa: ANN401 - DB-API
        """Rows of the caller's statement within a budget, under the profile in force."""
        connection = self.held()
        connection.budget = budget
        try:
            fetched = await (await self.db()).execute_fetchall(sql, parameters)
        finally:
            connection.budget = None
        if not isinstance(fetched, Fetched):
            raise errors.Failed("the database answered something else than rows", "try again")
        return fetched

    def held(self) -> Connection:
        """The connection under aiosqlite."""
        if self.connection is None:
            raise errors.Failed(f"`{self.name}` is not open", "try again")
        return self.connection

    def past(self, connection: Connection) -> Connection:
        """A second connection, which sees what is committed while this one changes it. On aiosqlite's thread."""
        return past_of(connection, self.opening)

    def stop(self, why: str) -> None:
        """Interrupt what runs, again and again until `go_on`: one interrupt can fall between two statements."""
        if self.connection is not None and not self.connection.stopped:
            self.connection.stopped = why
            self._stopper = asyncio.ensure_future(self._interrupt())

    def go_on(self) -> None:
        """What was stopped has ended."""
        if self._stopper is not None:
            self._stopper.cancel()
            self._stopper = None
        if self.connection is not None:
            self.connection.stopped = ""

    async def _interrupt(self) -> None:
        while self._db is not None:
            await self._db.interrupt()
            await asyncio.sleep(_INTERRUPT_EVERY_S)

    async def _open(self) -> None:
        made: list[Connection] = []

        def connector() -> Any:  # noqa: ANN401 - aiosqlite says sqlite3.Connection; any DB-API connection serves
            made.append(connect(self.opening, self.way))
            return made[0]

        if self.way is Way.AS_IT_LIES:
            self._stamp = ground.stamp(self.name)
        try:
            self._db = await aiosqlite.Connection(connector, 64)
        except apsw.Error as error:
            raise faults.refusal(error, self.name, "", None) from error
        self.connection = made[0]


def _checkpoint(connection: Connection) -> None:
    """Leave no log behind while readers of ours still stand: the last of them takes away an empty one."""
    connection.raw.set_busy_timeout(0)
    with suppress(apsw.Error):
        if not connection.in_transaction:
            connection.ours("PRAGMA wal_checkpoint(TRUNCATE)")


def deadline(seconds: float) -> float:
    """The moment so many seconds from now."""
    return time.monotonic() + min(seconds, limits.TRANSFER_S)


def undo(connection: Connection) -> None:
    """Roll back even when told to stop: a rollback is the stopping."""
    for _ in range(50):
        try:
            connection.rollback()
        except apsw.InterruptError:
            continue
        return

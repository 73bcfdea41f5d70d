"""Every file call runs on a thread that the kernel holds to the roots in force (see `_landlock` for threats).

A set of roots has a `Pool`; a new set gets a new one, and the old one drains and ends. All its threads are started
and restricted when it is made: the first restricts itself and starts the others, which inherit the restriction, so no
thread of a pool can exist outside the wall. If the wall cannot be raised where the kernel has one, there is no pool:
the call is refused. Where the kernel has none the threads work unrestricted and `Pool.wall` says why.

Lanes keep long work from starving short calls, and what waits for a database from starving either. A thread stuck for
good in a dead network mount is replaced by a spare and, being a daemon, never holds up the exit of the process.

A restricted thread cannot read the interpreter's own files, so nothing may be imported there for the first time:
`_warm` loads what work on files needs, before the first pool.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, ParamSpec, TypeVar

from rootcellar import limits
from rootcellar.confine import _landlock, _warm
from rootcellar.confine._landlock import Allowance
from rootcellar.confine._threads import Starter, Task, begin_thread, start_thread
from rootcellar.confine._wall import Held, allow, no_wall, prove, wall

P = ParamSpec("P")
T = TypeVar("T")


class Lane(Enum):
    """Which threads do the work: short calls never queue behind long ones, and those that wait hold up neither."""

    QUICK = "quick"
    LONG = "long"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Errand(Generic[T]):
    """One act beyond the roots: what it needs opened, the act, and how what was opened is closed again."""

    extras: Sequence[Allowance]
    act: Callable[[], T]
    close: Callable[[], None]


class Ended(Exception):  # noqa: N818 - not a failure: the caller asks for a fresh pool
    """The pool takes no more work."""


@dataclass(slots=True)
class _Line:
    """One lane: its queue, and who works since when."""

    threads_wanted: int
    stuck_s: float
    threads_max: int = 0  # a lane whose calls only wait grows while none of its threads is free
    tasks: queue.SimpleQueue[Task | None] = field(default_factory=queue.SimpleQueue)
    threads: int = 0
    spares: int = 0
    waiting: int = 0
    busy_since: dict[int, float] = field(default_factory=dict)

    def must_grow(self) -> bool:
        """Whether nobody is left to take the next call, and one more may."""
        return len(self.busy_since) >= self.threads and self.threads < self.threads_max

    def able(self, now: float) -> int:
        """How many threads are not stuck at one task."""
        return self.threads - sum(now - since > self.stuck_s for since in self.busy_since.values())


class _Here(threading.local):
    pool: Pool | None = None


_here = _Here()


class Pool:
    """Threads that reach these roots and nothing else; made only by `Pools`, on its starter."""

    def __init__(self, roots: Sequence[Held], programs: Sequence[str], starter: Starter) -> None:
        self.wall = wall(roots)
        self._starter = starter
        self._lock = threading.Lock()
        self._ended = False
        self._used = time.monotonic()
        self._lines = {
            Lane.QUICK: _Line(limits.QUICK_THREADS, limits.STUCK_QUICK_S),
            Lane.LONG: _Line(limits.LONG_THREADS, limits.STUCK_LONG_S),
            Lane.DATABASE: _Line(limits.DATABASE_THREADS, limits.STUCK_LONG_S, limits.DATABASE_THREADS_MAX),
        }
        self._allowances: list[Allowance] = []
        try:
            if self.wall.abi:
                allow(self._allowances, roots, programs)
            begin_thread(self._start_all, "rootcellar-quick")
        except OSError as error:
            self.end()
            raise no_wall(error) from error

    def run(self, lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; its future can be cancelled until it starts. Raises `Ended` after `end`."""
        future: Future[T] = Future()
        line = self._lines[lane]
        with self._lock:
            if self._ended:
                raise Ended
            line.waiting += 1
            crowded = line.waiting + len(line.busy_since) > line.threads
            line.tasks.put(Task(future, lambda: function(*args, **kwargs)))
        if crowded:
            self._starter.poke()
        return future

    def end(self) -> None:
        """Take no more work; what is queued is still done, then the threads end and the handles are let go."""
        with self._lock:
            self._ended = True
            for line in self._lines.values():
                line.tasks.put(None)
            self._let_go_when_empty()

    @property
    def ended(self) -> bool:
        """Whether it takes no more work."""
        return self._ended

    def idle_s(self, now: float) -> float:
        """For how long nothing has been queued or running."""
        with self._lock:
            if any(line.waiting or line.busy_since for line in self._lines.values()):
                return 0.0
            return now - self._used

    def relieve(self, now: float) -> bool:
        """Give each lane where calls wait a spare for every stuck thread; False when nothing waits. Starter only."""
        waiting = [lane for lane, line in self._lines.items() if line.waiting]
        for lane in waiting:
            line = self._lines[lane]
            while line.spares < limits.SPARE_THREADS_MAX and line.able(now) < line.threads_wanted:
                try:
                    begin_thread(lambda lane=lane: self._first(lane), f"rootcellar-{lane.value}-spare")  # type: ignore[misc]
                except OSError:
                    break  # no descriptor or thread to be had now: the next tick tries again
                with self._lock:
                    line.spares += 1
        return bool(waiting)

    def errand(self, prepare: Callable[[], Errand[T]]) -> T:
        """Run an errand on a thread of its own; see the function `errand`."""

        def work() -> T:
            ready = prepare()
            try:
                _landlock.restrict_this_thread([*self._allowances, *ready.extras])
            except OSError as error:
                raise no_wall(error) from error
            else:
                return ready.act()
            finally:
                ready.close()

        future: Future[T] = Future()
        self._starter.call(lambda: start_thread(Task(future, work).run, "rootcellar-errand")).result()
        return future.result()

    def _start_all(self) -> Callable[[], None]:
        """Restrict the first thread and start the others from it."""
        work = self._first(Lane.QUICK)
        for lane, line in self._lines.items():
            while line.threads < line.threads_wanted:
                self._count(lane, 1)
                try:
                    start_thread(lambda lane=lane: self._work(lane), f"rootcellar-{lane.value}")  # type: ignore[misc]
                except OSError:
                    self._count(lane, -1)
                    self._count(Lane.QUICK, -1)
                    raise
        return work

    def _first(self, lane: Lane) -> Callable[[], None]:
        """Restrict the calling thread, count it, and give what it shall do from then on."""
        if self.wall.abi:
            _landlock.restrict_this_thread(self._allowances)
            prove()
        self._count(lane, 1)
        return lambda: self._work(lane)

    def _count(self, lane: Lane, by: int) -> None:
        with self._lock:
            self._lines[lane].threads += by

    def _work(self, lane: Lane) -> None:
        """Take calls until the end, or until spares have made this thread one too many."""
        _here.pool = self
        line, me, now = self._lines[lane], threading.get_ident(), time.monotonic
        while task := line.tasks.get():
            with self._lock:
                line.waiting -= 1
                line.busy_since[me] = now()
                if grows := line.must_grow():
                    line.threads += 1
            if grows:
                self._grow(lane)
            task.run()
            del task  # an idle thread keeps no call, argument or result alive
            with self._lock:
                self._used = now()
                del line.busy_since[me]
                if line.spares and line.able(self._used) > line.threads_wanted:
                    line.spares -= 1
                    break
        else:
            line.tasks.put(None)  # for the next one
        with self._lock:
            line.threads -= 1
            self._let_go_when_empty()

    def _grow(self, lane: Lane) -> None:
        """One more thread for the lane, started from one of its own: it inherits the restriction."""
        try:
            start_thread(lambda: self._work(lane), f"rootcellar-{lane.value}")
        except OSError:
            self._count(lane, -1)

    def _let_go_when_empty(self) -> None:
        """Close the handles when the last thread has gone: until then a spare may need them. Call with the lock."""
        if self._ended and not any(line.threads for line in self._lines.values()):
            while self._allowances:
                os.close(self._allowances.pop().fd)


class Pools:
    """The pools of a process: one for each set of roots in use, a few at most, none kept idle."""

    def __init__(self, programs: Sequence[str] = (), warm: Sequence[_warm.Step] = ()) -> None:
        """Restricted threads may run `programs`; `warm` is what their work would otherwise import late."""
        self._programs = tuple(programs)
        self._warm = tuple(warm)
        self._lock = threading.Lock()
        self._pools: dict[object, Pool] = {}  # the least recently used first
        self._starter: Starter | None = None

    def run(
        self, roots: Sequence[Held], lane: Lane, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Queue a call behind the wall of these roots; Busy or Failed, never unwalled work, if it cannot be raised."""
        while True:
            try:
                return self.pool(roots).run(lane, function, *args, **kwargs)
            except Ended:
                continue

    def pool(self, roots: Sequence[Held]) -> Pool:
        """Give the pool of these roots, making it if need be."""
        key = _key(roots)
        with self._lock:
            pool = self._pools.pop(key, None)
            if pool is None or pool.ended:
                self._starter = starter = self._starter or Starter(self._tick)
                pool = starter.call(lambda: self._make(key, roots, starter)).result()
            else:
                self._pools[key] = pool
            surplus = [self._pools.pop(old) for old in list(self._pools)[: -limits.POOLS_MAX]]
        for old_pool in surplus:
            old_pool.end()
        return pool

    def retire(self) -> None:
        """End every pool once its queue is done: the roots were changed or taken back."""
        with self._lock:
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.end()

    def end(self) -> None:
        """End all pools and the starter; the object can be used again."""
        self.retire()
        with self._lock:
            if self._starter:
                self._starter.end()
            self._starter = None

    def warm(self) -> None:
        """Load what restricted threads need, ahead of the first call; safe on any unrestricted thread, any time."""
        _warm.warm(self._warm)

    def _make(self, key: object, roots: Sequence[Held], starter: Starter) -> Pool:
        self.warm()
        pool = self._pools[key] = Pool(roots, self._programs, starter)  # before the starter's next tick looks
        return pool

    def _tick(self) -> float | None:
        """End idle pools, relieve crowded ones; give the time until there may be something to do again."""
        now = time.monotonic()
        idle = {key: pool.idle_s(now) for key, pool in list(self._pools.items())}
        for key, idle_s in idle.items():
            if idle_s >= limits.POOL_IDLE_S and (idle_pool := self._pools.pop(key, None)):
                idle_pool.end()
        pools = list(self._pools.values())
        if sum(pool.relieve(now) for pool in pools):
            return 1.0
        return max(0.1, min(limits.POOL_IDLE_S - pool.idle_s(now) for pool in pools)) if pools else None


def errand(prepare: Callable[[], Errand[T]]) -> T:
    """From a pool's thread, act on what lies beyond its roots without opening that to any other call.

    `prepare` runs unrestricted and opens the directories the act needs (ours, never named by a caller); then the
    thread restricts itself to the roots and to those, acts, and ends. Elsewhere both just run here.
    """
    pool = _here.pool
    if pool and pool.wall.abi:
        return pool.errand(prepare)
    ready = prepare()
    try:
        return ready.act()
    finally:
        ready.close()


def _key(roots: Sequence[Held]) -> object:
    """What makes two sets of roots one; without a wall every set is served by the same threads."""
    if not wall(roots).abi:
        return None
    stats = ((os.fstat(root.handle), root.access) for root in roots)
    return frozenset((stat.st_dev, stat.st_ino, access) for stat, access in stats)

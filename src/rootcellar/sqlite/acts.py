"""Work of several steps, handed to aiosqlite where it takes SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.sqlite.engine import Connection


class Act(str):
    """Work of several steps on aiosqlite's thread, given to it where it takes SQL: one hop, not many."""

    __slots__ = ("_act",)
    _act: Callable[[Connection], object]

    @classmethod
    def of(cls, name: str, act: Callable[[Connection], object]) -> Act:
        """A named act."""
        made = cls(name)
        made._act = act
        return made

    def done(self, connection: Connection) -> Done:
        """Act now."""
        return Done(self._act(connection))


class Done:
    """What an act came to, as the only row of a cursor."""

    def __init__(self, result: object) -> None:
        self._result = result

    def fetchall(self) -> list[object]:
        """The result, alone."""
        return [self._result]

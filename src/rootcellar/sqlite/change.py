"""Changes: a statement or a script in one transaction, all or nothing, counted before it is kept.

`BEGIN IMMEDIATE`, the script under the CHANGE profile, then: a dry run rolls back; else the server may be asked for
its word (`Talk.may_commit`) with all that is about to be kept, and only then `COMMIT`. That is where the journal
writes its record before the change is real: the record carries the session's changeset, whose inverse undoes it
(`apply`), and says whether the changeset covers everything (schema changes, and virtual tables, it does not).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import apsw

from rootcellar import errors
from rootcellar.policy import Effect
from rootcellar.sqlite import lexer
from rootcellar.sqlite.rows import cell_text, header, line
from rootcellar.sqlite.statement import Fact, Profile, changes_schema, effect_of, tables_of

if TYPE_CHECKING:
    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

_SAMPLE_MAX: Final = 10
_STATEMENTS_MAX: Final = 10_000
_ORDER: Final = (Effect.READ, Effect.WRITE, Effect.DESTROY)
_WORDS: Final = {apsw.SQLITE_INSERT: "inserted", apsw.SQLITE_UPDATE: "updated", apsw.SQLITE_DELETE: "deleted"}


@dataclass(slots=True)
class Script:
    """What a script has done so far."""

    effect: Effect = Effect.READ
    statements: int = 0
    affected: dict[str, int] = field(default_factory=dict)
    schema: bool = False
    virtual: bool = False
    names: tuple[str, ...] = ()
    rows: list[str] = field(default_factory=list)
    cut: bool = False
    pending: tuple[Fact, ...] = ()
    sql: str = ""

    def began(self, facts: tuple[Fact, ...], sql: str, names: tuple[str, ...]) -> None:
        """A statement is about to run."""
        effect = effect_of(facts, sql) if facts else Effect.READ
        self.effect = max(self.effect, effect, key=_ORDER.index)
        self.schema = self.schema or changes_schema(facts)
        self.pending, self.statements, self.sql = facts, self.statements + bool(facts), sql
        if names:
            self.names, self.rows, self.cut = names, [], False

    def ended(self, changes: int) -> None:
        """It has run; `changes` is SQLite's count for it."""
        if not changes_schema(self.pending):
            for table in tables_of(self.pending)[:1]:
                self.affected[table] = self.affected.get(table, 0) + changes
        self.pending = ()


async def change(session: Session, request: Json, talk: Talk) -> Json:
    """Run a script in one transaction; keep it, or with `dry` roll it back."""
    waits = request["dry"] or bool(request.get("ask"))

    def work(connection: Connection) -> tuple[Script, Recorded]:
        connection.ours("BEGIN IMMEDIATE")
        try:
            script = Script()
            recorder = _recorder(connection.raw) if waits else None
            connection.profile = Profile.CHANGE
            _run(connection, script, request)
            connection.profile = Profile.OURS
            _keep_references(connection)
            recorded = _record(connection, recorder, script) if recorder else Recorded()
            if not waits:
                talk.check()
                connection.commit()
        except BaseException:
            undo(connection)
            raise
        finally:
            connection.profile = Profile.CHANGE
        return script, recorded

    script, recorded = await session.do("change", work)
    answer = _answer(script, recorded)
    if waits:
        await decide(session, request, talk, {**answer, "changeset": recorded.changeset})
    return answer


async def decide(session: Session, request: Json, talk: Talk, prepared: Json) -> None:
    """Keep what is prepared if the server says so; a dry run never is."""
    try:
        kept = not request["dry"] and await talk.may_commit(prepared)
        talk.check()
        await session.do("commit" if kept else "rollback", lambda held: held.commit() if kept else held.rollback())
    except BaseException:
        await session.do("rollback", undo)
        raise
    if not kept and not request["dry"]:
        raise errors.Declined("the change was not kept", "")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The session's record of the rows changed: empty where none was wanted or it grew too large."""

    changeset: bytes = b""
    complete: bool = False
    sample: tuple[str, ...] = ()


def undo(connection: Connection) -> None:
    """Roll back even when told to stop: a rollback is the stopping."""
    for _ in range(50):
        try:
            connection.rollback()
        except apsw.InterruptError:
            continue
        return


def _run(connection: Connection, script: Script, request: Json) -> None:
    """Each statement in turn; rows of the last one that gives any are kept as a sample."""
    raw = connection.raw

    def began(cursor: apsw.Cursor, text: str) -> bool:
        if script.pending:
            script.ended(raw.changes())
        if script.statements >= _STATEMENTS_MAX:
            raise errors.TooLarge(f"the script has over {_STATEMENTS_MAX:,} statements", "use `import_table`")
        if lexer.first_keyword(text) == "VACUUM":
            raise errors.Forbidden("`VACUUM` cannot run inside a transaction", "leave it out")
        names = tuple(name for name, _ in cursor.get_description()) if cursor.has_vdbe else ()
        script.began(connection.facts, text, names)
        connection.forget_facts()
        return True

    for row in connection.run(request["sql"], request["params"], began):
        if connection.stopped:
            raise apsw.InterruptError(connection.stopped)
        if len(script.rows) < _SAMPLE_MAX:
            script.rows.append(line(row))
        else:
            script.cut = True
    if script.pending:
        script.ended(raw.changes())
    if script.statements == 0:
        raise errors.BadSql("there is no statement in `sql`", "send at least one")


def _keep_references(connection: Connection) -> None:
    """References put off until the commit would fail it: better to say so before the server is asked."""
    if connection.raw.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
        raise errors.Constraint("FOREIGN KEY constraint failed", "nothing was changed: mend the values and try again")


def _record(connection: Connection, recorder: apsw.Session, script: Script) -> Recorded:
    """What was changed, row by row, and whether that is all."""
    try:
        changeset = recorder.changeset()
    except apsw.NoMemError:
        return Recorded()
    finally:
        recorder.close()
    odd = "SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')"
    inner = {str(name) for (name,) in connection.ours(odd)}
    touched = {item.name for item in apsw.Changeset.iter(changeset)} | set(script.affected)
    complete = not script.schema and not touched & inner
    return Recorded(changeset, complete, _sample(changeset))


def _recorder(raw: apsw.Connection) -> apsw.Session:
    """A session over all tables, those without a primary key too."""
    recorder = apsw.Session(raw, "main")
    recorder.config(apsw.SQLITE_SESSION_OBJCONFIG_ROWID, 1)
    recorder.attach()
    return recorder


def _sample(changeset: bytes) -> tuple[str, ...]:
    """The first changes, a line each."""
    told: list[str] = []
    for item in apsw.Changeset.iter(changeset):
        if len(told) >= _SAMPLE_MAX:
            break
        told.append(f"{_WORDS.get(item.opcode, '?')} {item.name}: {_delta(item)}")
    return tuple(told)


def _delta(item: apsw.TableChange) -> str:
    if item.opcode == apsw.SQLITE_UPDATE and item.old and item.new:
        pairs = zip(item.old, item.new, strict=True)
        parts = [
            f"{_cell(old)} -> {_cell(new)}" if new is not apsw.no_change else _cell(old)
            for old, new in pairs
            if old is not apsw.no_change or new is not apsw.no_change
        ]
        return "|".join(parts)
    return "|".join(_cell(cell) for cell in (item.new or item.old or ()) if cell is not apsw.no_change)


def _cell(value: object) -> str:
    """A value of a changeset as rows show it."""
    return cell_text(value) if value is None or isinstance(value, int | float | str | bytes) else "?"


def _answer(script: Script, recorded: Recorded) -> Json:
    returned = [header(script.names), *script.rows, *(["..."] if script.cut else [])] if script.names else []
    return {
        "effect": script.effect.value,
        "statements": script.statements,
        "affected": script.affected,
        "schema": script.schema,
        "returned": returned,
        "sample": list(recorded.sample),
        "complete": recorded.complete,
    }


async def apply(session: Session, request: Json, talk: Talk) -> Json:
    """Apply a changeset (an undo is an inverted one), all of it or nothing: a row that changed since refuses it."""
    clashes: list[str] = []

    def conflict(reason: int, item: apsw.TableChange) -> int:
        clashes.append(f"`{item.name}`: {_CLASH.get(reason, 'a row changed since')}")
        return apsw.SQLITE_CHANGESET_ABORT

    def work(connection: Connection) -> int:
        given = b"".join(talk.chunks())
        changeset = apsw.Changeset.invert(given) if request["invert"] else given
        profile, connection.profile = connection.profile, Profile.OURS
        connection.ours("BEGIN IMMEDIATE")
        try:
            apsw.Changeset.apply(changeset, connection.raw, conflict=conflict)
            connection.commit()
        except apsw.AbortError:
            raise errors.Stale(
                f"a later change stands in the way ({clashes[0] if clashes else 'a row'})",
                "undo the later change first",
            ) from None
        finally:
            undo(connection)
            connection.profile = profile
        return sum(1 for _ in apsw.Changeset.iter(changeset))

    return {"applied": await session.do("apply", work)}


_CLASH: Final = {
    apsw.SQLITE_CHANGESET_DATA: "a row is no longer as the change left it",
    apsw.SQLITE_CHANGESET_NOTFOUND: "a row is gone",
    apsw.SQLITE_CHANGESET_CONFLICT: "a row with that key is there again",
    apsw.SQLITE_CHANGESET_CONSTRAINT: "a rule of the table refuses a row",
    apsw.SQLITE_CHANGESET_FOREIGN_KEY: "rows elsewhere refer to it",
}

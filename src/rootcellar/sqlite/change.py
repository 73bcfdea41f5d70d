"""Changes: a statement or a script in one transaction, all or nothing, counted before it is kept.

`BEGIN IMMEDIATE`, the script under the CHANGE profile, then: a dry run rolls back; else the server may be asked for
its word (`Talk.may_commit`) with all that is about to be kept, and only then `COMMIT`. That is where the journal
writes its record before the change is real: both images of the rows (`capture`), which went ahead in chunks. Where
rows cannot tell the change, it is rolled back at once and done again: this time the server is asked first, before
anything is changed, to copy the files (`wholes`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import apsw

from rootcellar import errors
from rootcellar.policy import Effect
from rootcellar.sqlite import differences, lexer, proof, wholes
from rootcellar.sqlite.capture import Capture, NeedsWhole, begin, begin_captured
from rootcellar.sqlite.rows import header, line
from rootcellar.sqlite.session import undo
from rootcellar.sqlite.statement import Fact, Profile, changes_schema, effect_of, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.sqlite.engine import Connection
    from rootcellar.sqlite.session import Session
    from rootcellar.sqlite.talk import Talk
    from rootcellar.sqlite.wire import Json

_SAMPLE_MAX: Final = 10
_STATEMENTS_MAX: Final = 10_000
_ORDER: Final = (Effect.READ, Effect.WRITE, Effect.DESTROY)
_CHUNK_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Script:
    """What a script has done so far."""

    capture: Capture | None = None
    strict: bool = False  # what rows cannot tell stops it
    effect: Effect = Effect.READ
    statements: int = 0
    affected: dict[str, int] = field(default_factory=dict)
    schema: bool = False
    names: tuple[str, ...] = ()
    rows: list[str] = field(default_factory=list)
    cut: bool = False
    pending: tuple[Fact, ...] = ()
    sql: str = ""

    def began(self, facts: tuple[Fact, ...], sql: str, names: tuple[str, ...]) -> None:
        """A statement is about to run."""
        if self.capture is not None and self.strict:
            self.capture.look(facts)
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
    asks = bool(request.get("ask")) and not request["dry"]
    if asks and request.get("whole"):
        return await whole(session, talk, lambda connection: _scripted(connection, request, None))

    def work(connection: Connection) -> Json:
        captures = asks or request["dry"]
        begin_captured(connection) if captures else begin(connection)
        try:
            capture = Capture(connection, session.past(connection)) if captures else None
            answer = _scripted(connection, request, capture, strict=asks)
            if capture is not None:
                answer |= recorded(capture, talk) if asks else {"sample": sample(capture), "rows": capture.counts()}
            else:
                talk.check()
                connection.commit()
        except BaseException:
            undo(connection)
            raise
        finally:
            connection.profile = Profile.CHANGE
        return answer

    try:
        answer = await session.do("change", work)
    except NeedsWhole:
        return await whole(session, talk, lambda connection: _scripted(connection, request, None))
    if asks or request["dry"]:
        await decide(session, request, talk, answer)
    return answer


def _scripted(connection: Connection, request: Json, capture: Capture | None, *, strict: bool = False) -> Json:
    """The script, run in the open transaction, and what it answers."""
    script = Script(capture=capture, strict=strict)
    if capture is not None:
        capture.start()
    try:
        connection.profile = Profile.CHANGE
        _run(connection, script, request)
    except apsw.NoMemError:
        if strict:  # nothing may leave this memory before the commit: done again, it may
            raise NeedsWhole("memory") from None
        raise
    finally:
        connection.profile = Profile.OURS
        if capture is not None:
            capture.stop()
    _keep_references(connection)
    return _answer(script)


def recorded(capture: Capture, talk: Talk) -> Json:
    """Send the images of what was done ahead of the question whether to keep it."""
    key, images = capture.connection.key, capture.images()
    if not images.empty:
        for image in (images.before, images.after):
            for start in range(0, len(image), _CHUNK_BYTES):
                talk.chunk(image[start : start + _CHUNK_BYTES])
    return {
        "sample": sample(capture), "rows": images.rows, "made": list(images.made), "empty": images.empty,
        "sizes": [len(images.before), len(images.after)], "target": images.target,
        "proof": "" if images.empty else proof.noted(capture, key), "places": proof.places(capture, key),
        "sealed": bool(key),
    }  # fmt: skip


def sample(capture: Capture) -> list[str]:
    """The first rows of each table, as they were and as they are."""
    told: list[str] = []
    for one in capture.touched.values():
        keys: list[Any] = [key if isinstance(key, tuple) else (key,) for key in list(one.keys)[: 2 * _SAMPLE_MAX]]
        before, after = (
            differences.named_rows(where.ours, one.shape, keys) for where in (capture.past, capture.connection)
        )
        told += differences.lines(one.shape, before, after, _SAMPLE_MAX - len(told))
    return told


async def whole(session: Session, talk: Talk, act: Callable[[Connection], Json]) -> Json:
    """A change that rows cannot tell: the server copies the files first, while nobody can write; then `act`."""

    def start(connection: Connection) -> Json:
        connection.profile = Profile.OURS
        begin(connection)
        return {"whole": wholes.files_size(session)}

    def work(connection: Connection) -> Json:
        talk.check()
        target = wholes.fingerprint(connection.raw)
        answer = act(connection)
        connection.profile = Profile.OURS
        wholes.settle_pages(connection)
        return {
            **answer,
            "target": target,
            "digest": wholes.digest_of(connection.raw),
            "is_whole": True,
            "sealed": bool(connection.key),
        }

    def end(connection: Connection) -> Json:
        connection.commit()
        with suppress(apsw.Error, errors.Refusal):  # it is committed, whatever comes now
            if wholes.may_still_move(connection):
                return {"digest": wholes.digest_of(connection.raw)}
        return {}

    try:
        if not await talk.may_commit(await session.do("begin", start)):
            raise errors.Declined("the change was not made", "")
        answer = await session.do("change", work)
        if not await talk.may_commit(answer):
            raise errors.Declined("the change was not kept", "")
        talk.check()
        return {**answer, **await session.do("commit", end)}
    finally:
        await session.do("rollback", undo)
        session.held().profile = Profile.CHANGE


async def decide(session: Session, request: Json, talk: Talk, prepared: Json) -> None:
    """Keep what is prepared if the server says so; a dry run never is."""
    kept = False
    try:
        kept = not request["dry"] and await talk.may_commit(prepared)
        talk.check()
        if kept:
            await session.do("commit", lambda held: held.commit())
    finally:
        await session.do("rollback", undo)
    if not kept and not request["dry"]:
        raise errors.Declined("the change was not kept", "")


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


def _answer(script: Script) -> Json:
    returned = [header(script.names), *script.rows, *(["..."] if script.cut else [])] if script.names else []
    return {
        "effect": script.effect.value,
        "statements": script.statements,
        "affected": script.affected,
        "schema": script.schema,
        "returned": returned,
    }

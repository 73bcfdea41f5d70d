"""SQLite's errors as refusals: what failed in SQLite's words, where in the SQL, and the next step."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import apsw

from rootcellar import errors
from rootcellar.sqlite import lexer

if TYPE_CHECKING:
    from rootcellar.sqlite.engine import Connection

_MESSAGE_CHARS_MAX: Final = 400  # SQLite quotes a malformed schema whole: megabytes
_NEAREST_MAX: Final = 3
_ALL_TABLES_MAX: Final = 200
_MISSING: Final = re.compile(r"no such (table|column|function|index|view|trigger|collation sequence|module): (.+)")
_NO_COLUMN_IN: Final = re.compile(r"table (\S+) has no column named (.+)")
_NEAR: Final = re.compile(r'near "(.+)": syntax error', re.DOTALL)

Fault = type[errors.Refusal]
_PLAIN: Final[dict[type[Exception], tuple[Fault, str, str]]] = {
    apsw.BusyError: (errors.Busy, "`{name}` is locked by another program", "try again in a moment"),
    apsw.LockedError: (errors.Busy, "`{name}` is locked by another call", "try again in a moment"),
    apsw.CorruptError: (errors.Corrupt, "`{name}` is damaged", "`describe_database` tells how far; restore a backup"),
    apsw.NotADBError: (errors.NotADatabase, "`{name}` is not a SQLite database", "read it as a file"),
    apsw.FullError: (errors.NoSpace, "the disk is full", "free some space and try again"),
    apsw.NoMemError: (errors.TooLarge, "the statement needs too much memory", "select fewer rows or shorter values"),
    apsw.TooBigError: (errors.TooLarge, "a value, or the statement, is too long", "`substr` selects a part"),
    apsw.ReadOnlyError: (errors.ReadOnly, "`{name}` cannot be changed here", "use `change_database` for changes"),
    apsw.PermissionsError: (errors.Denied, "the system refuses access to `{name}`", "check its permissions"),
    apsw.CantOpenError: (errors.Failed, "`{name}`, or a file beside it, could not be opened", "check the permissions"),
    apsw.IOError: (errors.Failed, "reading or writing `{name}` failed", "check the disk, then `describe_database`"),
    apsw.ProtocolError: (errors.Busy, "`{name}` is being locked by too many others", "try again in a moment"),
    apsw.SchemaChangeError: (errors.Busy, "the tables of `{name}` changed meanwhile", "try again"),
    apsw.ConnectionClosedError: (errors.Failed, "`{name}` was closed", "try again"),
}  # fmt: skip


def refusal(  # noqa: PLR0911 - a table of answers
    error: apsw.Error, name: str, sql: str, connection: Connection | None
) -> errors.Refusal:
    """The refusal for what SQLite raised while it worked on this SQL."""
    said = _short(str(error))
    if connection is not None and connection.denial and isinstance(error, apsw.AuthError | apsw.SQLError):
        return errors.Forbidden(connection.denial, _forbidden_hint(connection.denial))
    if isinstance(error, apsw.InterruptError):
        return errors.TimedOut("the statement was stopped", "")
    if isinstance(error, apsw.ConstraintError):
        return errors.Constraint(f"{said}", "nothing was changed: mend the values and try again")
    if isinstance(error, apsw.BindingsError | apsw.MismatchError | apsw.RangeError):
        return errors.BadArgument(
            f"the parameters do not fit the statement: {_bindings(said).rstrip('.')}",
            "give one value for each `?`, or an object with each `:name`",
        )
    if isinstance(error, apsw.CorruptError) and "schema" in said:
        return errors.Corrupt(f"the schema of `{name}` is damaged: {said}", "restore a backup")
    for kind, (fault, message, hint) in _PLAIN.items():
        if isinstance(error, kind):
            return fault(message.format(name=name), hint)
    return _bad_sql(error, said, sql, connection)


def _bindings(said: str) -> str:
    """How many are wanted and given, without apsw's bookkeeping."""
    counts = re.search(r"uses (\d+) and there are (\d+)", said) or re.search(r"uses (\d+).*?(\d+) supplied", said)
    return f"it takes {counts.group(1)}, {counts.group(2)} were given" if counts else said


def _forbidden_hint(denial: str) -> str:
    if "transaction" in denial:
        return "leave it out: a script is one transaction, and `dry_run` rolls it back"
    if "another file" in denial:
        return "`backup_database` and `export_table` write other files; another database is queried by its own path"
    if "change the database" in denial:
        return "use `change_database` for changes"
    return "leave it out"


def _bad_sql(error: apsw.Error, said: str, sql: str, connection: Connection | None) -> errors.Refusal:
    offset = getattr(error, "error_offset", -1)
    start = _character(sql, offset) if offset is not None and offset >= 0 else _find(said, sql)
    where = f" at {_place(sql, start)}" if start >= 0 else ""
    if said == "incomplete input":
        where, hint = " (the statement ends too early)", "finish it"
    else:
        hint = _nearest(said, sql, connection) if connection is not None else ""
    return errors.BadSql(
        f"SQLite says: {said}{where}", hint or "mend the statement; `describe_database` shows the tables"
    )


def _character(sql: str, offset: int) -> int:
    """SQLite counts bytes."""
    return len(sql.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "ignore"))


def _find(said: str, sql: str) -> int:
    """Where the name that SQLite misses stands first."""
    missing = _MISSING.fullmatch(said)
    if not missing:
        return -1
    wanted = missing.group(2).rsplit(".", 1)[-1].casefold()
    return next((t.start for t in lexer.tokens(sql) if lexer.unquoted(t.text).casefold() == wanted), -1)


def _place(sql: str, start: int) -> str:
    line = sql.count("\n", 0, start) + 1
    column = start - (sql.rfind("\n", 0, start) + 1) + 1
    rest = sql[start : start + 30].split("\n", 1)[0]
    return f"line {line}, column {column}" + (f", before `{rest}`" if rest.strip() else "")


def _nearest(said: str, sql: str, connection: Connection) -> str:
    """The names that the missing one may have meant."""
    missing, no_column = _MISSING.fullmatch(said), _NO_COLUMN_IN.fullmatch(said)
    try:
        if missing and missing.group(1) == "table":
            return _offer(
                missing.group(2),
                _names(connection, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"),
                "tables",
            )
        if missing and missing.group(1) == "column":
            wanted = missing.group(2)
            return _offer(wanted.rsplit(".", 1)[-1], _columns(connection, _mentioned(connection, sql)), "columns")
        if no_column:
            return _offer(no_column.group(2), _columns(connection, (no_column.group(1),)), "columns")
        if missing and missing.group(1) == "function":
            return _offer(missing.group(2), _names(connection, "SELECT DISTINCT name FROM pragma_function_list"), "")
    except (apsw.Error, UnicodeDecodeError):
        return ""
    return ""


def _mentioned(connection: Connection, sql: str) -> tuple[str, ...]:
    """The tables that the statement names; all of them where it names none."""
    known = _names(connection, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') LIMIT 2000")
    words = {lexer.unquoted(token.text).casefold() for token in lexer.tokens(sql)}
    return tuple(name for name in known if name.casefold() in words) or known[:_ALL_TABLES_MAX]


def _names(connection: Connection, sql: str) -> tuple[str, ...]:
    return tuple(str(name) for (name,) in connection.ours(sql))


def _columns(connection: Connection, tables: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for table in tables:
        with suppress(apsw.SQLError):  # a view of tables that are gone
            for (name,) in connection.ours("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,)):
                found[str(name)] = None
    return tuple(found)


def _offer(wanted: str, known: tuple[str, ...], kind: str) -> str:
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.strip("\"'`[]").casefold(), list(folded), _NEAREST_MAX, 0.5)
    if close:
        return "did you mean " + ", ".join(f"`{folded[name]}`" for name in close) + "?"
    few = 12
    if kind and known and len(known) <= few:
        return f"the {kind} are " + ", ".join(f"`{name}`" for name in known)
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARS_MAX else text[:_MESSAGE_CHARS_MAX] + "..."

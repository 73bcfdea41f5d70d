"""What SQL may do, decided by what SQLite itself reports while it prepares the statement, never by its text.

Threats: SQL that writes where only reading was meant; SQL that reaches other files (`ATTACH`, `VACUUM INTO`,
`load_extension`, `temp_store_directory`, ciphers' log files); SQL that changes the connection under the next caller
(`PRAGMA`, open transactions, temp objects); SQL hidden in a view or a trigger of a hostile database.

Algorithm: SQLite's authorizer calls `refusal_of` with every act the statement would do, nested views and triggers
included. An **allow-list** per profile answers; whatever is not on it is refused with its reason. Each admitted act
is kept as a `Fact`, and the statement's `Effect` follows from its facts. The connection below (read-only flag,
`query_only`, DEFENSIVE, limits) refuses most of it a second time.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from rootcellar.policy import Effect
from rootcellar.sqlite import lexer


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Profile(Enum):
    """What a connection admits."""

    READ = "read"
    CHANGE = "change"
    OURS = "ours"  # our own SQL: schema queries, transactions, backup


class Fact(NamedTuple):
    """One act, as the authorizer reports it; `within` is the view or trigger that does it."""

    act: str
    first: str | None = None
    second: str | None = None
    schema: str | None = None
    within: str | None = None


ACTS: Final = {
    1: "CREATE_INDEX", 2: "CREATE_TABLE", 3: "CREATE_TEMP_INDEX", 4: "CREATE_TEMP_TABLE", 5: "CREATE_TEMP_TRIGGER",
    6: "CREATE_TEMP_VIEW", 7: "CREATE_TRIGGER", 8: "CREATE_VIEW", 9: "DELETE", 10: "DROP_INDEX", 11: "DROP_TABLE",
    12: "DROP_TEMP_INDEX", 13: "DROP_TEMP_TABLE", 14: "DROP_TEMP_TRIGGER", 15: "DROP_TEMP_VIEW", 16: "DROP_TRIGGER",
    17: "DROP_VIEW", 18: "INSERT", 19: "PRAGMA", 20: "READ", 21: "SELECT", 22: "TRANSACTION", 23: "UPDATE",
    24: "ATTACH", 25: "DETACH", 26: "ALTER_TABLE", 27: "REINDEX", 28: "ANALYZE", 29: "CREATE_VTABLE",
    30: "DROP_VTABLE", 31: "FUNCTION", 32: "SAVEPOINT", 33: "RECURSIVE",
}  # fmt: skip

_READS: Final = frozenset({"SELECT", "READ", "FUNCTION", "RECURSIVE", "PRAGMA"})
_DDL: Final = frozenset(
    {"CREATE_INDEX", "CREATE_TABLE", "CREATE_TRIGGER", "CREATE_VIEW", "CREATE_VTABLE", "DROP_INDEX", "DROP_TABLE",
     "DROP_TRIGGER", "DROP_VIEW", "DROP_VTABLE", "ALTER_TABLE"}
)  # fmt: skip
_CHANGES: Final = _READS | _DDL | {"INSERT", "UPDATE", "DELETE", "REINDEX", "ANALYZE"}

# Functions of the bundled library that read nothing but their arguments and the rows before them.
FUNCTIONS: Final = _words_of(
    """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling changes char coalesce concat
    concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime degrees
    dense_rank exp first_value floor format fts5 fts5_get_locale fts5_insttoken fts5_locale fts5_source_id
    geopoly_area geopoly_bbox geopoly_blob geopoly_ccw geopoly_contains_point geopoly_group_bbox geopoly_json
    geopoly_overlap geopoly_regular geopoly_svg geopoly_within geopoly_xform glob group_concat hex highlight
    if ifnull iif instr json json_array json_array_insert json_array_length json_each json_error_position
    json_extract json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote
    json_remove json_replace json_set json_tree json_type json_valid jsonb jsonb_array jsonb_array_insert
    jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove
    jsonb_replace jsonb_set julianday lag last_insert_rowid last_value lead length like likelihood likely ln
    log log10 log2 lower ltrim match matchinfo max median min mod nth_value ntile nullif octet_length offsets
    percent_rank percentile percentile_cont percentile_disc pi pow power printf quote radians raise random
    randomblob rank regexp replace round row_number rtreecheck rtreedepth rtreenode rtrim sign sin sinh
    snippet sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version sqrt strftime
    string_agg substr substring subtype sum tan tanh time timediff total total_changes trim trunc typeof unhex
    unicode unistr unistr_quote unixepoch unlikely upper zeroblob
    """
)
# `ALTER TABLE` and full-text tables call these while they work; they do nothing when called alone.
_INNER_FUNCTIONS: Final = frozenset(
    {"sqlite_rename_table", "sqlite_rename_column", "sqlite_rename_test", "sqlite_rename_quotefix",
     "sqlite_drop_column", "sqlite_drop_constraint", "sqlite_add_constraint", "sqlite_find_constraint",
     "sqlite_fail", "optimize"}
)  # fmt: skip

_PRAGMAS_BARE: Final = _words_of(
    """
    application_id auto_vacuum cache_size collation_list compile_options data_version encoding
    foreign_key_check foreign_keys freelist_count function_list integrity_check journal_mode max_page_count
    module_list page_count page_size pragma_list quick_check query_only recursive_triggers schema_version
    secure_delete synchronous table_list temp_store user_version wal_autocheckpoint
    """
)
_PRAGMAS_WITH_NAME: Final = _words_of(
    """
    foreign_key_check foreign_key_list index_info index_list index_xinfo integrity_check quick_check
    table_info table_list table_xinfo
    """
)
_PRAGMAS_THAT_SET: Final = frozenset({"user_version", "application_id", "defer_foreign_keys"})
_MODULES: Final = frozenset({"fts3", "fts4", "fts5", "fts5vocab", "rtree", "rtree_i32", "geopoly"})
_CLOSED_TABLES: Final = frozenset(
    {"fts3tokenize", "carray", "sqlite_dbpage", "sqlite_stmt", "bytecode", "tables_used", "pragma_database_list"}
)

_WHY: Final = {
    "ATTACH": "`ATTACH` and `VACUUM` would open another file",
    "DETACH": "`DETACH` would change the connection",
    "TRANSACTION": "the server opens and ends transactions itself: one call is one transaction",
    "SAVEPOINT": "the server opens and ends transactions itself: one call is one transaction",
    "RECURSIVE": "recursion is not admitted here",
}


def refusal_of(profile: Profile, fact: Fact) -> str:  # noqa: PLR0911 - a table of answers
    """Why this act is refused under this profile; empty when it is admitted."""
    if profile is Profile.OURS:
        return ""
    act = fact.act
    if act == "FUNCTION":
        return _function(fact)
    if act == "PRAGMA":
        return _pragma(profile, fact)
    if act == "READ" and (fact.first or "").lower() in _CLOSED_TABLES:
        return f"the table `{fact.first}` shows the inside of the connection or of the file"
    if act in ("SELECT", "READ", "RECURSIVE"):
        return ""
    if act in _WHY:
        return _WHY[act]
    if "TEMP" in act or fact.schema == "temp":
        return "" if _renames(profile, fact) else "temporary objects do not outlive the call"
    if profile is Profile.READ:
        return f"{_words(act)} {f'`{fact.first}` ' if fact.first else ''}would change the database"
    if act == "CREATE_VTABLE" and (fact.second or "").lower() not in _MODULES:
        return f"virtual tables of `{fact.second}` are not admitted"
    return "" if act in _CHANGES else f"{_words(act)} is not admitted"


def _renames(profile: Profile, fact: Fact) -> bool:
    """`ALTER TABLE` looks for its table's name among temporary objects too; there are none."""
    return profile is Profile.CHANGE and fact.act in ("UPDATE", "READ") and fact.first == "sqlite_temp_master"


def _function(fact: Fact) -> str:
    name = (fact.second or "").lower()
    if name in FUNCTIONS or name in _INNER_FUNCTIONS:
        return ""
    return f"the function `{name}` is not admitted"


def _pragma(profile: Profile, fact: Fact) -> str:
    name, argument = (fact.first or "").lower(), fact.second
    if argument is None and name in _PRAGMAS_BARE:
        return ""
    if argument is not None and name in _PRAGMAS_WITH_NAME:
        return ""
    if profile is Profile.CHANGE and name in _PRAGMAS_THAT_SET:
        return ""
    if argument is not None and name in _PRAGMAS_BARE:
        return f"`PRAGMA {name}` with a value would change the connection or the file"
    return f"`PRAGMA {name}` is not admitted"


def _words(act: str) -> str:
    return f"`{act.replace('_', ' ').replace('VTABLE', 'VIRTUAL TABLE')}`"


def effect_of(facts: tuple[Fact, ...], sql: str) -> Effect:
    """READ, WRITE or DESTROY: schema changes and changes of all rows of a table destroy.

    The facts say what is changed and, for a `DELETE`, whether any column of the table was looked at; that an `UPDATE`
    has a condition shows in no fact, so its words are asked (they can only raise the effect, never lower it).
    """
    direct = [fact for fact in facts if fact.within is None]
    if changes_schema(facts) or any(_sets(fact) for fact in facts):
        return Effect.DESTROY
    changed = [f for f in direct if f.act in ("DELETE", "UPDATE") and not (f.first or "").startswith("sqlite_")]
    if changed and not lexer.has_condition(sql):
        return Effect.WRITE if _upserts(direct) else Effect.DESTROY
    return Effect.READ if all(fact.act in _READS for fact in facts) else Effect.WRITE


def _sets(fact: Fact) -> bool:
    """Whether this is a `PRAGMA` that stores a value in the file."""
    return fact.act == "PRAGMA" and fact.second is not None and (fact.first or "").lower() in _PRAGMAS_THAT_SET


def _upserts(direct: list[Fact]) -> bool:
    """`INSERT ... ON CONFLICT DO UPDATE` and `REPLACE` update single rows without a condition."""
    return direct[0].act == "INSERT" or any(fact.act == "INSERT" for fact in direct)


def tables_of(facts: tuple[Fact, ...]) -> tuple[str, ...]:
    """The tables that the statement changes itself, triggers and the schema table aside, in order of first mention."""
    changed = (
        fact.first
        for fact in facts
        if fact.act in ("INSERT", "UPDATE", "DELETE") and fact.first and fact.within is None
    )
    return tuple(dict.fromkeys(name for name in changed if not name.startswith("sqlite_")))


def changes_schema(facts: tuple[Fact, ...]) -> bool:
    """Whether tables, indexes, views or triggers are made, altered or dropped; `ANALYZE` makes its own and does not."""
    return any(fact.act in _DDL and not (fact.first or "").startswith("sqlite_stat") for fact in facts)

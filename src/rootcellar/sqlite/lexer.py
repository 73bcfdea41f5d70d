"""Where SQL's words begin and end: for wording, paging and error positions, never for deciding what is admitted.

What a statement may do is decided by SQLite's authorizer (`statement`). Here only questions that its facts leave open
are answered: has this `UPDATE` a `WHERE`, may this `SELECT` be continued after a key, where does the statement end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<text>[xX]?'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<param>\?\d*|[:@$][A-Za-z_0-9]+(?:::\w+)*(?:\([^)]*\))?)
    |(?P<number>0[xX][0-9A-Fa-f]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word, sign, literal or name of SQL, its place, and how deep in parentheses it stands."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    @property
    def keyword(self) -> str:
        """The word in capitals; empty for anything that cannot be a keyword."""
        return self.text.upper() if self.kind == "word" else ""


def tokens(sql: str) -> Iterator[Token]:
    """Every token but blanks and comments."""
    depth = 0
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "sign"
        if kind == "space":
            continue
        text = match.group()
        if text == ")":
            depth -= 1
        yield Token(kind, text, match.start(), match.end(), depth)
        if text == "(":
            depth += 1


def is_blank(sql: str) -> bool:
    """Whether nothing but blanks, comments and semicolons is there."""
    return all(token.text == ";" for token in tokens(sql))


def body(sql: str) -> str:
    """One statement without what follows its last word: comments, blanks, the semicolon."""
    last = 0
    for token in tokens(sql):
        if token.text != ";" or token.kind != "sign":
            last = token.end
    return sql[:last]


def first_keyword(sql: str) -> str:
    """The word a statement begins with, in capitals."""
    return next((token.keyword for token in tokens(sql)), "")


def limits_rows(sql: str) -> bool:
    """Whether a `LIMIT` stands outside all parentheses."""
    return any(token.depth == 0 and token.keyword == "LIMIT" for token in tokens(sql))


def has_condition(sql: str) -> bool:
    """Whether a `WHERE` outside all parentheses is followed by anything that names a column."""
    after_where = False
    for token in tokens(sql):
        if token.depth == 0 and token.keyword == "WHERE":
            after_where = True
        elif after_where and token.depth == 0 and token.keyword in ("RETURNING", "ORDER", "LIMIT"):
            return False
        elif after_where and (token.kind == "quoted" or (token.kind == "word" and token.keyword not in _NOT_COLUMNS)):
            return True
    return False


_NOT_COLUMNS: Final = frozenset({"TRUE", "FALSE", "NOT", "NULL", "IS", "AND", "OR", "IN", "LIKE", "BETWEEN"})


def unquoted(name: str) -> str:
    """A name without its quotes."""
    if len(name) > 1 and name[0] in "\"`'" and name[-1] == name[0]:
        return name[1:-1].replace(name[0] * 2, name[0])
    return name[1:-1] if name[:1] == "[" and name[-1:] == "]" else name


def quoted(name: str) -> str:
    """A name as SQL takes it whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Simple:
    """`SELECT columns FROM table [WHERE condition] [ORDER BY one column]`, in pieces of its own text."""

    columns: str
    table: str
    source: str
    condition: str
    order_column: str
    descending: bool


_BREAKS: Final = frozenset(
    {"JOIN", "GROUP", "HAVING", "UNION", "EXCEPT", "INTERSECT", "LIMIT", "WINDOW", "DISTINCT", "ALL", "OVER", "INDEXED",
     "NOT", "AS", "OFFSET"}
)  # fmt: skip


def simple_select(sql: str) -> Simple | None:
    """The pieces of a `SELECT` over one table that can be continued after a key; None for any other statement."""
    stream = list(tokens(body(sql)))
    if not stream or stream[0].keyword != "SELECT":
        return None
    top = [token for token in stream if token.depth == 0]
    marks = {token.keyword: token for token in reversed(top) if token.keyword in ("FROM", "WHERE", "ORDER")}
    source, where, order = marks.get("FROM"), marks.get("WHERE"), marks.get("ORDER")
    if source is None or top[1].keyword in ("DISTINCT", "ALL") or any(t.keyword == "OVER" for t in stream):
        return None
    end = len(body(sql))
    tail_start = order.start if order else end
    from_end = where.start if where else tail_start
    names = [token for token in top if source.end <= token.start < from_end]
    if not names or names[0].kind not in ("word", "quoted") or len(names) != 1:
        return None
    if any(t.keyword in _BREAKS - {"NOT", "AS", "ALL"} or t.text == ";" for t in top):
        return None
    ordered = [token for token in top if order and token.start >= order.end]
    column, descending = _order(ordered) if order else ("", False)
    if order and not column:
        return None
    condition = sql[where.end : tail_start].strip() if where else ""
    table = unquoted(names[0].text)
    return Simple(sql[stream[0].end : source.start].strip(), table, names[0].text, condition, column, descending)


def _order(ordered: list[Token]) -> tuple[str, bool]:
    """The one column of an `ORDER BY`, and whether it runs downward; an empty name for anything else."""
    words = ordered[1:] if ordered and ordered[0].keyword == "BY" else []
    if len(words) == 1 and words[0].kind in ("word", "quoted"):
        return unquoted(words[0].text), False
    two = 2
    if len(words) == two and words[0].kind in ("word", "quoted") and words[1].keyword in ("ASC", "DESC"):
        return unquoted(words[0].text), words[1].keyword == "DESC"
    return "", False

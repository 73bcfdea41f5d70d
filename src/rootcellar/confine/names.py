r"""How a file's name is shown, and which file a name that was asked for means. Pure: no file is touched.

A name is bytes; people and models see text. `shown` gives a text that can be printed on one line, copied, and asked
for again. Almost every name is shown as it is. A name that holds undecodable bytes, control characters, line
separators, or characters that change direction or have no width is shown with escapes (`\x1b`, `\n`, `\u202e`; on
Windows, where a backslash separates, `<u202e>`: no name there holds `<`). Names that would read as if they held an
escape are escaped too, so no two names are ever shown alike, and `meant` can go back without a look at the disk.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Final

# Cc, surrogates, and every format or separator character that hides, joins, turns round or breaks a line.
_ODD: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_ESCAPE: Final = re.compile(r"\\(?:\\|n|r|t|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_ESCAPE_WINDOWS: Final = re.compile(r"<(u[0-9a-f]{4}|U[0-9a-f]{8})>")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LONG: Final = {text: char for char, text in _SHORT.items()} | {r"\\": "\\"}
_SPACES: Final = str.maketrans({"\u202f": " ", "\u00a0": " "})
# ASCII names that could have a look-alike: canonical equivalents of K, ; and `, and the spaces above.
_TWINNED: Final = frozenset(" K;`")
_BACKSLASH_SEPARATES: Final = sys.platform == "win32"


def shown(name: str) -> str:
    """Give the name for people and models: one line, no hidden characters, unlike any other name's."""
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    if _BACKSLASH_SEPARATES:
        return _ODD.sub(_escaped_windows, name)
    if not _ODD.search(name) and not _ESCAPE.search(name):
        return name
    return _ODD.sub(_escaped, name.replace("\\", r"\\"))


def _escaped(match: re.Match[str]) -> str:
    char, code = match[0], ord(match[0])
    if char in _SHORT:
        return _SHORT[char]
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - how Python writes a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:  # noqa: PLR2004 - ASCII
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four digits


def _escaped_windows(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"<u{code:04x}>" if code <= 0xFFFF else f"<U{code:08x}>"  # noqa: PLR2004 - four digits


def meant(asked: str) -> str:
    """Give the name whose shown form this is; the text itself when no other name is shown so."""
    if isinstance(asked, Exact):
        return asked
    if _BACKSLASH_SEPARATES:
        name = _ESCAPE_WINDOWS.sub(lambda match: _char(match[1]), asked)
    elif "\\" not in asked:
        return asked
    else:
        name = _ESCAPE.sub(_unescaped, asked)
    return name if shown(name) == asked else asked


def _unescaped(match: re.Match[str]) -> str:
    text = match[0]
    if text in _LONG:
        return _LONG[text]
    if text[1] == "x":
        code = int("0" + text[1:], 0)
        return chr(code if code < 0x80 else 0xDC00 + code)  # noqa: PLR2004 - ASCII, else a byte that is no UTF-8
    return _char(text[1:])


def _char(text: str) -> str:
    code = int(text[1:], 16)
    return chr(code) if code <= sys.maxunicode else "\ufffd"


class Exact(str):
    """A name as the disk has it, so no other reading of it is tried."""

    __slots__ = ()


def told(part: str) -> str:
    """Give a component of an entry for people and models: a raw name as it is shown, an asked one on one line."""
    return shown(part) if isinstance(part, Exact) or _ODD.search(part) else part


def folded(name: str) -> str:
    """Give what look-alike names share: composed characters (NFC), and plain spaces for the narrow and hard ones."""
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", name).translate(_SPACES)


def can_look_alike(name: str) -> bool:
    """Whether another name could have the same `folded` form, so that a listing is worth its time."""
    return not name.isascii() or not _TWINNED.isdisjoint(name)


def ignorable_removed(name: str) -> str:
    """Drop the characters some file systems (HFS+) ignore in names: `.e<ZWNJ>nv` is `.env` there."""
    return name if name.isascii() else _ODD.sub("", name)


def clipped(text: str, chars_max: int = 300) -> str:
    """Keep a long path readable in a message."""
    return text if len(text) <= chars_max else f"{text[: chars_max // 2]}...{text[-chars_max // 2 :]}"

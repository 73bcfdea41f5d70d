r"""What a name may be on Windows. Pure: strings only, tested on every system.

Threats: a path that means something else to Windows than to a reader: device names (`aux.txt`, `COM¹`, `NUL .log`),
alternate streams (`f:s`, `d::$INDEX_ALLOCATION`), names that Win32 quietly trims (`f.`, `f `), short 8.3 aliases that
dodge a seal (`SSH~1`), drive-relative and root-relative paths (`C:x`, `\x`), the device and object namespaces (`\\.\`,
`\\?\`, `\??\`), and network paths.

Algorithm: both separators split; a path is relative, `C:\...`, or `\\server\share\...`, and anything else is refused;
every component is then checked by itself. Whether a component that has the shape of an 8.3 alias is one can only be
told from a listing: see `_windows.py`.
"""

from __future__ import annotations

import re
from typing import Final

from rootcellar import limits
from rootcellar.errors import BadName, NameTooLong, NotFound

_DRIVE: Final = re.compile(r"([A-Za-z]):(?=/|$)")
_NETWORK: Final = re.compile(r"//([^/.?][^/]*)/([^/]+)(?=/|$)")
_FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])", re.IGNORECASE)
_SHORT: Final = re.compile(r"(?=.*~)[^.]{1,8}(?:\.[^.]{0,3})?", re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_USE_ANOTHER: Final = "use a name that Windows gives to files"


def split(path: str) -> tuple[str, list[str]]:
    r"""Cut into the anchor (`""`, `C:\`, `\\server\share\`) and the components; BadName for any other form."""
    plain = path.replace("\\", "/")
    anchor, rest = _anchored(plain)
    names = [name for name in rest.split("/") if name not in ("", ".")]
    if plain.endswith(("/", "/.")) or plain == ".":
        names.append(".")
    return anchor, names


def _anchored(plain: str) -> tuple[str, str]:
    """The anchor and what follows it, of a path with forward slashes only."""
    if drive := _DRIVE.match(plain):
        return f"{drive[1].upper()}:\\", plain[drive.end() :]
    if network := _NETWORK.match(plain):
        if _FORBIDDEN.search(network[1]) or _FORBIDDEN.search(network[2]):
            raise BadName("the network path holds a character that no server or share has", "use a path inside a root")
        return f"\\\\{network[1]}\\{network[2]}\\", plain[network.end() :]
    if plain.startswith("/"):
        raise BadName("a path that starts with a single slash, or in a device namespace, is not served", _WHOLE)
    if plain[1:2] == ":":
        raise BadName("a path relative to a drive's current directory is not served", _WHOLE)
    return "", plain


_WHOLE: Final = "give the whole path, as in `C:\\folder\\file`, or one relative to the root"


def check(name: str) -> str:
    """Give the component back, or refuse what Windows would read as something else than a file's name."""
    if name in (".", ".."):
        return name
    if not name.strip("."):
        raise NotFound(f"`{name}` does not exist", "a name of dots only cannot exist on Windows")
    if found := _FORBIDDEN.search(name):
        what = "a NUL character" if found[0] == "\0" else "a stream" if found[0] == ":" else "a forbidden character"
        raise BadName(f"the name holds {what}", _USE_ANOTHER)
    if _SURROGATE.search(name):
        raise BadName("the name holds half a character", _USE_ANOTHER)
    if name[-1] in ". ":
        raise BadName("the name ends in a dot or a space, which Windows leaves out", _USE_ANOTHER)
    if is_device(name):
        raise BadName("the name belongs to a device", _USE_ANOTHER)
    if len(name.encode("utf-16-le")) > 2 * limits.NAME_BYTES_MAX:
        raise NameTooLong("the name is longer than 255 characters", "use a shorter name")
    return name


def is_device(name: str) -> bool:
    """Whether Windows takes this for a device: the part before the first dot or colon, without trailing spaces."""
    return bool(_DEVICE.fullmatch(re.split("[.:]", name, maxsplit=1)[0].rstrip(" ")))


def may_be_short(name: str) -> bool:
    """Whether this could be an 8.3 alias of a longer name."""
    return bool(_SHORT.fullmatch(name))

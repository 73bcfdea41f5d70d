"""What clients call a root, on both kinds of system, whatever system this is."""

from __future__ import annotations

import pytest

from rootcellar.confine.uris import NoPath, System, path_of

POSIX = [
    ("file:///home/u/notes", "/home/u/notes"),
    ("file:///home/u/notes/", "/home/u/notes/"),
    ("FILE:///x", "/x"),
    ("file:/x/y", "/x/y"),
    ("file://localhost/x", "/x"),
    ("file://LOCALHOST/x", "/x"),
    ("file:///r%20o%C3%A9", "/r oé"),
    ("file:///r%2541", "/r%41"),
    ("file:///caf%E9", "/caf\udce9"),
    ("file:///a%zz", "/a%zz"),
    ("file:///a#b?c", "/a#b?c"),
    ("file:///C:/Users/x", "/C:/Users/x"),
    ("/bare/path", "/bare/path"),
    ("/bare%20path", "/bare%20path"),
    ("file:///", "/"),
    ("file://otherhost/x", None),
    ("file://~/x", None),
    ("file://server/share", None),
    ("https://example.com/x", None),
    ("vscode-remote://wsl/x", None),
    ("untitled:x", None),
    ("file:///x%00/y", None),
    ("file:///root/%2e%2e/outside", None),
    ("file:///root/../outside", None),
    ("file:///root%2f..%2foutside", None),
    ("file:relative", None),
    ("relative/path", None),
    ("C:\\Users\\x", None),
    ("", None),
    ("  ", None),
    ("/a/../b", None),
    ("/a\0b", None),
]

WINDOWS = [
    ("file:///C:/Users/x", "C:\\Users\\x"),
    ("file:///c%3A/Users/x", "C:\\Users\\x"),
    ("file:///C|/Users/x", "C:\\Users\\x"),
    ("file://C:/Users/x", "C:\\Users\\x"),
    ("file:///C:/a%20b", "C:\\a b"),
    ("file://localhost/D:/x", "D:\\x"),
    ("C:\\Users\\x", "C:\\Users\\x"),
    ("c:/Users/x", "C:\\Users\\x"),
    ("file:///C:", "C:\\"),
    ("file:///C:/", "C:\\"),
    ("C:relative", None),
    ("\\\\server\\share", None),
    ("//server/share", None),
    ("\\\\?\\C:\\x", None),
    ("\\\\.\\C:\\x", None),
    ("file://server/share", None),
    ("file:////server/share", None),
    ("file:///Users/x", None),
    ("file:///C:/a/../b", None),
    ("file:///C:/a%5c..%5cb", None),
    ("file:///C:/a%2fb", None),
    ("/Users/x", None),
    ("https://x/C:/", None),
]


@pytest.mark.parametrize(("offered", "path"), POSIX)
def test_on_posix(offered: str, path: str | None) -> None:
    found = path_of(offered, System.POSIX)
    assert isinstance(found, NoPath) if path is None else found == path


@pytest.mark.parametrize(("offered", "path"), WINDOWS)
def test_on_windows(offered: str, path: str | None) -> None:
    found = path_of(offered, System.WINDOWS)
    assert isinstance(found, NoPath) if path is None else found == path

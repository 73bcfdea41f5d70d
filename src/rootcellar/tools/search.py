"""Tools that find files and text."""

from rootcellar.toolset import Toolset

SEARCH = Toolset("search")

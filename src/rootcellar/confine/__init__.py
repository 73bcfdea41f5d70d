"""The wall: the only code that touches the user's files. `Ground` opens roots, `Roots` makes entries with verbs."""

from rootcellar.confine._open import Kind, Overwrite, Stat
from rootcellar.confine.copying import Copied
from rootcellar.confine.entry import Content, Entry, Listed
from rootcellar.confine.names import shown
from rootcellar.confine.pool import Lane, Pool
from rootcellar.confine.removal import Progress
from rootcellar.confine.roots import Dropped, Grant, Ground, Root, Roots
from rootcellar.confine.walk import Cancel, Details, Walked
from rootcellar.confine.write import Edited, survive_file_limits, version_of

__all__ = [
    "Cancel",
    "Content",
    "Copied",
    "Details",
    "Dropped",
    "Edited",
    "Entry",
    "Grant",
    "Ground",
    "Kind",
    "Lane",
    "Listed",
    "Overwrite",
    "Pool",
    "Progress",
    "Root",
    "Roots",
    "Stat",
    "Walked",
    "shown",
    "survive_file_limits",
    "version_of",
]

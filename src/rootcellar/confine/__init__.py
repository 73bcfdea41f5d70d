"""The wall: the only code that touches the user's files. `Ground` opens roots, `Roots` makes entries with verbs."""

from rootcellar.confine._doomed import Trashed
from rootcellar.confine._open import Kind, Overwrite, Stat
from rootcellar.confine.content import Content, Listed
from rootcellar.confine.copying import Copied
from rootcellar.confine.entry import Entry
from rootcellar.confine.ground import Ground
from rootcellar.confine.names import shown
from rootcellar.confine.pool import Lane, Pool
from rootcellar.confine.removal import Progress
from rootcellar.confine.roots import Dropped, Grant, Root, Roots
from rootcellar.confine.walk import Cancel, Details, Walked
from rootcellar.confine.witness import FORBIDDEN, UNWATCHED, Act, Step, Ticket, Witness
from rootcellar.confine.write import Edited, survive_file_limits, version_of

__all__ = [
    "FORBIDDEN",
    "UNWATCHED",
    "Act",
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
    "Step",
    "Ticket",
    "Trashed",
    "Walked",
    "Witness",
    "shown",
    "survive_file_limits",
    "version_of",
]

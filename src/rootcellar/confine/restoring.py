"""Taking a change back: files, links and directories get their bytes and everything else they had, in one step each.

Nothing here replaces by accident: what is made anew must find its name free, what is replaced must be the very file
that was looked at, and what comes from the trash must be the very thing that went there. Each is told to the witness
like any other change, so a change that was taken back can be made again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rootcellar.confine import names, trash, write
from rootcellar.confine._open import LinkFound, Overwrite, Stat
from rootcellar.confine.attributes import Attributes
from rootcellar.confine.drafts import private_name
from rootcellar.confine.removal import remove_tree
from rootcellar.confine.resolve import Ending, Place
from rootcellar.confine.turns import turn
from rootcellar.confine.witness import Act, Step, Ticket, watched
from rootcellar.errors import Exists, Stale

if TYPE_CHECKING:
    from rootcellar.confine.entry import Entry

_LOOK_AGAIN: Final = "look at it again, then decide"


def put_back(entry: Entry, expected: Stat, fill: Callable[[int, int], None], attributes: Attributes | None) -> Stat:
    """Replace the file that was looked at by what `fill(old, new)` writes, with its old times; Stale if it changed.

    Mode, owner and attributes stay as they are now. Without `attributes` the times are new.
    """

    def filled(old: int, stat: Stat, draft: int) -> None:
        if (stat.identity, stat.size, stat.mtime_ns) != (expected.identity, expected.size, expected.mtime_ns):
            raise Stale(f"`{names.clipped(str(entry))}` changed meanwhile", _LOOK_AGAIN)
        fill(old, draft)

    def finish(draft: int) -> None:
        if attributes is not None:
            attributes.wear_times(draft)

    return write.rewrite(entry, filled, finish)


def put_on(entry: Entry, expected: Stat, fill: Callable[[int, int], None], attributes: Attributes) -> Stat:
    """The same, with everything the old file had: mode, owner, times, attributes, ACL."""

    def filled(old: int, stat: Stat, draft: int) -> None:
        if (stat.identity, stat.size, stat.mtime_ns) != (expected.identity, expected.size, expected.mtime_ns):
            raise Stale(f"`{names.clipped(str(entry))}` changed meanwhile", _LOOK_AGAIN)
        fill(old, draft)

    return write.rewrite(entry, filled, attributes.wear)


def bring_back(entry: Entry, fill: Callable[[int], None], attributes: Attributes) -> Stat:
    """Make a file again, as it was; Exists if something has its name."""

    def filled(draft: int) -> None:
        fill(draft)
        attributes.wear(draft)

    with entry.find_to_change(Ending.NEW) as place, turn(entry.root.backend, place):
        _free(entry, place)
        return write.new_file(entry, place, filled)


def bring_back_directory(entry: Entry, attributes: Attributes) -> Stat:
    """Make an empty directory again, as it was."""
    with entry.find_to_change(Ending.NEW) as place:
        _free(entry, place)
        backend, private = entry.root.backend, private_name()
        backend.make_directory(place.directory, private, 0o700)
        try:
            handle = backend.enter(place.directory, private)
            try:
                with _for_attributes(handle) as fd:
                    if fd is not None:
                        attributes.wear(fd)
            finally:
                backend.close(handle)
            made = backend.lstat(place.directory, private)
            with watched(Step(Act.MAKE_DIRECTORY, entry.at(place.parts), made=made)) as ticket:
                backend.rename(place.directory, private, place.directory, place.name, Overwrite.REFUSE)
                ticket.happened(made)
        finally:
            with contextlib.suppress(OSError, LinkFound):
                remove_tree(backend, place.directory, private)
        backend.sync_directory(place.directory)
        return made


@contextlib.contextmanager
def _for_attributes(handle: int) -> Iterator[int | None]:
    """A descriptor of a directory that takes owner, mode and times; None where the system has none."""
    if os.name != "posix":
        yield None
        return
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    try:
        yield fd
    finally:
        os.close(fd)


def bring_back_link(entry: Entry, text: str, attributes: Attributes) -> Stat:
    """Make a link again; it leads where it led."""
    with entry.find_to_change(Ending.NEW) as place:
        _free(entry, place)
        backend, private = entry.root.backend, private_name()
        backend.make_link(place.directory, private, text)
        try:
            attributes.wear_link(place.directory, private)
            made = backend.lstat(place.directory, private)
            with watched(Step(Act.CREATE, entry.at(place.parts), made=made, link=text)) as ticket:
                backend.rename(place.directory, private, place.directory, place.name, Overwrite.REFUSE)
                ticket.happened(made)
        finally:
            with contextlib.suppress(OSError, LinkFound):
                remove_tree(backend, place.directory, private)
        backend.sync_directory(place.directory)
        return made


def take_back(entry: Entry, wanted: trash.Wanted, cancel: trash.Cancel) -> Stat:
    """Take a thing out of the trash, to where it was; NotFound if it is not there any more."""
    with entry.find_to_change(Ending.NEW) as place, turn(entry.root.backend, place):
        _free(entry, place)
        real = entry.at(place.parts)

        def told(made: Stat) -> contextlib.AbstractContextManager[Ticket]:
            return watched(Step(Act.TAKE_BACK, real, made=made))

        target = trash.Target(place.directory, place.name, names.clipped(str(entry)))
        made = trash.take_back(entry.root.backend, target, wanted, told, cancel)
        entry.root.backend.sync_directory(place.directory)
        return made


def _free(entry: Entry, place: Place) -> None:
    if place.stat is not None or place.through_link:
        raise Exists(
            f"something else has the name `{names.clipped(str(entry))}` by now", "move it away, then try again"
        )

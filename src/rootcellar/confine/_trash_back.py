"""Out of the trash again, on Linux: found by which file it is, renamed back by an errand that may change this trash."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Final

from rootcellar.confine._doomed import Cancel, Target, Told, Wanted
from rootcellar.confine._landlock import WRITE, Allowance
from rootcellar.confine._open import Backend, LinkFound, Overwrite, Stat
from rootcellar.confine._trash_copy import Spot, copy_tree, remove_copied
from rootcellar.confine._trash_linux import INFO_RIGHTS, forget
from rootcellar.confine._trash_places import Place, home_place, place_of_mount
from rootcellar.confine.drafts import private_name
from rootcellar.confine.pool import Errand, errand
from rootcellar.confine.removal import remove_tree
from rootcellar.errors import NotFound, Refusal, Stale

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES_MAX: Final = 100_000  # in a trash that is looked through for one thing


def take_back(backend: Backend, target: Target, wanted: Wanted, told: Told, cancel: Cancel) -> Stat:
    """Look in the trash of the target's mount, then in the home trash."""
    opens: tuple[Callable[[], Place], ...] = (lambda: place_of_mount(target.directory), home_place)
    for opened in opens:
        with contextlib.suppress(_NotHere):
            return errand(lambda opened=opened: _returning(backend, opened, target, wanted, told, cancel))  # type: ignore[misc]
    raise NotFound(f"`{target.shown}` is not in the trash any more", "it was emptied, or taken back already")


class _NotHere(Exception):  # noqa: N818 - a signal: look in the next trash
    """It is not in the trash at hand."""


def _returning(
    backend: Backend, opened: Callable[[], Place], target: Target, wanted: Wanted, told: Told, cancel: Cancel
) -> Errand[Stat]:
    """The kernel lets a thing come back only from where we have the same rights as at its target."""
    try:
        place = opened()
    except (OSError, Refusal) as error:
        raise _NotHere from error
    extras = (
        Allowance(place.files, WRITE, "the trash, to take one thing back"),
        Allowance(place.info, INFO_RIGHTS, "the trash's records"),
    )

    def act() -> Stat:
        name = _found(backend, place, wanted)
        made = backend.lstat(place.files, name)
        try:
            with told(made) as ticket:
                backend.rename(place.files, name, target.directory, target.name, Overwrite.REFUSE)
                ticket.happened(made)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            made = _copied(backend, Spot(place.files, name), target, told, cancel)
        forget(place, name)
        return made

    return Errand(extras, act, place.close)


def _found(backend: Backend, place: Place, wanted: Wanted) -> str:
    """The thing's name in this trash: the one it got, or wherever the same file stands now."""
    with contextlib.suppress(FileNotFoundError):
        if wanted.name and backend.lstat(place.files, wanted.name).identity == wanted.identity:
            return wanted.name
    for count, (name, _) in enumerate(backend.scan(place.files)):
        if count >= _NAMES_MAX:
            break
        with contextlib.suppress(FileNotFoundError):
            if backend.lstat(place.files, name).identity == wanted.identity:
                return name
    raise _NotHere


def _copied(backend: Backend, source: Spot, target: Target, told: Told, cancel: Cancel) -> Stat:
    """From the trash of another disk: a whole copy gets the name, then the trash lets go of what was copied."""
    private = Spot(target.directory, private_name())
    copied = copy_tree(backend, source, private, backend.lstat(*source), cancel.check)
    if copied is None:
        raise Stale(f"`{target.shown}` changed in the trash while it was taken back", "try again")
    try:
        made = backend.lstat(*private)
        with told(made) as ticket:
            backend.rename(*private, target.directory, target.name, Overwrite.REFUSE)
            ticket.happened(made)
    finally:
        with contextlib.suppress(OSError, LinkFound):
            remove_tree(backend, *private)
    with contextlib.suppress(OSError):
        remove_copied(backend, source, copied)
    return made

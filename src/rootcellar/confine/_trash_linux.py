"""The trash on Linux: take a name there, rename by handle, look; threats and algorithm are in `trash.py`."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from typing import Final

from rootcellar import limits
from rootcellar.confine._doomed import AGAIN, Cancel, Doomed, Trashed
from rootcellar.confine._landlock import RECEIVE, WRITE, Allowance, Right
from rootcellar.confine._open import Backend, Overwrite
from rootcellar.confine._trash_copy import Spot, copy_tree, remove_copied
from rootcellar.confine._trash_places import Place, home_place, place_of_mount
from rootcellar.confine.pool import Errand, errand
from rootcellar.errors import Failed, Stale

INFO_RIGHTS: Final = Right.MAKE_FILE | Right.WRITE_FILE | Right.REMOVE_FILE
_COPY_RIGHTS: Final = RECEIVE | Right.WRITE_FILE | Right.READ_DIRECTORY | Right.REMOVE_FILE | Right.REMOVE_DIRECTORY
_SUFFIX: Final = ".trashinfo"
_NAMES_MAX: Final = 10_000  # that many things of one name in a trash: something is wrong with it


class _WrongThing(Exception):  # noqa: N818 - a signal from the errand, never seen outside
    """What was moved to the trash, under this name there, is not what was meant."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def send(backend: Backend, doomed: Doomed, cancel: Cancel) -> Trashed:
    """Put it into the trash and say where; Stale if the name has become another file, which then stays."""
    try:
        return errand(lambda: _renaming(backend, doomed))
    except _WrongThing as wrong:
        name = wrong.name
        errand(lambda: _returning(backend, doomed, name))
        raise Stale(f"`{doomed.name}` was replaced by something else meanwhile", AGAIN) from None
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    return errand(lambda: _copying(backend, doomed, cancel))


def _renaming(backend: Backend, doomed: Doomed) -> Errand[Trashed]:
    """Open the trash of the thing's own mount; EXDEV if there is none."""
    place = place_of_mount(doomed.directory)
    extras = (
        Allowance(place.files, RECEIVE, "the trash"),
        Allowance(place.info, INFO_RIGHTS, "the trash's records"),
    )
    return Errand(extras, lambda: _rename(backend, doomed, place), place.close)


def _copying(backend: Backend, doomed: Doomed, cancel: Cancel) -> Errand[Trashed]:
    """Open the home trash for a thing from another mount."""
    place = home_place()
    extras = (
        Allowance(place.files, _COPY_RIGHTS, "the trash"),
        Allowance(place.info, INFO_RIGHTS, "the trash's records"),
    )
    return Errand(extras, lambda: _copy(backend, doomed, place, cancel), place.close)


def _rename(backend: Backend, doomed: Doomed, place: Place) -> Trashed:
    """Take a name in the trash, rename to it, look, and take it back if it was the wrong thing."""
    for name in _names(doomed, place):
        try:
            backend.rename(doomed.directory, doomed.name, place.files, name, Overwrite.REFUSE)
        except OSError as error:
            forget(place, name)
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                continue
            raise
        if backend.lstat(place.files, name).identity == doomed.expected.identity:
            return Trashed(place.words, name, doomed.expected.identity)
        raise _WrongThing(name)
    raise _full()


def _returning(backend: Backend, doomed: Doomed, name: str) -> Errand[None]:
    """Put back what was not meant; the kernel lets a thing come back only from where it had the same rights."""
    place = place_of_mount(doomed.directory)
    extras = (
        Allowance(place.files, WRITE, "the trash, to take one thing back"),
        Allowance(place.info, INFO_RIGHTS, "the trash's records"),
    )

    def act() -> None:
        backend.rename(place.files, name, doomed.directory, doomed.name, Overwrite.REFUSE)
        forget(place, name)

    return Errand(extras, act, place.close)


def _copy(backend: Backend, doomed: Doomed, place: Place, cancel: Cancel) -> Trashed:
    """Copy under a name of its own, then remove of the original what was copied."""
    for name in _names(doomed, place):
        try:
            os.stat(name, dir_fd=place.files, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            forget(place, name)
            continue
        source = Spot(doomed.directory, doomed.name)
        copied = None
        try:
            copied = copy_tree(backend, source, Spot(place.files, name), doomed.expected, cancel.check)
        finally:
            if copied is None:
                forget(place, name)
        if copied is None:
            raise Stale(f"`{doomed.name}` changed while it was copied to the trash", AGAIN)
        if not remove_copied(backend, source, copied):
            raise Stale(
                f"`{doomed.name}` was copied to the trash, but changed meanwhile",
                "What changed was left in place; look at it again",
            )
        return Trashed(place.words, name, backend.lstat(place.files, name).identity)
    raise _full()


def _names(doomed: Doomed, place: Place) -> Iterator[str]:
    """Names that were free in the trash, each already taken by its record; a name that is used needs no more care."""
    stem, dot, extension = doomed.name.rpartition(".")
    if not stem:
        stem, dot, extension = doomed.name, "", ""
    text = f"[Trash Info]\nPath={place.recorded(doomed.path)}\nDeletionDate={time.strftime('%Y-%m-%dT%H:%M:%S')}\n"
    for number in range(1, _NAMES_MAX):
        tail = ("" if number == 1 else f".{number}") + dot + extension
        name = _cut(stem, limits.NAME_BYTES_MAX - len(os.fsencode(tail + _SUFFIX))) + tail
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            record = os.open(name + _SUFFIX, flags, 0o600, dir_fd=place.info)
        except FileExistsError:
            continue
        try:
            os.write(record, text.encode("ascii"))
        finally:
            os.close(record)
        yield name


def _cut(stem: str, size: int) -> str:
    """The stem in at most so many bytes, never in the middle of a character."""
    while stem and len(os.fsencode(stem)) > size:
        stem = stem[:-1]
    return stem


def forget(place: Place, name: str) -> None:
    """Remove a record that stands for nothing."""
    with contextlib.suppress(OSError):
        os.unlink(name + _SUFFIX, dir_fd=place.info)


def _full() -> Failed:
    return Failed("the trash takes no more things of this name", "Empty the trash, then try again")

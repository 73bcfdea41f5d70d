"""A name inside a root, with the verbs of a file system. Not a path: nothing outside `confine` sees one.

Every verb leads the name to its place anew (`resolve.find`) and acts on that handle in the same breath, so there is no
gap between a check and its use. Links that stay inside are followed by every verb but `lstat`, `move`, `trash` and
`remove`, which act on the link itself; a link that leaves is refused by all of them, whether or not it leads anywhere.

Not promised: hard links and bind mounts are what they look like, files of this root; whoever may rename inside a root
decides what a name means, never where a call can reach; `path_unchecked` is a string, and the caller's own risk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rootcellar.confine import copying, names, removal, trash, write
from rootcellar.confine._open import DRAFT_PREFIX, Kind, Overwrite, Stat, shut
from rootcellar.confine.content import Content, Listed
from rootcellar.confine.refusals import read_only, spoken, wrong_kind
from rootcellar.confine.resolve import Ending, Place, Trail, find
from rootcellar.confine.walk import Cancel, Details, Walked, walk_below
from rootcellar.confine.witness import UNWATCHED, Act, Step, Witness, watched
from rootcellar.errors import BadName, NotFound, Refusal, Sealed, TooLarge
from rootcellar.policy import Access

if TYPE_CHECKING:
    from rootcellar.confine.roots import Root


@dataclass(frozen=True, slots=True)
class Entry:
    """A name inside a root; `parts` are as asked for, or `Exact` as the disk has them; also `..`, and a last `.`.

    Every change is told to the `witness` before it is real (see `witness.py`).
    """

    root: Root
    parts: tuple[str, ...]
    witness: Witness = field(default=UNWATCHED, repr=False, compare=False)

    # Names

    def __str__(self) -> str:
        """The short form that is shown, and that means this entry when it is asked for again."""
        path = "/".join(map(names.told, self._plain())) + ("/" if len(self.parts) > 1 and self.parts[-1] == "." else "")
        if self.root.is_only:
            return path or "."
        return f"{self.root.name}/{path}" if path else self.root.name

    @property
    def name(self) -> str:
        """The last name as asked for; the root's own name at its top."""
        plain = self._plain()
        return names.told(plain[-1]) if plain else self.root.name

    @property
    def parent(self) -> Entry:
        """The directory above, as spelled; the root's is itself."""
        plain = self._plain()
        return Entry(self.root, (*plain, "..") if plain and plain[-1] == ".." else plain[:-1], self.witness)

    def child(self, name: str) -> Entry:
        """Give the entry of a raw name (as `list` and `walk` give them) in this directory."""
        if self.root.backend.split(name) != ("", [name]) or name in (".", ".."):
            raise BadName(f"`{names.clipped(names.shown(name))}` is not one name", "use a name without separators")
        return self.below((self.root.backend.check(name),))

    def below(self, raw: tuple[str, ...]) -> Entry:
        """Give the entry at raw names below this directory."""
        return Entry(self.root, self._plain() + tuple(map(names.Exact, raw)), self.witness)

    def at(self, real: tuple[str, ...]) -> Entry:
        """Give the entry at a real place in this root, as a walk to it found it."""
        return Entry(self.root, tuple(map(names.Exact, real)), self.witness)

    def _plain(self) -> tuple[str, ...]:
        return self.parts[:-1] if self.parts[-1:] == (".",) else self.parts

    # The way there

    @contextmanager
    def find(self, ending: Ending) -> Iterator[Place]:
        """Lead to the place, to look or read; nothing but Refusals comes out."""
        with spoken(names.clipped(str(self))), find(self.root, self.parts, ending, self._guard) as place:
            yield place

    @contextmanager
    def find_to_change(self, ending: Ending) -> Iterator[Place]:
        """Lead to the place, to change it: refused where only reading is admitted."""
        with self.find(ending) as place:
            if self.root.policy.read_only or self.root.access_at(place.parts) is Access.READ_ONLY:
                raise read_only(names.clipped(str(self)))
            yield place

    def _guard(self, parents: tuple[str, ...], name: str) -> None:
        if name.startswith(DRAFT_PREFIX):
            raise BadName(f"`{names.shown(name)}` is kept for unfinished writes", "use another name")
        if self.root.seals.hold(parents, name):
            raise Sealed(f"`{names.clipped(str(self))}` is sealed: it is never read or changed here", "ask the user")

    @contextmanager
    def directory(self) -> Iterator[tuple[Trail, tuple[str, ...]]]:
        """Open the directory: a trail that starts in it, and its real place."""
        with self.find(Ending.FOLLOW) as place:
            backend = self.root.backend
            if place.name == ".":
                handle = place.directory
            else:
                if place.stat is not None and place.stat.kind is not Kind.DIRECTORY:
                    raise wrong_kind(place.stat.kind, names.clipped(str(self)))
                handle = backend.enter(place.directory, place.name)
            trail = Trail(backend, handle)
            try:
                yield trail, place.parts
            finally:
                trail.clear()
                if handle != place.directory:
                    backend.close(handle)

    # Looking

    def stat(self) -> Stat:
        """Describe what the name leads to."""
        with self.find(Ending.FOLLOW) as place:
            return _there(place)

    def lstat(self) -> Stat:
        """Describe the name itself: a link is a link."""
        with self.find(Ending.ITSELF) as place:
            return _there(place)

    def link_target(self) -> Entry:
        """Where this link leads in its root, whether or not something is there. OutsideRoots if it leaves."""
        if self.lstat().kind is not Kind.LINK:
            raise wrong_kind(Kind.OTHER, names.clipped(str(self)))
        with self.find(Ending.NEW) as place:
            return self.at(place.parts)

    def list(self) -> list[Listed]:
        """Every name in this directory, sorted, each described while the directory is open."""
        found: list[Listed] = []
        with self.directory() as (trail, above):
            backend, seals = self.root.backend, self.root.seals
            for name, _ in backend.scan(trail.top):
                if name.startswith(DRAFT_PREFIX):
                    continue
                try:
                    stat = backend.lstat(trail.top, name)
                except FileNotFoundError:
                    continue
                sealed = seals.hold(above, name)
                found.append(Listed(name, stat, sealed or (stat.kind is Kind.LINK and self._leads_to_sealed(name))))
        found.sort(key=lambda item: item.name)
        return found

    def _leads_to_sealed(self, name: str) -> bool:
        try:
            self.below((name,)).stat()
        except Sealed:
            return True
        except Refusal:
            return False
        return False

    def walk(
        self,
        *,
        details: Details = Details.KIND,
        ignore: Callable[[Walked], bool] | None = None,
        unread: Callable[[Walked, Refusal], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Iterator[Walked]:
        """Every name below this directory; see `walk_below`. Dropping the iteration closes everything."""
        with self.directory() as (trail, above):
            yield from walk_below(
                self, trail, above=above, details=details, ignore=ignore, unread=unread, cancel=cancel
            )

    # Reading

    def open_read(self) -> Content:
        """Open for reading, at once, a regular file only; use it in a `with` block."""
        with self.find(Ending.FOLLOW) as place:
            if place.name == ".":
                raise wrong_kind(Kind.DIRECTORY, names.clipped(str(self)))
            backend = self.root.backend
            fd = backend.open_file(place.directory, place.name)
            try:
                return Content(fd, backend.fstat(fd))
            except OSError:
                shut(fd)
                raise

    def read(self, limit: int) -> bytes:
        """The whole content, or TooLarge when it is over `limit` bytes."""
        with self.open_read() as content, spoken(names.clipped(str(self))):
            data = content.read_at(0, limit + 1) if content.size <= limit else b""
            if content.size > limit or len(data) > limit:
                told = f"`{names.clipped(str(self))}` has {max(content.size, len(data))} bytes, the limit is {limit}"
                raise TooLarge(told, "read a part of it")
            return data

    def version(self, cancel: Cancel | None = None) -> str:
        """The version of the content, to be given back as `if_version`."""
        with self.open_read() as content, spoken(names.clipped(str(self))):
            return content.version(cancel)

    # Changing

    def create(self, data: bytes) -> Stat:
        """Make a file that holds `data`, whole or not at all; Exists if the name is taken, also by a link."""
        return write.create(self, data)

    def replace(self, data: bytes, *, if_version: str | None = None) -> Stat:
        """Make `data` the whole content in one step, whether or not the file was there; see `write.replace`."""
        return write.replace(self, data, if_version)

    def append(self, data: bytes) -> Stat:
        """Add `data` at the end in one step; the file is made if it is not there."""
        return write.append(self, data)

    def edit(self, change: Callable[[bytes], bytes], *, if_version: str | None = None) -> write.Edited:
        """Replace the content by what `change` makes of it, alone with the file; called again if others interfere."""
        return write.edit(self, change, if_version)

    def make_directory(self) -> Stat:
        """Make a directory; Exists if the name is taken, NotFound if its parent is not there."""
        return write.make_directory(self)

    def make_directories(self) -> Stat:
        """Make this directory and those above it that are missing; a directory that is there is as good."""
        try:
            stat = self.stat()
        except NotFound:
            if len(self._plain()) > 1:
                self.parent.make_directories()
            return self.make_directory()
        if stat.kind is not Kind.DIRECTORY:
            raise wrong_kind(stat.kind, names.clipped(str(self)))
        return stat

    def copy(
        self,
        to: Entry,
        overwrite: Overwrite = Overwrite.REFUSE,
        cancel: Cancel | None = None,
        progress: removal.Progress | None = None,
    ) -> copying.Copied:
        """Copy a file or a whole directory, to this or another root; see `copying.copy`."""
        return copying.copy(self, to, overwrite, removal.Watch(cancel, progress))

    def move(
        self,
        to: Entry,
        overwrite: Overwrite = Overwrite.REFUSE,
        cancel: Cancel | None = None,
        progress: removal.Progress | None = None,
    ) -> None:
        """Move a name, a link as a link, a directory with all it holds, to this or another root; see `copying.move`."""
        copying.move(self, to, overwrite, removal.Watch(cancel, progress))

    def remove(self, cancel: Cancel | None = None) -> None:
        """Remove for good, with all it holds. Refused when something sealed would be lost."""
        removal.remove(self, removal.Watch(cancel))

    def trash(self, cancel: Cancel | None = None) -> trash.Trashed:
        """Put it into the system's trash. Refused when something sealed would go with it."""
        with removal.removable(self) as (place, stat):
            path = os.path.join(self.root.real, *place.parts)  # noqa: PTH118 - a record for the trash, nothing is opened
            doomed = trash.Doomed(place.directory, place.name, path, stat)
            with watched(Step(Act.TRASH, self.at(place.parts), stat)) as ticket:
                trashed = trash.send(self.root.backend, doomed, _calm(cancel))
                ticket.happened(trashed=trashed)
            return trashed

    # The other door

    def path_unchecked(self) -> str:
        """The real absolute path, for libraries that open by name. The caller compares identities after opening."""
        try:
            with self.find(Ending.FOLLOW) as place:
                return os.path.join(self.root.real, *place.parts)  # noqa: PTH118 - the one door
        except NotFound:
            with self.find(Ending.NEW) as place:
                return os.path.join(self.root.real, *place.parts)  # noqa: PTH118 - the same door, to what is not there yet


def _there(place: Place) -> Stat:
    if place.stat is None:
        raise FileNotFoundError
    return place.stat


class _Calm:
    """A request that nobody takes back."""

    cancelled = False

    def check(self) -> None:
        """Go on."""


def _calm(cancel: Cancel | None) -> Cancel:
    return _Calm() if cancel is None else cancel

"""One call's recording: the witness of everything it changes, so that no tool can forget the journal or the user.

A call's entries carry its recording (`Roots.witnessed`), so every change of a file passes here before it is real, and
every change of a database before it is kept (`database`). In this order: does it destroy something, and has the user
agreed to exactly that; then the journal's record, durable; then the change. A Refusal from any of it stops the change,
and nothing has happened. Nothing is recorded of a call that changes nothing: its draft is made at the first step.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from rootcellar import limits
from rootcellar.confine import Act
from rootcellar.errors import BadArgument, Busy, Declined, NeedsConsent, Refusal, TooLargeToKeep
from rootcellar.journal import facts as fact
from rootcellar.journal import stating
from rootcellar.journal.contents import digest
from rootcellar.journal.databases import DatabaseRecord
from rootcellar.journal.files import FileRecord, Unkept
from rootcellar.policy import Effect
from rootcellar.telemetry import LOG

if TYPE_CHECKING:
    from rootcellar.confine import Entry, Step, Ticket
    from rootcellar.journal.changes import Change, Recorded
    from rootcellar.journal.drafting import Draft
    from rootcellar.journal.store import Store
    from rootcellar.sqlite import Changed, Recorder


class Asks(Enum):
    """What becomes of a change that destroys something and that the user has not agreed to."""

    ASK = "the user is asked"
    LET = "it is made, and can be undone"
    REFUSE = "it is refused: nobody can be asked"


@dataclass(frozen=True, slots=True)
class Request:
    """What the journal knows of a call, and what the user has agreed to for it."""

    tool: str
    effect: Effect
    arguments: str
    host: str
    key: str  # the caller's `request_key`; empty for none
    asks: Asks
    agreed: frozenset[str] = frozenset()  # fingerprints
    sql: str = ""  # what a database was asked to do, for the user who is asked


class Recording:
    """What one call changes."""

    def __init__(self, store: Store, request: Request) -> None:
        self._store = store
        self._request = request
        self._draft: Draft | None = None
        self._file_record: FileRecord | None = None
        self._is_agreed = False
        self._was_agreed = False
        self.is_for_good = False  # the user knows that no copy was kept
        self._made: dict[str, Entry] = {}
        self._undoing: Recorded | None = None
        self._undoes = ""

    # Before a change is real

    def about_to(self, step: Step) -> Ticket:
        """The witness of files: ask, then record."""
        if stating.destroys(step) and not self.is_new(step.to or step.entry):
            self.agree(lambda: stating.about_file(step))
        if step.act is Act.CREATE:
            self._made[fact.path(fact.at(step.entry))] = step.entry
        try:
            return self._files().about_to(step)
        except TooLargeToKeep as large:
            if self._request.asks is not Asks.ASK:
                raise
            told = large.message  # Python forgets `large` when the block ends
            self.agree(lambda: stating.without_undo(step, told))
        self.is_for_good = True
        return FileRecord(self._store, self.draft(), Unkept.LET_GO).about_to(step)

    def database(self, entry: Entry) -> Recorder:
        """The recorder of changes to one database: the same, before a change of it is kept."""
        record = DatabaseRecord(self._store, self.draft(), entry)
        record.undoing = self._undoing
        return _Asking(self, entry, record)

    def _files(self) -> FileRecord:
        if self._file_record is None:
            self._file_record = FileRecord(self._store, self.draft())
        self._file_record.undoing = self._undoing
        return self._file_record

    def is_new(self, entry: Entry) -> bool:
        """Whether this very call has made it: then nothing in it can be lost."""
        return fact.path(fact.at(entry)) in self._made

    def agree(self, state: Callable[[], NeedsConsent]) -> None:
        """Go on only with the user's yes to what `state` says, where a yes is needed. NeedsConsent, Declined."""
        if self._is_agreed or self._request.asks is Asks.LET:
            return
        if self._request.asks is Asks.REFUSE:
            raise Declined(
                "this change needs the user's yes, and this client cannot ask for it",
                "ask the user to make it, or to start the server with `--confirm ask`",
            )
        need = state()
        if need.fingerprint not in self._request.agreed:
            need.is_further = self._was_agreed
            raise need
        self._was_agreed = True

    def agree_to_change(self, entry: Entry, changed: Changed) -> None:
        """The same for a prepared change of a database."""
        self.agree(lambda: stating.about_database(entry, changed, self._request.sql))

    def agree_to_all(self, state: Callable[[], NeedsConsent]) -> None:
        """One yes for everything this call does from here on: what it will do is stated in one."""
        self.agree(state)
        self._is_agreed = True

    def draft(self) -> Draft:
        """The record of this call, begun when it is first asked for."""
        if self._draft is None:
            told = self._request
            self._draft = self._store.begin(told.tool, told.arguments, told.host, told.effect, told.key, self._undoes)
        return self._draft

    # What an undo tells (`undo.Taking`)

    def begin_undo(self, ids: Sequence[str]) -> None:
        """What this call changes undoes these changes."""
        self._undoes = " ".join(ids)

    def take_back(self, step: Recorded | None) -> None:
        """What is recorded from now on takes back this step."""
        self._undoing = step

    def nothing(self, step: Recorded, why: str) -> None:
        """Record that a step is undone without an act."""
        self._files().nothing(step, why)

    def recorded(self) -> Sequence[Recorded]:
        """The steps that have happened, in order."""
        return self.draft().recorded()

    def forget(self) -> None:
        """Everything was put back: nothing of this call stays recorded."""
        self.draft().forget()

    # Once

    def earlier(self) -> Change | None:
        """What a call with the same key has done already, in this or another process. Busy while it is at it."""
        if not self._request.key:
            return None
        until = time.monotonic() + limits.REQUEST_KEY_WAIT_S
        while True:
            try:
                found = self._store.by_request_key(self._request.key)
                break
            except Busy:
                if time.monotonic() > until:
                    raise
                time.sleep(limits.REQUEST_KEY_LOOK_S)
        if found is not None and (found.tool, found.arguments) != (self._request.tool, self._request.arguments):
            raise BadArgument(
                f"`request_key` belongs to another call: `{found.tool}`, change_id {found.id}",
                "use a new key for each change",
            )
        return found

    # After

    def seal(self, summary: str) -> Change | None:
        """End the record; None when nothing was changed. Never raises: what was changed is changed."""
        draft, self._draft, self._file_record = self._draft, None, None
        if draft is None:
            return None
        kept = summary if self._request.key else summary[: limits.SUMMARY_CHARS_MAX]
        try:
            if _came_to_nothing(draft.recorded()):
                draft.forget()
            for step in draft.recorded():
                self._look_again(draft, step)
            return draft.seal(kept)
        except Refusal as refusal:  # it is begun on the disk, and settled by the next server
            LOG.warning("change %s could not be sealed: %s", draft.id, refusal)
            return None

    def _look_again(self, draft: Draft, step: Recorded) -> None:
        """A file that was made empty, for a worker to fill: what it holds now is what this call made."""
        entry = self._made.get(fact.path(step.facts["at"])) if step.kind == "file.create" else None
        if entry is None or step.facts["made"]["size"]:
            return
        with contextlib.suppress(Refusal), entry.open_read() as content:
            if content.size and content.stat.identity == fact.identity(step.facts["made"]):
                is_small = content.size <= limits.JOURNAL_HASH_BYTES_MAX
                known = digest(content.fd, 0, content.size, None) if is_small else ""
                draft.amend(step.n, {"made": fact.stat(content.stat), "hash": known})


def _came_to_nothing(steps: Sequence[Recorded]) -> bool:
    """Whether all that a call did was to make a file and take it away again."""
    if [step.kind for step in steps] != ["file.create", "file.remove"]:
        return False
    return fact.path(steps[0].facts["at"]) == fact.path(steps[1].facts["at"])


class _Asking:
    """A database's recorder that asks before it records."""

    def __init__(self, recording: Recording, entry: Entry, inner: Recorder) -> None:
        self._recording, self._entry, self._inner = recording, entry, inner

    def keep_whole(self, size: int) -> None:
        """Keep the files as they are."""
        self._inner.keep_whole(size)

    def record(self, changed: Changed) -> None:
        """Ask, then record."""
        if changed.effect is Effect.DESTROY and not self._recording.is_new(self._entry):
            self._recording.agree_to_change(self._entry, changed)
        self._inner.record(changed)

    def happened(self, changed: Changed) -> None:
        """It is committed."""
        self._inner.happened(changed)

    def did_not(self) -> None:
        """It was rolled back."""
        self._inner.did_not()

    def unsure(self) -> None:
        """The worker died: the database itself must tell."""
        self._inner.unsure()

"""One call's recording: the witness of everything it changes, so that no tool can forget the journal or the user.

A call's entries carry its recording (`Roots.witnessed`), so every change of a file passes here before it is real, and
every change of a database before it is kept (`database`). In this order: does it destroy something, and has the user
agreed to exactly that; then the journal's record, durable; then the change. A Refusal from any of it stops the change,
and nothing has happened. Nothing is recorded of a call that changes nothing: its draft is made at the first step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from rootcellar import limits
from rootcellar.confine import UNWATCHED
from rootcellar.errors import BadArgument, Busy, Declined, NeedsConsent, Refusal
from rootcellar.journal import stating
from rootcellar.telemetry import LOG

if TYPE_CHECKING:
    from rootcellar.confine import Step, Ticket
    from rootcellar.journal.changes import Change
    from rootcellar.journal.drafting import Draft
    from rootcellar.journal.store import Store
    from rootcellar.policy import Effect


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


class Recording:
    """What one call changes."""

    def __init__(self, store: Store, request: Request) -> None:
        self._store = store
        self._request = request
        self._draft: Draft | None = None
        self._is_agreed = False

    # Before a change is real

    def about_to(self, step: Step) -> Ticket:
        """The witness of files: ask, then record."""
        if stating.destroys(step):
            self.agree(lambda: stating.about_file(step))
        return UNWATCHED.about_to(step)

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
            raise need

    def agree_to_all(self, state: Callable[[], NeedsConsent]) -> None:
        """One yes for everything this call does from here on: what it will do is stated in one."""
        self.agree(state)
        self._is_agreed = True

    def draft(self) -> Draft:
        """The record of this call, begun when it is first asked for."""
        if self._draft is None:
            told = self._request
            self._draft = self._store.begin(told.tool, told.arguments, told.host, told.effect, told.key)
        return self._draft

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
        draft, self._draft = self._draft, None
        if draft is None:
            return None
        kept = summary if self._request.key else summary[: limits.SUMMARY_CHARS_MAX]
        try:
            return draft.seal(kept)
        except Refusal as refusal:  # it is begun on the disk, and settled by the next server
            LOG.warning("change %s could not be sealed: %s", draft.id, refusal)
            return None

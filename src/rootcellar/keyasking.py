"""Asking the user for a database's key without the model or the host seeing it: a page of ours, by URL elicitation.

Where the client can send its user to an address, a call that lacks a key starts a page (`keypage`) and has the user
sent there. Accepting only means that the address was opened; so the call waits until the page has the key, which the
page tries on the very file and puts into the keychain, and then it goes on. One page for one file at a time.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from rootcellar import asking, limits, unlocking
from rootcellar.errors import Declined, NeedsKey, Refusal
from rootcellar.keypage import KeyPage
from rootcellar.keys import Keys
from rootcellar.secrets import Secret


@dataclass(frozen=True, slots=True)
class _Open:
    """A page that waits for the key of one file."""

    page: KeyPage
    salt: bytes
    name: str


@dataclass(slots=True)
class KeyQuestions:
    """The pages of this server that are open. One event loop's own."""

    keys: Keys
    threads: Executor  # outside the wall: pages and keychains are asked from there
    _open: dict[str, _Open] = field(default_factory=dict)

    async def answered(self, talk: asking.Talk) -> None:
        """Wait for the page that an earlier round of this call has sent the user to. Declined if they would not go."""
        ident = talk.visited()
        found = self._open.get(ident) if ident else None
        if ident and found:
            await self._wait(ident, found)

    async def ask(self, talk: asking.Talk, need: NeedsKey) -> None:
        """Send the user to a page and wait for the key. Raises `need` itself where that cannot be done."""
        if not need.salt or not talk.can_visit():
            raise need
        self._sweep()
        ident = next((ident for ident, one in self._open.items() if one.salt == need.salt), "")
        if ident and self._open[ident].page.was_opened:
            self._open.pop(ident).page.end()
            ident = ""
        if not ident:
            if len(self._open) >= limits.KEY_PAGES_MAX:
                raise need
            ident = secrets.token_urlsafe(16)
            page = await asyncio.get_running_loop().run_in_executor(self.threads, partial(self._page, need))
            self._open[ident] = _Open(page, need.salt, need.name)
        found = self._open[ident]
        message = f"Enter the key of the database `{need.name}` on a page of your own computer"
        await talk.visit(found.page.url, message, ident)
        await self._wait(ident, found)
        await talk.visit_is_over(ident)

    def close(self) -> None:
        """End every page."""
        for one in self._open.values():
            one.page.end()

    def _page(self, need: NeedsKey) -> KeyPage:
        def take(secret: Secret) -> None:
            unlocking.keep(self.keys, need.path, secret, need.salt)

        return KeyPage(need.path, take)

    async def _wait(self, ident: str, found: _Open) -> None:
        """Return once the key is kept."""
        until = asyncio.get_running_loop().time() + limits.KEY_PAGE_WAIT_S
        while not found.page.kept.is_set():
            if found.page.ended.is_set():
                self._open.pop(ident, None)
                raise Declined(f"no key was given for `{found.name}`", "ask the user what they want, then try again")
            if asyncio.get_running_loop().time() > until:
                raise Refusal(
                    f"the key of `{found.name}` has not been entered yet",
                    "call again once the user has entered it on the page that was opened for them",
                )
            await asyncio.sleep(limits.KEY_PAGE_LOOK_S)
        self._open.pop(ident, None)

    def _sweep(self) -> None:
        for ident in [ident for ident, one in self._open.items() if one.page.ended.is_set()]:
            del self._open[ident]

"""The key that seals what a client carries back to us (`requestState`): from the keychain, or of this process alone.

A question to the user may be answered after its server was started anew; with a key that is kept, what it sealed is
still known then. The key is made on first use and fetched beside the work: the first question goes out under a key of
this process, and both open. Where the keychain gives none unasked, the process's own key is all there is. That a sealed
state is ours never means yes: consent is counted by its own tokens, which end with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from secrets import token_bytes
from typing import Final

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from rootcellar.keys import REQUEST_STATE, Keys
from rootcellar.secrets import Secret

_KEY_BYTES: Final = 32
_WAIT_S: Final = 0.5  # for the kept key, once, when a state comes in that this process did not seal


class KeptCodec:
    """The SDK's codec over a ring of one key or two."""

    def __init__(self, find: Callable[[], Secret | None], later: Callable[[Callable[[], None]], None]) -> None:
        self._own = token_bytes(_KEY_BYTES)
        self._codec = AESGCMRequestStateCodec([self._own])
        self._find, self._later = find, later
        self._has_asked = False
        self._found = threading.Event()

    @classmethod
    def of(cls, keys: Keys) -> KeptCodec:
        """With the key that the keychain has for this, or makes."""
        return cls(lambda: keys.ours(REQUEST_STATE), keys.keychain.later)

    def seal(self, payload: bytes) -> str:
        """Protect a state that goes out."""
        self._ask()
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        """Open one that came back; InvalidRequestState for what neither key sealed."""
        try:
            return self._codec.unseal(token)
        except InvalidRequestState:
            if self._found.is_set():
                raise
        self._ask()
        self._found.wait(_WAIT_S)
        return self._codec.unseal(token)

    def _ask(self) -> None:
        if not self._has_asked:
            self._has_asked = True
            self._later(self._fetch)

    def _fetch(self) -> None:
        found = self._find()
        if found is not None:
            self._codec = AESGCMRequestStateCodec([found.reveal().encode(), self._own])
            found.clear()
        self._found.set()

"""The user's yes or no to one stated change: what is asked, what counts as a yes, and that it counts once.

A question goes out with a token of ours, and only what comes back with that token is an answer to it. The token is
redeemed by the first answer that carries it: an answer sent again finds nothing to say yes to, and the user is asked
anew. What was agreed to is known by its fingerprint, which the client cannot read; the change is made only if it still
has that fingerprint when it is about to become real.

Pure but for the tokens: how a question reaches the client is `asking`'s business.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from rootcellar import limits
from rootcellar.errors import Declined, NeedsConsent

FIELD: Final = "confirm"

FORM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {FIELD: {"type": "boolean", "title": "Do it?", "description": "no: nothing changes"}},
    "required": [FIELD],
}
_SAID_NO: Final = "do not try it another way: ask the user what they want instead"


class Verdict(Enum):
    """What came back."""

    YES = "yes"
    NO = "no"


def verdict(answer: object) -> Verdict:
    """What an elicitation's result says; only a filled-in yes is one."""
    if isinstance(answer, Mapping) and answer.get("action") == "accept":
        content = answer.get("content")
        if isinstance(content, Mapping) and content.get(FIELD) is True:
            return Verdict.YES
    return Verdict.NO


def declined() -> Declined:
    """The user said no."""
    return Declined("the user declined this change, and nothing was changed", _SAID_NO)


def unanswered() -> Declined:
    """Nobody said anything in time."""
    minutes = int(limits.CONSENT_S // 60)
    return Declined(f"nobody answered within {minutes} minutes; nothing was changed", "ask the user, then try again")


def unheard() -> Declined:
    """The client failed at asking."""
    return Declined("the client could not ask the user, and nothing was changed", "ask the user, then try again")


def restless() -> Declined:
    """What was to be changed was another thing each time."""
    told = "what this would change kept changing while the user was asked, and nothing was changed"
    return Declined(told, "look at it again, then decide")


def question(need: NeedsConsent, was: str) -> str:
    """What the user reads; `was` is the fingerprint of what they read before in this call, if they did."""
    is_changed = was not in ("", need.fingerprint) and not need.is_further
    again = "It has changed since you were asked. " if is_changed else ""
    return f"{again}{need.statement}"


class Questions:
    """The questions that wait for an answer. One event loop's own; bounded, and an old question lapses."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def put(self) -> str:
        """The token of a question that is about to be asked."""
        token = secrets.token_urlsafe(16)
        self._until[token] = time.monotonic() + limits.CONSENT_S
        while len(self._until) > limits.CONSENT_OPEN_MAX:
            self._until.popitem(last=False)
        return token

    def redeem(self, token: str) -> bool:
        """Whether a question with this token waits for its answer; from now on it does not."""
        return time.monotonic() <= self._until.pop(token, 0.0)

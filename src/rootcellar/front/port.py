"""What the front and an engine say to each other, and nothing else.

Messages are the members of JSON-RPC without `jsonrpc`, as dicts. A request's `id` is an int of the front's own making,
unique for the life of the process. Standard library only: this is on the path to the first answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rootcellar.front.eras import Message


class Engine(Protocol):
    """What serves the requests. Made and run on its own thread; every other method may be called from any thread.

    A connection is a name the front makes up ("legacy-1", "modern-2"); its first message opens it, and all its requests
    are of one era.
    """

    def run(self, port: Port) -> None:
        """Serve until the process ends. To return or to raise is to be broken: a new engine is made."""

    def accept(self, connection: str, message: Message) -> None:
        """Take a request, a notification or a response for `connection`; never waits, never calls back."""

    def close(self, connection: str) -> None:
        """Nothing more will come for `connection`."""

    def ending(self) -> None:
        """The process is about to end: what waits for the client for ever (a listen stream) ends now."""

    def cut(self) -> None:
        """Stop every call that still runs."""

    def drain(self, seconds: float) -> None:
        """Return once no write is half done, or when the time is up. The process ends after it."""


class Port(Protocol):
    """What an engine may tell the front, on the engine's thread."""

    def deliver(self, connection: str, message: Message, related: object = None) -> None:
        """A response, or a notification or request of its own that belongs to the request `related`."""

    def unanswered(self, key: int) -> None:
        """The request `key` has come to its end without a response."""

    def lost(self, connection: str) -> None:
        """`connection` broke; its requests will not be answered."""

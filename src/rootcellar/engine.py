"""The engine: the SDK's server, run as several connections on one event loop in the front's engine thread.

Only the SDK's public ways are used: `Server.run(read_stream, write_stream, options)`, a stream of `SessionMessage` in
and an object with `send` out. Each connection sees one era only, so the SDK's lock to the era of its first request
never shows. What it would put on the wire and the protocol forbids is mended here: `code: 0` with an exception's text,
`-32000` when a connection ends, and silence. `tests/front/test_engine_contract.py` fails when a new SDK changes that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.lowlevel.server import NotificationOptions
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from mcp.server import Server
    from mcp.server.models import InitializationOptions
    from mcp_types import JSONRPCMessage

    from rootcellar.front.eras import Message
    from rootcellar.front.port import Port

_OURS = frozenset((0, -32000))  # SDK: an exception it did not expect; a connection that ended
_INTERNAL_ERROR = -32603


class Engine:
    """Serves an SDK server to a front.

    `ending` are called on the event loop when the end begins (close listen streams); `drain` on the main thread right
    before the process ends, each with the seconds left (let no write be half done).
    The server's `lifespan` is entered once per connection.
    """

    def __init__(
        self,
        server: Server[Any],
        *,
        options: InitializationOptions | None = None,
        ending: Iterable[Callable[[], object]] = (),
        drain: Iterable[Callable[[float], object]] = (),
    ) -> None:
        self._server = server
        # Its spans go nowhere without an exporter, and cost a tenth of every call.
        server.middleware[:] = [one for one in server.middleware if type(one).__name__ != "OpenTelemetryMiddleware"]
        self._options = options or server.create_initialization_options(NotificationOptions())
        self._ending = tuple(ending)
        self._drain = tuple(drain)
        self._loop = asyncio.new_event_loop()
        self._inbox: deque[tuple[str, Message | None]] = deque()  # None: close
        self._woken = True  # until `run` first looks
        self._connections: dict[str, Connection] = {}
        self._port: Port | None = None

    def run(self, port: Port) -> None:
        """Serve until the process ends."""
        self._port = port
        try:
            self._loop.call_soon(self._take)
            self._loop.run_forever()
        finally:  # a handler raised SystemExit
            self._loop.close()

    def accept(self, connection: str, message: Message) -> None:
        """Take a message for `connection`; from any thread."""
        self._inbox.append((connection, message))
        self._wake()

    def close(self, connection: str) -> None:
        """Nothing more will come for `connection`; from any thread."""
        self._inbox.append((connection, None))
        self._wake()

    def ending(self) -> None:
        """What waits for the client for ever ends now; from any thread."""
        for hook in self._ending:
            self._call(hook)

    def cut(self) -> None:
        """Stop every call that still runs; from any thread."""
        self._call(self._cancel_all)

    def drain(self, seconds: float) -> None:
        """Return once no write is half done, or when the time is up."""
        until = time.monotonic() + seconds
        for hook in self._drain:
            hook(max(0.0, until - time.monotonic()))

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._call(self._take)

    def _call(self, function: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _take(self) -> None:
        self._woken = False  # first: what is added from here on wakes us again
        while self._inbox:
            name, message = self._inbox.popleft()
            connection = self._connections.get(name)
            if message is None:
                if connection:
                    connection.close()
                continue
            if connection is None:
                connection = self._connections[name] = Connection(name, self._port)
                connection.task = self._loop.create_task(self._serve(connection), name=name)
            connection.accept(message)

    async def _serve(self, connection: Connection) -> None:
        try:
            await self._server.run(connection.inlet, connection, self._options)
        finally:
            del self._connections[connection.name]
            if self._port:
                self._port.lost(connection.name)

    def _cancel_all(self) -> None:
        for connection in list(self._connections.values()):
            if connection.task:
                connection.task.cancel()


class Connection:
    """One SDK connection: where its messages go in, and (as the SDK's write stream) come out."""

    def __init__(self, name: str, port: Port | None) -> None:
        self.name = name
        self.task: asyncio.Task[None] | None = None
        self._port = port
        self._outlet, self.inlet = anyio.create_memory_object_stream[SessionMessage | Exception](math.inf)

    def accept(self, message: Message) -> None:
        """Hand `message` to the SDK; the front has bounded how many there are, and checked their shape."""
        metadata = None
        told: JSONRPCMessage
        if "method" not in message:
            if "result" in message:
                told = JSONRPCResponse(jsonrpc="2.0", id=message["id"], result=message["result"])
            else:
                told = JSONRPCError(jsonrpc="2.0", id=message["id"], error=ErrorData.model_validate(message["error"]))
        elif "id" in message:
            key = message["id"]
            told = JSONRPCRequest(jsonrpc="2.0", id=key, method=message["method"], params=message.get("params"))
            metadata = ServerMessageMetadata(on_request_unanswered=Unanswered(self._port, key))
        else:
            told = JSONRPCNotification(jsonrpc="2.0", method=message["method"], params=message.get("params"))
        self._outlet.send_nowait(SessionMessage(told, metadata))

    def close(self) -> None:
        """Nothing more will come."""
        self._outlet.close()

    async def send(self, item: SessionMessage) -> None:
        """Tell the front what the SDK says."""
        message, port = item.message, self._port
        if port is None:
            return
        if isinstance(message, JSONRPCResponse):
            port.deliver(self.name, {"id": message.id, "result": message.result})
        elif isinstance(message, JSONRPCError):
            port.deliver(self.name, {"id": message.id, "error": error_of(message.error)})
        else:
            said = message.model_dump(by_alias=True, exclude_unset=True, exclude={"jsonrpc"})
            related = item.metadata.related_request_id if isinstance(item.metadata, ServerMessageMetadata) else None
            port.deliver(self.name, said, related)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    async def __aenter__(self) -> Self:
        """Itself, as the SDK's stream protocol asks."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""


class Unanswered:
    """Tells the front that the SDK has finished a request without a response."""

    __slots__ = ("_key", "_port")

    def __init__(self, port: Port | None, key: int) -> None:
        self._port = port
        self._key = key

    async def __call__(self) -> None:
        """The SDK's `on_request_unanswered`."""
        if self._port:
            self._port.unanswered(self._key)


def error_of(error: ErrorData) -> Message:
    """An error as the wire may show it: an exception's own text never leaves, nor does a code that is the SDK's own."""
    if error.code in _OURS:
        return {"code": _INTERNAL_ERROR, "message": "Internal error"}
    if error.data is None:
        return {"code": error.code, "message": error.message}
    return {"code": error.code, "message": error.message, "data": error.data}

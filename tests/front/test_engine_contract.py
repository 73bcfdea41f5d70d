"""What the engine relies on in the SDK: a minor that changes any of it fails here, by name, before it fails a user."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.server import Server
from mcp.server.lowlevel.server import NotificationOptions
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from rawclient import ENVELOPE, request
from rootcellar.engine import Connection, Engine, error_of
from rootcellar.front.eras import SUBSCRIPTION_ID

HELLO = request(1, "initialize")["params"]


def test_the_sdk_is_the_minor_this_was_written_for() -> None:
    assert importlib.metadata.version("mcp").startswith("2.3.")
    assert importlib.metadata.version("mcp-types").startswith("2.3.")


def test_a_server_runs_on_any_pair_of_streams() -> None:
    assert list(inspect.signature(Server.run).parameters)[:4] == [
        "self",
        "read_stream",
        "write_stream",
        "initialization_options",
    ]


def test_a_session_message_carries_the_hook_for_requests_left_unanswered() -> None:
    fields = {field.name for field in dataclasses.fields(ServerMessageMetadata)}
    assert {"related_request_id", "on_request_unanswered"} <= fields
    assert [field.name for field in dataclasses.fields(SessionMessage)] == ["message", "metadata"]


def test_messages_have_the_members_we_read() -> None:
    assert set(JSONRPCRequest.model_fields) == {"jsonrpc", "id", "method", "params"}
    assert set(JSONRPCNotification.model_fields) == {"jsonrpc", "method", "params"}
    assert set(JSONRPCResponse.model_fields) == {"jsonrpc", "id", "result"}
    assert set(JSONRPCError.model_fields) == {"jsonrpc", "id", "error"}


def test_subscriptions_are_named_where_we_look() -> None:
    assert SUBSCRIPTION_ID_META_KEY == SUBSCRIPTION_ID
    assert types.PROTOCOL_VERSION_META_KEY in ENVELOPE
    assert types.CLIENT_CAPABILITIES_META_KEY in ENVELOPE


def test_the_sdk_tracer_is_there_to_be_dropped() -> None:
    server: Server[Any] = Server("x")
    assert [type(one).__name__ for one in server.middleware] == ["OpenTelemetryMiddleware"]
    Engine(server)._loop.close()
    assert server.middleware == []


class Heard:
    """A port that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[dict[str, Any], object]] = []
        self.silent: list[int] = []

    def deliver(self, connection: str, message: dict[str, Any], related: object = None) -> None:
        """Keep it."""
        assert connection == "c"
        self.said.append((message, related))

    def unanswered(self, key: int) -> None:
        """Keep it."""
        self.silent.append(key)

    def lost(self, connection: str) -> None:
        """Never here."""
        pytest.fail(f"{connection} was lost")


def converse(*messages: dict[str, Any], then: tuple[dict[str, Any], ...] = ()) -> Heard:
    """Run a small server on one connection: say `messages`, let them settle, say `then`, and close."""

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> Any:
        if params.name == "raise":
            msg = "secret"
            raise ValueError(msg)
        if params.name == "ask":
            return await ctx.session.elicit_form("?", {"type": "object", "properties": {}}, ctx.request_id)
        if params.name == "wait":
            await anyio.sleep(30)
        return types.CallToolResult(content=[])

    heard = Heard()

    async def main() -> None:
        server: Server[Any] = Server("x", on_call_tool=call_tool)
        connection = Connection("c", heard)
        async with anyio.create_task_group() as group:
            options = server.create_initialization_options(NotificationOptions())
            group.start_soon(server.run, connection.inlet, connection, options)
            for some in (messages, then):
                for message in some:
                    connection.accept(message)
                await anyio.wait_all_tasks_blocked()
            connection.close()

    anyio.run(main)
    return heard


def tool(key: int, name: str) -> dict[str, Any]:
    return {"id": key, "method": "tools/call", "params": {"name": name, "arguments": {}}}


START = ({"id": 1, "method": "initialize", "params": HELLO}, {"method": "notifications/initialized"})


def test_an_exception_in_a_legacy_handler_has_code_0_and_its_text_which_we_hide() -> None:
    heard = converse(*START, tool(2, "raise"))
    assert heard.said[-1][0] == {"id": 2, "error": {"code": -32603, "message": "Internal error"}}
    assert error_of(types.ErrorData(code=0, message="secret"))["code"] == -32603
    assert error_of(types.ErrorData(code=-32602, message="m", data={"a": 1})) == {
        "code": -32602,
        "message": "m",
        "data": {"a": 1},
    }


def test_a_cancelled_request_is_left_unanswered_and_we_are_told() -> None:
    cancel = {"method": "notifications/cancelled", "params": {"requestId": 2}}
    heard = converse(*START, tool(2, "wait"), then=(cancel,))
    assert heard.silent == [2]
    assert [message["id"] for message, _ in heard.said] == [1]


def test_a_question_to_the_client_names_the_request_it_belongs_to() -> None:
    heard = converse(*START, tool(2, "ask"))
    message, related = heard.said[1]
    assert message["method"] == "elicitation/create"
    assert related == 2
    assert heard.said[2][0]["error"]["code"] == -32603  # the connection closed before the client answered


def test_pipelined_requests_after_initialize_find_it_done() -> None:
    heard = converse(*START, tool(2, "quick"), tool(3, "quick"))
    assert [message["id"] for message, _ in heard.said] == [1, 2, 3]
    assert all("result" in message for message, _ in heard.said)


def test_a_connection_whose_first_request_is_enveloped_is_modern() -> None:
    heard = converse({"id": 1, "method": "tools/call", "params": {"name": "x", "_meta": ENVELOPE}})
    assert heard.said[0][0]["result"]["resultType"] == "complete"

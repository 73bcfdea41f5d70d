"""A stand-in for a language model, on loopback: it asks a host for the tool calls it was told to, and keeps what it saw.

It speaks what two hosts speak to their models: Anthropic's `/v1/messages` and Gemini's `:streamGenerateContent`, both
as event streams. It has no state: how far a conversation is follows from the tool results that it holds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]
DONE = "All done."


class Model:
    """Serves on loopback while entered. `calls` are (end of a tool's name, arguments), asked for one after another."""

    def __init__(self, calls: Sequence[tuple[str, Json]]) -> None:
        self.calls = list(calls)
        self.seen: list[Json] = []  # requests of the conversation, not the host's other questions
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), _answering(self))
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def wanted(self, request: Json, names: Sequence[str], results: int) -> tuple[str, Json] | None:
        """The next call by the name the host gave its tool; None if there is none to make."""
        ours = [name for name in names if "rootcellar" in name]
        if not ours:
            return None
        self.seen.append(request)
        if results >= len(self.calls):
            return None
        end, arguments = self.calls[results]
        name = next((name for name in ours if name.endswith(f"_{end}")), None)
        return (name, arguments) if name else None


def anthropic_results(request: Json) -> list[Any]:
    """Every `tool_result` block of a conversation."""
    said = [turn["content"] for turn in request.get("messages", []) if isinstance(turn["content"], list)]
    return [block for blocks in said for block in blocks if block["type"] == "tool_result"]


def gemini_results(request: Json) -> list[Any]:
    """Every `functionResponse` part of a conversation."""
    parts = [part for turn in request.get("contents", []) for part in turn.get("parts", [])]
    return [part["functionResponse"] for part in parts if "functionResponse" in part]


def _anthropic(model: Model, request: Json) -> list[tuple[str, Json]]:
    names = [tool["name"] for tool in request.get("tools", []) if "name" in tool]
    results = len(anthropic_results(request))
    call = model.wanted(request, names, results)
    if call:
        name, arguments = call
        block: Json = {"type": "tool_use", "id": f"toolu_{results:08d}", "name": name, "input": {}}
        delta: Json = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        reason = "tool_use"
    else:
        block, delta, reason = {"type": "text", "text": ""}, {"type": "text_delta", "text": DONE}, "end_turn"
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": request.get("model", "m"), "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    return [
        ("message_start", {"message": message}),
        ("content_block_start", {"index": 0, "content_block": block}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}),
        ("message_stop", {}),
    ]


def _gemini(model: Model, request: Json) -> Json:
    declared = [one for tool in request.get("tools", []) for one in tool.get("functionDeclarations", [])]
    call = model.wanted(request, [one["name"] for one in declared], len(gemini_results(request)))
    part: Json = {"functionCall": {"name": call[0], "args": call[1]}} if call else {"text": DONE}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    content = {"role": "model", "parts": [part]}
    return {"candidates": [{"index": 0, "content": content, "finishReason": "STOP"}], "usageMetadata": usage}


def _answering(model: Model) -> type[BaseHTTPRequestHandler]:
    """What answers the requests for this model."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            path = self.path.partition("?")[0]
            if path.endswith("/messages"):
                events = _anthropic(model, request)
                streamed = "".join(f"event: {n}\ndata: {json.dumps({'type': n, **data})}\n\n" for n, data in events)
                self._say(streamed, "text/event-stream")
            elif path.endswith(":streamGenerateContent"):
                self._say(f"data: {json.dumps(_gemini(model, request))}\n\n", "text/event-stream")
            elif path.endswith(":generateContent"):
                self._say(json.dumps(_gemini(model, request)), "application/json")
            else:  # counting tokens
                self._say(json.dumps({"input_tokens": 1, "totalTokens": 1}), "application/json")

        def do_GET(self) -> None:
            self._say("{}", "application/json")

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def _say(self, body: str, kind: str) -> None:
            data = body.encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    return Answering

"""A stand-in for a language model on loopback: it asks for one tool after another, then says what the last answered.

It speaks Anthropic's messages, OpenAI's chat completions and responses, and Gemini's content, streamed and whole: as
much of each as hosts need to call tools of ours. What it is sent is kept, so a test can see the answer arrive.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DONE = "All done."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host told its model of one call; `failed` is None where its wire does not say."""

    text: str
    failed: bool | None = None


@dataclass
class Model:
    """Which tools it asks for (hosts put the server's name before ours), with what, and what it saw."""

    calls: list[tuple[str, dict[str, Any]]]
    url: str = ""
    offered: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def choice(self, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
        """The tool to call now with its arguments, or what to say."""
        self.requests.append((path, body))
        names = _offered(body)
        self.offered |= names
        answers = list(_answers(body))
        self.answers = max(self.answers, answers, key=len)
        if len(answers) < len(self.calls):
            name, arguments = self.calls[len(answers)]
            return (name, arguments, "") if name in names else ("", {}, "There is no such tool.")
        return "", {}, DONE

    def forget(self) -> None:
        """Begin anew, as if nothing was seen."""
        self.offered.clear()
        self.answers, self.requests = [], []


def _offered(body: dict[str, Any]) -> set[str]:
    names: set[str] = set()
    for tool in body.get("tools") or []:
        declared = tool.get("functionDeclarations") or [tool.get("function") or tool]
        names |= {one["name"] for one in declared if "name" in one}
    return names


def _answers(body: dict[str, Any]) -> Iterator[Answer]:
    """What the tools said in a conversation, whatever its wire format."""
    for message in body.get("messages") or []:
        if message.get("role") == "tool":
            yield Answer(_text(message.get("content")))
        parts: list[Any] = message["content"] if isinstance(message.get("content"), list) else []
        for part in parts:
            if part.get("type") == "tool_result":
                yield Answer(_text(part.get("content")), bool(part.get("is_error")))
    items: list[Any] = body["input"] if isinstance(body.get("input"), list) else []
    for item in items:
        if item.get("type") == "function_call_output":
            yield Answer(_text(item.get("output")))
    for content in body.get("contents") or []:
        for part in content.get("parts") or []:
            if "functionResponse" in part:
                response = part["functionResponse"]["response"]
                yield Answer(_text(response.get("output", response.get("error"))), "error" in response)


def _text(content: Any) -> str:
    """The text of a result: a string, or blocks."""
    blocks = content if isinstance(content, list) else []
    if blocks and all(isinstance(block, dict) and "text" in block for block in blocks):
        return "\n".join(block["text"] for block in blocks)
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


class _Wire(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Be there."""
        self._answer(b"", "text/plain")

    def do_GET(self) -> None:
        """List one model, whatever is asked."""
        models = [{"id": "stand-in", "object": "model", "owned_by": "here", "display_name": "x", "type": "model"}]
        self._json({"object": "list", "data": models, "models": [{"name": "models/stand-in"}], "has_more": False})

    def do_POST(self) -> None:
        """Answer in the format of the path."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        path = self.path.partition("?")[0]
        if path.endswith(("count_tokens", ":countTokens")):
            self._json({"input_tokens": 10, "totalTokens": 10})
        elif path.endswith("/messages"):
            self._anthropic(body)
        elif path.endswith("/chat/completions"):
            self._chat(body)
        elif path.endswith("/responses"):
            self._responses(body)
        elif re.search(r":(stream)?[gG]enerateContent$", path):
            self._gemini(body, path)
        else:
            self._json({})

    def _anthropic(self, body: dict[str, Any]) -> None:
        name, arguments, said = self.model.choice(self.path, body)
        block = (
            {"type": "tool_use", "id": f"toolu_{len(self.model.requests)}", "name": name, "input": {}}
            if name
            else {"type": "text", "text": ""}
        )
        given = json.dumps(arguments)
        delta = {"type": "input_json_delta", "partial_json": given} if name else {"type": "text_delta", "text": said}
        usage = {"input_tokens": 1, "output_tokens": 1}
        whole = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model", "x"), "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        stop = "tool_use" if name else "end_turn"
        if not body.get("stream"):
            full = {**block, "input": arguments} if name else {"type": "text", "text": said}
            self._json({**whole, "content": [full], "stop_reason": stop})
            return
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": whole},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        self._events([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    def _chat(self, body: dict[str, Any]) -> None:
        name, arguments, said = self.model.choice(self.path, body)
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = [{"index": 0, "id": f"call_{len(self.model.requests)}", "type": "function", "function": function}]
        message: dict[str, Any] = {"role": "assistant", "content": None if name else said}
        if name:
            message["tool_calls"] = call
        end = "tool_calls" if name else "stop"
        head = {"id": "c1", "created": 1, "model": body.get("model", "x")}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": end}
            self._json({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
            return
        head["object"] = "chat.completion.chunk"
        chunks: list[dict[str, Any]] = [
            {**head, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": end}]},
            {**head, "choices": [], "usage": usage},
        ]
        self._events([f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"])

    def _responses(self, body: dict[str, Any]) -> None:
        name, arguments, said = self.model.choice(self.path, body)
        call = {
            "type": "function_call", "id": "fc_1", "call_id": f"call_{len(self.model.requests)}", "name": name, "status": "completed",
            "arguments": json.dumps(arguments),
        }  # fmt: skip
        part = {"type": "output_text", "text": said, "annotations": []}
        text = {"type": "message", "id": "m_1", "role": "assistant", "status": "completed", "content": [part]}
        item = call if name else text
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        whole = {
            "id": "r_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "output": [item],
            "usage": usage,
        }
        if not body.get("stream"):
            self._json(whole)
            return
        started = {**whole, "status": "in_progress", "output": []}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": started},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        self._events([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    def _gemini(self, body: dict[str, Any], path: str) -> None:
        name, arguments, said = self.model.choice(path, body)
        part = {"functionCall": {"name": name, "args": arguments}} if name else {"text": said}
        content = {"role": "model", "parts": [part]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        whole = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        if ":stream" in path:
            self._events([f"data: {json.dumps(whole)}\n\n"])
        else:
            self._json(whole)

    def _json(self, value: Any) -> None:
        self._answer(json.dumps(value).encode(), "application/json")

    def _events(self, events: list[str]) -> None:
        self._answer("".join(events).encode(), "text/event-stream")

    def _answer(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def stand_in(calls: list[tuple[str, dict[str, Any]]]) -> Iterator[Model]:
    """A model that asks for these tools in turn, with these arguments."""
    model = Model(calls)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Wire", (_Wire,), {"model": model}))
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

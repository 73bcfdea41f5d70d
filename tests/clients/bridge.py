# mypy: disable-error-code="dict-item"
"""Streamable HTTP on loopback in front of a stdio server, for suites that speak HTTP only. Stdlib only.

    python bridge.py PORT -- COMMAND ...

One process per legacy session (begun by `initialize`), one for all modern requests. Ids and progress tokens are made
unique per HTTP request, so that several clients may share a process; an answer that comes alone is sent as JSON with
the status the HTTP binding asks for, everything else as an event stream.
"""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = dict[str, Any]
PREFIX = "io.modelcontextprotocol/"
LOCAL = ("localhost", "127.0.0.1", "[::1]")
STATUS = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}


class Child:
    """One server process and the HTTP requests that wait for it."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.waiting: dict[str, Exchange] = {}  # by our id
        self.lock = threading.Lock()
        self.ids = itertools.count()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def end(self) -> None:
        """No process, thread or pipe is left."""
        assert self.process.stdin
        assert self.process.stdout
        with self.lock:
            self.process.stdin.close()
        self.process.wait(5)
        self.thread.join(5)
        self.process.stdout.close()

    def send(self, message: Message) -> None:
        """One line to the server."""
        with self.lock:
            assert self.process.stdin
            if self.process.stdin.closed:  # a stream of a session that has ended
                return
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def ask(self, message: Message) -> Exchange:
        """Send a request under an id of ours."""
        ours = f"bridge-{next(self.ids)}"
        exchange = Exchange(ours, message)
        self.waiting[ours] = exchange
        params = message.get("params")
        if isinstance(params, dict) and isinstance(params.get("_meta"), dict) and "progressToken" in params["_meta"]:
            params = {**params, "_meta": {**params["_meta"], "progressToken": ours}}
            message = {**message, "params": params}
        self.send({**message, "id": ours})
        return exchange

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            message = json.loads(line)
            if "method" not in message:
                if exchange := self.waiting.pop(message.get("id"), None):
                    exchange.said.put({**message, "id": exchange.id, **_renamed(message, "result", exchange.id)})
            elif exchange := self._owner(message):
                exchange.said.put({**message, **_renamed(message, "params", exchange.id)})
        for exchange in list(self.waiting.values()):
            exchange.said.put({"jsonrpc": "2.0", "id": exchange.id, "error": {"code": -32603, "message": "gone"}})

    def _owner(self, message: Message) -> Exchange | None:
        params = message.get("params") or {}
        token = params.get("progressToken") or (params.get("_meta") or {}).get(PREFIX + "subscriptionId")
        if token is not None:
            exchange = self.waiting.get(token)
            if exchange and "progressToken" in params:
                params["progressToken"] = exchange.token
            return exchange
        return next(reversed(self.waiting.values()), None)  # a log line, or a question: who asked last


class Exchange:
    """One HTTP request: what the server says about it, until its response."""

    def __init__(self, ours: str, message: Message) -> None:
        self.ours = ours
        self.id = message["id"]
        params = message.get("params")
        meta = params.get("_meta") if isinstance(params, dict) else None
        self.token = meta.get("progressToken") if isinstance(meta, dict) else None
        self.said: queue.SimpleQueue[Message] = queue.SimpleQueue()


def _renamed(message: Message, member: str, key: object) -> Message:
    holder = message.get(member)
    meta = holder.get("_meta") if isinstance(holder, dict) else None
    if not isinstance(meta, dict) or PREFIX + "subscriptionId" not in meta:
        return {}
    return {member: {**holder, "_meta": {**meta, PREFIX + "subscriptionId": key}}}


class Bridge(BaseHTTPRequestHandler):
    """The HTTP side; `sessions` and `launch` belong to the server."""

    protocol_version = "HTTP/1.1"
    sessions: dict[str, Child] = {}  # noqa: RUF012 - one bridge per process
    launch: list[str] = []  # noqa: RUF012 - the same
    shared: list[Child] = []  # noqa: RUF012 - the modern era's process, once there is one
    starting = threading.Lock()

    def do_POST(self) -> None:
        """A message from the client."""
        if not self._local():
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            message = json.loads(body)
        except ValueError:
            self._json(400, {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}})
            return
        child, session = self._child(message)
        if self._mismatch(message):
            error = {"code": -32020, "message": "MCP-Protocol-Version and the envelope differ"}
            self._json(400, {"jsonrpc": "2.0", "id": message.get("id"), "error": error})
        elif child is None:
            self._json(404 if session else 400, {"jsonrpc": "2.0", "error": {"code": -32600, "message": "No session"}})
        elif not isinstance(message, dict) or "id" not in message or "method" not in message:
            child.send(message)
            self._empty(202)
        else:
            self._relay(child, child.ask(message), session)

    def do_GET(self) -> None:
        """A stream of its own is not offered."""
        self._empty(405)

    def do_DELETE(self) -> None:
        """The end of a session."""
        child = self.sessions.pop(self.headers.get("Mcp-Session-Id", ""), None)
        if child:
            child.end()
        self._empty(200 if child else 404)

    def _child(self, message: Any) -> tuple[Child | None, str]:
        """The process that serves `message`, and the legacy session's name."""
        method = message.get("method") if isinstance(message, dict) else None
        session = self.headers.get("Mcp-Session-Id", "")
        if session:
            return self.sessions.get(session), session
        params = message.get("params") if isinstance(message, dict) else None
        meta = params.get("_meta") if isinstance(params, dict) else None
        modern = isinstance(meta, dict) and any(str(key).startswith(PREFIX) for key in meta)
        if method == "initialize" and self.headers.get("MCP-Protocol-Version", "") < "2026":
            session = uuid.uuid4().hex
            self.sessions[session] = Child(self.launch)
            return self.sessions[session], session
        if modern or self.headers.get("MCP-Protocol-Version", "") >= "2026" or method == "server/discover":
            with self.starting:
                if not self.shared:
                    self.shared.append(Child(self.launch))
            return self.shared[0], ""
        return None, ""

    def _mismatch(self, message: Any) -> bool:
        """Whether the header and the envelope name different versions: the HTTP binding's own rule."""
        params = message.get("params") if isinstance(message, dict) else None
        meta = params.get("_meta") if isinstance(params, dict) else None
        said = meta.get(PREFIX + "protocolVersion") if isinstance(meta, dict) else None
        return said is not None and self.headers.get("MCP-Protocol-Version", said) != said

    def _relay(self, child: Child, exchange: Exchange, session: str) -> None:
        first = exchange.said.get()
        if "method" not in first:
            status = 200 if session else STATUS.get(first.get("error", {}).get("code"), 200)
            self._json(status, first, session)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Connection", "close")
        if session:
            self.send_header("Mcp-Session-Id", session)
        self.end_headers()
        self.close_connection = True
        message = first
        try:
            while True:
                self.wfile.write(b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n")
                self.wfile.flush()
                if "method" not in message:
                    return
                message = self._next(exchange)
        except OSError:  # the client left: that cancels the request
            child.waiting.pop(exchange.ours, None)
            cancelled = {"requestId": exchange.ours}
            child.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled})

    def _next(self, exchange: Exchange) -> Message:
        while True:
            try:
                return exchange.said.get(timeout=0.5)
            except queue.Empty:  # a comment shows whether anyone still listens
                self.wfile.write(b": \n\n")
                self.wfile.flush()

    def _local(self) -> bool:
        """Only pages of this machine may talk to it (DNS rebinding)."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        origin = self.headers.get("Origin", "")
        name = origin.split("://")[-1].rsplit(":", 1)[0] if origin else LOCAL[0]
        if host in LOCAL and name in LOCAL:
            return True
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._empty(403)
        return False

    def _json(self, status: int, message: Message, session: str = "") -> None:
        data = json.dumps(message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if session:
            self.send_header("Mcp-Session-Id", session)
        self.end_headers()
        self.wfile.write(data)

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle(self) -> None:
        """A connection that the client drops is no news."""
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


def serve(port: int, command: list[str]) -> ThreadingHTTPServer:
    """A bridge to `command`, not yet running; port 0 takes a free one."""
    Bridge.launch = command
    return ThreadingHTTPServer(("127.0.0.1", port), Bridge)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[sys.argv.index("--") + 1 :]).serve_forever()

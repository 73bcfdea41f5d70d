"""A page of ours in the user's own browser: served on 127.0.0.1 to that browser alone, for minutes, then gone.

Threats: a web page in the same browser that sends requests here (forged, framed, or by a name rebound to 127.0.0.1);
another user of this machine, who can connect to every port and may read the command line that opened the browser; a
link scanner that fetches the address before the browser does; a page that is left open and forgotten.

1. it listens on 127.0.0.1 and a port the system picks; on Linux a connection of another user is closed unread
2. the address carries a one-time token in its fragment, which no request and no log contains; the page trades it, once
   and within `PAGE_OPENED_S`, for a session that lives in that tab only. There are no cookies: nothing is sent unasked
3. `GET` gives fixed files and has no effects; every call is a `POST` of JSON with the session in a header of our own,
   an `Origin` that is ours and a `Host` that is ours, or it is refused before its body is read
4. the page may load nothing from elsewhere, run no inline script, be framed by nobody and be kept in no cache
5. it ends when it is done, when the page is left or silent, and at `PAGE_LIFE_S` in any case
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from rootcellar import limits, neighbours
from rootcellar.errors import Refusal

ADDRESS = "127.0.0.1"
SESSION_HEADER = "Rootcellar-Session"
BEGIN, ALIVE, LEAVE, FINISH = "begin", "alive", "leave", "finish"  # calls that every page has
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
GUARDS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Call = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Ending(Enum):
    """How a page ended."""

    DONE = "the page was finished"
    LEFT = "the page was closed"
    UNSEEN = "nobody opened the page"
    LATE = "the page was open for too long"


@dataclass(frozen=True, slots=True)
class Pages:
    """What is served: the page and its files by name, and the calls it may make, each a function of its JSON."""

    page: str
    files: tuple[str, ...]
    calls: Mapping[str, Call]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a page may take, in seconds: to be opened, to come back once left, to stay silent, in all."""

    opened_s: float = limits.PAGE_OPENED_S
    left_s: float = limits.PAGE_LEFT_S
    silent_s: float = limits.PAGE_SILENT_S
    life_s: float = limits.PAGE_LIFE_S


@dataclass(slots=True)
class _Visit:
    """What is known of the one browser tab; every field is guarded by the condition of the loopback."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = ""
    began: float = field(default_factory=time.monotonic)
    heard: float = 0.0
    left: float = 0.0
    running: int = 0
    over: Ending | None = None


class Loopback:
    """One page, from its address to its end; calls run one at a time, each in a thread that is not the caller's."""

    def __init__(self, pages: Pages, patience: Patience | None = None) -> None:
        self.pages = pages
        self._patience = patience or Patience()
        self._visit = _Visit()
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._server = _Server(self)
        self.origin = f"http://{ADDRESS}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="loopback", daemon=True).start()

    @property
    def url(self) -> str:
        """The address to open, once, in the user's browser."""
        return f"{self.origin}/#{self._visit.token}"

    def finish(self) -> None:
        """End once the calls that run now have been answered."""
        with self._changed:
            self._visit.over = self._visit.over or Ending.DONE
            self._changed.notify_all()

    def wait(self) -> Ending:
        """Serve until the end, and say which it was."""
        try:
            with self._changed:
                while (ending := self._ending()) is None:
                    self._changed.wait(min(1.0, self._patience.left_s))
                self._visit.over, self._visit.session = ending, ""
            return ending
        finally:
            self._server.shutdown()
            with self._changed:
                self._changed.wait_for(lambda: not self._visit.running, timeout=limits.PAGE_REQUEST_S)
            self._server.server_close()

    def _ending(self) -> Ending | None:
        now, visit, patience = time.monotonic(), self._visit, self._patience
        if visit.over is not None:
            return visit.over if not visit.running else None
        if now - visit.began > patience.life_s:
            return Ending.LATE
        if not visit.session:
            return Ending.UNSEEN if now - visit.began > patience.opened_s else None
        gone = visit.left and now - visit.left > patience.left_s
        return Ending.LEFT if gone or now - visit.heard > patience.silent_s else None

    def begun(self, token: str) -> str:
        """The session in exchange for the one-time token; refused the second time."""
        with self._changed:
            visit = self._visit
            if not hmac.compare_digest(token.encode(errors="replace"), visit.token.encode()):
                raise Refusal("this page does not have the right key", "open it again from where you started it")
            if visit.session or visit.over:
                raise Refusal("this page has been opened before", "open it again from where you started it")
            visit.session, visit.heard = secrets.token_urlsafe(32), time.monotonic()
            return visit.session

    def knows(self, session: str) -> bool:
        """Whether this is the session of the one tab; it then counts as heard of."""
        with self._changed:
            visit = self._visit
            known = bool(visit.session) and hmac.compare_digest(session.encode(), visit.session.encode())
            if known:
                visit.heard, visit.left = time.monotonic(), 0.0
            return known

    def called(self, name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer of one call of the page."""
        if name == FINISH:
            self.finish()
        elif name == LEAVE:
            with self._changed:
                self._visit.left = time.monotonic()
        elif name != ALIVE:
            with self._turn:
                return self.pages.calls[name](given)
        return {}

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Keep the end back while a request is being answered."""
        with self._changed:
            self._visit.running += 1
        try:
            yield
        finally:
            with self._changed:
                self._visit.running -= 1
                self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = False  # on Windows it would let another program share the port

    def __init__(self, loopback: Loopback) -> None:
        super().__init__((ADDRESS, 0), _Talk)
        self.loopback = loopback

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # the original also asks the resolver for the name of this machine
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def verify_request(self, request: object, client_address: Any) -> bool:  # noqa: ANN401, ARG002 - as its base
        return neighbours.is_ours(client_address, self.server_port)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base
        if not isinstance(sys.exc_info()[1], OSError):  # a browser that hangs up is no error of ours
            super().handle_error(request, client_address)


class _Talk(BaseHTTPRequestHandler):
    """One request: judged by its head, then answered."""

    timeout = limits.PAGE_REQUEST_S
    server: _Server

    def do_GET(self) -> None:
        with self.server.loopback.answering():
            self._got()

    def do_POST(self) -> None:
        with self.server.loopback.answering():
            self._posted()

    def _got(self) -> None:
        pages = self.server.loopback.pages
        name = pages.page if self.path == "/" else self.path[1:]
        if self._foreign() or not self._own("Origin", self.server.loopback.origin, "absent"):
            self._answer(HTTPStatus.FORBIDDEN, {"refused": "not from here", "hint": ""})
        elif name != pages.page and name not in pages.files:
            self._answer(HTTPStatus.NOT_FOUND, {"refused": "there is no such page", "hint": ""})
        else:
            data = resources.files("rootcellar").joinpath("pages", name).read_bytes()
            self._send(HTTPStatus.OK, KINDS[name.rpartition(".")[2]], data)

    def _posted(self) -> None:
        loopback = self.server.loopback
        name = self.path[1:]
        if self._foreign() or not self._own("Origin", loopback.origin):
            self._answer(HTTPStatus.FORBIDDEN, {"refused": "not from here", "hint": ""})
            return
        session = self.headers.get(SESSION_HEADER, "")
        if name != BEGIN and not (session.isascii() and loopback.knows(session)):
            ended = {"refused": "this page is not connected any more", "hint": "open it again from where you started"}
            self._answer(HTTPStatus.FORBIDDEN, ended)
            return
        if name not in {BEGIN, ALIVE, LEAVE, FINISH, *loopback.pages.calls}:
            self._answer(HTTPStatus.NOT_FOUND, {"refused": "there is no such call", "hint": ""})
            return
        given = self._given()
        if given is None:
            return
        try:
            if name == BEGIN:
                token = given.get("token")
                self._answer(HTTPStatus.OK, {"session": loopback.begun(token if isinstance(token, str) else "")})
            else:
                self._answer(HTTPStatus.OK, loopback.called(name, given))
        except Refusal as refusal:
            status = HTTPStatus.FORBIDDEN if name == BEGIN else HTTPStatus.CONFLICT
            self._answer(status, {"refused": refusal.message, "hint": refusal.hint})

    def _own(self, header: str, value: str, *others: str) -> bool:
        """Whether a header is there once, with that value (or, where allowed, not at all)."""
        found = self.headers.get_all(header) or []
        return found == [value] or (not found and "absent" in others)

    def _foreign(self) -> bool:
        """Whether another site, or a name that is not ours, has a part in this request."""
        if not self._own("Host", self.server.loopback.origin.removeprefix("http://")):
            return True
        site = self.headers.get("Sec-Fetch-Site", "none")
        opened = self.command == "GET" and self.path == "/" and self.headers.get("Sec-Fetch-Dest") == "document"
        return site not in {"none", "same-origin"} and not opened  # a link may be followed from anywhere

    def _given(self) -> dict[str, Any] | None:
        """The JSON object of the body; None after an answer that says what is wrong with it."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or "Transfer-Encoding" in self.headers:
            self._answer(HTTPStatus.LENGTH_REQUIRED, {"refused": "the length is missing", "hint": ""})
        elif len(length) > len(str(limits.PAGE_BODY_BYTES_MAX)) or int(length) > limits.PAGE_BODY_BYTES_MAX:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"refused": "that is too much at once", "hint": ""})
        elif self.headers.get("Content-Type", "") != "application/json":
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"refused": "JSON is expected", "hint": ""})
        else:
            try:
                given = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                given = None
            if isinstance(given, dict):
                return given
            self._answer(HTTPStatus.BAD_REQUEST, {"refused": "a JSON object is expected", "hint": ""})
        return None

    def _answer(self, status: HTTPStatus, facts: Mapping[str, Any]) -> None:
        # ASCII: a file name that is no UTF-8 must not keep the rest of an answer back
        self._send(status, "application/json", json.dumps(facts).encode())

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response_only(status)
        for name, value in GUARDS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        del message, explain  # they quote what was sent
        self.request_version, self.requestline = "HTTP/1.0", ""
        self._answer(HTTPStatus(code), {"refused": "not understood", "hint": ""})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
        """Nothing: a page is used by a person, who sees it."""

"""A page in the user's own browser that takes one secret straight into the keychain; no model and no host sees it.

Threats: a web page in the same browser that sends requests here (forged, framed, or by a name rebound to 127.0.0.1);
another user of this machine; somebody who learns the address after the user has opened it; a page that is forgotten
open. It works without scripts, so nothing of it can be injected or left behind.

1. it listens on 127.0.0.1 and a port the system picks; on Linux a connection of another user is closed unread
2. the address carries a one-time token, which the first `GET` trades for the form; the form's hidden session is good
   for one `POST`, whose answer carries the next one if the key was refused. There are no cookies: nothing goes unasked
3. every request must name our own `Host`; a `POST` must come from our own `Origin`, and alone has an effect
4. the page loads nothing, runs nothing, is framed by nobody, kept in no cache, and leads nowhere but here
5. it ends when the secret is kept, after `KEY_PAGE_TRIES_MAX` refused ones, and at `KEY_PAGE_LIFE_S` in any case
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import parse_qs

from rootcellar import limits
from rootcellar.errors import Refusal
from rootcellar.loopback import ADDRESS, GUARDS
from rootcellar.neighbours import is_ours
from rootcellar.secrets import Secret

_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;"
    "padding:0 1rem}h1{font-size:1.3rem}code{overflow-wrap:anywhere}label{display:block;margin:1.2rem 0 .3rem}"
    "input{width:100%;box-sizing:border-box;font:inherit;padding:.5rem}button{font:inherit;margin-top:1rem;"
    "padding:.5rem 1.2rem}.no{border-left:.3rem solid #c33;padding-left:.7rem}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CSP: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# With no-referrer a browser calls a form's origin `null`, and it could not be told from a stranger's.
_HEADERS: Final = {**GUARDS, "Content-Security-Policy": _CSP, "Referrer-Policy": "same-origin"}
_FORM: Final = "application/x-www-form-urlencoded"


class KeyPage:
    """One page, from its address to its end. `take` keeps the secret, or raises a Refusal that the user reads."""

    def __init__(self, what: str, take: Callable[[Secret], None], life_s: float = limits.KEY_PAGE_LIFE_S) -> None:
        self._what, self._take = what, take
        self._token, self._session = token_urlsafe(32), ""
        self._tries = 0
        self._turn = threading.Lock()
        self.kept = threading.Event()
        self.ended = threading.Event()
        self._server = _Server(self)
        self.origin = f"http://{ADDRESS}:{self._server.server_address[1]}"
        self.url = f"{self.origin}/{self._token}"
        threading.Thread(target=self._serve, name="key-page", daemon=True).start()
        timer = threading.Timer(life_s, self.end)
        timer.daemon = True
        timer.start()

    @property
    def was_opened(self) -> bool:
        """Whether its address has been used."""
        return not self._token

    def end(self) -> None:
        """Serve no longer; what is being answered is answered."""
        self.ended.set()
        threading.Thread(target=self._server.shutdown, name="key-page-end", daemon=True).start()

    def _serve(self) -> None:
        self._server.serve_forever(0.1)
        self._server.server_close()

    def opened(self, token: str) -> str | None:
        """The form, in exchange for the token; None the second time, and for any other."""
        with self._turn:
            if self.ended.is_set() or not self._token or not _same(token, self._token):
                return None
            self._token = ""
            return self._form("")

    def posted(self, session: str, value: str) -> tuple[HTTPStatus, str]:
        """What the user reads after sending the form."""
        with self._turn:
            if self.ended.is_set() or not self._session or not _same(session, self._session):
                return HTTPStatus.FORBIDDEN, _page("This page is not valid any more", _AGAIN)
            self._session = ""
            self._tries += 1
            secret = Secret(value)
            try:
                self._take(secret)
            except Refusal as refusal:
                if self._tries >= limits.KEY_PAGE_TRIES_MAX:
                    self.end()
                    return HTTPStatus.FORBIDDEN, _page("That was not it either", _AGAIN)
                return HTTPStatus.UNPROCESSABLE_ENTITY, self._form(str(refusal))
            finally:
                secret.clear()
            self.kept.set()
            self.end()
            return HTTPStatus.OK, _page("The key is in your keychain", "<p>You can close this window.</p>")

    def _form(self, refused: str) -> str:
        self._session = token_urlsafe(32)
        told = f'<p class="no" role="alert">{html.escape(refused)}</p>' if refused else ""
        return _page(
            "Rootcellar asks for a key",
            f"<p>It opens <code>{html.escape(self._what)}</code>, and goes straight into the keychain of this "
            f"computer. The assistant does not see it.</p>{told}"
            f'<form method="post" action="/" autocomplete="off">'
            f'<input type="hidden" name="session" value="{self._session}">'
            f'<label for="key">Key or passphrase</label>'
            f'<input id="key" name="key" type="password" required autofocus autocomplete="off" spellcheck="false">'
            f"<button>Keep it</button></form>",
        )


_AGAIN: Final = "<p>Ask the assistant to open the database again.</p>"


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), known.encode())


def _page(heading: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{heading}</h1>{body}</main></body></html>"
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False  # on Windows it would let another program share the port

    def __init__(self, page: KeyPage) -> None:
        self.page = page
        super().__init__((ADDRESS, 0), _Talk)

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # the original also asks the resolver for the name of this machine
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401 - its base's
        del request
        return is_ours(client_address, self.server_port)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - its base's
        """Nothing: a traceback could hold what was sent."""


class _Talk(BaseHTTPRequestHandler):
    """One request: judged by its head, then answered."""

    timeout = limits.PAGE_REQUEST_S
    server: _Server

    def do_GET(self) -> None:
        """Give the form, once."""
        page = self.server.page.opened(self.path[1:]) if not self._is_foreign() else None
        if page is None:
            self._answer(HTTPStatus.FORBIDDEN, _page("This page cannot be opened", _AGAIN))
        else:
            self._answer(HTTPStatus.OK, page)

    def do_POST(self) -> None:
        """Take the key."""
        length = self.headers.get("Content-Length", "")
        if self._is_foreign() or self.headers.get_all("Origin") != [self.server.page.origin] or self.path != "/":
            self._answer(HTTPStatus.FORBIDDEN, _page("Not from here", ""))
        elif self.headers.get_all("Content-Type") != [_FORM] or "Transfer-Encoding" in self.headers:
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _page("Not understood", ""))
        elif not (length.isascii() and length.isdecimal() and int(length[:9]) <= limits.KEY_PAGE_BODY_BYTES_MAX):
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _page("That is too much", ""))
        else:
            fields = parse_qs(self.rfile.read(int(length[:9])).decode("utf-8", "replace"), keep_blank_values=True)
            session, value = (fields.get(name, [""])[0] for name in ("session", "key"))
            self._answer(*self.server.page.posted(session, value))

    def _is_foreign(self) -> bool:
        """Whether another site, or a name that is not ours, has a part in this request."""
        if self.headers.get_all("Host") != [self.server.page.origin.removeprefix("http://")]:
            return True
        site = self.headers.get("Sec-Fetch-Site", "none")
        if self.command == "GET":  # a link may be followed from anywhere, into a window of its own
            return self.headers.get("Sec-Fetch-Dest", "document") != "document"
        return site not in {"none", "same-origin"}

    def _answer(self, status: HTTPStatus, page: str) -> None:
        data = page.encode()
        self.send_response_only(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say as little as there is to say."""
        del message, explain  # they quote what was sent
        self.request_version, self.requestline, self.command = "HTTP/1.0", "", "GET"
        self._answer(HTTPStatus(code), _page("Not understood", ""))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - its base's
        """Nothing: a request line holds the token."""

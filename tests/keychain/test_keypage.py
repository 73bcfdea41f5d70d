"""The key page: hostile requests get nothing, and a real browser brings a key straight into the keychain."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import sqlcipher3  # type: ignore[import-untyped]

from driver import ERAS, Host, Json
from keychain.ring import Ring
from rootcellar import errors, limits
from rootcellar.keypage import KeyPage
from rootcellar.secrets import Secret
from setup.browser import DRIVER, Browser, browser

KEY = "CANARY-4711 'key\" <b>"


class Taken:
    """What a page has taken; the key it wants is KEY."""

    def __init__(self) -> None:
        self.values: list[str] = []

    def __call__(self, secret: Secret) -> None:
        self.values.append(secret.reveal())
        if secret.reveal() != KEY:
            raise errors.NeedsKey("this key does not open `<b>a.db</b>`", "try again")


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def page(taken: Taken) -> Iterator[KeyPage]:
    made = KeyPage("/home/me/<i>a</i>.db", taken)
    yield made
    made.end()


def asked(
    page: KeyPage, method: str, path: str, headers: Mapping[str, str], body: str = ""
) -> tuple[int, str, Mapping[str, str]]:
    connection = http.client.HTTPConnection(page.origin.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode() or None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.headers.items())
    finally:
        connection.close()


def host(page: KeyPage) -> dict[str, str]:
    return {"Host": page.origin.removeprefix("http://")}


def form(page: KeyPage) -> str:
    """Open the page as a browser does; the session in its form."""
    status, text, _ = asked(
        page,
        "GET",
        page.url.removeprefix(page.origin),
        {**host(page), "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"},
    )
    assert status == 200
    found = re.search(r'name="session" value="([^"]+)"', text)
    assert found
    return found[1]


def sent(page: KeyPage, session: str, key: str = KEY, **changed: str | None) -> tuple[int, str]:
    body = urllib.parse.urlencode({"session": session, "key": key})
    headers = {
        **host(page), "Origin": page.origin, "Sec-Fetch-Site": "same-origin", "Content-Length": str(len(body)),
        "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    wanted = {
        name: value
        for name, value in {**headers, **{n.replace("_", "-"): v for n, v in changed.items()}}.items()
        if value is not None
    }
    return asked(page, "POST", "/", wanted, body)[:2]


def test_the_page_takes_a_key_once_and_ends(page: KeyPage, taken: Taken) -> None:
    session = form(page)
    status, text = sent(page, session, "wrong")
    assert status == 422
    assert "&lt;b&gt;a.db&lt;/b&gt;" in text
    assert "wrong" not in text
    again = re.search(r'name="session" value="([^"]+)"', text)
    assert again
    assert sent(page, session)[0] == 403, "a session was good twice"
    assert not page.kept.is_set()
    status, text = sent(page, again[1])
    assert status == 200
    assert KEY not in text
    assert page.kept.wait(1)
    assert taken.values == ["wrong", KEY]
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(page.origin.rpartition(":")[2]))):
                return
        time.sleep(0.05)
    raise AssertionError("the page still listens")


HOSTILE: dict[str, dict[str, str | None]] = {
    "another origin": {"Origin": "https://evil.example"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "localhost is not us": {"Origin": "http://localhost"},
    "an opaque origin": {"Origin": "null"},
    "no origin": {"Origin": None},
    "a rebound name": {"Host": "evil.example"},
    "a rebound name with our port": {"Host": "evil.example:80"},
    "no host": {"Host": None},
    "another site": {"Sec_Fetch_Site": "cross-site"},
    "the same site, another origin": {"Sec_Fetch_Site": "same-site"},
    "JSON": {"Content_Type": "application/json"},
    "plain text": {"Content_Type": "text/plain"},
    "no length": {"Content_Length": None},
    "too long": {"Content_Length": str(limits.KEY_PAGE_BODY_BYTES_MAX + 1)},
    "chunks": {"Transfer_Encoding": "chunked"},
}


@pytest.mark.parametrize("changed", HOSTILE.values(), ids=HOSTILE)
def test_what_does_not_come_from_the_form_has_no_effect(
    page: KeyPage, taken: Taken, changed: dict[str, str | None]
) -> None:
    session = form(page)
    status, text = sent(page, session, KEY, **changed)
    assert 400 <= status < 500
    assert session not in text
    assert not taken.values
    assert sent(page, session)[0] == 200, "the honest form must still work"


def test_a_token_is_good_once_and_a_wrong_one_never(page: KeyPage, taken: Taken) -> None:
    path = page.url.removeprefix(page.origin)
    for wrong in ("/", "/x", path + "x", path[:-1], "/%2e%2e/", path + "?x", "/" + "A" * 5000):
        assert asked(page, "GET", wrong, host(page))[0] == 403
    assert asked(page, "GET", path, {"Host": "evil.example"})[0] == 403
    assert asked(page, "GET", path, {**host(page), "Sec-Fetch-Dest": "iframe"})[0] == 403
    assert asked(page, "GET", path, {**host(page), "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "cross-site"})[0] == 403
    for method in ("HEAD", "PUT", "OPTIONS", "DELETE"):
        assert asked(page, method, path, host(page))[0] in (400, 403, 501)
    session = form(page)
    status, text, headers = asked(page, "GET", path, host(page))
    assert status == 403
    assert session not in text
    for name in ("Access-Control-Allow-Origin", "Set-Cookie", "Server"):
        assert name not in headers
    for wrong in ("", "x", session + "x"):
        assert sent(page, wrong)[0] == 403
    assert not taken.values


def test_everything_is_served_with_its_guards(page: KeyPage) -> None:
    path = page.url.removeprefix(page.origin)
    for status, text, headers in (
        asked(page, "GET", path, host(page)),
        asked(page, "GET", "/x", host(page)),
        asked(page, "BREW", "/", host(page)),
    ):
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in text
        assert not re.search(r"(src|href)=", text), "it must load nothing"
        assert "<i>" not in text
        assert status


def test_too_many_wrong_keys_and_too_much_time_end_it(taken: Taken) -> None:
    page = KeyPage("a.db", taken)
    session = form(page)
    for _ in range(limits.KEY_PAGE_TRIES_MAX):
        _, text = sent(page, session, "wrong")
        found = re.search(r'name="session" value="([^"]+)"', text)
        session = found[1] if found else ""
    assert page.ended.wait(2)
    assert not session
    late = KeyPage("a.db", taken, life_s=0.2)
    assert late.ended.wait(5)
    assert not late.kept.is_set()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who connects")
def test_another_user_of_this_machine_is_not_heard(page: KeyPage, taken: Taken) -> None:
    session = form(page)
    body = urllib.parse.urlencode({"session": session, "key": KEY})
    head = f"POST / HTTP/1.1\\r\\nHost: {page.origin[7:]}\\r\\nOrigin: {page.origin}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    script = (
        "import os, socket\nos.setuid(65534)\ns = socket.socket()\n"
        f"s.connect(('127.0.0.1', {page.origin.rpartition(':')[2]}))\n"
        f"try: s.sendall(b'{head}{body}'); print(s.recv(10) or 'cut')\n"
        "except OSError: print('cut')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "cut"
    assert not taken.values


# in a real browser


@pytest.fixture
def window() -> Iterator[Browser]:
    assert DRIVER is not None, "chromedriver is not here (Debian: chromium-driver)"
    with browser() as opened:
        yield opened


def type_in(window: Browser, key: str) -> None:
    window.wait("return document.activeElement.id === 'key'")
    window.press(key, "Enter")


@pytest.mark.slow
def test_a_person_types_the_key_in_a_real_browser(page: KeyPage, taken: Taken, window: Browser) -> None:
    window.open(page.url)
    assert "/home/me/<i>a</i>.db" in window.text
    assert window.run("return document.querySelector('#key').type") == "password"
    type_in(window, "wrong")
    window.wait("return document.querySelector('[role=alert]')")
    assert "<b>a.db</b>" in window.text
    window.wait("return document.querySelector('#key').value === ''")
    type_in(window, KEY)
    window.title("in your keychain")
    assert page.kept.wait(5)
    assert taken.values == ["wrong", KEY]
    assert KEY not in window.run("return document.documentElement.outerHTML + location.href")
    assert not [told for told in window.complaints if "Content Security Policy" in told or "Refused" in told], (
        window.complaints
    )


class _Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        target = self.path[1:]
        page = (
            f"<title>evil</title><iframe src='{target}'></iframe><img src='{target}'>"
            f"<form id=f method=post action='{target}'><input name=session value=x><input name=key value=stolen></form>"
            f"<script>window.read = 'waiting'; fetch('{target}', {{mode: 'cors'}}).then(r => r.text())"
            ".then(t => window.read = t, e => window.read = 'refused');</script>"
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.mark.slow
def test_another_page_in_the_same_browser_reads_and_sends_nothing(page: KeyPage, taken: Taken, window: Browser) -> None:
    evil = HTTPServer(("127.0.0.1", 0), _Evil)
    threading.Thread(target=evil.serve_forever, daemon=True).start()
    try:
        window.open(f"http://localhost:{evil.server_address[1]}/{page.url}")
        assert window.wait("return window.read !== 'waiting' && window.read") == "refused"
        assert not page.was_opened, "a stranger's page used up the token"
        window.run("document.getElementById('f').submit()")
        window.wait("return document.title !== 'evil'")
        assert "Not from here" in window.text
        assert not taken.values
        window.open(page.url)
        type_in(window, KEY)
        window.title("in your keychain")
    finally:
        evil.shutdown()
        evil.server_close()
    assert taken.values == [KEY]


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
def test_a_call_without_its_key_sends_the_user_to_the_page_and_goes_on(
    keyring: Ring, tmp_path: Path, window: Browser, era: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with closing(sqlcipher3.connect(str(root / "a.db"), isolation_level=None)) as db:
        db.execute("PRAGMA key = 'CANARY 4711'")
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES ('inside')")
    asked_for: list[Json] = []

    def user(question: Json) -> Json:
        asked_for.append(question)

        def go() -> None:
            window.open(question["url"])
            type_in(window, "CANARY 4711")

        threading.Thread(target=go, daemon=True).start()
        return {"action": "accept"}

    with Host(
        str(root),
        era=era,
        env={**keyring.env, "ROOTCELLAR_CONFIG": os.devnull},
        user=user,
        asks={"form": {}, "url": {}},
    ) as host:
        told = host.request(
            "tools/call",
            {"name": "query_database", "arguments": {"database": "a.db", "sql": "SELECT v FROM t"}},
            timeout=90,
        )
        assert "inside" in str(told["result"]["content"]), told
        assert len(asked_for) == 1
        assert asked_for[0]["mode"] == "url"
        assert asked_for[0]["url"].startswith("http://127.0.0.1:")
        assert "a.db" in asked_for[0]["message"]
        assert "CANARY" not in str(told) + str(asked_for)
        assert "inside" in host.text("query_database", database="a.db", sql="SELECT v FROM t")
        assert len(asked_for) == 1
    if era == "legacy":
        assert any(note["method"] == "notifications/elicitation/complete" for note in host.notes)


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_user_who_does_not_go_is_not_asked_again(keyring: Ring, tmp_path: Path, era: str, action: str) -> None:
    with closing(sqlcipher3.connect(str(tmp_path / "a.db"), isolation_level=None)) as db:
        db.execute("PRAGMA key = 'CANARY 4711'")
        db.execute("CREATE TABLE t (v)")
    with Host(
        str(tmp_path), era=era, env=keyring.env, user=lambda _question: {"action": action}, asks={"url": {}}
    ) as host:
        assert host.refusal("query_database", database="a.db", sql="SELECT 1")[0] == "declined"
        assert len(host.questions) == 1


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("asks", [{}, {"form": {}}])
def test_a_client_that_cannot_open_addresses_is_told_what_to_run(
    keyring: Ring, tmp_path: Path, era: str, asks: Json
) -> None:
    with closing(sqlcipher3.connect(str(tmp_path / "a.db"), isolation_level=None)) as db:
        db.execute("PRAGMA key = 'CANARY 4711'")
        db.execute("CREATE TABLE t (v)")
    with Host(str(tmp_path), era=era, env=keyring.env, user=lambda _question: {"action": "accept"}, asks=asks) as host:
        reason, told = host.refusal("query_database", database="a.db", sql="SELECT 1")
        assert reason == "needs_key"
        assert "rootcellar secret set --database PATH" in told
        assert not host.questions

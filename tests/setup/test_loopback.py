"""The small server behind our pages: what it answers to its own tab, and what it refuses to everybody else."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rootcellar import limits, neighbours
from rootcellar.errors import BadArgument
from rootcellar.loopback import SESSION_HEADER, Ending, Loopback, Pages, Patience

JSON = "application/json"


class Open:
    """A page that is being served, what it was called with, and a browser tab without the browser."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.calls: list[Mapping[str, Any]] = []
        self.page = Loopback(
            Pages("setup.html", ("page.js",), {"note": self._note, "refuse": self._refuse, "end": self._end}), patience
        )
        self.origin, _, self.token = self.page.url.partition("/#")
        self.address = self.origin.removeprefix("http://")
        self._pool = ThreadPoolExecutor(1)
        self.ending = self._pool.submit(self.page.wait)

    def _note(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append(given)
        return {"noted": len(self.calls)}

    def _refuse(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        raise BadArgument("`x` is not it", "try `y`")

    def _end(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.page.finish()
        return {"bye": True}

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        session: str | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request as our own page would send it, but for the headers that are given; None leaves one out."""
        data = json.dumps({} if body is None else body).encode() if raw is None else raw
        sent: dict[str, str | None] = {"Host": self.address}
        if method == "POST":
            sent |= {"Origin": self.origin, "Content-Type": JSON, "Content-Length": str(len(data))}
        sent |= {SESSION_HEADER: session, **(headers or {})}
        line = http.client.HTTPConnection(self.address, timeout=30)
        line.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                line.putheader(name, value)
        line.endheaders(data if method == "POST" else None)
        answer = line.getresponse()
        got = answer.status, dict(answer.headers), answer.read()
        line.close()
        return got

    def begin(self) -> str:
        """The session of a tab that has just opened."""
        status, _, body = self.ask("/begin", {"token": self.token})
        assert status == 200, body
        session: str = json.loads(body)["session"]
        return session

    def close(self) -> None:
        """End, if it has not ended."""
        self.page.finish()
        self._pool.shutdown()


@pytest.fixture
def tab() -> Iterator[Open]:
    opened = Open()
    yield opened
    opened.close()


def test_the_token_is_in_the_fragment_where_no_request_carries_it(tab: Open) -> None:
    assert tab.page.url.startswith("http://127.0.0.1:")
    assert len(tab.token) >= 43  # 256 bits
    assert tab.token not in tab.origin


def test_a_tab_trades_the_token_once_and_then_calls(tab: Open) -> None:
    session = tab.begin()
    assert session != tab.token
    status, _, body = tab.ask("/note", {"a": 1}, session=session)
    assert (status, json.loads(body)) == (200, {"noted": 1})
    assert tab.calls == [{"a": 1}]


def test_a_refusal_reaches_the_page_in_its_own_words(tab: Open) -> None:
    status, _, body = tab.ask("/refuse", session=tab.begin())
    assert (status, json.loads(body)) == (409, {"refused": "`x` is not it", "hint": "try `y`"})


def test_a_page_may_load_only_its_own_files_and_be_framed_and_kept_by_nobody(tab: Open) -> None:
    status, headers, body = tab.ask("/", method="GET")
    assert status == 200
    assert body.startswith(b"<!doctype html>")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert not {"server", "date", "set-cookie"} & {name.lower() for name in headers}
    assert tab.token.encode() not in body


HOSTILE: dict[str, tuple[str, dict[str, str | None]]] = {
    "no session": ("POST", {}),
    "wrong session": ("POST", {SESSION_HEADER: "x" * 43}),
    "session that is no ASCII": ("POST", {SESSION_HEADER: "\xe9" * 43}),
    "foreign origin": ("POST", {SESSION_HEADER: "ours", "Origin": "https://evil.example"}),
    "origin of another port": ("POST", {SESSION_HEADER: "ours", "Origin": "http://127.0.0.1:1"}),
    "origin null": ("POST", {SESSION_HEADER: "ours", "Origin": "null"}),
    "no origin": ("POST", {SESSION_HEADER: "ours", "Origin": None}),
    "rebound host": ("POST", {SESSION_HEADER: "ours", "Host": "evil.example"}),
    "host by name": ("POST", {SESSION_HEADER: "ours", "Host": "localhost"}),
    "no host": ("POST", {SESSION_HEADER: "ours", "Host": None}),
    "another site's fetch": ("POST", {SESSION_HEADER: "ours", "Sec-Fetch-Site": "cross-site"}),
    "a neighbour site's fetch": ("POST", {SESSION_HEADER: "ours", "Sec-Fetch-Site": "same-site"}),
    "GET with effects": ("GET", {SESSION_HEADER: "ours"}),
    "PUT": ("PUT", {SESSION_HEADER: "ours"}),
    "OPTIONS, a preflight": ("OPTIONS", {SESSION_HEADER: "ours", "Access-Control-Request-Method": "POST"}),
    "a form": ("POST", {SESSION_HEADER: "ours", "Content-Type": "application/x-www-form-urlencoded"}),
    "plain text": ("POST", {SESSION_HEADER: "ours", "Content-Type": "text/plain"}),
    "no length": ("POST", {SESSION_HEADER: "ours", "Content-Length": None}),
    "negative length": ("POST", {SESSION_HEADER: "ours", "Content-Length": "-1"}),
    "endless length": ("POST", {SESSION_HEADER: "ours", "Content-Length": "9" * 30}),
    "chunked": ("POST", {SESSION_HEADER: "ours", "Transfer-Encoding": "chunked"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_our_own_tab_is_refused_and_calls_nothing(tab: Open, name: str) -> None:
    session = tab.begin()
    method, headers = HOSTILE[name]
    mended = {key: session if value == "ours" else value for key, value in headers.items()}
    if method != "POST":
        mended |= {"Origin": tab.origin}
    status, answered, body = tab.ask("/note", {"a": 1}, method=method, headers=mended)
    assert 400 <= status <= 501
    assert "Access-Control-Allow-Origin" not in answered
    assert b"noted" not in body
    assert tab.calls == []


def test_the_hostile_table_bites_for_only_what_it_changes_is_refused(tab: Open) -> None:
    session = tab.begin()
    headers: dict[str, str | None] = {
        SESSION_HEADER: session,
        "Sec-Fetch-Site": "same-origin",
        "Origin": tab.origin,
        "Host": tab.address,
    }
    assert tab.ask("/note", {"a": 1}, headers=headers)[0] == 200


def test_a_wrong_token_opens_nothing_and_spends_nothing(tab: Open) -> None:
    for wrong in ("", "x", tab.token[:-1], "\ud800", 7, None, {"a": tab.token}):
        status, _, body = tab.ask("/begin", {"token": wrong})
        assert (status, b"session" in body) == (403, False)
    tab.begin()


def test_the_token_opens_nothing_a_second_time(tab: Open) -> None:
    session = tab.begin()
    status, _, body = tab.ask("/begin", {"token": tab.token})
    assert (status, json.loads(body)["refused"]) == (403, "this page has been opened before")
    assert tab.ask("/note", session=session)[0] == 200  # the tab that was first goes on


def test_twenty_at_once_get_one_session(tab: Open) -> None:
    with ThreadPoolExecutor(20) as crowd:
        got = list(crowd.map(lambda _: tab.ask("/begin", {"token": tab.token})[0], range(20)))
    assert (got.count(200), got.count(403)) == (1, 19)


def test_the_token_is_no_session(tab: Open) -> None:
    tab.begin()
    assert tab.ask("/note", session=tab.token)[0] == 403


@pytest.mark.parametrize("path", ["/../page.js", "/pages/page.js", "/setup_page.py", "/page.js?x=1", "/%70age.js"])
def test_only_the_files_of_the_page_are_given_by_their_exact_names(tab: Open, path: str) -> None:
    assert tab.ask("/page.js", method="GET")[0] == 200
    assert tab.ask(path, method="GET")[0] == 404


def test_a_file_is_not_given_to_another_site_but_the_page_may_be_followed_to_from_anywhere(tab: Open) -> None:
    foreign: dict[str, str | None] = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "script"}
    assert tab.ask("/page.js", method="GET", headers=foreign)[0] == 403
    assert tab.ask("/", method="GET", headers=foreign)[0] == 403
    assert tab.ask("/", method="GET", headers=foreign | {"Sec-Fetch-Dest": "document"})[0] == 200
    assert tab.ask("/", method="GET", headers={"Host": "evil.example", "Sec-Fetch-Dest": "document"})[0] == 403


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"1", b"{", b"\xff", b"[" * 60_000, b'{"a":' * 10_000],
    ids=["none", "list", "1", "{", "ff", "[", "a"],
)
def test_a_body_that_is_no_object_is_refused(tab: Open, raw: bytes) -> None:
    assert tab.ask("/note", raw=raw, session=tab.begin())[0] == 400
    assert tab.calls == []


def test_a_body_over_the_limit_is_refused_unread(tab: Open) -> None:
    length = str(limits.PAGE_BODY_BYTES_MAX + 1)
    assert tab.ask("/note", raw=b"", headers={"Content-Length": length}, session=tab.begin())[0] == 413


@pytest.mark.parametrize(
    "line", [b"\r\n\r\n", b"GET /\r\n", b"\x16\x03\x01\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000]
)
def test_noise_is_answered_or_dropped_and_the_page_goes_on(tab: Open, line: bytes) -> None:
    host, _, port = tab.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as noise:
        noise.sendall(line)
        noise.shutdown(socket.SHUT_WR)
        assert b"doctype" not in noise.recv(100_000)
    assert tab.ask("/note", session=tab.begin())[0] == 200


def test_a_connection_that_says_nothing_holds_up_neither_calls_nor_the_end(tab: Open) -> None:
    host, _, port = tab.address.partition(":")
    with socket.create_connection((host, int(port))):
        session = tab.begin()
        assert json.loads(tab.ask("/end", session=session)[2]) == {"bye": True}
        assert tab.ending.result(timeout=limits.PAGE_REQUEST_S / 2) is Ending.DONE


def test_it_ends_with_the_answer_given_and_the_port_closed(tab: Open) -> None:
    session = tab.begin()
    assert json.loads(tab.ask("/end", session=session)[2]) == {"bye": True}
    assert tab.ending.result(timeout=30) is Ending.DONE
    with pytest.raises(ConnectionError):
        tab.ask("/note", session=session)


def test_a_page_nobody_opens_ends(tab: Open) -> None:
    late = Open(Patience(opened_s=0.05))
    assert late.ending.result(timeout=30) is Ending.UNSEEN


@pytest.mark.slow
def test_a_page_that_is_left_ends_unless_it_comes_back() -> None:
    tab = Open(Patience(left_s=2.0))
    session = tab.begin()
    tab.ask("/leave", session=session)
    tab.ask("/alive", session=session)  # it was a reload
    with pytest.raises(TimeoutError):
        tab.ending.result(timeout=3.0)
    tab.ask("/leave", session=session)
    assert tab.ending.result(timeout=30) is Ending.LEFT


def test_a_page_that_falls_silent_ends() -> None:
    tab = Open(Patience(silent_s=0.2))
    tab.begin()
    assert tab.ending.result(timeout=30) is Ending.LEFT


def test_a_page_ends_after_its_time_however_busy_it_is() -> None:
    tab = Open(Patience(life_s=0.5))
    session = tab.begin()
    status = 200
    while status == 200:
        try:
            status = tab.ask("/alive", session=session)[0]
        except ConnectionError:
            break
    assert tab.ending.result(timeout=30) is Ending.LATE


def test_calls_run_one_at_a_time(tab: Open) -> None:
    inside, most = [0], [0]
    gate = threading.Barrier(2)

    def slow(given: Mapping[str, Any]) -> Mapping[str, Any]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        for _ in range(2000):
            json.dumps({})
        inside[0] -= 1
        return {}

    page = Loopback(Pages("setup.html", (), {"slow": slow}))
    token = page.url.partition("#")[2]
    session = page.begun(token)
    assert page.knows(session)

    def both() -> None:
        gate.wait()
        for _ in range(20):
            page.called("slow", {})

    threads = [threading.Thread(target=both) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    page.finish()
    assert page.wait() is Ending.DONE


ASK = """
import os, socket, sys
os.setuid(int(sys.argv[2]))
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
try:
    line.sendall(b"GET / HTTP/1.1\\r\\nHost: 127.0.0.1:" + sys.argv[1].encode() + b"\\r\\n\\r\\n")
    print(line.recv(100)[:15])
except ConnectionError:
    print(b"")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="needs two users, on Linux")
def test_another_user_of_this_machine_is_not_even_answered(tab: Open) -> None:
    port = tab.address.partition(":")[2]
    said = [
        subprocess.run(
            ["/usr/bin/python3", "-c", ASK, port, user], check=True, capture_output=True, text=True, timeout=60
        ).stdout.strip()
        for user in ("0", "65534")
    ]
    assert said == ["b'HTTP/1.0 200 OK'", "b''"]


def test_the_owner_of_a_connection_is_known_by_both_of_its_ends() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as ours:
            assert neighbours.is_ours(ours.getsockname(), port)
            assert not neighbours.is_ours(ours.getsockname(), port + 1)
            assert not neighbours.is_ours(("127.0.0.2", ours.getsockname()[1]), port)
        with socket.socket(socket.AF_INET6) as mapped:
            mapped.connect(("::ffff:127.0.0.1", port))
            assert neighbours.is_ours(("127.0.0.1", mapped.getsockname()[1]), port)

"""Other pages in the same browser, one of which even knows the one-time token: none gets in, and none spends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from setup.browser import Browser
from setup.conftest import CONFIGS, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PAGE = """<!doctype html><title>Hostile</title><body><iframe name="inside" src="URL"></iframe>
<form id="form" action="ORIGIN/begin" method="post" target="inside2" enctype="text/plain">
  <input name='{"token": "TOKEN", "x": "' value='"}'></form><iframe name="inside2"></iframe>
<script>
  const given = JSON.stringify({ token: "TOKEN" });
  const tries = {
    plain: () => fetch("ORIGIN/begin", { method: "POST", body: given }),
    blind: () => fetch("ORIGIN/begin", { method: "POST", body: given, mode: "no-cors" }),
    json: () => fetch("ORIGIN/begin", { method: "POST", body: given, headers: { "Content-Type": "application/json" } }),
    beacon: async () => navigator.sendBeacon("ORIGIN/begin", new Blob([given], { type: "text/plain" })) && Promise.reject("sent blindly"),
    script: () => new Promise((yes, no) => {
      const node = document.createElement("script"); node.src = "ORIGIN/page.js"; node.type = "module";
      node.onload = yes; node.onerror = () => no("not loaded"); document.body.append(node); }),
    look: () => fetch("ORIGIN/look", { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } }),
    page: () => fetch("ORIGIN/").then((answer) => answer.text()),
  };
  const said = {};
  document.getElementById("form").submit();
  Promise.all(Object.entries(tries).map(async ([name, go]) => {
    try { const got = await go(); said[name] = got && got.type === "opaque" ? "blind" : "GOT " + (got && got.status); }
    catch (error) { said[name] = "refused"; }
  })).then(() => (window.said = said));
</script>"""


class Hostile(BaseHTTPRequestHandler):
    """Another program's page, on another port of this machine."""

    page: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        """Give the page, whatever is asked."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hostile(running: Running) -> Iterator[str]:
    """The address of a page that knows everything but is not ours."""
    origin, _, token = running.url.partition("/#")
    text = PAGE.replace("ORIGIN", origin).replace("TOKEN", token).replace("URL", running.url)
    handler = type("Page", (Hostile,), {"page": text.encode()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_a_page_of_another_program_gets_nothing_and_spends_nothing(
    running: Running, window: Browser, hostile: str
) -> None:
    window.open(hostile)
    said = window.wait("return window.said")
    assert {name: word for name, word in said.items() if word != "refused"} in ({}, {"blind": "blind"})
    framed = "try { return frames[0].document.body.innerText } catch (error) { return 'kept apart' }"
    assert window.run(framed) in {"kept apart", ""}
    window.open(running.url)  # the token is still good
    window.title("Which applications")
    assert {name: (running.home.path / name).read_bytes() for name in CONFIGS} == CONFIGS


def test_a_name_that_is_rebound_to_this_machine_is_not_us(running: Running, window: Browser) -> None:
    origin, _, token = running.url.partition("/#")
    port = origin.rpartition(":")[2]
    window.open(f"http://rebound.example:{port}/#{token}")
    assert "not from here" in window.text
    assert "Which applications" not in window.text
    tried = """
        const done = arguments[0];
        window.got = null;
        fetch("/begin", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({token: done})})
          .then((answer) => { window.got = answer.status; }, () => { window.got = -1; });"""
    window.run(tried, token)
    assert window.wait("return window.got") == 403
    window.open(running.url)
    window.title("Which applications")

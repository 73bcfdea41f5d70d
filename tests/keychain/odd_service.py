"""A Secret Service that misbehaves in one way, given as the argument.

`silent` shows a prompt that nobody answers, `dismiss` one that is dismissed by a person, `at-once` one that could not be
shown; `forgetful` says yes and keeps nothing; `rude` answers with errors that hold what was sent; `deaf` never answers.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from jeepney import HeaderFields, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection
from jeepney.wrappers import DBusAddress

BASE = "/org/freedesktop/secrets"
DISMISSED_AFTER_S = {"dismiss": 1.0, "at-once": 0.0}


def main(way: str) -> None:
    connection = open_dbus_connection(bus="SESSION")
    Proxy(message_bus, connection).RequestName("org.freedesktop.secrets")
    print("ready", flush=True)
    while True:
        message = connection.receive()
        if message.header.message_type is MessageType.method_call and way != "deaf":
            connection.send(answer(connection, message, way))


def answer(connection: Any, message: Message, way: str) -> Message:  # noqa: PLR0911 - a table of answers
    member = message.header.fields[HeaderFields.member]
    if way == "rude" and member != "Get":
        return new_error(message, "org.example.Rude.NoManners", "s", (f"you sent {message.body!r}",))
    if member == "Get":
        locked = way in ("silent", *DISMISSED_AFTER_S)
        values = {"Locked": ("b", locked), "Label": ("s", "Odd"), "Attributes": ("a{ss}", {})}
        return new_method_return(message, "v", (values[message.body[1]],))
    if member == "Unlock":
        return new_method_return(message, "aoo", ([], f"{BASE}/prompt/1"))
    if member == "Prompt":
        if way in DISMISSED_AFTER_S:
            signal = new_signal(
                DBusAddress(f"{BASE}/prompt/1", interface="org.freedesktop.Secret.Prompt"), "Completed", "bv",
                (True, ("ao", [])),
            )  # fmt: skip
            threading.Timer(DISMISSED_AFTER_S[way], connection.send, (signal,)).start()
        return new_method_return(message)
    if member == "OpenSession" and message.body[0] == "plain":
        return new_method_return(message, "vo", (("s", ""), f"{BASE}/session/1"))
    if member == "OpenSession":
        return new_error(message, "org.freedesktop.DBus.Error.NotSupported")
    if member == "CreateItem":
        return new_method_return(message, "oo", (f"{BASE}/collection/odd/1", "/"))
    if member == "SearchItems":
        return new_method_return(message, "ao", ([],))
    return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")


main(sys.argv[1])

"""The exchange: which message goes where, in both directions and in both eras at once.

From the client come lines, on the reader's thread; from the engine come messages, on the engine's. What happens to
them is written in the ledger, so that every request gets exactly one reply. Standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rootcellar import limits
from rootcellar.front import calls, eras, frames
from rootcellar.front.frames import INVALID_REQUEST, Fault
from rootcellar.front.ledger import Ledger, encoded

if TYPE_CHECKING:
    from rootcellar.front.calls import Call
    from rootcellar.front.eras import Era, Message
    from rootcellar.front.frames import RequestId
    from rootcellar.front.instant import Snapshot

_CHATTER = frozenset(("notifications/progress", "notifications/message"))
_LATER = "send `initialize` first, or put the 2026-07-28 envelope into `params._meta`"


class Exchange:
    """One client's conversation with the engine."""

    def __init__(self, ledger: Ledger, snapshot: Snapshot) -> None:
        self.ledger = ledger
        self._snapshot = snapshot
        self._modern = calls.Session("modern")
        self._legacy: calls.Session | None = None
        self._version: str | None = None  # of the legacy handshake

    def line(self, line: bytes | frames.Oversize) -> None:
        """One line from the client."""
        try:
            if isinstance(line, frames.Oversize):
                raise line.fault()
            value = frames.decode(line)
            if isinstance(value, list):
                self._batch(value, len(line))
            else:
                self._message(value, len(line), None)
        except Fault as fault:
            self._refuse(fault, None)

    def _batch(self, members: list[Any], cost: int) -> None:
        if self._version != eras.BATCHING:
            raise Fault(INVALID_REQUEST, f"Invalid Request: batches exist in {eras.BATCHING} only; send one at a time")
        if not 0 < len(members) <= limits.BATCH_MESSAGES_MAX:
            raise Fault(INVALID_REQUEST, f"Invalid Request: a batch holds 1 to {limits.BATCH_MESSAGES_MAX} messages")
        batch = calls.Batch()
        for member in members:
            try:
                self._message(member, cost // len(members), batch)
            except Fault as fault:
                self._refuse(fault, batch)
        with self.ledger.lock:
            self.ledger.put(self.ledger.batches.settle(batch))

    def _message(self, value: Any, cost: int, batch: calls.Batch | None) -> None:  # noqa: ANN401 - any JSON value
        if not isinstance(value, dict):
            raise Fault(INVALID_REQUEST, "Invalid Request: a message must be an object")
        if "method" not in value and ("result" in value or "error" in value):
            self._response(value)
        elif "id" in value:
            self._request(value, cost, batch)
        else:
            self._notification(value, cost)

    def _request(self, value: Message, cost: int, batch: calls.Batch | None) -> None:
        key, method, params = eras.check_request(value)
        era = eras.era_of(method, params, key)
        if method == "ping" and era == "legacy":
            self._reply(key, {"result": {}}, batch)
            return
        with self.ledger.lock:
            if key in self.ledger.open:
                raise Fault(INVALID_REQUEST, "Invalid Request: a request with this id is still in flight", key)
            if method == "initialize":
                self._begin_legacy(params or {}, key, batch)
            session = self._modern if era == "modern" else self._legacy
            if session is None:
                raise Fault(INVALID_REQUEST, f"Invalid Request: `{method}` before the handshake; {_LATER}", key)
            session.roots_told = False
            call = calls.Call(session, method, params, cost)
            call.id, call.key, call.batch = key, next(self.ledger.keys), batch
            session.open_calls += 1
            instant = self._snapshot(self._version_of(era, params or {}), method, params or {})
            if instant is None:
                self.ledger.open[key] = call
                if batch:
                    batch.waiting += 1
            if instant is None or method == "initialize":  # the engine must know what was agreed
                self.ledger.admission.enqueue(call)
            else:
                self.ledger.settle(call)
        if instant is not None:
            self._reply(key, {"result": instant}, batch)
        with self.ledger.lock:
            if self.ledger.broken and self.ledger.claim(call):
                self.ledger.fail(call, self.ledger.broken)
            self.ledger.admit()

    def _begin_legacy(self, params: Message, key: RequestId, batch: calls.Batch | None) -> None:
        """A client that greets again gets a connection of its own; what it asked before ends on the old one."""
        if batch:
            raise Fault(INVALID_REQUEST, "Invalid Request: `initialize` must not be part of a batch", key)
        if self._legacy:
            self._legacy.retired = True
            self.ledger.close_if_over(self._legacy)
        self._legacy = calls.Session("legacy", params)
        version = params.get("protocolVersion")
        self._version = version if isinstance(version, str) else None

    def _version_of(self, era: Era, params: Message) -> str:
        """The protocol revision a request is made in, as its client spells it."""
        return str(eras.modern_version(params) if era == "modern" else self._version)

    def _notification(self, value: Message, cost: int) -> None:
        method, params = value.get("method"), value.get("params")
        if not isinstance(method, str) or value.get("jsonrpc") != "2.0":
            raise Fault(INVALID_REQUEST, "Invalid Request: neither a request nor a notification nor a response")
        if params is not None and not isinstance(params, dict):
            return  # nothing may be said about a notification
        with self.ledger.lock:
            session = self._legacy
            if method == "notifications/cancelled":
                self._cancel(params or {})
            elif session is None:
                return
            elif method == "notifications/initialized" and not session.greeted:
                session.greeted = True
                self.ledger.admission.enqueue(calls.Call(session, method, params, cost))
            elif method == "notifications/roots/list_changed" and not session.roots_told:
                session.roots_told = True  # told once until the next request: a flood of them changes nothing more
                self.ledger.admission.enqueue(calls.Call(session, method, params, cost))
            elif method == "notifications/progress" and self.ledger.asked and session.connection and self.ledger.engine:
                self.ledger.engine.accept(session.connection, {"method": method, "params": params})
            self.ledger.admit()

    def _cancel(self, params: Message) -> None:
        key = params.get("requestId")
        call = self.ledger.open.get(key) if isinstance(key, str | int) and not isinstance(key, bool) else None
        if call is None or call.method == "initialize":
            return
        self.ledger.claim(call)
        self.ledger.admission.drop(call)
        if call.batch:
            self.ledger.put(self.ledger.batches.settle(call.batch))
        if not call.started:
            self.ledger.settle(call)
        elif self.ledger.engine and call.session.connection:
            told = {"method": "notifications/cancelled", "params": {**params, "requestId": call.key}}
            self.ledger.engine.accept(call.session.connection, told)

    def _response(self, value: Message) -> None:
        key = value.get("id")
        with self.ledger.lock:
            asked = self.ledger.asked.pop(key, None) if type(key) is int else None
            if asked and self.ledger.engine and asked[0] in self.ledger.sessions:
                self.ledger.engine.accept(asked[0], {"id": asked[1], **eras.settled(value)})

    def deliver(self, connection: str, message: Message, related: object = None) -> None:
        """A response; or a notification or a request of the engine's own, made while serving the request `related`."""
        if "method" not in message:
            self._answered(message)
            return
        with self.ledger.lock:
            call = self.ledger.admission.running.get(related) if isinstance(related, int) else None
            if message["method"] == "notifications/cancelled":
                self._take_back(connection, message)
            elif related is not None and (call is None or call.dropped):
                return  # nothing more is said about a request that is over
            elif self._is_chatter(message):
                return
            elif "id" in message:
                key = next(self.ledger.keys)
                self.ledger.asked[key] = connection, message["id"]
                message = {**message, "id": key}
            elif call and call.method == "subscriptions/listen":
                _name_subscription(message.get("params"), call)
        try:
            data = frames.encode({"jsonrpc": "2.0", **message})
        except Fault:
            return
        with self.ledger.lock:
            self.ledger.put(data)

    def _is_chatter(self, message: Message) -> bool:
        """A client that does not read is not owed news; the more so the longer it does not."""
        unsent, most = self.ledger.admission.unsent_bytes, limits.UNSENT_BYTES_MAX
        return "id" not in message and unsent >= (most if message["method"] in _CHATTER else 2 * most)

    def _take_back(self, connection: str, message: Message) -> None:
        """The engine no longer waits for an answer from the client: say so under the id the client knows."""
        params = message.get("params") or {}
        for key, asked in self.ledger.asked.items():
            if asked == (connection, params.get("requestId")):
                del self.ledger.asked[key]
                message["params"] = {**params, "requestId": key}
                return

    def _answered(self, message: Message) -> None:
        with self.ledger.lock:
            call = self.ledger.admission.finish(message["id"])
            if call is None:
                return
            self.ledger.settle(call)
        result = message.get("result")
        if call.method == "initialize":
            self._greeted(call.session, result)
        elif call.method == "subscriptions/listen" and result:
            _name_subscription(result, call)
        data = encoded(call.id, message)
        with self.ledger.lock:
            if self.ledger.claim(call):
                self.ledger.answer(data, call.batch, call.id)
            self.ledger.admit()

    def _greeted(self, session: calls.Session, result: Message | None) -> None:
        with self.ledger.lock:
            if session is self._legacy:
                self._version = result.get("protocolVersion") if result else None
                if result is None:
                    self._legacy = None

    def unanswered(self, key: int) -> None:
        """The engine is done with the request `key` and has not answered: it was cancelled, or something is wrong."""
        with self.ledger.lock:
            if call := self.ledger.admission.finish(key):
                self.ledger.settle(call)
                if self.ledger.claim(call):
                    self.ledger.fail(call, "Internal error")
            self.ledger.admit()

    def lost(self, connection: str) -> None:
        """`connection` broke: its requests fail, and the next one gets a new connection."""
        with self.ledger.lock:
            session = self.ledger.sessions.pop(connection, None)
            if session is None:
                return
            session.connection = None
            self.ledger.asked = {key: asked for key, asked in self.ledger.asked.items() if asked[0] != connection}
            for key, call in list(self.ledger.admission.running.items()):
                if call.session is session:
                    self.ledger.admission.finish(key)
                    self.ledger.settle(call)
                    if self.ledger.claim(call):
                        self.ledger.fail(call, "Internal error")
            self.ledger.admit()

    def _reply(self, key: object, outcome: Message, batch: calls.Batch | None) -> None:
        data = encoded(key, outcome)
        with self.ledger.lock:
            if batch:
                batch.waiting += 1
            self.ledger.answer(data, batch, key)

    def _refuse(self, fault: Fault, batch: calls.Batch | None) -> None:
        outcome: Message = {"error": {"code": fault.code, "message": fault.message}}
        self._reply(eras.unknown_id(self._version) if fault.id is None else fault.id, outcome, batch)


def _name_subscription(holder: Message | None, call: Call) -> None:
    """A subscription is called by the id of the request that opened it: the client's, not ours."""
    meta = holder.get("_meta") if holder else None
    if isinstance(meta, dict) and eras.SUBSCRIPTION_ID in meta and holder is not None:
        holder["_meta"] = {**meta, eras.SUBSCRIPTION_ID: call.id}

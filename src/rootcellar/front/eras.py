"""Which era a message belongs to, told by the message itself.

A request that carries the 2026-07-28 envelope (`_meta` with a protocol version) is modern and served alone;
`initialize` and what follows it without an envelope is legacy. Neither shuts the other out: a client may probe with
one and go on with the other. Standard library only: this is on the path to the first answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rootcellar.front.frames import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Fault

if TYPE_CHECKING:
    from rootcellar.front.frames import RequestId

Era = Literal["legacy", "modern"]
Message = dict[str, Any]

_PREFIX = "io.modelcontextprotocol/"
_VERSION = _PREFIX + "protocolVersion"
_REQUIRED = (_VERSION, _PREFIX + "clientCapabilities")
_ENVELOPE = frozenset((*_REQUIRED, _PREFIX + "clientInfo"))
ABSENT = object()
SUBSCRIPTION_ID = _PREFIX + "subscriptionId"
_MODERN_ONLY = frozenset(("server/discover", "subscriptions/listen"))
BATCHING = "2025-03-26"  # the one revision with batches
_NULL_IDS = frozenset(("2024-11-05", "2025-03-26", "2025-06-18"))  # later ones leave out an id that is not known


def era_of(method: str, params: Message | None, key: RequestId) -> Era:
    """The era of the request `key`.

    Raises: Fault, for a request of the modern era that lacks its envelope (-32602), and for an enveloped `initialize`
    that asks for no legacy version either (-32601).
    """
    meta = params.get("_meta") if params else None
    envelope = frozenset(meta) & _ENVELOPE if isinstance(meta, dict) else frozenset()
    if method == "initialize":
        if _VERSION in envelope and params and "protocolVersion" not in params:
            raise Fault(METHOD_NOT_FOUND, "Method not found: 2026-07-28 has no `initialize`", key)
        return "legacy"
    if _VERSION in envelope:
        return "modern"
    if envelope or method in _MODERN_ONLY:
        missing = ", ".join(f"`{member}`" for member in _REQUIRED if member not in envelope)
        raise Fault(INVALID_PARAMS, f"Invalid params: `params._meta` must hold {missing}", key)
    return "legacy"


def modern_version(params: Message) -> object:
    """The revision that an enveloped request names."""
    return params["_meta"][_VERSION]


def unknown_id(version: str | None) -> object:
    """What stands for the id of a message that shows none: nothing at all, or null in the older revisions."""
    return None if version in _NULL_IDS else ABSENT


def check_request(message: Message) -> tuple[RequestId, str, Message | None]:
    """The id, method and params of a request.

    Raises: Fault (-32600, -32602).
    """
    key = message["id"]
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise Fault(INVALID_REQUEST, "Invalid Request: `id` must be a string or an integer")
    if message.get("jsonrpc") != "2.0":
        raise Fault(INVALID_REQUEST, 'Invalid Request: `jsonrpc` must be "2.0"', key)
    method = message.get("method")
    if not isinstance(method, str):
        raise Fault(INVALID_REQUEST, "Invalid Request: `method` must be a string", key)
    params = message.get("params")
    if params is not None and not isinstance(params, dict):
        raise Fault(INVALID_PARAMS, "Invalid params: `params` must be an object", key)
    return key, method, params


def settled(response: Message) -> Message:
    """The outcome a client's response states, as `{"result": ...}` or `{"error": ...}`; a shapeless one is an error."""
    result, error = response.get("result"), response.get("error")
    if isinstance(result, dict) and error is None:
        return {"result": result}
    if isinstance(error, dict) and type(error.get("code")) is int and isinstance(error.get("message"), str):
        return {"error": error}
    return {"error": {"code": INVALID_REQUEST, "message": "the client's response has no shape"}}

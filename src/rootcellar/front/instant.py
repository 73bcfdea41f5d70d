"""The snapshot: answers that only change with the program, given before the engine is there to ask.

`rootcellar/snapshot.json` holds what the engine says to each of them, written by `scripts/snapshots` and proven equal
to the engine's own answers by a test. Only a request of the plainest form is answered from it; whatever else stands in
its params, or a snapshot of another version of the program, is the engine's to judge. Standard library only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rootcellar.front.eras import Message

    Snapshot = Callable[[str, str, Message], Message | None]

_PREFIX = "io.modelcontextprotocol/"
_ENVELOPE = frozenset(_PREFIX + name for name in ("protocolVersion", "clientCapabilities", "clientInfo"))
_NAMES = frozenset(("name", "title", "version"))
_PLAIN = frozenset(("_meta", "capabilities", "clientInfo", "protocolVersion"))
_CAPABILITIES = frozenset(("elicitation", "roots", "sampling", "experimental", "extensions"))
METHODS = (
    *("initialize", "server/discover", "tools/list", "prompts/list"),
    *("resources/list", "resources/templates/list"),
)


def nothing(_version: str, _method: str, _params: Message) -> Message | None:
    """A snapshot without answers: everything is asked of the engine."""
    return None


def snapshot(text: bytes, program: str, variant: str) -> Snapshot:
    """What `text` (the snapshot's JSON) answers for this `program` version and this `variant` of the settings.

    From (protocol version, method, params) to the result, or None to ask the engine.
    """
    try:
        held: Any = json.loads(text)
    except ValueError:
        return nothing
    if not isinstance(held, dict) or held.get("program") != program:
        return nothing
    results, places = held["results"], held["answers"][variant]

    def answer(version: str, method: str, params: Message) -> Message | None:
        place = places.get(f"{version} {method}")
        return results[place] if place is not None and _is_plain(method, params) else None

    return answer


def _is_plain(method: str, params: Message) -> bool:
    """Whether nothing in the params could make the engine say anything else."""
    if method != "initialize":
        return not params.keys() - {"_meta"} and _is_plain_meta(params.get("_meta", {}))
    if params.keys() - _PLAIN or not _is_plain_meta(params.get("_meta", {})):
        return False
    return _is_client(params.get("clientInfo")) and _are_capabilities(params.get("capabilities"))


def _is_plain_meta(meta: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not isinstance(meta, dict) or meta.keys() - _ENVELOPE - {"progressToken"}:
        return False
    token = meta.get("progressToken", 0)
    return (
        isinstance(token, str | int)
        and not isinstance(token, bool)
        and (_PREFIX + "protocolVersion" not in meta or _PREFIX + "clientCapabilities" in meta)  # the engine says so
        and _is_client(meta.get(_PREFIX + "clientInfo", {"name": "", "version": ""}))
        and _are_capabilities(meta.get(_PREFIX + "clientCapabilities", {}))
    )


def _is_client(info: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not isinstance(info, dict) or info.keys() - _NAMES or not {"name", "version"} <= info.keys():
        return False
    return all(isinstance(value, str) for value in info.values())


def _are_capabilities(given: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not isinstance(given, dict) or given.keys() - _CAPABILITIES:
        return False
    roots = given.get("roots", {})
    if not isinstance(roots, dict) or not isinstance(roots.get("listChanged", True), bool) or len(roots) > 1:
        return False
    held = [given.get(name, {}) for name in ("elicitation", "sampling", "experimental", "extensions")]
    return all(isinstance(one, dict) and all(isinstance(value, dict) for value in one.values()) for one in held)

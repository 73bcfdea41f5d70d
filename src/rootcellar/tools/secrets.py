"""What a model may know of secrets: that they are there, and what they unlock. Values never come this way."""

from __future__ import annotations

from rootcellar import keys, limits
from rootcellar.errors import Refusal
from rootcellar.policy import Effect
from rootcellar.secret_index import Kind, Known
from rootcellar.tools.answers import Said
from rootcellar.toolset import Call, Toolset

SECRETS = Toolset("secrets")


@SECRETS.tool("List secrets", Effect.READ)
def list_secrets(call: Call) -> Said:
    """See which databases' keys and which named values the user's keychain has. Never the values: no tool reads or
    sets them; the user does, with `rootcellar secret` in a terminal."""
    call.roots.entry(".") if not call.roots.roots else None  # no tool answers without a root
    held = keys.served()
    known = held.keychain.apart(held.index.all, limits.KEYCHAIN_QUIET_S)
    lines = [_line(call, one) for one in known.values() if one.kind is not Kind.OURS]
    return Said(text="\n".join(lines), note=f"[{len(lines):,} secrets]")


def _line(call: Call, known: Known) -> str:
    if known.kind is Kind.VALUE:
        return f"{known.name}: a value the user's settings refer to"
    path = known.unlocks
    try:
        return f"the key of {call.roots.entry(path)}"
    except Refusal:
        name = path.replace("\\", "/").rpartition("/")[2]
        return f"the key of a database outside the roots, last seen as `{name}`"

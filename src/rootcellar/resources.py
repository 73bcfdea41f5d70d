"""Files as MCP resources: one template, read through the same wall as everything else.

Nothing is listed up front: which files there are depends on the roots, and those are asked for only inside a call.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from rootcellar import limits
from rootcellar.confine import Lane
from rootcellar.confine.uris import NoPath, System, path_of
from rootcellar.errors import BadArgument, NotText
from rootcellar.policy import Effect
from rootcellar.text import kinds
from rootcellar.text.decode import decode
from rootcellar.toolset import Call, Tool

Json = dict[str, Any]

TEMPLATE: Json = {
    "uriTemplate": "file:///{+path}",
    "name": "file",
    "title": "A file inside the roots",
    "description": "The whole content of one file, by its absolute path.",
}


class Contents(BaseModel):
    """One resource's contents, as text where it is text."""

    model_config = ConfigDict(frozen=True)
    uri: str
    mime: str
    data: bytes

    def content(self) -> list[Json]:
        """The one item of `contents`."""
        try:
            return [{"uri": self.uri, "mimeType": self.mime, "text": decode(self.data).text}]
        except NotText:
            return [{"uri": self.uri, "mimeType": self.mime, "blob": base64.b64encode(self.data).decode("ascii")}]


def _read(call: Call, *, uri: str) -> Contents:
    """Read a whole file by its `file:` URI."""
    path = path_of(uri, System.WINDOWS if sys.platform == "win32" else System.POSIX)
    if isinstance(path, NoPath):
        told = f"the URI names no file of this machine: {path.reason}"
        raise BadArgument(told, "use `file:///` and an absolute path")
    entry = call.roots.entry(path)
    data = entry.read(limits.RESOURCE_BYTES_MAX)
    return Contents(uri=uri, mime=kinds.guess(data[: kinds.HEAD_BYTES], entry.name), data=data)


# Runs the way a tool does, and is none: it is not in `tools/list`.
read_resource = Tool(
    "resources/read", "Read a resource", "", Effect.READ, Lane.QUICK, create_model("Resource", uri=(str, ...)), _read
)

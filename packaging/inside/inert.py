"""Stand-ins for what the SDK imports for servers and clients on a network, which this program never is.

The modules named here are left out of the bundle (`contents.py`); an import of one gives a module whose every name is
an empty class: good enough to be imported, annotated with or derived from, and refusing to be made or called. They
come last in the search, so a module that is there is never hidden by one.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

ModuleType = type(sys)
MODULES = (
    "ssl", "_ssl", "click", "h11", "httpcore2", "httpx2", "jwt", "multipart", "python_multipart", "sse_starlette",
    "starlette", "truststore", "uvicorn",
    "mcp.client", "mcp.server._streamable_http_modern", "mcp.server.auth.handlers", "mcp.server.auth.json_response",
    "mcp.server.auth.middleware.bearer_auth", "mcp.server.auth.middleware.client_auth", "mcp.server.auth.routes",
    "mcp.server.mcpserver", "mcp.server.sse", "mcp.server.stdio", "mcp.server.streamable_http",
    "mcp.server.streamable_http_manager", "mcp.server.transport_security", "mcp.shared._httpx_utils",
)  # fmt: skip


class Inert(type):
    """The type of a stand-in: it can be named, and nothing else."""

    def __call__(cls, *_: object, **__: object) -> NoReturn:
        """Refuse."""
        raise NotImplementedError(f"`{cls.__module__}.{cls.__name__}` is not in this program")

    def __getitem__(cls, _: object) -> Inert:
        """Itself, whatever its parameters."""
        return cls


class InertModule(ModuleType):
    """A module of stand-ins."""

    def __getattr__(self, name: str) -> Inert:
        """Any name but those that mean something to the import system."""
        if name.startswith("__"):
            raise AttributeError(name)
        made = Inert(name, (), {"__module__": self.__name__})
        setattr(self, name, made)
        return made


class Finder:
    """Answers for the modules that were left out."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A specification for those, and for what lies below them."""
        del path, target
        if not any(name == one or name.startswith(one + ".") for one in MODULES):
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one."""
        return InertModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def install() -> None:
    """Let imports of those modules succeed."""
    sys.meta_path.append(Finder())

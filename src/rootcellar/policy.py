"""What a tool may do to the user's things, and what is never touched at all. Pure: no file is opened here."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import Enum


class Effect(Enum):
    """What a tool may do to the user's things; annotations, admission, consent and journal derive from it."""

    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"


class Access(Enum):
    """What a root admits."""

    READ_ONLY = "read-only"
    READ_WRITE = "read-write"


class Confirm(Enum):
    """When a DESTROY asks the user first."""

    ASK = "ask"
    NEVER = "never"
    REFUSE = "refuse"


# A pattern without a slash matches any one component of the path inside the root; one with a slash
# matches consecutive components anywhere. Case never matters: a sealed name stays sealed on every disk.
SEALED: tuple[str, ...] = (
    # keys and credentials
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker/config.json", ".config/gcloud", ".config/gh",
    ".password-store", ".netrc", "_netrc", ".pgpass", ".git-credentials", ".npmrc", ".pypirc", ".vault-token",
    ".env*", "*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore", "*.kdbx",
    "id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk",
    # keychains
    "Library/Keychains", "*.keychain", "*.keychain-db", ".local/share/keyrings", "AppData/*/Microsoft/Credentials",
    "AppData/*/Microsoft/Protect", "kwalletd",
    # browser profiles
    ".mozilla", ".config/google-chrome*", ".config/chromium", ".config/BraveSoftware", ".config/microsoft-edge*",
    "Library/Application Support/Google/Chrome*", "Library/Application Support/Firefox",
    "Library/Application Support/Microsoft Edge*", "Library/Application Support/BraveSoftware", "Library/Safari",
    "Library/Cookies", "AppData/Local/Google/Chrome*", "AppData/Local/Microsoft/Edge*",
    "AppData/Local/BraveSoftware", "AppData/Roaming/Mozilla", "snap/firefox", ".var/app/org.mozilla.firefox",
    # configs of MCP hosts: they name commands that run
    "claude_desktop_config.json", ".claude.json", ".claude", ".mcp.json", "mcp.json", "mcp_config.json",
    "cline_mcp_settings.json", "mcp_settings.json", ".codex", ".gemini", ".qwen", ".copilot/mcp-config.json",
    ".continue", ".config/goose", ".config/opencode", "opencode.json", "opencode.jsonc", ".config/zed", ".amazonq",
    ".kiro/settings",
    # what is our own: records, backups, journal, settings
    ".config/rootcellar", ".local/share/rootcellar", "Library/Application Support/rootcellar",
    "AppData/Local/rootcellar",
)  # fmt: skip


_WILD = {"*": "[^/]*", "?": "[^/]"}


@functools.cache
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], frozenset[str]]:
    """One alternation for the patterns with wildcards or slashes, one set for the plain names."""
    shaped = [p.casefold().strip("/") for p in patterns if re.search(r"[*?/]", p)]
    plain = frozenset(p.casefold() for p in patterns if not re.search(r"[*?/]", p))
    bodies = ["".join(_WILD.get(char) or re.escape(char) for char in pattern) for pattern in shaped]
    return re.compile("(?:^|/)(?:" + "|".join(bodies or ["(?!)"]) + ")(?:/|$)"), plain


@dataclass(frozen=True, slots=True)
class Policy:
    """What is admitted at all, what is sealed, and what needs a yes first."""

    read_only: bool = False
    sealed: tuple[str, ...] = SEALED
    confirm: Confirm = Confirm.ASK

    def admits(self, effect: Effect) -> bool:
        """Whether tools with this effect exist at all."""
        return effect is Effect.READ or not self.read_only

    def seals(self, parts: tuple[str, ...]) -> bool:
        """Whether a path inside a root, as its resolved components, is sealed or lies below something sealed."""
        shaped, plain = _compiled(self.sealed)
        folded = [part.casefold() for part in parts]
        return any(part in plain for part in folded) or bool(shaped.search("/".join(folded)))

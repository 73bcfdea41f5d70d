"""Where every host keeps its servers, on every system: the table, as data, with where each row comes from.

`source`: RAN (started here from a file we wrote), SRC (read in the host's source), DOC (its documentation), ISS (reports of
users). A template starts with `~` or `${VAR:-default}`, is spelled with `/`, and may hold one `*`.
"""

from __future__ import annotations

from rootcellar.hosts.edit import Form
from rootcellar.hosts.host import Files, Host, Platform, Question, Says, Shape, Surroundings

CONFIG = "${XDG_CONFIG_HOME:-~/.config}"
ROAMING = "${APPDATA:-~/AppData/Roaming}"
LOCAL = "${LOCALAPPDATA:-~/AppData/Local}"
SUPPORT = "~/Library/Application Support"
MCP_SERVERS = ("mcpServers",)
YES, NO = Says.YES, Says.NO


def _same(*paths: str) -> Files:
    return Files(paths, paths, paths)


def _code(folder: str, file: str) -> Files:
    """A file in the user directory of an editor built from VS Code's source."""
    tails = [f"{folder}/User/{file}"]
    return Files(
        tuple(f"{CONFIG}/{tail}" for tail in tails),
        tuple(f"{SUPPORT}/{tail}" for tail in tails),
        tuple(f"{ROAMING}/{tail}" for tail in tails),
    )


def _vscode(name: str, title: str, folder: str, command: str, scheme: str, source: str) -> Host:
    return Host(
        name, title, Form.JSONC, ("servers",), Shape.STDIO, _code(folder, "mcp.json"), source, "2026-11-20",
        project=".vscode/mcp.json", profiles=_code(folder, "profiles/*/mcp.json"),
        marks=Files((f"{CONFIG}/{folder}",), (f"{SUPPORT}/{folder}",), (f"{ROAMING}/{folder}",)), command=command,
        roots=YES, elicitation=YES, after=f"approve in {title}", project_after=f"approve in {title}",
        link=f"{scheme}:mcp/install?" if scheme else "", surroundings=Surroundings.ELECTRON, limit_s=30.0,
    )  # fmt: skip


HOSTS: tuple[Host, ...] = (
    Host(
        "claude-desktop", "Claude Desktop", Form.JSONC, MCP_SERVERS, Shape.PLAIN,
        Files(
            (f"{CONFIG}/Claude/claude_desktop_config.json",),
            (f"{SUPPORT}/Claude/claude_desktop_config.json",),
            (
                f"{LOCAL}/Packages/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json",
                f"{ROAMING}/Claude/claude_desktop_config.json",
            ),
        ),
        "SRC VS Code 1.139.1's discovery; ISS claude-code#25579 #26073 (MSIX)", "2026-11-20",
        unread=Files(linux=(f"{CONFIG}/claude/claude_desktop_config.json",)),
        marks=Files(
            (f"{CONFIG}/Claude",),
            (f"{SUPPORT}/Claude", "/Applications/Claude.app"),
            (f"{LOCAL}/Packages/Claude_*", f"{ROAMING}/Claude", f"{LOCAL}/AnthropicClaude"),
        ),
        roots=NO, elicitation=NO, after="restart Claude Desktop (quit it from the tray or menu bar first)",
        running=r"/Claude\.app/Contents/MacOS/Claude|AnthropicClaude\\[^\n]*claude\.exe|WindowsApps\\Claude_|claude-desktop",
        surroundings=Surroundings.DESKTOP, bundles=(Platform.MACOS, Platform.WINDOWS),
    ),
    Host(
        "claude-code", "Claude Code", Form.JSON, MCP_SERVERS, Shape.STDIO,
        _same("${CLAUDE_CONFIG_DIR:-~}/.claude.json"), "RAN 2.1.329", "2026-11-20",
        project=".mcp.json", marks=_same("${CLAUDE_CONFIG_DIR:-~/.claude}"), command="claude",
        question=Question(("mcp", "get", "NAME"), r"NAME:[\s\S]*Status:[^\n]*(?:✓|✔|√)[^\n]*Connected"),
        roots=YES, elicitation=YES, project_after="approve in Claude Code", probe_s=3.0, limit_s=30.0,
    ),
    Host(
        "cursor", "Cursor", Form.JSONC, MCP_SERVERS, Shape.PLAIN, _same("~/.cursor/mcp.json"),
        "DOC cursor.com/docs/mcp; SRC add-mcp 2.4.0", "2026-11-20",
        project=".cursor/mcp.json", marks=_same("~/.cursor"), command="cursor", roots=YES, elicitation=YES,
        after="restart Cursor", project_after="approve in Cursor",
        link="cursor://anysphere.cursor-deeplink/mcp/install?", surroundings=Surroundings.ELECTRON,
    ),
    _vscode("vscode", "VS Code", "Code", "code", "vscode", "RAN as code-server 4.139.1; DOC vscode-docs 2026-05"),
    _vscode(
        "vscode-insiders", "VS Code Insiders", "Code - Insiders", "code-insiders", "vscode-insiders", "SRC smithery 1.2.0"
    ),
    _vscode("vscodium", "VSCodium", "VSCodium", "codium", "", "by VS Code's rule; not run"),
    Host(
        "code-server", "code-server", Form.JSONC, ("servers",), Shape.STDIO,
        _same("${XDG_DATA_HOME:-~/.local/share}/code-server/User/mcp.json"), "RAN 4.139.1", "2026-11-20",
        project=".vscode/mcp.json", profiles=_same("${XDG_DATA_HOME:-~/.local/share}/code-server/User/profiles/*/mcp.json"),
        marks=_same("${XDG_DATA_HOME:-~/.local/share}/code-server"), command="code-server", roots=YES, elicitation=YES,
        after="approve in code-server", project_after="approve in code-server",
        surroundings=Surroundings.ELECTRON, limit_s=30.0,
    ),
    Host(
        "windsurf", "Windsurf (Devin Desktop)", Form.JSONC, MCP_SERVERS, Shape.PLAIN,
        _same("~/.codeium/windsurf/mcp_config.json"), "DOC docs.windsurf.com; SRC VS Code's discovery", "2026-11-20",
        marks=_same("~/.codeium/windsurf"), command="windsurf", after="restart Windsurf", surroundings=Surroundings.ELECTRON,
    ),
    Host(
        "cline", "Cline", Form.JSONC, MCP_SERVERS, Shape.PATIENT,
        Files(*(
            ("${CLINE_MCP_SETTINGS_PATH:-${CLINE_DIR:-~/.cline}/data/settings/cline_mcp_settings.json}", old)
            for old in (
                f"{base}/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"
                for base in (CONFIG, SUPPORT, ROAMING)
            )
        )),
        "RAN CLI 3.0.65; SRC cline@21cb8d2525", "2026-11-20",
        marks=_same("${CLINE_DIR:-~/.cline}"), command="cline", roots=NO, elicitation=NO, after="restart Cline",
        question=Question(("config", "mcp"), r"NAME \[stdio\]", starts=NO), limit_s=60.0,
    ),
    Host(
        "roo", "Roo Code", Form.JSONC, MCP_SERVERS, Shape.PLAIN,
        _code("Code", "globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
        "DOC Roo-Code-Docs 2025-05; SRC install-mcp 1.10.2", "2026-11-20",
        project=".roo/mcp.json", marks=_code("Code", "globalStorage/rooveterinaryinc.roo-cline"),
        after="restart VS Code", surroundings=Surroundings.ELECTRON,
    ),
    Host(
        "zed", "Zed", Form.JSONC, ("context_servers",), Shape.CUSTOM,
        Files(
            ("${FLATPAK_XDG_CONFIG_HOME:-${XDG_CONFIG_HOME:-~/.config}}/zed/settings.json",),
            ("~/.config/zed/settings.json",),
            (f"{ROAMING}/Zed/settings.json",),
        ),
        "SRC zed crates/paths; DOC zed.dev", "2026-11-20",
        project=".zed/settings.json",
        unread=Files((), (f"{SUPPORT}/Zed/settings.json",), ("~/.config/zed/settings.json",)),
        marks=Files(
            ("${FLATPAK_XDG_CONFIG_HOME:-${XDG_CONFIG_HOME:-~/.config}}/zed",),
            ("~/.config/zed", "/Applications/Zed.app"),
            (f"{ROAMING}/Zed",),
        ),
        command="zed", roots=NO, surroundings=Surroundings.DESKTOP,
    ),
    Host(
        "gemini", "Gemini CLI", Form.JSON_COMMENTS, MCP_SERVERS, Shape.PLAIN, _same("~/.gemini/settings.json"),
        "RAN 0.61.0", "2026-11-20",
        project=".gemini/settings.json", marks=_same("~/.gemini/settings.json"), command="gemini",
        question=Question(
            ("mcp", "list"), r"(?:✓|✔)[^\n]*NAME:[^\n]*Connected", env=(("GEMINI_CLI_TRUST_WORKSPACE", "true"),)
        ),
        roots=YES, elicitation=NO, after="trust this folder in Gemini CLI", project_after="trust this folder in Gemini CLI",
        limit_s=4.0,
    ),
    Host(
        "antigravity", "Antigravity", Form.JSONC, MCP_SERVERS, Shape.PLAIN,
        _same("~/.gemini/config/mcp_config.json", "~/.gemini/antigravity/mcp_config.json"),
        "SRC add-mcp 2.4.0; ISS jcodemunch 1.108.89", "2026-11-20",
        project=".agents/mcp_config.json", marks=_same("~/.gemini/config", "~/.gemini/antigravity"), command="agy",
        after="restart Antigravity", surroundings=Surroundings.ELECTRON,
    ),
    Host(
        "codex", "Codex", Form.TOML, ("mcp_servers",), Shape.PLAIN, _same("${CODEX_HOME:-~/.codex}/config.toml"),
        "RAN 0.169.0", "2026-11-20",
        project=".codex/config.toml", marks=_same("${CODEX_HOME:-~/.codex}"), command="codex",
        question=Question(("mcp", "get", "NAME"), r"NAME\s[\s\S]*enabled: true", starts=NO),
        roots=NO, elicitation=YES, project_after="trust this folder in Codex", surroundings=Surroundings.ALLOWED,
    ),
    Host(
        "copilot", "GitHub Copilot CLI", Form.JSONC, MCP_SERVERS, Shape.LOCAL_TOOLS,
        _same("${COPILOT_HOME:-~/.copilot}/mcp-config.json"), "RAN 1.0.102", "2026-11-20",
        project=".github/mcp.json", marks=_same("${COPILOT_HOME:-~/.copilot}"), command="copilot",
        question=Question(("mcp", "list", "--json"), r'"NAME"\s*:', starts=NO),
        roots=NO, elicitation=YES, project_after="trust this folder in Copilot CLI", probe_s=0.5, limit_s=30.0,
    ),
    Host(
        "junie", "JetBrains Junie", Form.JSONC, MCP_SERVERS, Shape.PLAIN, _same("~/.junie/mcp/mcp.json"),
        "unconfirmed", "2026-11-20", project=".junie/mcp/mcp.json", marks=_same("~/.junie"), command="junie",
        after="restart the IDE", surroundings=Surroundings.DESKTOP,
    ),
    Host(
        "jetbrains", "JetBrains AI Assistant", Form.JSONC, MCP_SERVERS, Shape.PLAIN, Files(),
        "DOC jetbrains.com/help 2026-05: servers are kept in the settings window; Air reads a project file", "2026-11-20",
        project=".air/mcp.json", marks=Files((f"{CONFIG}/JetBrains",), (f"{SUPPORT}/JetBrains",), (f"{ROAMING}/JetBrains",)),
        after="restart the IDE", project_after="approve in the IDE", surroundings=Surroundings.DESKTOP,
    ),
    Host(
        "lmstudio", "LM Studio", Form.JSONC, MCP_SERVERS, Shape.PLAIN,
        _same("~/.lmstudio/mcp.json", "~/.cache/lm-studio/mcp.json"), "DOC lmstudio.ai; ISS bug-tracker#1371", "2026-11-20",
        marks=_same("~/.lmstudio", "~/.cache/lm-studio"), command="lms", after="restart LM Studio",
        link="lmstudio://add_mcp?", surroundings=Surroundings.DESKTOP,
    ),
    Host(
        "goose", "Goose", Form.YAML, ("extensions",), Shape.GOOSE,
        Files(
            (f"{CONFIG}/goose/config.yaml",), ("~/.config/goose/config.yaml",),
            (f"{ROAMING}/Block/goose/config/config.yaml",),
        ),
        "DOC aaif-goose config-files", "2026-11-20",
        marks=Files((f"{CONFIG}/goose",), ("~/.config/goose",), (f"{ROAMING}/Block/goose",)), command="goose",
        after="restart the session in Goose", link="goose://extension?", surroundings=Surroundings.DESKTOP,
    ),
    Host(
        "continue", "Continue", Form.YAML, MCP_SERVERS, Shape.PLAIN, _same("~/.continue/config.yaml"),
        "RAN cn 1.5.47; DOC mcp.mdx", "2026-11-20",
        project=".continue/mcpServers/rootcellar.yaml", marks=_same("~/.continue"), command="cn", roots=NO, elicitation=NO,
        listed=YES, drop_in="~/.continue/mcpServers/rootcellar.yaml",
        preamble="name: Rootcellar\nversion: 0.0.1\nschema: v1\n",
    ),
    Host(
        "opencode", "opencode", Form.JSONC, ("mcp",), Shape.LOCAL_LIST,
        _same(f"{CONFIG}/opencode/opencode.json", f"{CONFIG}/opencode/opencode.jsonc"), "RAN 1.18.33", "2026-11-20",
        project="opencode.json", marks=_same(f"{CONFIG}/opencode"), command="opencode",
        question=Question(("mcp", "list"), r"(?:✓|✔)[^\n]*NAME[^\n]*connected"),
        roots=YES, elicitation=NO, limit_s=30.0,
    ),
    Host(
        "amazon-q", "Amazon Q CLI", Form.JSONC, MCP_SERVERS, Shape.PLAIN, _same("~/.aws/amazonq/mcp.json"),
        "SRC amazon-q-developer-cli: read where the agent sets useLegacyMcpJson", "2026-11-20",
        project=".amazonq/mcp.json", marks=_same("~/.aws/amazonq"), command="q",
    ),
    Host(
        "kiro", "Kiro", Form.JSONC, MCP_SERVERS, Shape.PLAIN, _same("~/.kiro/settings/mcp.json"),
        "DOC kiro.dev; SRC add-mcp 2.4.0", "2026-11-20",
        project=".kiro/settings/mcp.json", marks=_same("~/.kiro"), command="kiro", after="restart Kiro",
        surroundings=Surroundings.ELECTRON,
    ),
    Host(
        "warp", "Warp", Form.JSONC, MCP_SERVERS, Shape.PLAIN, _same("~/.warp/.mcp.json"), "DOC docs.warp.dev", "2026-11-20",
        project=".warp/.mcp.json", marks=_same("~/.warp"), after="start it in Warp's MCP settings",
        surroundings=Surroundings.DESKTOP,
    ),
    Host(
        "qwen", "Qwen Code", Form.JSON_COMMENTS, MCP_SERVERS, Shape.PLAIN, _same("~/.qwen/settings.json"),
        "RAN 0.24.4", "2026-11-20",
        project=".qwen/settings.json", marks=_same("~/.qwen"), command="qwen",
        question=Question(("mcp", "list"), r"(?:✓|✔)[^\n]*NAME:[^\n]*Connected"),
        roots=YES, elicitation=NO, project_after="trust this folder in Qwen Code",
    ),
)  # fmt: skip

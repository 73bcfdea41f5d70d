"""What the frozen binary holds beyond what its imports say, and what it must not hold. Read by rootcellar.spec."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parent / "inside"))

import inert

# Whose version is asked at run time (`importlib.metadata`).
METADATA: tuple[str, ...] = ()

_KEYRING = {
    "linux": ("keyring.backends.SecretService", "secretstorage", "jeepney.io.blocking"),
    "darwin": ("keyring.backends.macOS",),
    "win32": ("keyring.backends.Windows", "win32ctypes.pywin32"),
}
_IMAGES = ("Avif", "Bmp", "Gif", "Ico", "Jpeg", "Mpo", "Png", "Ppm", "Tiff", "WebP")  # MPO: what phones call JPEG

# Imported somewhere, never reached by what we do.
EXCLUDED = [
    *inert.MODULES,
    # the standard library's tests, tools, windows and consoles
    "test", "unittest", "doctest", "pydoc", "pydoc_data", "lib2to3", "distutils", "ensurepip", "venv", "idlelib",
    "tkinter", "_tkinter", "turtle", "turtledemo", "curses", "_curses", "readline", "dbm", "xmlrpc", "pdb", "cmd",
    "bdb", "_sqlite3", "_testcapi", "_testinternalcapi", "xxlimited", "ftplib", "imaplib", "poplib", "telnetlib",
    "nntplib", "smtplib", "cProfile", "profile", "pstats", "crypt", "_crypt", "nis", "ossaudiodev", "spwd", "audioop",
    # what builds packages
    "setuptools", "pkg_resources", "_distutils_hack", "pip", "wheel",
    # images: other formats, fonts, colour management, screens
    "PIL._imagingft", "PIL._imagingcms", "PIL._imagingtk", "PIL._imagingmath", "PIL._imagingmorph", "PIL.ImageTk",
    "PIL.ImageQt", "PIL.ImageShow", "PIL.ImageGrab", "PIL.ImageFont", "PIL.ImageCms", "PIL.features",
    # apsw's shell, tests and extras
    "apsw.shell", "apsw.tests", "apsw.speedtest", "apsw.trace", "apsw.sqlite_extra", "apsw.bestpractice", "apsw.aio",
    "apsw.fts5", "apsw.fts5aux", "apsw.fts5query", "apsw.mcall", "apsw._unicode", "apsw.unicode", "apsw.ext",
    # command lines and plug-ins of libraries
    "mcp.cli", "httpx2._main", "watchfiles.cli", "charset_normalizer.cli", "keyring.cli", "click.testing", "rich",
    "pygments", "trio", "anyio._backends._trio", "anyio.pytest_plugin", "uvloop", "numpy", "pydantic.mypy",
    "pydantic.v1", "pydantic._internal._mypy", "hypothesis", "IPython", "dotenv", "typer", "cffi", "pycparser",
    "jsonschema.cli", "jsonschema.benchmarks", "jsonschema.tests", "yaml._yaml",
]  # fmt: skip
_UNWANTED_NAMES = ("libsqlite3", "libharfbuzz", "libfreetype", "liblcms2", "libreadline", "libncurses", "libtinfo")
_UNWANTED_PARTS = ("fts_test_strings", "tests", "benchmarks")


def ripgrep() -> Path:
    """The search engine of this environment."""
    return Path(sys.prefix) / ("Scripts/rg.exe" if sys.platform == "win32" else "bin/rg")


def hidden_imports(src: Path) -> list[str]:
    """Every module of ours, and what is imported by a name that no analysis sees."""
    ours = sorted((src / "rootcellar").rglob("*.py"))
    names = [".".join(path.relative_to(src).with_suffix("").parts).removesuffix(".__init__") for path in ours]
    return [*names, *_KEYRING.get(sys.platform, ()), *(f"PIL.{kind}ImagePlugin" for kind in _IMAGES)]


def data_files(src: Path) -> list[tuple[str, str]]:
    """The package's files that are no modules, each with its folder in the bundle."""
    files = (path for path in sorted((src / "rootcellar").rglob("*")) if path.is_file())
    kept = (path for path in files if path.suffix not in {".py", ".pyc", ".pyi", ".typed"})
    return [(str(path), path.parent.relative_to(src).as_posix()) for path in kept]


def is_unwanted(name: str) -> bool:
    """Whether a file has no business in the bundle, though something drew it in."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name.startswith(_UNWANTED_NAMES) or any(part in _UNWANTED_PARTS for part in path.parts)

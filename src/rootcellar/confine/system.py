"""Directories that are never a root, because they hold the system or everybody's files. Data, and one question."""

from __future__ import annotations

from typing import Final

# Refused themselves, while directories below them may be roots.
_ALONE: Final = frozenset({
    "/", "/home", "/users", "/media", "/mnt", "/opt", "/run", "/run/user", "/run/media", "/srv", "/usr",
    "/usr/local", "/usr/src", "/var", "/var/lib", "/private", "/private/var", "/volumes", "/net", "/nix",
    "c:/users", "c:/programdata",
})  # fmt: skip
# Refused with everything below.
_WHOLE: Final = (
    "/bin", "/boot", "/cores", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/proc", "/sbin",
    "/sys", "/usr/bin", "/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/sbin",
    "/usr/share", "/var/run", "/var/spool", "/var/cache", "/run/systemd", "/run/lock", "/run/udev", "/nix/store",
    "/applications", "/library", "/system", "/private/etc", "/private/var/db", "/private/var/root",
    "c:/windows", "c:/program files", "c:/program files (x86)", "c:/$recycle.bin", "c:/system volume information",
)  # fmt: skip
_FREE: Final = ("/dev/shm",)  # memory that people do use as a scratch directory  # noqa: S108 - named, not used


def why_not(path: str) -> str:
    """Say why an absolute path is refused as a root; empty when it may be one."""
    plain = path.replace("\\", "/").casefold().removeprefix("//?/")
    plain = plain.rstrip("/") or "/"
    if plain == "/" or (len(plain) == 2 and plain[1] == ":"):  # noqa: PLR2004 - a drive
        return "it is a whole file system; name a directory in it"
    if plain.startswith("//"):
        return "it is on another machine; connect it as a drive first"
    if len(plain) > 2 and plain[1] == ":":  # noqa: PLR2004 - a drive
        plain = "c" + plain[1:]
    if plain in _ALONE:
        return "it holds more than one person's or program's files; name a directory in it"
    if any(plain == free or plain.startswith(free + "/") for free in _FREE):
        return ""
    if any(plain == whole or plain.startswith(whole + "/") for whole in _WHOLE):
        return "it belongs to the operating system"
    return ""

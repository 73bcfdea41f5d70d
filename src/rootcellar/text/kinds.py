"""What a file is: its media type by its first bytes, then by its name. Reads no system table."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 4_096  # enough for every signature below
UNKNOWN: Final = "application/octet-stream"

_MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (0, b"\0\0\1\0", "image/vnd.microsoft.icon"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\0\0\0\x0cJXL ", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"MThd", "audio/midi"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"FORM", "audio/aiff"),
    (0, b"\x1aE\xdf\xa3", "video/x-matroska"),
    (0, b"FLV\1", "video/x-flv"),
    (0, b"\0\0\1\xba", "video/mpeg"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"PK\3\4", "application/zip"),
    (0, b"PK\5\6", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"(\xb5/\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf'\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\7", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"\0asm", "application/wasm"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"\0\1\0\0\0", "font/ttf"),
    (0, b"OTTO", "font/otf"),
    (0, b"bplist00", "application/x-bplist"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"\x93NUMPY", "application/x-npy"),
    (0, b"\x80\2}q", "application/x-pickle"),
)
# Two or three letters that ordinary text may begin with: believed only where the bytes are no text.
_WEAK: Final = frozenset(
    (b"BM", b"MZ", b"ID3", b"BZh", b"FORM", b"PAR1", b"OTTO", b"wOFF", b"wOF2", b"GIF87a", b"GIF89a", b"8BPS")
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS: Final = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"qt  ": "video/quicktime",
}  # fmt: skip

_BY_SUFFIX: Final[dict[str, str]] = {
    "txt": "text/plain", "log": "text/plain", "md": "text/markdown", "rst": "text/x-rst", "csv": "text/csv",
    "tsv": "text/tab-separated-values", "html": "text/html", "htm": "text/html", "css": "text/css",
    "js": "text/javascript", "mjs": "text/javascript", "cjs": "text/javascript", "ts": "text/x-typescript",
    "tsx": "text/x-typescript", "jsx": "text/javascript", "py": "text/x-python", "rs": "text/x-rust",
    "go": "text/x-go", "c": "text/x-c", "h": "text/x-c", "cpp": "text/x-c++", "hpp": "text/x-c++",
    "java": "text/x-java", "kt": "text/x-kotlin", "rb": "text/x-ruby", "php": "text/x-php", "sh": "text/x-shellscript",
    "sql": "application/sql", "json": "application/json", "jsonl": "application/jsonl", "xml": "application/xml",
    "yaml": "application/yaml", "yml": "application/yaml", "toml": "application/toml", "ini": "text/plain",
    "cfg": "text/plain", "conf": "text/plain", "svg": "image/svg+xml", "tex": "text/x-tex", "rtf": "application/rtf",
    "ics": "text/calendar", "vcf": "text/vcard", "eml": "message/rfc822", "ipynb": "application/x-ipynb+json",
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp", "ico": "image/vnd.microsoft.icon", "tif": "image/tiff", "tiff": "image/tiff",
    "avif": "image/avif", "heic": "image/heic", "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg",
    "oga": "audio/ogg", "opus": "audio/ogg", "flac": "audio/flac", "m4a": "audio/mp4", "aac": "audio/aac",
    "aif": "audio/aiff", "aiff": "audio/aiff", "mid": "audio/midi", "mp4": "video/mp4", "m4v": "video/mp4",
    "mov": "video/quicktime", "mkv": "video/x-matroska", "webm": "video/webm", "avi": "video/x-msvideo",
    "pdf": "application/pdf", "zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip",
    "bz2": "application/x-bzip2", "xz": "application/x-xz", "zst": "application/zstd",
    "7z": "application/x-7z-compressed", "rar": "application/vnd.rar", "tar": "application/x-tar",
    "jar": "application/java-archive",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "epub": "application/epub+zip", "doc": "application/msword", "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint", "sqlite": "application/vnd.sqlite3", "db": "application/vnd.sqlite3",
    "wasm": "application/wasm", "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf",
    "exe": "application/vnd.microsoft.portable-executable", "class": "application/java-vm",
}  # fmt: skip

# Containers whose members say more than their first bytes do.
_REFINED: Final = frozenset(("application/zip", "application/x-ole-storage", "application/gzip", "video/x-matroska"))

_CALLED: Final = {
    "application/octet-stream": "binary data", "application/vnd.sqlite3": "a SQLite database",
    "application/pdf": "a PDF document", "application/zip": "a ZIP archive", "application/gzip": "gzip-compressed data",
    "application/x-elf": "an ELF program", "application/vnd.microsoft.portable-executable": "a Windows program",
    "application/x-mach-binary": "a macOS program", "application/x-tar": "a tar archive",
}  # fmt: skip


def by_magic(head: bytes) -> str | None:
    """The media type that the first bytes prove, or None."""
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset) and (magic not in _WEAK or b"\0" in head[:64]):
            return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if len(head) > 1 and head[0] == 0xFF and head[1] in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB):  # noqa: PLR2004
        return "audio/mpeg"  # a bare MPEG frame: eleven set bits, then MPEG 1, 2 or 2.5, layer 3
    return None


def by_name(name: str) -> str | None:
    """The media type that the name suggests, or None."""
    return _BY_SUFFIX.get(name.rpartition(".")[2].lower()) if "." in name else None


def guess(head: bytes, name: str) -> str:
    """The media type: the first bytes decide, the name refines containers and names the rest."""
    proven, suggested = by_magic(head), by_name(name)
    if proven is None:
        return suggested or ("text/plain" if b"\0" not in head else UNKNOWN)
    return suggested if suggested and proven in _REFINED else proven


def called(kind: str) -> str:
    """What a person calls it: `a PDF document`, `a PNG image`."""
    if kind in _CALLED:
        return _CALLED[kind]
    family, _, member = kind.partition("/")
    member = member.removeprefix("x-").removeprefix("vnd.").upper()
    if family in ("image", "audio", "video", "font"):
        word = {"image": "image", "audio": "audio file", "video": "video", "font": "font"}[family]
        return f"{'an' if member[0] in 'AEIO' or member.startswith('MP') else 'a'} {member} {word}"
    return f"binary data ({kind})"

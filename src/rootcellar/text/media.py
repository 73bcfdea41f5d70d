"""Images and audio as a host can show them: scaled down, turned upright, in a format it accepts, within a size.

Threats: a small file that decodes to gigabytes of pixels, and the decoders of rare formats. The size is read from the
header and refused before any pixel is decoded, and only the formats below are opened at all.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rootcellar import limits
from rootcellar.errors import NotText, TooLarge
from rootcellar.text import kinds

if TYPE_CHECKING:
    from PIL import Image

SIDE_PIXELS: Final = 1_568  # the longest side that models look at; more is scaled down by the host anyway
SIDE_PIXELS_MIN: Final = 64  # smaller than this an image says nothing
PIXELS_MAX: Final = 64_000_000  # 192 MB once decoded
_ACCEPTED: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
_FORMATS: Final = (*_ACCEPTED.values(), "BMP", "TIFF", "ICO", "AVIF")
_UPRIGHT: Final = frozenset((0, 1))  # EXIF orientations that mean "as it is"
_ORIENTATION: Final = 0x0112
_QUALITIES: Final = (85, 70, 50)
# What hosts know audio as.
_AUDIO: Final = frozenset(f"audio/{kind}" for kind in ("mpeg", "wav", "ogg", "flac", "mp4", "aac", "aiff"))


@dataclass(frozen=True, slots=True)
class Media:
    """Bytes ready to be sent, their media type, and what was done to them."""

    data: bytes
    mime: str
    note: str


def warm() -> None:
    """Load what an image needs; restricted threads cannot load anything later."""
    from PIL import Image, ImageOps  # noqa: F401 - loading is the point

    Image.init()


def audio(data: bytes, kind: str) -> Media:
    """Audio as it is, if it is of a kind that hosts know and within the limit."""
    if kind not in _AUDIO:
        raise NotText(f"{kinds.called(kind)}, which no host plays", "`get_file_info` describes it")
    if len(data) > limits.MEDIA_BYTES_MAX:
        raise _over("the audio file", len(data))
    return Media(data, kind, f"{kinds.called(kind)}, {len(data):,} bytes")


def _over(what: str, size: int) -> TooLarge:
    return TooLarge(f"{what} has {size:,} bytes, over the {limits.MEDIA_BYTES_MAX // limits.MIB} MiB for media",
                    "Make a smaller copy of it")  # fmt: skip


def image(data: bytes, kind: str, bytes_max: int = limits.IMAGE_BYTES_MAX) -> Media:
    """An image that fits: the file's own bytes where they do, else scaled down and written anew."""
    if len(data) > limits.MEDIA_BYTES_MAX:
        raise _over("the image", len(data))
    with _guarded(kind):
        picture = _opened(data)
        width, height = picture.size
        told = f"{kinds.called(kind)}, {width:,} x {height:,} pixels"
        frames = int(getattr(picture, "n_frames", 1))
        small = kind in _ACCEPTED and max(width, height) <= SIDE_PIXELS and len(data) <= bytes_max
        if small and picture.getexif().get(_ORIENTATION, 1) in _UPRIGHT:
            picture.load()  # one that is damaged would spoil the host's whole session
            return Media(data, kind, told + (f", {frames:,} frames" if frames > 1 else ""))
        made = _fitted(picture, kind, bytes_max)
    changes = [f"sent as {made.mime.partition('/')[2].upper()} {made.note}"]
    if frames > 1:
        changes.append(f"the first of {frames:,} frames")
    return Media(made.data, made.mime, f"{told}; {', '.join(changes)}")


@contextmanager
def _guarded(kind: str) -> Iterator[None]:
    """Give whatever a decoder raises on hostile bytes as a refusal."""
    from PIL import Image, UnidentifiedImageError

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # for good: the limit here is ours, and lower
    try:
        yield
    except UnidentifiedImageError as error:
        raise NotText(f"{kinds.called(kind)} that cannot be shown", "Convert it to PNG or JPEG") from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, struct.error) as error:
        raise NotText(f"a damaged image ({type(error).__name__})", "Open it in another program") from error


def _too_many_pixels() -> TooLarge:
    return TooLarge(f"the image has over {PIXELS_MAX // 1_000_000} million pixels", "Make a smaller copy of it")


def _opened(data: bytes) -> Image.Image:
    """The image, its header read and found harmless; no pixel is decoded."""
    from PIL import Image

    picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    if picture.size[0] * picture.size[1] > PIXELS_MAX:
        raise _too_many_pixels()
    return picture


def _fitted(picture: Image.Image, kind: str, bytes_max: int) -> Media:
    """The image written anew, smaller and smaller until it fits."""
    from PIL import Image, ImageOps

    if kind == "image/jpeg":
        picture.draft("RGB", (SIDE_PIXELS, SIDE_PIXELS))  # decoded at a fraction of its size: much faster
    turned = ImageOps.exif_transpose(picture)
    turned.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS, reducing_gap=2.0)
    clear = turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info
    turned = turned.convert("RGBA" if clear else "RGB")
    photo = kind in ("image/jpeg", "image/webp", "image/avif")
    while True:
        for mime, data in _written(turned, prefer_png=clear or not photo):
            if len(data) <= bytes_max:
                return Media(data, mime, f"of {turned.size[0]:,} x {turned.size[1]:,}")
        if max(turned.size) <= SIDE_PIXELS_MIN:
            raise TooLarge(f"the image cannot be made to fit {bytes_max:,} bytes", "Make a smaller copy of it")
        turned = turned.resize((max(1, turned.size[0] * 2 // 3), max(1, turned.size[1] * 2 // 3)))


def _written(picture: Image.Image, *, prefer_png: bool) -> Iterator[tuple[str, bytes]]:
    """The image's bytes, the best form first; JPEG at falling quality where nothing shines through."""
    if prefer_png:
        yield "image/png", _bytes(picture, "PNG", 0)
    if picture.mode == "RGB":
        for quality in _QUALITIES:
            yield "image/jpeg", _bytes(picture, "JPEG", quality)


def _bytes(picture: Image.Image, form: str, quality: int) -> bytes:
    out = io.BytesIO()
    if form == "PNG":
        picture.save(out, form)
    else:
        picture.save(out, form, quality=quality, optimize=True)
    return out.getvalue()

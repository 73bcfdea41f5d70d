"""Images reach the host upright, small enough and in a format it knows; what would explode does not."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from PIL import Image

from rootcellar import errors, limits
from rootcellar.text import kinds, media


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def noise(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    size = width * height * len(mode)
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(size))


def opened(made: media.Media) -> Image.Image:
    return Image.open(io.BytesIO(made.data))


@pytest.mark.parametrize(("form", "kind"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"),
                                            ("WEBP", "image/webp")])  # fmt: skip
def test_a_small_image_is_sent_as_it_is(form: str, kind: str) -> None:
    data = saved(Image.new("RGB", (40, 30), "red"), form)
    assert kinds.by_magic(data) == kind
    made = media.image(data, kind)
    assert (made.data, made.mime) == (data, kind)
    assert "40 x 30" in made.note


@pytest.mark.parametrize("form", ["BMP", "TIFF", "ICO"])
def test_a_format_hosts_do_not_know_becomes_png(form: str) -> None:
    data = saved(Image.new("RGB", (40, 30), "red"), form)
    made = media.image(data, kinds.guess(data, f"x.{form.lower()}"))
    assert made.mime == "image/png"
    assert opened(made).convert("RGB").getpixel((1, 1)) == (255, 0, 0)


def test_a_large_photo_is_scaled_down_within_the_bytes() -> None:
    data = saved(noise(2_200, 1_500), "JPEG", quality=95)
    assert len(data) > limits.IMAGE_BYTES_MAX
    made = media.image(data, "image/jpeg")
    assert made.mime == "image/jpeg"
    assert len(made.data) <= limits.IMAGE_BYTES_MAX
    assert max(opened(made).size) <= media.SIDE_PIXELS
    assert "2,200 x 1,500" in made.note


def test_transparency_stays_and_still_fits() -> None:
    made = media.image(saved(noise(500, 500, "RGBA"), "PNG"), "image/png", 200_000)
    assert made.mime == "image/png"
    assert len(made.data) <= 200_000
    assert opened(made).mode == "RGBA"


def test_a_photo_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = media.image(saved(Image.new("RGB", (100, 50), "blue"), "JPEG", exif=exif), "image/jpeg")
    assert opened(made).size == (50, 100)
    assert opened(made).getexif().get(0x0112, 1) == 1


def test_the_first_frame_of_a_large_animation_is_sent_and_said() -> None:
    frames = [noise(150, 150, "L", seed) for seed in range(8)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    made = media.image(data, "image/gif", 60_000)
    assert "the first of" in made.note
    assert len(made.data) <= 60_000


def test_a_small_animation_stays_one() -> None:
    frames = [noise(10, 10, "L", seed) for seed in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    made = media.image(data, "image/gif")
    assert made.data == data
    assert "3 frames" in made.note


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 14_000, 60_000])
def test_a_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(errors.TooLarge, match="pixels"):
        media.image(png_header(side, side), "image/png")


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        saved(noise(2_000, 50), "PNG")[:900],
        saved(noise(50, 50), "PNG")[:900],
        saved(noise(50, 50), "JPEG")[:700],
        b"\xff\xd8\xff\xe0" + bytes(50),
        b"GIF89a",
    ],
)
def test_damaged_images_are_refused(data: bytes) -> None:
    with pytest.raises(errors.NotText):
        media.image(data, kinds.by_magic(data) or "image/png")


def test_postscript_and_other_programs_are_never_opened_as_images() -> None:
    with pytest.raises(errors.NotText):
        media.image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "image/x-eps")


def test_audio_passes_through_within_the_limit() -> None:
    data = b"RIFF\x24\0\0\0WAVEfmt " + bytes(100)
    made = media.audio(data, "audio/wav")
    assert (made.data, made.mime) == (data, "audio/wav")
    with pytest.raises(errors.TooLarge):
        media.audio(bytes(limits.MEDIA_BYTES_MAX + 1), "audio/wav")
    with pytest.raises(errors.NotText):
        media.audio(b"MThd", "audio/midi")

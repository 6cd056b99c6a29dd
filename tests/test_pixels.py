"""pixels.py: the size of a picture as it is shown, from the bytes as they arrive."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pillow_heif
from PIL import Image, PngImagePlugin

from flask_gridfs_pymongo.pixels import Pixels, Size

from .helpers.pictures import encoded

pillow_heif.register_heif_opener()
IMAGE = Image.linear_gradient("L").resize((300, 200)).convert("RGB")


def read(data: bytes, step: int = 1 << 16) -> Pixels:
    pixels = Pixels()
    for start in range(0, len(data), step):
        pixels.update(data[start : start + step])
    return pixels


def samples() -> Iterator[tuple[str, bytes, Size | None]]:
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF", "HEIF"):
        yield form, encoded(IMAGE, form), (300, 200)
        for orientation in range(1, 9) if form in ("JPEG", "PNG", "AVIF") else ():
            exif = Image.Exif()
            exif[0x0112] = orientation
            wanted = (200, 300) if orientation >= 5 else (300, 200)
            yield f"{form} {orientation}", encoded(IMAGE, form, exif=exif), wanted
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg, rest = encoded(IMAGE, "JPEG", exif=turned), encoded(IMAGE, "JPEG")
    padded = b"\xff\xe1" + struct.pack(">H", 65_535) + b"http://ns.adobe.com/xap/1.0/\0".ljust(65_533, b"x")
    yield "JPEG, 200 KB of XMP before", jpeg[:2] + 3 * padded + jpeg[2:], (200, 300)
    yield "JPEG, second EXIF", rest[:2] + encoded(IMAGE, "JPEG", exif=Image.Exif())[2:-2], (300, 200)
    yield "JPEG, fill bytes", jpeg[:2] + b"\xff\xff" + jpeg[2:], (200, 300)
    yield "JPEG, EXIF broken", jpeg.replace(b"MM\0*", b"xx\0*").replace(b"II*\0", b"xx*\0"), (300, 200)
    yield "JPEG progressive", encoded(IMAGE, "JPEG", progressive=True), (300, 200)
    yield "JPEG CMYK", encoded(IMAGE.convert("CMYK"), "JPEG"), (300, 200)
    yield "WebP lossless", encoded(IMAGE, "WEBP", lossless=True), (300, 200)
    yield "WebP alpha", encoded(IMAGE.convert("RGBA"), "WEBP"), (300, 200)
    yield "WebP frames", encoded(IMAGE, "WEBP", save_all=True, append_images=[IMAGE.rotate(180)]), (300, 200)
    yield "WebP, EXIF behind", encoded(IMAGE, "WEBP", exif=turned), (300, 200)
    yield "JPEG, EXIF of another type", jpeg.replace(b"\x01\x12\0\3", b"\x01\x12\0\4"), (300, 200)
    yield "JPEG, EXIF with two values", jpeg.replace(b"\x01\x12\0\3\0\0\0\1", b"\x01\x12\0\3\0\0\0\2"), (300, 200)
    gif = encoded(IMAGE, "GIF", comment=b"x" * 1000)
    yield "GIF, frame larger than the canvas", gif[:6] + struct.pack("<HH", 10, 250) + gif[10:], (300, 250)
    yield "GIF without a canvas", gif[:6] + bytes(4) + gif[10:], (300, 200)
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 1_000_000)
    yield "PNG, long text", encoded(IMAGE, "PNG", pnginfo=text, exif=turned), (200, 300)
    bmp = encoded(IMAGE, "BMP")
    yield "BMP, top-down", bmp[:22] + struct.pack("<i", -200) + bmp[26:], (300, 200)
    yield "BMP of OS/2", b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 300, 200, 1, 24), (300, 200)
    yield "TIFF", encoded(IMAGE, "TIFF"), None
    yield "a film", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x08free" + b"\0\0\1\0mdat", None
    yield "text", b"BMW and GIF are words", None
    for form in ("JPEG", "PNG", "GIF", "BMP"):
        yield f"{form}, too short", encoded(IMAGE, form)[:9], None
    yield "no width", encoded(IMAGE, "GIF")[:6] + bytes(100), None


def test_the_size_is_that_of_the_picture_as_it_is_shown() -> None:
    found = {name: [read(data, step).size for step in (97, 1000, 1 << 24)] for name, data, _ in samples()}
    assert found == {name: [size] * 3 for name, _, size in samples()}


def test_a_copy_is_independent_and_forgets_what_it_has_not_understood() -> None:
    jpeg = encoded(IMAGE, "JPEG")
    fresh, known, begun = Pixels(), read(jpeg), read(jpeg[:50])
    copies = [pixels.copy() for pixels in (fresh, known, begun)]
    for pixels in (fresh, begun, *copies):
        pixels.update(jpeg if pixels in (fresh, copies[0]) else jpeg[50:])
    assert [pixels.size for pixels in (fresh, begun, *copies)] == [(300, 200)] * 4 + [None]


def test_hostile_bytes_end_it() -> None:
    endless = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIxxxxxI", 13, b"IHDR", 3, 2, 0) + bytes(12) * 20_000
    assert read(endless + struct.pack(">I4s", 0, b"IDAT")).size is None
    chance, sources = random.Random(1), [data for name, data, _ in samples() if len(data) < 100_000]
    for _ in range(3000):
        source = bytearray(chance.choice(sources)[:2000])
        for _ in range(chance.randrange(1, 20)):
            source[chance.randrange(min(len(source), 400))] = chance.randrange(256)
        read(bytes(source), chance.choice([7, 4096]))

"""Pictures, for tests that need one of a kind."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def corners(width: int = 200, height: int = 100) -> Image.Image:
    """Red, green, blue and white, from the upper left clockwise to the lower left."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (width // 2, height // 2, width, height))
    image.paste(WHITE, (0, height // 2, width // 2, height))
    return image


def chunk(kind: bytes, content: bytes, crc: int = 0) -> bytes:
    """Return a chunk of a PNG; *crc* changes its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ crc)


def png(width: int, height: int, data: bytes, colour: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def adam7(image: Image.Image) -> bytes:
    """An interlaced PNG of an RGB picture, which Pillow does not write; not compressed."""
    pixels, data = image.load(), bytearray()
    for left, top, across, down in _ADAM7:
        for y in range(top, image.height, down):
            row = bytes(value for x in range(left, image.width, across) for value in pixels[x, y])  # type: ignore
            data += b"\0" + row if row else b""
    head = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    content = chunk(b"IDAT", zlib.compress(data, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + content + chunk(b"IEND", b"")


def picture() -> bytes:
    """A PNG of one pixel."""
    return png(1, 1, zlib.compress(b"\0\0"), colour=0)

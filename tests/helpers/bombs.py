"""Small pictures that are costly to decode, of each format that is decoded."""

from __future__ import annotations

import base64
import struct
import zlib

from PIL import Image

from .pictures import encoded, png

SHORT, LONG = "H", "I"


def tiff(*entries: tuple[int, str, int | list[int]]) -> bytes:
    """A TIFF with these entries: tag, type, and one value or several."""
    head, data = struct.pack("<2sHIH", b"II", 42, 8, len(entries)), b""
    start = len(head) + 12 * len(entries) + 4
    for tag, kind, values in entries:
        values = values if isinstance(values, list) else [values]
        packed = struct.pack(f"<{len(values)}{kind}", *values)
        head += struct.pack("<HHI", tag, {SHORT: 3, LONG: 4}[kind], len(values))
        if len(packed) > 4:
            head += struct.pack("<I", start + len(data))
            data += packed
        else:
            head += packed.ljust(4, b"\0")
    return head + b"\0\0\0\0" + data


def strips(count: int) -> bytes:
    """A TIFF of two pixels and so many strips."""
    size = ((256, LONG, 1), (257, LONG, 2), (258, SHORT, 8), (259, SHORT, 1), (262, SHORT, 1))
    return tiff(*size, (273, SHORT, [8] * count), (277, SHORT, 1), (278, LONG, 1), (279, SHORT, [1] * count))


def tile(side: int) -> bytes:
    """A TIFF of one pixel, whose only tile is as large as this."""
    size = ((256, LONG, 1), (257, LONG, 1), (258, SHORT, 8), (259, SHORT, 8), (262, SHORT, 1), (277, SHORT, 1))
    return tiff(*size, (322, LONG, side), (323, LONG, side), (324, LONG, 8), (325, LONG, 8))


def jpeg_segments(count: int, length: int) -> bytes:
    """A JPEG with so many Exif segments, which Pillow adds up."""
    picture = encoded(Image.new("RGB", (64, 64)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", length + 8) + b"Exif\0\0" + b"A" * length
    return picture[:2] + segment * count + picture[2:]


def webp(width: int, height: int) -> bytes:
    """A WebP that has only a header."""
    data = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0" * 4
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data


def bmp(width: int, height: int) -> bytes:
    """A BMP with run lengths that jump."""
    data = b"\0\2\xff\xff" * 1000 + b"\0\1"
    start = 14 + 40 + 1024
    head = struct.pack("<2sIII", b"BM", start + len(data), 0, start)
    head += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    return head + b"\0\0\0\0" * 256 + data


def gif(width: int, height: int) -> bytes:
    return encoded(Image.new("P", (9, 9)), "GIF").replace(struct.pack("<HH", 9, 9), struct.pack("<HH", width, height))


AVIF = zlib.decompress(
    base64.b85decode(
        "c-muNV30{GsVqn=%S>Yc0uY^>nP!-qnF!*)%uOvxWPkw0jFg-rD4U@mGr5ET4e%9YmgIt2j6f`xnUkLk;<$kLj1W;qULZaTWNTz*=B2^a"
        "N&z{kOi*58nSr5meoj8vu8horq5>f8nOTsW52Qshiwjbr_BlW?(B6tnux1V*!IM~K=-enT0}>EU&d({zOU|hPn#;?;)&LX|&n(D=`3UGN"
        "7DlFK79i_tZc1W_5Ca#N{AauR&);TnWSAQ5VHV)*ImIG;LV>~b{JGE%UbezqtqRLpTbD;&|My1j!Y3`E1kKkg_1A6{k`F(&ZOe?avW4IM"
        "PCGtnTeMO0>*36a!g#f9@SA#ICWmVS=K}9#65sb$c_=*&+%C5_Al+j)+h$CTZDd&G0|2zN4BP"
    )
)
"""It says that it has 64 by 64 pixels, and has 8,000 by 8,000."""

BOMBS: dict[str, tuple[bytes, str]] = {
    "strips.tif": (strips(200_000), "strips"),
    "tile.tif": (tile(16_384), "pixels"),
    "segments.jpg": (jpeg_segments(200_000, 10), "segments"),
    "size.webp": (webp(16_000, 16_000), "pixels"),
    "size.png": (png(16_000, 16_000, b""), "pixels"),
    "size.gif": (gif(60_000, 60_000), "pixels"),
    "size.bmp": (bmp(40_000_001, 1), "pixels"),
    "coded.avif": (AVIF, "undecodable"),
}
"""By name: the file, and why it is refused"""

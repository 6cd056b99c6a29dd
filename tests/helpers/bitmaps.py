"""BMP files of the kinds that no library writes: by hand, from a picture of 64 x 40 pixels at most."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image

Pack = Callable[[Any], int]
WINDOWS, OS2 = (40, 52, 56, 108, 124), (16, 24, 64)  # lengths of headers


def bmp(
    size: tuple[int, int], bits: int, pixels: bytes, *, length: int = 40, compression: int = 0, **more: Any
) -> bytes:
    """A BMP.

    :param size: the height is negative if the first row is the uppermost
    :param length: of the header
    :param more: *masks*, *palette* (as stored) and *colours*
    """
    masks = struct.pack(f"<{len(more.get('masks', ()))}I", *more.get("masks", ()))
    palette = more.get("palette", b"")
    if length == 12:
        head = struct.pack("<IHHHH", 12, *size, 1, bits)
    else:
        colours = more.get("colours", 0)
        head = struct.pack("<IiiHHIIiiII", length, *size, 1, bits, compression, len(pixels), 2835, 2835, colours, 0)
        head = (head[:length] if length < 40 else head + masks).ljust(length, b"\0")
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + palette + pixels


def rows(image: Image.Image, pack: Pack, bits: int, *, top_down: bool = False) -> bytes:
    """The pixels of a picture, each as *pack* says."""
    found, (width, height) = b"", image.size
    for y in range(height) if top_down else reversed(range(height)):
        values = [pack(image.getpixel((x, y))) for x in range(width)]
        if bits >= 8:
            row = b"".join(value.to_bytes(bits // 8, "little") for value in values)
        else:
            digits = "".join(f"{value:0{bits}b}" for value in values)
            row = int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8))
        found += row + bytes(-len(row) % 4)
    return found


def run_lengths(image: Image.Image, *, nibbles: bool) -> bytes:
    """The pixels as runs (of 8 bits) or as they are (of 4), each row with an end."""
    found = b""
    for y in reversed(range(image.height)):
        row = [int(image.getpixel((x, y))) for x in range(image.width)]  # type: ignore[arg-type]
        if nibbles:
            data = bytes(high << 4 | low for high, low in zip(row[::2], [*row[1::2], 0], strict=False))
            found += bytes((0, len(row))) + data + bytes(len(data) % 2)
        else:
            found += b"".join(bytes((1, value)) for value in row)
        found += b"\0\0"
    return found + b"\0\1"


def number(masks: Sequence[int]) -> Pack:
    """Puts a colour, and its alpha (or its red as one), in the bits of *masks*."""

    def pack(colour: tuple[int, ...]) -> int:
        parts = zip(masks, (*colour[:3], colour[3] if len(colour) > 3 else colour[0]), strict=False)
        return sum(round(value / 255 * (mask // (mask & -mask))) * (mask & -mask) for mask, value in parts if mask)

    return pack


def samples(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    """BMP of every kind, with a name; those with alpha have the red as alpha."""
    size = image.size
    upside = (size[0], -size[1])
    for bits, count in ((1, 2), (2, 4), (2, 3), (4, 16), (4, 13), (8, 256), (8, 200)):
        indexed = image.quantize(count)
        colours = [tuple((indexed.getpalette() or [])[at : at + 3]) for at in range(0, 3 * count, 3)]
        palette = b"".join(bytes((*colour[::-1], 0)) for colour in colours)
        more: dict[str, Any] = {"palette": palette, "colours": count}
        for length in (*WINDOWS, *OS2):
            yield (
                f"{bits} bits, {count} colours, header {length}",
                bmp(size, bits, rows(indexed, int, bits), length=length, **more),
            )
        yield (
            f"{bits} bits, {count} colours, top-down",
            bmp(upside, bits, rows(indexed, int, bits, top_down=True), **more),
        )
        if count == 1 << bits and bits != 2:
            short = b"".join(bytes(colour[::-1]) for colour in colours)
            yield f"{bits} bits of OS/2", bmp(size, bits, rows(indexed, int, bits), length=12, palette=short)
        if bits == 4 or bits == 8:
            runs, kind = run_lengths(indexed, nibbles=bits == 4), 2 if bits == 4 else 1
            for length in (40, 64, 124):
                yield (
                    f"RLE{bits}, {count} colours, header {length}",
                    bmp(size, bits, runs, compression=kind, length=length, **more),
                )
            yield f"RLE{bits}, {count} colours, half", bmp(size, bits, runs[: len(runs) // 2], compression=kind, **more)
            jumps = b"\x14\x05\0\2\5\3\x10\x02\0\0\xff\3\0\0\7\4\0\1"
            yield f"RLE{bits}, {count} colours, jumps", bmp(size, bits, jumps, compression=kind, **more)
    whole = number((0xFF0000, 0xFF00, 0xFF))
    yield "24 bits, top-down", bmp(upside, 24, rows(image, whole, 24, top_down=True))
    for length in (12, *OS2):
        yield f"24 bits, header {length}", bmp(size, 24, rows(image, whole, 24), length=length)
    runs = b"".join(b"\x20\xff\x80\x10\x20\1\2\3\0\0" for _ in range(size[1])) + b"\0\1"
    yield "RLE24 of OS/2", bmp(size, 24, runs, compression=4, length=64)
    for bits, masks in (
        (16, (0x7C00, 0x3E0, 0x1F)),
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0xF00, 0xF0, 0xF)),
        (16, (0xF00, 0xF0, 0xF, 0xF000)),
        (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
        (32, (0xFF0000, 0xFF00, 0xFF)),
        (32, (0xFF, 0xFF00, 0xFF0000)),
        (32, (0xFF000000, 0xFF0000, 0xFF00)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF)),
        (32, (0xFF00000, 0x3FC00, 0xFF)),
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    ):
        named = "/".join(f"{mask:x}" for mask in masks)
        for length in WINDOWS if len(masks) == 3 else WINDOWS[2:]:
            data = rows(image, number(masks), bits)
            yield (
                f"{bits} bits, {named}, header {length}",
                bmp(size, bits, data, length=length, compression=3, masks=masks),
            )
    bgra = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "16 bits", bmp(size, 16, rows(image, number((0x7C00, 0x3E0, 0x1F)), 16))
    yield "32 bits, alpha unused", bmp(size, 32, rows(image, number(bgra), 32))
    yield "32 bits, alpha in its header", bmp(size, 32, rows(image, number(bgra), 32), length=124, masks=bgra)
    yield "32 bits, all of it transparent", bmp(size, 32, rows(image, whole, 32), length=124, compression=3, masks=bgra)
    yield "32 bits, masks with alpha behind", bmp(size, 32, rows(image, number(bgra), 32), compression=6, masks=bgra)

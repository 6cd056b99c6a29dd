"""Reads BMP as browsers do: also run lengths, any masks, transparency, and the headers of OS/2, which Pillow refuses.

::

    image = read(source)
    image.size
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .errors import Undecodable

if TYPE_CHECKING:
    from PIL.Image import Image

_CORE, _V3, _V4, _MAX_LENGTH = 12, 56, 108, 124  # of headers, in bytes
_WINDOWS = (40, 52, _V3, _V4, _MAX_LENGTH)
_PLACE_OF_MASKS = 54
_BITS = (1, 2, 4, 8, 16, 24, 32)
_RAW, _RLE8, _RLE4, _FIELDS, _RLE24, _ALPHA_FIELDS = 0, 1, 2, 3, 4, 6
_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 24: (0xFF0000, 0xFF00, 0xFF, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_END_OF_ROW, _END, _DELTA = 0, 1, 2  # after a zero, in run lengths
_RUNS = {(_RLE8, 8), (_RLE4, 4), (_RLE24, 24)}


class Header(NamedTuple):
    """What the header of a BMP says."""

    size: tuple[int, int]
    is_top_down: bool
    bits: int
    """of a pixel"""
    compression: int
    masks: tuple[int, ...]
    """of red, green, blue and alpha"""
    palette: bytes
    """RGB"""
    offset: int
    """of the pixels"""


def header(source: bytes) -> Header:
    """Read the header.

    :raises Undecodable: if it is invalid
    """
    length = int.from_bytes(source[14:18], "little")
    compression, colours = _RAW, 0
    try:
        if length == _CORE:
            width, height, _, bits = struct.unpack_from("<HHHH", source, 18)
        else:  # those of OS/2 may be cut after the bits
            head = source[18 : 14 + min(length, _MAX_LENGTH)].ljust(_MAX_LENGTH, b"\0")
            width, height, _, bits, compression, _, _, _, colours = struct.unpack_from("<iiHHIIIII", head)
        masks = _masks(source, length, bits, compression)
    except struct.error:
        raise Undecodable("undecodable") from None
    is_header = (length == _CORE or 16 <= length <= _MAX_LENGTH) and width > 0 and height != 0
    is_packed = compression in (_RAW, _FIELDS, _ALPHA_FIELDS) or (compression, bits) in _RUNS
    if not is_header or not is_packed or bits not in _BITS:
        raise Undecodable("undecodable")
    offset = int.from_bytes(source[10:14], "little")
    palette = _palette(source, length, min(colours or 256, 1 << bits), offset) if bits <= 8 else b""
    return Header((width, abs(height)), height < 0, bits, compression, masks, palette, offset)


def _masks(source: bytes, length: int, bits: int, compression: int) -> tuple[int, ...]:
    masks = _MASKS.get(bits, (0, 0, 0, 0))
    if length in _WINDOWS and compression in (_FIELDS, _ALPHA_FIELDS):
        count = 4 if length >= _V3 or compression == _ALPHA_FIELDS else 3
        return (*struct.unpack_from(f"<{count}I", source, _PLACE_OF_MASKS), 0)[:4]
    if length in _WINDOWS and length >= _V4 and bits in (16, 32):
        return (*masks[:3], struct.unpack_from("<I", source, _PLACE_OF_MASKS + 12)[0])
    return masks


def _palette(source: bytes, length: int, count: int, offset: int) -> bytes:
    start, entry = 14 + length, 3 if length == _CORE else 4
    stored = source[start : min(start + entry * count, offset or len(source))]
    return b"".join(stored[at : at + 3][::-1] for at in range(0, len(stored), entry))


def read(source: bytes) -> Image:
    """Decode all of a BMP; what is missing of it is transparent.

    :raises Undecodable: if it is invalid, or has no row
    """
    from PIL.Image import Transpose

    head = header(source)
    pixels = memoryview(source)[head.offset :]
    image = _run_lengths(head, bytes(pixels)) if (head.compression, head.bits) in _RUNS else _rows(head, pixels)
    return image if head.is_top_down else image.transpose(Transpose.FLIP_TOP_BOTTOM)


def _rows(head: Header, pixels: memoryview) -> Image:
    """The rows in the order of the file."""
    from PIL.Image import frombuffer

    width, height = head.size
    stride = (width * head.bits + 31) // 32 * 4
    rows = min(height, len(pixels) // stride)
    if not rows:
        raise Undecodable("undecodable")
    size, data = (width, rows), bytes(pixels[: rows * stride])
    if head.bits <= 8:
        mode = "P" if head.bits == 8 else f"P;{head.bits}"
        image = frombuffer("P", size, data, "raw", mode, stride, 1)
        image.putpalette(head.palette.ljust(768, b"\0"))
    elif head.bits == 24 or head.masks == _MASKS[32]:
        image = frombuffer("RGB", size, data, "raw", "BGR" if head.bits == 24 else "BGRX", stride, 1)
    else:
        mode, raw = ("I;16", "I;16") if head.bits == 16 else ("I", "I;32")
        image = _by_masks(head, frombuffer(mode, size, data, "raw", raw, stride, 1).convert("I"))
    return _beginning(head, image, rows)


def _beginning(head: Header, image: Image, rows: int) -> Image:
    """The first *rows*; what follows is transparent."""
    from PIL.Image import new

    if rows == head.size[1]:
        return image
    if not rows:
        raise Undecodable("undecodable")
    whole = new("RGBA", head.size)
    whole.paste(image.convert("RGBA").crop((0, 0, image.width, rows)), (0, 0))
    return whole


def _by_masks(head: Header, numbers: Image) -> Image:
    from PIL.Image import merge

    *colours, alpha = (_band(numbers, mask) for mask in head.masks)
    return merge("RGBA", (*colours, alpha)) if head.masks[3] else merge("RGB", colours)


def _band(numbers: Image, mask: int) -> Image:
    """The values of one mask, from 0 to 255."""
    from PIL import ImageMath
    from PIL.Image import new

    if not mask:
        return new("L", numbers.size)
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    if most > 255:  # its highest 8 bits: the arithmetic has 32
        extra = most.bit_length() - 8
        shift, most = shift + extra, most >> extra
    band: Image = ImageMath.lambda_eval(
        lambda of: of["convert"]((of["numbers"] >> shift & most) * 255 / most, "L"), numbers=numbers
    )
    return band


def _run_lengths(head: Header, data: bytes) -> Image:
    """The rows in the order of the file; pixels that are passed over are black."""
    from PIL.Image import composite, frombytes, new

    (width, height), depth = head.size, 3 if head.bits == 24 else 1
    pixels, known, reached = bytearray(width * height * depth), bytearray(width * height), 0
    for place, run in _runs(head, data):
        reached = place + len(run) // depth
        known[place:reached] = b"\xff" * (reached - place)
        pixels[place * depth : reached * depth] = run
    if depth == 3:
        image = frombytes("RGB", head.size, bytes(pixels), "raw", "BGR")
    else:
        image = frombytes("P", head.size, bytes(pixels))
        image.putpalette(head.palette.ljust(768, b"\0"))
    if b"\0" in known:
        image = composite(image.convert("RGB"), new("RGB", head.size), frombytes("L", head.size, bytes(known)))
    return _beginning(head, image, -(-reached // width))


def _runs(head: Header, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the place of the first pixel of each run, and its bytes, within its row."""
    (width, height), position, x, y = head.size, 0, 0, 0
    depth = 3 if head.bits == 24 else 1
    while y < height and position + 1 < len(data):
        count, value = data[position], data[position + 1]
        position += 2
        if count == 0 and value == _END_OF_ROW:
            x, y = 0, y + 1
            continue
        if count == 0 and value == _END:
            yield width * height, b""
            return
        if count == 0 and value == _DELTA:
            across, down = data[position : position + 2].ljust(2, b"\0")
            x, y, position = x + across, y + down, position + 2
            continue
        if count == 0:  # as they are
            size = (value + 1) // 2 if head.bits == 4 else value * depth
            run, count = data[position : position + size], value
            position += size + size % 2
        else:
            run = data[position - 1 : position - 1 + depth] * ((count + 1) // 2 if head.bits == 4 else count)
            position += depth - 1
        run = (_halves(run)[:count] if head.bits == 4 else run)[: max(0, width - x) * depth]
        if run:
            yield y * width + x, run
        x += count


def _halves(data: bytes) -> bytes:
    """Each byte as two, with its upper and its lower half."""
    halves = bytearray(2 * len(data))
    halves[::2] = bytes(byte >> 4 for byte in data)
    halves[1::2] = bytes(byte & 15 for byte in data)
    return bytes(halves)

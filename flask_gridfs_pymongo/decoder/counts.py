"""What makes a picture costly, counted in its bytes before a library sees them.

A header may say that a picture is small, and the file be made of a million strips; each function looks at what its
format has of the kind. What no count finds meets the limits of the memory and the CPU.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from ..images import LIMITS
from .errors import Undecodable

_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WIDTHS = {3: "H", 4: "I", 16: "Q"}  # of the numbers in a TIFF: SHORT, LONG, LONG8
_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS = 273, 279, 324, 325
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def check(name: str, count: int) -> None:
    """Raise :class:`.Undecodable` if *count* is above the limit *name*."""
    if count > LIMITS[name]:
        raise Undecodable(name)


def look(source: bytes) -> int:
    """Count what *source* has, by its format; return how many pixels a library reserves memory for when it opens it.

    :raises Undecodable: if it has too much
    """
    check("bytes", len(source))
    for beginning, count in _COUNTS.items():
        if source.startswith(beginning):
            return count(source)
    return 0


def segments(source: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment of a JPEG up to the end of its image; a scan is one segment."""
    position = 2
    while (found := source.find(b"\xff", position)) >= 0 and found + 4 <= len(source):
        marker, position = source[found + 1], found + 2
        if marker == 0xFF:
            position = found + 1
        elif marker == _END_OF_IMAGE:
            return
        elif marker not in (0x00, 0x01) and not 0xD0 <= marker <= 0xD8:
            position += int.from_bytes(source[position : position + 2])
            if marker == _START_OF_SCAN:
                end = _END_OF_SCAN.search(source, position)
                position = end.start() if end else len(source)
            yield marker, found, position


def _jpeg(source: bytes) -> int:
    scans = 0
    for count, (marker, _, _) in enumerate(segments(source), start=1):
        scans += marker == _START_OF_SCAN
        check("segments", count)
        check("scans", scans)
    return 0


def _tiff(source: bytes) -> int:
    order, large = "<" if source[:1] == b"I" else ">", b"\x2b" in source[2:4]
    head, entry = (f"{order}Q", f"{order}HHQ8s") if large else (f"{order}H", f"{order}HHI4s")
    tile = {_TILE_WIDTH: 0, _TILE_LENGTH: 0}
    try:
        start = struct.unpack_from(order + ("Q" if large else "I"), source, 8 if large else 4)[0]
        entries = struct.unpack_from(head, source, start)[0]
        for number in range(entries):
            place = start + struct.calcsize(head) + number * struct.calcsize(entry)
            tag, kind, count, value = struct.unpack_from(entry, source, place)
            if tag in (_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS):
                check("strips", count)
            elif tag in tile and kind in _WIDTHS:
                tile[tag] = struct.unpack_from(order + _WIDTHS[kind], value)[0]
    except struct.error:  # it ends here
        return 0
    check("pixels", tile[_TILE_WIDTH] * tile[_TILE_LENGTH])
    return 0


def _webp(source: bytes) -> int:
    """The canvas, for which libwebp reserves memory at once."""
    kind, head = source[12:16], source[20:30]
    if len(head) < 10:
        return 0
    if kind == b"VP8X":
        width, height = 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    check("pixels", width * height)
    return width * height


_COUNTS: dict[bytes, Callable[[bytes], int]] = {
    b"\xff\xd8": _jpeg,
    b"II": _tiff,
    b"MM": _tiff,
    b"RIFF": _webp,
}

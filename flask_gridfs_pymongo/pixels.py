"""The width and height of a picture, from its first bytes, while they arrive.

::

    pixels = Pixels()
    pixels.update(data)
    pixels.size  # (4032, 3024), or None
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from typing import Any

Size = tuple[int, int]
_Parser = Generator[tuple[int, int], bytes, "Size | None"]  # yields how much to pass over, and how much to read then
_MAX_STEPS = 10_000  # segments, chunks or boxes before the size
_MAX_READ = 65_536  # bytes of one of them
_ORIENTATION, _SHORT = 0x0112, 3  # the EXIF tag, and its type


def stored_size(value: Any) -> Size | None:
    """Read a width and height from a list of both, as a document has it; None if it is anything else."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    sides = [int(side) for side in value if isinstance(side, int) and side is not True and 0 < side < 2**31]
    return (sides[0], sides[1]) if len(sides) == 2 else None


class Pixels:
    """Reads JPEG, PNG, GIF, WebP, BMP, AVIF and HEIF as far as their size, and keeps no more than it needs for that."""

    def __init__(self) -> None:
        self.size: Size | None = None
        """width and height in pixels, as the picture is shown: turned as its EXIF says; None: not known (yet)"""
        self._parser: _Parser | None = _parse()
        self._bytes, self._steps = bytearray(), 0
        self._skip, self._read = next(self._parser)

    def update(self, data: bytes) -> None:
        """Read the next bytes."""
        if self._parser is None:
            return
        self._bytes += data
        while self._parser is not None and self._passed() and len(self._bytes) >= self._read:
            piece = bytes(self._bytes[: self._read])
            del self._bytes[: self._read]
            self._step(self._parser, piece)

    def copy(self) -> Pixels:
        """Return an independent copy; one that does not know the size yet never will."""
        other = Pixels()
        if self._parser is None or self._steps or self._bytes:
            other.size, other._parser = self.size, None
        return other

    def _passed(self) -> bool:
        passed = min(self._skip, len(self._bytes))
        del self._bytes[:passed]
        self._skip -= passed
        return not self._skip

    def _step(self, parser: _Parser, piece: bytes) -> None:
        self._steps += 1
        try:
            self._skip, self._read = parser.send(piece)
            if self._steps < _MAX_STEPS and self._read <= _MAX_READ:
                return
        except StopIteration as end:
            self.size = stored_size(list(end.value or ()))
        except (struct.error, IndexError):  # it is invalid
            pass
        self._parser = None
        self._bytes.clear()


def _parse() -> _Parser:
    kind = yield 0, 2
    if kind in _FORMATS:
        return (yield from _FORMATS[kind]())
    return None


def _turned(size: Size, orientation: int) -> Size:
    return size[::-1] if 5 <= orientation <= 8 else size


def orientation_of(exif: bytes) -> int:
    """Return how EXIF, without its prefix, says that a picture is to be turned (TIFF 6.0): from 1, as it is, to 8.

    Browsers turn no picture for a value of another type than one SHORT, and pass over what means nothing.
    """
    try:
        order = {b"II*\0": "<", b"MM\0*": ">"}[exif[:4]]
        start = struct.unpack_from(f"{order}I", exif, 4)[0]
        for number in range(struct.unpack_from(f"{order}H", exif, start)[0]):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * number)
            if (tag, kind, count) == (_ORIENTATION, _SHORT, 1) and 1 <= value <= 8:
                return int(value)
    except (struct.error, KeyError):
        pass
    return 1


def _jpeg() -> _Parser:
    """ITU T.81."""
    orientation, has_exif = 1, False
    while (yield 0, 1) == b"\xff":
        marker = yield 0, 1
        while marker == b"\xff":  # fill bytes
            marker = yield 0, 1
        code = marker[0]
        if code in range(0xC0, 0xD0) and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", (yield 3, 4))
            return _turned((width, height), orientation)
        if code in (0xD9, 0xDA):
            return None
        length = int.from_bytes((yield 0, 2)) - 2
        if code == 0xE1 and not has_exif and length >= 6:
            content = yield 0, length
            if content.startswith(b"Exif\0\0"):
                has_exif, orientation = True, orientation_of(content[6:])
        else:
            yield max(length, 0), 0
    return None


def _png() -> _Parser:
    """W3C PNG, third edition."""
    width, height = struct.unpack(">II", (yield 14, 8))
    orientation, skip = 1, 9
    while True:
        length, kind = struct.unpack(">I4s", (yield skip, 8))
        if kind in (b"IDAT", b"IEND"):
            return _turned((width, height), orientation)
        skip = length + 4
        if kind == b"eXIf" and length <= _MAX_READ:
            orientation, skip = orientation_of((yield 0, length)), 4


def _gif() -> _Parser:
    """As browsers show it: as large as its first frame needs."""
    width, height, flags = struct.unpack("<HHB", (yield 4, 5))
    skip = 2 + (6 << (flags & 7) if flags & 0x80 else 0)  # the palette
    while (kind := (yield skip, 1)) == b"!":
        length = (yield 1, 1)[0]
        while length:
            length = (yield length, 1)[0]
        skip = 0
    left, top, across, down = struct.unpack("<4H", (yield 0, 8)) if kind == b"," else (0, 0, 0, 0)
    return max(width, left + across), max(height, top + down)


def _bmp() -> _Parser:
    head = yield 12, 12
    if head[0] == 12:  # of OS/2
        width, height = struct.unpack_from("<HH", head, 4)
    else:
        width, height = struct.unpack_from("<ii", head, 4)
    return width, abs(height)


def _webp() -> _Parser:
    """Browsers do not turn it as its EXIF says."""
    head = yield 6, 22
    return webp_size(head[4:8], head[12:]) if head[:4] == b"WEBP" else None


def webp_size(kind: bytes, data: bytes) -> Size:
    """Return the size of a WebP (RFC 9649).

    :param kind: of its first chunk
    :param data: the first 10 bytes in that
    """
    if kind == b"VP8X":
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 6)
    return width & 0x3FFF, height & 0x3FFF


# ISO/IEC 14496-12 (boxes) and 23008-12 (HEIF; AVIF is the same)
_BRANDS = (b"mif1", b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"msf1")


def _heif() -> _Parser:
    head = yield 0, 6
    length = int.from_bytes(head[:2])
    if head[2:] != b"ftyp" or not 8 < length <= _MAX_READ:
        return None
    brands = yield 0, length - 8
    if not any(brand in brands for brand in _BRANDS):
        return None
    skip = 0
    while True:
        size, kind = struct.unpack(">I4s", (yield skip, 8))
        if kind == b"meta":
            return _item_size((yield 4, size - 12))
        if size == 1:
            size = int.from_bytes((yield 0, 8)) - 8
        if size < 8:  # up to the end
            return None
        skip = size - 8


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of each box in *data*."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size < 8:
            return
        yield kind, data[position + 8 : position + size]
        position += size


def _item_size(meta: bytes) -> Size | None:
    size, sideways = None, False
    for kind, content in properties_of(meta):
        if kind == b"ispe":
            size = struct.unpack_from(">II", content, 4)
        elif kind == b"irot":
            sideways = bool(content[0] & 1)
    return size and _turned(size, 6 if sideways else 1)


def properties_of(meta: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and content of each property of the primary item.

    :param meta: the boxes within ``meta``
    """
    found = dict(boxes(meta))
    primary, properties = found.get(b"pitm"), dict(boxes(found.get(b"iprp", b"")))
    if primary is None:
        return
    item = int.from_bytes(primary[4 : 6 if primary[0] == 0 else 8])
    known = list(boxes(properties.get(b"ipco", b"")))
    for number in _associated(properties.get(b"ipma", b""), item):
        if 0 < number <= len(known):
            yield known[number - 1]


def _associated(ipma: bytes, item: int) -> list[int]:
    """The numbers of the properties of *item*, from 1."""
    id_length, is_wide = (4 if ipma[0] else 2), ipma[3] & 1
    position = 8
    for _ in range(int.from_bytes(ipma[4:8])):
        found = int.from_bytes(ipma[position : position + id_length])
        position += id_length
        count, position = ipma[position], position + 1
        width = 2 if is_wide else 1
        if found == item:
            fields = [ipma[position + width * index : position + width * (index + 1)] for index in range(count)]
            return [int.from_bytes(field) & (0x7FFF if is_wide else 0x7F) for field in fields]
        position += width * count
    return []


_FORMATS = {
    b"\xff\xd8": _jpeg,
    b"\x89P": _png,
    b"GI": _gif,
    b"BM": _bmp,
    b"RI": _webp,
    b"\0\0": _heif,
}

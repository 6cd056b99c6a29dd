"""What a library needs of a picture, and nothing else: looked at before a library sees it.

Browsers show pictures with bytes behind their end, without their last bytes, and with damaged or endless comments; and
a header may say that a picture is small, and the file be made of a million strips. Each function leaves out what does
not count, and refuses what has too much of what its format makes costly. What no function finds meets the limits of the
memory and the CPU.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..images import LIMITS
from ..pixels import boxes, properties_of, webp_size
from . import bitmaps, colours
from .errors import Undecodable


class Prepared(NamedTuple):
    """A picture as a library gets it."""

    source: bytes
    reserved: int = 0
    """pixels for which a library takes memory before it says how many there are"""
    limit: str = "pixels"
    """the key of :data:`.LIMITS` for the size of the picture"""
    is_cut: bool = False
    """whether it has no end, so that a library makes up what is missing"""
    profile: bytes | None = None
    """of its colours, if no library sees what it says about them"""


def check(name: str, count: int, most: int | None = None) -> None:
    """Raise :class:`.Undecodable` if *count* is above *most*, or else above the limit *name*."""
    most = LIMITS[name] if most is None else most
    if count > most:
        raise Undecodable(name, most)


def prepare(source: bytes) -> Prepared:
    """Leave out what does not count, by the format.

    :raises Undecodable: if it has too much
    """
    check("bytes", len(source))
    for beginning, format_ in _FORMATS.items():
        if source.startswith(beginning):
            return format_(source)
    return Prepared(source)


# JPEG (ITU T.81)
_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_APPLICATION, _COMMENT = range(0xE0, 0xF0), 0xFE
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTARTS = 0xDD  # the segment that says how often a scan has such a marker
_BETWEEN_SCANS = {0xC4, 0xCC, _SCAN, 0xDB, 0xDC, _RESTARTS, _COMMENT, *_APPLICATION}
_BASELINE = (0xC0, 0xC1)
_NEEDED = ((0xE0, b"JFIF\0"), (0xE1, b"Exif\0\0"), (0xE2, b"ICC_PROFILE\0"), (0xEE, b"Adobe"))


def _jpeg(source: bytes) -> Prepared:
    """Up to the end of the first image: cameras put films and other pictures behind it."""
    kept, scans, limit, has_exif, position = [source[:2]], 0, "pixels", False, 2
    components, has_restarts, is_broken = 0, False, False  # components: of a baseline, that no scan has had yet
    for count, (marker, start, end) in enumerate(_segments(source), start=1):
        check("segments", count)
        is_over = marker not in _BETWEEN_SCANS or (limit == "baseline" and components <= 0)
        if is_broken := scans > 0 and is_over and not has_restarts:
            break  # libjpeg would refuse it all for a wrong byte in a scan, but continues after a restart marker
        position = end
        scans += marker == _SCAN
        check("scans", scans)
        has_restarts = has_restarts or marker == _RESTARTS
        if marker in _BASELINE:
            limit, components = "baseline", source[start + 9] if start + 9 < end else 0
        elif marker == _SCAN and start + 4 < end:
            components -= source[start + 4]
        if marker == _COMMENT or marker in _APPLICATION:
            is_exif = marker == 0xE1
            if (is_exif and has_exif) or not any(
                marker == needed and source.startswith(name, start + 4) for needed, name in _NEEDED
            ):
                continue
            has_exif = has_exif or is_exif
        kept.append(source[start:end])
    is_cut = not is_broken and b"\xff\xd9" not in source[position : position + 100]
    return Prepared(b"".join([*kept, b"\xff\xd9"]), limit=limit, is_cut=is_cut)


def _segments(source: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment up to the end of the image; a scan has its data with it."""
    position = 2
    while (found := source.find(b"\xff", position)) >= 0 and found + 4 <= len(source):
        marker, position = source[found + 1], found + 2
        if marker == 0xFF:
            position = found + 1
        elif marker == _END_OF_IMAGE:
            return
        elif marker not in (0x00, 0x01) and not 0xD0 <= marker <= 0xD8:
            position += int.from_bytes(source[position : position + 2])
            if marker == _SCAN:
                end = _END_OF_SCAN.search(source, position)
                position = end.start() if end else len(source)
            yield marker, found, position


# PNG (W3C PNG, third edition)
_SHOWN = frozenset(b"IHDR PLTE tRNS eXIf".split())
_COLOURS = frozenset(b"cICP iCCP sRGB gAMA cHRM".split())
_ANIMATION = frozenset(b"acTL fcTL".split())
_MAX_PROFILE = 1_000_000  # bytes, which Pillow accepts


def _png(source: bytes) -> Prepared:
    """The chunks that decide how it looks, with the right CRCs: browsers show it if those of others are wrong."""
    kept: dict[bytes, bytes] = {}
    data, position = list[bytes](), 8
    for count in range(1, len(source)):
        check("segments", count)
        length, kind = int.from_bytes(source[position : position + 4]), source[position + 4 : position + 8]
        content = source[position + 8 : position + 8 + length]
        if kind in (b"IEND", b""):
            break
        if kind == b"fcTL" and data:
            if b"acTL" not in kept or b"fcTL" in kept or content[4:12] != kept.get(b"IHDR", b"")[:8]:
                break
            kept[kind] = content  # the first frame, as the picture before it is only for programs without animation
            data.clear()
        elif kind == b"IDAT":
            data.append(content)
        elif kind == b"fdAT":
            data.append(content[4:])
        elif not data and kind in _SHOWN | _COLOURS | _ANIMATION:
            kept.setdefault(kind, content)
        position += 12 + length
    if (grey := kept.get(b"tRNS", b"")) and kept.get(b"IHDR", b"")[8:10] in (b"\2\0", b"\4\0"):
        scale = 255 // ((1 << kept[b"IHDR"][8]) - 1)  # Pillow compares it with grey of 8 bits
        kept[b"tRNS"] = (int.from_bytes(grey[:2]) * scale & 0xFFFF).to_bytes(2)
    chunks = [_chunk(kind, content) for kind, content in kept.items() if kind in _SHOWN]
    if profile := _profile(kept):
        chunks.insert(1, _chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    chunks += [_chunk(b"IDAT", b"".join(data)), _chunk(b"IEND", b"")]
    return Prepared(source[:8] + b"".join(chunks))


def _profile(chunks: dict[bytes, bytes]) -> bytes | None:
    """By the first of the chunks that say something about colours (section 4.3); None: they are sRGB."""
    grey = chunks.get(b"IHDR", b"")[9:10] in (b"\0", b"\4")
    if (code_points := chunks.get(b"cICP", b""))[2:] == b"\0\1":
        return colours.of_code_points(code_points[0], code_points[1], grey=grey)
    if profile := _inflated(chunks.get(b"iCCP", b"")):
        return profile
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4]) / 100_000
    if b"sRGB" in chunks or not gamma:
        return None
    primaries = chunks.get(b"cHRM", b"")
    given = [value / 100_000 for value in struct.unpack(">8I", primaries)] if len(primaries) == 32 else None
    return colours.of_gamma(gamma, given, grey=grey) if given or abs(gamma - 1 / 2.2) > 0.01 else None


def _inflated(content: bytes) -> bytes | None:
    try:
        decompressor = zlib.decompressobj()
        profile = decompressor.decompress(content.partition(b"\0")[2][1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if decompressor.eof and profile[36:40] == b"acsp" else None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(content, zlib.crc32(kind)).to_bytes(4)


# TIFF 6.0
_WIDTHS = {3: "H", 4: "I", 16: "Q"}  # of numbers: SHORT, LONG, LONG8
_STRIPS = (273, 279, 324, 325)  # the tags of the places and lengths of strips and tiles
_TILE = (322, 323)  # of their width and length


def _tiff(source: bytes) -> Prepared:
    order, large = "<" if source[:1] == b"I" else ">", b"\x2b" in source[2:4]
    head, entry = (f"{order}Q", f"{order}HHQ8s") if large else (f"{order}H", f"{order}HHI4s")
    tile = dict.fromkeys(_TILE, 0)
    try:
        start = struct.unpack_from(order + ("Q" if large else "I"), source, 8 if large else 4)[0]
        entries = struct.unpack_from(head, source, start)[0]
        for number in range(entries):
            place = start + struct.calcsize(head) + number * struct.calcsize(entry)
            tag, kind, count, value = struct.unpack_from(entry, source, place)
            if tag in _STRIPS:
                check("strips", count)
            elif tag in tile and kind in _WIDTHS:
                tile[tag] = struct.unpack_from(order + _WIDTHS[kind], value)[0]
    except struct.error:  # it ends here
        return Prepared(source)
    return Prepared(source, tile[_TILE[0]] * tile[_TILE[1]])


# WebP (RFC 9649)
_IS_ANIMATION, _HAS_ALPHA = 0x02, 0x10


def _webp(source: bytes) -> Prepared:
    """With zeros for what is missing, up to three quarters; libwebp takes memory for the canvas at once."""
    width, height = webp_size(source[12:16], source[20:30].ljust(10, b"\0"))
    promised = min(8 + int.from_bytes(source[4:8], "little"), 4 * len(source))
    if source[12:16] == b"VP8X" and source[20:21] and source[20] & _IS_ANIMATION:  # around its first frame
        source = source[:20] + bytes([source[20] | _HAS_ALPHA]) + source[21:]
    return Prepared(source.ljust(promised, b"\0"), width * height)


def _bmp(source: bytes) -> Prepared:
    width, height = bitmaps.header(source).size
    return Prepared(source, width * height)


# HEIF and AVIF (ISO/IEC 14496-12 section 12.1.5 for colours)
def _heif(source: bytes) -> Prepared:
    meta = next((content for kind, content in boxes(source) if kind == b"meta"), b"")
    for kind, content in properties_of(meta[4:]):
        if kind == b"colr" and content.startswith(b"nclx"):
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return Prepared(source, profile=colours.of_code_points(primaries, transfer, grey=False))
    return Prepared(source)


_FORMATS: dict[bytes, Callable[[bytes], Prepared]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    b"II": _tiff,
    b"MM": _tiff,
    b"RIFF": _webp,
    b"\0\0": _heif,
}

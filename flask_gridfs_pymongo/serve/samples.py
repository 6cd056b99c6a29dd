"""Sample files, generated except for ten seconds of video."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ..store import Bucket

_Shade = Callable[[float, float], tuple[float, float, float]]


def add_samples(bucket: Bucket) -> None:
    """Save them if the bucket is empty."""
    if not bucket.list(limit=1).rows:
        for name, content in _samples():
            bucket.save(name, content)


def _samples() -> Iterator[tuple[str, io.BytesIO]]:
    """Yield the name and content of each sample."""
    yield "dunes.png", _png(lambda x, y: _mix((250, 205, 137), (131, 58, 42), y + 0.12 * math.sin(7 * x + 4 * y)))
    yield "northern lights.png", _png(_lights)
    yield "tide.png", _png(lambda x, y: _mix((9, 40, 74), (126, 203, 206), y + 0.05 * math.sin(25 * x + 9 * y * y)))
    yield "films/waves.webm", io.BytesIO((Path(__file__).parent / "waves.webm").read_bytes())
    yield "music/chime.wav", _chime()
    yield (
        "welcome.txt",
        io.BytesIO(
            b"Welcome!\n\nDrop your own files on the gallery, or send them with curl:\n\n"
            b"    curl -T photo.jpg ADDRESS\n\nADDRESS is what your browser shows above the listing.\n"
        ),
    )


def _mix(low: tuple[int, int, int], high: tuple[int, int, int], part: float) -> tuple[float, float, float]:
    part = min(max(part, 0), 1)
    red, green, blue = (a + (b - a) * part for a, b in zip(low, high, strict=True))
    return red, green, blue


def _lights(x: float, y: float) -> tuple[float, float, float]:
    veil = math.exp(-((y - 0.45 - 0.15 * math.sin(5 * x)) ** 2) * 20)
    return 8 + 40 * veil * x, 16 + 200 * veil, 40 + 110 * veil * (1 - x)


def _png(shade: _Shade, width: int = 480, height: int = 320) -> io.BytesIO:
    """Write a PNG (RFC 2083) of 8-bit RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = bytearray()
    for row in range(height):
        rows.append(0)  # no filter
        for column in range(width):
            rows += bytes(min(255, max(0, round(value))) for value in shade(column / width, row / height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows), 9)) + chunk(b"IEND", b"")
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)


def _chime(rate: int = 22050, seconds: float = 2.5) -> io.BytesIO:
    output = io.BytesIO()
    with wave.open(output, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        for i in range(int(rate * seconds)):
            time = i / rate
            level = sum(math.sin(2 * math.pi * pitch * time) for pitch in (523.25, 659.25, 783.99)) / 3
            sound.writeframesraw(struct.pack("<h", int(22000 * level * math.exp(-2 * time))))
    return io.BytesIO(output.getvalue())

"""Variants look like what Chromium shows of the same file."""

from __future__ import annotations

import base64
import io
import random
import statistics
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser

from flask_gridfs_pymongo.decoder.errors import Undecodable
from flask_gridfs_pymongo.decoder.pictures import load, make
from flask_gridfs_pymongo.images import PNG, Variant

from ..helpers.pictures import encoded

pytestmark = pytest.mark.slow
SIDE = 64
MOST = 8  # of 255, the mean difference of all values
# On white, as large as the variant; no picture: null.
_SHOWN = """async ([type, data, side]) => {
  const image = new Image();
  image.src = `data:${type};base64,${data}`;
  await image.decode().catch(() => {});
  if (!image.naturalWidth) return null;
  const scale = Math.min(1, side / image.naturalWidth, side / image.naturalHeight);
  const size = [image.naturalWidth, image.naturalHeight].map((length) => Math.max(1, Math.round(length * scale)));
  const canvas = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, ...size);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, ...size);
  return canvas.toDataURL("image/png").split(",")[1];
}"""


def photo(width: int = 320, height: int = 200) -> Image.Image:
    """Large surfaces in many colours, of which no two corners are alike."""
    chance, image = random.Random(3), Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = chance.randrange(width), chance.randrange(height)
        draw.ellipse((x, y, x + chance.randrange(20, 90), y + chance.randrange(20, 90)), tuple(chance.randbytes(3)))
    return image


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def samples() -> Iterator[tuple[str, str, bytes]]:
    """Names, media types, and files."""
    image, grey = photo(), photo().convert("L")
    alpha = image.copy()
    alpha.putalpha(Image.radial_gradient("L").resize(image.size))
    frames: dict[str, Any] = {"save_all": True, "append_images": [image.rotate(180)]}
    for form in ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP"):
        kind = f"image/{form.lower()}"
        for mode in ("RGB", "L", "P", "1", "RGBA", "CMYK", "LA", "I;16"):
            source = alpha if mode in ("RGBA", "LA") else grey if mode == "I;16" else image
            try:
                yield f"{form} {mode}", kind, encoded(source.convert(mode), form)
            except (OSError, ValueError):
                continue  # the format has no such mode
        if form in ("GIF", "PNG", "WEBP"):
            yield f"{form} frames", kind, encoded(image, form, **frames)
        for orientation in range(2, 9) if form in ("JPEG", "PNG", "AVIF") else ():
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield f"{form} turned {orientation}", kind, encoded(image, form, exif=exif)
        whole = encoded(image, form)
        for cut in (1, 2, 30) if form != "AVIF" else ():
            yield f"{form} without {cut} bytes", kind, whole[:-cut]
        yield f"{form} with a film", kind, whole + random.Random(1).randbytes(100_000)
    jpeg, png = encoded(image, "JPEG"), encoded(image)
    yield "JPEG, half", "image/jpeg", jpeg[: len(jpeg) // 2]
    yield "PNG, half", "image/png", png[: len(png) // 2]
    bmp = encoded(image, "BMP")
    yield "BMP, half", "image/bmp", bmp[: len(bmp) // 2]
    gif = encoded(image, "GIF", interlace=0)
    yield "GIF, half", "image/gif", gif[: len(gif) // 2]
    for options in ({"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}, {"quality": 30}):
        yield f"JPEG {options}", "image/jpeg", encoded(image, "JPEG", **options)  # type: ignore[arg-type]
    yield "WEBP lossless", "image/webp", encoded(alpha, "WEBP", lossless=True)
    for gamma in (30_000, 45_455, 100_000):
        added = chunk(b"gAMA", struct.pack(">I", gamma))
        yield f"PNG gamma {gamma}", "image/png", png[:33] + added + png[33:]
    yield "PNG wrong CRC", "image/png", png[:33] + chunk(b"pHYs", b"\0" * 9)[:-1] + b"x" + png[33:]
    small = bytearray(gif)
    small[6:10] = struct.pack("<HH", 400, 300)
    yield "GIF smaller frame", "image/gif", bytes(small)


def on_white(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def test_variants_look_like_what_chromium_shows(browser: Browser) -> None:
    load()
    page, wrong = browser.new_page(), []
    for name, kind, source in samples():
        shown = page.evaluate(_SHOWN, [kind, base64.b64encode(source).decode(), SIDE])
        if shown is None:
            continue
        try:
            made = on_white(make(source, Variant(SIDE, SIDE), PNG).data)
        except Undecodable as error:
            wrong.append(f"{name}: {error}")
            continue
        seen = on_white(base64.b64decode(shown))
        if seen.size != made.size:
            wrong.append(f"{name}: {made.size}, not {seen.size}")
            continue
        pairs = zip(seen.tobytes(), made.tobytes(), strict=True)
        if (difference := statistics.mean(abs(one - other) for one, other in pairs)) >= MOST:
            wrong.append(f"{name}: {difference:.1f}")
    page.close()
    assert wrong == []

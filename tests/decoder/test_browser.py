"""Variants look like what Chromium shows of the same file."""

from __future__ import annotations

import base64
import io
import itertools
import random
import statistics
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw
from playwright.sync_api import Browser

from flask_gridfs_pymongo.decoder.errors import Undecodable
from flask_gridfs_pymongo.decoder.pictures import load, make
from flask_gridfs_pymongo.images import PNG, Variant

from ..helpers import bitmaps
from ..helpers.pictures import adam7, chunk, encoded

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
        for orientation in range(2, 9) if form in ("JPEG", "PNG", "AVIF", "WEBP") else ():
            exif = Image.Exif()
            exif[0x0112] = orientation
            yield f"{form} turned {orientation}", kind, encoded(image, form, exif=exif)
        whole = encoded(image, form)
        for cut in (1, 2, 30) if form != "AVIF" else ():
            yield f"{form} without {cut} bytes", kind, whole[:-cut]
        yield f"{form} with a film", kind, whole + random.Random(1).randbytes(100_000)
    yield "PNG that is no frame", "image/png", encoded(image, "PNG", default_image=True, **frames)
    jpeg, png, avif = encoded(image, "JPEG"), encoded(image), encoded(image, "AVIF")
    for points in itertools.product((1, 2, 9, 12), (4, 8, 13, 16)):
        meant = avif.replace(b"nclx" + struct.pack(">HH", 1, 13), b"nclx" + struct.pack(">HH", *points))
        yield f"AVIF, code points {points}", "image/avif", meant
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in (1, 4):
        changed = encoded(image, "JPEG", exif=exif).replace(b"\x01\x12\0\3", b"\x01\x12\0%c" % kind)
        yield f"JPEG turned by a number of type {kind}", "image/jpeg", changed
    yield "JPEG, half", "image/jpeg", jpeg[: len(jpeg) // 2]
    yield "PNG, half", "image/png", png[: len(png) // 2]
    bmp = encoded(image, "BMP")
    yield "BMP, half", "image/bmp", bmp[: len(bmp) // 2]
    gif = encoded(image, "GIF", interlace=0)
    yield "GIF, half", "image/gif", gif[: len(gif) // 2]
    for name, kind, interlaced in (("GIF", "image/gif", encoded(image, "GIF")), ("PNG", "image/png", adam7(image))):
        for share in (0.2, 0.4, 0.8):
            yield f"{name} interlaced, {share}", kind, interlaced[: int(len(interlaced) * share)]
    cmyk = encoded(image.convert("CMYK"), "JPEG")
    yield "JPEG CMYK, half", "image/jpeg", cmyk[: len(cmyk) // 2]
    broken = bytearray(jpeg)
    broken[len(jpeg) // 2 : len(jpeg) // 2 + 4] = b"\xff\x0d\0\2"
    yield "JPEG, wrong bytes", "image/jpeg", bytes(broken)
    for options in ({"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}, {"quality": 30}):
        yield f"JPEG {options}", "image/jpeg", encoded(image, "JPEG", **options)  # type: ignore[arg-type]
    yield "WEBP lossless", "image/webp", encoded(alpha, "WEBP", lossless=True)
    for gamma in (30_000, 45_455, 100_000):
        added = chunk(b"gAMA", struct.pack(">I", gamma))
        yield f"PNG gamma {gamma}", "image/png", png[:33] + added + png[33:]
    yield "PNG wrong CRC", "image/png", png[:33] + chunk(b"pHYs", b"\0" * 9)[:-1] + b"x" + png[33:]
    yield from (("BMP, " + name, "image/bmp", source) for name, source in bitmaps.samples(photo(64, 40)))
    yield from ((f"PNG, {name}", "image/png", source) for name, source in coloured())
    small = bytearray(gif)
    small[6:10] = struct.pack("<HH", 400, 300)
    yield "GIF smaller frame", "image/gif", bytes(small)


def coloured() -> Iterator[tuple[str, bytes]]:
    """PNG files that say in several ways what their colours mean."""
    image = photo(64, 40)
    kinds = {
        "RGB": encoded(image),
        "L": encoded(image.convert("L")),
        "P": encoded(image.quantize(50)),
        "RGBA": encoded(Image.merge("RGBA", (*image.split(), Image.radial_gradient("L").resize(image.size)))),
        "I;16": encoded(image.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")),
    }
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    profile, junk = (chunk(b"iCCP", b"x\0\0" + zlib.compress(data)) for data in (swapped, b"junk"))
    linear, usual = (chunk(b"gAMA", struct.pack(">I", gamma)) for gamma in (100_000, 45_455))
    primaries = [
        chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in (0.3127, 0.329, *others))))
        for others in ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (0.3, 0.6, 0.64, 0.33, 0.15, 0.06))
    ]
    added = {
        "gamma and sRGB": linear + chunk(b"sRGB", b"\0"),
        "primaries alone": primaries[1],
        **{f"gamma and primaries {number}": usual + one for number, one in enumerate(primaries)},
        "linear and primaries": linear + primaries[1],
        "two gammas": linear + usual,
        "profile": profile,
        "profile and sRGB": chunk(b"sRGB", b"\0") + profile,
        "profile and gamma": linear + profile,
        "bad profile and gamma": linear + junk,
        "profile and code points": chunk(b"cICP", bytes((1, 13, 0, 1))) + profile,
    }
    for gamma in (10_000, 60_000, 200_000, 0):
        added[f"gamma {gamma}"] = chunk(b"gAMA", struct.pack(">I", gamma))
    for points in [(1, transfer) for transfer in range(1, 19)] + [
        (first, 13) for first in (2, 4, 5, 6, 8, 9, 10, 11, 12, 22)
    ]:
        added[f"code points {points}"] = chunk(b"cICP", bytes((*points, 0, 1)))
    for points in ((9, 16), (12, 16), (9, 18), (9, 14)):
        added[f"code points {points}"] = chunk(b"cICP", bytes((*points, 0, 1)))
    added["code points, limited range"] = chunk(b"cICP", bytes((9, 16, 0, 0)))
    for (name, source), (meaning, chunks) in itertools.product(kinds.items(), added.items()):
        yield f"{name}, {meaning}", source[:33] + chunks + source[33:]
    exif = Image.Exif()
    exif[0x0112] = 6
    end = kinds["RGB"].rindex(b"IEND") - 4
    for kind in (linear, chunk(b"eXIf", exif.tobytes()[6:])):
        yield f"{kind[4:8]!r} behind", kinds["RGB"][:end] + kind + kinds["RGB"][end:]


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

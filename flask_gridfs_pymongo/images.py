"""Smaller variants of pictures: bytes in, bytes out. Needs the extra ``images`` (Pillow).

::

    Variant(128, 128, crop=True)  # an avatar
    picture = make(photo, Variant(640, 640), WEBP)
    picture.content_type, len(picture.data)

What a stranger uploads is decoded here, so the number of pixels is read from the header first: 31 KB of PNG can
unfold to gigabytes.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .mimetype import PICTURES

if TYPE_CHECKING:
    from PIL.Image import Image

TYPES = PICTURES | {"image/tiff"}
"""The media types that :func:`make` takes."""
MAX_BYTES = 64 * 1024 * 1024
"""of a source picture"""
MAX_PIXELS = 40_000_000
"""of a source picture, as its header gives them before anything is decoded"""
MAX_SCANS = 100
"""of a progressive JPEG; each scan costs as much time as the whole picture, and cameras and tools write about ten"""

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # Pillow reads others by running programs
_SAVE: dict[str, dict[str, Any]] = {
    JPEG: {"quality": 75, "optimize": True, "progressive": True},
    PNG: {},
    WEBP: {"quality": 75},
}
_MAX_SIDE = 4096  # pixels
_ORIENTATION = 0x0112  # the EXIF tag
_SHARP = 1.5  # of a JPEG no more than a fraction is decoded, at least so many times as wide as the result
_VERSION = 2  # of what make() does with a recipe


@dataclass(frozen=True)
class Variant:
    """How a smaller picture is made; a picture that is small enough keeps its size.

    :param width: pixels at most
    :param height: pixels at most
    :param crop: cut off what sticks out, so that a large enough picture fills width and height; else all of it fits in
    :raises TypeError, ValueError: for what is no number of pixels from 1 to 4096
    """

    width: int
    height: int
    crop: bool = False

    def __post_init__(self) -> None:
        for side in ("width", "height"):
            value = getattr(self, side)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"Variant: {side} must be an int, not {value!r}")
            if not 1 <= value <= _MAX_SIDE:
                raise ValueError(f"Variant: {side} must be from 1 to {_MAX_SIDE} pixels, not {value}")
        if not isinstance(self.crop, bool):
            raise TypeError(f"Variant: crop must be True or False, not {self.crop!r}")

    @property
    def recipe(self) -> str:
        """What tells pictures made in one way from those made in another."""
        return f"{_VERSION} {self.width}x{self.height}{' crop' if self.crop else ''}"


THUMB = Variant(640, 640)


class Picture(NamedTuple):
    """A picture that was made."""

    content_type: str
    data: bytes


class Undecodable(ValueError):
    """The bytes are no picture that can be decoded."""


class TooLarge(ValueError):
    """The picture is past :data:`MAX_BYTES`, :data:`MAX_PIXELS` or :data:`MAX_SCANS`."""


def make(source: bytes, variant: Variant, content_type: str | None) -> Picture:
    """Make a variant: turned as its EXIF says, in sRGB, the first frame alone, and without metadata (GPS).

    :param content_type: :data:`JPEG`, :data:`PNG` or :data:`WEBP`; None: PNG for what has transparent parts, else JPEG
    :raises Undecodable, TooLarge: for what cannot be decoded, or is past the limits
    :raises ImportError: without Pillow
    """
    import PIL.Image  # its absence is no fault of the source

    if len(source) > MAX_BYTES:
        raise TooLarge(f"the picture has more than {MAX_BYTES} bytes")
    try:
        return _make(source, variant, content_type)
    except TooLarge:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise TooLarge(f"the picture has more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # its decoders raise OSError, SyntaxError, struct.error, IndexError and many others
        raise Undecodable("the picture cannot be decoded") from error


def _make(source: bytes, variant: Variant, content_type: str | None) -> Picture:
    import PIL.Image

    PIL.Image.init()
    formats = [name for name in _FORMATS if name in PIL.Image.OPEN]  # AVIF is not in every build
    with PIL.Image.open(io.BytesIO(source), formats=formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise TooLarge(f"the picture has more than {MAX_PIXELS} pixels")
        if image.format not in ("JPEG", "MPO"):
            image.load()  # what breaks it off must not be taken for a fault of its EXIF; a TIFF is turned by it
        elif source.count(b"\xff\xda") > MAX_SCANS:
            raise TooLarge(f"the picture has more than {MAX_SCANS} scans")
        profile, orientation = image.info.get("icc_profile"), _orientation(image)
        small = _in_srgb(_shrink(image, variant, sideways=orientation >= 5), profile)
        return _encode(_turned(small, orientation), content_type)


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # of an EXIF that is broken
        return 1


def _shrink(image: Image, variant: Variant, *, sideways: bool) -> Image:
    """Decode the picture, cut and scale it.

    :param sideways: whether it is going to be turned by a quarter
    """
    from PIL.Image import Resampling

    width, height = (variant.height, variant.width) if sideways else (variant.width, variant.height)
    whole = image.size
    left, top, right, bottom = _centre(whole, width / height) if variant.crop else (0, 0, *whole)
    scale = min(1, width / (right - left), height / (bottom - top))
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    image.draft(None, (math.ceil(whole[0] * scale * _SHARP), math.ceil(whole[1] * scale * _SHARP)))
    across, down = image.width / whole[0], image.height / whole[1]
    box = left * across, top * down, right * across, bottom * down
    return _resizable(image).resize(size, Resampling.LANCZOS, box, reducing_gap=2.0)


def _centre(size: tuple[int, int], ratio: float) -> tuple[float, float, float, float]:
    """The largest box of a ratio of width and height in the middle of a picture."""
    width, height = min(size[0], size[1] * ratio), min(size[1], size[0] / ratio)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _resizable(image: Image) -> Image:
    """The picture in a mode that Pillow blends, with the transparency that a palette or a key colour stands for."""
    if image.mode[0] in "IF":  # 16 bits in each pixel
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("L" if image.mode == "1" else "RGB")


def _in_srgb(image: Image, profile: bytes | None) -> Image:
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    if profile:
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            colours = ImageCms.profileToProfile(colours, source, target, outputMode="RGB") or colours
        except (ImageCms.PyCMSError, OSError):
            pass  # it is broken, or for another kind of picture
    if colours.mode not in ("L", "RGB"):
        colours = colours.convert("RGB")
    if alpha:
        colours.putalpha(alpha)
    return colours


def _turned(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(ways[orientation]) if orientation in ways else image


def _encode(image: Image, content_type: str | None) -> Picture:
    from PIL.Image import new

    if content_type is None:
        opaque = image.mode != "RGBA" or image.getchannel("A").getextrema()[0] == 255
        content_type = JPEG if opaque else PNG
    if content_type == JPEG and image.mode == "RGBA":
        paper = new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    image.info = {}  # Pillow writes comments and profiles that it finds here
    encoded = io.BytesIO()
    image.save(encoded, content_type.removeprefix("image/"), **_SAVE[content_type])
    return Picture(content_type, encoded.getvalue())

"""Makes variants of pictures, from bytes to bytes; this runs in a child process.

::

    picture = make(photo, Variant(640, 640), WEBP)
    picture.content_type, len(picture.data)
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..images import JPEG, PNG, WEBP, Variant
from ..pixels import orientation_of
from . import bitmaps, containers, limits, partial
from .errors import Undecodable

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_FORMATS = ("AVIF", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP")  # for some other formats Pillow runs programs
_SAVE: dict[str, dict[str, Any]] = {
    JPEG: {"quality": 75, "optimize": True, "progressive": True},
    PNG: {},
    WEBP: {"quality": 75},
}
_BLOCK = 16  # rows of a JPEG that are decoded at once
_SHARP = 1.5  # a JPEG is decoded at reduced size, at least so many times as wide as the result
_BASE_MEMORY = 32 * 1024 * 1024  # bytes, for the result and what libraries need
_BYTES_PER_PIXEL = 24  # that the most wasteful format needs to decode and convert one


class Picture(NamedTuple):
    """A picture made by :func:`make`."""

    content_type: str
    data: bytes
    pixels: tuple[int, int]
    """width and height of the original, as it is shown"""


def load() -> None:
    """Import what decodes, with one thread for each decoder."""
    import PIL.AvifImagePlugin
    import PIL.Image
    import PIL.ImageCms

    PIL.Image.init()
    PIL.Image.MAX_IMAGE_PIXELS = None  # the limits are ours
    PIL.AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)


def perform(arguments: dict[str, Any], source: bytes) -> tuple[dict[str, Any], bytes]:
    """The task ``picture``: :func:`make` with the fields of a :class:`.Variant` and *content_type*."""
    variant = Variant(**{field.name: arguments[field.name] for field in fields(Variant)})
    content_type, data, pixels = make(source, variant, arguments["content_type"], limits.allow_memory)
    return {"content_type": content_type, "pixels": pixels}, data


def make(
    source: bytes,
    variant: Variant,
    content_type: str | None,
    allow_memory: Callable[[int], object] = lambda size: None,
) -> Picture:
    """Make a variant: rotated as its EXIF says, in sRGB, only the first frame, and without metadata (GPS).

    :param content_type: :data:`.JPEG`, :data:`.PNG` or :data:`.WEBP`; None: PNG if parts are transparent, else JPEG
    :param allow_memory: called with the number of bytes that a picture of this size may take
    :raises Undecodable: if the source cannot be decoded or exceeds a limit
    """
    memory = _BASE_MEMORY + 4 * len(source)
    try:
        prepared = containers.prepare(source)
        containers.check(prepared.limit, prepared.reserved, variant.max_pixels)
        allow_memory(memory + _BYTES_PER_PIXEL * prepared.reserved)
        with _opened(prepared.source) as image:
            containers.check(prepared.limit, image.width * image.height, variant.max_pixels)
            allow_memory(memory + _BYTES_PER_PIXEL * image.width * image.height)
            return _made(image, variant, content_type, prepared)
    except (Undecodable, MemoryError):
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, IndexError and many others
        raise Undecodable("undecodable") from error


def _opened(source: bytes) -> Image:
    import PIL.Image

    if source.startswith(b"BM"):
        return bitmaps.read(source)
    formats = [name for name in _FORMATS if name in PIL.Image.OPEN]  # AVIF is not in every build, HEIF an extra
    return PIL.Image.open(io.BytesIO(source), formats=formats)


def _made(image: Image, variant: Variant, content_type: str | None, prepared: containers.Prepared) -> Picture:
    profile = image.info.get("icc_profile") or prepared.profile
    orientation, size = _orientation(image), image.size
    whole = image if image.format == "JPEG" else _loaded(image)  # little of a JPEG is decoded, when it is scaled
    height = whole.height
    small = _shrink(whole, variant, sideways=orientation >= 5)
    small = _in_srgb(_without_grey(small, small.height / height) if prepared.is_cut else small, profile)
    pixels = size[::-1] if orientation >= 5 else size
    return Picture(*_encode(_turned(small, orientation), content_type), pixels)


def _orientation(image: Image) -> int:
    """By EXIF alone, and not of WebP, as in browsers; Pillow also reads it in XMP, and turns a TIFF itself."""
    exif = image.info.get("exif") if image.format not in ("TIFF", "WEBP") else None
    return orientation_of((exif or b"").removeprefix(b"Exif\0\0"))


def _loaded(image: Image) -> Image:
    """The picture, as far as it can be decoded; what is missing is transparent."""
    file, passes = cast("ImageFile", image), partial.passes_of(image)
    extent = getattr(image, "dispose_extent", None) or (0, 0, *image.size)  # a GIF's first frame may be smaller
    try:
        image.load()
    except OSError:
        file.tile = []
        image.load()  # raises it again if nothing was decoded
        if passes:
            extent = partial.interlaced(image, passes, extent)
        elif (found := image.getbbox()) is None:
            raise
        else:
            extent = (0, found[1], image.width, found[3])
    return image if extent == (0, 0, *image.size) else _cut(image, extent)


def _without_grey(image: Image, scale: float) -> Image:
    """The beginning of a JPEG, without the grey that libjpeg puts in place of the rest.

    Pillow inverts CMYK, so that there it is 127 as well as 128.

    :param scale: the height of the picture as a fraction of that of the file
    """
    from PIL import ImageChops
    from PIL.Image import new

    grey = new(image.mode, image.size, (128,) * len(image.getbands()))
    found = ImageChops.difference(image, grey).point(lambda value: value > 1 and 255).getbbox()
    if found is None or found[3] == image.height:
        return image
    last = max(1, found[3] - math.ceil(_BLOCK * scale))  # its last row of blocks is incomplete
    return _cut(image, (0, 0, image.width, last))


def _cut(image: Image, extent: tuple[int, int, int, int]) -> Image:
    """What lies outside of *extent* transparent."""
    from PIL.Image import new

    cut = new("RGBA", image.size)
    cut.paste(_resizable(image).crop(extent), extent)
    return cut


def _shrink(image: Image, variant: Variant, *, sideways: bool) -> Image:
    """Decode, crop and scale the picture.

    :param sideways: whether it will be rotated by 90 degrees
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
    """The largest centred box with this ratio of width to height."""
    width, height = min(size[0], size[1] * ratio), min(size[1], size[0] / ratio)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _resizable(image: Image) -> Image:
    """The picture in a mode that Pillow can resample, with the transparency of a palette or key colour."""
    if image.mode[0] in "IF":
        return _in_eight_bits(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("L" if image.mode == "1" else "RGB")


def _in_eight_bits(image: Image) -> Image:
    """Grey of 16 bits in 8; of floats and of 32 bits, whose range no format says, from its darkest to its brightest."""
    from PIL import ImageMath

    low, high = (0, 65_535) if image.mode.startswith("I;16") else cast(tuple[float, float], image.getextrema())
    scale = 255 / (high - low) if high > low else 0
    grey = image.point(lambda value: value * scale - low * scale).convert("L")
    if isinstance(key := image.info.get("transparency"), int):
        alpha = ImageMath.lambda_eval(
            lambda of: of["convert"]((of["image"] != key) * 255, "L"), image=image.convert("I")
        )
        return _with_alpha(grey.convert("RGB"), alpha)
    return grey


def _with_alpha(image: Image, alpha: Image) -> Image:
    image.putalpha(alpha)
    return image


def _in_srgb(image: Image, profile: bytes | None) -> Image:
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    if profile:
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            if source.profile.xcolor_space.strip() == "GRAY":
                colours = colours.convert("L")
            colours = ImageCms.profileToProfile(colours, source, target, outputMode="RGB") or colours
        except (ImageCms.PyCMSError, OSError):
            pass  # the profile is invalid, or for another mode
    if colours.mode not in ("L", "RGB"):
        colours = colours.convert("RGB")
    return _with_alpha(colours, alpha) if alpha else colours


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


def _encode(image: Image, content_type: str | None) -> tuple[str, bytes]:
    from PIL.Image import new

    if content_type is None:
        opaque = image.mode != "RGBA" or image.getchannel("A").getextrema()[0] == 255
        content_type = JPEG if opaque else PNG
    if content_type == JPEG and image.mode == "RGBA":
        paper = new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    image.info = {}  # Pillow would write the comments and profiles in it
    encoded = io.BytesIO()
    image.save(encoded, content_type.removeprefix("image/"), **_SAVE[content_type])
    return content_type, encoded.getvalue()

"""What is left of an interlaced picture that was cut, as browsers show it.

::

    passes = passes_of(image)  # None: it is not interlaced
    extent = interlaced(image, passes, (0, 0, *image.size))
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

Extent = tuple[int, int, int, int]
Passes = list[tuple[int, int, int, int]]
"""The first column and row of each pass, and the steps to its next ones"""
_GIF: Passes = [(0, 0, 1, 8), (0, 4, 1, 8), (0, 2, 1, 4), (0, 1, 1, 2)]
_PNG: Passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def passes_of(image: Image) -> Passes | None:
    """Return the passes of an interlaced picture that is not loaded yet; None: it is not interlaced."""
    if image.format == "PNG":
        return _PNG if image.info.get("interlace") else None
    is_interlaced = image.format == "GIF" and image.tile[0].args[1]  # type: ignore[attr-defined]
    return _GIF if is_interlaced else None


def interlaced(image: Image, passes: Passes, extent: Extent) -> Extent:
    """Fill what the last passes lack with the pixels of earlier ones, in place.

    :param image: in which missing pixels are 0, or those of a GIF transparent
    :param extent: where it has pixels
    :return: where it has pixels then
    :raises OSError: if no pixel is known
    """
    part, missing = image.crop(extent), image.info.get("transparency", 0) if image.format == "GIF" else 0
    for number in reversed(range(len(passes))):
        pixels = _every(part, *passes[number])
        known = (pixels.point(lambda value: value != missing and 255) if missing else pixels).getbbox()
        if known is not None:
            break
    else:
        raise OSError("it has no pixels")
    _, top, _, step = passes[number]
    bottom = min(part.height, top + known[3] * step)
    if number > 0:
        image.paste(_blocks(part, passes[:number]), extent[:2])
    image.paste(_blocks(part, passes[: number + 1]).crop((0, 0, part.width, bottom)), extent[:2])
    return extent if number > 0 else (*extent[:3], extent[1] + bottom)


def _blocks(image: Image, passes: Passes) -> Image:
    """Each pixel that *passes* have, as large as the pixels that they lack."""
    from PIL.Image import Transform

    across = math.gcd(passes[0][2], *(left for left, _, _, _ in passes))
    down = math.gcd(passes[0][3], *(top for _, top, _, _ in passes))
    small = _every(image, 0, 0, across, down)
    return small.transform(image.size, Transform.AFFINE, (1 / across, 0, 0, 0, 1 / down, 0))


def _every(image: Image, left: int, top: int, across: int, down: int) -> Image:
    from PIL.Image import Transform

    size = -(-(image.width - left) // across), -(-(image.height - top) // down)
    middle = left + (1 - across) / 2, top + (1 - down) / 2
    return image.transform(
        (max(0, size[0]), max(0, size[1])), Transform.AFFINE, (across, 0, middle[0], 0, down, middle[1])
    )

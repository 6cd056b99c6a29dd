"""Variants of pictures: how each is made, and of what.

::

    Variant(128, 128, crop=True)  # an avatar

They are made in a child process by :mod:`.decoder.pictures`. Needs the extra ``images`` (Pillow).
"""

from __future__ import annotations

from dataclasses import dataclass

from .mimetype import PICTURES

HEIF = frozenset({"image/heic", "image/heif"})
"""Types of pictures that need the extra ``heic``"""
TYPES = PICTURES | HEIF | {"image/tiff"}
"""The media types of which variants are made"""
LIMITS = {
    "bytes": 64 * 1024 * 1024,  # of the file
    "pixels": 40_000_000,  # according to its header
    "baseline": 100_000_000,  # of a baseline JPEG, of which little is decoded
    "scans": 100,  # of a progressive JPEG: each takes the time of a whole picture; cameras write about ten
    "segments": 100_000,  # of a JPEG, or chunks of a PNG
    "strips": 65_536,  # of a TIFF, or tiles
}
"""How much a picture may have of what makes it costly"""

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
_MAX_SIDE = 4096  # pixels
_MAX_PIXELS = 1_000_000_000  # that any format of ours can have
_VERSION = 5  # to be raised when the results change


@dataclass(frozen=True)
class Variant:
    """How a smaller picture is made; a picture that is small enough keeps its size.

    :param width: in pixels, at most
    :param height: in pixels, at most
    :param crop: cut off what does not fit, so that a large picture fills width and height; otherwise all of it is shown
    :param max_pixels: pixels of the original, at most; None: 100 million of a baseline JPEG (as cameras write it), 40
        million of another picture
    :raises TypeError, ValueError: if width or height is not an int from 1 to 4096, or *max_pixels* not one above 0
    """

    width: int
    height: int
    crop: bool = False
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("width", _MAX_SIDE), ("height", _MAX_SIDE), ("max_pixels", _MAX_PIXELS)):
            value = getattr(self, name)
            if name == "max_pixels" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"Variant: {name} must be an int, not {value!r}")
            if not 1 <= value <= most:
                raise ValueError(f"Variant: {name} must be from 1 to {most} pixels, not {value}")
        if not isinstance(self.crop, bool):
            raise TypeError(f"Variant: crop must be True or False, not {self.crop!r}")

    @property
    def recipe(self) -> str:
        """A text that is the same only for pictures made in the same way."""
        return f"{_VERSION} {self.width}x{self.height}{' crop' if self.crop else ''}"


THUMB = Variant(640, 640)
LARGE = Variant(1600, 1600)

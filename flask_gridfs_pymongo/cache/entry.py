"""What the cache on disk has to know of a file.

::

    Entry("shop.fs 1", "9e107d9d372bb6826bd81d3542a419d6", 7, None, 0)
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A version of a file."""

    owner: str
    """what it is a version of: its bucket and ``_id``"""
    tag: str
    """which version: its entity tag, 32 hexadecimal digits"""
    length: int
    """bytes"""
    sha256: str | None
    """of the content, in hexadecimal; None: unknown"""
    modified: float
    """its date, in seconds"""

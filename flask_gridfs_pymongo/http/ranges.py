"""Range requests (RFC 9110 section 14): parsing the Range field, and the framing of a multipart response.

::

    parse_range("bytes=0-4,-5", 100)  # [ByteRange(0, 5), ByteRange(95, 100)]
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_RANGES = 16
"""Parts in one response; a request for more gets the whole representation."""
_MAX_HEADER = 1024
_FIELD = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL | re.ASCII)
_SPEC = re.compile(r"(\d*)-(\d*)", re.ASCII)


class ByteRange(NamedTuple):
    """The bytes from *start* up to, and without, *stop*."""

    start: int
    stop: int

    def content_range(self, length: int) -> str:
        """Return the Content-Range of these bytes of a representation of *length* bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{length}"


def parse_range(header: str, length: int) -> list[ByteRange] | None:
    """Return the ranges that *header*, a Range field's value, selects of a representation of *length* bytes.

    Overlapping and adjacent ranges become one; the others keep their order (section 15.3.7.2).

    :return: None if the field is to be ignored: another unit, invalid syntax, an empty representation, or more ranges
        than :data:`MAX_RANGES`; an empty list if none can be satisfied
    """
    specs = _parse(header) if len(header) <= _MAX_HEADER and length else None
    if specs is None:
        return None
    satisfiable = [found for first, last in specs if (found := _resolve(first, last, length))]
    merged = _coalesce(satisfiable)
    return merged if len(merged) <= MAX_RANGES else None


def _parse(header: str) -> list[tuple[int | None, int | None]] | None:
    field = _FIELD.fullmatch(header.strip(" \t"))
    if field is None:
        return None
    specs: list[tuple[int | None, int | None]] = []
    for element in field[1].split(","):
        spec = element.strip(" \t")
        if not spec:
            continue  # a list may have empty elements (section 5.6.1.2)
        match = _SPEC.fullmatch(spec)
        if match is None or spec == "-":
            return None
        first, last = (int(digits) if digits else None for digits in match.groups())
        if first is not None and last is not None and last < first:
            return None
        specs.append((first, last))
    return specs or None


def _resolve(first: int | None, last: int | None, length: int) -> ByteRange | None:
    if first is None:
        suffix = min(last or 0, length)
        return ByteRange(length - suffix, length) if suffix else None
    stop = length if last is None else min(last + 1, length)
    return ByteRange(first, stop) if first < length else None


def _coalesce(found: list[ByteRange]) -> list[ByteRange]:
    merged: list[tuple[int, ByteRange]] = []  # each with the position of the earliest range in it
    for (start, stop), position in sorted((part, position) for position, part in enumerate(found)):
        if merged and start <= merged[-1][1].stop:
            earliest, before = merged[-1]
            merged[-1] = min(earliest, position), ByteRange(before.start, max(before.stop, stop))
        else:
            merged.append((position, ByteRange(start, stop)))
    return [part for _, part in sorted(merged)]


def part_head(boundary: str, content_type: str, part: ByteRange, length: int) -> bytes:
    """Return what precedes the bytes of a part of multipart/byteranges (section 14.6)."""
    return (
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {part.content_range(length)}\r\n\r\n"
    ).encode("latin-1")


def closing(boundary: str) -> bytes:
    """Return what follows the last part."""
    return f"\r\n--{boundary}--\r\n".encode("latin-1")

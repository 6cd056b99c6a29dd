"""The text of a file, in parts that end with a line, for its page; in UTF-8, UTF-16 or Windows-1252.

::

    part = excerpt(bucket, file, 2)
    print(f"part {part.number} of {part.total}", part.text)
"""

from __future__ import annotations

import codecs
import re
from contextlib import closing
from typing import NamedTuple

from ...store import Bucket, StoredFile

PART_SIZE = 64 * 1024
"""bytes, more or less the rest of a line"""
_MAX_LINE_BYTES = 4096  # bytes; a longer line is cut
_TEXT = re.compile(r"text/.*|application/(json|xml|.*\+(json|xml)|(x-)?(javascript|sh|yaml|toml|sql))|image/svg\+xml")
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Excerpt(NamedTuple):
    """A part of a text."""

    text: str
    number: int
    """of the part, from 1"""
    total: int
    """of parts"""


def excerpt(bucket: Bucket, file: StoredFile, number: int = 1) -> Excerpt | None:
    """Return a part of a text; None if the file is not text, is empty or known to be damaged, or has fewer parts.

    :param number: of the part, from 1
    :raises CorruptFile: if reading it shows that it is damaged
    """
    if file.damage or not file.length or not _TEXT.fullmatch(file.content_type.partition(";")[0].strip().lower()):
        return None
    total = max(1, -(-(file.length - _MAX_LINE_BYTES) // PART_SIZE))  # the last part has at least a line
    if not 1 <= number <= total:
        return None
    start, stop = (number - 1) * PART_SIZE, number * PART_SIZE + _MAX_LINE_BYTES if number < total else file.length
    data = _read(bucket, file, start, stop)
    head = data[:2] if start == 0 or file.length % 2 else _read(bucket, file, 0, 2)
    mark = _MARKS.get(head) if file.length % 2 == 0 else None
    begin = _next_line(data, mark) if number > 1 else 0
    end = PART_SIZE + _next_line(data[PART_SIZE:], mark) if number < total else len(data)
    text = data[begin:end].decode(mark, "replace").removeprefix("\ufeff") if mark else decode(data[begin:end])
    return None if "\0" in text else Excerpt(text, number, total)


def decode(data: bytes) -> str:
    """Decode UTF-8, or else Windows-1252, a superset of Latin-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("windows-1252", "replace")


def _read(bucket: Bucket, file: StoredFile, start: int, stop: int) -> bytes:
    with closing(bucket.read(file, start, min(stop, file.length))) as content:
        return b"".join(content)


def _next_line(data: bytes, mark: str | None) -> int:
    """Return the offset of the next line in *data*; of the next character if the line is too long, or in UTF-16."""
    if mark:
        unit = int.from_bytes(data[:2], "little" if mark.endswith("le") else "big")
        return 2 if 0xDC00 <= unit < 0xE000 else 0
    newline = data.find(b"\n", 0, _MAX_LINE_BYTES)
    if newline >= 0:
        return newline + 1
    return next((index for index, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)

"""Integrity of stored files: whether a files document is valid, and whether the chunks match it.

::

    document_error({"filename": "a.txt", "length": -1, "chunkSize": 261120})  # "its length is not a number of bytes"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

from bson.decimal128 import Decimal128

FIELDS = {"filename": 1, "length": 1, "chunkSize": 1, "sha256": 1, "md5": 1, "renamedFrom": 1}
"""a projection of files documents: what :class:`ChunkAudit` and reports need"""
SIZE = {"$cond": [{"$eq": [{"$type": "$data"}, "binData"]}, {"$binarySize": "$data"}, 0]}
"""an expression for aggregations: the size of a chunk, measured by the server (MongoDB 4.4)"""
NUMBERS = {"_id": 0, "files_id": 1, "n": 1}
"""a projection of chunks, covered by their index"""
SIZES = {**NUMBERS, "size": SIZE}
"""a projection of chunks: what :class:`ChunkAudit` needs"""
MAX_INT64 = 2**63 - 1
"""bytes: the largest integer of BSON"""


def document_error(document: Mapping[str, Any]) -> str | None:
    """Return why a files document is invalid; None if it is valid.

    Other tools wrote lengths that are missing, null, negative (more than 2 GB in 32 bits), fractions or no numbers, and
    names that are not UTF-8: the driver returns those bytes as lone surrogates.
    """
    if whole(document.get("length")) is None:
        return "its length is not a number of bytes"
    if not whole(document.get("chunkSize")):
        return "its chunkSize is not a positive number of bytes"
    if isinstance(name := document.get("filename"), str) and not is_utf8(name):
        return "its filename is not UTF-8"
    return None


def whole(value: Any) -> int | None:
    """Return a length, or the number of a chunk, of any numeric type of BSON; None if *value* cannot be one."""
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal) or not isfinite(number):
        return None
    return int(number) if 0 <= number <= MAX_INT64 and number % 1 == 0 else None


def is_utf8(text: str) -> bool:
    """Whether *text* came from valid UTF-8, so that it can be stored again."""
    return re.search("[\ud800-\udfff]", text) is None


@dataclass
class Problem:
    """A kind of damage, how many chunks have it, and the number of the first of them."""

    kind: str
    count: int
    first: Any = None


class ChunkAudit:
    """Checks the chunks of one file, in the order of their numbers, in constant memory.

    Empty chunks past the end are not damage: some drivers write one for an empty file. A file without a length counts
    as empty if it has no chunks, else as damaged.

    :param document: the files document
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._unsized = "length" not in document
        document = {**document, "length": document.get("length", 0)}
        self._sound = document_error(document) is None
        self.length, self.chunk_size = 0, 1
        if self._sound:
            self.length, self.chunk_size = whole(document["length"]) or 0, whole(document["chunkSize"]) or 1
        self.last = (self.length - 1) // self.chunk_size
        """the number of the last chunk; -1 for an empty file"""
        self._next = 0
        self._found: dict[str, Problem] = {}

    def add(self, n: Any, size: int) -> bool:
        """Check the next chunk, of *size* bytes; return whether it is part of the content."""
        self._sound = self._sound and not self._unsized
        place = whole(n)
        if place is None:
            self._note("misnumbered", n)
        elif place > self.last:
            if size:
                self._note("extra", n)
        elif place < self._next:
            self._note("duplicate", n)
        else:
            if place > self._next:
                self._note("missing", self._next, place - self._next)
            self._next = place + 1
            expected = min(self.chunk_size, self.length - place * self.chunk_size)
            if size != expected:
                self._note("short" if size < expected else "long", n)
            return True
        return False

    def problems(self) -> list[Problem]:
        """Return the problems of the file, after its last chunk was added.

        The kinds are ``missing``, ``short``, ``long``, ``duplicate``, ``misnumbered`` and ``extra`` chunks, or
        ``invalid document`` for an impossible length, chunk size or name.
        """
        if not self._sound:
            return [Problem("invalid document", 1)]
        if self._next <= self.last:
            self._note("missing", self._next, self.last + 1 - self._next)
            self._next = self.last + 1
        return list(self._found.values())

    def _note(self, kind: str, n: Any, count: int = 1) -> None:
        self._found.setdefault(kind, Problem(kind, 0, n)).count += count

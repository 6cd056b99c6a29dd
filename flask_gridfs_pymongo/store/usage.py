"""How much is stored under a name, in a folder, or in a bucket.

::

    used = usage(collections, "photos/")
    print(f"{used.bytes} bytes in {used.versions} versions of {used.names} files")
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .collections import Collections
from .integrity import MAX_INT64
from .listing.names import successor
from .retry import retry
from .strict import NO_ARRAY

_POSSIBLE = {"$and": [{"$gte": ["$length", 0]}, {"$lte": ["$length", MAX_INT64]}]}
_LENGTH = {"$cond": [_POSSIBLE, {"$toLong": "$length"}, 0]}  # of any numeric type


class Usage(NamedTuple):
    """How much is stored; expired versions count until they are deleted."""

    names: int
    """all files without a name count as one"""
    versions: int
    bytes: int
    """of content"""


def usage(collections: Collections, path: str) -> Usage:
    """Return how much is stored.

    :param path: a folder, with a trailing slash; the name of a file; or empty for everything
    """
    selection: dict[str, Any] = {"filename": {"$eq": path, **NO_ARRAY}}
    if path.endswith("/"):
        selection = {"filename": {"$gte": path, "$lt": successor(path)}}
    each = {"$group": {"_id": "$filename", "versions": {"$sum": 1}, "bytes": {"$sum": _LENGTH}}}
    sums = {field: {"$sum": f"${field}"} for field in ("versions", "bytes")}
    total = {"$group": {"_id": None, "names": {"$sum": 1}, **sums}}
    files, pipeline = collections.files, [{"$match": selection if path else {}}, each, total]
    found = retry(files, lambda: list(files.aggregate(pipeline, allowDiskUse=True)))
    return Usage(*(int(found[0][field]) for field in Usage._fields)) if found else Usage(0, 0, 0)

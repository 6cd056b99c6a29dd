"""How much is stored under a name, in a folder, or in a bucket.

::

    used = usage(collections, "photos/")
    print(f"{used.bytes} bytes in {used.versions} versions of {used.names} files")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .collections import Collections
from .integrity import MAX_INT64
from .listing.names import successor
from .retry import retry
from .strict import NO_ARRAY

_POSSIBLE = {"$and": [{"$gte": ["$length", 0]}, {"$lte": ["$length", MAX_INT64]}]}
_LENGTH = {"$cond": [_POSSIBLE, {"$toLong": "$length"}, 0]}  # of any numeric type

_MARKED = {"names": {"$sum": 1}, "versions": {"$sum": "$count"}}


class Usage(NamedTuple):
    """How much is stored; expired versions count until they are deleted, and what only marks a folder does not."""

    names: int
    """all files without a name count as one"""
    versions: int
    bytes: int
    """of content"""


def usage(collections: Collections, path: str) -> Usage:
    """Return how much is stored.

    :param path: a folder, with a trailing slash; the name of a file; or empty for everything
    """
    files = collections.files
    selection: dict[str, Any] = {"filename": {"$eq": path, **NO_ARRAY}}
    if path.endswith("/"):
        selection = {"filename": {"$gte": path, "$lt": successor(path)}}
    chosen = {"$match": selection if path else {}}

    def one(*stages: Mapping[str, Any]) -> Mapping[str, Any]:
        found = retry(files, lambda: list(files.aggregate([chosen, *stages], allowDiskUse=True)))
        return found[0] if found else {}

    marks = {"$match": {"filename": {"$regex": "/$"}, "length": 0}}  # as StoredFile.marks_folder
    marked = one(marks, {"$group": {"_id": "$filename", "count": {"$sum": 1}}}, {"$group": {"_id": None, **_MARKED}})
    sums = one({"$group": {"_id": None, "versions": {"$sum": 1}, "bytes": {"$sum": _LENGTH}}})
    # In this form the server steps from name to name along the index; grouped alone, they fill its memory.
    names = one({"$sort": {"filename": 1}}, {"$group": {"_id": "$filename"}}, {"$count": "names"})
    return Usage(*(int({**sums, **names}.get(field, 0)) - marked.get(field, 0) for field in Usage._fields))

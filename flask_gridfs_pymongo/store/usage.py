"""How much is stored under a name, in a folder, or in a bucket.

::

    used = usage(collections, "photos/")
    print(f"{used.bytes} bytes in {used.versions} versions of {used.names} files")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from .collections import Collections, Documents
from .integrity import MAX_INT64
from .listing.names import beginning_with
from .retry import retry
from .strict import IN_TRASH, NO_ARRAY

_POSSIBLE = {"$and": [{"$gte": ["$length", 0]}, {"$lte": ["$length", MAX_INT64]}]}
_LENGTH = {"$cond": [_POSSIBLE, {"$toLong": "$length"}, 0]}  # of any numeric type

_KEPT_FOR = 60  # seconds
_MAX_KEPT = 1000  # prefixes
_BATCH = 500  # names in a query
_MARKED = {"names": {"$sum": 1}, "versions": {"$sum": "$count"}}


class Usage(NamedTuple):
    """How much is stored; expired versions count until they are deleted, and what only marks a folder does not."""

    names: int
    """all files without a name count as one, with what is in the trash"""
    versions: int
    bytes: int
    """of content"""


def usage(collections: Collections, path: str) -> Usage:
    """See :meth:`.Bucket.usage`; what is in the trash counts where it was deleted, but not as a name."""
    files = collections.files
    named: dict[str, Any] = beginning_with(path) if path.endswith("/") else {"$eq": path, **NO_ARRAY}
    live, *trashed = _selections(collections, named) if path else [{}]

    def one(*stages: Mapping[str, Any], chosen: Mapping[str, Any] = live) -> Mapping[str, Any]:
        found = retry(files, lambda: list(files.aggregate([{"$match": chosen}, *stages], allowDiskUse=True)))
        return found[0] if found else {}

    marks = {"$match": {"filename": {"$regex": "/$"}, "length": 0}}  # as StoredFile.marks_folder
    marked = one(marks, {"$group": {"_id": "$filename", "count": {"$sum": 1}}}, {"$group": {"_id": None, **_MARKED}})
    grouped = {"$group": {"_id": None, "versions": {"$sum": 1}, "bytes": {"$sum": _LENGTH}}}
    groups = [one(grouped, chosen=selection) for selection in (live, *trashed)]
    sums = {field: sum(group.get(field, 0) for group in groups) for field in ("versions", "bytes")}
    # In this form the server steps from name to name along the index; grouped alone, they fill its memory.
    names = one({"$sort": {"filename": 1}}, {"$group": {"_id": "$filename"}}, {"$count": "names"})
    return Usage(*(int({**sums, **names}.get(field, 0)) - marked.get(field, 0) for field in Usage._fields))


def _selections(collections: Collections, named: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return queries for the files with such names, and for those in the trash that had them."""
    trashed = [{**IN_TRASH, "trashed.name": named}] if collections.trash else []
    return [{"filename": named}, *trashed]


def bytes_of(collections: Collections, names: Sequence[str]) -> int:
    """Return how many bytes all versions of these *names* have."""
    batches = (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))
    return sum(_sum(collections.primary.files, {"filename": {"$in": batch}}, _LENGTH) for batch in batches)


class _Kept(NamedTuple):
    bytes: int
    since: float


class Taken:
    """How many bytes are taken below a prefix of names, by stored versions and by uploads that are unfinished.

    What was measured is kept for a minute: *add* what this process stores meanwhile.
    """

    def __init__(self, collections: Collections) -> None:
        self._collections = collections
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def below(self, prefix: str, *, anew: bool = False) -> int:
        """Return how many bytes are taken; an unfinished upload takes its length, if that is known.

        :param prefix: what the names begin with
        :param anew: measure now, whatever is kept
        """
        kept = self._kept.get(prefix)
        if anew or kept is None or monotonic() - kept.since > _KEPT_FOR:
            kept = _Kept(self._measure(prefix), monotonic())
            with self._lock:
                while len(self._kept) >= _MAX_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[prefix] = kept
        return kept.bytes

    def add(self, filename: str, length: int) -> None:
        """Count *length* more bytes under *filename*: too many do no harm, as a refusal measures anew."""
        with self._lock:
            for prefix in {filename[:end] for end in range(len(filename) + 1)} & self._kept.keys():
                kept = self._kept[prefix]
                self._kept[prefix] = kept._replace(bytes=kept.bytes + length)

    def _measure(self, prefix: str) -> int:
        below = _selections(self._collections, beginning_with(prefix)) if prefix else [{}]
        unfinished = {"state": "open", "expires": {"$gt": self._collections.clock.now()}, **below[0]}
        opened = _sum(self._collections.uploads, unfinished, {"$ifNull": ["$length", "$offset"]})
        return opened + sum(_sum(self._collections.primary.files, selection, _LENGTH) for selection in below)


def _sum(collection: Documents, selection: Mapping[str, Any], number: Mapping[str, Any]) -> int:
    stages: list[Mapping[str, Any]] = [{"$match": selection}, {"$group": {"_id": None, "sum": {"$sum": number}}}]
    found = retry(collection, lambda: list(collection.aggregate(stages)))
    return int(found[0]["sum"]) if found else 0

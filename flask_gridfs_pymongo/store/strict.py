"""The total order of a name's versions, by queries that are right whatever other tools stored.

Those without a date come first, by ``_id``, then the others by upload date, and by ``_id`` if dates are equal. This
takes several round trips, so :mod:`.versions` uses it only if a simple query does not settle the order::

    Strict(collections, stored).in_order("notes.txt", DESCENDING, 0, 1, collections.files)  # the newest
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from pymongo import ASCENDING, DESCENDING

from . import ids
from .collections import Collections, Documents
from .model import StoredFile

NO_ARRAY = {"$not": {"$type": "array"}}
"""added to comparisons, which also match the elements of arrays"""
CALENDAR = _FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""the first and the last date"""
DATED: dict[str, Any] = {"uploadDate": {"$gte": _FIRST, "$lte": _LAST, **NO_ARRAY}}
"""Versions that have an upload date: a BSON date in the years 1 to 9999"""
IN_TRASH: dict[str, Any] = {"trashed": NO_ARRAY, "trashed.at": DATED["uploadDate"], "filename": None}
"""What is in the trash, as :func:`.is_trashed`; other tools may have a field ``trashed`` of their own"""
NOT_IN_TRASH: dict[str, Any] = {"$nor": [IN_TRASH]}
# All others. Each branch is a range of the index; $nor with the above would read all versions of a name.
UNDATED: dict[str, Any] = {
    "$or": [
        {"uploadDate": {"$not": {"$gte": _FIRST}}},
        {"uploadDate": {"$not": {"$lte": _LAST}}},
        {"uploadDate": {"$type": "array"}},
    ]
}


class Strict:
    """Finds versions by queries that hold for documents of any shape.

    :param stored: makes a version of a files document
    """

    def __init__(self, collections: Collections, stored: Callable[..., StoredFile]) -> None:
        self._collections, self._stored = collections, stored

    def at(self, filename: str, version: int, files: Documents) -> StoredFile | None:
        """Return version *version* of *filename*: 0 the first, -1 the newest."""
        if abs(version) >= 2**31:
            return None  # past what the server can skip
        direction, skip = (ASCENDING, version) if version >= 0 else (DESCENDING, -version - 1)
        return next(iter(self.in_order(filename, direction, skip, 1, files)), None)

    def number(self, file: StoredFile) -> int:
        """Return the number of *file* among the versions of its name: 0 is the first one."""
        files, name = self._collections.files, named(file.filename)
        if not file.dated:
            return self._place({**name, **UNDATED}, file)
        date = file.upload_date
        before = [{"uploadDate": {"$not": {"$gte": date}}}, *UNDATED["$or"][1:]]
        if ids.is_utf8(file.id):
            before.append({"uploadDate": date, "$expr": {"$lt": ["$_id", {"$literal": file.id}]}})
            return int(files.count_documents({**name, "$or": before}))
        same_date = {**name, "uploadDate": {"$eq": date, **NO_ARRAY}}
        return int(files.count_documents({**name, "$or": before})) + self._place(same_date, file)

    def _place(self, selection: Mapping[str, Any], file: StoredFile) -> int:
        """How many of *selection* come before *file* in the server's order of ``_id``, whatever types they have."""
        found = self._collections.files.find(selection, {"_id": 1}).sort([("filename", ASCENDING), ("_id", ASCENDING)])
        return next((place for place, other in enumerate(found) if other["_id"] == file.id), 0)

    def in_order(self, filename: str, direction: int, skip: int, limit: int, files: Documents) -> list[StoredFile]:
        """Return the versions at places *skip* to *skip + limit* of the total order, or of its reverse.

        :param files: the files collection to ask
        """
        found: list[StoredFile] = []
        stretches = [(UNDATED, self._by_id), (DATED, self._by_date)]
        for stretch, walk in stretches[::direction]:
            selection = {**named(filename), **stretch}
            if stretch is UNDATED and files.find_one(selection, {"_id": 1}) is None:
                continue  # as almost always: it saves a sort
            part = walk(selection, direction, skip, limit - len(found), files)
            found += part
            if len(found) == limit:
                break
            skip = max(0, skip - files.count_documents(selection)) if skip and not part else 0
        return found

    def _by_id(
        self, selection: Mapping[str, Any], direction: int, skip: int, limit: int, files: Documents
    ) -> list[StoredFile]:
        # All have the same name; without it the server might read all ids of the bucket.
        order = [("filename", ASCENDING), ("_id", direction)]
        found = files.find(selection).sort(order).skip(skip).limit(limit)
        return [self._stored(document, shares_second=True) for document in found]

    def _by_date(
        self, selection: Mapping[str, Any], direction: int, skip: int, limit: int, files: Documents
    ) -> list[StoredFile]:
        """In order of the upload date, then of the ``_id``.

        The index gives the order by date. Only documents whose dates are equal are sorted, by one query for each date.
        """
        lead = min(skip, 1)
        found = list(files.find(selection).sort("uploadDate", direction).skip(skip - lead).limit(lead + limit + 1))
        ordered: list[dict[str, Any]] = []
        place = 0
        for date, group in groupby(found, key=lambda document: document["uploadDate"]):
            tied = list(group)
            wanted = min(place + len(tied), lead + limit) - max(place, lead)
            if wanted > 0 and len(tied) > 1:
                first = 0
                if place == 0 and skip > 0:  # versions before *skip* may have this date, too
                    earlier = {**selection["uploadDate"], "$lt" if direction == ASCENDING else "$gt": date}
                    first = max(0, skip - files.count_documents({**selection, "uploadDate": earlier}))
                same_date = {**selection, "uploadDate": {"$eq": date, **NO_ARRAY}}
                ordered += files.find(same_date).sort("_id", direction).skip(first).limit(wanted)
            elif wanted > 0:
                ordered += tied
            place += len(tied)
        seconds = Counter(document["uploadDate"].replace(microsecond=0) for document in found)
        return [
            self._stored(document, shares_second=seconds[document["uploadDate"].replace(microsecond=0)] > 1)
            for document in ordered
        ]


def check_name(filename: Any) -> None:
    """Refuse a name that is not a str.

    :raises TypeError: if it is not
    """
    if not isinstance(filename, str):
        raise TypeError(f"filename must be str, not {type(filename).__name__}; an _id is given as id=")


def named(filename: str) -> dict[str, Any]:
    """A query for all versions of *filename*."""
    check_name(filename)
    return {"filename": {"$eq": filename, **NO_ARRAY}}

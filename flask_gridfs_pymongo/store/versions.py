"""The versions of a name in their order: the upload date, then ``_id``.

The order is total and the same for everybody: version 0 is the first one uploaded, -1 the newest::

    Versions(Collections(database)).find("notes.txt", -2)
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import OperationFailure

from .collections import Collections
from .model import StoredFile
from .retry import persist

_logger = logging.getLogger("flask_gridfs_pymongo")
T = TypeVar("T")


class Version(NamedTuple):
    """A revision and its number: 0 is the first one."""

    number: int
    file: StoredFile


class Versions:
    """Finds revisions in the files collection of a bucket."""

    def __init__(self, collections: Collections) -> None:
        self.collections = collections
        self._joins = True

    def find(self, filename: str, version: int = -1, *, first_chunk: bool = False) -> StoredFile | None:
        """Return a revision of *filename*: 0 the first, 1 the second, -1 the newest, -2 the one before it.

        :param first_chunk: the first chunk is going to be read: bring it along where that costs no further round trip
        """
        if version == -1 and first_chunk and (found := self._joined({"filename": filename})):
            return found
        if abs(version) >= 2**31:
            return None  # past what the server can skip
        direction, skip = (ASCENDING, version) if version >= 0 else (DESCENDING, -version - 1)
        return self._surely(lambda files: next(iter(self._in_order(filename, direction, skip, 1, files)), None))

    def get(self, file_id: ObjectId, *, first_chunk: bool = False) -> StoredFile | None:
        """Return the revision with this ``_id``; *first_chunk* as in :meth:`find`."""
        if first_chunk and (found := self._joined({"_id": file_id})):
            return found
        document = self._surely(lambda files: files.find_one({"_id": file_id}))
        return StoredFile.from_document(document) if document else None

    def newest(self, filename: str) -> StoredFile | None:
        """Return the newest revision as the primary knows it, for a writer to follow."""
        files = self.collections.primary.files
        found = persist(files, lambda: self._in_order(filename, DESCENDING, 0, 1, files))
        return found[0] if found else None

    def count(self, filename: str, **options: int) -> int:
        """Return how many revisions there are; *options* are ``count_documents``'s, such as ``limit``."""
        return int(self.collections.files.count_documents({"filename": filename}, **options))

    def number(self, file: StoredFile) -> int:
        """Return the number of *file* among the versions of its name: 0 is the first one."""
        same_date = {"uploadDate": file.upload_date, "_id": {"$gte": file.id}}
        not_before = {"filename": file.filename, "$or": [{"uploadDate": {"$gt": file.upload_date}}, same_date]}
        return self.count(file.filename) - int(self.collections.files.count_documents(not_before))

    def before(self, filename: str, number: int | None = None, limit: int = 100) -> list[Version]:
        """Return the *limit* revisions of *filename* before version *number* (None: the newest ones), newest first."""
        total = self.count(filename)
        top = total if number is None else max(0, min(number, total))
        first = max(0, top - limit)  # counted from the oldest: what is uploaded meanwhile changes no number
        found = self._in_order(filename, ASCENDING, first, top - first, self.collections.files) if top else []
        return [Version(first + place, file) for place, file in enumerate(found)][::-1]

    def up_to(self, newest: StoredFile) -> list[Any]:
        """Return the ``_id`` of *newest* and of every revision before it, the oldest first."""
        selection = {"filename": newest.filename, "uploadDate": {"$lte": newest.upload_date}}
        found = self.collections.files.find(selection, {"_id": 1}).sort("uploadDate", ASCENDING)
        return [document["_id"] for document in found]

    def _surely(self, ask: Callable[[Any], T | None]) -> T | None:
        """Ask; only the primary is believed that there is nothing."""
        found = ask(self.collections.files)
        return ask(self.collections.primary.files) if found is None and self.collections.may_lag else found

    def _joined(self, selection: dict[str, Any]) -> StoredFile | None:
        """The newest revision that matches and its first chunk, in one round trip; None: ask in plain queries.

        The document beside it comes along too: where their dates tie, plain queries sort it out.
        """
        if not self._joins:
            return None
        files, chunks = self.collections.files, self.collections.chunks
        by_date: list[dict[str, Any]] = [{"$match": selection}, {"$sort": {"uploadDate": DESCENDING}}]
        first_chunk = {
            "from": chunks.name,
            "localField": "_id",
            "foreignField": "files_id",
            "pipeline": [{"$match": {"n": 0}}],
            "as": "chunks",
        }
        beside = {"coll": files.name, "pipeline": [*by_date, {"$skip": 1}, {"$limit": 1}]}
        pipeline = [*by_date, {"$limit": 1}, {"$lookup": first_chunk}, {"$unionWith": beside}]
        try:
            found = list(files.aggregate(pipeline))
        except (NotImplementedError, OperationFailure) as error:  # mongomock; an older or a sharded server
            _logger.info("%s: first chunks are read on their own: %s", files.full_name, error)
            self._joins = False
            return None
        if not found or (len(found) == 2 and found[0].get("uploadDate") == found[1].get("uploadDate")):
            return None
        joined = found[0].pop("chunks")
        return StoredFile.from_document(found[0], first_chunk=joined[0]["data"] if joined else None)

    def _in_order(self, filename: str, direction: int, skip: int, limit: int, files: Any) -> list[StoredFile]:
        """The revisions at places *skip* to *skip + limit* of the total order: upload date, then ``_id``.

        The index gives the order by date. The neighbours tell where dates tie; only there the server sorts, and only
        the documents of that date.
        """
        lead = min(skip, 1)
        found = list(
            files.find({"filename": filename}).sort("uploadDate", direction).skip(skip - lead).limit(lead + limit + 1)
        )
        ordered: list[dict[str, Any]] = []
        place = 0
        for date, group in groupby(found, key=lambda document: document.get("uploadDate")):
            tied = list(group)
            wanted = min(place + len(tied), lead + limit) - max(place, lead)
            if wanted > 0 and len(tied) > 1:
                first = 0
                if place == 0 and skip > 0:  # the group may have begun before what was fetched
                    earlier = {"$lt" if direction == ASCENDING else "$gt": date}
                    first = max(0, skip - files.count_documents({"filename": filename, "uploadDate": earlier}))
                same_date = files.find({"filename": filename, "uploadDate": date}).sort("_id", direction)
                ordered += same_date.skip(first).limit(wanted)
            elif wanted > 0:
                ordered += tied
            place += len(tied)
        seconds = Counter(map(_second, found))
        return [
            StoredFile.from_document(document, shares_second=seconds[_second(document)] > 1) for document in ordered
        ]


def _second(document: Mapping[str, Any]) -> Any:
    date = document.get("uploadDate")
    return date.replace(microsecond=0) if isinstance(date, datetime) else date

"""The versions of a name in their order: those without a date, then by upload date, then by ``_id``.

The order is total and the same for everybody: version 0 is the first one uploaded, -1 the newest::

    Versions(Collections(database)).find("notes.txt", -2)
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import OperationFailure

from . import ids
from .collections import Collections
from .model import StoredFile, living, upload_date
from .retry import retry

_logger = logging.getLogger("flask_gridfs_pymongo")
T = TypeVar("T")
# What a server that lacks the join says; mongomock has no code. Other errors may pass.
_UNSUPPORTED = {
    None,
    9,  # FailedToParse, before MongoDB 5.0
    40324,  # an unknown stage
    40415,  # an unknown field
    28769,  # of a sharded collection
}
_IDS = 200_000  # in one batch: a cursor that stays open may lose its server
NO_ARRAY = {"$not": {"$type": "array"}}
"""for what is compared with a value: the server looks into arrays"""
CALENDAR = _FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""the first and the last date"""
DATED: dict[str, Any] = {"uploadDate": {"$gte": _FIRST, "$lte": _LAST, **NO_ARRAY}}
"""Revisions that have an upload date: a BSON date within the years 1 to 9999"""
# The rest. Each branch is a stretch of the index; $nor with the above would be a walk through all versions of a name.
UNDATED: dict[str, Any] = {
    "$or": [
        {"uploadDate": {"$not": {"$gte": _FIRST}}},
        {"uploadDate": {"$not": {"$lte": _LAST}}},
        {"uploadDate": {"$type": "array"}},
    ]
}


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

        What has expired is not there; where that is the newest one, the name is gone with all revisions.

        :param first_chunk: the first chunk is going to be read: fetch it too, where that costs no further round trip
        """
        if version == -1 and first_chunk and (found := self._joined({**_named(filename), **DATED})):
            return living(found)
        found = self._at(filename, version)
        if found is not None and version != -1 and living(self._at(filename, -1)) is None:
            return None
        return living(found)

    def _at(self, filename: str, version: int) -> StoredFile | None:
        if abs(version) >= 2**31:
            return None  # past what the server can skip
        direction, skip = (ASCENDING, version) if version >= 0 else (DESCENDING, -version - 1)
        return self._surely(lambda files: next(iter(self.in_order(filename, direction, skip, 1, files)), None))

    def get(self, file_id: Any, *, first_chunk: bool = False) -> StoredFile | None:
        """Return the revision with this ``_id``, of any type; *first_chunk* as in :meth:`find`."""
        selection = {"_id": {"$eq": file_id}}  # a value, though it may look like an operator
        if first_chunk and (found := self._joined(selection)):
            return living(found)
        document = self._surely(lambda files: files.find_one(selection))
        return living(self.stored(document)) if document else None

    def newest(self, filename: str, beside: Any = None) -> StoredFile | None:
        """Return the newest revision as the primary knows it, for a writer to follow, though it may have expired.

        :param beside: the ``_id`` of one that does not count
        """
        check_name(filename)
        files = self.collections.primary.files
        if beside is None:
            by_date = partial(files.find, {"filename": filename}, sort=[("uploadDate", DESCENDING)], limit=2)
            plain = retry(files, lambda: list(by_date()))
            if not plain or _is_plain(plain, filename):
                return self.stored(plain[0], shares_second=_share_second(plain)) if plain else None
        found = retry(files, lambda: self.in_order(filename, DESCENDING, 0, 1 if beside is None else 2, files))
        return next((file for file in found if beside is None or file.id != beside), None)

    def count(self, filename: str, limit: int = 0) -> int:
        """Return how many revisions there are, at most *limit*; 0: count all."""
        options = {"limit": limit} if limit else {}
        return int(self.collections.files.count_documents(_named(filename), **options))

    def number(self, file: StoredFile) -> int:
        """Return the number of *file* among the versions of its name: 0 is the first one."""
        files, name = self.collections.files, _named(file.filename)
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
        found = self.collections.files.find(selection, {"_id": 1}).sort([("filename", ASCENDING), ("_id", ASCENDING)])
        return next((place for place, other in enumerate(found) if other["_id"] == file.id), 0)

    def before(self, filename: str, number: int | None = None, limit: int = 100) -> list[Version]:
        """Return the *limit* revisions of *filename* before version *number* (None: the newest ones), newest first.

        Fewer where some of them have expired.
        """
        if living(self._at(filename, -1)) is None:
            return []
        total = self.count(filename)
        top = total if number is None else max(0, min(number, total))
        while top:
            first = max(0, top - limit)  # counted from the oldest: what is uploaded meanwhile changes no number
            found = self.in_order(filename, ASCENDING, first, top - first, self.collections.files)
            versions = [Version(first + place, file) for place, file in enumerate(found) if not file.expired]
            if versions:
                return versions[::-1]
            top = first
        return []

    def after(self, filename: str, newest: StoredFile | None) -> dict[str, Any]:
        """Return a query for the revisions of *filename* that come after *newest*; None: for all of them."""
        if newest is None:
            return _named(filename)
        dates = {**DATED["uploadDate"], "$gt": newest.upload_date} if newest.dated else DATED["uploadDate"]
        return {**_named(filename), "uploadDate": dates}

    def up_to(self, newest: StoredFile) -> list[Any]:
        """Return the ``_id`` of *newest* and of every revision of its name before it, the oldest first.

        Those that no query can ask for (:func:`.ids.is_utf8`) are left out.
        """
        return [document["_id"] for document in self.documents_up_to(newest)]

    def documents_up_to(self, newest: StoredFile, *more: str) -> list[dict[str, Any]]:
        """Return the documents of :meth:`up_to` with the fields ``filename``, ``uploadDate`` and *more*."""
        files, fields = self.collections.files, ["filename", "uploadDate", *more]
        by_date = partial(files.find, {"filename": newest.filename}, fields, sort=[("uploadDate", ASCENDING)])
        undated, dated = list[dict[str, Any]](), list[dict[str, Any]]()
        for found in retry(files, lambda: list(by_date(batch_size=_IDS))):
            if isinstance(found["filename"], list) or not ids.is_utf8(found["_id"]):
                continue  # the server looks into arrays
            if not isinstance(found.get("uploadDate"), datetime):
                undated.append(found)
            elif newest.dated and upload_date(found) <= newest.upload_date:
                dated.append(found)
        return undated + dated

    def stored(self, document: Mapping[str, Any], **more: Any) -> StoredFile:
        """Return what *document* means; one without a length is an empty file where it has no chunks.

        :param more: further arguments of :meth:`.StoredFile.from_document`
        """
        if "length" not in document and ids.is_utf8(document["_id"]):
            own = {"files_id": {"$eq": document["_id"]}}
            if self.collections.primary.chunks.find_one(own, {"_id": 1}) is None:
                document = {**document, "length": 0}
        return StoredFile.from_document(document, options=self.collections.codec_options, **more)

    def _surely(self, ask: Callable[[Any], T | None]) -> T | None:
        """Ask; only the primary is believed that there is nothing."""
        files, primary = self.collections.files, self.collections.primary.files
        found = retry(files, lambda: ask(files))
        return retry(primary, lambda: ask(primary)) if found is None and self.collections.may_lag else found

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
        found = retry(files, lambda: self._aggregated(files, pipeline))
        if not found or (len(found) == 2 and found[0].get("uploadDate") == found[1].get("uploadDate")):
            return None
        joined = found[0].pop("chunks")
        return self.stored(found[0], first_chunk=joined[0].get("data") if joined else None)

    def _aggregated(self, files: Any, pipeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the server answers; nothing where it refuses."""
        try:
            return list(files.aggregate(pipeline))
        except (NotImplementedError, OperationFailure) as error:
            if getattr(error, "code", None) in _UNSUPPORTED:
                _logger.info("%s: first chunks are read on their own: %a", files.full_name, str(error))
                self._joins = False
            return []

    def in_order(self, filename: str, direction: int, skip: int, limit: int, files: Any) -> list[StoredFile]:
        """Return the revisions at places *skip* to *skip + limit* of the total order, or of its reverse.

        :param files: the files collection to ask
        """
        found: list[StoredFile] = []
        stretches = [(UNDATED, self._by_id), (DATED, self._by_date)]
        for stretch, walk in stretches[::direction]:
            selection = {**_named(filename), **stretch}
            if stretch is UNDATED and files.find_one(selection, {"_id": 1}) is None:
                continue  # as almost always; the server would have to sort
            part = walk(selection, direction, skip, limit - len(found), files)
            found += part
            if len(found) == limit:
                break
            skip = max(0, skip - files.count_documents(selection)) if skip and not part else 0
        return found

    def _by_id(
        self, selection: Mapping[str, Any], direction: int, skip: int, limit: int, files: Any
    ) -> list[StoredFile]:
        # The name is the same for all; without it the server might walk along all ids of the bucket.
        order = [("filename", ASCENDING), ("_id", direction)]
        found = files.find(selection).sort(order).skip(skip).limit(limit)
        return [self.stored(document, shares_second=True) for document in found]

    def _by_date(
        self, selection: Mapping[str, Any], direction: int, skip: int, limit: int, files: Any
    ) -> list[StoredFile]:
        """In order of the upload date, then of the ``_id``.

        The index gives the order by date. The neighbours tell where dates tie; only there the server sorts, and only
        the documents of that date.
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
                if place == 0 and skip > 0:  # the group may have begun before what was fetched
                    earlier = {**selection["uploadDate"], "$lt" if direction == ASCENDING else "$gt": date}
                    first = max(0, skip - files.count_documents({**selection, "uploadDate": earlier}))
                same_date = {**selection, "uploadDate": {"$eq": date, **NO_ARRAY}}
                ordered += files.find(same_date).sort("_id", direction).skip(first).limit(wanted)
            elif wanted > 0:
                ordered += tied
            place += len(tied)
        seconds = Counter(document["uploadDate"].replace(microsecond=0) for document in found)
        return [
            self.stored(document, shares_second=seconds[document["uploadDate"].replace(microsecond=0)] > 1)
            for document in ordered
        ]


def check_name(filename: Any) -> None:
    """Refuse a name that is not a str.

    :raises TypeError: where it is none
    """
    if not isinstance(filename, str):
        raise TypeError(f"filename must be str, not {type(filename).__name__}; an _id is given as id=")


def _named(filename: str) -> dict[str, Any]:
    check_name(filename)
    return {"filename": {"$eq": filename, **NO_ARRAY}}


def _is_plain(found: list[dict[str, Any]], filename: str) -> bool:
    """Whether the first of *found*, the two that the server sorts last by date, is the newest without any doubt.

    It is not where one has an array in the place of its name or date, or no date, or where both have the same one.
    """
    dates = [document.get("uploadDate") for document in found]
    named = all(document["filename"] == filename for document in found)
    return named and all(isinstance(date, datetime) for date in dates) and len(set(dates)) == len(dates)


def _share_second(found: list[dict[str, Any]]) -> bool:
    seconds = [document["uploadDate"].replace(microsecond=0) for document in found]
    return len(seconds) > len(set(seconds))

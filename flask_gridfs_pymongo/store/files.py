"""Find, list, save and delete the files of one bucket."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import groupby
from threading import Semaphore
from typing import Any, NamedTuple, Protocol, TypeVar

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING, ReadPreference
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from .indexes import INDEXES
from .model import StoredFile
from .reader import Reader
from .retry import persist
from .writer import Writer

_logger = logging.getLogger("flask_gridfs_pymongo")
_READ_SIZE = 256 * 1024
T = TypeVar("T")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Version(NamedTuple):
    """A revision and its number: 0 is the first one."""

    number: int
    file: StoredFile


class FileStore:
    """One GridFS bucket.

    :param database: the database, of the driver or of mongomock
    :param base: the bucket's name; its collections are ``base.files`` and ``base.chunks``
    :param streams: how many exhaust cursors the client may still have open; None: use none
    """

    def __init__(self, database: Any, base: str = "fs", streams: Semaphore | None = None) -> None:
        self._streams = streams
        self._indexed = False
        self._joins = True
        options: dict[str, Any] = {}
        if isinstance(database.codec_options, CodecOptions):  # mongomock has its own, which need no change
            # A document class, naive dates or a lax write concern are the application's for its own collections.
            options["codec_options"] = database.codec_options.with_options(
                document_class=dict, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_CLAMP
            )
            options["write_concern"] = _durable(database.write_concern)
        self.files = database[f"{base}.files"].with_options(**options)
        self.chunks = database[f"{base}.chunks"].with_options(**options)
        self._primary = self.files
        if self.files.read_preference != ReadPreference.PRIMARY:  # a secondary may lag behind what a client just stored
            self._primary = self.files.with_options(read_preference=ReadPreference.PRIMARY)
            self.files = self.files.with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)

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

    def _surely(self, ask: Callable[[Any], T | None]) -> T | None:
        """Ask; only the primary is believed that there is nothing."""
        found = ask(self.files)
        return ask(self._primary) if found is None and self.files is not self._primary else found

    def _joined(self, selection: dict[str, Any]) -> StoredFile | None:
        """The newest revision that matches and its first chunk, in one round trip; None: ask in plain queries.

        The document beside it comes along too: where their dates tie, plain queries sort it out.
        """
        if not self._joins:
            return None
        by_date: list[dict[str, Any]] = [{"$match": selection}, {"$sort": {"uploadDate": DESCENDING}}]
        first_chunk = {
            "from": self.chunks.name,
            "localField": "_id",
            "foreignField": "files_id",
            "pipeline": [{"$match": {"n": 0}}],
            "as": "chunks",
        }
        beside = {"coll": self.files.name, "pipeline": [*by_date, {"$skip": 1}, {"$limit": 1}]}
        pipeline = [*by_date, {"$limit": 1}, {"$lookup": first_chunk}, {"$unionWith": beside}]
        try:
            found = list(self.files.aggregate(pipeline))
        except (NotImplementedError, OperationFailure) as error:  # mongomock; an older or a sharded server
            _logger.info("%s: first chunks are read on their own: %s", self.files.full_name, error)
            self._joins = False
            return None
        if not found or (len(found) == 2 and found[0].get("uploadDate") == found[1].get("uploadDate")):
            return None
        chunks = found[0]["chunks"]
        return StoredFile.from_document(found[0], first_chunk=chunks[0]["data"] if chunks else None)

    def newest(self, filename: str) -> StoredFile | None:
        """Return the newest revision as the primary knows it, for a writer to follow."""
        found = persist(self._primary, lambda: self._in_order(filename, DESCENDING, 0, 1, self._primary))
        return found[0] if found else None

    def count(self, filename: str, **options: int) -> int:
        """Return how many revisions there are; *options* are ``count_documents``'s, such as ``limit``."""
        return int(self.files.count_documents({"filename": filename}, **options))

    def versions(self, filename: str, before: int | None = None, limit: int = 100) -> list[Version]:
        """Return at most *limit* revisions of *filename*, newest first, from the one before number *before* on."""
        total = self.count(filename)
        top = total if before is None else max(0, min(before, total))
        first = max(0, top - limit)  # counted from the oldest: what is uploaded meanwhile changes no number
        found = self._in_order(filename, ASCENDING, first, top - first, self.files) if top else []
        return [Version(first + place, file) for place, file in enumerate(found)][::-1]

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

    def read(self, file: StoredFile, start: int = 0, stop: int | None = None) -> Reader:
        """Read the bytes *start* to *stop* (exclusive; the file's end where None)."""
        return Reader(self.chunks, file, start, file.length if stop is None else stop, self._streams)

    def writer(self, filename: str, max_size: int | None = None) -> Writer:
        """Begin an upload under *filename*."""
        self._ensure_indexes()
        return Writer(self, filename, max_size)

    def save(
        self,
        filename: str,
        source: _Readable | Iterable[bytes],
        *,
        content_type: str | None = None,
        fields: Mapping[str, Any] | None = None,
        max_size: int | None = None,
        check: Callable[[StoredFile | None], None] | None = None,
    ) -> StoredFile:
        """Save what *source* reads or yields as the newest version of *filename*; see :meth:`Writer.commit`."""
        with self.writer(filename, max_size) as writer:
            for block in _blocks(source):
                writer.write(block)
            return writer.commit(content_type, fields, check)

    def delete(self, file_id: Any) -> bool:
        """Delete one revision, its document first. Returns whether it was there."""
        deleted = self.files.delete_one({"_id": file_id}).deleted_count
        self.chunks.delete_many({"files_id": file_id})
        return bool(deleted)

    def delete_all(self, newest: StoredFile) -> int:
        """Delete *newest* and every older revision of its name; returns how many.

        What was uploaded since the caller looked is newer, and stays.
        """
        old = {"filename": newest.filename, "uploadDate": {"$lte": newest.upload_date}}
        ids = [found["_id"] for found in self.files.find(old, {"_id": 1}).sort("uploadDate", ASCENDING)]
        return sum(self.delete(file_id) for file_id in ids)

    def _ensure_indexes(self) -> None:
        if self._indexed:
            return
        for kind, keys, options in INDEXES:
            collection = self.files if kind == "files" else self.chunks
            try:
                persist(collection, partial(collection.create_index, keys, **options))
            except OperationFailure as error:
                _logger.warning("%s: cannot create the index %s: %s", collection.full_name, keys, error)
        self._indexed = True


def _second(document: Mapping[str, Any]) -> Any:
    date = document.get("uploadDate")
    return date.replace(microsecond=0) if isinstance(date, datetime) else date


def _durable(concern: WriteConcern) -> WriteConcern:
    """The application's write concern where it is an acknowledged one, else ``majority``."""
    return concern if concern.document.get("w") else WriteConcern(**{**concern.document, "w": "majority"})


def _blocks(source: _Readable | Iterable[bytes]) -> Iterator[bytes]:
    if not hasattr(source, "read"):
        yield from source
        return
    while block := source.read(_READ_SIZE):
        yield block

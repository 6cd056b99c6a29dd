"""The collections of a bucket, with the options that the package needs, and their indexes.

::

    collections = Collections(client["shop"], "fs")
    collections.files.find_one({"filename": "notes.txt"})
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple

import pymongo
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions, DatetimeConversion
from pymongo import ASCENDING, IndexModel, ReadPreference
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from .retry import reason, retry

_PATIENCE = 10  # seconds, for a write's majority and for an index
_NO_QUORUM = (2, 9, 40415)  # of a standalone, and of servers before MongoDB 4.4
_logger = logging.getLogger("flask_gridfs_pymongo")


class Index(NamedTuple):
    """An index that a bucket has."""

    collection: Literal["files", "chunks", "uploads", "variants"]
    keys: list[tuple[str, int]]
    options: dict[str, Any]


WITH_PREVIOUS = {"previous": {"$exists": True}}
INDEXES = (
    Index("files", [("filename", ASCENDING), ("uploadDate", ASCENDING)], {}),
    Index("chunks", [("files_id", ASCENDING), ("n", ASCENDING)], {"unique": True}),
    Index("files", [("previous", ASCENDING)], {"unique": True, "partialFilterExpression": WITH_PREVIOUS}),
)
"""The two that the GridFS specification names, and the one that orders our writers"""


class Primary(NamedTuple):
    """The collections as the primary knows them: a secondary may lag."""

    files: Any
    chunks: Any


class Collections:
    """``base.files`` and ``base.chunks``, and what the package keeps beside them.

    :param database: the database, of the driver or of mongomock
    :param base: the bucket's name
    """

    def __init__(self, database: Any, base: str = "fs") -> None:
        options: dict[str, Any] = {}
        self.codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS
        if isinstance(database.codec_options, CodecOptions):  # mongomock has its own, which need no change
            # A document class, naive dates or a lax write concern are the application's for its own collections.
            # A date or a text that Python cannot hold must not keep the whole batch from being read.
            options["codec_options"] = self.codec_options = database.codec_options.with_options(
                document_class=dict,
                tz_aware=True,
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                unicode_decode_error_handler="surrogateescape",
            )
            options["write_concern"] = _durable(database.write_concern)
        self.name = f"{database.name}.{base}"
        self.files = database[f"{base}.files"].with_options(**options)
        self.chunks = database[f"{base}.chunks"].with_options(**options)
        primary = ReadPreference.PRIMARY
        self.uploads = database[f"{base}.uploads"].with_options(**options, read_preference=primary)
        """uploads that go on (:mod:`.uploads`)"""
        self.variants = database[f"{base}.variants"].with_options(**options, read_preference=primary)
        """pictures made of files (:mod:`.variants`)"""
        self.dav = database[f"{base}.dav"].with_options(**options, read_preference=primary)
        """what WebDAV has beside files (:mod:`.dav`)"""
        self.primary = Primary(
            self.files.with_options(read_preference=primary), self.chunks.with_options(read_preference=primary)
        )
        self.may_lag = self.files.read_preference != primary
        """whether a read may go to a secondary"""
        if self.may_lag:
            self.files = self.files.with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)
        self._indexes: Set[str] | None = None  # of the files, after they were created

    def of(self, index: Index) -> Any:
        """The collection that *index* belongs to, as the primary knows it."""
        beside = {"uploads": self.uploads, "variants": self.variants}
        return {**self.primary._asdict(), **beside}[index.collection]

    def check_reachable(self, seconds: float) -> None:
        """Ask the database for a sign of life.

        :raises pymongo.errors.PyMongoError: where none comes within so many *seconds*
        """
        with pymongo.timeout(seconds):
            self.files.database.command("ping", read_preference=self.files.read_preference)

    def delete_chunks(self, ids: Sequence[Any]) -> None:
        """Delete the chunks of files that have no document; where that fails they are left to ``flask gridfs check``.

        Nobody sees them, so that no majority has to confirm it.
        """
        chunks = self.chunks.with_options(write_concern=WriteConcern(w=1))
        try:
            retry(chunks, lambda: chunks.delete_many({"files_id": {"$in": ids}}))
        except PyMongoError as error:
            _logger.warning("%s: the chunks of %s stay behind without a file: %a", chunks.full_name, ids, reason(error))

    def ensure_indexes(self) -> None:
        """Create the :data:`INDEXES` where they are missing, also after somebody dropped the bucket.

        A request does not wait long for them: a server's refusal, and an index that takes longer than ten seconds, are
        a warning in the log, once.
        """
        files = self.primary.files
        there = retry(files, files.index_information).keys()
        if self._indexes is not None and self._indexes <= there:
            return
        deadline = time.monotonic() + _PATIENCE
        for index in INDEXES:
            left = max(deadline - time.monotonic(), 0.001)
            error = create_index(self.of(index), index, left)
            if error and index_problem(self.of(index).index_information(), index):  # not there under another name
                _logger.warning("%s: cannot create the index %s: %a", self.of(index).full_name, index.keys, error)
        self._indexes = set(retry(files, files.index_information))


def index_problem(there: Mapping[str, Any], index: Index) -> str | None:
    """What is wrong with *index* among those that are *there* (``index_information()``)."""
    same = [found for found in there.values() if found["key"] == index.keys]
    strict = [found for found in same if found.get("unique", False) >= index.options.get("unique", False)]
    narrowing = ("partialFilterExpression", "sparse", "collation")
    if any(all(found.get(name) == index.options.get(name) for name in narrowing) for found in strict):
        return None
    return "other options" if same else "missing"


def create_index(collection: Any, index: Index, seconds: float | None = _PATIENCE) -> str:
    """Create an index; returns why the server refuses, or an empty string.

    On a replica set it waits for a majority: by default MongoDB waits for every voting member, also for one that is
    dead (SERVER-65670).

    :param seconds: after which the server gives up; None: never
    """
    model = IndexModel(index.keys, **index.options)
    limit = {} if seconds is None else {"maxTimeMS": max(1, int(seconds * 1000))}

    def create() -> str:
        try:
            try:
                collection.create_indexes([model], commitQuorum="majority", **limit)
            except TypeError:  # mongomock
                collection.create_index(index.keys, **index.options)
            except OperationFailure as error:
                if error.code not in _NO_QUORUM:
                    raise
                collection.create_indexes([model], **limit)
        except OperationFailure as error:
            return reason(error)
        return ""

    return retry(collection, create)


def _durable(concern: WriteConcern) -> WriteConcern:
    """The application's write concern where it is an acknowledged one, else ``majority``; with an end to the wait."""
    document = {"wtimeout": _PATIENCE * 1000, **concern.document}
    return WriteConcern(**{**document, "w": document.get("w") or "majority"})

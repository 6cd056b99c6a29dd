"""The two collections of a bucket, with the options that the package needs, and their indexes.

::

    collections = Collections(client["shop"], "fs")
    collections.files.find_one({"filename": "notes.txt"})
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions, DatetimeConversion
from pymongo import ASCENDING, ReadPreference
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from .retry import persist

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
    """``base.files`` and ``base.chunks``.

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
        """uploads that go on (:mod:`.resumable`)"""
        self.variants = database[f"{base}.variants"].with_options(**options, read_preference=primary)
        """pictures made of files (:mod:`.variants`)"""
        self.primary = Primary(
            self.files.with_options(read_preference=primary), self.chunks.with_options(read_preference=primary)
        )
        self.may_lag = self.files.read_preference != primary
        """whether a read may go to a secondary"""
        if self.may_lag:
            self.files = self.files.with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)
        self._indexed = False

    def of(self, index: Index) -> Any:
        """The collection that *index* belongs to, as the primary knows it."""
        beside = {"uploads": self.uploads, "variants": self.variants}
        return {**self.primary._asdict(), **beside}[index.collection]

    def ensure_indexes(self) -> None:
        """Create the :data:`INDEXES`, once in the life of this object; a server's refusal is a warning."""
        if self._indexed:
            return
        for index in INDEXES:
            collection = self.of(index)
            if error := create_index(collection, index):
                _logger.warning("%s: cannot create the index %s: %s", collection.full_name, index.keys, error)
        self._indexed = True


def index_problem(there: Mapping[str, Any], index: Index) -> str | None:
    """What is wrong with *index* among those that are *there* (``index_information()``)."""
    same = [found for found in there.values() if found["key"] == index.keys]
    strict = [found for found in same if found.get("unique", False) >= index.options.get("unique", False)]
    narrowing = ("partialFilterExpression", "sparse", "collation")
    if any(all(found.get(name) == index.options.get(name) for name in narrowing) for found in strict):
        return None
    return "other options" if same else "missing"


def create_index(collection: Any, index: Index) -> str:
    """Create an index; returns why the server refuses, or an empty string."""
    try:
        persist(collection, partial(collection.create_index, index.keys, **index.options))
    except OperationFailure as error:
        return str(error).partition(", full error")[0]
    return ""


def _durable(concern: WriteConcern) -> WriteConcern:
    """The application's write concern where it is an acknowledged one, else ``majority``."""
    return concern if concern.document.get("w") else WriteConcern(**{**concern.document, "w": "majority"})

"""The collections of a bucket, with the options that the package needs.

::

    collections = Collections(client["shop"], "fs")
    collections.files.find_one({"filename": "notes.txt"})
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import pymongo
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions, DatetimeConversion
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from .clock import Clock
from .indexes import Index, Indexes
from .retry import is_reachable, reason, retry

_WRITE_TIMEOUT = 10  # seconds for a write's majority
_logger = logging.getLogger("flask_gridfs_pymongo")


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
        self.codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS.with_options(tz_aware=True)
        self._is_mock = not isinstance(database.codec_options, CodecOptions)
        if not self._is_mock:  # mongomock has its own, which need no change
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
        """resumable uploads (:mod:`.uploads`)"""
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
        self.indexes = Indexes(self.of)
        self.clock = Clock(self.primary.files)

    @property
    def is_replicated(self) -> bool:
        """Whether the server tells its time with each write, as members of a replica set and mongos do."""
        if self._is_mock:
            return False
        return self.files.database.client.topology_description.topology_type_name not in ("Unknown", "Single")

    def of(self, index: Index) -> Any:
        """The collection that *index* belongs to, as the primary knows it."""
        beside = {"uploads": self.uploads, "variants": self.variants}
        return {**self.primary._asdict(), **beside}[index.collection]

    def check_reachable(self, seconds: float) -> None:
        """Ask the database for a sign of life, if the driver knows no server that can answer.

        :raises pymongo.errors.PyMongoError: if none comes within so many *seconds*
        """
        if self._is_mock or is_reachable(self.files):
            return
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


def _durable(concern: WriteConcern) -> WriteConcern:
    """The application's write concern where it is an acknowledged one, else ``majority``; with an end to the wait."""
    document = {"wtimeout": _WRITE_TIMEOUT * 1000, **concern.document}
    return WriteConcern(**{**document, "w": document.get("w") or "majority"})

"""The collections of a bucket, with the options that the package needs.

::

    collections = Collections(client["shop"], "fs")
    collections.files.find_one({"filename": "notes.txt"})
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import bson
import pymongo
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions, DatetimeConversion
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from pymongo.write_concern import WriteConcern

from .clock import Clock
from .indexes import INDEXES, TRASH, Index, Indexes
from .retry import is_reachable, reason, retry

if TYPE_CHECKING:
    from ..cache.disk import Disk

_WRITE_TIMEOUT = 20  # seconds that a write waits for its majority: after an election it may take more than ten
_PING = 0.8  # seconds
_logger = logging.getLogger("flask_gridfs_pymongo")
_reached: WeakSet[MongoClient[Any]] = WeakSet()  # the clients that have found a server once


Documents = Collection[dict[str, Any]]


class Primary(NamedTuple):
    """The GridFS collections, read from the primary, as a secondary may lag."""

    files: Documents
    chunks: Documents


class Collections:
    """``base.files`` and ``base.chunks``, and the package's own collections; see :class:`.Bucket`."""

    def __init__(self, database: Any, base: str = "fs", disk: Disk | None = None, trash: int = 0) -> None:
        options: dict[str, Any] = {}
        self.codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS.with_options(tz_aware=True)
        self._is_mock = not isinstance(database.codec_options, CodecOptions)
        if not self._is_mock:  # mongomock needs no options
            # The application's document class and naive dates are for its own collections. A date or text that Python
            # cannot represent must not make a whole batch unreadable.
            options["codec_options"] = self.codec_options = database.codec_options.with_options(
                document_class=dict,
                tz_aware=True,
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                unicode_decode_error_handler="surrogateescape",
            )
            options["write_concern"] = _durable(database.write_concern)
        self.name, self.disk, self.trash = f"{database.name}.{base}", disk, trash
        self.files: Documents = database[f"{base}.files"].with_options(**options)
        self.chunks: Documents = database[f"{base}.chunks"].with_options(**options)
        primary = ReadPreference.PRIMARY
        self.uploads: Documents = database[f"{base}.uploads"].with_options(**options, read_preference=primary)
        """resumable uploads (:mod:`.uploads`)"""
        self.variants: Documents = database[f"{base}.variants"].with_options(**options, read_preference=primary)
        """variants of pictures (:mod:`.variants`)"""
        self.dav: Documents = database[f"{base}.dav"].with_options(**options, read_preference=primary)
        """locks, properties and empty folders of the network drive (:mod:`.dav`)"""
        self.links: Documents = database[f"{base}.links"].with_options(**options, read_preference=primary)
        """links for uploading and sharing without a login (:mod:`.links`)"""
        self.primary = Primary(
            self.files.with_options(read_preference=primary), self.chunks.with_options(read_preference=primary)
        )
        self.may_lag = self.files.read_preference != primary
        """whether reads may go to a secondary"""
        if self.may_lag:
            self.files = self.files.with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)
        self.indexes = Indexes(self.of, (*INDEXES, TRASH) if trash else INDEXES)
        self.clock = Clock(self.primary.files)

    def owner(self, file_id: Any) -> str:
        """Return what the file cache calls the file with this ``_id``."""
        return f"{self.name} {file_id!a}"

    def as_read(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return *document* as it is read once it is stored: dates in UTC to the millisecond, lists for tuples."""
        if self._is_mock:
            return dict(document)
        options = self.codec_options
        return bson.decode(bson.encode(document, codec_options=options), codec_options=options)

    @property
    def is_replicated(self) -> bool:
        """Whether the server returns its time with each write, as replica sets and mongos do."""
        if self._is_mock:
            return False
        return self.files.database.client.topology_description.topology_type_name not in ("Unknown", "Single")

    def of(self, index: Index) -> Documents:
        """Return the collection that *index* belongs to, read from the primary."""
        found: Documents = getattr(self.primary if index.collection in Primary._fields else self, index.collection)
        return found

    def check_reachable(self, *, once: bool = False) -> None:
        """Ping the database if the driver knows no server that can answer.

        :param once: only if this client has never reached one: there is nothing to wait for
        :raises pymongo.errors.PyMongoError: if no server is found within a second
        """
        client = self.files.database.client
        if self._is_mock or (once and client in _reached):
            return
        if not is_reachable(self.files):
            try:
                with pymongo.timeout(_PING):
                    self.files.database.command("ping", read_preference=self.files.read_preference)
            except ServerSelectionTimeoutError:
                raise
            except PyMongoError:
                pass  # it is there, but slow or lost just now: the operation itself has time for that
        _reached.add(client)

    def delete_chunks(self, ids: Sequence[Any]) -> None:
        """Delete the chunks of files without a document; after an error they are left to ``flask gridfs check``.

        As nobody sees these chunks, no majority has to confirm the deletion.
        """
        if self.disk is not None:
            for file_id in ids:
                self.disk.forget(self.owner(file_id))
        chunks = self.chunks.with_options(write_concern=WriteConcern(w=1))
        try:
            retry(chunks, lambda: chunks.delete_many({"files_id": {"$in": ids}}))
        except PyMongoError as error:
            _logger.warning(
                "%s: could not delete the chunks of %s, which have no file: %a", chunks.full_name, ids, reason(error)
            )


def _durable(concern: WriteConcern) -> WriteConcern:
    """Return the application's write concern with a timeout; ``majority`` in place of an unacknowledged one."""
    document = {"wtimeout": _WRITE_TIMEOUT * 1000, **concern.document}
    return WriteConcern(**{**document, "w": document.get("w") or "majority"})

"""Files documents, each with its first chunk if that takes no further round trip: joined, or from memory.

::

    documents = DocumentFinder(collections, Memory(16 * 1024 * 1024))
    found = documents.find(collections.files, {"filename": "notes.txt"}, True)
    documents.file({"filename": "notes.txt"}, found[0]).first_chunk
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pymongo import DESCENDING
from pymongo.errors import OperationFailure

from ..cache import Memory
from . import ids
from .collections import Collections, Documents
from .model import StoredFile

_logger = logging.getLogger("flask_gridfs_pymongo")
NEWEST_FIRST = [("uploadDate", DESCENDING)]
_CHUNK = "first chunk, joined"  # a field that no document has
# Codes of servers that cannot join so; mongomock has no code. Other errors may be temporary.
_UNSUPPORTED = {
    None,
    9,  # FailedToParse, before MongoDB 5.0
    40324,  # an unknown stage
    40415,  # an unknown field
    28769,  # of a sharded collection
}


class _Kept(NamedTuple):
    """The whole content of a small file, with the entity tag of its version."""

    etag: str
    data: bytes


class DocumentFinder:
    """Finds files documents, and makes versions of them.

    :param memory: keeps the content of small files
    """

    def __init__(self, collections: Collections, memory: Memory) -> None:
        self._collections, self._memory = collections, memory
        self._joins = True

    def find(
        self,
        files: Documents,
        selection: dict[str, Any],
        first_chunk: bool,
        order: list[tuple[str, int]] | None = NEWEST_FIRST,
    ) -> list[dict[str, Any]]:
        """Return the first two documents that match; *first_chunk*: with that of the first, if kept or joined."""
        if first_chunk and (kept := self._memory.get(self._key(selection))):
            found = list(files.find(selection, sort=order, limit=2))
            return [{**document, _CHUNK: kept} for document in found[:1]] + found[1:]
        if first_chunk and self._joins:
            sort = [{"$sort": dict(order)}] if order else []
            first = {
                "from": self._collections.chunks.name,
                "localField": "_id",
                "foreignField": "files_id",
                "pipeline": [{"$match": {"n": 0}}],
                "as": _CHUNK,
            }
            try:
                return list(files.aggregate([{"$match": selection}, *sort, {"$limit": 2}, {"$lookup": first}]))
            except (NotImplementedError, OperationFailure) as error:
                if getattr(error, "code", None) in _UNSUPPORTED:
                    _logger.info("%s: first chunks are read on their own: %a", files.full_name, str(error))
                    self._joins = False
        return list(files.find(selection, sort=order, limit=2))

    def file(self, selection: dict[str, Any], document: dict[str, Any], **more: Any) -> StoredFile:
        """Return the version that :meth:`find` found first, with its first chunk if :meth:`find` returned that, too."""
        found = document.pop(_CHUNK, None)
        if not isinstance(found, _Kept):
            data = found[0].get("data") if found else None
            file = self.stored(document, first_chunk=data, **more)
            if isinstance(data, bytes) and len(data) == file.length:
                self._memory.put(self._key(selection), _Kept(file.etag, data), len(data))
            return file
        file = self.stored(document, first_chunk=found.data, **more)
        if file.etag == found.etag:
            return file
        self._memory.drop(self._key(selection))
        return replace(file, first_chunk=None)

    def _key(self, selection: dict[str, Any]) -> tuple[str, str]:
        return self._collections.name, repr(selection)

    def stored(self, document: Mapping[str, Any], **more: Any) -> StoredFile:
        """Return the version of *document*; one without a length is an empty file if it has no chunks.

        :param more: further arguments of :meth:`.StoredFile.from_document`
        """
        if "length" not in document and ids.is_utf8(document["_id"]):
            own = {"files_id": {"$eq": document["_id"]}}
            if self._collections.primary.chunks.find_one(own, {"_id": 1}) is None:
                document = {**document, "length": 0}
        options, now = self._collections.codec_options, self._collections.clock.now
        return StoredFile.from_document(document, options=options, now=now, **more)

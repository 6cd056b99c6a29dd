"""Variants of pictures, stored in ``base.variants``.

Each is a single document that contains the bytes, so that a TTL index can delete those that are no longer used. A
missing variant is made again::

    bucket.variants.put("5d41402a", file.id, StoredVariant("image/webp", data))
    bucket.variants.get("5d41402a")
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from pymongo import ASCENDING
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from ..images import TYPES
from .collections import Collections
from .indexes import Index
from .model import StoredFile
from .retry import reason, retry

UNUSED_TTL = timedelta(days=30)
"""how long a variant is kept after its last use"""
VARIANT_INDEXES = (
    Index("variants", [("used", ASCENDING)], {"expireAfterSeconds": int(UNUSED_TTL.total_seconds())}),
    Index("variants", [("file", ASCENDING)], {}),
)
_NOTE_PERIOD = timedelta(days=1)
_MAX_VARIANT_BYTES = 15 * 1024 * 1024  # bytes; a document has at most 16 MiB
_logger = logging.getLogger("flask_gridfs_pymongo")


class StoredVariant(NamedTuple):
    """A stored variant."""

    content_type: str
    data: bytes


class FailedVariant(NamedTuple):
    """That a variant could not be made."""

    reason: str
    maker: str
    """which decoder and limits this is true of"""
    times: int = 1
    most: int = 0
    """the limit that was exceeded"""


class Variants:
    """The stored variants of one bucket."""

    def __init__(self, collections: Collections) -> None:
        # Variants can be made again, so a majority need not have them.
        self._collection = collections.variants.with_options(write_concern=WriteConcern(w=1))
        self._files = collections.primary.files
        self._indexes, self._clock = collections.indexes, collections.clock

    def get(self, tag: str, *, note: bool = True) -> StoredVariant | FailedVariant | None:
        """Return the variant with this tag, or how it failed, or None.

        :param note: whether to record, once a day, that it is used
        """
        found = None
        with self._logged():
            found = retry(self._collection, lambda: self._collection.find_one({"_id": tag}))
        if found is None:
            return None
        now = self._clock.now()
        if note and found["used"] < now - _NOTE_PERIOD:
            with self._logged():
                self._collection.update_one({"_id": tag}, {"$set": {"used": now}})
        if failed := found.get("failed"):
            return FailedVariant(**failed)
        return StoredVariant(found["contentType"], found["data"])

    def put(self, tag: str, file_id: Any, variant: StoredVariant | FailedVariant) -> None:
        """Store a variant of the file *file_id*, or that it failed."""
        if isinstance(variant, FailedVariant):
            made: dict[str, Any] = {"failed": variant._asdict()}
        elif len(variant.data) > _MAX_VARIANT_BYTES:
            return
        else:
            made = {"contentType": variant.content_type, "data": variant.data}
        fields = {"file": file_id, "used": self._clock.now(), **made}
        with self._logged():
            self._indexes.ensure(VARIANT_INDEXES)
            self._collection.replace_one({"_id": tag}, fields, upsert=True)
            if not self._exists(file_id):  # it was deleted meanwhile
                self.forget(file_id)

    def measured(self, file: StoredFile, pixels: tuple[int, int]) -> None:
        """Store the width and height of a picture that other tools stored without them."""
        if file.pixels is None:
            with self._logged():
                self._files.update_one({"_id": {"$eq": file.id}}, {"$set": {"pictureSize": list(pixels)}})

    def forget(self, *file_ids: Any) -> None:
        """Delete the variants of files; errors are only logged."""
        with self._logged():
            self._collection.delete_many({"file": {"$in": file_ids}})

    @staticmethod
    def may_exist(document: Mapping[str, Any]) -> bool:
        """Whether a file may have variants, by the type in its document."""
        return StoredFile.from_document(document).content_type.partition(";")[0].strip().lower() in TYPES

    def count(self, file_id: Any) -> int:
        """Return the number of variants of a file."""
        own = {"file": {"$eq": file_id}}
        return int(retry(self._collection, lambda: self._collection.count_documents(own)))

    def unowned(self) -> Iterator[Any]:
        """Yield the ``_id`` of each deleted file that still has variants."""
        grouped: list[dict[str, Any]] = [{"$sort": {"file": 1}}, {"$group": {"_id": "$file"}}]
        with retry(self._collection, lambda: self._collection.aggregate(grouped, allowDiskUse=True)) as found:
            for group in found:
                if not self._exists(group["_id"]):
                    yield group["_id"]

    def _exists(self, file_id: Any) -> bool:
        own = {"_id": {"$eq": file_id}}
        return retry(self._files, lambda: self._files.find_one(own, {"_id": 1})) is not None

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Log errors of the database: requests succeed without stored variants."""
        try:
            yield
        except PyMongoError as error:
            _logger.warning("%s: %a", self._collection.full_name, reason(error))

"""Resumable uploads: they continue where they stopped, in any process and on any machine.

An upload is a document in ``base.uploads``, which has the number of bytes that are stored (its offset) and the epoch of
its lease. There are no other locks, and nothing to release after a crash::

    upload = bucket.uploads.create("film.mp4", 3_000_000)
    with bucket.uploads.open_for_append(upload) as writer:
        writer.write(beginning)
    ...
    with bucket.uploads.open_for_append(bucket.uploads.find(upload.token)) as writer:
        writer.write(film[writer.offset :])
        completion.finish(writer)

Only whole chunks go to ``base.chunks``; the document keeps the bytes that do not fill one yet as its *tail*. A single
update, which fails after the lease is lost, changes offset and tail: an offset that a client has seen never goes back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bson.objectid import ObjectId
from pymongo import ASCENDING

from ..clock import aware
from ..indexes import INDEXES, PLACES, Index
from ..retry import retry
from ..versions import Versions
from ..writing.claims import Claims
from ..writing.pipeline import Digest
from .append import UploadWriter
from .lease import GIVEN_BACK, Lease

UPLOAD_TTL = 86_400
"""seconds after its last byte in which an upload can be resumed"""
_TERMINATED_FOR = timedelta(minutes=10)
_DIGESTS = 100  # uploads whose digest this process remembers
_STATES = ["open", "stored", "gone"]
_FIELDS = {"tail": 0}  # only a writer needs it
_INDEXES = (
    Index("uploads", [("token", ASCENDING)], {"unique": True}),
    Index("uploads", [("state", ASCENDING), ("expires", ASCENDING)], {}),
)


@dataclass(frozen=True)
class Upload:
    """An upload, as its document describes it."""

    id: ObjectId
    """of the future file"""
    filename: str
    length: int | None
    """bytes; None if it is not known yet"""
    offset: int
    """bytes that are stored"""
    expires: datetime
    """in UTC"""
    lifetime: float
    """seconds after its last byte"""
    state: str
    """``open``, ``stored``, or ``gone`` if it was terminated or expired"""
    ended: bool
    """whether it was stored or terminated before it expired"""
    details: Mapping[str, Any]
    """what :meth:`ResumableUploads.create` was given"""
    leased: bool
    """whether a request may be appending to it"""
    token: str = field(default="", compare=False, repr=False)
    """for :meth:`ResumableUploads.find`; only :meth:`~ResumableUploads.create` returns it: the database has its hash"""


class _Known(NamedTuple):
    """The digest of the bytes before an offset, valid until another process acquires a lease."""

    epoch: int
    offset: int
    digest: Digest


class ResumableUploads:
    """The unfinished uploads of one bucket."""

    def __init__(self, versions: Versions, claims: Claims) -> None:
        self._versions, self._claims = versions, claims
        self.collection, self._clock = versions.collections.uploads, versions.collections.clock
        self._known: dict[ObjectId, _Known] = {}

    def create(
        self,
        filename: str,
        length: int | None,
        *,
        lifetime: float = UPLOAD_TTL,
        details: Mapping[str, Any] | None = None,
        owner: str | None = None,
    ) -> Upload:
        """Begin an upload; :meth:`find` finds it by its :attr:`Upload.token`.

        :param length: bytes; None if it is not known yet
        :param lifetime: seconds after its last byte, in which it can be resumed
        :param details: for :attr:`Upload.details`
        :param owner: the client, for :meth:`count`
        :raises Unsupported: if the unique index of the chunks is missing
        """
        self._ensure_indexes()
        now, token = self._clock.now(), secrets.token_urlsafe(16)
        document = {
            "_id": ObjectId(),
            "token": _hashed(token),
            "filename": filename,
            "length": length,
            "offset": 0,
            "tail": b"",
            "epoch": 0,
            "state": "open",
            "busy": GIVEN_BACK,
            "expires": now + timedelta(seconds=lifetime),
            "lifetime": lifetime,
            "details": dict(details or {}),
            "owner": owner,
        }
        own = {"_id": document["_id"]}
        retry(
            self.collection,
            lambda: self.collection.insert_one(document),
            on_retry=lambda: self.collection.replace_one(own, document, upsert=True),
        )
        return replace(_upload(document, now), token=token)

    def count(self, limit: int, owner: str | None = None) -> int:
        """Return how many uploads can be resumed, at most *limit*; if they were terminated at once, they count too.

        :param owner: count those of one client
        """
        now = self._clock.now()
        resumable = {"state": "open", "expires": {"$gt": now}}
        terminated = {"state": "gone", "_id": {"$gt": ObjectId.from_datetime(now - _TERMINATED_FOR)}}
        own = {} if owner is None else {"owner": owner}
        counted = {"$or": [resumable, terminated], **own}
        return int(retry(self.collection, lambda: self.collection.count_documents(counted, limit=limit)))

    def find(self, token: str) -> Upload | None:
        """Return the upload with this *token*, or None."""
        document = retry(self.collection, lambda: self.collection.find_one({"token": _hashed(token)}, _FIELDS))
        return _upload(document, self._clock.now()) if document else None

    def get(self, upload_id: ObjectId) -> Upload | None:
        """Return the upload of the future file with this ``_id``, or None."""
        document = retry(self.collection, lambda: self.collection.find_one({"_id": upload_id}, _FIELDS))
        return _upload(document, self._clock.now()) if document else None

    @contextmanager
    def open_for_append(
        self, upload: Upload, *, limit: int | None = None, checked: bool = False
    ) -> Iterator[UploadWriter]:
        """Acquire the lease, also from a holder that has received no byte for :data:`.LEASE_TTL` seconds.

        :param limit: bytes, if the upload has no length
        :param checked: as in :class:`.UploadWriter`
        :raises UploadBusy: if another request keeps the lease
        :raises UploadEnded: if the upload is not open
        :raises Unsupported: if the unique index of the chunks is missing: without it, bytes could be lost
        """
        self._ensure_indexes()
        lease, document = Lease.acquire(self.collection, upload.id, self._clock)
        known = self._known.pop(upload.id, None)
        digest = None
        if document["offset"] == 0:
            digest = Digest()
        elif known is not None and (known.epoch + 1, known.offset) == (document["epoch"], document["offset"]):
            digest = known.digest
        limit = limit if document["length"] is None else document["length"]
        writer = UploadWriter(lease, self._versions, self._claims, document, digest, limit=limit, checked=checked)
        try:
            with writer:
                yield writer
        finally:
            if writer.saved and writer.digest is not None:
                self._remember(_Known(lease.epoch, writer.offset, writer.digest), upload.id)

    def _ensure_indexes(self) -> None:
        indexes = self._versions.collections.indexes
        indexes.ensure((*INDEXES, *_INDEXES))
        indexes.require(PLACES)

    def _remember(self, known: _Known, upload_id: ObjectId) -> None:
        while len(self._known) >= _DIGESTS:
            self._known.pop(next(iter(self._known), upload_id), None)
        self._known[upload_id] = known

    def forget(self, upload: Upload) -> None:
        """Mark a stored upload as gone; its file stays."""
        stored = {"_id": upload.id, "state": "stored"}
        retry(self.collection, lambda: self.collection.update_one(stored, {"$set": {"state": "gone"}}))

    def clear(self, upload: Upload) -> None:
        """Remove what is left of the bytes of an upload that was terminated, as its end may have broken off."""
        files, chunks = self._versions.collections.primary
        if not retry(files, lambda: files.find_one({"_id": upload.id}, {"_id": 1})):
            retry(chunks, lambda: chunks.delete_many({"files_id": upload.id}))

    def unfinished(self, ids: list[Any]) -> set[ObjectId]:
        """Return those of *ids* that belong to unfinished uploads, whose chunks have no file yet."""
        own = {"_id": {"$in": ids}, "state": "open"}
        return {one["_id"] for one in retry(self.collection, lambda: list(self.collection.find(own, {"_id": 1})))}

    def expired(self, limit: int = 0) -> Iterator[Upload]:
        """Iterate over uploads that have expired, at most *limit* (0: all)."""
        now = self._clock.now()
        selection = {"state": {"$in": _STATES}, "expires": {"$lte": now}, "busy": {"$lte": now}}
        for document in retry(self.collection, lambda: list(self.collection.find(selection, _FIELDS, limit=limit))):
            yield _upload(document, now)

    def remove(self, upload: Upload, limit: int = 0) -> None:
        """Remove the bytes of an expired upload; its document stays as ``gone`` for its lifetime once more.

        :param limit: how many chunks to remove at most; if there are more, another call continues; 0: all
        """
        now = self._clock.now()
        over = {"_id": upload.id, "expires": {"$lte": now}, "busy": {"$lte": now}}
        gone = {"$set": {"state": "gone", "tail": b""}, "$inc": {"epoch": 1}}
        was = self.collection.find_one_and_update({**over, "state": "open"}, gone)
        current = was or self.collection.find_one(over)
        if current is None:  # a request appends to it, or another one has removed it
            return
        collections = self._versions.collections.primary
        if current["state"] != "stored" and not collections.files.find_one({"_id": upload.id}, {"_id": 1}):
            own: dict[str, Any] = {"files_id": upload.id}
            if limit:
                own["_id"] = {"$in": [one["_id"] for one in collections.chunks.find(own, {"_id": 1}).limit(limit)]}
            if collections.chunks.delete_many(own).deleted_count == limit != 0:
                return
        if was is None:
            self.collection.delete_one(over)
        else:
            later = {"$set": {"expires": now + timedelta(seconds=upload.lifetime)}}
            self.collection.update_one({"_id": upload.id, "state": "gone"}, later)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _upload(document: Mapping[str, Any], now: datetime) -> Upload:
    expires = aware(document["expires"])
    return Upload(
        id=document["_id"],
        filename=document["filename"],
        length=document["length"],
        offset=document["offset"],
        lifetime=document["lifetime"],
        expires=expires,
        state=document["state"] if expires > now else "gone",
        ended=document["state"] != "open",
        details=document["details"],
        leased=aware(document["busy"]) != GIVEN_BACK,
    )

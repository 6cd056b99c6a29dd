"""Uploads that go on where they stopped, in any process and on any machine.

An upload is a document of ``base.uploads``, which says how many bytes are safe (its offset) and whose turn it is (its
epoch). Nothing else is locked, and nothing has to be released after a crash::

    token = bucket.uploads.create("film.mp4", 3_000_000)
    with bucket.uploads.hold(bucket.uploads.find(token)) as holder:
        holder.write(beginning)
    ...
    with bucket.uploads.hold(bucket.uploads.find(token)) as holder:
        holder.write(film[holder.offset :])
        ending.finish(holder)

Only whole chunks go to ``base.chunks``; the bytes that fill none yet are the document's *tail*. One update, which
fails for everybody who was overtaken, moves offset and tail together: an offset that was told never goes back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson.objectid import ObjectId
from pymongo import ASCENDING

from ..indexes import INDEXES, Index
from ..retry import retry
from ..versions import Versions
from .append import Holder
from .lease import Turn, take

UPLOAD_TTL = 86_400
"""seconds after its last byte for which an upload can go on"""
_HASHES = 100  # uploads whose hash this process remembers
_STATES = ["open", "stored", "gone"]
_FIELDS = {"tail": 0}  # what only a holder needs
_INDEXES = (
    Index("uploads", [("token", ASCENDING)], {"unique": True}),
    Index("uploads", [("state", ASCENDING), ("expires", ASCENDING)], {}),
)


@dataclass(frozen=True)
class Upload:
    """What one document of the uploads says."""

    id: ObjectId
    """the future file's"""
    filename: str
    length: int | None
    """bytes; None where it is not known yet"""
    offset: int
    """bytes that are safe"""
    expires: datetime
    """in UTC"""
    lifetime: float
    """seconds after its last byte"""
    state: str
    """``open``, ``stored``, or ``gone`` where it was terminated or expired"""
    ended: bool
    """whether it was stored or terminated, before its time was over"""
    details: Mapping[str, Any]
    """whatever its creator wanted to keep with it"""


class _Hash(NamedTuple):
    """What this process knows of the bytes before an offset, until somebody else has a turn."""

    epoch: int
    offset: int
    sha256: Any


class Uploads:
    """The unfinished uploads of one bucket."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self.collection, self._clock = versions.collections.uploads, versions.collections.clock
        self._hashes: dict[ObjectId, _Hash] = {}

    def create(
        self,
        filename: str,
        length: int | None,
        *,
        lifetime: float = UPLOAD_TTL,
        details: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin an upload; returns the token that finds it.

        :param length: bytes; None where it is not known yet
        :param lifetime: seconds after its last byte
        :param details: what :attr:`Upload.details` is to have
        """
        self._versions.collections.indexes.ensure((*INDEXES, *_INDEXES))
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
            "busy": now,
            "expires": now + timedelta(seconds=lifetime),
            "lifetime": lifetime,
            "details": dict(details or {}),
        }
        again = {"_id": document["_id"]}
        retry(
            self.collection,
            lambda: self.collection.insert_one(document),
            lambda: self.collection.replace_one(again, document, upsert=True),
        )
        return token

    def count(self, limit: int) -> int:
        """Return how many uploads can go on, *limit* at most."""
        living = {"state": "open", "expires": {"$gt": self._clock.now()}}
        return int(self.collection.count_documents(living, limit=limit))

    def find(self, token: str) -> Upload | None:
        """Return the upload with this *token*, or None."""
        document = retry(self.collection, lambda: self.collection.find_one({"token": _hashed(token)}, _FIELDS))
        return _upload(document, self._clock.now()) if document else None

    def get(self, upload_id: ObjectId) -> Upload | None:
        """Return the upload of the future file with this ``_id``, or None."""
        document = retry(self.collection, lambda: self.collection.find_one({"_id": upload_id}, _FIELDS))
        return _upload(document, self._clock.now()) if document else None

    @contextmanager
    def hold(self, upload: Upload, *, limit: int | None = None, checked: bool = False) -> Iterator[Holder]:
        """Take the turn; it is taken from a holder that has received no byte for :data:`.BUSY` seconds.

        :param limit: bytes, where the upload does not say its length
        :param checked: as :class:`.Holder` has it
        :raises UploadBusy: where the one whose turn it is goes on
        :raises UploadEnded: where the upload is not open
        """
        clock = self._clock
        document = take(self.collection, upload.id, clock)
        known = self._hashes.pop(upload.id, None)
        if document["offset"] == 0:
            sha256 = hashlib.sha256()
        elif known is not None and (known.epoch + 1, known.offset) == (document["epoch"], document["offset"]):
            sha256 = known.sha256
        else:
            sha256 = None
        limit = limit if document["length"] is None else document["length"]
        turn = Turn(self.collection, document, clock)
        holder = Holder(turn, self._versions, document, sha256, limit=limit, checked=checked)
        try:
            with holder:
                yield holder
        finally:
            if holder.saved and holder.sha256 is not None:
                self._remember(holder)

    def _remember(self, holder: Holder) -> None:
        while len(self._hashes) >= _HASHES:
            self._hashes.pop(next(iter(self._hashes), holder.turn.id), None)
        self._hashes[holder.turn.id] = _Hash(holder.turn.epoch, holder.offset, holder.sha256)

    def forget(self, upload: Upload) -> None:
        """Let an upload that is stored be gone; its file stays."""
        stored = {"_id": upload.id, "state": "stored"}
        retry(self.collection, lambda: self.collection.update_one(stored, {"$set": {"state": "gone"}}))

    def unfinished(self, ids: list[Any]) -> set[ObjectId]:
        """Return those of *ids* that are unfinished uploads', so that their chunks are no file's yet."""
        found = self.collection.find({"_id": {"$in": ids}, "state": "open"}, {"_id": 1})
        return {document["_id"] for document in found}

    def expired(self, limit: int = 0) -> Iterator[Upload]:
        """Iterate over what is left of uploads whose time is over, of *limit* uploads at most (0: of all)."""
        now = self._clock.now()
        selection = {"state": {"$in": _STATES}, "expires": {"$lte": now}, "busy": {"$lte": now}}
        for document in self.collection.find(selection, _FIELDS).limit(limit):
            yield _upload(document, now)

    def remove(self, upload: Upload) -> None:
        """Remove an expired upload with its bytes; its document stays for as long again, and says that it is gone."""
        now = self._clock.now()
        over = {"_id": upload.id, "expires": {"$lte": now}, "busy": {"$lte": now}}
        gone = {
            "$set": {"state": "gone", "tail": b"", "expires": now + timedelta(seconds=upload.lifetime)},
            "$inc": {"epoch": 1},
        }
        was = self.collection.find_one_and_update({**over, "state": "open"}, gone)
        current = was or self.collection.find_one(over)
        if current is None:  # it goes on, or somebody else removed it
            return
        collections = self._versions.collections.primary
        if current["state"] != "stored" and not collections.files.find_one({"_id": upload.id}, {"_id": 1}):
            collections.chunks.delete_many({"files_id": upload.id})
        if was is None:
            self.collection.delete_one(over)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _upload(document: Mapping[str, Any], now: datetime) -> Upload:
    expires = document["expires"]
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
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
    )

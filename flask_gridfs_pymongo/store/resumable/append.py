"""Appends bytes to an upload: first whole chunks are stored, then the offset moves past them.

:meth:`.ResumableUploads.open_for_append` makes an :class:`UploadWriter` with a new lease (:mod:`.lease`)::

    with bucket.uploads.open_for_append(upload) as writer:
        writer.write(film[writer.offset :])

A chunk replaces whatever a crash or a slower request has left in its place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from bson.objectid import ObjectId
from pymongo.errors import BulkWriteError

from ..errors import FileTooLarge, LeaseLost
from ..retry import retry
from ..versions import Versions
from ..writing.claims import Claims
from ..writing.pipeline import CHUNK_SIZE, ChunkPipeline, Chunks, Digest
from .lease import RENEWAL, Lease

_ATTEMPTS = 10
_DUPLICATE_KEY = 11000


class UploadWriter:
    """Receives the bytes from :attr:`offset` on; as a context manager it saves them, and gives the lease back.

    :param document: of the upload, as :meth:`.Lease.acquire` returned it
    :param digest: of all bytes before the offset; None if another process received some of them
    :param limit: bytes in the whole upload; for more :meth:`write` raises :class:`.FileTooLarge`
    :param checked: the bytes have a checksum: do not move the offset before :meth:`accept`
    """

    def __init__(
        self,
        lease: Lease,
        versions: Versions,
        claims: Claims,
        document: Mapping[str, Any],
        digest: Digest | None = None,
        *,
        limit: int | None = None,
        checked: bool = False,
    ) -> None:
        self.lease, self.versions, self.claims = lease, versions, claims
        self.filename: str = document["filename"]
        self.length: int | None = document["length"]
        self.may_be_stored = self.length is None or document["offset"] >= self.length
        """whether it may already have become a file, as all bytes were stored"""
        self.digest = digest
        self.saved = False
        """whether the document has the state of this object"""
        self._files, self._chunks = versions.collections.primary
        self._limit, self._checked = limit, checked
        self._begin = (document["offset"], bytes(document["tail"]), digest and digest.copy())
        self._pipeline = ChunkPipeline(lease.id, self._store, versions.collections.clock, *self._begin[:2])
        self._updated = time.monotonic()
        self._failed = False  # chunks were lost: no more can be saved

    @property
    def offset(self) -> int:
        """Bytes received; they are stored when the context ends."""
        return self._pipeline.offset

    def __enter__(self) -> UploadWriter:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.settle()
            if not (self._failed or self.lease.over):
                if self._checked:
                    self.rewind()
                    self._checked = False
                self.save(give_back=True)
                self.saved = True
        finally:
            self._pipeline.close()

    def set_length(self, length: int) -> None:
        """Set the length of the upload, in bytes, if it was created without one.

        :raises FileTooLarge: if the upload already has more
        """
        if length < self.offset:
            raise FileTooLarge(f"the upload has {self.offset} bytes already")
        self.lease.set_length(length)
        self.length = self._limit = length

    def write(self, data: bytes) -> None:
        """Append the next bytes.

        :raises FileTooLarge: for more bytes than the limit
        :raises LeaseLost: if another request has acquired a lease; bytes not stored yet are lost
        """
        if self._limit is not None and self.offset + len(data) > self._limit:
            raise FileTooLarge(f"the upload may have at most {self._limit} bytes")
        if self.digest is not None:
            self.digest.update(data)
        self._pipeline.write(data)
        if time.monotonic() - self._updated > RENEWAL:
            self._updated = time.monotonic()
            self._pipeline.flush()

    def accept(self) -> None:
        """Confirm that the bytes received are right, so that they may be saved (*checked*)."""
        self._checked = False

    def rewind(self) -> None:
        """Discard what was received under this lease: the client has not seen its offset."""
        self.settle()
        offset, tail, self.digest = self._begin
        self._pipeline.reset(offset, tail)

    def save(self, *, give_back: bool = False) -> bytes:
        """Store what was received, and renew the lease or give it back; return the tail."""
        self.settle()
        chunks, offset, tail = self._pipeline.cut()
        self._store(chunks, offset, tail, give_back=give_back)
        return tail

    def settle(self) -> None:
        """Wait for the insert in progress."""
        self._pipeline.settle()

    def _store(self, chunks: Chunks, offset: int, tail: bytes, *, give_back: bool = False) -> None:
        self._updated = time.monotonic()
        try:
            self.insert(chunks)
            if self._checked:
                offset, tail, _ = self._begin
            self.lease.move(offset, tail, give_back=give_back)
        except BaseException as error:
            self._failed = True  # these chunks are no longer in memory
            if isinstance(error, LeaseLost):
                self._withdraw(chunks)
            raise

    def insert(self, chunks: Chunks) -> None:
        """Insert *chunks*, replacing what a crash or a lost answer has left in their places.

        :raises LeaseLost: if another request has acquired a lease
        """
        own, missing = {chunk["_id"] for chunk in chunks}, chunks
        for _ in range(_ATTEMPTS):
            if not missing:
                return
            try:
                retry(self._chunks, partial(self._chunks.insert_many, missing))
                return
            except BulkWriteError as error:
                if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
                    raise
            there = self._clear({"$in": [chunk["n"] for chunk in chunks]}, own)
            missing = [chunk for chunk in chunks if chunk["_id"] not in there]
        raise LeaseLost

    def complete(self, tail: bytes) -> None:
        """Store the last chunk, and remove any chunks after it.

        :param tail: what :meth:`save` returned; the document keeps it
        :raises LeaseLost: if another request has acquired a lease
        """
        self.insert(self._pipeline.cut(final=True)[0])
        self._pipeline.reset(self.offset, tail)
        self._clear({"$gte": -(-self.offset // CHUNK_SIZE)}, set())

    def _clear(self, places: Mapping[str, Any], own: set[ObjectId]) -> set[ObjectId]:
        """Delete the chunks at these *places* except the *own* ones; return the ``_id`` of all that were there.

        First find, then check the lease, then delete by ``_id``: if the lease still holds, whatever was found is older
        than any later lease. A delete by place could remove a chunk of a later lease.
        """
        selection = {"files_id": self.lease.id, "n": places}
        found = retry(self._chunks, lambda: list(self._chunks.find(selection, {"_id": 1})))
        there = {chunk["_id"] for chunk in found}
        if foreign := list(there - own):
            self.lease.check()
            retry(self._chunks, partial(self._chunks.delete_many, self._those(foreign)))
        return there

    def _withdraw(self, chunks: Chunks) -> None:
        """After the lease is lost: remove those of its *chunks* that are not part of the upload."""
        current = self.lease.current()
        if current is not None and current["state"] != "gone":
            safe = current["offset"] // CHUNK_SIZE
            chunks = [chunk for chunk in chunks if chunk["n"] >= safe]
        elif self.stored():
            return
        self._chunks.delete_many(self._those([chunk["_id"] for chunk in chunks]))

    def _those(self, ids: list[ObjectId]) -> dict[str, Any]:
        """Return a query for chunks of the upload by their ``_id``; it names the field by which chunks are sharded."""
        return {"files_id": self.lease.id, "_id": {"$in": ids}}

    def stored(self) -> dict[str, Any] | None:
        """Return the files document if the upload has become a file."""
        own = {"_id": self.lease.id}
        found: dict[str, Any] | None = retry(self._files, lambda: self._files.find_one(own))
        return found

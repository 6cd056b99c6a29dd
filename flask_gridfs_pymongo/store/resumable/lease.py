"""An exclusive, expiring lease on an upload: one request at a time appends to it, in any process, without a lock.

The upload's document has an *epoch*, a fencing token, which rises with each lease. The holder of a lease updates the
document only while the epoch is still its own, so it can change nothing after the next lease has begun. The field
``busy`` says when the lease expires: it is renewed while bytes arrive; after that another request may acquire the next
one::

    lease, document = Lease.acquire(uploads, upload_id, clock)
    lease.move(offset, tail)
    lease.end("stored")
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

from bson.objectid import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from ..clock import Clock
from ..collections import Documents
from ..errors import LeaseLost, UploadBusy, UploadEnded
from ..retry import retry

LEASE_TTL = 2.0
"""seconds for which a request that receives no byte keeps its lease"""
RENEWAL = 0.5
"""seconds between two updates of the document if bytes come slowly"""
GIVEN_BACK = datetime(1970, 1, 1, tzinfo=UTC)
"""the expiry of a lease that was given back: nothing is done under it any more"""
_WAIT = LEASE_TTL + 0.5  # seconds
_PAUSE = 0.05  # seconds


class Lease:
    """One lease: the changes that its holder makes to the upload's document.

    :param uploads: the collection of uploads, read from the primary
    :param document: of the upload, with the epoch of this lease
    :param clock: the server's time
    """

    def __init__(self, uploads: Documents, document: Mapping[str, Any], clock: Clock) -> None:
        self.id: ObjectId = document["_id"]
        """of the upload, and of the future file"""
        self.epoch: int = document["epoch"]
        self.upload_expires: datetime = document["expires"]
        """in UTC; later with each byte that is stored"""
        self.over = False
        """whether the upload was ended under this lease"""
        self._uploads, self._clock = uploads, clock
        self._lifetime = timedelta(seconds=document["lifetime"])
        self._offset: int = document["offset"]  # as the document has it

    @classmethod
    def acquire(cls, uploads: Documents, upload_id: ObjectId, clock: Clock) -> tuple[Lease, dict[str, Any]]:
        """Wait until the lease before was given back or has expired, then begin one; return it with the document.

        :raises UploadBusy: if the lease before is still being renewed
        :raises UploadEnded: if the upload is not open
        """
        deadline = time.monotonic() + _WAIT
        while True:
            now = clock.now()
            resumable = {"_id": upload_id, "state": "open", "expires": {"$gt": now}}
            change = {"$inc": {"epoch": 1}, "$set": {"busy": now + timedelta(seconds=LEASE_TTL)}}
            free = {**resumable, "busy": {"$lte": now}}
            update = partial(uploads.find_one_and_update, free, change, return_document=ReturnDocument.AFTER)
            document: dict[str, Any] | None = retry(uploads, update)
            if document is not None:
                return cls(uploads, document, clock), document
            if retry(uploads, partial(uploads.find_one, resumable, {"_id": 1})) is None:
                raise UploadEnded
            if time.monotonic() > deadline:
                raise UploadBusy
            time.sleep(_PAUSE)

    @property
    def _mine(self) -> dict[str, Any]:
        return {"_id": self.id, "epoch": self.epoch, "state": "open"}

    def check(self) -> None:
        """Make sure that no other request has acquired a lease.

        :raises LeaseLost: if one has
        """
        if retry(self._uploads, lambda: self._uploads.find_one(self._mine, {"_id": 1})) is None:
            raise LeaseLost

    def current(self) -> dict[str, Any] | None:
        """Return the upload's present document, whoever has the lease; None if it was deleted."""
        found: dict[str, Any] | None = retry(self._uploads, lambda: self._uploads.find_one({"_id": self.id}))
        return found

    def set_length(self, length: int) -> None:
        """Set the length of the upload, in bytes.

        :raises LeaseLost: if another request has acquired a lease
        """
        if not self._set(self._mine, {"length": length}):
            raise LeaseLost

    def move(self, offset: int, tail: bytes, *, give_back: bool = False) -> None:
        """Note that *offset* bytes are stored, and renew the lease or give it back.

        :param tail: the last of these bytes, which do not fill a chunk yet
        :raises LeaseLost: if another request has acquired a lease
        """
        now = self._clock.now()
        expires = GIVEN_BACK if give_back else now + timedelta(seconds=LEASE_TTL)
        fields: dict[str, Any] = {"offset": offset, "tail": tail, "busy": expires}
        if offset > self._offset:
            fields["expires"] = self.upload_expires = now + self._lifetime
        # An update whose answer was lost may be executed late: then it must not move the offset back.
        if not self._set({**self._mine, "offset": {"$in": [self._offset, offset]}}, fields):
            raise LeaseLost
        self._offset = offset

    @contextmanager
    def renewing(self, offset: int, tail: bytes) -> Iterator[None]:
        """Renew the lease while no bytes come, as long as this process is alive."""
        done = Event()

        def renew() -> None:
            with suppress(LeaseLost, PyMongoError):  # the end of the upload will fail, too
                while not done.wait(RENEWAL):
                    self.move(offset, tail)

        with ThreadPoolExecutor(1, "gridfs-upload") as pool:
            pool.submit(renew)
            try:
                yield
            finally:
                done.set()

    def end(self, state: str) -> bool:
        """End the upload; return whether this lease ended it."""
        self.over = True
        self.upload_expires = self._clock.now() + self._lifetime
        fields: dict[str, Any] = {"state": state, "tail": b"", "expires": self.upload_expires}
        if self._set(self._mine, fields if state == "stored" else {**fields, "details": {}}):
            return True
        mine = {**self._mine, "state": state}  # perhaps only an answer was lost
        return retry(self._uploads, lambda: self._uploads.find_one(mine, {"_id": 1})) is not None

    def _set(self, selection: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
        update = partial(self._uploads.update_one, selection, {"$set": fields})
        return bool(retry(self._uploads, update).matched_count)

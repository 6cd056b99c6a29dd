"""Whose turn it is to add to an upload: one request's at a time, in any process, without a lock.

The upload's document has an *epoch*, which rises with each turn. All that a turn changes there it changes only while
the epoch is its own, so that nothing counts that it does after another one has begun. The document also tells until
when the turn is *busy*: it puts that off with each byte, and whoever comes later than that takes over::

    document = take(uploads, upload_id, clock)
    turn = Turn(uploads, document, clock)
    turn.move(offset, tail)
    turn.end("stored")
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

from bson.objectid import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from ..clock import Clock
from ..errors import LeaseLost, UploadBusy, UploadEnded
from ..retry import retry

BUSY = 2.0
"""seconds for which a request that receives no byte keeps its turn"""
RENEWAL = 0.5
"""seconds between two updates of the document where bytes come slowly"""
_WAIT = BUSY + 0.5  # seconds
_PAUSE = 0.05  # seconds


def take(uploads: Any, upload_id: ObjectId, clock: Clock) -> dict[str, Any]:
    """Begin a turn, when the one before is given back or is not busy any more.

    :param uploads: the collection of uploads, as the primary knows it
    :return: the upload's document, with the epoch of the new turn
    :raises UploadBusy: where the one before goes on
    :raises UploadEnded: where the upload is not open
    """
    deadline = time.monotonic() + _WAIT
    while True:
        now = clock.now()
        living = {"_id": upload_id, "state": "open", "expires": {"$gt": now}}
        change = {"$inc": {"epoch": 1}, "$set": {"busy": now + timedelta(seconds=BUSY)}}
        free = {**living, "busy": {"$lte": now}}
        update = partial(uploads.find_one_and_update, free, change, return_document=ReturnDocument.AFTER)
        document: dict[str, Any] | None = retry(uploads, update)
        if document is not None:
            return document
        if retry(uploads, partial(uploads.find_one, living, {"_id": 1})) is None:
            raise UploadEnded
        if time.monotonic() > deadline:
            raise UploadBusy
        time.sleep(_PAUSE)


class Turn:
    """What one turn does with the upload's document.

    :param uploads: the collection of uploads, as the primary knows it
    :param document: what :func:`take` returned
    :param clock: the server's time
    """

    def __init__(self, uploads: Any, document: Mapping[str, Any], clock: Clock) -> None:
        self.id: ObjectId = document["_id"]
        """the upload's, and the future file's"""
        self.epoch: int = document["epoch"]
        self.expires: datetime = document["expires"]
        """in UTC; each byte that becomes safe puts it off"""
        self.over = False
        """whether the upload was ended by this turn"""
        self._uploads, self._clock = uploads, clock
        self._lifetime = timedelta(seconds=document["lifetime"])
        self._told: int = document["offset"]  # as the document has it

    @property
    def _mine(self) -> dict[str, Any]:
        return {"_id": self.id, "epoch": self.epoch, "state": "open"}

    def check(self) -> None:
        """Make sure that the turn has not passed to another request.

        :raises LeaseLost: where it has
        """
        if retry(self._uploads, lambda: self._uploads.find_one(self._mine, {"_id": 1})) is None:
            raise LeaseLost

    def current(self) -> dict[str, Any] | None:
        """Return the upload's document as it is now, whosever turn it is; None where there is none any more."""
        found: dict[str, Any] | None = retry(self._uploads, lambda: self._uploads.find_one({"_id": self.id}))
        return found

    def set_length(self, length: int) -> None:
        """Say how many bytes the upload is going to have.

        :raises LeaseLost: where it is not this turn any more
        """
        if not self._set(self._mine, {"length": length}):
            raise LeaseLost

    def move(self, offset: int, tail: bytes, busy: float = BUSY) -> None:
        """Say that *offset* bytes are safe, and that this goes on for *busy* seconds more.

        :param tail: the last of these bytes, which fill no chunk yet
        :raises LeaseLost: where it is not this turn any more
        """
        now = self._clock.now()
        fields: dict[str, Any] = {"offset": offset, "tail": tail, "busy": now + timedelta(seconds=busy)}
        if offset > self._told:
            fields["expires"] = self.expires = now + self._lifetime
        # One whose answer was lost may be carried out late: not once the offset has moved on.
        if not self._set({**self._mine, "offset": {"$in": [self._told, offset]}}, fields):
            raise LeaseLost
        self._told = offset

    @contextmanager
    def kept(self, offset: int, tail: bytes) -> Iterator[None]:
        """Keep the turn while no bytes come, for as long as this process is alive."""
        done = Event()

        def renew() -> None:
            with suppress(LeaseLost, PyMongoError):  # the end of the upload tells
                while not done.wait(RENEWAL):
                    self.move(offset, tail)

        with ThreadPoolExecutor(1, "gridfs-upload") as pool:
            pool.submit(renew)
            try:
                yield
            finally:
                done.set()

    def end(self, state: str) -> bool:
        """End the upload; returns whether it was this call that did."""
        self.over = True
        self.expires = self._clock.now() + self._lifetime
        if self._set(self._mine, {"state": state, "tail": b"", "expires": self.expires}):
            return True
        mine = {**self._mine, "state": state}  # an answer was lost
        return retry(self._uploads, lambda: self._uploads.find_one(mine, {"_id": 1})) is not None

    def _set(self, selection: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
        update = partial(self._uploads.update_one, selection, {"$set": fields})
        return bool(retry(self._uploads, update).matched_count)

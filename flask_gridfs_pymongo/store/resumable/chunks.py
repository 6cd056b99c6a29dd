"""The chunks of an unfinished upload: each in its place, whatever a crash or a slower request has left there.

::

    chunks = UploadChunks(turn, collections.primary)
    chunks.insert([chunks.make(0, data)])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bson.objectid import ObjectId
from pymongo.errors import BulkWriteError

from ..collections import Primary
from ..errors import LeaseLost
from ..retry import retry
from ..writing.commit import CHUNK_SIZE
from .lease import Turn

_ATTEMPTS = 10
_DUPLICATE_KEY = 11000
_Chunks = Sequence[dict[str, Any]]


class UploadChunks:
    """What one turn puts into ``fs.chunks``, and takes away there.

    :param collections: as the primary knows them
    """

    def __init__(self, turn: Turn, collections: Primary) -> None:
        self._turn, self._chunks, self._files = turn, collections.chunks, collections.files

    def make(self, n: int, data: bytes) -> dict[str, Any]:
        """Return chunk number *n* of the upload."""
        return {"_id": ObjectId(), "files_id": self._turn.id, "n": n, "data": data}

    def insert(self, chunks: _Chunks) -> None:
        """Insert *chunks*, in the place of what a crash or a lost answer has left there.

        :raises LeaseLost: where it is not this turn any more
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

    def keep(self, count: int) -> None:
        """Delete all but the first *count* chunks.

        :raises LeaseLost: where it is not this turn any more
        """
        self._clear({"$gte": count}, set())

    def _clear(self, places: Mapping[str, Any], own: set[ObjectId]) -> set[ObjectId]:
        """Delete the chunks at these *places* that are not this turn's *own*; returns the ``_id`` of all found there.

        The order matters: what is found *before* the check that the turn still lasts cannot be of a later one. A delete
        by place could take a chunk of a later turn.
        """
        selection = {"files_id": self._turn.id, "n": places}
        found = retry(self._chunks, lambda: list(self._chunks.find(selection, {"_id": 1})))
        there = {chunk["_id"] for chunk in found}
        self._turn.check()
        if foreign := list(there - own):
            retry(self._chunks, lambda: self._chunks.delete_many({"_id": {"$in": foreign}}))
        return there

    def withdraw(self, chunks: _Chunks) -> None:
        """After the turn has passed: remove those of its *chunks* that the upload does not count, and never will."""
        current = self._turn.current()
        if current is not None and current["state"] != "gone":
            safe = current["offset"] // CHUNK_SIZE
            chunks = [chunk for chunk in chunks if chunk["n"] >= safe]
        elif self.stored():
            return
        self._chunks.delete_many({"_id": {"$in": [chunk["_id"] for chunk in chunks]}})

    def stored(self) -> dict[str, Any] | None:
        """Return the files document, where the upload has become a file."""
        own = {"_id": self._turn.id}
        found: dict[str, Any] | None = retry(self._files, lambda: self._files.find_one(own))
        return found

    def count(self) -> int:
        """Return how many chunks there are."""
        own = {"files_id": self._turn.id}
        return int(retry(self._chunks, lambda: self._chunks.count_documents(own)))

    def remove(self) -> None:
        """Remove all of them."""
        self._chunks.delete_many({"files_id": self._turn.id})

    def remove_file(self) -> None:
        """Remove the file that the upload has become."""
        self._files.delete_one({"_id": self._turn.id})
        self.remove()

"""Claims: how writers without transactions agree on the order of a name's versions.

The field ``previous`` of a new files document says which version it follows. It has a unique index, so of two writers
that saw the same newest version one wins. A claim is needed only while a slower writer may still rely on what it saw.
So claims older than :data:`CLAIM_TTL` by the server's clock are removed, and what remains is plain GridFS, which can be
copied, merged and restored from a backup::

    document |= claims.make("notes.txt", newest)
    ...
    claims.sweep()
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from .. import ids
from ..collections import Collections
from ..indexes import WITH_PREVIOUS, Index, create_index
from ..model import NOTE, StoredFile
from ..retry import reason, retry

CLAIM_TTL = 600
"""seconds"""
NO_CLAIM = {"$unset": {"previous": "", "previousAt": "", NOTE: ""}}
"""the update that removes a claim, and the note beside it"""
_SWEEP_INTERVAL = 60  # seconds between two sweeps of one process
_BATCH = 1000  # documents in one sweep
_logger = logging.getLogger("flask_gridfs_pymongo")


def place(filename: str, newest_id: Any) -> Mapping[str, Any]:
    """Return the value of ``previous`` for the place after the version *newest_id*; None: the first place."""
    return {"name": filename, "_id": newest_id if ids.is_utf8(newest_id) else None}


class Claims:
    """The claims in the files collection of a bucket."""

    def __init__(self, collections: Collections) -> None:
        self._files, self._clock = collections.primary.files, collections.clock
        self._swept: float | None = None
        self._marked: list[dict[str, Any]] = []

    def make(self, filename: str, newest: StoredFile | None) -> dict[str, Any]:
        """Return the fields that claim the place after *newest*; None: the first place of *filename*."""
        # The server replaces an empty timestamp by its own time.
        return {"previous": place(filename, newest and newest.id), "previousAt": Timestamp(0, 0)}

    def follows(self, filename: str, file_id: Any, newest: StoredFile | None, later: Mapping[str, Any]) -> bool:
        """Whether the version *file_id* comes directly after *newest*.

        It does not if its writer was paused for so long that another writer's claim of the place was removed meanwhile.

        :param later: a query for all versions after *newest*
        """
        seen = [file_id, *([newest.id] if newest and ids.is_utf8(newest.id) else [])]
        others = {**later, "_id": {"$nin": seen}}
        next_one = retry(self._files, lambda: self._files.find_one(others, {"previous": 1}, sort=[("uploadDate", 1)]))
        return next_one is None or next_one.get("previous") == {"name": filename, "_id": file_id}

    def release(self, *places: Mapping[str, Any], later: Mapping[str, Any]) -> None:
        """Free *places* whose claims belong to versions that are not among the *later* ones.

        Later versions have won the race, and keep the places. Others lost their name or date to another tool.
        """
        holders = {"previous": {"$in": places}, "$nor": [later]}
        retry(self._files, lambda: self._files.update_many(holders, NO_CLAIM))

    def sweep(self) -> list[dict[str, Any]]:
        """Remove old claims, at most once a minute: writers call this after each commit.

        :return: versions whose rename broke off before that, and which keep their claims: :func:`.marks.finish`
        """
        if self._swept is not None and time.monotonic() - self._swept < _SWEEP_INTERVAL:
            return []
        self._swept = time.monotonic()
        self._marked = []
        if self.remove_old() == _BATCH:
            self._swept = None  # there are more: the next call continues
        return self._marked

    def remove_old(self) -> int:
        """Remove claims older than :data:`CLAIM_TTL`, 1,000 at most; returns how many. A failure is logged.

        A version whose rename broke off keeps its claims.
        """
        try:
            old = self._old()
            self._marked = [document for document in old if "renamedFrom" in document]
            others = [document["_id"] for document in old if "renamedFrom" not in document]
            if others:
                self._files.update_many({"_id": {"$in": others}}, NO_CLAIM)
            return len(others)
        except (PyMongoError, NotImplementedError) as error:  # mongomock, for one
            _logger.info("%s: old claims stay: %s", self._files.full_name, error)
            return 0

    def _old(self) -> list[dict[str, Any]]:
        # $convert would take no timestamp on MongoDB 5.0 and older.
        since = Timestamp(int(self._clock.now().timestamp()) - CLAIM_TTL, 0)
        old = {**WITH_PREVIOUS, "previousAt": {"$not": {"$gte": since}}}
        fields = ["filename", "uploadDate", "renamedFrom"]
        return list(self._files.find(old, fields).limit(_BATCH).batch_size(_BATCH).max_time_ms(1000))

    def remove_doubled(self) -> None:
        """Remove the claims that several documents have, so that their index can be built."""
        grouped: dict[str, Any] = {"$group": {"_id": "$previous", "count": {"$sum": 1}}}
        each: dict[str, Any] = {"$unwind": "$previous"}  # a renamed version has several
        doubled = [{"$match": WITH_PREVIOUS}, each, grouped, {"$match": {"count": {"$gt": 1}}}]
        for group in self._files.aggregate(doubled, allowDiskUse=True):
            self._files.update_many({"previous": {"$eq": group["_id"]}}, NO_CLAIM)

    def remove_all(self) -> int:
        """Remove every claim, which is safe if nobody writes; returns how many."""
        return int(retry(self._files, lambda: self._files.update_many(WITH_PREVIOUS, NO_CLAIM)).modified_count)


def build_index(collections: Collections, index: Index) -> str:
    """Create an index, however long that takes; returns why the server refuses, or an empty string.

    Without their index several documents may have the same claim: these claims are removed before it is built.
    """
    if index.options.get("partialFilterExpression") == WITH_PREVIOUS:
        Claims(collections).remove_doubled()
    error = create_index(collections.of(index), index, None)
    return reason(error) if error else ""

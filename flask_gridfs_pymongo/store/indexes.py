"""The indexes of a bucket: created before a process first writes, and checked again later.

::

    collections.indexes.ensure()
    collections.files.insert_one(document)

A bucket may be dropped while processes write to it. So later writes start another check, in the background, ten
seconds after them. Until a check has found all indexes (:attr:`Indexes.complete`), writers do not rely on any.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Timer
from typing import Any, Literal, NamedTuple

from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError

from .retry import is_transient, reason, retry

_INDEX_TIMEOUT = 10  # seconds that a request waits for indexes
_CHECK_INTERVAL = 10  # seconds between two checks
_NO_QUORUM = (2, 9, 40415)  # from standalone servers, and from servers before MongoDB 4.4
_logger = logging.getLogger("flask_gridfs_pymongo")


class Index(NamedTuple):
    """An index of a bucket."""

    collection: Literal["files", "chunks", "uploads", "variants"]
    keys: list[tuple[str, int]]
    options: dict[str, Any]


WITH_PREVIOUS = {"previous": {"$exists": True}}
INDEXES = (
    Index("files", [("filename", ASCENDING), ("uploadDate", ASCENDING)], {}),
    Index("chunks", [("files_id", ASCENDING), ("n", ASCENDING)], {"unique": True}),
    Index("files", [("previous", ASCENDING)], {"unique": True, "partialFilterExpression": WITH_PREVIOUS}),
)
"""The two of the GridFS specification, and the one of claims (:mod:`.claims`)"""


class Indexes:
    """Creates and checks the indexes of one bucket.

    :param collection_of: returns the collection that an index belongs to, read from the primary
    """

    def __init__(self, collection_of: Callable[[Index], Any]) -> None:
        self._collection_of = collection_of
        self._known: list[Index] = []
        self._refused: list[Index] = []
        self._sound: list[Index] = []
        self._next_check = 0.0

    @property
    def complete(self) -> bool:
        """Whether the last check found or created all :data:`INDEXES`."""
        return all(index in self._sound for index in INDEXES)

    def ensure(self, indexes: Sequence[Index] = INDEXES) -> None:
        """Create *indexes* if this process has not checked them yet, else check them again in the background.

        If the server refuses an index, or takes longer than ten seconds, a warning is logged once, and the caller
        continues without it.
        """
        if new := [index for index in indexes if index not in self._known]:
            self._create(new)
            self._known += [index for index in new if index not in self._known]
        elif time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + _CHECK_INTERVAL
            timer = Timer(_CHECK_INTERVAL, self._check_again)
            timer.daemon = True
            timer.start()

    def _check_again(self) -> None:
        try:
            self._create(self._known)
        except PyMongoError as error:
            _logger.info("cannot check the indexes: %s", reason(error))

    def _create(self, indexes: Sequence[Index]) -> None:
        deadline = time.monotonic() + _INDEX_TIMEOUT
        there: dict[str, Mapping[str, Any]] = {}
        sound = [index for index in self._sound if index not in indexes]
        for index in indexes:
            collection = self._collection_of(index)
            if index.collection not in there:
                there[index.collection] = retry(collection, collection.index_information)
                if not there[index.collection]:  # the collection is new, or was dropped: try refused indexes again
                    self._refused = [refused for refused in self._refused if refused.collection != index.collection]
            problem = index_problem(there[index.collection], index)
            if problem and index not in self._refused:
                error = create_index(collection, index, max(deadline - time.monotonic(), 0.001))
                problem = error and index_problem(
                    collection.index_information(), index
                )  # None: it exists under another name
                if problem:
                    _logger.warning("%s: cannot create the index %s: %a", collection.full_name, index.keys, error)
                    self._refused.append(index)
            if not problem:
                sound.append(index)
        self._sound = sound


def index_problem(there: Mapping[str, Any], index: Index) -> str | None:
    """Return the problem of *index*, if any, given the existing indexes (``index_information()``)."""
    same = [found for found in there.values() if found["key"] == index.keys]
    strict = [found for found in same if found.get("unique", False) >= index.options.get("unique", False)]
    narrowing = ("partialFilterExpression", "sparse", "collation", "expireAfterSeconds")
    if any(all(found.get(name) == index.options.get(name) for name in narrowing) for found in strict):
        return None
    return "other options" if same else "missing"


def create_index(collection: Collection[Any], index: Index, seconds: float | None) -> str:
    """Create an index; return why the server refuses it, or an empty string.

    On a replica set this waits for a majority; MongoDB's default waits for every voting member, even for one that is
    down (SERVER-65670).

    :param seconds: after which the server gives up; None: never
    """
    model = IndexModel(index.keys, **index.options)
    limit: dict[str, Any] = {} if seconds is None else {"maxTimeMS": max(1, int(seconds * 1000))}
    topology = getattr(collection.database.client, "topology_description", None)  # mongomock has none
    quorum: dict[str, Any] = (
        {} if topology and topology.topology_type_name == "Single" else {"commitQuorum": "majority"}
    )

    def create() -> str:
        try:
            try:
                collection.create_indexes([model], **quorum, **limit)
            except TypeError:  # mongomock
                collection.create_index(index.keys, **index.options)
            except OperationFailure as error:
                if error.code not in _NO_QUORUM:
                    raise
                collection.create_indexes([model], **limit)
        except ExecutionTimeout as error:
            return reason(error)
        except OperationFailure as error:
            if is_transient(error):
                raise
            return reason(error)
        return ""

    return retry(collection, create)

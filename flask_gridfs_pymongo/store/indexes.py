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
from functools import partial
from threading import Timer
from typing import Any, Literal, NamedTuple

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError

from .errors import Unsupported
from .retry import is_transient, missing_right, reason, retry

_INDEX_TIMEOUT = 10  # seconds that a request waits for indexes
_CHECK_INTERVAL = 10  # seconds between two checks
_NO_QUORUM = (2, 9, 40415)  # from standalone servers, and from servers before MongoDB 4.4
_CANNOT_CREATE = 67  # the server's code CannotCreateIndex, of a mongos for a unique index
_COLLATION_REMEDY = "copy them to a collection without one, as names that differ in case alone would be one file"
_logger = logging.getLogger("flask_gridfs_pymongo")


class Index(NamedTuple):
    """An index of a bucket."""

    collection: Literal["files", "chunks", "uploads", "variants", "links"]
    keys: list[tuple[str, int]]
    options: dict[str, Any]
    loss: str = ""
    """what is lost without it, besides speed"""


WITH_PREVIOUS = {"previous": {"$exists": True}}
PLACES = Index(
    "chunks",
    [("files_id", ASCENDING), ("n", ASCENDING)],
    {"unique": True},
    "resumable uploads are refused, and each upload takes more round trips",
)
"""The one by which two requests that append to an upload notice each other"""
INDEXES = (
    Index("files", [("filename", ASCENDING), ("uploadDate", ASCENDING)], {}),
    PLACES,
    Index(
        "files",
        [("previous", ASCENDING)],
        {"unique": True, "partialFilterExpression": WITH_PREVIOUS},
        "each upload takes more round trips, and of several conditional ones at once perhaps none succeeds",
    ),
)
"""The two of the GridFS specification, and the one of claims (:mod:`.claims`)"""
TRASH = Index("files", [("trashed.at", DESCENDING), ("trashed.name", ASCENDING), ("filename", ASCENDING)], {})
"""By which the trash is listed, and passed over where files without a name are"""


class Indexes:
    """Creates and checks the indexes of one bucket.

    :param collection_of: returns the collection that an index belongs to, read from the primary
    :param needed: those that the bucket needs
    """

    def __init__(self, collection_of: Callable[[Index], Any], needed: Sequence[Index] = INDEXES) -> None:
        self._collection_of, self.needed = collection_of, needed
        self._known: list[Index] = []
        self._refused: list[Index] = []
        self._sound: list[Index] = []
        self._unreadable = False
        self._collation: Mapping[str, Any] = {}
        self._next_check = 0.0

    @property
    def complete(self) -> bool:
        """Whether the last check found or created all :data:`INDEXES`."""
        return all(index in self._sound for index in INDEXES)

    def ensure(self, indexes: Sequence[Index] | None = None) -> None:
        """Create *indexes* if this process has not checked them yet, else check them again in the background.

        If the server refuses an index, or takes longer than ten seconds, this is logged once, and the caller continues
        without it; so it does if the database user may not read the indexes.

        :param indexes: None: those that are needed
        :raises Unsupported: if the collation of the files takes different names for the same
        """
        if new := [index for index in (self.needed if indexes is None else indexes) if index not in self._known]:
            self._create(new)
            self._known += [index for index in new if index not in self._known]
        elif time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + _CHECK_INTERVAL
            timer = Timer(_CHECK_INTERVAL, self._check_again)
            timer.daemon = True
            timer.start()
        if self._collation.get("strength", 3) < 3:  # 1 ignores case and accents, 2 ignores case
            raise Unsupported(f"the {collation_problem(self._collation)}: {_COLLATION_REMEDY}")

    def require(self, index: Index) -> None:
        """Make sure that *index* is not known to be missing, after :meth:`ensure`.

        :raises Unsupported: if it is
        """
        if index not in self._sound and not self._unreadable:
            name, fields = self._collection_of(index).full_name, ", ".join(field for field, _ in index.keys)
            raise Unsupported(
                f"this needs the unique index on {fields} of {name}: 'flask gridfs index' creates it, or says why not"
            )

    def _check_again(self) -> None:
        try:
            self._create(self._known)
        except PyMongoError as error:
            _logger.info("cannot check the indexes: %s", reason(error))

    def _create(self, indexes: Sequence[Index]) -> None:
        deadline = time.monotonic() + _INDEX_TIMEOUT
        there: dict[str, Mapping[str, Any]] = {}
        sound = [index for index in self._sound if index not in indexes]
        refused: list[tuple[Index, OperationFailure]] = []
        for index in indexes:
            collection = self._collection_of(index)
            if index.collection not in there:
                found = self._read(collection)
                if found is None:
                    return
                there[index.collection] = found
                if not found:  # the collection is new, or was dropped: try refused indexes again
                    self._refused = [refused for refused in self._refused if refused.collection != index.collection]
            problem = index_problem(there[index.collection], index)
            if problem and index not in self._refused:
                error = create_index(collection, index, max(deadline - time.monotonic(), 0.001))
                # Without a problem it exists under another name.
                problem = index_problem(collection.index_information(), index) if error else None
                if problem and error:
                    refused.append((index, error))
            if not problem:
                sound.append(index)
        self._sound = sound
        self._collation = collation_of(there.get("files", {})) or self._collation
        self._refused += [index for index, _ in refused]
        self._report(refused)

    def _read(self, collection: Collection[Any]) -> Mapping[str, Any] | None:
        """Return the indexes of a collection; None if the server does not let the user list them."""
        try:
            found: Mapping[str, Any] = retry(collection, collection.index_information)
        except OperationFailure as error:
            if is_transient(error):
                raise
            if not self._unreadable:
                name = collection.full_name
                _logger.warning("%s: its indexes are not known, make sure that they exist: %s", name, reason(error))
            self._unreadable = True
            return None
        self._unreadable = False
        return found

    def _report(self, refused: Sequence[tuple[Index, OperationFailure]]) -> None:
        """Log why indexes cannot be created; those that the user has no right to create in one line."""
        denied = [one for one in refused if missing_right(one[1])]
        for group in [*([denied] if denied else []), *([one] for one in refused if one not in denied)]:
            is_final = group[0][1].code == _CANNOT_CREATE
            lines = [
                f"{self._collection_of(index).full_name} {index.keys}: {reason(error)!a}; {index.loss or 'slow'}"
                for index, error in group
            ]
            _logger.log(logging.ERROR if is_final else logging.WARNING, "cannot create the index %s", "; ".join(lines))


def collation_of(there: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the default collation of a collection with these indexes; empty if it compares texts by their bytes."""
    found: Mapping[str, Any] = there.get("_id_", {}).get("collation", {})
    return found


def collation_problem(collation: Mapping[str, Any]) -> str:
    """Return what is wrong with a default collation; empty if nothing is."""
    if not collation:
        return ""
    ignored = {1: " and ignores accents and case", 2: " and ignores case"}.get(collation["strength"], "")
    return f"collation {collation['locale']!r} of the files sorts names otherwise than here{ignored}"


def _topology(collection: Collection[Any]) -> Any:
    topology = getattr(collection.database.client, "topology_description", None)  # mongomock has none
    return topology and topology.topology_type_name


def impossible(collection: Collection[Any], index: Index) -> str:
    """Return why the server can never have a unique *index*: for its collection's shard key; else an empty string."""
    if not index.options.get("unique") or _topology(collection) not in ("Sharded", "LoadBalanced"):
        return ""
    find = partial(collection.database.client["config"]["collections"].find_one, {"_id": collection.full_name})
    try:
        sharded = retry(collection, find) or {}
    except OperationFailure:  # the user may not read it
        return ""
    key = sharded.get("key", {})
    if list(key.items()) == index.keys[: len(key)]:
        return ""
    fields = ", ".join(f"{field} ({order})" if order == "hashed" else field for field, order in key.items())
    return f"it is sharded by {fields}, with which a unique index would have to begin"


def index_problem(there: Mapping[str, Any], index: Index) -> str | None:
    """Return the problem of *index*, if any, given the existing indexes (``index_information()``)."""
    same = [found for found in there.values() if found["key"] == index.keys]
    strict = [found for found in same if found.get("unique", False) >= index.options.get("unique", False)]
    narrowing = ("partialFilterExpression", "sparse", "collation", "expireAfterSeconds")
    wanted = {"collation": collation_of(there) or None, **index.options}
    if any(all(found.get(name) == wanted.get(name) for name in narrowing) for found in strict):
        return None
    return "other options" if same else "missing"


def create_index(collection: Collection[Any], index: Index, seconds: float | None) -> OperationFailure | None:
    """Create an index; return the error if the server refuses it.

    On a replica set this waits for a majority; MongoDB's default waits for every voting member, even for one that is
    down (SERVER-65670).

    :param seconds: after which the server gives up; None: never
    """
    model = IndexModel(index.keys, **index.options)
    limit: dict[str, Any] = {} if seconds is None else {"maxTimeMS": max(1, int(seconds * 1000))}
    quorum: dict[str, Any] = {} if _topology(collection) == "Single" else {"commitQuorum": "majority"}

    def create() -> OperationFailure | None:
        try:
            try:
                collection.create_indexes([model], **quorum, **limit)
            except TypeError:  # mongomock
                collection.create_index(index.keys, **index.options)
            except OperationFailure as error:
                if error.code not in _NO_QUORUM:
                    raise
                collection.create_indexes([model], **limit)
        except OperationFailure as error:
            if is_transient(error) and not isinstance(error, ExecutionTimeout):
                raise
            return error
        return None

    return retry(collection, create)

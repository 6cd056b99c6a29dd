"""Retries through elections, restarts and other transient failures.

::

    document = retry(files, lambda: files.find_one({"filename": "notes.txt"}))
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

_DUPLICATE_KEY = 11000  # the server's code
DISK_FULL = 14031
"""the server's code OutOfDiskSpace"""
NO_PLAN = 291
"""the server's code NoQueryExecutionPlans"""
# The messages of MongoDB and of Atlas.
_UNAUTHORIZED = re.compile(
    r"not authorized on \S+ to execute command \{ (?P<command>\w+): \"(?P<collection>[^\"]+)\""
    r"|not allowed to do action \[(?P<action>\w+)\] on \[[^.\]]+\.(?P<namespace>[^\]]+)\]"
)
T = TypeVar("T")
_PAUSE = 0.1  # seconds
_OUTAGE_MEMORY = 1  # seconds after the last operation that failed
_thread = threading.local()
# By the server's error_codes.yml. A mongos may answer with the last ones though a shard has done the write.
_TRANSIENT = {
    6,  # HostUnreachable
    7,  # HostNotFound
    24,  # LockTimeout
    43,  # CursorNotFound
    46,  # LockBusy
    50,  # MaxTimeMSExpired
    89,  # NetworkTimeout
    112,  # WriteConflict
    134,  # ReadConcernMajorityNotAvailableYet
    175,  # QueryPlanKilled
    202,  # NetworkInterfaceExceededTimeLimit
    237,  # CursorKilled
    246,  # SnapshotUnavailable
    262,  # ExceededTimeLimit
    355,  # InterruptedDueToStorageChange
    365,  # TemporarilyUnavailable
    371,  # UserWritesBlocked
    9001,  # SocketException
    11601,  # Interrupted
    46841,  # ClientMarkedKilled
    # of a shard's primary that steps down or stops, which the driver does not recognize in the errors of documents
    91,  # ShutdownInProgress
    189,  # PrimarySteppedDown
    10058,  # LegacyNotPrimary
    10107,  # NotWritablePrimary
    11600,  # InterruptedAtShutdown
    11602,  # InterruptedDueToReplStateChange
    13435,  # NotPrimaryNoSecondaryOk
    13436,  # NotPrimaryOrSecondary
    # of a mongos, while a shard has no primary
    70,  # ShardNotFound
    83,  # RemoteResultsUnavailable
    133,  # FailedToSatisfyReadPreference
    145,  # PooledConnectionsDropped
    149,  # NoConfigPrimary
    199,  # ReplicaSetMonitorRemoved
    216,  # ElectionInProgress
    317,  # ConnectionPoolExpired
    384,  # ConnectionError
    407,  # PooledConnectionAcquisitionExceededTimeLimit
    56846,  # ConfigServerUnreachable
    91331,  # RetriableRemoteCommandFailure
    # of a mongos, while chunks or collections move
    63,  # StaleShardVersion
    117,  # ConflictingOperationInProgress
    150,  # StaleEpoch
    203,  # ShardingStateNotInitialized
    227,  # CannotImplicitlyCreateCollection
    239,  # SnapshotTooOld
    249,  # StaleDbVersion
    250,  # StaleChunkHistory
    272,  # MigrationConflict
    314,  # ObjectIsBusy
    319,  # MovePrimaryInProgress
    342,  # ReshardingCriticalSectionTimeout
    343,  # ShardCannotRefreshDueToLocksHeld
    406,  # MigrationBlockingOperationCoordinatorCleaningUp
    453,  # InterruptedDueToReshardingCriticalSection
    9996,  # RecvStaleConfig
    13388,  # StaleConfig
    # of a server that has too much to do
    402,  # ResourceExhausted
    433,  # AdmissionQueueOverflow
    449,  # RateLimitExceeded
    450,  # PooledConnectionAcquisitionRejected
    462,  # IngressRequestRateLimitExceeded
}
_LABELS = ("RetryableWriteError", "RetryableError")  # of servers, also for codes of other releases


def codes(error: PyMongoError) -> set[int | None]:
    """Return the server's codes for *error*: the command's, or those of the documents that it could not write."""
    if not isinstance(error, OperationFailure):
        return set()
    return {error.code, *(one["code"] for one in (error.details or {}).get("writeErrors", ()))}


def missing_right(error: Exception) -> tuple[str, str] | None:
    """Return the command, and its collection, that the database user has no right to; None if it is another error."""
    found = _UNAUTHORIZED.search(str(error)) if isinstance(error, OperationFailure) else None
    return (found["command"] or found["action"], found["collection"] or found["namespace"]) if found else None


def reason(error: PyMongoError) -> str:
    """Describe *error* for a log, without the documents that the driver quotes: they may be chunks of files."""
    if right := missing_right(error):
        return "the database user may not {} in {}".format(*right)
    if NO_PLAN in codes(error):
        return "no index fits, and the server scans no collections (notablescan); see 'flask gridfs index --help'"
    details = (error.details or {}) if isinstance(error, BulkWriteError) else {}
    for failed in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())):
        return str(failed.get("errmsg"))
    return str(error).partition(", full error")[0].partition(", Topology Description")[0]


def is_transient(error: PyMongoError) -> bool:
    """Whether the same operation may succeed later; the server may have done it, or a part of it, nevertheless."""
    if isinstance(error, (AutoReconnect, WaitQueueTimeoutError)):
        return True
    if 20 in codes(error) and "retryable writes" in str(error):
        # A standalone server refuses transaction numbers, which PyMongo 4.20 sends to it when it repeats a
        # write whose connection broke off in its handshake.
        return True
    if is_unconfirmed(error):
        return False
    return not _TRANSIENT.isdisjoint(codes(error)) or any(map(error.has_error_label, _LABELS))


def is_unconfirmed(error: PyMongoError) -> bool:
    """Whether the server did the write, but did not confirm in time that it is durable."""
    if isinstance(error, BulkWriteError):
        return bool(error.details and error.details.get("writeConcernErrors"))
    return isinstance(error, WriteConcernError)


def duplicates(error: BulkWriteError) -> set[int]:
    """Return the places of the documents that a unique index refused.

    :raises pymongo.errors.BulkWriteError: *error*, if anything else went wrong
    """
    refused = error.details["writeErrors"]
    if is_unconfirmed(error) or {one["code"] for one in refused} != {_DUPLICATE_KEY}:
        raise error
    return {one["index"] for one in refused}


def is_outage(error: PyMongoError) -> bool:
    """Whether the database did not answer or confirm in time, so that a later request may succeed."""
    return isinstance(error, ConnectionFailure) or is_unconfirmed(error) or is_transient(error)


def is_reachable(collection: Collection[Any]) -> bool:
    """Whether the driver knows a server that can serve reads of *collection*."""
    topology = collection.database.client.topology_description
    return bool(topology.has_readable_server(collection.read_preference))


class RetryBudget:
    """How long an operation is retried: for the client's server selection timeout.

    If a suitable server is known, the time starts at the first failure, which itself may have taken as long as the
    timeout. Otherwise it starts at the first attempt, in which the driver has already waited for a server.

    Right after an operation of the same thread has waited in vain, the next one does not wait again while no server is
    known: an outage costs a request one timeout, however much it still wants to do.

    :param collection: the operation's collection
    :raises pymongo.errors.AutoReconnect: if that is so
    """

    def __init__(self, collection: Collection[Any]) -> None:
        self._collection = collection
        lost: tuple[int, float, str] | None = getattr(_thread, "lost", None)
        if lost is not None and lost[0] == id(collection.database.client):
            if time.monotonic() - lost[1] < _OUTAGE_MEMORY and not is_reachable(collection):
                self._note_outage(lost[2])
                raise AutoReconnect(lost[2])
            _thread.lost = None
        self.renew()

    def _note_outage(self, why: str) -> None:
        _thread.lost = id(self._collection.database.client), time.monotonic(), why

    def renew(self) -> None:
        """Start the time again, after a success."""
        self._asked = time.monotonic()
        self._failed: float | None = None

    def lasts(self, error: PyMongoError) -> bool:
        """Return whether to retry after *error*; if so, wait for a moment first."""
        if not is_transient(error):
            return False
        now = time.monotonic()
        self._failed = now if self._failed is None else self._failed
        reachable = is_reachable(self._collection)
        since = self._failed if reachable else self._asked
        if now - since >= self._collection.database.client.options.server_selection_timeout:
            if not reachable:
                self._note_outage(reason(error))
            return False
        time.sleep(_PAUSE)
        return True


def retry(collection: Collection[Any], operation: Callable[[], T], on_retry: Callable[[], T] | None = None) -> T:
    """Return the result of *operation*, which is retried while it fails with transient errors.

    The driver retries only once, which is not enough for an election or a restart, and never retries index builds or
    writes to a standalone server.

    :param on_retry: replaces *operation* after the first failure, as the server may have done it already
    :raises pymongo.errors.PyMongoError: an error that is not transient, or outlasts the :class:`RetryBudget`
    """
    budget = RetryBudget(collection)
    while True:
        try:
            return operation()
        except PyMongoError as error:
            if not budget.lasts(error):
                raise
            operation = on_retry or operation


def while_known(cursor: Any, client: Any) -> Iterator[dict[str, Any]]:
    """Iterate over *cursor* while its server is reachable.

    Otherwise the driver's getMore would wait for that server for the whole server selection timeout, though a new
    cursor on another server could continue.

    :raises pymongo.errors.AutoReconnect: if the server is not reachable
    """
    while True:
        if cursor.address is not None:
            server = client.topology_description.server_descriptions().get(cursor.address)
            if server is None or not server.is_server_type_known:
                raise AutoReconnect(f"{cursor.address} is not reachable")
        try:
            document = next(cursor)
        except StopIteration:
            return
        yield document

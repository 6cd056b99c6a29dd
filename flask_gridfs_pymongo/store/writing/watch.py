"""Whether an upload was quick and without errors, so that its result need not be verified.

An upload relies on its claim, and on chunks without a files document: nobody removes these in the first ten minutes. So
after an upload of less than a minute, without an error, nobody need check that they are still there::

    watch = Watch(collections)
    watch.write(partial(chunks.insert_many, documents))
    ...
    watch.sure
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from bson.timestamp import Timestamp
from pymongo.client_session import ClientSession
from pymongo.errors import ConfigurationError

from ..collections import Collections

_SHORT = 60  # seconds
T = TypeVar("T")


class Watch:
    """Watches one upload from its beginning: how long it takes, also while its process or machine is paused.

    That a virtual machine was paused may show only in the server's time, which replica sets and mongos return with
    each write.

    :param late: the upload began earlier
    """

    def __init__(self, collections: Collections, *, late: bool = False) -> None:
        self._indexes = collections.indexes
        self._doubtful = late
        self._began = _counters()
        self._first: Timestamp | None = None
        self._last: Timestamp | None = None
        self._session: ClientSession | None = None
        if collections.is_replicated and not late:
            self._session = collections.files.database.client.start_session(causal_consistency=False)

    def write(self, operation: Callable[..., T]) -> T:
        """Do a write of the upload, return its result, and note the server's time.

        :param operation: takes a *session*
        """
        if self._session is None or self._doubtful:
            return operation()
        try:
            done = operation(session=self._session)
        except ConfigurationError:  # nothing was sent: a member that has just started does not support sessions yet
            self.doubt()
            return operation()
        finally:
            self._last = self._session.operation_time
            self._first = self._first or self._last
        return done

    def join(self, other: Watch) -> None:
        """Note the last write of *other*, which was one for both uploads."""
        self._last = other._last
        self._first = self._first or self._last
        self._doubtful = self._doubtful or other._doubtful

    def doubt(self) -> None:
        """Note that something failed, or is retried."""
        self._doubtful = True

    def doubting(self, write: Callable[[], T]) -> Callable[[], T]:
        """Return *write* as a retry of it (:func:`.retry`): it also calls :meth:`doubt`."""

        def again() -> T:
            self.doubt()
            return write()

        return again

    @property
    def sure(self) -> bool:
        """Whether the result need not be verified."""
        if self._doubtful or not self._indexes.complete or self._seconds() > _SHORT:
            return False
        if self._session is None:
            return True
        if self._first is None or self._last is None or self._first == self._last:
            return False  # a single write does not show how long before it the upload began
        return bool(self._last.time - self._first.time <= _SHORT)

    def _seconds(self) -> float:
        return max(now - then for now, then in zip(_counters(), self._began, strict=True))

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.end_session()


def _counters() -> tuple[float, ...]:
    """Clocks of this machine, in seconds: one that also counts during sleep; without it, two others."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return (time.clock_gettime(time.CLOCK_BOOTTIME),)
    return time.monotonic(), time.time()

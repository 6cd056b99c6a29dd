"""Whether an upload went as almost all do, so that nothing can have happened to it that has to be looked for.

What an upload relies on lives for ten minutes at least: its claim, and chunks that have no files document yet. So one
that took less than a minute, without an error, need not ask again whether they are there::

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

    A paused virtual machine may show only in the server's time: replica sets and mongos tell theirs with each write.

    :param late: the upload began at some time before
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
        """Return what a write of the upload returns; a replica set tells its time with it.

        :param operation: takes a *session*
        """
        if self._session is None or self._doubtful:
            return operation()
        try:
            done = operation(session=self._session)
        except ConfigurationError:  # nothing was sent: a member that has just started takes no sessions yet
            self.doubt()
            return operation()
        self._last = self._session.operation_time
        self._first = self._first or self._last
        return done

    def doubt(self) -> None:
        """Something failed, or is done once more."""
        self._doubtful = True

    def doubting(self, write: Callable[[], T]) -> Callable[[], T]:
        """Return *write* as it is done once more (:func:`.retry`)."""

        def again() -> T:
            self.doubt()
            return write()

        return again

    @property
    def sure(self) -> bool:
        """Whether nothing can have happened."""
        if self._doubtful or not self._indexes.complete or self._seconds() > _SHORT:
            return False
        if self._session is None:
            return True
        if self._first is None or self._last is None or self._first == self._last:
            return False  # of one write alone nothing tells how long before it the upload began
        return bool(self._last.time - self._first.time <= _SHORT)

    def _seconds(self) -> float:
        return max(now - then for now, then in zip(_counters(), self._began, strict=True))

    def close(self) -> None:
        """The upload is over."""
        if self._session is not None:
            self._session.end_session()


def _counters() -> tuple[float, ...]:
    """Clocks of this machine, in seconds: the one that also counts while it sleeps, else two that together may."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return (time.clock_gettime(time.CLOCK_BOOTTIME),)
    return time.monotonic(), time.time()

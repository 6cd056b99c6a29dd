"""The time by the server's clock: the clocks of the processes that share a database may be wrong.

::

    collection.find({"expires": {"$lte": collections.clock.now()}})
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.collection import Collection

from .retry import retry

_CLOCK_TTL = 60  # seconds for which an answer is used


class Clock:
    """Asks the primary at most once a minute, and adds the time since then by this process's monotonic clock.

    :param collection: any one of the database
    """

    def __init__(self, collection: Collection[Any]) -> None:
        self._collection = collection
        self._asked: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the time in UTC, to the millisecond, as in BSON.

        It may be behind for a minute after the machine was suspended, but is never ahead.
        """
        if self._asked is None or time.monotonic() - self._asked[1] > _CLOCK_TTL:
            self._asked = self._ask(), time.monotonic()
        asked, began = self._asked
        return asked + timedelta(milliseconds=int(1000 * (time.monotonic() - began)))

    def _ask(self) -> datetime:
        admin = self._collection.database.client["admin"]
        try:
            now: datetime = retry(self._collection, lambda: admin.command("hello"))["localTime"]
        except NotImplementedError:  # mongomock
            now = datetime.now(UTC)
            return now.replace(microsecond=now.microsecond // 1000 * 1000)
        return now if now.tzinfo else now.replace(tzinfo=UTC)

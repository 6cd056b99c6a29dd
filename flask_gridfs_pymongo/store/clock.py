"""The time by the server's clock: those of the processes that share a database may be wrong.

::

    collection.find({"expires": {"$lte": collections.clock.now()}})
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.collection import Collection

from .retry import retry

_FRESH = 60  # seconds for which an answer is good


class Clock:
    """Asks the primary at most once a minute; in between it counts by a clock of this process that nobody sets.

    :param collection: one of the database's
    """

    def __init__(self, collection: Collection[Any]) -> None:
        self._collection = collection
        self._asked: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the time in UTC, to the millisecond as BSON has it.

        It may be a minute behind if the process was stopped, and is never ahead.
        """
        if self._asked is None or time.monotonic() - self._asked[1] > _FRESH:
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

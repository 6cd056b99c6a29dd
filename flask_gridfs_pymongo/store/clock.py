"""The time by the server's clock: those of the processes that share a database may be wrong.

::

    clock = Clock(collection)
    collection.find({"expires": {"$lte": clock.now()}})
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

from .retry import retry


class Clock:
    """Asks the primary once, and goes on by this process's monotonic clock, which nobody sets.

    :param collection: one of the database's
    """

    def __init__(self, collection: Any) -> None:
        admin = collection.database.client["admin"]
        try:
            self._asked: datetime = retry(collection, lambda: admin.command("hello"))["localTime"]
        except NotImplementedError:  # mongomock
            self._asked = datetime.now(timezone.utc)
        if self._asked.tzinfo is None:
            self._asked = self._asked.replace(tzinfo=timezone.utc)
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Return the time in UTC; it is behind where the process was stopped, and never ahead."""
        return self._asked + timedelta(seconds=time.monotonic() - self._began)

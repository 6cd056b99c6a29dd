"""The time by the server's clock: the clocks of the processes that share a database may be wrong.

::

    collection.find({"expires": {"$lte": collections.clock.now()}})
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.topology_description import TopologyDescription

from .retry import retry

_CLOCK_TTL = 60  # seconds for which an answer is used
_Servers = set[tuple[Any, Any]]


class Clock:
    """Asks the primary once a minute, or when another server has taken its place.

    Meanwhile it adds the time that has passed by this process's monotonic clock.

    :param collection: any one of the database
    """

    def __init__(self, collection: Collection[Any]) -> None:
        self._collection = collection
        self._asked: tuple[datetime, float, _Servers] | None = None

    def now(self) -> datetime:
        """Return the time in UTC, to the millisecond, as in BSON.

        It may be behind for a minute after the machine was suspended, but is never ahead.
        """
        servers = self._servers()
        known = self._asked
        if known is None or time.monotonic() - known[1] > _CLOCK_TTL or (servers and servers != known[2]):
            known = self._asked = self._ask(), time.monotonic(), servers
        asked, began, _ = known
        return asked + timedelta(milliseconds=int(1000 * (time.monotonic() - began)))

    def _servers(self) -> _Servers:
        """The servers that take writes, each with its process: after a failover or restart, another clock counts."""
        topology = self._collection.database.client.topology_description
        known = isinstance(topology, TopologyDescription)  # mongomock takes the name for a database
        found = topology.server_descriptions().values() if known else ()
        versions = [(server.address, server.topology_version or {}) for server in found if server.is_writable]
        return {(address, version.get("processId")) for address, version in versions}

    def _ask(self) -> datetime:
        admin = self._collection.database.client["admin"]
        try:
            answer = retry(
                self._collection, lambda: admin.command("hello", read_preference=ReadPreference.PRIMARY_PREFERRED)
            )
            now: datetime = answer["localTime"]
        except NotImplementedError:  # mongomock
            now = datetime.now(UTC)
            return now.replace(microsecond=now.microsecond // 1000 * 1000)
        return aware(now)


def aware(date: datetime) -> datetime:
    """Return a date of the database with its time zone, UTC, which mongomock and some clients leave out."""
    return date if date.tzinfo else date.replace(tzinfo=UTC)

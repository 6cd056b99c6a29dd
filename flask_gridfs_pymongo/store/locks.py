"""The locks of the network drive: one document, so that of two conflicting locks only one is made.

::

    locks = Locks(collections)
    locks.change(lambda locks: [*locks, lock])
    locks.all()
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from pymongo.errors import DuplicateKeyError

from .collections import Collections
from .errors import QuotaExceeded
from .retry import retry

MAX_LOCKS = 1000
LOCKS = "locks"
"""the ``_id`` of their document in ``base.dav``"""
_ATTEMPTS = 100
_PAUSE = 0.02  # seconds at most between two attempts
Lock = Mapping[str, Any]
"""``token``, ``root`` (a slash and the quoted path), ``expires`` (by the server's clock), and what the caller adds"""


class Locks:
    """The locks of one bucket, by the server's clock."""

    def __init__(self, collections: Collections) -> None:
        self._collection, self._clock = collections.dav, collections.clock
        self.made = False
        """whether this process has stored one"""

    def all(self) -> list[Lock]:
        """Return the locks that have not expired."""
        return self.of(self._stored())

    def of(self, stored: Mapping[str, Any] | None) -> list[Lock]:
        """Return those of their document, if there is one, that have not expired."""
        locks: list[Lock] = stored["locks"] if stored else []
        return [lock for lock in locks if lock["expires"] > self._clock.now()]

    def change(self, change: Callable[[list[Lock]], Iterable[Lock]]) -> None:
        """Change all locks atomically, so that of two conflicting locks only one is made, in whichever processes.

        :param change: takes the locks that have not expired, and returns the new ones; it may be called again after its
            change was stored; what it raises is passed on, and nothing is changed
        :raises QuotaExceeded: if there would be more than :data:`MAX_LOCKS`
        """
        for attempt in range(_ATTEMPTS):
            stored = self._stored()
            locks = list(change(self.of(stored)))
            if len(locks) > MAX_LOCKS:
                raise QuotaExceeded(f"a bucket has at most {MAX_LOCKS} locks")
            if self._replace(stored, locks):
                return
            time.sleep(random.uniform(0, min(attempt / 1000, _PAUSE)))  # noqa: S311  so that they do not race again
        raise TimeoutError(f"{self._collection.full_name}: others changed the locks {_ATTEMPTS} times meanwhile")

    def end(self, known: list[Lock], paths: Collection[str]) -> None:
        """End the locks of *paths*, if there are any among those that are *known*."""
        if any(locked(lock) in paths for lock in known):
            self.change(lambda locks: [lock for lock in locks if locked(lock) not in paths])

    def _stored(self) -> Mapping[str, Any] | None:
        return retry(self._collection, lambda: self._collection.find_one({"_id": LOCKS}))

    def _replace(self, stored: Mapping[str, Any] | None, locks: list[Lock]) -> bool:
        """Store *locks* unless another process has changed them since; return whether they were stored."""
        self.made = True
        if stored is None:
            first = {"_id": LOCKS, "version": 1, "locks": locks}
            try:
                retry(self._collection, lambda: self._collection.insert_one(first))
            except DuplicateKeyError:
                return False
            return True
        own, fields = {"_id": LOCKS, "version": stored["version"]}, {"version": stored["version"] + 1, "locks": locks}
        change = {"$set": fields}
        return bool(retry(self._collection, lambda: self._collection.update_one(own, change)).modified_count)


def locked(lock: Lock) -> str:
    """Return the name of the file that is locked, or the path of a folder without the slash at its end."""
    return unquote(lock["root"])[1:]

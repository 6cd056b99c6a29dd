"""A cache in the memory of one process, with a limit in bytes.

::

    memory = Memory(16 * 1024 * 1024)
    memory.put("notes.txt", b"Buy milk", 8)
    memory.get("notes.txt")  # b"Buy milk"
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any

_OVERHEAD = 512  # bytes of an entry in addition to its value: the key and the tables
_SHARE = 64  # an entry may take at most this fraction of the whole, so that it does not displace all others


class Memory:
    """Values by key; the least recently used are removed first. It is thread-safe.

    :param size: bytes; 0: keep nothing
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> Any:
        """Return the value, or None."""
        with self._lock:
            if (entry := self._entries.get(key)) is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep *value*, of *size* bytes, unless it is too large."""
        size += _OVERHEAD
        with self._lock:
            self._forget(key)
            if size > self._size // _SHARE:
                return
            self._entries[key] = value, size
            self._left -= size
            while self._left < 0:
                self._forget(next(iter(self._entries)))

    def drop(self, key: Hashable) -> None:
        """Remove the value, if any."""
        with self._lock:
            self._forget(key)

    def _forget(self, key: Hashable) -> None:
        _, size = self._entries.pop(key, (None, 0))
        self._left += size

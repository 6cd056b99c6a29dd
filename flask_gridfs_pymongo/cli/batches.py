"""Files in batches, for commands on many of them.

::

    for batch in batches(stored_files(bucket, names, report)):
        bucket.delete_all_many([one.file for one in batch])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

_MAX_FILES = 500
_MAX_BYTES = 4 * 1024 * 1024
T = TypeVar("T")


def batches(
    items: Iterable[T], *, key: Callable[[T], Any] = id, weight: Callable[[T], int] = lambda item: 0
) -> Iterator[list[T]]:
    """Yield *items* in lists of at most 500.

    :param key: no two items in a list have the same one
    :param weight: in bytes; those of a list add up to at most 4 MiB, or it has one item
    """
    batch: dict[Any, T] = {}
    size = 0
    for item in items:
        size += weight(item)
        if batch and (key(item) in batch or len(batch) == _MAX_FILES or size > _MAX_BYTES):
            yield list(batch.values())
            batch, size = {}, weight(item)
        batch[key(item)] = item
    if batch:
        yield list(batch.values())

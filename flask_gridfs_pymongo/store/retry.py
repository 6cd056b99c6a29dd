"""Trying again where the database goes away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect

T = TypeVar("T")


def patience(collection: Any) -> float:
    """For how many seconds what a lost connection broke is tried again: the client's server selection timeout."""
    seconds: float = collection.database.client.options.server_selection_timeout
    return seconds


def persist(collection: Any, operation: Callable[[], T], again: Callable[[], T] | None = None) -> T:
    """Return what *operation* returns, also where the connection breaks meanwhile.

    The driver tries again once, and index builds and a single server's writes not at all; an election or a restart
    takes more.

    :param again: what to do from then on in its place, as the server may have done it without our knowing
    :raises pymongo.errors.AutoReconnect: where that goes on for longer than :func:`patience`
    """
    start = time.monotonic()
    while True:
        try:
            return operation()
        except AutoReconnect:
            if time.monotonic() - start >= patience(collection):
                raise
            operation = again or operation

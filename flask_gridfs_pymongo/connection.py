"""What an extension object keeps for each application: its settings, and a client in each process.

::

    state = state_of(mongo, app_of(apps))
    state.connection.bucket(state.settings.dbname, "fs")
"""

from __future__ import annotations

import os
from collections.abc import Collection
from threading import Semaphore
from typing import Any

from flask import Flask, current_app, has_app_context

from . import config
from .cache import Memory
from .store import Bucket
from .wrappers import MongoClient

_STREAMS = 100  # exhaust cursors at once, where half of the pool is more, or the pool has no limit
_TYPES = 4 * 1024 * 1024  # bytes


class Connection:
    """One process's client, and the buckets that were used through it."""

    def __init__(self, settings: config.Settings) -> None:
        self._streams: Semaphore | None = None
        if settings.mongomock:
            from .mock import MongoClient as MockClient

            self.client: Any = MockClient(settings.options["host"], tz_aware=settings.options.get("tz_aware", True))
        else:
            self.client = MongoClient(**settings.options)
            # Half the pool at most: the rest is for requests that are over soon.
            pool_size = self.client.options.pool_options.max_pool_size
            self._streams = Semaphore(_STREAMS if pool_size is None else min(pool_size // 2, _STREAMS))
        self._memory, self._types = Memory(settings.memory_cache), Memory(_TYPES)
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def bucket(self, dbname: str, base: str) -> Bucket:
        """The bucket *base* of the database *dbname*."""
        key = dbname, base
        if key not in self._buckets:
            self._buckets[key] = Bucket(self.client[dbname], base, self._streams, self._memory, self._types)
        return self._buckets[key]


class AppState:
    """What one application and one prefix have: checked settings, and a connection for each process.

    A client must not cross a fork (gunicorn's ``--preload``), so every process makes its own on first use. The
    parent's stays referenced, so that it is not taken for one that was forgotten open.
    """

    def __init__(self, owner: object, settings: config.Settings) -> None:
        self.owner = owner  # the PyMongo object that this is the state of
        self.settings = settings
        self._connections: dict[int, Connection] = {}

    @property
    def connection(self) -> Connection:
        pid = os.getpid()
        connection = self._connections.get(pid)
        if connection is None:
            made = Connection(self.settings)
            connection = self._connections.setdefault(pid, made)  # no lock: one held in a fork is held for ever
            if connection is not made:
                made.client.close()
        return connection


def app_of(apps: Collection[Flask]) -> Flask:
    """The current application, or outside of any the only one of *apps*.

    :raises RuntimeError: saying what to do, where there is none
    """
    if has_app_context():
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        return app
    if len(apps) == 1:
        return next(iter(apps))
    if apps:
        raise RuntimeError("this PyMongo object has several apps; use it within app.app_context()")
    raise RuntimeError("this PyMongo object has no app; call init_app(app) first")


def state_of(owner: object, app: Flask) -> AppState:
    """What *app* has for the PyMongo object *owner*.

    :raises RuntimeError: where it was not initialized for *app*
    """
    for state in app.extensions.get("pymongo", {}).values():
        if state.owner is owner:
            found: AppState = state
            return found
    raise RuntimeError(f"this PyMongo object is not initialized for the app {app.name!r}; call init_app(app) first")

"""The state of an extension object in each application: its settings, and a client for each process.

::

    state = state_of(mongo, app_of(apps))
    state.connection.bucket(state.settings.dbname, "fs")
"""

from __future__ import annotations

import os
from collections.abc import Collection
from threading import Semaphore
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, has_app_context

from . import config
from .cache import Memory
from .store import Bucket
from .wrappers import MongoClient

if TYPE_CHECKING:
    from .cache.disk import Disk

_STREAMS = 100  # exhaust cursors at once, even if half of the pool is more
_MAX_BUCKETS = 200
_TYPES_SIZE = 4 * 1024 * 1024  # bytes


class Connection:
    """The client of one process, and its buckets."""

    def __init__(self, settings: config.Settings) -> None:
        self._streams: Semaphore | None = None
        if settings.mongomock:
            from .mock import MongoClient as MockClient

            self.client: Any = MockClient(settings.options["host"], tz_aware=settings.options.get("tz_aware", True))
        else:
            self.client = MongoClient(**settings.options)
            # Half of the pool at most: the rest is for short requests.
            pool_size = self.client.options.pool_options.max_pool_size
            self._streams = Semaphore(_STREAMS if pool_size is None else min(pool_size // 2, _STREAMS))
        self._memory, self._types = Memory(settings.memory_cache), Memory(_TYPES_SIZE)
        self.disk: Disk | None = None
        if settings.file_cache is not None:
            from .cache.disk import PINNED, Disk
            from .cache.folder import Folder

            limits = settings.file_cache_size, settings.file_cache_age, PINNED if settings.accel else 0
            self.disk = Disk(Folder(settings.file_cache, *limits), settings.servers, settings.accel)
        self._trash = settings.trash
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def bucket(self, dbname: str, base: str) -> Bucket:
        """Return the bucket *base* of the database *dbname*."""
        key = dbname, base
        bucket = self._buckets.get(key)
        if bucket is None:
            while len(self._buckets) >= _MAX_BUCKETS:  # of tenants; what an old one knows costs a few round trips
                self._buckets.pop(list(self._buckets)[0], None)  # noqa: RUF015  atomic, which an iterator is not
            caches = self._memory, self._types, self.disk
            made = Bucket(self.client[dbname], base, self._streams, *caches, trash=self._trash)
            bucket = self._buckets.setdefault(key, made)
        return bucket


class AppState:
    """The state for one application and one prefix: checked settings, and a connection for each process.

    A client must not cross a fork (gunicorn's ``--preload``), so every process makes its own on first use. The parent's
    stays referenced: PyMongo warns of clients that are collected without being closed.
    """

    def __init__(self, owner: object, settings: config.Settings) -> None:
        self.owner = owner  # the PyMongo object
        self.settings = settings
        self._connections: dict[int, Connection] = {}

    @property
    def connection(self) -> Connection:
        pid = os.getpid()
        connection = self._connections.get(pid)
        if connection is None:
            made = Connection(self.settings)
            connection = self._connections.setdefault(pid, made)  # no lock: one held during a fork is never released
            if connection is not made:
                made.client.close()
        return connection


def app_of(apps: Collection[Flask]) -> Flask:
    """Return the current application, or, outside of any application context, the only one of *apps*.

    :raises RuntimeError: with the remedy, if the extension has no application, or several
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
    """Return the state of the PyMongo object *owner* in *app*.

    :raises RuntimeError: if it was not initialized for *app*
    """
    for state in app.extensions.get("pymongo", {}).values():
        if state.owner is owner:
            found: AppState = state
            return found
    raise RuntimeError(f"this PyMongo object is not initialized for the app {app.name!r}; call init_app(app) first")

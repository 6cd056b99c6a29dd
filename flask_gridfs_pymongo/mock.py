"""mongomock in place of a database, for tests of applications: ``MONGO_URI = "mongomock://localhost/name"``.

This module is only imported for that scheme, so that others need not install mongomock.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from types import SimpleNamespace
from typing import Any

try:
    mongomock: Any = import_module("mongomock")
except ImportError as error:
    raise ImportError("a mongomock:// URI needs mongomock: pip install mongomock") from error

from .wrappers import CollectionMixin

_BULK = mongomock.collection.BulkOperationBuilder


def _without_sort(add: Any) -> Any:
    return lambda self, *args, sort=None, **kwargs: add(self, *args, **kwargs)


if "sort" not in signature(_BULK.add_update).parameters:  # which the driver passes from PyMongo 4.11 on
    _BULK.add_update, _BULK.add_replace = _without_sort(_BULK.add_update), _without_sort(_BULK.add_replace)


class Collection(CollectionMixin, mongomock.Collection):  # type: ignore[misc]
    """mongomock's collection with what :class:`.wrappers.Collection` adds."""

    def with_options(self, *args: Any, **kwargs: Any) -> Collection:
        return _collection(self.database, super().with_options(*args, **kwargs))


class Database(mongomock.Database):  # type: ignore[misc]
    """mongomock's database with our collections."""

    def get_collection(self, *args: Any, **kwargs: Any) -> Collection:
        return _collection(self, super().get_collection(*args, **kwargs))

    def with_options(self, *args: Any, **kwargs: Any) -> Database:
        return _database(self.client, super().with_options(*args, **kwargs))


class MongoClient(mongomock.MongoClient):  # type: ignore[misc]
    """mongomock's client with our databases."""

    options = SimpleNamespace(server_selection_timeout=30.0)  # seconds; mongomock's own client has none

    def get_database(self, *args: Any, **kwargs: Any) -> Database:
        return _database(self, super().get_database(*args, **kwargs))


def _collection(database: Database, mock: Any) -> Collection:
    return Collection(
        database,
        mock.name,
        mock._db_store,
        write_concern=mock.write_concern,
        read_concern=mock.read_concern,
        read_preference=mock.read_preference,
        codec_options=mock.codec_options,
    )


def _database(client: MongoClient, mock: Any) -> Database:
    return Database(
        client,
        mock.name,
        mock._store,
        read_preference=mock.read_preference,
        codec_options=mock.codec_options,
        read_concern=mock.read_concern,
    )

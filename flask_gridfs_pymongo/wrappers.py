"""The driver's classes with :meth:`CollectionMixin.find_one_or_404` and the classic write methods.

Every database and collection reached from a client, by dot, bracket or method, is one of these classes. The mixins
contain everything, so that mongomock's classes (in ``mock.py``) get the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pymongo.collection
import pymongo.database
import pymongo.mongo_client
from flask import abort
from pymongo.write_concern import WriteConcern


class LegacyMixin:
    """``save``, ``insert``, ``update`` and ``remove`` of PyMongo 2, which the driver no longer has.

    They are for code that was written for Flask-PyMongo 0.5; new code uses the driver's ``insert_one`` etc. Each takes
    ``safe=False`` for an unacknowledged write, and ``w``, ``wtimeout``, ``j`` and ``fsync`` for this one write.
    """

    def _written_with(self: Any, safe: bool | None, concern: dict[str, Any]) -> Any:
        if safe is False:
            concern = {"w": 0}
        elif safe and not concern and not self.write_concern.acknowledged:
            concern = {"w": 1}
        return self.with_options(write_concern=WriteConcern(**concern)) if concern else self

    def save(self, to_save: dict[str, Any], *, safe: bool | None = None, **concern: Any) -> Any:
        """Insert *to_save*, or replace the document with its ``_id``. Returns the ``_id``."""
        if "_id" not in to_save:
            return self.insert(to_save, safe=safe, **concern)
        collection = self._written_with(safe, concern)
        collection.replace_one({"_id": to_save["_id"]}, to_save, upsert=True)
        return to_save["_id"]

    def insert(
        self, doc_or_docs: Any, *, safe: bool | None = None, continue_on_error: bool = False, **concern: Any
    ) -> Any:
        """Insert a document, or several. Returns its ``_id``, or a list of all."""
        collection = self._written_with(safe, concern)
        if isinstance(doc_or_docs, Mapping):
            return collection.insert_one(doc_or_docs).inserted_id
        return collection.insert_many(list(doc_or_docs), ordered=not continue_on_error).inserted_ids

    def update(
        self,
        spec: dict[str, Any],
        document: dict[str, Any],
        upsert: bool = False,
        *,
        multi: bool = False,
        safe: bool | None = None,
        **concern: Any,
    ) -> Any:
        """Update the first document that matches *spec*, or with ``multi=True`` every one.

        A *document* without ``$`` operators replaces what it matches. Returns the server's answer, a dict with ``n``
        and ``updatedExisting``; None if the write is unacknowledged.
        """
        collection = self._written_with(safe, concern)
        if not next(iter(document), "").startswith("$"):
            if multi:
                raise ValueError("multi=True needs $ operators such as $set in the document")
            result = collection.replace_one(spec, document, upsert=upsert)
        elif multi:
            result = collection.update_many(spec, document, upsert=upsert)
        else:
            result = collection.update_one(spec, document, upsert=upsert)
        return result.raw_result if result.acknowledged else None

    def remove(self, spec_or_id: Any = None, *, multi: bool = True, safe: bool | None = None, **concern: Any) -> Any:
        """Remove what matches a query or an ``_id``; without either, every document.

        Returns the server's answer, a dict with ``n``; None if the write is unacknowledged.
        """
        if spec_or_id is None:
            spec_or_id = {}
        elif not isinstance(spec_or_id, Mapping):
            spec_or_id = {"_id": spec_or_id}
        collection = self._written_with(safe, concern)
        result = (collection.delete_many if multi else collection.delete_one)(spec_or_id)
        return result.raw_result if result.acknowledged else None


class CollectionMixin(LegacyMixin):
    """What our collections add to the driver's."""

    def find_one_or_404(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the first document that matches; abort with 404 Not Found if none does.

        The arguments are those of :meth:`~pymongo.collection.Collection.find_one`. A filter from a client may
        contain operators (``{"$ne": null}``): pass values that you have checked, not the JSON of a request::

            @app.route("/user/<username>")
            def user_profile(username):
                return render_template("user.html", user=mongo.db.users.find_one_or_404({"_id": username}))
        """
        found = self.find_one(*args, **kwargs)
        if found is None:
            abort(404)
        return found


class Collection(CollectionMixin, pymongo.collection.Collection[Any]):
    """A :class:`pymongo.collection.Collection` with :meth:`~CollectionMixin.find_one_or_404`.

    A collection whose name ends with that of a method is reached by brackets: ``db["logs.update"]``.
    """

    @classmethod
    def _of(cls, database: Any, driver: pymongo.collection.Collection[Any]) -> Collection:
        options = driver.codec_options, driver.read_preference, driver.write_concern, driver.read_concern
        return cls(database, driver.name, None, *options)

    def __getattr__(self, name: str) -> Collection:
        super().__getattr__(name)  # checks the name: no leading underscore
        return self[name]

    def __getitem__(self, name: str) -> Collection:
        return self._of(self.database, super().__getitem__(name))

    def with_options(self, *args: Any, **kwargs: Any) -> Collection:
        return self._of(self.database, super().with_options(*args, **kwargs))


class Database(pymongo.database.Database[Any]):
    """A :class:`pymongo.database.Database` whose collections are :class:`Collection`."""

    @classmethod
    def _of(cls, client: Any, driver: pymongo.database.Database[Any]) -> Database:
        options = driver.codec_options, driver.read_preference, driver.write_concern, driver.read_concern
        return cls(client, driver.name, *options)

    def __getattr__(self, name: str) -> Collection:
        super().__getattr__(name)
        return self[name]

    def __getitem__(self, name: str) -> Collection:
        return Collection._of(self, super().__getitem__(name))

    def with_options(self, *args: Any, **kwargs: Any) -> Database:
        return self._of(self.client, super().with_options(*args, **kwargs))

    def get_collection(self, *args: Any, **kwargs: Any) -> Collection:
        return Collection._of(self, super().get_collection(*args, **kwargs))

    def create_collection(self, *args: Any, **kwargs: Any) -> Collection:
        return Collection._of(self, super().create_collection(*args, **kwargs))


class MongoClient(pymongo.mongo_client.MongoClient[Any]):
    """A :class:`pymongo.mongo_client.MongoClient` whose databases are :class:`Database`."""

    def __getattr__(self, name: str) -> Database:
        super().__getattr__(name)
        return self[name]

    def __getitem__(self, name: str) -> Database:
        return Database._of(self, super().__getitem__(name))

    def get_database(self, *args: Any, **kwargs: Any) -> Database:
        return Database._of(self, super().get_database(*args, **kwargs))

    def get_default_database(self, *args: Any, **kwargs: Any) -> Database:
        return Database._of(self, super().get_default_database(*args, **kwargs))


class MongoReplicaSetClient(MongoClient):
    """The name of PyMongo 2 for the client of a replica set; :class:`MongoClient` is the same."""

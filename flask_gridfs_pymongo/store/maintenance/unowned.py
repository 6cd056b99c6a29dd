"""Finds the files that no document of the application names.

::

    with Unowned(bucket, ["users.avatar", "posts.pictures"], timedelta(days=1)) as unowned:
        for file in unowned.files():
            print(file.filename)

Documents may name millions of files: their ids are kept in a temporary file, so that memory stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from types import NoneType
from typing import Any, NamedTuple

import bson
from bson.dbref import DBRef
from bson.errors import BSONError
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from pymongo import ReadPreference

from ..bucket import Bucket
from ..integrity import whole
from ..model import StoredFile
from ..writing.batches import batches

_BATCH = 500  # files
_READ = 5000  # documents that are in memory at once
_MAX_ASKED = 1024  # bytes of a value that is looked up: a query with some hundred texts or sub-documents has a limit
_NO_ID = (NoneType, list, Regex, re.Pattern)  # an _id is none of these, and a query takes some for patterns
_OBJECT_ID = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{24}(?![0-9A-Fa-f])")
_THUMBNAIL = "thumbnail_id"  # in the files document of a picture, by mongoengine


class Reference(NamedTuple):
    """Where documents name files."""

    collection: str
    field: str


class Unowned:
    """The files of a bucket that no document names; a context manager.

    A value names a file if it is the file's ``_id`` or a text with the 24 digits of it, such as a URL, by itself or
    within arrays, sub-documents (also as a key) and DBRefs. A thumbnail of mongoengine's belongs to the picture that
    names it.

    :param references: ``COLLECTION.FIELD``, in the bucket's database; of a dotted name the longest collection counts
    :param older_than: younger files are left out: what will name them may not be stored yet
    :raises LookupError: if there is no such collection
    """

    def __init__(self, bucket: Bucket, references: Iterable[str], older_than: timedelta) -> None:
        import sqlite3  # which a server does not need

        self._bucket, self._collections = bucket, bucket.collections
        self._database = bucket.files.database
        known = self._database.list_collection_names()
        self._references = [_reference(text, known) for text in references]
        self._before = self._collections.clock.now() - older_than
        self._kept = sqlite3.connect("")  # a temporary file, which ends with the connection
        self._kept.execute("CREATE TABLE named (id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._kept.execute("CREATE TABLE found (id BLOB PRIMARY KEY, document BLOB) WITHOUT ROWID")

    def __enter__(self) -> Unowned:
        return self

    def __exit__(self, *error: object) -> None:
        self._kept.close()

    def files(self) -> Iterator[StoredFile]:
        """Yield the files.

        :raises LookupError: if there is a reference under which no document names a file of the bucket
        """
        self._collect()
        files = self._collections.primary.files
        for batch in batches(files.find({}, {"_id": 1}, batch_size=_READ), _BATCH):
            keys = {_key(document["_id"]): document["_id"] for document in batch}
            unnamed = [keys[key] for key in keys.keys() - self._named(keys)]
            for file in self._bucket.get_many(unnamed) if unnamed else ():
                if file.upload_date <= self._before:
                    yield file

    def delete(self) -> Iterator[StoredFile]:
        """Delete the files, and yield them; documents are read again before, as they may name other files by now.

        :raises LookupError: as in :meth:`files`
        """
        for batch in batches(self.files(), _BATCH):
            rows = [(_key(file.id), bson.encode({"_id": file.id}, codec_options=self._options)) for file in batch]
            self._kept.executemany("INSERT OR IGNORE INTO found VALUES (?, ?)", rows)
        self._collect()
        found = self._kept.execute("SELECT document FROM found WHERE id NOT IN (SELECT id FROM named)")
        for rows in batches(found, _BATCH):
            wanted = [bson.decode(row[0], codec_options=self._options)["_id"] for row in rows]
            files = self._bucket.get_many(wanted)
            self._bucket.delete_many([file.id for file in files])
            yield from files

    @property
    def _options(self) -> Any:
        return self._collections.codec_options

    def _collect(self) -> None:
        """Read which ids documents name."""
        for reference in self._references:
            names_any = False
            for batch in batches(self._values(reference), _BATCH):
                self._keep(batch)
                names_any = names_any or self._are_files(batch)
            if not names_any:
                raise LookupError(
                    f"no document of {reference.collection} names a file of {self._collections.name} in its field "
                    f"{reference.field}: is there a mistake in the name?"
                )
        pictures = self._collections.primary.files.find({_THUMBNAIL: {"$exists": True}}, {_THUMBNAIL: 1})
        for documents in batches(pictures, _BATCH):
            named = self._named(_key(document["_id"]) for document in documents)
            owned = (document for document in documents if _key(document["_id"]) in named)
            self._keep([document[_THUMBNAIL] for document in owned])

    def _values(self, reference: Reference) -> Iterator[Any]:
        collection = self._database[reference.collection].with_options(
            codec_options=self._options, read_preference=ReadPreference.PRIMARY
        )
        path = reference.field.split(".")
        with collection.find({}, {path[0]: 1}, batch_size=_READ) as documents:  # a projection knows no places in arrays
            for document in documents:
                yield from _at(document, path)

    def _keep(self, values: Collection[Any]) -> None:
        self._kept.executemany("INSERT OR IGNORE INTO named VALUES (?)", ((_key(value),) for value in values))

    def _are_files(self, values: Sequence[Any]) -> bool:
        short = [value for value in values if len(_key(value)) <= _MAX_ASKED]
        return self._collections.primary.files.find_one({"_id": {"$in": short}}, {"_id": 1}) is not None

    def _named(self, keys: Iterable[bytes]) -> set[bytes]:
        wanted = list(keys)
        query = f"SELECT id FROM named WHERE id IN ({','.join('?' * len(wanted))})"  # noqa: S608
        return {row[0] for row in self._kept.execute(query, wanted)}


def _reference(text: str, collections: Collection[str]) -> Reference:
    parts = text.split(".")
    for end in range(len(parts) - 1, 0, -1):
        name, field = ".".join(parts[:end]), ".".join(parts[end:])
        if name in collections and all(parts[end:]):
            return Reference(name, field)
    raise LookupError(f"{text!r} is not a collection of the database and a field, such as users.avatar")


def _at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """The values at *path*, also within arrays, and all that are in them."""
    if not path:
        yield from _within(value)
    elif isinstance(value, list):
        for element in value:
            yield from _at(element, path)
        if path[0].isdecimal() and int(path[0]) < len(value):
            yield from _at(value[int(path[0])], path[1:])
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _within(value: Any) -> Iterator[Any]:
    """What may be an id: the value, those of its parts, and the ObjectIds in a text."""
    if isinstance(value, ObjectId):  # nearly all
        yield value
        return
    if isinstance(value, DBRef):
        yield from _within(value.id)
        return
    if isinstance(value, list | Mapping):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _within(part)
    if isinstance(value, Mapping):
        for key in value:
            yield from map(ObjectId, _OBJECT_ID.findall(key))
    if not isinstance(value, _NO_ID) and not (isinstance(value, Mapping) and any(key[:1] == "$" for key in value)):
        yield value
    if isinstance(value, str):
        yield from map(ObjectId, _OBJECT_ID.findall(value))


def _key(value: Any) -> bytes:
    """Bytes that are the same for values that the server takes for the same ``_id``."""
    if isinstance(value, ObjectId):
        return value.binary
    number = None if isinstance(value, bool) else whole(value)
    with suppress(BSONError, ValueError, OverflowError):  # a UUID, if the client does not say how it is stored
        return bson.encode({"": value if number is None else Int64(number)})
    return repr(value).encode(errors="replace")

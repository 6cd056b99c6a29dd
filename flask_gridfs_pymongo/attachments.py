"""Files that belong to documents: a user's avatar, the scan of an invoice.

::

    avatar = mongo.attachment("users", "avatar", types=("image/*",), max_size=5_000_000)
    avatar.attach(user_id, request.files["avatar"])
    avatar.url(mongo.db.users.find_one(user_id))
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import PurePath
from typing import Any

from flask import Flask, url_for
from pymongo.errors import PyMongoError

from .http.filenames import clean
from .service.options import options_of
from .signals import file_deleted, trashed
from .store import Bucket, FileReader, IndexConflict, StoredFile, check_type, ids, is_outage, reason

_FIELD = re.compile(r"(?!_id(\.|\Z))[^.$\0][^.\0]*(\.[^.$\0][^.\0]*)*")
_logger = logging.getLogger("flask_gridfs_pymongo")


class Attachment:
    """One file for each document of a collection, whose ``_id`` is in a field of the document: see
    :meth:`.PyMongo.attachment`.

    The document is changed by one ``$set``, between storing the new file and deleting the old one, so that it names a
    file that is there, whenever the process dies. What is left over then, ``flask gridfs unowned`` finds.
    """

    def __init__(
        self,
        app: Callable[[], Flask],
        bucket: Callable[[], Bucket],
        save: Callable[[str, Any], StoredFile],
        documents: Callable[[], Any],
        field: str,
        blueprint: str,
    ) -> None:
        check_type("field", field, str)
        if not _FIELD.fullmatch(field):
            raise ValueError(
                f"field: {field!r} is not the name of a field that can be set, such as 'avatar' or 'scan.file'"
            )
        self._app, self._bucket, self._save, self._documents = app, bucket, save, documents
        self._field, self._blueprint = field, blueprint

    def attach(self, document_id: Any, fileobj: Any, filename: str | None = None) -> StoredFile:
        """Store a file, let the document name it, and delete the file that it named before.

        Of several calls at the same time the last one counts, and the files of the others are deleted.

        :param document_id: the ``_id`` of the document
        :param fileobj: an object with a ``read`` method that returns bytes, such as one of ``request.files``, or a
            :class:`~pathlib.Path`
        :param filename: the name of the file, stored unchanged; None: ``users/DOCUMENT_ID/avatar/me.jpg``, with the
            name of *fileobj* at the end, or else that of the field
        :return: the stored file
        :raises LookupError: if there is no such document; nothing is stored
        :raises werkzeug.exceptions.HTTPException: 413 and 415, as in :meth:`.PyMongo.save_file`
        """
        file = self._save(self._name(document_id, fileobj) if filename is None else filename, fileobj)
        try:
            before = self._change(document_id, {"$set": {self._field: file.id}})
            if before is None:
                raise LookupError(f"{self._collection().full_name} has no document with the _id {document_id!r}")
        except Exception as error:
            if not isinstance(error, PyMongoError) or not is_outage(error):  # else the document may name it
                self._bucket().delete_many([file.id], for_good=True)
            raise
        self._delete(before, but=file.id)
        return file

    def purge(self, document_id: Any) -> bool:
        """Remove the file's ``_id`` from the document, and delete the file.

        :return: whether there was such a document, and it named a file
        """
        before = self._change(document_id, {"$unset": {self._field: ""}})
        return before is not None and self._delete(before)

    def url(self, document: Mapping[str, Any], **values: Any) -> str | None:
        """Return the permanent URL of the document's file; None if the document names none. No database is asked.

        :param document: from the collection
        :param values: of the query string, such as ``variant="thumb"``, and of the blueprint's ``url_prefix``
        :raises ValueError: if the blueprint serves another bucket
        """
        file_id, bucket = self._named(document), self._bucket()
        served = options_of(self._blueprint).bucket().files.full_name
        if served != bucket.files.full_name:
            raise ValueError(
                f"the blueprint {self._blueprint!r} serves {served}, not {bucket.files.full_name}: "
                "give attachment() the name of another one as blueprint="
            )
        key = None if file_id is None else ids.to_text(file_id, bucket.collections.codec_options)
        return None if key is None else url_for(f"{self._blueprint}.index", **{**values, "id": key})

    def open(self, document: Mapping[str, Any]) -> FileReader:
        """Open the document's file for reading, as :meth:`.Bucket.open` does.

        :raises FileNotFoundError: if the document names none, or it was deleted
        """
        file_id = self._named(document)
        if file_id is None:
            raise FileNotFoundError(f"the document {document.get('_id')!r} has no file in {self._field!r}")
        return self._bucket().open(id=file_id)

    def _collection(self) -> Any:
        """The documents, whose change a majority has before the old file is deleted."""
        return self._documents().with_options(write_concern=self._bucket().files.write_concern)

    def _change(self, document_id: Any, change: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change the document; return what was in the field before, in a document; None if the document is missing."""
        found: dict[str, Any] | None = self._collection().find_one_and_update(
            {"_id": {"$eq": document_id}}, change, projection={self._field: 1}
        )
        return found

    def _named(self, document: Mapping[str, Any]) -> Any:
        found: Any = document
        for key in self._field.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def _delete(self, document: Mapping[str, Any], but: Any = None) -> bool:
        """Delete the file that *document* names; after an error it is left to ``flask gridfs unowned``."""
        file_id, bucket = self._named(document), self._bucket()
        try:
            file = None if file_id is None or file_id == but else bucket.get(file_id)
            if file is None or not bucket.delete_many([file.id]):
                return False
        except (PyMongoError, IndexConflict) as error:
            text = reason(error) if isinstance(error, PyMongoError) else str(error)
            _logger.warning("the file %s, which %s named, was not deleted: %a", file_id, self._field, text)
            return False
        file_deleted.send(self._app(), file=file, versions=1, **trashed(bucket))
        return True

    def _name(self, document_id: Any, fileobj: Any) -> str:
        given = getattr(fileobj, "filename", None) or getattr(fileobj, "name", None)
        if isinstance(fileobj, PathLike):
            given = fileobj
        last = PurePath(given).name if isinstance(given, str | PathLike) else ""
        # Files of two fields are no versions of one name: phones call each picture the same.
        folder = f"{self._documents().name}/{document_id}/{self._field}/"
        return clean(f"{folder}{clean(last) or self._field}")

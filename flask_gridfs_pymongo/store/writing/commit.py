"""The commit: the files document of content whose chunks are stored, as the newest version of a name.

::

    commit(versions, "notes.txt", Content(file_id, length, sha256, head, is_utf8))

It may be repeated, also by another process: the same content is committed once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo.errors import AutoReconnect, DuplicateKeyError, PyMongoError, WriteConcernError

from ... import mimetype
from ..charset import split
from ..errors import ContentDeleted, IndexConflict, Unconfirmed
from ..model import StoredFile, living
from ..retry import RetryBudget, retry
from ..versions import Versions
from .changes import expire_older

CHUNK_SIZE = 255 * 1024
"""bytes; the GridFS specification's default"""
_ATTEMPTS = 200
_PAUSE = 0.02  # seconds at most between two of them
_MILLISECOND = timedelta(milliseconds=1)
_LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)


class Content(NamedTuple):
    """Content that is stored in ``fs.chunks``, and has no files document yet."""

    id: ObjectId
    """the chunks' ``files_id``"""
    length: int
    """bytes"""
    sha256: str
    """in hexadecimal"""
    head: bytes
    """the first bytes, which tell the type where the name does not"""
    is_utf8: bool = False
    """whether all of it is, which tells the charset of text"""


def preview(
    filename: str, content: Content, content_type: str | None = None, fields: Mapping[str, Any] | None = None
) -> StoredFile:
    """Return the file that :func:`commit` will make of *content*, but for its date."""
    return StoredFile.from_document(_document(filename, content, content_type, fields))


def commit(
    versions: Versions,
    filename: str,
    content: Content,
    content_type: str | None = None,
    fields: Mapping[str, Any] | None = None,
    check: Callable[[StoredFile | None], None] | None = None,
) -> StoredFile:
    """Make *content* the newest version of *filename*; where a commit of it was stored before, return that.

    Versions are totally ordered, and never dated before the one that they follow, whatever the clocks say: see
    :mod:`.claims`.

    :param content_type: guessed from the name and the first bytes where None
    :param fields: further fields of the files document
    :param check: called with the version that this one is to follow (None for the first one), again after each lost
        race; what it raises ends the commit, and nothing is stored
    :raises ContentDeleted: where chunks are gone
    :raises IndexConflict: where a unique index of somebody else refuses the document
    :raises Unconfirmed: where the server does not tell whether it stored the document
    """
    attempts = _Attempts(versions, _document(filename, content, content_type, fields), check)
    stored = StoredFile.from_document(attempts.run())
    versions.claims.sweep()
    return stored


class _Attempts:
    """One commit, tried until it is done, is refused, or cannot succeed any more."""

    def __init__(
        self, versions: Versions, document: dict[str, Any], check: Callable[[StoredFile | None], None] | None
    ) -> None:
        self._versions, self._claims = versions, versions.claims
        self._files, self._chunks = versions.collections.primary
        self._document, self._check = document, check
        self._id, self._filename = document["_id"], document["filename"]
        self._newest: StoredFile | None = None  # what the last attempt was to follow
        self._sent = False  # whether the server may have stored the document
        self._misplaced = False  # whether it has, and the document is not where it must be

    def run(self) -> dict[str, Any]:
        """Return the document as it is stored."""
        self._check_chunks()
        try:
            return self._placed()
        except PyMongoError as error:
            if self._sent:
                raise Unconfirmed(f"{self._filename!r} may be stored, or not: {error}") from error
            raise
        except Exception:
            if self._misplaced:
                self._take_back()
            raise

    def _placed(self) -> dict[str, Any]:
        budget = RetryBudget(self._files)
        for attempt in range(_ATTEMPTS):
            try:
                if self._attempt():
                    return self._document
            except PyMongoError as error:
                if not budget.lasts(error):
                    raise
            time.sleep(random.uniform(0, min(attempt / 1000, _PAUSE)))  # noqa: S311  writers that raced do it no more
        raise IndexConflict(
            f"{self._filename!r} found no place after its newest version in {_ATTEMPTS} attempts: the unique index on "
            "previous gave it to others; nothing was stored"
        )

    def _attempt(self) -> bool:
        if self._misplaced:
            return self._move()
        if not (self._sent and self._is_stored()):
            retried = self._sent
            self._look()
            try:
                self._insert()
            except DuplicateKeyError as error:
                return self._is_stored() or self._give_way(error)
            if retried:
                self._check_chunks()
        return self._is_in_place()

    def _is_in_place(self) -> bool:
        self._misplaced = not self._claims.follows(self._filename, self._id, self._newest, self._later)
        return not self._misplaced

    def _move(self) -> bool:
        """Move the document to the place after the newest; inserted anew, it could lose its chunks to a late delete."""
        self._look()
        place = {name: self._document[name] for name in ("previous", "uploadDate")}
        change = {"$set": place, "$currentDate": {"previousAt": {"$type": "timestamp"}}}
        try:
            moved = retry(self._files, lambda: self._files.update_one({"_id": self._id}, change))
        except DuplicateKeyError as error:
            return self._give_way(error)
        if not moved.matched_count:
            raise ContentDeleted(f"{self._filename!r} was deleted while it was uploaded; nothing was stored")
        return self._is_in_place()

    @property
    def _later(self) -> dict[str, Any]:
        return self._versions.after(self._filename, self._newest)

    def _look(self) -> None:
        """Find what the file is to follow, and date it after that."""
        self._newest = self._versions.newest(self._filename, self._id if self._misplaced else None)
        if self._check is not None:
            self._check(living(self._newest))
        if self._newest is not None and self._newest.expired:
            expire_older(self._versions, self._newest)
        self._document |= {**self._claims.make(self._filename, self._newest), "uploadDate": _date_after(self._newest)}

    def _insert(self) -> None:
        before, self._sent = self._sent, True
        try:
            self._files.insert_one(self._document)
        except (AutoReconnect, WriteConcernError):
            raise
        except PyMongoError:  # it was refused
            self._sent = before
            raise

    def _is_stored(self) -> bool:
        stored = retry(self._files, lambda: self._files.find_one({"_id": self._id}))
        if stored is not None:
            self._document = stored
        return stored is not None

    def _give_way(self, error: DuplicateKeyError) -> bool:
        """Look again where another writer was faster; returns False."""
        index = (error.details or {}).get("keyPattern", {"previous": 1})
        if list(index) != ["previous"]:
            fields = ", ".join(index)
            raise IndexConflict(
                f"the unique index on {fields} of {self._files.name} does not let {self._filename!r} in: another "
                f"document has the same {fields}; nothing was stored"
            ) from error
        self._claims.release(self._filename, self._newest, self._later)
        return False

    def _check_chunks(self) -> None:
        """After a commit whose answer was lost somebody may have deleted the file."""
        wanted = -(-self._document["length"] // CHUNK_SIZE)
        found = retry(self._chunks, lambda: self._chunks.count_documents({"files_id": self._id}))
        if found != wanted:
            if self._sent:
                self._take_back()
            raise ContentDeleted(f"chunks of {self._filename!r} vanished while it was uploaded; nothing was stored")

    def _take_back(self) -> None:
        retry(self._files, lambda: self._files.delete_one({"_id": self._id}))
        self._sent = False


def _document(
    filename: str, content: Content, content_type: str | None, fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The files document, but for its date and its place among the versions."""
    bare, charset = split(content_type or mimetype.guess(filename, content.head))
    if charset is None and content.is_utf8 and bare.lower().startswith("text/"):
        charset = "utf-8"
    return {
        **(fields or {}),
        "_id": content.id,
        "filename": filename,
        "length": Int64(content.length),  # as the specification says, whatever its size
        "chunkSize": CHUNK_SIZE,
        "contentType": bare,
        **({"charset": charset} if charset else {}),
        "metadata": {**((fields or {}).get("metadata") or {}), "contentType": bare},
        "sha256": content.sha256,
    }


def _date_after(newest: StoredFile | None) -> datetime:
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what BSON keeps
    # At the end of Python's calendar the _id decides.
    return now if newest is None else max(now, min(newest.upload_date, _LATEST - _MILLISECOND) + _MILLISECOND)

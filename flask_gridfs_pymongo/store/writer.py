"""Bytes into ``fs.chunks``, then the document of ``fs.files``, which is the commit point."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, NamedTuple

from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo import ReplaceOne
from pymongo.errors import AutoReconnect, DuplicateKeyError, PyMongoError, WriteConcernError

from .. import mimetype
from .model import CorruptFile, StoredFile
from .retry import persist
from .versions import Versions

CHUNK_SIZE = 255 * 1024
"""bytes; the GridFS specification's default"""
_CHUNKS_PER_INSERT = 4
_logger = logging.getLogger("flask_gridfs_pymongo")
_MILLISECOND = timedelta(milliseconds=1)
_LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, timezone.utc)


class Content(NamedTuple):
    """What lies in ``fs.chunks`` and waits for its files document."""

    id: ObjectId
    """the chunks' ``files_id``"""
    length: int
    """bytes"""
    sha256: str
    """in hexadecimal"""
    head: bytes
    """the first bytes, which tell the type where the name does not"""


class FileTooLarge(Exception):
    """More bytes were written than the writer's limit allows."""


class Writer:
    """One upload: :meth:`write` its bytes, then :meth:`commit` it or :meth:`abort` it.

    As a context manager it aborts what was not committed. Until the commit nobody sees the file; whatever dies before
    leaves chunks that no files document refers to.

    :param max_size: bytes; one more and :meth:`write` raises :class:`FileTooLarge`
    """

    def __init__(self, versions: Versions, filename: str, max_size: int | None = None) -> None:
        self.id = ObjectId()
        self.filename = filename
        self.length = 0
        self._versions = versions
        self._collections = versions.collections
        self._max_size = max_size
        self.sha256 = hashlib.sha256()
        """of what was written so far"""
        self._head = b""
        self._pieces: list[bytes] = []  # of the next chunk
        self._size = 0  # of them together
        self._chunks: list[dict[str, Any]] = []  # of the next insert
        self._next = 0
        self._thread: ThreadPoolExecutor | None = None
        self._inserting: Future[Any] | None = None
        self._content: Content | None = None  # once all of it is stored
        self._open = True
        self._in_doubt = False  # whether the server may have stored the document, which it did not acknowledge

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes of the content; returns how many.

        :raises TypeError: for text
        :raises FileTooLarge: past the limit
        """
        if isinstance(data, str):
            raise TypeError("the content must be bytes, not str; open the file in binary mode ('rb')")
        self.length += len(data)
        if self._max_size is not None and self.length > self._max_size:
            raise FileTooLarge(f"a file may have at most {self._max_size} bytes")
        self.sha256.update(data)
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size >= CHUNK_SIZE:
            joined = b"".join(self._pieces)
            whole = self._size - self._size % CHUNK_SIZE
            for start in range(0, whole, CHUNK_SIZE):
                self._add(joined[start : start + CHUNK_SIZE])
            self._pieces, self._size = [joined[whole:]], self._size - whole
        return len(data)

    def _add(self, data: bytes) -> None:
        self._head = self._head or data[: mimetype.SNIFF_BYTES]
        self._chunks.append({"_id": ObjectId(), "files_id": self.id, "n": self._next, "data": data})
        self._next += 1
        if len(self._chunks) == _CHUNKS_PER_INSERT:
            self._insert()

    def _insert(self) -> None:
        """Insert the chunks in a thread, while the next ones arrive; wait for those before them, so that a slow
        server slows the client and not more than two inserts are in memory."""
        self._settle()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "gridfs-writer")
        self._inserting = self._thread.submit(self._store_chunks, self._chunks)
        self._chunks = []

    def _store_chunks(self, documents: list[dict[str, Any]]) -> None:
        chunks = self._collections.chunks
        again = [
            ReplaceOne({name: chunk[name] for name in ("_id", "files_id", "n")}, chunk, upsert=True)
            for chunk in documents
        ]
        persist(chunks, lambda: chunks.insert_many(documents), lambda: chunks.bulk_write(again))

    def _settle(self) -> None:
        inserting, self._inserting = self._inserting, None
        if inserting is not None:
            inserting.result()

    def finish(self) -> None:
        """Store what is left of the content; until the commit the writer then holds neither a thread nor chunks."""
        if last := b"".join(self._pieces):
            self._add(last)
        self._pieces, self._size = [], 0
        self._settle()
        if self._chunks:
            self._store_chunks(self._chunks)
            self._chunks = []
        self._stop_thread()

    def _whole(self) -> Content:
        """Finish, and make sure that all of it is there."""
        if self._content is not None:
            return self._content
        self.finish()
        stored = self._collections.primary.chunks
        if persist(stored, lambda: stored.count_documents({"files_id": self.id})) != self._next:
            raise CorruptFile(f"chunks of {self.filename!r} vanished while it was uploaded; nothing was stored")
        self._content = Content(self.id, self.length, self.sha256.hexdigest(), self._head)
        return self._content

    def preview(self, content_type: str | None = None, fields: Mapping[str, Any] | None = None) -> StoredFile:
        """Return the file as :meth:`commit` will make it, when all of it is written and nobody sees it yet."""
        return preview(self.filename, self._whole(), content_type, fields)

    def commit(
        self,
        content_type: str | None = None,
        fields: Mapping[str, Any] | None = None,
        check: Callable[[StoredFile | None], None] | None = None,
    ) -> StoredFile:
        """Make the file the newest version of its name: see :func:`commit`.

        :raises CorruptFile: where chunks that were written are gone
        """
        content = self._whole()
        try:
            stored = commit(self._versions, self.filename, content, content_type, fields, check)
        except (AutoReconnect, WriteConcernError):
            self._in_doubt = True
            raise
        self._close()
        return stored

    def abort(self) -> None:
        """Remove what was written, unless it was committed, or may have been."""
        if self._open:
            self._close()
            try:
                if not self._in_doubt:
                    self._collections.chunks.delete_many({"files_id": self.id})
            except PyMongoError as error:  # what ended the upload matters more
                _logger.warning("the chunks of %s stay behind (%r was not stored): %s", self.id, self.filename, error)

    def _close(self) -> None:
        self._open = False
        self._stop_thread()

    def _stop_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()  # waits for an insert on its way


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

    Each files document names the version it follows, under a unique index: of two writers that saw the same newest
    version one wins, and the other looks again. So versions are totally ordered, and never dated before the one that
    they follow, whatever the clocks say.

    :param content_type: guessed from the name and the first bytes where None
    :param fields: further fields of the files document
    :param check: called with the version that this one is to follow (None for the first one), again after each lost
        race; what it raises ends the upload
    """
    document = _document(filename, content, content_type, fields)
    files: Any = versions.collections.files
    while True:
        newest = versions.newest(filename)
        if check is not None:
            check(newest)
        document["previous"] = {"name": filename, "_id": newest.id if newest else None}
        document["uploadDate"] = _date_after(newest)
        try:
            persist(
                files,
                lambda: files.insert_one(document),
                lambda: files.replace_one({"_id": content.id}, document, upsert=True),
            )
            return StoredFile.from_document(document)
        except DuplicateKeyError:
            if stored := versions.collections.primary.files.find_one({"_id": content.id}):
                return StoredFile.from_document(stored)
            _release(versions, filename, document["previous"], newest)


def _document(
    filename: str, content: Content, content_type: str | None, fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The files document, but for its date and its place among the versions."""
    content_type = content_type or mimetype.guess(filename, content.head)
    return {
        **(fields or {}),
        "_id": content.id,
        "filename": filename,
        "length": Int64(content.length),  # as the specification says, whatever its size
        "chunkSize": CHUNK_SIZE,
        "contentType": content_type,
        "metadata": {**((fields or {}).get("metadata") or {}), "contentType": content_type},
        "sha256": content.sha256,
    }


def _release(versions: Versions, filename: str, previous: dict[str, Any], newest: StoredFile | None) -> None:
    """Free the place after *previous* where its holder is no longer a later version of this name.

    So it is when another tool renamed or redated it. A holder that is one has won the race and keeps the place.
    """
    elsewhere: list[dict[str, Any]] = [{"filename": {"$ne": filename}}]
    if newest is not None:
        elsewhere.append({"uploadDate": {"$lte": newest.upload_date}})
    files, selection = versions.collections.files, {"previous": previous, "$or": elsewhere}
    persist(files, lambda: files.update_one(selection, {"$unset": {"previous": ""}}))


def _date_after(newest: StoredFile | None) -> datetime:
    now = datetime.now(timezone.utc)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what BSON keeps
    # At the end of Python's calendar the _id decides.
    return now if newest is None else max(now, min(newest.upload_date, _LATEST - _MILLISECOND) + _MILLISECOND)

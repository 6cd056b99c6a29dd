"""Bytes into ``fs.chunks``, then the document of ``fs.files``, which is the commit point.

::

    with Writer(versions, "notes.txt") as writer:
        writer.write(b"Buy milk")
        writer.commit()
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from bson.objectid import ObjectId
from pymongo import ReplaceOne
from pymongo.errors import ConnectionFailure

from ... import mimetype
from ..charset import Utf8
from ..errors import FileTooLarge, Unconfirmed
from ..model import StoredFile
from ..retry import is_reachable, retry
from ..versions import Versions
from .commit import CHUNK_SIZE, Content, commit, preview

_CHUNKS_PER_INSERT = 4
_logger = logging.getLogger("flask_gridfs_pymongo")


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
        self._utf8 = Utf8()
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
        chunks = self._collections.chunks
        if isinstance(error, ConnectionFailure) and not is_reachable(chunks):  # to wait for the database once is enough
            _logger.warning("the chunks of %s stay behind (%a was not stored): %a", self.id, self.filename, str(error))
            self._close()
        else:
            self.abort()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes of the content; returns how many.

        :raises TypeError: for what is no bytes
        :raises FileTooLarge: past the limit
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            kind = type(data).__name__
            raise TypeError(
                f"the content must be bytes, not {kind}; open a file in binary mode ('rb'), or use io.BytesIO"
            )
        self.length += len(data)
        if self._max_size is not None and self.length > self._max_size:
            raise FileTooLarge(f"a file may have at most {self._max_size} bytes")
        self.sha256.update(data)
        self._utf8.update(data)
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

        def again() -> Any:
            own = [{name: chunk[name] for name in ("_id", "files_id", "n")} for chunk in documents]
            return chunks.bulk_write([ReplaceOne(*pair, upsert=True) for pair in zip(own, documents, strict=True)])

        retry(chunks, lambda: chunks.insert_many(documents), on_retry=again)

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
        if self._content is None:
            self.finish()
            self._content = Content(self.id, self.length, self.sha256.hexdigest(), self._head, self._utf8.valid())
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
        """Make the file the newest version of its name: see :func:`.commit.commit`."""
        content = self._whole()
        self._in_doubt = True  # also for what comes at any moment: Ctrl-C, the end of a worker
        try:
            stored = commit(self._versions, self.filename, content, content_type, fields, check)
        except Exception as error:
            self._in_doubt = isinstance(error, Unconfirmed)
            raise
        self._close()
        return stored

    def abort(self) -> None:
        """Remove what was written, unless it was committed, or may have been."""
        if self._open:
            self._close()
            if not self._in_doubt:
                self._collections.delete_chunks([self.id])

    def _close(self) -> None:
        self._open = False
        self._stop_thread()

    def _stop_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()  # waits for an insert that is under way

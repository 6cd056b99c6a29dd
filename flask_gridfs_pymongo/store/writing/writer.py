"""Writes bytes to ``fs.chunks``, then the document to ``fs.files``: only that makes the file visible.

::

    with Writer(versions, claims, "notes.txt") as writer:
        writer.write(b"Buy milk")
        writer.commit()
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from pymongo import ReplaceOne
from pymongo.errors import ConnectionFailure

from .. import ids
from ..errors import FileTooLarge, Unconfirmed
from ..model import StoredFile
from ..retry import is_reachable, retry
from ..versions import Versions
from .claims import Claims
from .commit import Check, Commit, Saved
from .content import Content
from .pipeline import ChunkPipeline, Chunks, Digest
from .watch import Watch

_logger = logging.getLogger("flask_gridfs_pymongo")


class Writer:
    """One upload: :meth:`write` its bytes, then :meth:`commit` it or :meth:`abort` it.

    As a context manager it aborts an upload that was not committed. Until the commit nobody sees the file; a process
    that dies before leaves chunks without a files document.

    :param max_size: bytes; for more :meth:`write` raises :class:`FileTooLarge`
    """

    def __init__(self, versions: Versions, claims: Claims, filename: str, max_size: int | None = None) -> None:
        self.id = ids.new(versions.collections.clock.now())
        self.filename = filename
        self._versions, self._claims = versions, claims
        self._collections = versions.collections
        self._max_size = max_size
        self._digest = Digest()
        self._pipeline = ChunkPipeline(self.id, self._store, self._collections.clock)
        self._watch = Watch(self._collections)
        self._content: Content | None = None  # when all of it is stored
        self._open = True
        self._has_chunks = False  # or may have
        self._in_doubt = False  # whether the server may have stored the document without acknowledging it

    @property
    def length(self) -> int:
        """How many bytes were written."""
        return self._pipeline.offset

    @property
    def sha256(self) -> Any:
        """The hashlib object of what was written so far."""
        return self._digest.sha256

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        chunks = self._collections.chunks
        if isinstance(error, ConnectionFailure) and not is_reachable(chunks):  # wait only once
            _logger.warning(
                "the chunks of %s were not deleted (%a was not stored): %a", self.id, self.filename, str(error)
            )
            self._close()
        else:
            self.abort()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write the next bytes of the content; return how many.

        :raises TypeError: for anything but bytes
        :raises FileTooLarge: for more bytes than the limit
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            kind = type(data).__name__
            raise TypeError(
                f"the content must be bytes, not {kind}; open a file in binary mode ('rb'), or use io.BytesIO"
            )
        content = bytes(data)  # no copy if it is bytes
        if self._max_size is not None and self.length + len(content) > self._max_size:
            raise FileTooLarge(f"a file may have at most {self._max_size} bytes")
        self._digest.update(content)
        self._pipeline.write(content)
        return len(data)

    def _store(self, chunks: Chunks, offset: int = 0, tail: bytes = b"") -> None:
        collection, watch = self._collections.chunks, self._watch

        def replace() -> Any:
            own = [{name: chunk[name] for name in ("_id", "files_id", "n")} for chunk in chunks]
            replaced = [ReplaceOne(*pair, upsert=True) for pair in zip(own, chunks, strict=True)]
            return collection.bulk_write(replaced)

        if chunks:
            self._has_chunks = True
            insert = partial(collection.insert_many, chunks)
            retry(collection, lambda: watch.write(insert), on_retry=watch.doubting(replace))

    def finish(self) -> None:
        """Store the rest of the content; from then on the writer holds neither a thread nor chunks."""
        self._store(self.rest())

    def rest(self) -> Chunks:
        """Return the chunks that are not stored yet, for :func:`finish_many`."""
        self._pipeline.settle()
        chunks, _, _ = self._pipeline.cut(final=True)
        self._has_chunks = self._has_chunks or bool(chunks)
        self._pipeline.close()
        return chunks

    def _whole(self) -> Content:
        if self._content is None:
            self.finish()
            self._content = Content(self.id, self.length, self._digest, self._watch)
        return self._content

    def preview(self, content_type: str | None = None, fields: Mapping[str, Any] | None = None) -> StoredFile:
        """Return the file that :meth:`commit` will make, after all of it was written."""
        return Commit(self._versions, self._claims, self.filename, self._whole(), content_type, fields).preview()

    def commit(
        self, content_type: str | None = None, fields: Mapping[str, Any] | None = None, check: Check | None = None
    ) -> Saved:
        """Make the file the newest version of its name: see :class:`.Commit`."""
        attempts = self.begin_commit(content_type, fields, check)
        try:
            saved = attempts.run()
        except Exception as error:
            self.end_commit(error)
            raise
        self.end_commit(saved)
        return saved

    def begin_commit(
        self, content_type: str | None = None, fields: Mapping[str, Any] | None = None, check: Check | None = None
    ) -> Commit:
        """Return the commit, which the caller runs, and whose outcome :meth:`end_commit` gets."""
        content = self._whole()
        self._in_doubt = True  # also if Ctrl-C or the end of a worker interrupts
        return Commit(self._versions, self._claims, self.filename, content, content_type, fields, check)

    def end_commit(self, outcome: Saved | Exception) -> None:
        """Close the upload if it was committed."""
        self._in_doubt = isinstance(outcome, Unconfirmed)
        if isinstance(outcome, Saved):
            self._close()

    def abort(self) -> None:
        """Remove what was written, unless it was or may have been committed."""
        if self._open:
            self._close()
            if self._has_chunks and not self._in_doubt:
                self._collections.delete_chunks([self.id])

    def _close(self) -> None:
        self._open = False
        self._pipeline.close()
        self._watch.close()


def finish_many(writers: Sequence[Writer]) -> None:
    """Store the rest of the content of several uploads by one insert; :meth:`Writer.finish` of many."""
    first, *others = writers
    first._store([chunk for writer in writers for chunk in writer.rest()])
    for other in others:
        other._watch.join(first._watch)

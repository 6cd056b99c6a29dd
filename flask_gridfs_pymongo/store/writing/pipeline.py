"""Cuts bytes into chunks, and inserts them in a thread while the next bytes arrive.

::

    pipeline = ChunkPipeline(file_id, store, collections.clock)
    pipeline.write(data)
    pipeline.settle()
    chunks, offset, tail = pipeline.cut()
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Any

from bson.objectid import ObjectId

from ... import mimetype
from ...pixels import Pixels
from .. import ids
from ..charset import Utf8
from ..clock import Clock

CHUNK_SIZE = 255 * 1024
"""bytes; the GridFS specification's default"""
_CHUNKS_PER_INSERT = 4
Chunks = list[dict[str, Any]]


class Digest:
    """What is computed from all bytes of the content."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.head = b""
        """the first bytes, for guessing the type if the name does not give it"""
        self.utf8 = Utf8()
        self.pixels = Pixels()

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self.sha256.update(data)
        self.utf8.update(data)
        self.pixels.update(data)
        if len(self.head) < mimetype.SNIFF_BYTES:
            self.head += data[: mimetype.SNIFF_BYTES - len(self.head)]

    def copy(self) -> Digest:
        """Return an independent copy."""
        other = copy(self)
        other.sha256, other.utf8, other.pixels = self.sha256.copy(), self.utf8.copy(), self.pixels.copy()
        return other


class ChunkPipeline:
    """The chunks of one file. At most two inserts are in memory, so that a slow server slows the client down.

    :param file_id: the ``_id`` of the file
    :param store: called in the thread with whole chunks, the offset after all bytes so far, and the tail
    :param clock: of the time in the ``_id`` of each chunk
    :param offset: of the next byte
    :param tail: the bytes before the offset that do not fill a chunk yet
    """

    def __init__(
        self,
        file_id: ObjectId,
        store: Callable[[Chunks, int, bytes], None],
        clock: Clock,
        offset: int = 0,
        tail: bytes = b"",
    ) -> None:
        self._file_id, self._store, self._clock = file_id, store, clock
        self._thread: ThreadPoolExecutor | None = None
        self._storing: Future[None] | None = None
        self.reset(offset, tail)

    def reset(self, offset: int, tail: bytes) -> None:
        """Start again at *offset*, and discard what is in memory."""
        self.offset = offset
        """of the next byte"""
        self._chunks: Chunks = []
        self._pieces, self._size = [memoryview(tail)], len(tail)  # of the next chunk

    def write(self, data: bytes) -> None:
        """Add the next bytes."""
        rest, flushed = memoryview(data), False
        while rest:
            piece = rest[: CHUNK_SIZE - self._size]
            rest = rest[len(piece) :]
            self._pieces.append(piece)
            self._size += len(piece)
            self.offset += len(piece)
            if self._size == CHUNK_SIZE:
                self._end_chunk()
            if len(self._chunks) == _CHUNKS_PER_INSERT or (flushed and self._chunks and not rest):
                self.flush()
                flushed = True

    def _end_chunk(self) -> None:
        n = (self.offset - self._size) // CHUNK_SIZE
        data = b"".join(self._pieces)
        self._chunks.append({"_id": ids.new(self._clock.now()), "files_id": self._file_id, "n": n, "data": data})
        self._pieces, self._size = [], 0

    def flush(self) -> None:
        """Wait until the chunks before are stored, then have the thread store the whole chunks in memory."""
        self.settle()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "gridfs-writer")
        self._storing = self._thread.submit(self._store, *self.cut())

    def cut(self, *, final: bool = False) -> tuple[Chunks, int, bytes]:
        """Return the arguments for *store*; *final*: make the tail the last chunk."""
        if final and self._size:
            self._end_chunk()
        chunks, self._chunks = self._chunks, []
        tail = b"".join(self._pieces)
        self._pieces = [memoryview(tail)]
        return chunks, self.offset, tail

    def settle(self) -> None:
        """Wait for the insert in progress, and raise its error if it failed."""
        storing, self._storing = self._storing, None
        if storing is not None:
            storing.result()

    def close(self) -> None:
        """Wait for the insert in progress, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

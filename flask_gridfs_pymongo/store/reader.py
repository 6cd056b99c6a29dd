"""Byte ranges out of ``fs.chunks``."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from threading import Semaphore
from typing import Any

from pymongo import ReadPreference
from pymongo.cursor import CursorType
from pymongo.errors import AutoReconnect, InvalidOperation, OperationFailure

from .model import CorruptFile, StoredFile
from .retry import patience

_BATCH_BYTES = 1024 * 1024
_WORTH_A_STREAM = 4 * 1024 * 1024  # bytes; below it a stream saves less than a closed one costs


class Reader:
    """Iterate over the bytes *start* to *stop* (exclusive) of a file, a chunk at a time.

    The first chunk is read at once, so that what is wrong with a file is known before anything of it is sent. Small
    batches keep the time to the first byte and the memory of a stalled client low. Where a server goes away, reading
    goes on with the chunk it needs next, from whoever takes over.

    :param chunks: the bucket's chunks collection, decoding to dict
    :param start: the first byte
    :param stop: the byte after the last one, at most the file's length
    :param streams: how many exhaust cursors may still be open; None: use none
    :raises CorruptFile: where a chunk is missing or has another length than it must
    """

    def __init__(self, chunks: Any, file: StoredFile, start: int, stop: int, streams: Semaphore | None = None) -> None:
        self._pieces = _pieces(chunks, file, start, stop, streams)
        self._first = next(self._pieces, None)

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        return next(self._pieces) if first is None else first

    def close(self) -> None:
        """Release the cursor; called by the WSGI server also when the client goes away."""
        self._pieces.close()


def _pieces(
    chunks: Any, file: StoredFile, start: int, stop: int, streams: Semaphore | None
) -> Generator[bytes, None, None]:
    if start >= stop:
        return
    size = file.chunk_size
    n, last = start // size, (stop - 1) // size

    def piece(data: bytes) -> bytes:
        if len(data) != file.chunk_length(n):
            raise CorruptFile(f"chunk {n} of file {file.id} ({file.filename!r}) has {len(data)} bytes")
        offset = n * size
        return data if start <= offset and offset + len(data) <= stop else data[max(start - offset, 0) : stop - offset]

    if n == 0 and file.first_chunk is not None:
        yield piece(file.first_chunk)
        n = 1
    while n <= last:
        begin, asked = n, time.monotonic()
        try:
            with _documents(chunks, file, n, last, streams) as documents:
                for document in documents:
                    if document["n"] != n:
                        break
                    yield piece(document["data"])
                    n += 1
                    asked = time.monotonic()
        except AutoReconnect:
            if time.monotonic() - asked >= patience(chunks):
                raise
        except OperationFailure:  # a cursor that is gone (CursorNotFound, QueryPlanKilled); another one may do better
            if n == begin:
                raise
        else:
            if n > last:
                return
            if chunks.read_preference == ReadPreference.PRIMARY:
                raise CorruptFile(f"chunk {n} of file {file.id} ({file.filename!r}) is missing")
            chunks = chunks.with_options(read_preference=ReadPreference.PRIMARY)  # a secondary may lag


@contextmanager
def _documents(
    chunks: Any, file: StoredFile, first: int, last: int, streams: Semaphore | None
) -> Iterator[Iterator[dict[str, Any]]]:
    """The chunks *first* to *last* in order.

    Through an exhaust cursor the server sends batch after batch unasked. It is the fastest way, but holds a pooled
    connection for as long as the client takes, so *streams* bounds how many there are at once.
    """

    def find(**options: Any) -> Any:
        wanted = {"files_id": file.id, "n": {"$gte": first, "$lte": last}}
        batch = max(2, min(_BATCH_BYTES // file.chunk_size, 1000))
        fields = {"_id": 0, "n": 1, "data": 1}
        return chunks.find(wanted, fields, sort=[("n", 1)], batch_size=batch, **options)

    large = (last - first + 1) * file.chunk_size >= _WORTH_A_STREAM
    if large and streams is not None and streams.acquire(blocking=False):
        try:
            with find(cursor_type=CursorType.EXHAUST) as stream:
                try:
                    head = next(stream, None)
                except (InvalidOperation, OperationFailure):
                    head = None  # an old mongos refuses; the plain cursor says what else is wrong
                if head is not None:
                    yield _chain(head, stream)
                    return
        finally:
            streams.release()
    with find(limit=last - first + 1) as cursor:
        yield cursor


def _chain(head: dict[str, Any], rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield head
    yield from rest

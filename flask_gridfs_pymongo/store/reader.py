"""Byte ranges out of ``fs.chunks``."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .model import CorruptFile, StoredFile

_BATCH_BYTES = 1024 * 1024


class Reader:
    """Iterate over the bytes *start* to *stop* (exclusive) of a file, a chunk at a time.

    The first chunk is read at once, so that what is wrong with a file is known before anything of it is sent. Small
    batches keep the time to the first byte and the memory of a stalled client low.

    :param chunks: the bucket's chunks collection, decoding to dict
    :param start: the first byte
    :param stop: the byte after the last one, at most the file's length
    :raises CorruptFile: where a chunk is missing or has another length than it must
    """

    def __init__(self, chunks: Any, file: StoredFile, start: int, stop: int) -> None:
        self._pieces = _pieces(chunks, file, start, stop)
        self._first = next(self._pieces, None)

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        return next(self._pieces) if first is None else first

    def close(self) -> None:
        """Release the cursor; called by the WSGI server also when the client goes away."""
        self._pieces.close()


def _pieces(chunks: Any, file: StoredFile, start: int, stop: int) -> Generator[bytes, None, None]:
    if start >= stop:
        return
    size = file.chunk_size
    n, last = start // size, (stop - 1) // size
    cursor = chunks.find({"files_id": file.id, "n": {"$gte": n, "$lte": last}}, {"_id": 0, "n": 1, "data": 1})
    batch = max(2, min(_BATCH_BYTES // size, 1000))
    with cursor.sort("n", 1).limit(last - n + 1).batch_size(batch):
        for chunk in cursor:
            data = chunk["data"]
            if chunk["n"] != n or len(data) != file.chunk_length(n):
                break
            offset = n * size
            n += 1
            if start <= offset and offset + len(data) <= stop:
                yield data
            else:
                yield data[max(start - offset, 0) : stop - offset]
    if n <= last:
        raise CorruptFile(f"chunk {n} of file {file.id} ({file.filename!r}) is missing or has a wrong length")

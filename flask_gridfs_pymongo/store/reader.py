"""Reads stored bytes: ranges from ``fs.chunks``, and a version as a file object.

::

    with closing(Reader(chunks, file, 0, file.length)) as pieces:
        for piece in pieces:
            ...
    with bucket.open("photos.zip") as file:
        names = zipfile.ZipFile(file).namelist()
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from threading import Semaphore
from typing import Any

import pymongo
from pymongo import ReadPreference
from pymongo.cursor import CursorType
from pymongo.errors import InvalidOperation, OperationFailure, PyMongoError

from .collections import Documents
from .errors import CorruptFile
from .integrity import whole
from .model import StoredFile
from .retry import RetryBudget, while_known

_ANSWER_TIMEOUT = 15  # seconds; by default the driver itself takes up to 30 to notice
_BATCH_BYTES = 1024 * 1024
_MIN_STREAM = 4 * 1024 * 1024  # bytes; for less a stream is slower than a find
_MIN_BUFFER = 256 * 1024  # bytes at least
_MAX_BUFFER = 16 * 1024 * 1024  # bytes, the largest possible chunk
_Pieces = Generator[bytes, None, None]
Cached = Callable[[int, int, Callable[[int, int], _Pieces]], _Pieces]


class Reader:
    """Iterate over the bytes *start* to *stop* (exclusive) of a file, a chunk at a time.

    The first chunk is read at once, so that errors are raised before anything is sent. Small batches keep the time to
    the first byte low, and the memory used for a stalled client. If a server fails, reading continues at the next
    chunk on the server that takes over.

    :param chunks: the bucket's chunks collection, decoding to dict
    :param start: the first byte
    :param stop: the byte after the last one, at most the file's length
    :param streams: how many exhaust cursors may still be open; None: use none
    :param cached: ``cached(start, stop, fetch)`` yields what the file cache has, and else what *fetch* yields
    :raises CorruptFile: if the file is damaged, or a chunk is missing or has the wrong length
    """

    def __init__(
        self,
        chunks: Documents,
        file: StoredFile,
        start: int,
        stop: int,
        streams: Semaphore | None = None,
        cached: Cached | None = None,
    ) -> None:
        file.ensure_sound()
        fetch = partial(_pieces, chunks, file, streams)
        self._pieces = fetch(start, stop) if cached is None else cached(start, stop, fetch)
        self._first = next(self._pieces, None)

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        return next(self._pieces) if first is None else first

    def close(self) -> None:
        """Release the cursor; the WSGI server also calls this when the client disconnects."""
        self._pieces.close()


def _pieces(chunks: Documents, file: StoredFile, streams: Semaphore | None, start: int, stop: int) -> _Pieces:
    if start >= stop:
        return
    size = file.chunk_size
    n, last = start // size, (stop - 1) // size

    def piece(data: Any) -> bytes:
        if not isinstance(data, bytes):
            raise CorruptFile(f"chunk {n} of file {file.key} ({file.filename!r}) has no bytes")
        if len(data) != file.chunk_length(n):
            raise CorruptFile(f"chunk {n} of file {file.key} ({file.filename!r}) has {len(data)} bytes")
        offset = n * size
        return data if start <= offset and offset + len(data) <= stop else data[max(start - offset, 0) : stop - offset]

    if n == 0 and file.first_chunk is not None:
        yield piece(file.first_chunk)
        n = 1
    budget = RetryBudget(chunks)
    while n <= last:
        begin = n
        try:
            with _documents(chunks, file, n, last, streams) as documents:
                for document in _in_time(documents, chunks):
                    if whole(document["n"]) != n:
                        break
                    yield piece(document.get("data"))
                    n += 1
                    budget.renew()
        except PyMongoError as error:  # after some chunks perhaps only the cursor is lost: try another one
            if n == begin and not budget.lasts(error):
                raise
            if chunks.read_preference != ReadPreference.PRIMARY:  # else the same secondary might be asked again
                chunks = chunks.with_options(read_preference=ReadPreference.PRIMARY_PREFERRED)
        else:
            if n > begin:
                continue  # the end of a batch, or of the file
            if chunks.read_preference == ReadPreference.PRIMARY:
                raise CorruptFile(f"chunk {n} of file {file.key} ({file.filename!r}) is missing")
            chunks = chunks.with_options(read_preference=ReadPreference.PRIMARY)  # a secondary may lag


@contextmanager
def _documents(
    chunks: Documents, file: StoredFile, first: int, last: int, streams: Semaphore | None
) -> Iterator[Iterator[dict[str, Any]]]:
    """The chunks *first* to *last* in order, or the first few of them.

    With an exhaust cursor the server sends batch after batch without being asked. That is the fastest way, but it holds
    a pooled connection for as long as the client takes, so *streams* limits how many there are at once. Otherwise each
    find has a single batch: if a server fails, a cursor left open can be neither continued nor closed.
    """
    batch = max(2, min(_BATCH_BYTES // file.chunk_size, 1000))

    def find(**options: Any) -> Any:
        wanted = {"files_id": {"$eq": file.id}, "n": {"$gte": first, "$lte": last}}
        if large:  # for a sort without an index: MongoDB 4.4 and 5.0 use the disk only with this option
            options["allow_disk_use"] = True
        return chunks.find(wanted, {"_id": 0, "n": 1, "data": 1}, sort=[("n", 1)], **options)

    large = (last - first + 1) * file.chunk_size >= _MIN_STREAM
    if large and streams is not None and streams.acquire(blocking=False):
        try:
            with ExitStack() as stack:
                try:
                    stream = stack.enter_context(find(cursor_type=CursorType.EXHAUST, batch_size=batch))
                    head = next(_in_time(stream, chunks), None)
                except (InvalidOperation, OperationFailure):
                    head = None  # PyMongo or an old mongos refuses; any other error comes again from the plain find
                if head is not None:
                    yield chain([head], while_known(stream, chunks.database.client))
                    return
        finally:
            streams.release()
    with find(limit=-min(last - first + 1, batch)) as found:  # negative: in a single batch
        yield found


def _in_time(documents: Iterator[dict[str, Any]], chunks: Documents) -> Iterator[dict[str, Any]]:
    """Yield *documents*; a server that does not answer in :data:`_ANSWER_TIMEOUT` seconds has failed.

    The client's server selection timeout counts if it is shorter, as the driver waits this long for a server, too.
    """
    seconds = min(_ANSWER_TIMEOUT, chunks.database.client.options.server_selection_timeout)
    while True:
        with pymongo.timeout(seconds):
            document = next(documents, None)
        if document is None:
            return
        yield document


class FileReader(io.BufferedReader):
    """A version as a file object, for Pillow, zipfile, csv, pandas and the like: ``read``, ``seek``, lines, ``with``.

    It holds no cursor between reads, so it may stay open as long as you like; a read survives an election of the
    replica set, as a download does. ``name`` is the file's name.

    :param file: the version
    :param read: ``read(file, start, stop)``: see :meth:`.Bucket.read`
    """

    def __init__(self, file: StoredFile, read: Callable[[StoredFile, int, int], Reader]) -> None:
        chunk_size = max(1, file.chunk_size)
        whole_chunks = -(-_MIN_BUFFER // chunk_size) * chunk_size
        super().__init__(_Raw(file, read), max(1, min(whole_chunks, file.length, _MAX_BUFFER)))
        self.file = file
        """the :class:`.StoredFile`"""


class _Raw(io.RawIOBase):
    def __init__(self, file: StoredFile, read: Callable[[StoredFile, int, int], Reader]) -> None:
        self._file = file
        self._read = read
        self._position = 0

    @property
    def name(self) -> str:
        return self._file.filename

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.length}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek to {origin + offset}, which is before the beginning")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer).cast("B") as target:
            start = self._position
            stop = min(start + len(target), self._file.length)
            end_of_chunk = stop - stop % max(1, self._file.chunk_size)
            if start < end_of_chunk < stop < self._file.length:
                stop = end_of_chunk  # the next read begins with a whole chunk
            for piece in self._pieces(stop):
                target[self._position - start : self._position - start + len(piece)] = piece
                self._position += len(piece)
            return self._position - start

    def readall(self) -> bytes:
        content = b"".join(self._pieces(self._file.length))
        self._position += len(content)
        return content

    def _pieces(self, stop: int) -> Iterator[bytes]:
        with closing(self._read(self._file, self._position, stop)) as pieces:
            yield from pieces

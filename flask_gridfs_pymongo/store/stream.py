"""A stored file as a file object, for Pillow, zipfile, csv, pandas and the like.

::

    with bucket.open("photos.zip") as file:
        names = zipfile.ZipFile(file).namelist()
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from .model import StoredFile
from .reader import Reader

_MIN_BUFFER = 256 * 1024  # bytes at least
_MAX_BUFFER = 16 * 1024 * 1024  # bytes, the largest possible chunk


class FileReader(io.BufferedReader):
    """Reads a version: an :class:`io.BufferedIOBase` with ``read``, ``seek``, iteration over lines and ``with``.

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

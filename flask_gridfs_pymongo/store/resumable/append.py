"""Adds bytes to an upload: whole chunks are stored first, then the offset moves past them.

:meth:`.Uploads.hold` makes the :class:`Holder` of a new turn (:mod:`.lease`)::

    with bucket.uploads.hold(upload) as holder:
        holder.write(film[holder.offset :])
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from ..errors import FileTooLarge, LeaseLost
from ..versions import Versions
from ..writing.commit import CHUNK_SIZE
from .chunks import UploadChunks
from .lease import BUSY, RENEWAL, Turn

_INSERT = 4 * CHUNK_SIZE  # bytes


class Holder:
    """Takes the bytes that follow :attr:`offset`; as a context manager it saves them, and gives the turn back.

    :param document: the upload's, as :func:`.lease.take` returned it
    :param sha256: of all bytes before the offset; None where another process took some of them
    :param limit: bytes in the whole upload; one more and :meth:`write` raises :class:`.FileTooLarge`
    :param checked: save nothing for good before :meth:`accept`, as what comes may be wrong
    """

    def __init__(
        self,
        turn: Turn,
        versions: Versions,
        document: Mapping[str, Any],
        sha256: Any = None,
        *,
        limit: int | None = None,
        checked: bool = False,
    ) -> None:
        self.turn, self.versions = turn, versions
        self.chunks = UploadChunks(turn, versions.collections.primary)
        self.filename: str = document["filename"]
        self.length: int | None = document["length"]
        self.offset: int = document["offset"]
        """bytes that were taken; once the context is left they are safe"""
        self.sha256 = sha256
        self.saved = False
        """whether the document says what this object says"""
        self._limit, self._checked = limit, checked
        tail = bytes(document["tail"])
        self._begin = (self.offset, tail, sha256 and sha256.copy())
        self._pieces, self._size = [tail], len(tail)
        self._updated = time.monotonic()
        self._thread: ThreadPoolExecutor | None = None
        self._saving: Future[None] | None = None
        self._failed = False  # chunks were lost: nothing more can be saved

    def __enter__(self) -> Holder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.settle()
            if not (self._failed or self.turn.over):
                if self._checked:
                    self.rewind()
                    self._checked = False
                self.save(0)
                self.saved = True
        finally:
            if self._thread is not None:
                self._thread.shutdown()

    def set_length(self, length: int) -> None:
        """Say how many bytes the upload is going to have, where it was created without that.

        :raises FileTooLarge: where it has more already
        """
        if length < self.offset:
            raise FileTooLarge(f"the upload has {self.offset} bytes already")
        self.turn.set_length(length)
        self.length = self._limit = length

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        :raises FileTooLarge: past the limit
        :raises LeaseLost: where somebody else has the turn; what is not safe yet does not count
        """
        if self._limit is not None and self.offset + len(data) > self._limit:
            raise FileTooLarge(f"the upload may have at most {self._limit} bytes")
        if self.sha256 is not None:
            self.sha256.update(data)
        self._pieces.append(data)
        self._size += len(data)
        self.offset += len(data)
        if self._size >= _INSERT or time.monotonic() - self._updated > RENEWAL:
            self._save_meanwhile()

    def accept(self) -> None:
        """Say that the bytes taken are right, so that they may be saved (*checked*)."""
        self._checked = False

    def rewind(self) -> None:
        """Forget what was taken since the turn began: nobody was told of it."""
        self.settle()
        self.offset, tail, self.sha256 = self._begin
        self._pieces, self._size = [tail], len(tail)

    def save(self, busy: float = BUSY) -> bytes:
        """Make safe what was taken, and keep the turn for *busy* seconds more; returns what fills no chunk yet."""
        self.settle()
        chunks, offset, tail = self._cut()
        self._store(chunks, offset, tail, busy)
        return tail

    def settle(self) -> None:
        """Wait for what is being saved."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def _save_meanwhile(self) -> None:
        """Save in a thread, while the next bytes arrive; not more than two inserts are in memory."""
        self.settle()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "gridfs-upload")
        self._saving = self._thread.submit(self._store, *self._cut(), BUSY)

    def _cut(self) -> tuple[list[dict[str, Any]], int, bytes]:
        """The whole chunks in memory, the offset after all of it, and the tail, which stays in memory."""
        self._updated = time.monotonic()
        joined = b"".join(self._pieces)
        first, count = (self.offset - self._size) // CHUNK_SIZE, self._size // CHUNK_SIZE
        tail = joined[count * CHUNK_SIZE :]
        self._pieces, self._size = [tail], len(tail)
        data = (joined[place * CHUNK_SIZE : (place + 1) * CHUNK_SIZE] for place in range(count))
        return [self.chunks.make(first + place, piece) for place, piece in enumerate(data)], self.offset, tail

    def _store(self, chunks: list[dict[str, Any]], offset: int, tail: bytes, busy: float) -> None:
        try:
            self.chunks.insert(chunks)
            if self._checked:
                offset, tail, _ = self._begin
            self.turn.move(offset, tail, busy)
        except BaseException as error:
            self._failed = True  # these chunks are no longer in memory
            if isinstance(error, LeaseLost):
                self.chunks.withdraw(chunks)
            raise

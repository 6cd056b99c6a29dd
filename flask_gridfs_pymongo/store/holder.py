"""Whose turn it is to add to an upload: bytes into whole chunks, the offset after them, and in the end the file.

Each :class:`Holder` has an epoch, which rises with the next one: from then on nothing that the former does counts.
:meth:`.Uploads.hold` makes them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from types import TracebackType
from typing import Any

from bson.objectid import ObjectId
from pymongo.errors import BulkWriteError, PyMongoError

from .. import mimetype
from .charset import Utf8
from .clock import Clock
from .commit import CHUNK_SIZE, Content, commit, preview
from .model import StoredFile
from .reader import Reader
from .retry import persist
from .versions import Versions
from .writer import FileTooLarge

BUSY = 2.0
"""for how many seconds a holder that gets no byte keeps its turn"""
_RENEWAL = 0.5  # seconds between two updates of the document where bytes come slowly
_INSERT = 4 * CHUNK_SIZE  # bytes
_ATTEMPTS = 10
_DUPLICATE_KEY = 11000


class Overtaken(Exception):
    """Somebody else has gone on with the upload, or ended it."""


class Holder:
    """Takes the bytes that follow :attr:`offset`; as a context manager it saves them, and gives the turn back.

    :param uploads: the collection of uploads, as the primary knows it
    :param document: the upload's, with the epoch of this holder
    :param sha256: of all bytes before the offset; None where another process took some of them
    :param limit: bytes in the whole upload; one more and :meth:`write` raises :class:`.FileTooLarge`
    :param checked: save nothing for good before :meth:`accept`, as what comes may be wrong
    """

    def __init__(
        self,
        uploads: Any,
        versions: Versions,
        document: Mapping[str, Any],
        clock: Clock,
        sha256: Any = None,
        *,
        limit: int | None = None,
        checked: bool = False,
    ) -> None:
        self.id: ObjectId = document["_id"]
        self.filename: str = document["filename"]
        self.length: int | None = document["length"]
        self.offset: int = document["offset"]
        """bytes that were taken; once the context is left they are safe"""
        self.epoch: int = document["epoch"]
        self.expires: datetime = document["expires"]
        """in UTC; each saved byte puts it off"""
        self.sha256 = sha256
        self.saved = False
        """whether the document says what this object says"""
        self._uploads, self._versions, self._clock = uploads, versions, clock
        self._collections = versions.collections.primary
        self._lifetime: float = document["lifetime"]
        self._limit, self._checked = limit, checked
        tail = bytes(document["tail"])
        self._begin = (self.offset, tail, sha256 and sha256.copy())
        self._told = self.offset  # as the document has it
        self._pieces, self._size = [tail], len(tail)
        self._updated = time.monotonic()
        self._thread: ThreadPoolExecutor | None = None
        self._saving: Future[None] | None = None
        self._over = False  # nothing more can be saved

    @property
    def _mine(self) -> dict[str, Any]:
        return {"_id": self.id, "epoch": self.epoch, "state": "open"}

    def __enter__(self) -> Holder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._settle()
            if not self._over:
                if self._checked:
                    self.rewind()
                    self._checked = False
                self._save(0)
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
        fields = {"$set": {"length": length}}
        if not persist(self._uploads, lambda: self._uploads.update_one(self._mine, fields)).matched_count:
            raise Overtaken
        self.length = self._limit = length

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        :raises FileTooLarge: past the limit
        :raises Overtaken: where somebody else has the turn; what is not safe yet does not count
        """
        if self._limit is not None and self.offset + len(data) > self._limit:
            raise FileTooLarge(f"the upload may have at most {self._limit} bytes")
        if self.sha256 is not None:
            self.sha256.update(data)
        self._pieces.append(data)
        self._size += len(data)
        self.offset += len(data)
        if self._size >= _INSERT or time.monotonic() - self._updated > _RENEWAL:
            self._save_meanwhile()

    def accept(self) -> None:
        """What was taken is right."""
        self._checked = False

    def rewind(self) -> None:
        """Forget what was taken since the turn began: nobody was told of it."""
        self._settle()
        self.offset, tail, self.sha256 = self._begin
        self._pieces, self._size = [tail], len(tail)

    def _save_meanwhile(self) -> None:
        """Save in a thread, while the next bytes arrive; not more than two inserts are in memory."""
        self._settle()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "gridfs-upload")
        self._saving = self._thread.submit(self._store, *self._cut(), BUSY)

    def _settle(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def _save(self, busy: float) -> None:
        self._settle()
        self._store(*self._cut(), busy)

    def _cut(self) -> tuple[list[dict[str, Any]], int, bytes]:
        """The whole chunks of what is in memory, the offset behind it, and the tail, which stays there."""
        self._updated = time.monotonic()
        joined = b"".join(self._pieces)
        first, count = (self.offset - self._size) // CHUNK_SIZE, self._size // CHUNK_SIZE
        tail = joined[count * CHUNK_SIZE :]
        self._pieces, self._size = [tail], len(tail)
        data = (joined[place * CHUNK_SIZE : (place + 1) * CHUNK_SIZE] for place in range(count))
        return [self._chunk(first + place, piece) for place, piece in enumerate(data)], self.offset, tail

    def _chunk(self, n: int, data: bytes) -> dict[str, Any]:
        return {"_id": ObjectId(), "files_id": self.id, "n": n, "data": data}

    def _store(self, chunks: list[dict[str, Any]], offset: int, tail: bytes, busy: float) -> None:
        try:
            self._insert(chunks)
            self._move(offset, tail, busy)
        except BaseException as error:
            self._over = True  # these chunks are in memory no more
            if isinstance(error, Overtaken):
                self._withdraw(chunks)
            raise

    def _insert(self, chunks: list[dict[str, Any]]) -> None:
        """Insert *chunks*, in the place of what a crash or a lost answer has left there."""
        collection = self._collections.chunks
        own, missing = {chunk["_id"] for chunk in chunks}, chunks
        for _ in range(_ATTEMPTS):
            if not missing:
                return
            try:
                persist(collection, partial(collection.insert_many, missing))
                return
            except BulkWriteError as error:
                if any(one["code"] != _DUPLICATE_KEY for one in error.details["writeErrors"]):
                    raise
            there = self._clear({"$in": [chunk["n"] for chunk in chunks]}, own)
            missing = [chunk for chunk in chunks if chunk["_id"] not in there]
        raise Overtaken

    def _clear(self, places: Mapping[str, Any], own: set[ObjectId]) -> set[ObjectId]:
        """Delete the chunks at these *places* that are not my *own*; returns the ``_id`` of all that were there.

        The order matters: whatever was there *before* the epoch was still mine belongs to nobody who came after me. A
        delete by place would take a successor's chunk.
        """
        collection, selection = self._collections.chunks, {"files_id": self.id, "n": places}
        there = {chunk["_id"] for chunk in persist(collection, lambda: list(collection.find(selection, {"_id": 1})))}
        if persist(self._uploads, lambda: self._uploads.find_one(self._mine, {"_id": 1})) is None:
            raise Overtaken
        if foreign := list(there - own):
            persist(collection, lambda: collection.delete_many({"_id": {"$in": foreign}}))
        return there

    def _move(self, offset: int, tail: bytes, busy: float) -> None:
        """Let the document say that *offset* bytes are safe, and that this goes on for *busy* seconds more."""
        if self._checked:
            offset, tail, _ = self._begin
        now = self._clock.now()
        self.expires = now + timedelta(seconds=self._lifetime)
        times = {"busy": now + timedelta(seconds=busy), "expires": self.expires}
        # One whose answer was lost may be carried out late: not once the offset has moved on.
        selection = {**self._mine, "offset": {"$in": [self._told, offset]}}
        fields = {"$set": {"offset": offset, "tail": tail, **times}}
        if not persist(self._uploads, lambda: self._uploads.update_one(selection, fields)).matched_count:
            raise Overtaken
        self._told = offset

    def _withdraw(self, chunks: list[dict[str, Any]]) -> None:
        """Remove those of my *chunks* that the upload does not count, and never will."""
        current = self._uploads.find_one({"_id": self.id})
        if current is not None and current["state"] != "gone":
            safe = current["offset"] // CHUNK_SIZE
            chunks = [chunk for chunk in chunks if chunk["n"] >= safe]
        elif self._stored():
            return
        self._collections.chunks.delete_many({"_id": {"$in": [chunk["_id"] for chunk in chunks]}})

    def _stored(self) -> dict[str, Any] | None:
        """The files document, where it was written before."""
        files = self._collections.files
        found: dict[str, Any] | None = persist(files, lambda: files.find_one({"_id": self.id}))
        return found

    def commit(
        self,
        content_type: str | None = None,
        fields: Mapping[str, Any] | None = None,
        check: Callable[[StoredFile | None], None] | None = None,
        inspect: Callable[[StoredFile], None] | None = None,
    ) -> tuple[StoredFile, bool]:
        """Make the upload the newest version of its name: see :func:`.writer.commit`.

        It can be repeated: who did it before may have died before it could tell.

        :param inspect: called with the file before anybody can see it; what it raises ends this call
        :return: the file, and whether it was this call that ended the upload
        :raises CorruptFile: where bytes that were safe are gone
        :raises Overtaken: where somebody else ended the upload meanwhile
        """
        self._save(BUSY)
        with self._turn_kept():
            if document := self._stored():
                file = StoredFile.from_document(document)
            else:
                content = self._content()
                if inspect is not None:
                    inspect(preview(self.filename, content, content_type, fields))
                file = commit(self._versions, self.filename, content, content_type, fields, check)
        return file, self._end("stored") or self._still_whole()

    @contextmanager
    def _turn_kept(self) -> Iterator[None]:
        """Keep the turn while no bytes come, for as long as this process is alive."""
        done, tail = Event(), self._pieces[0]

        def renew() -> None:
            with suppress(Overtaken, PyMongoError):  # the end of the upload tells
                while not done.wait(_RENEWAL):
                    self._move(self.offset, tail, BUSY)

        with ThreadPoolExecutor(1, "gridfs-upload") as pool:
            pool.submit(renew)
            try:
                yield
            finally:
                done.set()

    def _content(self) -> Content:
        """Bring the last chunk to its place, and look at what is stored."""
        chunks, tail = self._collections.chunks, self._pieces[0]
        if tail:
            self._insert([self._chunk(self.offset // CHUNK_SIZE, tail)])
        self._clear({"$gte": self._count}, set())
        file = StoredFile(self.id, self.filename, self.offset, CHUNK_SIZE, self._clock.now(), mimetype.UNKNOWN, None)
        sha256 = self.sha256
        if sha256 is None:
            sha256 = hashlib.sha256()
            for piece in Reader(chunks, file, 0, file.length):
                sha256.update(piece)
        head = b"".join(Reader(chunks, file, 0, min(file.length, mimetype.SNIFF_BYTES)))
        is_utf8 = Utf8()
        if mimetype.guess(self.filename, head).startswith("text/"):
            for piece in Reader(chunks, file, 0, file.length):
                is_utf8.update(piece)
        return Content(self.id, self.offset, sha256.hexdigest(), head, is_utf8.valid())

    @property
    def _count(self) -> int:
        """How many chunks the file has."""
        return -(-self.offset // CHUNK_SIZE)

    def terminate(self) -> None:
        """End the upload, and remove its bytes.

        :raises Overtaken: where somebody else goes on with it
        """
        self._settle()
        if not self._end("gone"):
            raise Overtaken
        if not self._stored():  # else who stored it died before the document could say so
            self._collections.chunks.delete_many({"files_id": self.id})

    def _end(self, state: str) -> bool:
        """Set the last state of the upload; returns whether it was this call that did."""
        self._over = True
        self.expires = self._clock.now() + timedelta(seconds=self._lifetime)
        fields = {"$set": {"state": state, "tail": b"", "expires": self.expires}}
        if persist(self._uploads, lambda: self._uploads.update_one(self._mine, fields)).matched_count:
            return True
        mine = {"_id": self.id, "epoch": self.epoch, "state": state}  # an answer was lost
        return persist(self._uploads, lambda: self._uploads.find_one(mine, {"_id": 1})) is not None

    def _still_whole(self) -> bool:
        """After a commit that came late: leave no file whose bytes somebody else has removed; returns False."""
        current = persist(self._uploads, lambda: self._uploads.find_one({"_id": self.id}, {"state": 1}))
        chunks, own = self._collections.chunks, {"files_id": self.id}
        gone = current is not None and current["state"] == "gone"
        if gone or persist(chunks, lambda: chunks.count_documents(own)) != self._count:
            self._collections.files.delete_one({"_id": self.id})
            chunks.delete_many(own)
            raise Overtaken
        return False

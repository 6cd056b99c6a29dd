"""Content that never changes, on local disk: written while it is sent for the first time, verified before it is used.

::

    disk = Disk(Folder("/var/cache/shop", 10 * 2**30, 7 * 86400, 0), "a,b,c")
    entry = Entry("shop.fs.chunks 1", "9e10...", 7, None, 0)
    b"".join(disk.read(entry, 0, 7, fetch))  # from fetch(0, 7)
    b"".join(disk.read(entry, 2, 4, fetch))  # from the disk

Whatever is wrong with the folder, what is read is what *fetch* would have yielded, and the log has a line.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from threading import Lock, Thread

from .entry import Entry
from .folder import Folder
from .memory import Memory
from .part import Part

_BLOCK = 256 * 1024  # bytes that are read at once
_MAX_FETCHED = 64 * 1024 * 1024  # bytes of a file that is fetched whole as a range of it was read
_MAX_AT_ONCE = 256 * 1024 * 1024  # bytes of a file that is verified while somebody waits
_MAX_JOBS = 16
PINNED = 600
"""seconds that a file which a web server was asked to send is not evicted"""
_KNOWN_SIZE = 16 * 1024 * 1024  # bytes
_SWEEP_PERIOD = 3600  # seconds
_LOG_PERIOD = 60  # seconds between two lines about the same kind of error
_logger = logging.getLogger("flask_gridfs_pymongo")

Fetch = Callable[[int, int], Generator[bytes, None, None]]
"""``fetch(start, stop)`` yields the bytes from the database."""


class Disk:
    """Reads content from the folder, or fetches and keeps it.

    :param folder: where it is kept
    :param origin: what the content comes from: entries of another origin are others
    :param accel: the URL under which a web server sends files of the folder internally; None: none does
    """

    def __init__(self, folder: Folder, origin: str, accel: str | None = None) -> None:
        self.folder, self.accel = folder, accel
        self._origin = origin
        self._known = Memory(_KNOWN_SIZE)  # name and stamp of each file that this process has verified
        self._jobs: dict[str, Callable[[], None]] = {}
        self._is_working = False
        self._lock = Lock()
        self._logged: dict[str, float] = {}
        self._swept = time.monotonic()

    def read(self, entry: Entry, start: int, stop: int, fetch: Fetch) -> Generator[bytes, None, None]:
        """Yield the bytes *start* to *stop* (exclusive); what is not on the disk is fetched, and kept."""
        if time.monotonic() - self._swept > _SWEEP_PERIOD:
            self._swept = time.monotonic()
            self._later("", self._sweep)
        key = self._key(entry)
        if start >= stop:
            return
        if found := self._open(key, entry):
            name, fd = found
            self.folder.note_use(name)
            yield from self._stored(fd, start, stop, fetch)
        elif (start, stop) == (0, entry.length) and key not in self._jobs and (part := self._begin(key, entry)):
            yield from self._keep(part, key, entry, fetch)
        else:
            if stop - start < entry.length < _MAX_FETCHED:
                self._later(key, partial(self._fill, key, entry, fetch))
            yield from fetch(start, stop)

    def peek(self, entry: Entry, start: int, stop: int, fetch: Fetch) -> Generator[bytes, None, None]:
        """Yield bytes as :meth:`read` does, but keep nothing."""
        found = self._open(self._key(entry), entry) if start < stop else None
        yield from fetch(start, stop) if found is None else self._stored(found[1], start, stop, fetch)

    def hand_over(self, entry: Entry) -> str | None:
        """Return the URL that makes the web server send the file; None if it is not on the disk."""
        found = self._open(self._key(entry), entry)
        if found is None:
            return None
        name, fd = found
        os.close(fd)
        self.folder.note_use(name)
        return f"{self.accel}{name[:2]}/{name}"

    def forget(self, owner: str) -> None:
        """Remove all versions of *owner*."""
        with self._logging():
            self.folder.remove(self._hash(owner))

    def _key(self, entry: Entry) -> str:
        return f"{self._hash(entry.owner)}-{entry.tag}"

    def _hash(self, owner: str) -> str:
        return hashlib.sha256(ascii((self._origin, owner)).encode()).hexdigest()[:32]

    def _open(self, key: str, entry: Entry) -> tuple[str, int] | None:
        """Open the file of *entry*, verified; return its name, too."""
        known: tuple[str, tuple[int, ...]] | None = self._known.get(key)
        with self._logging():
            if entry.sha256 is not None:
                name: str | None = key
            else:  # the hash that was made when it was written is in its name
                name = known[0] if known else self.folder.find(f"{key}-")
            if name is None or (fd := self.folder.open(name)) is None:
                self._known.drop(key)
                return None
            verified = False
            try:
                if known == (name, _times(os.fstat(fd))):
                    verified = True
                elif entry.length > _MAX_AT_ONCE:
                    self._later(key, partial(self._verify_later, key, name, entry))
                else:
                    verified = self._verify(key, name, fd, entry)
            finally:
                if not verified:
                    os.close(fd)
            if verified:
                return name, fd
        return None

    def _verify(self, key: str, name: str, fd: int, entry: Entry) -> bool:
        """Return whether the file has the right content; else remove it."""
        stamp = _times(os.fstat(fd))
        if os.fstat(fd).st_size == entry.length and _digest(fd) == (entry.sha256 or name.rpartition("-")[2]):
            self._known.put(key, (name, stamp), 0)
            return True
        _logger.warning("%s: %s is damaged, and removed", self.folder.path, name)
        self.folder.remove(name)
        return False

    def _verify_later(self, key: str, name: str, entry: Entry) -> None:
        if (fd := self.folder.open(name)) is not None:
            with open(fd, "rb"):  # which closes it
                self._verify(key, name, fd, entry)

    def _stored(self, fd: int, start: int, stop: int, fetch: Fetch) -> Generator[bytes, None, None]:
        try:
            while start < stop:
                data = b""
                with self._logging():
                    data = os.pread(fd, min(_BLOCK, stop - start), start)
                if not data:
                    break
                yield data
                start += len(data)
        finally:
            os.close(fd)
        if start < stop:  # it was truncated, or the disk fails
            yield from fetch(start, stop)

    def _keep(self, part: Part, key: str, entry: Entry, fetch: Fetch) -> Generator[bytes, None, None]:
        """Yield the whole content while it is written; the file is there before the last bytes are yielded."""
        digest, left, writes = hashlib.sha256(), entry.length, True
        with part, closing(fetch(0, entry.length)) as pieces:
            for data in pieces:
                left -= len(data)
                if writes and not (writes := self._write(part, data, left == 0, digest, key, entry)):
                    part.close()
                yield data

    def _begin(self, key: str, entry: Entry) -> Part | None:
        with self._logging():
            return self.folder.begin(key, entry.length)
        return None

    def _write(self, part: Part, data: bytes, is_last: bool, digest: hashlib._Hash, key: str, entry: Entry) -> bool:
        """Write *data*, and after the last of it commit; return whether to continue."""
        with self._logging():
            part.write(data)
            digest.update(data)
            if not is_last:
                return True
            own = digest.hexdigest()
            if entry.sha256 not in (None, own):
                _logger.warning("%s has not the SHA-256 in its document, and is not cached", entry.owner)
                return False
            name = f"{key}-{own}" if entry.sha256 is None else key
            if stamp := part.commit(name, entry.modified):
                self._known.put(key, (name, _times(stamp)), 0)
        return False

    def _fill(self, key: str, entry: Entry, fetch: Fetch) -> None:
        if part := self._begin(key, entry):
            for _ in self._keep(part, key, entry, fetch):
                pass

    def _sweep(self) -> None:
        if os.path.isdir(self.folder.path):
            self.folder.sweep()

    def _later(self, key: str, job: Callable[[], None]) -> None:
        """Do a job in the background, unless too many wait, or one with this key does."""
        with self._lock:
            if key in self._jobs or len(self._jobs) >= _MAX_JOBS:
                return
            self._jobs[key] = job
            if not self._is_working:
                try:
                    Thread(target=self._work, name="file_cache", daemon=True).start()
                except RuntimeError:  # the interpreter ends, or there are too many threads
                    self._jobs.clear()
                else:
                    self._is_working = True

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._is_working = False
                    return
                key, job = next(iter(self._jobs.items()))
            try:
                job()
            except Exception as error:
                self._note(error)
            with self._lock:
                self._jobs.pop(key, None)

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """Log an error of the disk, and continue after the block."""
        try:
            yield
        except OSError as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        kind, now = f"{type(error).__name__} {getattr(error, 'errno', None)}", time.monotonic()
        if now - self._logged.get(kind, -_LOG_PERIOD) >= _LOG_PERIOD:
            self._logged[kind] = now
            _logger.warning("%s: files are not cached: %a", self.folder.path, error)


def _times(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(fd: int) -> str:
    with open(fd, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A folder of files that the processes of a machine share: written beside and renamed, evicted by size and last use.

::

    folder = Folder("/var/cache/shop", size=10 * 2**30, max_age=7 * 86400, pinned=0)
    if part := folder.begin("0a3f...-77be...", 7):
        with part:
            part.write(b"content")
            part.commit("0a3f...-77be...", modified)

A file is ``0a/0a3f...``, in one of 256 folders; no symbolic link in the folder is followed. Only what is named as our
files are is ever changed or removed. Everything here raises OSError, and leaves no incomplete file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

from .part import OPEN, Part, is_written, unlink

_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}(-[0-9a-f]{64})?(\.part)?")
_SHARD = re.compile("[0-9a-f]{2}")
_LOW_WATER = 0.9  # of the size, after an eviction
_STEP = 0.01  # of the size, which a process may write before it looks at the whole folder again
_PROCESSES = 16  # that together write no more than what is left
_USES = ".uses"
_SLOT = struct.Struct("<dQ")  # when a file was last used, in seconds, and how often
_SLOTS = 2**18  # two files that share one are taken to be used when either is


class Row(NamedTuple):
    """A file in the folder, or one that is being written."""

    name: str
    size: int
    used: float
    """when it was last used, in seconds"""


class Folder:
    """Files by name.

    :param path: the folder, which is made if it is missing
    :param size: bytes of all files together
    :param max_age: seconds after its last use that a file is kept
    :param pinned: seconds after its last use during which a file is not evicted
    """

    def __init__(self, path: str, size: int, max_age: int, pinned: int) -> None:
        self.path, self.size = path, size
        self._max_age, self._pinned = max_age, pinned
        self._allowance = 0.0  # bytes that this process may write until it looks at the whole folder again

    def open(self, name: str) -> int | None:
        """Open a file for reading; None if it is missing.

        What is not a file that only we may write is removed.

        :raises PermissionError: if there was such a thing
        """
        try:
            with self._shard(name) as shard:
                if (fd := _opened(name, shard)) is None:
                    os.unlink(name, dir_fd=shard)
                    raise PermissionError(f"{name} is not a file that only this user may write")
                return fd
        except FileNotFoundError:
            return None

    def find(self, prefix: str) -> str | None:
        """Return the name of a complete file that begins with *prefix*."""
        return next((name for name in self._names(prefix) if not name.endswith(".part")), None)

    def begin(self, name: str, length: int) -> Part | None:
        """Begin to write a file of *length* bytes; None if there is no room, or it is being written."""
        if length > self.size * _LOW_WATER:
            return None
        with self._shard(name, make=True) as shard:
            part = Part(os.dup(shard), f"{name}.part", self.note_use)
        try:
            if part.claim(length) and self._make_room(length):
                return part
        except BaseException:
            part.close()
            raise
        part.close()
        return None

    def remove(self, prefix: str) -> None:
        """Remove all files that begin with *prefix*; what is being read is read to its end."""
        names = list(self._names(prefix))
        if names:
            with self._shard(prefix) as shard:
                for name in names:
                    unlink(name, shard)

    def note_use(self, name: str, hits: int = 1) -> None:
        """Note that a file is used just now."""
        offset = _slot(name)
        with suppress(OSError), self._uses(os.O_RDWR | os.O_CREAT) as uses:
            known = os.pread(uses, _SLOT.size, offset)
            count = _SLOT.unpack(known)[1] if len(known) == _SLOT.size else 0
            os.pwrite(uses, _SLOT.pack(time.time(), (count + hits) % 2**64), offset)

    def hits(self) -> int:
        """Return how often files were used."""
        table = self._table()
        return sum(count for _, count in _SLOT.iter_unpack(table[: len(table) - len(table) % _SLOT.size]))

    def rows(self) -> Iterator[Row]:
        """Yield the files, and those that are being written."""
        table = self._table()
        for shard_name in self._shards():
            with suppress(OSError), self._shard(shard_name) as shard, os.scandir(shard) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) and entry.name.startswith(shard_name):
                        with suppress(FileNotFoundError):
                            found = entry.stat(follow_symlinks=False)
                            yield Row(entry.name, found.st_size, max(found.st_ctime, _used(table, entry.name)))

    def clear(self) -> None:
        """Remove all files, and forget how often they were used."""
        for row in self.rows():
            self._remove(row)
        with suppress(FileNotFoundError), self._uses(os.O_WRONLY) as uses:
            os.ftruncate(uses, 0)

    def sweep(self) -> int:
        """Remove what is too old, what a killed process left, and what is too much; return how many bytes stay."""
        with self._locked():
            now, left, kept = time.time(), 0, []
            for row in self.rows():
                if row.name.endswith(".part"):
                    if not self._is_written(row.name):
                        self._remove(row)
                        continue
                elif row.used < now - self._max_age:
                    self._remove(row)
                    continue
                elif row.used < now - self._pinned or row.used > now:  # in the future: the clock was wrong
                    kept.append(row)
                left += row.size
            self._allowance = max(0, min(self.size * _STEP, (self.size - left) / _PROCESSES))
            if left <= self.size:
                return left
            for row in sorted(kept, key=lambda row: row.used if row.used <= now else 0):
                self._remove(row)
                left -= row.size
                if left <= self.size * _LOW_WATER:
                    break
            return left

    def _make_room(self, length: int) -> bool:
        """Evict what is too much with *length* more bytes, which are in the folder already; return whether it fits."""
        if length <= self._allowance:
            self._allowance -= length
            return True
        return self.sweep() <= self.size

    def _is_written(self, name: str) -> bool:
        with self._shard(name) as shard:
            return is_written(name, shard)

    def _remove(self, row: Row) -> None:
        with self._shard(row.name) as shard:
            unlink(row.name, shard)

    def _names(self, prefix: str) -> Iterator[str]:
        with suppress(FileNotFoundError), self._shard(prefix) as shard:
            yield from (name for name in os.listdir(shard) if name.startswith(prefix) and _NAME.fullmatch(name))

    def _shards(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.path) if _SHARD.fullmatch(name)]
        except FileNotFoundError:
            return []

    @contextmanager
    def _shard(self, name: str, *, make: bool = False) -> Iterator[int]:
        """Open the folder that the file *name* is in."""
        path = os.path.join(self.path, name[:2])
        if make:
            self._make(path)
        with _descriptor(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as fd:
            own = os.fstat(fd)
            if own.st_mode & 0o022 or own.st_uid not in (os.geteuid(), os.stat(self.path).st_uid):
                raise PermissionError(f"others may write to {path}")
            yield fd

    def _make(self, path: str) -> None:
        """Make a folder in ours, which keeps the group of ours, whatever the umask."""
        if os.path.isdir(path):
            return
        os.makedirs(self.path, 0o750, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        with _descriptor(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as fd:
            own, wanted = os.fstat(fd), os.stat(self.path)
            with suppress(PermissionError):
                if (own.st_uid, own.st_gid) != (wanted.st_uid, wanted.st_gid):
                    os.fchown(fd, wanted.st_uid if os.geteuid() == 0 else -1, wanted.st_gid)
            os.fchmod(fd, 0o2750)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time evict."""
        with _descriptor(self.path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield

    def _uses(self, flags: int) -> AbstractContextManager[int]:
        return _descriptor(os.path.join(self.path, _USES), flags | OPEN, 0o600)

    def _table(self) -> bytes:
        with suppress(OSError), self._uses(os.O_RDONLY) as uses:
            return os.pread(uses, _SLOTS * _SLOT.size, 0)
        return b""


@contextmanager
def _descriptor(path: str, flags: int, mode: int = 0o777) -> Iterator[int]:
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def _opened(name: str, shard: int) -> int | None:
    """Open a file; None if it is not one, or others may write to it."""
    try:
        fd = os.open(name, os.O_RDONLY | OPEN, dir_fd=shard)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a symbolic link; a socket
            return None
        raise
    found = os.fstat(fd)
    owners = (os.geteuid(), os.fstat(shard).st_uid)
    if stat.S_ISREG(found.st_mode) and found.st_uid in owners and not found.st_mode & 0o022:
        return fd
    os.close(fd)
    return None


def _slot(name: str) -> int:
    return int(name[:8], 16) % _SLOTS * _SLOT.size


def _used(table: bytes, name: str) -> float:
    offset = _slot(name)
    used: float = _SLOT.unpack_from(table, offset)[0] if len(table) >= offset + _SLOT.size else 0.0
    return used

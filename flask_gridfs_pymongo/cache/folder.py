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
from contextlib import contextmanager, suppress
from typing import NamedTuple

_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{32}(-[0-9a-f]{64})?(\.part)?")
_SHARD = re.compile("[0-9a-f]{2}")
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK  # nonblocking, as a pipe may stand in a file's place
_GROUP_MAY_READ = 0o640  # and so may a web server in the folder's group
_PATIENCE = 60  # seconds that a file may take to be written, and a second for each:
_SLOWEST = 4 * 1024 * 1024  # bytes
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
            part = Part(self, os.dup(shard), f"{name}.part")
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
                    _unlink(name, shard)

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

    def _is_written(self, name: str, patience: float | None = None) -> bool:
        """Whether a process is writing a part, and began no more than *patience* seconds ago."""
        with self._shard(name) as shard:
            try:
                fd = os.open(name, os.O_RDONLY | _OPEN, dir_fd=shard)
            except OSError:
                return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return patience is None or time.time() - os.fstat(fd).st_atime <= patience
        finally:
            os.close(fd)
        return False

    def _remove(self, row: Row) -> None:
        with self._shard(row.name) as shard:
            _unlink(row.name, shard)

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
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            own = os.fstat(fd)
            if own.st_mode & 0o022 or own.st_uid not in (os.geteuid(), os.stat(self.path).st_uid):
                raise PermissionError(f"others may write to {path}")
            yield fd
        finally:
            os.close(fd)

    def _make(self, path: str) -> None:
        """Make a folder in ours, which keeps the group of ours, whatever the umask."""
        if os.path.isdir(path):
            return
        os.makedirs(self.path, 0o750, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            own, wanted = os.fstat(fd), os.stat(self.path)
            with suppress(PermissionError):
                if (own.st_uid, own.st_gid) != (wanted.st_uid, wanted.st_gid):
                    os.fchown(fd, wanted.st_uid if os.geteuid() == 0 else -1, wanted.st_gid)
            os.fchmod(fd, 0o2750)
        finally:
            os.close(fd)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time evict."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def _uses(self, flags: int) -> Iterator[int]:
        fd = os.open(os.path.join(self.path, _USES), flags | _OPEN, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)

    def _table(self) -> bytes:
        with suppress(OSError), self._uses(os.O_RDONLY) as uses:
            return os.pread(uses, _SLOTS * _SLOT.size, 0)
        return b""


class Part:
    """A file that is being written, under a name of its own. Its writer holds its lock; a dead process holds none.

    :param shard: the folder that it is in, which is closed with it
    """

    def __init__(self, folder: Folder, shard: int, name: str) -> None:
        self._folder, self._shard, self._name = folder, shard, name
        self._fd = -1

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def claim(self, length: int) -> bool:
        """Create it, unless another process or thread writes it and is not too slow."""
        for _ in range(2):
            try:
                self._fd = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._shard)
            except FileExistsError:
                if self._folder._is_written(self._name, _PATIENCE + length / _SLOWEST):
                    return False
                _unlink(self._name, self._shard)
            else:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.utime(self._fd, (time.time(), 0))  # when it began, which writing does not change
                os.ftruncate(self._fd, length)  # counts from now on
                return True
        return False

    def write(self, data: bytes) -> None:
        """Write the next bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def commit(self, name: str, modified: float) -> os.stat_result | None:
        """Make it the file *name*.

        :param modified: its date, in seconds
        :return: what :func:`os.fstat` says of it; None if another process thought this one too slow
        """
        if os.geteuid() == 0:
            above = os.fstat(self._shard)
            os.fchown(self._fd, above.st_uid, above.st_gid)
        os.fchmod(self._fd, _GROUP_MAY_READ)
        with suppress(OverflowError, OSError):  # a date that the file system does not have
            os.utime(self._fd, ns=(time.time_ns(), round(modified * 1000) * 1_000_000))
        os.fsync(self._fd)
        if not self._is_there():
            return None
        os.rename(self._name, name, src_dir_fd=self._shard, dst_dir_fd=self._shard)
        self._name = ""
        self._folder.note_use(name, hits=0)
        return os.fstat(self._fd)

    def close(self) -> None:
        """Remove it unless it was committed."""
        if self._fd >= 0:
            if self._name and self._is_there():
                with suppress(OSError):
                    os.unlink(self._name, dir_fd=self._shard)
            os.close(self._fd)
            self._fd = -1
        if self._shard >= 0:
            os.close(self._shard)
            self._shard = -1

    def _is_there(self) -> bool:
        """Whether its name still means this file."""
        try:
            there = os.stat(self._name, dir_fd=self._shard, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))


def _opened(name: str, shard: int) -> int | None:
    """Open a file; None if it is not one, or others may write to it."""
    try:
        fd = os.open(name, os.O_RDONLY | _OPEN, dir_fd=shard)
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


def _unlink(name: str, shard: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=shard)


def _slot(name: str) -> int:
    return int(name[:8], 16) % _SLOTS * _SLOT.size


def _used(table: bytes, name: str) -> float:
    offset = _slot(name)
    used: float = _SLOT.unpack_from(table, offset)[0] if len(table) >= offset + _SLOT.size else 0.0
    return used

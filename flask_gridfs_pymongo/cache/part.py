"""A file of the cache that is being written.

::

    with Part(shard, "0a3f...-77be....part", note_use) as part:
        if part.claim(7):
            part.write(b"content")
            part.commit("0a3f...-77be...", modified)
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

OPEN = os.O_NOFOLLOW | os.O_NONBLOCK
"""flags; nonblocking, as a pipe may stand in a file's place"""
_GROUP_MAY_READ = 0o640  # and so may a web server in the folder's group
_WRITE_TIMEOUT = 60  # seconds to write a file, and one more for each:
_SLOWEST = 4 * 1024 * 1024  # bytes


class Part:
    """A file that is being written, under a name of its own. Its writer holds its lock; a dead process holds none.

    :param shard: the descriptor of the folder that it is in, which is closed with it
    :param note_use: called with the name of the file that it becomes, which has no use yet, and 0
    """

    def __init__(self, shard: int, name: str, note_use: Callable[[str, int], None]) -> None:
        self._shard, self._name, self._note_use = shard, name, note_use
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
                if is_written(self._name, self._shard, _WRITE_TIMEOUT + length / _SLOWEST):
                    return False
                unlink(self._name, self._shard)
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
        self._note_use(name, 0)
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


def is_written(name: str, shard: int, timeout: float | None = None) -> bool:
    """Whether a process is writing a part, and began no more than *timeout* seconds ago; None: whenever it began."""
    try:
        fd = os.open(name, os.O_RDONLY | OPEN, dir_fd=shard)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return timeout is None or time.time() - os.fstat(fd).st_atime <= timeout
    finally:
        os.close(fd)
    return False


def unlink(name: str, shard: int) -> None:
    """Remove a file, which may be missing."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=shard)

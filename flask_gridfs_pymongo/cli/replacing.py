"""Replacing a local file in one step, and what a killed command leaves of that.

::

    with replacing("copies/a.jpg", file.upload_date) as target:
        target.write(b"...")
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # on Windows, where an open file cannot be deleted
    fcntl = None  # type: ignore[assignment]

_PART = re.compile(r"\.gridfs-[0-9a-f]{16}\.part")
_EPOCH = datetime.fromtimestamp(0, UTC)


@contextmanager
def replacing(path: str, date: datetime) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces *path* at the end of the block, in one step, and is then dated *date*.

    Missing folders are created.

    :raises OSError: if *path* is a folder, a symbolic link, a device or the like, or cannot be written
    """
    there = _replaceable(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    try:
        with _part(os.path.dirname(path)) as part:
            with open(part, "wb") as file:
                yield file
            if there is not None:
                os.chmod(part, there & 0o777)
            if date > _EPOCH:  # else it is unknown
                os.utime(part, (date.timestamp(), date.timestamp()))
            os.replace(part, path)
    except OSError as error:
        error.filename = path  # not the temporary one
        raise


def check_replaceable(path: str) -> None:
    """Raise the error that :func:`replacing` would raise, as far as it is known without writing."""
    _replaceable(path)
    missing, folder = [path], os.path.dirname(path) or "."
    while not os.path.exists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder) or "."
    try:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        while missing:
            with suppress(FileNotFoundError):  # any other error: the name is too long, for example
                os.lstat(os.path.join(folder, os.path.basename(missing[-1])))
            missing.pop()
    except OSError as error:
        error.filename = missing[-1]
        raise


def _replaceable(path: str) -> int | None:
    """Return the mode of the regular file at *path*; None if nothing is there. Raise an OSError for anything else."""
    there = _mode(path, follow_symlinks=False)
    if there is not None and not stat.S_ISREG(there):
        kind = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}.get(stat.S_IFMT(there), "not a regular file")
        raise FileExistsError(f"not written: {path!r} is {kind}")
    return there


@contextmanager
def _part(folder: str) -> Iterator[str]:
    """Make a temporary file; it is locked until the end of the block, so that :func:`remove_leftovers` spares it."""
    while True:
        path = os.path.join(folder, f".gridfs-{token_hex(8)}.part")
        try:  # an interrupt may come as soon as it is there
            with open(path, "xb") as file:
                if fcntl is None:
                    file.close()
                else:
                    with suppress(OSError):  # of a file system without locks
                        fcntl.flock(file, fcntl.LOCK_EX)
                if os.path.exists(path):  # it may have been removed before it was locked
                    yield path
                    return
        finally:
            with suppress(OSError):
                os.unlink(path)


def is_part(name: str) -> bool:
    """Whether a file of this name is the temporary one of a command, which may have been killed."""
    return _PART.fullmatch(name) is not None


def remove_leftovers(folder: str) -> None:
    """Delete the temporary files in *folder* whose commands were killed; those that run hold a lock."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_part(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_leftover(entry.path)


def _remove_leftover(part: str) -> None:
    with suppress(OSError):
        if fcntl is None:
            os.unlink(part)
            return
        with open(part, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(part)


@contextmanager
def writing(path: str, date: datetime) -> Iterator[BinaryIO]:
    """Open *path* for writing as :func:`replacing` does; if it is a symbolic link, its target is replaced.

    A device, a pipe, or an open descriptor such as ``/dev/stdout`` is written to instead.

    :raises OSError: as :func:`replacing`
    """
    # First: here the system checks whether symbolic links may be followed (fs.protected_symlinks).
    there, descriptor = _mode(path), _descriptor(path)
    if descriptor is not None:  # opening it by name would truncate a regular file
        if descriptor < len(streams := (sys.__stdin__, sys.__stdout__, sys.__stderr__)) and streams[descriptor] is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), path)  # by now it may be a connection's
        with open(os.dup(descriptor), "wb") as file:
            yield file
    elif there is None or stat.S_ISREG(there) or stat.S_ISDIR(there):
        target = os.path.realpath(path)
        remove_leftovers(os.path.dirname(target))
        with replacing(target, date) as file:
            yield file
    else:
        with open(path, "wb") as file:
            yield file


def _mode(path: str, *, follow_symlinks: bool = True) -> int | None:
    try:
        return os.stat(path, follow_symlinks=follow_symlinks).st_mode
    except FileNotFoundError:
        return None


def _descriptor(path: str) -> int | None:
    """Return the number of the open descriptor of this process that *path* leads to, if any."""
    own = os.path.realpath("/dev/fd")
    while True:  # a loop of links was an error before
        folder, name = os.path.split(path)
        if os.path.realpath(folder) == own:
            return int(name) if name.isdecimal() else None
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))

"""Local files: the path of a stored name, the files in a folder, and replacing a file atomically.

::

    for name in walk("photos", print):
        with replacing(path_below("copies", name)) as file:
            ...
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import BinaryIO

from ..http.filenames import WINDOWS_DEVICE

BLOCK_SIZE = 256 * 1024
"""bytes that are read at once"""
_PART = re.compile(r"\.gridfs-[0-9a-f]{16}\.part")
_INVALID = [  # what makes a name invalid as a path, and why
    (re.compile("(^|/)(/|$)"), "one of its folders has no name"),
    (re.compile(r"(^|/)\.\.?(/|$)"), "one of its folders is . or .."),
    (re.compile("\0"), "it contains a NUL"),
]
_INVALID_ON_WINDOWS = [
    (re.compile(r'[\\:*?"<>|\x01-\x1f]'), "Windows forbids one of its characters"),
    (re.compile("[. ](/|$)"), "Windows removes the dot or space at its end"),
    (re.compile(f"(^|/)({WINDOWS_DEVICE.pattern})(/|$)", re.IGNORECASE), "Windows has a device of this name"),
]
_Callback = Callable[[str, "Exception | str"], None]


def stored_name(path: str) -> str:
    """Return the name that a path, or an argument of the command line, has in the store.

    :raises ValueError: if it is not UTF-8
    """
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError:
        raise ValueError("its name is not UTF-8") from None


def check_path(name: str, *, windows: bool = False) -> None:
    """Refuse a name that is not a relative path.

    :raises ValueError: if the path would lie outside, or name another file
    """
    for pattern, reason in [*_INVALID, *(_INVALID_ON_WINDOWS if windows else ())]:
        if pattern.search(name):
            raise ValueError(f"not written: {name!r} is not a valid path: {reason}")


def path_of(name: str) -> str:
    """Return the relative path that a stored name has on this machine.

    :raises ValueError: if it has none
    """
    check_path(name, windows=os.name == "nt")
    return os.fsdecode(name.encode())


def path_below(folder: str, name: str) -> str:
    """Return the path of a stored name below *folder*.

    :raises ValueError: if it would lie outside of *folder*, also through a symbolic link
    """
    path = os.path.join(folder, path_of(name))
    top, parent = os.path.realpath(folder), os.path.realpath(os.path.dirname(path))
    if os.path.commonpath([top, parent]) != top:
        raise ValueError("not written: a symbolic link leads out of the destination")
    return path


def walk(folder: str, refuse: _Callback, skip: _Callback) -> Iterator[str]:
    """Iterate over the paths of all files below *folder*, relative to it, in the store's order of names.

    :param refuse: called with a folder that cannot be read, and the error
    :param skip: called with the path of anything but a regular file, and the reason; symbolic links are not followed
    """
    pending = [""]
    while pending:
        path = pending.pop()
        if path and not path.endswith("/"):
            yield path
            continue
        here = os.path.join(folder, path)
        found = []
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found.append(f"{path}{entry.name}/")
                    elif not entry.is_file(follow_symlinks=False):
                        skip(
                            entry.path,
                            "left out: a symbolic link" if entry.is_symlink() else "left out: not a regular file",
                        )
                    elif not _PART.fullmatch(entry.name):
                        found.append(path + entry.name)
        except OSError as error:
            refuse(here, error)
        pending += sorted(found, key=os.fsencode, reverse=True)


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces *path* at the end of the block, in one step.

    Missing folders are created.

    :raises OSError: if *path* is a folder, a symbolic link, a device or the like, or cannot be written
    """
    there = _mode(path, follow_symlinks=False)
    if there is not None and not stat.S_ISREG(there):
        kind = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}.get(stat.S_IFMT(there), "not a regular file")
        raise FileExistsError(f"not written: {path!r} is {kind}")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    part = os.path.join(os.path.dirname(path), f".gridfs-{token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            yield file
        if there is not None:
            os.chmod(part, there & 0o777)
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(part)
        if isinstance(error, OSError):
            error.filename = path  # not the temporary one
        raise


@contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """Open *path* for writing as :func:`replacing` does; if it is a symbolic link, its target is replaced.

    A device, a pipe, or an open descriptor such as ``/dev/stdout`` is written to instead.

    :raises OSError: as :func:`replacing`
    """
    # First: here the system checks whether symbolic links may be followed (fs.protected_symlinks).
    there, descriptor = _mode(path), _descriptor(path)
    if descriptor is not None:  # opening it by name would truncate a regular file
        with open(os.dup(descriptor), "wb") as file:
            yield file
    elif there is None or stat.S_ISREG(there) or stat.S_ISDIR(there):
        with replacing(os.path.realpath(path)) as file:
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


def sha256(path: str) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_SIZE):
            hashed.update(block)
    return hashed.hexdigest()

"""Files of this machine: which path a stored name has, which files a folder has, and how one is replaced as a whole.

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
_NOWHERE = [  # what no name may have that becomes a path, and why
    (re.compile("(^|/)(/|$)"), "a folder in it has no name"),
    (re.compile(r"(^|/)\.\.?(/|$)"), "a folder in it is . or .."),
    (re.compile("\0"), "it has a NUL"),
]
_NOT_ON_WINDOWS = [
    (re.compile(r'[\\:*?"<>|\x01-\x1f]'), "Windows does not take a character that it has"),
    (re.compile("[. ](/|$)"), "Windows drops a dot or space that it ends with"),
    (re.compile(f"(^|/)({WINDOWS_DEVICE.pattern})(/|$)", re.IGNORECASE), "Windows has a device of this name"),
]
_Refuse = Callable[[str, "Exception | str"], None]


def stored_name(path: str) -> str:
    """Return the name that a path, or a word of the command line, has in the store, which is UTF-8.

    :raises ValueError: where it is not
    """
    try:
        return os.fsencode(path).decode()
    except UnicodeDecodeError:
        raise ValueError("its name is not UTF-8") from None


def check_path(name: str, *, windows: bool = False) -> None:
    """Refuse a name that is no relative path.

    :raises ValueError: where as a path it would lie elsewhere, or be another file
    """
    for pattern, reason in _NOWHERE + _NOT_ON_WINDOWS * windows:
        if pattern.search(name):
            raise ValueError(f"not written, as {name!r} is no path: {reason}")


def path_of(name: str) -> str:
    """Return the relative path that a stored name has on this machine.

    :raises ValueError: where it has none
    """
    check_path(name, windows=os.name == "nt")
    return os.fsdecode(name.encode())


def path_below(folder: str, name: str) -> str:
    """Return the path of a stored name below *folder*.

    :raises ValueError: where that would lie elsewhere, also by a symbolic link
    """
    path = os.path.join(folder, path_of(name))
    top, parent = os.path.realpath(folder), os.path.realpath(os.path.dirname(path))
    if os.path.commonpath([top, parent]) != top:
        raise ValueError("not written, as a symbolic link leads elsewhere")
    return path


def walk(folder: str, refuse: _Refuse, skip: _Refuse) -> Iterator[str]:
    """Iterate over the paths of all files below *folder*, relative to it, in the order of names in the store.

    :param refuse: called with a folder that cannot be read, and the error
    :param skip: called with what is no file, and what it is: symbolic links are not followed, so that there is an end
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
                            "left out: a symbolic link" if entry.is_symlink() else "left out: no regular file",
                        )
                    elif not _PART.fullmatch(entry.name):
                        found.append(path + entry.name)
        except OSError as error:
            refuse(here, error)
        pending += sorted(found, key=os.fsencode, reverse=True)


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A file that takes the place of *path* once it is whole; before that nothing of it is seen there.

    Folders are made where they are missing.

    :raises OSError: where *path* is a folder, a symbolic link, a device or the like, or cannot be made
    """
    there = _mode(path, follow_symlinks=False)
    if there is not None and not stat.S_ISREG(there):
        kind = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}.get(stat.S_IFMT(there), "no regular file")
        raise FileExistsError(f"not written, as {path!r} is {kind}")
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
            error.filename = path  # which people know
        raise


@contextmanager
def writing(path: str) -> Iterator[BinaryIO]:
    """The file that somebody named by *path*: a symbolic link stays, and what it leads to is replaced as a whole.

    A device, a pipe, or an open descriptor such as ``/dev/stdout`` is written to instead.

    :raises OSError: as :func:`replacing`
    """
    # Also where links are resolved below the system looks first whether they may be followed (fs.protected_symlinks).
    there, descriptor = _mode(path), _descriptor(path)
    if descriptor is not None:  # opened by its name a regular file would be cut, and written from its start
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
    """The number of the open descriptor of this process that *path* leads to, if it does."""
    own = os.path.realpath("/dev/fd")
    while True:  # a loop of links has failed before
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

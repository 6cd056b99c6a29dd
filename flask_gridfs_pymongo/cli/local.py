"""Local files: the path of a stored name, the name for a path, and the files in a folder.

::

    for path in walk("photos", print, print):
        print(stored_name(path))
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator

from ..http.filenames import WINDOWS_DEVICE, compose
from .replacing import is_part

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
    """Return the name that a path, or an argument of the command line, gets in the store, in Unicode's form C.

    :raises ValueError: if it is not UTF-8
    """
    return compose(decoded(path))


def decoded(path: str) -> str:
    """Return a path, or an argument of the command line, as text that a name can contain.

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
                    elif not is_part(entry.name):
                        found.append(path + entry.name)
        except OSError as error:
            refuse(here, error)
        pending += sorted(found, key=os.fsencode, reverse=True)


def sha256(path: str) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

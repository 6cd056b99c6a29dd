"""Which files the arguments of a command mean, and where they go: folders as with rsync.

``photos/`` is the folder's contents, ``photos`` the file with this name, else the folder itself; ``/`` is everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import click

from ..http.filenames import compose
from ..store import Bucket, StoredFile
from .batches import batches
from .local import check_path, decoded, stored_name, walk
from .report import Report

TOP = ("", "/")
"""the spellings of the top folder"""


def name_given(value: str) -> str:
    """Read an argument that is a name in the store: the type of a click argument."""
    if not value:  # as from an unset shell variable
        raise click.BadParameter("it is empty; / is the top folder")
    try:
        return decoded(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from None


def local_path(value: str) -> str:
    """Read an argument that is a path on this machine: the type of a click argument."""
    if not value:
        raise click.BadParameter("it is empty; . is the current folder")
    return value


def new_name(value: str) -> str:
    """Read an argument that is the name of something new in the store, as :func:`name_given`."""
    return compose(name_given(value))


def spelled(bucket: Bucket, name: str) -> str:
    """Return *name* as it is stored: in Unicode's form C, unless there is a file or folder in the form that was given.

    macOS decomposes names.
    """
    composed = compose(name)
    if composed == name or bucket.find(name) or bucket.list(prefix=folder(name), limit=1).rows:
        return name
    return composed


class StoredMatch(NamedTuple):
    """A stored file that an argument means."""

    file: StoredFile
    rest: str
    """its path below the destination, if that is a folder"""
    within: bool = False
    """whether the argument was a folder, so that the destination is one, too"""

    @property
    def name(self) -> str:
        """The name to show: see :func:`name_of`."""
        return name_of(self.file)


class LocalMatch(NamedTuple):
    """A local file that an argument means; the fields are as in :class:`StoredMatch`."""

    path: str
    rest: str
    within: bool = False


def name_of(file: StoredFile) -> str:
    """Return the name of a file for messages."""
    return file.filename or f"(no name, id {file.key})"


def ensure_named(file: StoredFile) -> None:
    """Raise ValueError if a file has no name."""
    if not file.named:
        raise ValueError("it has no name, or one that is not UTF-8")


def folder(name: str) -> str:
    """Return the prefix of all names in a folder."""
    return "" if name in TOP else f"{name.removesuffix('/')}/"


def is_folder(bucket: Bucket, name: str) -> bool:
    """Whether *name* means a folder: it ends with a slash, or there are names below it and no file has it."""
    if name in TOP or name.endswith("/"):
        return True
    page = bucket.list(prefix=folder(name), limit=1)
    return bool(page.rows) and bucket.find(name) is None


def version_of(bucket: Bucket, name: str, version: int) -> StoredFile:
    """Return a version of a file; *name* as for :func:`spelled`.

    :raises FileNotFoundError: if it does not exist
    """
    file = bucket.find(spelled(bucket, name), version)
    if file is None:
        raise FileNotFoundError("there is no such file or version")
    return file


def check_folder(destination: str) -> None:
    """Refuse a local destination that cannot be a folder, before every single file fails."""
    if os.path.exists(destination) and not os.path.isdir(destination):
        raise click.UsageError(f"{destination!r} exists and is not a folder")


def below(bucket: Bucket, prefix: str) -> Iterator[StoredFile]:
    """Iterate over the newest versions of all names that begin with *prefix*."""
    return (row.file for page in bucket.pages(prefix=prefix) for row in page.rows)


def stored_files(bucket: Bucket, names: Sequence[str], report: Report) -> Iterator[StoredMatch]:
    """Iterate over the files that *names* mean; a name that means none is reported."""
    for name in names:
        inside = name in TOP or name.endswith("/")
        file = None if inside else bucket.find(name)
        if file is not None:
            yield StoredMatch(file, name.rpartition("/")[2])
            continue
        prefix, found = folder(name), False
        start = len(prefix) if inside else prefix.rfind("/", 0, -1) + 1
        for file in below(bucket, prefix):
            found = True
            yield StoredMatch(file, file.filename[start:], True)
        if not found:
            report.failed(name, "there is no such file or folder")


def prefetched(bucket: Bucket, matches: Iterable[StoredMatch]) -> Iterator[StoredMatch]:
    """Iterate over *matches* with the contents of small files, which :meth:`.Bucket.read` then does not ask for."""
    for batch in batches(matches):
        for one, file in zip(batch, bucket.prefetched(one.file for one in batch), strict=True):
            yield one._replace(file=file)


def local_files(paths: Sequence[str], report: Report) -> Iterator[LocalMatch]:
    """Iterate over the files that *paths* mean; what cannot be read is reported."""
    for path in paths:
        if path == "-" or not os.path.isdir(path):
            yield LocalMatch(path, os.path.basename(path))
            continue
        last = os.path.basename(path)
        own = "" if last in ("", ".", "..") else f"{last}/"
        for name in walk(path, report.failed, report.skipped):
            yield LocalMatch(os.path.join(path, name), own + name, True)


def name_into(destination: str, one: StoredMatch | LocalMatch, into_folder: bool) -> str:
    """Return the name that *one* gets in the store.

    :raises ValueError: if the name is not UTF-8, or not a path, so that it could not be written to a disk again
    """
    name = folder(destination) + stored_name(one.rest) if into_folder or one.within else destination
    if isinstance(one, LocalMatch) or not one.file.marks_folder:
        check_path(name)
    elif name:
        check_path(name.removesuffix("/"))
    return name

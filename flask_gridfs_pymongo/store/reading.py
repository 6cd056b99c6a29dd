"""What can be read of a bucket: versions of files, listings, and content.

::

    bucket = Bucket(client["shop"])
    b"".join(bucket.read(bucket.find("notes.txt")))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Any

from ..cache import Entry, Memory
from .arguments import check_type, check_types
from .collections import Collections, Documents
from .listing.by_value import ORDERS, walk
from .listing.in_folder import in_folder
from .listing.page import EVERYTHING, Having, Key, Page, Visibility, first, pattern_of
from .model import StoredFile, unless_expired
from .reader import FileReader, Reader
from .usage import Usage, bytes_of, usage
from .versions import Version, Versions
from .writing.batches import prefetched

if TYPE_CHECKING:
    from ..cache.disk import Disk

_PAGE = 1000  # names


class ReadOnlyBucket:
    """The part of :class:`.Bucket` that reads; its attributes are set there."""

    collections: Collections
    files: Documents
    chunks: Documents
    accel: bool
    """whether a web server may send files of the file cache: see :meth:`handed_over`"""
    types: Memory
    _folder = ""
    """the folder of the bucket that this is, for :class:`.Within`"""
    _versions: Versions
    _listed: Versions
    """what :meth:`list` walks: also in :class:`.Within`, which has no others"""
    _streams: Semaphore | None
    _disk: Disk | None

    def find(self, filename: str, version: int = -1, *, first_chunk: bool = False) -> StoredFile | None:
        """Return a version of *filename*, or None.

        Versions that have expired are not found; if the newest one has expired, none is.

        :param version: 0 the first one uploaded, 1 the second; -1 the newest, -2 the one before it
        :param first_chunk: also fetch the first chunk if that takes no further round trip
        """
        check_types(version=version)
        return self._versions.find(filename, version, first_chunk=first_chunk and self._disk is None)

    def get(self, file_id: Any, *, first_chunk: bool = False) -> StoredFile | None:
        """Return the version with this ``_id``, of any type, or None; *first_chunk* as in :meth:`find`."""
        return self._versions.get(file_id, first_chunk=first_chunk and self._disk is None)

    def get_many(self, file_ids: Sequence[Any]) -> Sequence[StoredFile]:
        """Return the versions with these ``_id`` that exist, in no order, in a round trip for each 1,000."""
        return self._versions.get_many(file_ids)

    def newest(self, filename: str) -> StoredFile | None:
        """Return the newest version, read from the primary, for a writer to follow; None if it has expired."""
        return unless_expired(self._versions.newest(filename))

    def count(self, filename: str, limit: int = 0) -> int:
        """Return how many versions there are, at most *limit*; 0: count all."""
        check_types(limit=limit)
        return self._versions.count(filename, limit)

    def dates(self, prefix: str, limit: int) -> tuple[list[tuple[str, datetime]], str | None]:
        """Return names that begin with *prefix*, each with the dates of its versions, those that have expired left out.

        :param limit: versions to read, in the order of names
        :return: also the last name that was read, if there may be more
        """
        return self._versions.dates(prefix, limit)

    def number(self, file: StoredFile) -> int:
        """Return the number of *file* among the versions of its name: 0 is the first one."""
        return self._versions.number(file)

    def versions(self, filename: str, before: int | None = None, limit: int = 100) -> Sequence[Version]:
        """Return at most *limit* versions before number *before* (None: the newest ones), newest first."""
        check_types(before=before, limit=limit)
        return self._versions.before(filename, before, limit)

    def list(
        self,
        order: str = "name",
        after: Key | None = None,
        limit: int = 100,
        *,
        prefix: str = "",
        part: str = "",
        folded: bool = False,
        metadata: Mapping[str, Sequence[Any]] | None = None,
        shown: Visibility = EVERYTHING,
    ) -> Page:
        """Return a page of names, each with its newest version; files without a name come after all names.

        :param order: ``name``, ``newest``, ``size`` or ``type``; with ``-`` before it, in reverse
        :param after: the key after which the page starts: the *next* of the page before it
        :param limit: rows on the page, at most
        :param prefix: what the names begin with
        :param part: what the names contain, in upper or lower case
        :param folded: in an order by name, without *part*: return folders for the names with a slash after *prefix*
        :param metadata: for each key a list of values; the newest version's metadata must equal or contain each of them
        :param shown: which files and folders the page may show
        :raises pymongo.errors.ExecutionTimeout: if passing over what is not shown takes more than a second
        """
        check_types(order=order, limit=limit, prefix=prefix, part=part, metadata=metadata)
        if order.removeprefix("-") not in ("name", *ORDERS):
            raise ValueError(f"order must be name, {', '.join(ORDERS)}, or '-' and one of them, not {order!r}")
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        if any(isinstance(values, str) for values in (metadata or {}).values()):
            raise TypeError("metadata must have a list of values for each key, such as {'tags': ['red']}")
        names = {"prefix": self._folder + prefix, "pattern": pattern_of(part, len(self._folder)), "folded": folded}
        options: dict[str, Any] = {**names, "having": Having(metadata or {})}
        rows = walk(self._listed, self._outside(shown), order, self._after(after), limit, **options)
        return self._page(first(rows, limit))

    def folder(
        self,
        folder: str = "",
        order: str = "name",
        after: Key | None = None,
        limit: int = 100,
        *,
        metadata: Mapping[str, Sequence[Any]] | None = None,
        shown: Visibility = EVERYTHING,
    ) -> Page | None:
        """Return a page of what is directly in *folder*, as people sort it: folders first, file 2 before file 10.

        The parameters are those of :meth:`list`; None if more than 5,000 names are in it.
        """
        check_types(order=order, limit=limit, metadata=metadata)
        options: dict[str, Any] = {"prefix": self._folder + folder, "having": Having(metadata or {})}
        page = in_folder(self._listed, self._outside(shown), order, self._after(after), limit, **options)
        return None if page is None else self._page(page)

    def _outside(self, shown: Visibility) -> Visibility:
        """Return *shown* for names as they are stored, which :class:`.Within` calls otherwise."""
        return shown

    def _after(self, key: Key | None) -> Key | None:
        return key

    def _page(self, page: Page) -> Page:
        return page

    def pages(self, **options: Any) -> Iterator[Page]:
        """Iterate over all pages of :meth:`list`, with these *options*."""
        page = self.list(limit=_PAGE, **options)
        yield page
        while page.next is not None:
            page = self.list(limit=_PAGE, after=page.next, **options)
            yield page

    def usage(self, path: str = "") -> Usage:
        """Count what is stored: names, versions and bytes.

        :param path: a folder, with the slash at its end; the name of a file; or empty for the whole bucket
        """
        check_types(path=path)
        return usage(self.collections, path)

    def bytes_of(self, names: Sequence[str]) -> int:
        """Return how many bytes all versions of these *names* have."""
        return bytes_of(self.collections, names)

    def read(self, file: StoredFile, start: int = 0, stop: int | None = None, *, keep: bool = True) -> Reader:
        """Read the bytes *start* to *stop* (exclusive; None: to the end).

        :param keep: whether the file cache, if there is one, may keep the file
        :return: an iterable of bytes; close it if you do not read it to its end
        :raises CorruptFile: if the file is damaged
        """
        check_types(start=start, stop=stop)
        check_type("file", file, StoredFile)
        stop, cached = file.length if stop is None else stop, None
        if self._disk is not None and file.first_chunk is None:
            cached = partial(self._disk.read if keep else self._disk.peek, self._entry(file))
        return Reader(self.chunks, file, start, stop, self._streams, cached)

    def handed_over(self, file: StoredFile) -> str | None:
        """Return the URL by which the web server before us may send *file*; None if the file cache does not have it."""
        return None if self._disk is None else self._disk.hand_over(self._entry(file))

    def original(self, file: StoredFile) -> StoredFile:
        """Return *file* by its name in the whole bucket, of which this one may be a folder."""
        return file

    def _entry(self, file: StoredFile) -> Entry:
        owner, date = self.collections.owner(file.id), file.upload_date.timestamp()
        return Entry(owner, file.etag, file.length, file.sha256, date)

    def open(self, filename: str | None = None, version: int = -1, *, id: Any = None) -> FileReader:
        """Open a version for reading, by its name as in :meth:`find`, or by its ``_id``.

        :return: a binary file object, for a ``with`` statement
        :raises FileNotFoundError: if there is no such file or version
        :raises CorruptFile: if its document is invalid
        """
        file = self._one(filename, version, id)
        file.ensure_sound()
        return FileReader(file, self.read)

    def sha256(self, file: StoredFile) -> str:
        """Return the SHA-256 of a version's content in hexadecimal; if none is stored, the content is read.

        :raises CorruptFile: if that finds it damaged
        """
        if file.sha256 is not None:
            return file.sha256
        hashed = hashlib.sha256()
        with closing(self.read(file)) as pieces:
            for piece in pieces:
                hashed.update(piece)
        return hashed.hexdigest()

    def prefetched(
        self, files: Iterable[StoredFile], wanted: Callable[[StoredFile], bool] = lambda file: True
    ) -> Iterator[StoredFile]:
        """Yield *files*; reading a small one then takes no round trip, as its content comes with that of others.

        :param wanted: whether a file is likely to be read
        """
        return prefetched(self.chunks, files, wanted)

    def content(self, file: StoredFile) -> Iterator[bytes]:
        """Read *file* as :meth:`read` does, but begin only when the first byte is wanted."""
        with closing(self.read(file)) as pieces:
            yield from pieces

    def _one(self, filename: str | None, version: int, id: Any) -> StoredFile:
        if (filename is None) == (id is None):
            raise TypeError("give either a filename or an id")
        file = self.get(id) if filename is None else self.find(filename, version)
        if file is None:
            named = f"id {id!r}" if filename is None else f"{filename!r}, version {version}"
            raise FileNotFoundError(f"{self.collections.name} has no file with {named}")
        return file

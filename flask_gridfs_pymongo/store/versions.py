"""The versions of a name in their order: those without a date, then by upload date, then by ``_id``.

The order is total, and every process sees the same: version 0 is the first one uploaded, -1 the newest::

    Versions(Collections(database)).find("notes.txt", -2)

First comes a simple query that an index answers. If its result does not settle the order (equal dates, values that are
no dates, arrays), :mod:`.strict` asks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from bson.regex import Regex
from pymongo import ASCENDING, DESCENDING

from ..cache import Memory
from . import ids
from .clock import aware
from .collections import Collections, Documents
from .documents import NEWEST_FIRST, DocumentFinder
from .integrity import is_utf8
from .listing.names import beginning_with, octets
from .model import StoredFile, is_trashed, unless_expired, upload_date
from .retry import retry
from .strict import DATED, Strict, check_name, named

T = TypeVar("T")
_DATES = {"filename": 1, "uploadDate": 1, "metadata.expiresAt": 1}
_KEYS = 1000  # of one name; if there are more, each version is looked up separately
_BATCH = 1000  # versions
_IDS = 200_000  # in one batch: a cursor that stays open may lose its server
_EACH = 16  # documents fetched for each of several names


class Version(NamedTuple):
    """A version and its number: 0 is the first one."""

    number: int
    file: StoredFile


class Versions:
    """Finds versions in the files collection of a bucket.

    :param memory: keeps the content of small files; None: do not keep any
    """

    def __init__(self, collections: Collections, memory: Memory | None = None) -> None:
        self.collections = collections
        self._documents = DocumentFinder(collections, memory or Memory(0))
        self.stored = self._documents.stored
        self._strict = Strict(collections, self.stored)
        self.in_order = self._strict.in_order

    def find(self, filename: str, version: int = -1, *, first_chunk: bool = False) -> StoredFile | None:
        """See :meth:`.Bucket.find`."""
        check_name(filename)
        if version == -1:
            return unless_expired(self._surely(lambda files: self._newest(files, filename, first_chunk)))
        return unless_expired(self._surely(lambda files: self._at(files, filename, version, first_chunk)))

    def _newest(self, files: Documents, filename: str, first_chunk: bool = False) -> StoredFile | None:
        plain = {"filename": filename}
        found = self._documents.find(files, plain, first_chunk)
        if not found:  # this query matches whatever the strict one does
            return None
        if _is_newest(found, filename):
            return self._documents.file(plain, found[0], shares_second=_share_second(*found))
        return self._strict.at(filename, -1, files)

    def _at(self, files: Documents, filename: str, version: int, first_chunk: bool) -> StoredFile | None:
        keys = self._keys(files, filename)
        if keys is not None:
            place = version if version >= 0 else version + len(keys)
            if not 0 <= place < len(keys) or self._expired(keys[-1]):
                return None
            own = {"filename": filename, "uploadDate": keys[place]["uploadDate"]}
            if found := self._documents.find(files, own, first_chunk):
                return self._documents.file(
                    own, found[0], shares_second=_share_second(*keys[max(0, place - 1) : place + 2])
                )
        newest = unless_expired(self._strict.at(filename, -1, files))
        return self._strict.at(filename, version, files) if newest else None

    def _expired(self, document: Mapping[str, Any]) -> bool:
        """Whether the ``expiresAt`` of a version has passed."""
        metadata = document.get("metadata")
        date = metadata.get("expiresAt") if isinstance(metadata, Mapping) else None
        return isinstance(date, datetime) and aware(date) <= self.collections.clock.now()

    def _keys(self, files: Documents, filename: str) -> list[dict[str, Any]] | None:
        """The names and dates of all versions, the oldest first; None if too many, or dates do not settle the order."""
        by_date = files.find({"filename": filename}, _DATES, sort=NEWEST_FIRST, limit=_KEYS + 1, batch_size=_KEYS + 2)
        keys = list(by_date)[::-1]
        dates = {key.get("uploadDate") if _is_dated(key, filename) else None for key in keys}
        return keys if None not in dates and len(dates) == len(keys) <= _KEYS else None

    def get(self, file_id: Any, *, first_chunk: bool = False) -> StoredFile | None:
        """Return the version with this ``_id``, of any type, or None; *first_chunk* as in :meth:`find`."""
        selection = {"_id": {"$eq": file_id}}  # $eq: the value may look like an operator
        found = self._surely(lambda files: self._documents.find(files, selection, first_chunk, None) or None)
        if not found or is_trashed(found[0]):
            return None
        return unless_expired(self._documents.file(selection, found[0]))

    def get_many(self, file_ids: Sequence[Any]) -> list[StoredFile]:
        """Return the versions with these ``_id``, in no order, in a round trip for each 1,000."""
        return [file for file in self.of_ids(file_ids) if not file.expired]

    def of_ids(self, file_ids: Sequence[Any]) -> list[StoredFile]:
        """Return what :meth:`get_many` does, and those that have expired."""
        return [self.stored(document) for document in self.documents(file_ids) if not is_trashed(document)]

    def documents(self, file_ids: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the documents with these ``_id``, also of what is in the trash, in a round trip for each 1,000."""
        plain, files = [one for one in file_ids if not _is_operator(one)], self.collections.primary.files
        documents: list[dict[str, Any]] = []
        for start in range(0, len(plain), _BATCH):
            documents += retry(files, partial(_all, files, {"_id": {"$in": plain[start : start + _BATCH]}}))
        return documents

    def newest(self, filename: str, beside: Any = None) -> StoredFile | None:
        """Return the newest version, read from the primary, for a writer to follow; it may have expired.

        :param beside: the ``_id`` of a version to ignore
        """
        check_name(filename)
        files = self.collections.primary.files
        if beside is None:
            return retry(files, lambda: self._newest(files, filename))
        found = retry(files, lambda: self.in_order(filename, DESCENDING, 0, 2, files))
        return next((file for file in found if file.id != beside), None)

    def count(self, filename: str, limit: int = 0) -> int:
        """Return how many versions there are, at most *limit*; 0: count all."""
        options: dict[str, Any] = {"limit": limit} if limit else {}
        files = self.collections.files
        return int(retry(files, lambda: files.count_documents(named(filename), **options)))

    def number(self, file: StoredFile) -> int:
        """See :meth:`.Bucket.number`."""
        return retry(self.collections.files, lambda: self._strict.number(file))

    def before(self, filename: str, number: int | None = None, limit: int = 100) -> list[Version]:
        """Return the *limit* versions of *filename* before version *number* (None: the newest ones), newest first.

        Those that have expired are left out.
        """
        check_name(filename)
        return self._surely(lambda files: self._before(files, filename, number, limit) or None) or []

    def _before(self, files: Documents, filename: str, number: int | None, limit: int) -> list[Version]:
        keys = self._keys(files, filename)
        if keys is None:
            newest, total = self._strict.at(filename, -1, files), self.count(filename)
        else:
            newest = StoredFile.from_document(keys[-1], now=self.collections.clock.now) if keys else None
            total = len(keys)
        top = total if number is None else max(0, min(number, total))
        while top and unless_expired(newest):
            first = max(0, top - limit)  # counted from the oldest, so that uploads meanwhile change no number
            found = (
                enumerate(self.in_order(filename, ASCENDING, first, top - first, files), first)
                if keys is None
                else self._between(files, keys, first, top)
            )
            versions = [Version(place, file) for place, file in found if not file.expired]
            if versions:
                return versions[::-1]
            top = first
        return []

    def _between(
        self, files: Documents, keys: list[dict[str, Any]], first: int, stop: int
    ) -> Iterator[tuple[int, StoredFile]]:
        """The versions *first* to *stop* (exclusive) of *keys*, with their numbers."""
        numbers = {key["uploadDate"]: first + place for place, key in enumerate(keys[first:stop])}
        dates = {"$gte": min(numbers), "$lte": max(numbers)}
        selection = {"filename": keys[0]["filename"], "uploadDate": dates}
        for document in files.find(selection, sort=[("uploadDate", ASCENDING)], batch_size=len(numbers) + 1):
            if document["uploadDate"] in numbers:
                yield numbers[document["uploadDate"]], self.stored(document)

    def after(self, filename: str, newest: StoredFile | None) -> dict[str, Any]:
        """Return a query for the versions of *filename* that come after *newest*; None: for all of them."""
        if newest is None:
            return named(filename)
        dates = {**DATED["uploadDate"], "$gt": newest.upload_date} if newest.dated else DATED["uploadDate"]
        return {**named(filename), "uploadDate": dates}

    def up_to(self, newest: StoredFile) -> list[Any]:
        """Return the ``_id`` of *newest* and of every version of its name before it, the oldest first.

        Those that no query can ask for (:func:`.ids.is_utf8`) are left out.
        """
        return [document["_id"] for document in self.documents_up_to(newest)]

    def documents_up_to(
        self, newest: StoredFile, *more: str, beside: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return the documents of :meth:`up_to` with the fields ``filename``, ``uploadDate`` and *more*.

        :param beside: a query for documents of other names to return, too, at the end
        """
        files, fields = self.collections.files, ["filename", "uploadDate", *more]
        selection: dict[str, Any] = {"filename": newest.filename}
        if beside is not None:
            selection = {"$or": [selection, beside]}
        found = retry(files, lambda: list(files.find(selection, fields, batch_size=_IDS)))
        others = [one for one in found if type(one["filename"]) is str and one["filename"] != newest.filename]
        own = [one for one in found if one not in others] if others else found
        return up_to(newest, sorted(own, key=upload_date)) + others

    def of_many(
        self, filenames: Collection[str], fields: Sequence[str] | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the documents of all versions of several names, by one query to the primary: see :func:`of_many`."""
        files = self.collections.primary.files
        return retry(files, lambda: of_many(files, filenames, fields))

    def dates(self, prefix: str, limit: int) -> tuple[list[tuple[str, datetime]], str | None]:
        """See :meth:`.Bucket.dates`."""
        files, wanted = self.collections.files, {"filename": beginning_with(prefix)}
        order: dict[str, Any] = {"sort": [("filename", ASCENDING)], "limit": limit, "batch_size": limit + 1}
        found = retry(files, lambda: list(files.find(wanted, _DATES, **order)))
        dates = [
            (one["filename"], upload_date(one))
            for one in found
            if type(one["filename"]) is str and not self._expired(one)
        ]
        return dates, str(found[-1]["filename"]) if len(found) == limit else None

    def _surely(self, ask: Callable[[Any], T | None]) -> T | None:
        """Ask; if a secondary that may lag finds nothing, ask the primary."""
        files, primary = self.collections.files, self.collections.primary.files
        found = retry(files, lambda: ask(files))
        return retry(primary, lambda: ask(primary)) if found is None and self.collections.may_lag else found


def _is_operator(file_id: Any) -> bool:
    """Whether ``$in`` would not compare it; no document can have such an ``_id``."""
    if isinstance(file_id, Mapping):
        return next(iter(file_id), "").startswith("$")
    return isinstance(file_id, (re.Pattern, Regex))


def _all(files: Documents, selection: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(files.find(selection))


def up_to(newest: StoredFile, documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of a name's *documents*, sorted by date, that :meth:`.Versions.documents_up_to` returns."""
    undated, dated = list[dict[str, Any]](), list[dict[str, Any]]()
    for found in documents:
        if isinstance(found["filename"], list) or not ids.is_utf8(found["_id"]):
            continue  # the query also matches elements of arrays
        if not isinstance(found.get("uploadDate"), datetime):
            undated.append(found)
        elif newest.dated and upload_date(found) <= newest.upload_date:
            dated.append(found)
    return undated + dated


def of_many(
    files: Documents,
    filenames: Collection[str],
    fields: Sequence[str] | None = None,
    max_time_ms: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Return the documents of all versions of each of several names, sorted by date.

    Left out are names that no query can ask for, and those for which there is no room: many versions of other names
    come before them.

    :param fields: of the documents, besides ``_id``, ``filename`` and ``uploadDate``; None: all
    """
    wanted = [name for name in filenames if is_utf8(name)]
    if not wanted:
        return {}
    limit = _EACH * len(wanted)
    projection = None if fields is None else ["filename", "uploadDate", *fields]
    found = files.find({"filename": {"$in": wanted}}, projection, batch_size=limit + 1)
    found = found.sort([("filename", ASCENDING), ("uploadDate", ASCENDING)]).limit(limit).max_time_ms(max_time_ms)
    documents = list(found)
    texts = (document for document in documents if type(document["filename"]) is str)
    groups = {name: list(group) for name, group in groupby(texts, key=lambda document: document["filename"])}
    if len(documents) == limit:  # the last name may be incomplete, and those after it were not reached
        end = max(map(octets, groups), default=b"")
        return {name: groups.get(name, []) for name in wanted if octets(name) < end}
    return {name: groups.get(name, []) for name in wanted}


def newest_in(documents: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the newest of all versions of a name, sorted by date; None without any, or if dates do not settle it."""
    dates = [document.get("uploadDate") for document in documents]
    if len(dates) == 1 or (dates and isinstance(dates[-1], datetime) and dates.count(dates[-1]) == 1):
        return documents[-1]
    return None


def _is_newest(found: list[dict[str, Any]], filename: str) -> bool:
    """Whether the first of *found*, the two with the latest dates, is certainly the newest version.

    It is not certain if a name or date is an array, if the first one has no date, or if both dates are equal.
    """
    dates = [document.get("uploadDate") for document in found]
    return _is_dated(found[0], filename) and not isinstance(dates[-1], list) and dates[0] not in dates[1:]


def _is_dated(document: Mapping[str, Any], filename: str) -> bool:
    """Whether it is a version of this name with a date; queries also match elements of arrays."""
    return document["filename"] == filename and isinstance(document.get("uploadDate"), datetime)


def _share_second(*neighbours: Mapping[str, Any]) -> bool:
    dates = [document.get("uploadDate") for document in neighbours]
    seconds = [date.replace(microsecond=0) for date in dates if isinstance(date, datetime)]
    return len(seconds) > len(set(seconds))

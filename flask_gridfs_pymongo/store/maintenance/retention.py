"""Retention: deletes versions that have expired, those that newer ones superseded, and what is too old in the trash.

They are deleted :data:`RETENTION_GRACE` later, as somebody may still be reading them::

    trim(bucket, "notes.txt", keep=10)
    for gone in Sweep(bucket, keep=10).run():
        print(gone.file.filename, gone.reason)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any, Literal, NamedTuple

from pymongo import ASCENDING, DESCENDING

from ..bucket import Bucket
from ..collections import Documents
from ..model import StoredFile
from ..strict import DATED, IN_TRASH, NOT_IN_TRASH
from ..versions import Versions
from ..writing.batches import batches
from ..writing.marks import with_older
from ..writing.trash import remove

RETENTION_GRACE = timedelta(hours=1)
"""how long versions stay after they were superseded or expired, for reads that began before"""
_BATCH = 1000  # versions
# Other tools may have stored something other than a mapping, to which no key can be added.
_TAKES_KEYS = {"$expr": {"$in": [{"$type": "$metadata"}, ["object", "missing"]]}}


class Gone(NamedTuple):
    """A version that a sweep deleted, and why."""

    file: StoredFile
    reason: Literal["expired", "superseded", "trashed"]


def trim(bucket: Bucket, filename: str, keep: int, limit: int = 8) -> list[StoredFile]:
    """Keep the *keep* newest versions of *filename*: delete at most *limit* of the others, the oldest first.

    :return: the versions that were deleted
    """
    versions = Versions(bucket.collections)
    if versions.count(filename, limit=keep + 1) <= keep:
        return []
    before = bucket.collections.clock.now() - RETENTION_GRACE
    old = next(_superseded(versions, filename, keep, before, batch=limit), [])
    return old if bucket.delete_versions(old, for_good=True) else []


def _superseded(
    versions: Versions, filename: str, keep: int, before: datetime, *, batch: int = _BATCH, stay: bool = False
) -> Iterator[list[StoredFile]]:
    """The versions other than the *keep* newest that were superseded *before* then, the oldest first.

    :param stay: whether the caller does not delete each batch before it takes the next one
    """
    files = versions.collections.primary.files
    # Looked up first: later uploads and deletes can only make it keep more.
    last_kept = next(iter(versions.in_order(filename, DESCENDING, keep - 1, 1, files)), None)
    skip = 0
    while last_kept is not None:
        oldest = versions.in_order(filename, ASCENDING, skip, batch + 1, files)
        pairs = pairwise(oldest)
        old = takewhile(lambda pair: pair[0].id != last_kept.id and pair[1].upload_date <= before, pairs)
        found = [file for file, _ in old]
        if found:
            yield found
        if len(found) < batch:
            return
        skip += batch if stay else 0


@dataclass
class Sweep:
    """Deletes expired and superseded versions of a bucket, while others upload and download; all for good.

    If the newest version of a name has expired, all are deleted, the newest last, so that no older one reappears.

    :param keep: how many of the newest versions of each name stay; None: all
    :param older_than: versions of this age expire now if they have no expiry date of their own
    :param dry_run: delete and change nothing
    """

    bucket: Bucket
    keep: int | None = None
    older_than: timedelta | None = None
    dry_run: bool = False
    waiting: int = 0
    """versions that have expired and stay until :data:`RETENTION_GRACE` is over"""
    _seen: set[str] = field(default_factory=set)

    def run(self) -> Iterator[Gone]:
        """Sweep once.

        :return: what was deleted, or would be without *dry_run*
        :raises pymongo.errors.PyMongoError: if the server fails; another run continues
        """
        self.bucket.collections.indexes.ensure()
        versions = Versions(self.bucket.collections)
        files = versions.collections.primary.files
        now = versions.collections.clock.now()
        self.waiting = self._expire_old(now) if self.older_than is not None else 0
        waiting = {"metadata.expiresAt": {"$gt": now - RETENTION_GRACE, "$lte": now}, **NOT_IN_TRASH}
        self.waiting += files.count_documents(waiting)
        expired = {"metadata.expiresAt": {"$lte": now - RETENTION_GRACE}, **NOT_IN_TRASH}
        for document in files.find(expired, batch_size=_BATCH):
            file = versions.stored(document)
            if file.expires_at is None:  # an array: the query also matches its elements
                continue
            for batch in self._with_older(versions, file):
                yield from self._delete(batch, "expired")
        yield from self._empty_trash(versions, now)
        for filename in self._crowded(files):
            for batch in _superseded(versions, filename, self.keep or 0, now - RETENTION_GRACE, stay=self.dry_run):
                yield from self._delete(batch, "superseded")

    def _expire_old(self, now: datetime) -> int:
        """Let versions that are too old expire now; in a dry run return how many would."""
        dates = {**DATED["uploadDate"], "$lte": now - (self.older_than or timedelta())}
        selection = {"uploadDate": dates, "metadata.expiresAt": {"$exists": False}, **NOT_IN_TRASH, **_TAKES_KEYS}
        if self.dry_run:
            return int(self.bucket.files.count_documents(selection))
        self.bucket.files.update_many(selection, {"$set": {"metadata.expiresAt": now}})
        return 0

    def _with_older(self, versions: Versions, file: StoredFile) -> Iterator[list[StoredFile]]:
        """The versions before *file* if it is the newest of its name, then *file*."""
        newest = versions.newest(file.filename) if file.named else None
        if newest and newest.id == file.id:
            found = versions.documents_up_to(newest) if self.dry_run else with_older(versions, newest)
            older = [document["_id"] for document in found if document["_id"] != file.id]
            yield from map(versions.of_ids, batches(older, _BATCH))
        yield [file]

    def _crowded(self, files: Documents) -> Iterator[str]:
        """The names with more than *keep* versions."""
        if self.keep is None:
            return
        counted: list[dict[str, Any]] = [{"$group": {"_id": "$filename", "versions": {"$sum": 1}}}]
        counted.append({"$match": {"versions": {"$gt": self.keep}}})
        for found in files.aggregate(counted, allowDiskUse=True, batchSize=_BATCH):
            if isinstance(found["_id"], str):
                yield found["_id"]

    def _delete(self, files: list[StoredFile], reason: Literal["expired", "superseded"]) -> Iterator[Gone]:
        if self.dry_run:
            files = [file for file in files if repr(file.id) not in self._seen]
            self._seen.update(repr(file.id) for file in files)
        elif not self.bucket.delete_versions(files, for_good=True):
            return
        yield from (Gone(file, reason) for file in files)

    def _empty_trash(self, versions: Versions, now: datetime) -> Iterator[Gone]:
        """Delete what has been in the trash for long enough, or has expired there."""
        collections = versions.collections
        over = [{"trashed.until": {"$lte": now}}, {"metadata.expiresAt": {"$lte": now - RETENTION_GRACE}}]
        found = collections.primary.files.find({**IN_TRASH, "$or": over}, batch_size=_BATCH)
        for documents in batches(found, _BATCH):
            gone = documents if self.dry_run else remove(collections, self.bucket.variants, documents)
            yield from (Gone(versions.stored(document), "trashed") for document in gone)

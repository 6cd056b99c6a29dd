"""Makes one bucket the same as another one: ids, dates, versions, metadata and types stay, byte by byte.

::

    for step in Mirror(source, target).run():
        print(step.kind, step.filename)

It may be killed and run again, or twice at the same time, and others may use the source meanwhile: a file's chunks come
first, then its document, which is read again after its chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference, ReplaceOne
from pymongo.errors import BulkWriteError

from ..bucket import Bucket
from ..integrity import whole
from ..model import StoredFile
from ..retry import duplicates
from ..versions import Versions
from ..writing.batches import batches
from ..writing.trash import remove

_BATCH = 500  # files
_BYTES = 16 * 1024 * 1024  # of chunks in an insert
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_MS
)
Raw = RawBSONDocument


class Step(NamedTuple):
    """What was done with a file, or would be in a dry run."""

    kind: Literal["copied", "updated", "deleted", "left", "failed"]
    """``left``: the target has another file with this ``_id``; ``failed``: a unique index of the target refuses it"""
    file: StoredFile


@dataclass
class Mirror:
    """Copies to *target* what it lacks of *source*, and what differs in its document.

    :param delete: also delete what *source* does not have
    :param dry_run: change nothing
    """

    source: Bucket
    target: Bucket
    delete: bool = False
    dry_run: bool = False
    same: int = 0
    """files that were the same already"""

    def run(self) -> Iterator[Step]:
        """Compare all files, and yield what is done.

        :raises pymongo.errors.PyMongoError: if a server fails; another run continues
        """
        if not self.dry_run:
            self.target.collections.indexes.ensure()
        for batch in pages(self.source):
            yield from self._compare(batch)
        if self.delete:
            yield from self._delete()

    def _compare(self, batch: Sequence[Raw]) -> Iterator[Step]:
        there = self._documents(self.target, [document["_id"] for document in batch])
        missing = [document for document in batch if _key(document) not in there]
        changed = [document for document in batch if there.get(_key(document), document).raw != document.raw]
        self.same += len(batch) - len(missing) - len(changed)
        others = [document for document in changed if not _is_same_file(document, there[_key(document)])]
        yield from (Step("left", self._file(document)) for document in others)
        changed = [document for document in changed if document not in others]
        yield from self._write("updated", changed)
        yield from self._copy(missing)

    def _copy(self, missing: Sequence[Raw]) -> Iterator[Step]:
        if missing and not self.dry_run:
            wanted = [document["_id"] for document in missing]
            refused = self._copy_chunks(wanted)
            fresh = self._documents(self.source, wanted)
            gone = [document["_id"] for document in missing if _key(document) not in fresh]
            if gone or refused:
                self._drop_chunks([*gone, *refused])
            failed = [document for document in fresh.values() if document["_id"] in refused]
            yield from (Step("failed", self._file(document)) for document in failed)
            missing = [document for document in fresh.values() if document["_id"] not in refused]
        yield from self._write("copied", missing)

    def _documents(self, bucket: Bucket, file_ids: Sequence[Any]) -> dict[bytes, Raw]:
        return {_key(document): document for document in _raw(bucket).find({"_id": {"$in": file_ids}})}

    def _drop_chunks(self, file_ids: Sequence[Any]) -> None:
        """Delete the chunks of files, except of those that another run has completed."""
        known = [document["_id"] for document in self._documents(self.target, file_ids).values()]
        unnamed = [file_id for file_id in file_ids if file_id not in known]
        _raw(self.target, "chunks").delete_many({"files_id": {"$in": unnamed}})

    def _copy_chunks(self, file_ids: Sequence[Any]) -> list[Any]:
        """Copy the chunks of some files; return the ``_id`` of those of which the target refuses one."""
        refused = list[Any]()
        pending, size = list[Raw](), 0
        with _raw(self.source, "chunks").find({"files_id": {"$in": file_ids}}) as chunks:
            for chunk in chunks:
                pending.append(chunk)
                size += len(chunk.raw)
                if size >= _BYTES:
                    refused += self._insert(pending)
                    pending, size = [], 0
        return refused + self._insert(pending)

    def _insert(self, chunks: Sequence[Raw]) -> list[Any]:
        if not chunks:
            return []
        collection = _raw(self.target, "chunks")
        try:
            collection.insert_many(chunks, ordered=False)
        except BulkWriteError as error:
            refused = [chunks[index] for index in duplicates(error)]
            own = {name: {"$in": [chunk[name] for chunk in refused]} for name in ("files_id", "_id")}
            found = collection.find(own)
            there = {chunk.raw for chunk in found}  # by another run, or one that was killed
            return [chunk["files_id"] for chunk in refused if chunk.raw not in there]
        return []

    def _write(self, kind: Literal["copied", "updated"], documents: Sequence[Raw]) -> Iterator[Step]:
        refused = set[int]()
        if documents and not self.dry_run:
            changes: list[ReplaceOne[Raw]] = [
                ReplaceOne({"_id": {"$eq": document["_id"]}}, document, upsert=kind == "copied")
                for document in documents
            ]
            try:
                _raw(self.target).bulk_write(changes, ordered=False)
            except BulkWriteError as error:
                refused = duplicates(error)
        for number, document in enumerate(documents):
            yield Step("failed" if number in refused else kind, self._file(document))

    def _delete(self) -> Iterator[Step]:
        versions = Versions(self.target.collections)
        with _raw(self.target).find({}, {"_id": 1}, batch_size=_BATCH) as documents:
            for batch in batches(documents, _BATCH):
                there = _raw(self.source).find({"_id": {"$in": [one["_id"] for one in batch]}}, {"_id": 1})
                known = {_key(document) for document in there}
                unknown = versions.documents([one["_id"] for one in batch if _key(one) not in known])
                gone = [file for file in map(versions.stored, unknown) if file.trashed or not file.expired]
                if gone and not self.dry_run:
                    self.target.delete_versions([file for file in gone if not file.trashed], for_good=True)
                    trashed = [file.document for file in gone if file.trashed]
                    remove(self.target.collections, self.target.variants, trashed)
                yield from (Step("deleted", file) for file in gone)

    def _file(self, document: Raw) -> StoredFile:
        return StoredFile.from_document(bson.decode(document.raw, codec_options=self.source.collections.codec_options))


def pages(bucket: Bucket) -> Iterator[list[Raw]]:
    """Yield all documents of the files, some hundred at once, each time by another query.

    A server ends a cursor after ten minutes without a request, in which large files are still being read.
    """
    files = _raw(bucket)
    page = list(files.find({}, sort=[("_id", 1)], limit=_BATCH))
    while page:
        yield page
        last = _key(page[-1])
        following = {"$expr": {"$gte": ["$_id", {"$literal": page[-1]["_id"]}]}}  # a plain $gt keeps to a type
        page = [one for one in files.find(following, sort=[("_id", 1)], limit=_BATCH + 1) if _key(one) != last]


def _raw(bucket: Bucket, name: Literal["files", "chunks"] = "files") -> Any:
    collection = getattr(bucket.collections.primary, name)
    return collection.with_options(codec_options=_RAW, read_preference=ReadPreference.PRIMARY)


def _key(document: Raw) -> bytes:
    """The bytes of the ``_id``."""
    return bson.encode({"_id": document["_id"]}, codec_options=_RAW)


def _is_same_file(one: Raw, other: Raw) -> bool:
    """Whether two documents are about the same content, and only its name or other facts were changed."""
    if any(whole(one.get(name)) != whole(other.get(name)) for name in ("length", "chunkSize")):
        return False
    hashes = [name for name in ("sha256", "md5") if name in one and name in other]
    return all(one.get(name) == other.get(name) for name in hashes or ["uploadDate"])

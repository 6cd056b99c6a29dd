"""What is wrong in a bucket, and the repair of what can be repaired, in memory that does not grow with the bucket.

Others upload and delete meanwhile. A cheap first look tells what may be wrong; that is looked at once more, as the
primary knows it, before it is reported or deleted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Literal, NamedTuple
from uuid import UUID

from bson.objectid import ObjectId
from pymongo import ASCENDING

from .collections import INDEXES, WITH_PREVIOUS, Collections, create_index, index_problem
from .judge import FIELDS, SIZE, Judge, Problem

GRACE = timedelta(hours=1)
"""how old the newest chunk of an upload must be before the upload is taken for dead"""
_VALUES = (ObjectId, str, bytes, int, float, datetime, UUID, type(None))  # in $in other types may be patterns
_PAUSE = 0.5  # seconds
_BATCH = 1000  # documents
_BATCH_BYTES = 1024 * 1024


class Finding(NamedTuple):
    """What is wrong with an index, with a file, or with chunks that no file owns."""

    subject: Literal["index", "file", "chunks"]
    id: Any
    """the file's ``_id``, the chunks' ``files_id``, or the index's fields"""
    name: Any
    """the file's, or the collection's"""
    problems: list[Problem]
    bytes: int = 0
    repaired: bool = False
    note: str = ""
    """why it was not repaired, where that is not plain"""


@dataclass
class Check:
    """One look at every file and every chunk of a bucket.

    Unreferenced chunks younger than :data:`GRACE` belong to an upload that goes on: they are counted in *uploading*.
    The server must be MongoDB 4.4 or later.

    :param repair: create missing indexes, delete unreferenced chunks, and those past the end of a file whose hash shows
        that they are not of it
    :param verify: read the content of all files, and compare their SHA-256 and MD5
    :param advance: called with a number of documents whenever that many were looked at
    """

    collections: Collections
    repair: bool = False
    verify: bool = False
    advance: Callable[[int], object] = int
    files: int = 0
    chunks: int = 0
    bytes: int = 0
    uploading: int = 0

    def __post_init__(self) -> None:
        self._files, self._chunks = self.collections.primary
        self._chunks_in_order = True

    def findings(self) -> Iterator[Finding]:
        """Look; *files*, *chunks*, *bytes* and *uploading* count what was seen.

        :raises pymongo.errors.PyMongoError: where the server does not answer, or does not do what it must
        """
        yield from self._indexes()
        yield from self._broken()
        yield from self._unreferenced()

    def _indexes(self) -> Iterator[Finding]:
        for index in INDEXES:
            collection = self.collections.of(index)
            there = collection.index_information()  # empty where the collection is not there yet
            problem = index_problem(there, index) if there else None
            if not problem or ("partialFilterExpression" in index.options and not self._files.find_one(WITH_PREVIOUS)):
                continue
            error = create_index(collection, index) if self.repair else ""
            repaired = self.repair and not error
            fields = ", ".join(field for field, _ in index.keys)
            yield Finding("index", fields, collection.full_name, [Problem(problem, 1)], 0, repaired, error)
            if index.collection == "chunks":
                self._chunks_in_order = repaired or problem != "missing"

    def _broken(self) -> Iterator[Finding]:
        for batch in self._file_batches():
            for document in batch if self.verify else self._suspects(batch):
                yield from self._examine(document)
            self.files += len(batch)
            self.bytes += sum(Judge(document).length for document in batch)
            self.advance(len(batch))

    def _file_batches(self) -> Iterator[list[dict[str, Any]]]:
        """All files documents by ``_id``; no cursor stays open while their contents are read."""
        found = list(self._files.find({}, FIELDS).sort("_id", ASCENDING).limit(_BATCH))
        while found:
            yield found
            last = found[-1]["_id"]
            rest = self._files.find({}, FIELDS).sort("_id", ASCENDING).limit(_BATCH)
            found = list(rest.min([("_id", last)]).hint([("_id", ASCENDING)]))  # $gt would keep to one type of _id
            if found and repr(found[0]["_id"]) == repr(last):
                del found[0]

    def _suspects(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those whose chunks, as they come along the index, do not fit by number and size."""
        judges = {repr(document["_id"]): Judge(document) for document in batch}
        chosen = {"$match": {"files_id": {"$in": [document["_id"] for document in batch]}}}
        sizes = {"$project": {"_id": 0, "files_id": 1, "n": 1, **SIZE}}
        with self._chunks.aggregate([chosen, sizes], batchSize=_BATCH) as chunks:
            for chunk in chunks:
                if judge := judges.get(repr(chunk.get("files_id"))):
                    judge.add(chunk.get("n"), chunk["size"])
                self.advance(1)
        return [document for document in batch if judges[repr(document["_id"])].problems()]

    def _examine(self, document: Mapping[str, Any]) -> Iterator[Finding]:
        """Read the whole file, and repair it."""
        judge, own = Judge(document), {"files_id": {"$eq": document["_id"]}}
        hashes = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
        known = {name: value.lower() for name in hashes if isinstance(value := document.get(name), str)}
        stored = {name: value for name, value in known.items() if len(value) == 2 * hashes[name].digest_size}
        batch = max(2, min(_BATCH_BYTES // judge.chunk_size, _BATCH))
        found = self._chunks.find(own, {"n": 1, "data": 1}, batch_size=batch, sort=[("n", ASCENDING)])
        with found.allow_disk_use(True) as chunks:
            for chunk in chunks:
                content = chunk["data"] if isinstance(chunk.get("data"), bytes) else b""
                if judge.add(chunk.get("n"), len(content)):
                    for name in stored:
                        hashes[name].update(content)
                self.advance(1)
        problems = judge.problems()
        if {problem.kind for problem in problems} <= {"extra"}:
            problems += [Problem(f"{n} mismatch", 1) for n, value in stored.items() if hashes[n].hexdigest() != value]
        if not problems or not self._exists(document["_id"]):
            return
        only_extra = [problem.kind for problem in problems] == ["extra"]
        note = "no hash tells where it ends" if only_extra and not stored else ""
        if repaired := self.repair and only_extra and not note:
            self._chunks.delete_many({**own, "n": {"$gt": judge.last}})
        yield Finding("file", document["_id"], document.get("filename"), problems, judge.length, repaired, note)

    def _unreferenced(self) -> Iterator[Finding]:
        stages: list[dict[str, Any]] = [{"$sort": {"files_id": 1}}, {"$project": {"_id": 0, "files_id": 1}}]
        if not self._chunks_in_order:
            stages.reverse()  # the server sorts: without the data
        suspects: dict[str, Any] = {}
        before: set[str] = set()
        with self._chunks.aggregate(stages, batchSize=_BATCH, allowDiskUse=True) as chunks:
            while batch := list(islice(chunks, _BATCH)):
                ids = {repr(value): value for chunk in batch if isinstance(value := chunk.get("files_id"), _VALUES)}
                selected = {"_id": {"$in": list(ids.values())}}
                owned = {repr(file["_id"]) for file in self._files.find(selected, {"_id": 1})}
                suspects |= {key: ids[key] for key in ids.keys() - owned - before}
                before = set(ids)
                self.chunks += len(batch)
                self.advance(len(batch))
                if len(suspects) >= _BATCH:
                    yield from self._settle(suspects)
                    suspects = {}
        yield from self._settle(suspects)

    def _settle(self, suspects: Mapping[str, Any]) -> Iterator[Finding]:
        """Look again, and once more after a pause, in which a delete that goes on takes some of the chunks."""
        young = datetime.now(timezone.utc) - GRACE
        dead: dict[str, dict[str, Any]] = {}
        for found in self._unowned(suspects):
            if isinstance(found["newest"], ObjectId) and found["newest"].generation_time > young:
                self.uploading += found["count"]
            else:
                dead[repr(found["_id"])] = found
        if dead:
            time.sleep(_PAUSE)
        for found in self._unowned({key: chunks["_id"] for key, chunks in dead.items()}):
            if found != dead[repr(found["_id"])]:
                continue
            dated = isinstance(found["newest"], ObjectId)
            if repaired := self.repair and dated:
                self._chunks.delete_many({"files_id": {"$eq": found["_id"]}})
            note = "" if dated else "nothing tells their age"
            problems = [Problem("unreferenced", found["count"])]
            yield Finding("chunks", found["_id"], self._chunks.full_name, problems, found["bytes"], repaired, note)

    def _unowned(self, ids: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What chunks there are of those of *ids* that have no file, which is looked for last of all."""
        chosen = {"$match": {"files_id": {"$in": list(ids.values())}}}
        summed = {"count": {"$sum": 1}, "bytes": {"$sum": SIZE["size"]}, "newest": {"$max": "$_id"}}
        for found in list(self._chunks.aggregate([chosen, {"$group": {"_id": "$files_id", **summed}}])):
            if repr(found["_id"]) in ids and not self._exists(found["_id"]):
                yield found

    def _exists(self, file_id: Any) -> bool:
        return self._files.find_one({"_id": {"$eq": file_id}}, {"_id": 1}) is not None

"""What is wrong in a bucket, and the repair of what can be repaired, in memory that does not grow with the bucket.

::

    for finding in Check(bucket.collections, repair=True).findings():
        print(finding.subject, finding.name, finding.problems)

Others upload and delete meanwhile. A cheap first look tells what may be wrong; that is looked at once more, as the
primary knows it, before it is reported or deleted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice, takewhile
from typing import Any, Literal, NamedTuple
from uuid import UUID

from bson.objectid import ObjectId
from pymongo import ASCENDING
from pymongo.errors import PyMongoError

from .. import ids, variants
from ..collections import Collections
from ..indexes import INDEXES, WITH_PREVIOUS, index_problem
from ..integrity import FIELDS, SIZE, Judge, Problem
from ..resumable.uploads import ResumableUploads
from ..retry import RetryBudget, retry, while_known
from ..versions import Versions
from ..writing.claims import Claims, build_index

GRACE = timedelta(hours=1)
"""how old the newest chunk of an upload must be before the upload is taken for dead"""
_VALUES = (ObjectId, str, bytes, int, float, datetime, UUID, type(None))  # in $in other types may be patterns
_PAUSE = 0.5  # seconds
_BATCH = 1000  # documents
_BATCH_BYTES = 1024 * 1024


class Finding(NamedTuple):
    """What is wrong with one *subject*: chunks and variants (kept pictures) are those that no file owns."""

    subject: Literal["index", "file", "upload", "chunks", "variants"]
    id: Any
    """the file's ``_id``, also of one that is gone, or the index's fields"""
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

    Unreferenced chunks younger than :data:`GRACE`, and those of an unfinished :class:`.Upload`, belong to an upload
    that goes on: they are counted in *uploading*. The server must be MongoDB 4.4 or later.

    :param repair: create missing indexes, delete unreferenced chunks, and those past the end of a file whose hash shows
        that they are not of it
    :param verify: read the content of all files, and compare their SHA-256 and MD5
    :param idle: nobody writes to the bucket: chunks without a file are dead whatever their age, and so are the claims
        (:mod:`.claims`), which *repair* then removes
    :param advance: called with a number of documents whenever that many were looked at
    """

    collections: Collections
    repair: bool = False
    verify: bool = False
    idle: bool = False
    advance: Callable[[int], object] = int
    files: int = 0
    chunks: int = 0
    bytes: int = 0
    uploading: int = 0

    def __post_init__(self) -> None:
        self._files, self._chunks = self.collections.primary
        self._chunks_in_order = True
        self._uploads = ResumableUploads(Versions(self.collections), Claims(self.collections))

    def findings(self) -> Iterator[Finding]:
        """Look at everything once; *files*, *chunks*, *bytes* and *uploading* count what was seen.

        :raises pymongo.errors.PyMongoError: where the server does not answer, or does not do what it must
        """
        claims = Claims(self.collections)
        if self.idle and self.repair:
            claims.remove_all()
        while claims.remove_old():
            pass
        yield from self._indexes()
        yield from self._broken()
        yield from self._expired()
        yield from self._unreferenced()
        yield from self._pictures()

    def _indexes(self) -> Iterator[Finding]:
        for index in (*INDEXES, *variants.INDEXES):
            collection = self.collections.of(index)
            there = collection.index_information()  # empty where the collection is not there yet
            problem = index_problem(there, index) if there else None
            if not problem or ("partialFilterExpression" in index.options and not self._files.find_one(WITH_PREVIOUS)):
                continue
            error = build_index(self.collections, index) if self.repair else ""
            repaired = self.repair and not error
            fields = ", ".join(field for field, _ in index.keys)
            yield Finding("index", fields, collection.full_name, [Problem(problem, 1)], 0, repaired, error)
            if index.collection == "chunks":
                self._chunks_in_order = repaired or problem != "missing"

    def _broken(self) -> Iterator[Finding]:
        for batch in self._file_batches():
            known = [document for document in batch if ids.is_utf8(document["_id"])]
            for document in known if self.verify else self._suspects(known):
                yield from self._examine(document)
            for document in batch:
                if not ids.is_utf8(document["_id"]):
                    invalid = [Problem("invalid document", 1)]
                    yield Finding("file", document["_id"], document.get("filename"), invalid, note="no query finds it")
            self.files += len(batch)
            self.bytes += sum(Judge(document).length for document in batch)
            self.advance(len(batch))

    def _file_batches(self) -> Iterator[list[dict[str, Any]]]:
        """All files documents by ``_id``; no cursor stays open while their contents are read."""
        begin: list[Any] = []  # the last _id that a query can begin with
        passed = 0  # documents from there on
        while True:
            found = self._files.find({}, FIELDS).sort("_id", ASCENDING).skip(passed).limit(-_BATCH)
            if begin:
                found = found.min([("_id", begin[0])]).hint([("_id", ASCENDING)])  # $gt would keep to one type of _id
            documents = list(found)
            batch = [document for document in documents if not begin or repr(document["_id"]) != repr(begin[0])]
            if not batch:
                return
            yield batch
            if ids.is_utf8(batch[-1]["_id"]):
                begin, passed = [batch[-1]["_id"]], 0
            else:
                passed += len(documents)

    def _suspects(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those whose chunks, as they come along the index, do not fit by number and size."""
        chosen = {"$match": {"files_id": {"$in": [document["_id"] for document in batch]}}}
        sizes = {"$project": {"_id": 0, "files_id": 1, "n": 1, **SIZE}}

        def look() -> list[dict[str, Any]]:
            judges = {repr(document["_id"]): Judge(document) for document in batch}
            for chunk in self._walk(self._chunks.aggregate([chosen, sizes], batchSize=_BATCH)):
                if judge := judges.get(repr(chunk.get("files_id"))):
                    judge.add(chunk.get("n"), chunk["size"])
                self.advance(1)
            return [document for document in batch if judges[repr(document["_id"])].problems()]

        return retry(self._chunks, look)

    def _walk(self, cursor: Any) -> Iterator[dict[str, Any]]:
        return while_known(cursor, self._chunks.database.client)

    def _examine(self, document: Mapping[str, Any]) -> Iterator[Finding]:
        """Read the whole file, and repair it."""
        judge, differing = retry(self._chunks, lambda: self._read(document))
        problems = judge.problems()
        if {problem.kind for problem in problems} <= {"extra"}:
            problems += [Problem(f"{name} mismatch", 1) for name, differs in differing.items() if differs]
        if not problems or not self._exists(document["_id"]):
            return
        only_extra = [problem.kind for problem in problems] == ["extra"]
        note = "no hash tells where it ends" if only_extra and not differing else ""
        if repaired := self.repair and only_extra and not note:
            self._delete({"files_id": {"$eq": document["_id"]}, "n": {"$gt": judge.last}})
        yield Finding("file", document["_id"], document.get("filename"), problems, judge.length, repaired, note)

    def _read(self, document: Mapping[str, Any]) -> tuple[Judge, dict[str, bool]]:
        """Judge a file by its content; for each hash that its document has, tell whether it is another one."""
        judge, hashes = Judge(document), {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
        known = {name: value.lower() for name in hashes if isinstance(value := document.get(name), str)}
        stored = {name: value for name, value in known.items() if len(value) == 2 * hashes[name].digest_size}
        batch = max(2, min(_BATCH_BYTES // judge.chunk_size, _BATCH))
        own = {"files_id": {"$eq": document["_id"]}}
        found = self._chunks.find(own, {"n": 1, "data": 1}, batch_size=batch, sort=[("n", ASCENDING)])
        for chunk in self._walk(found.allow_disk_use(True)):
            content = chunk["data"] if isinstance(chunk.get("data"), bytes) else b""
            if judge.add(chunk.get("n"), len(content)):
                for name in stored:
                    hashes[name].update(content)
            self.advance(1)
        return judge, {name: hashes[name].hexdigest() != value for name, value in stored.items()}

    def _delete(self, selection: Mapping[str, Any]) -> None:
        retry(self._chunks, lambda: self._chunks.delete_many(selection))

    def _expired(self) -> Iterator[Finding]:
        for upload in self._uploads.expired():
            if self.repair:
                self._uploads.remove(upload)
            if not upload.ended:
                expired = [Problem("expired", 1)]
                yield Finding("upload", upload.id, upload.filename, expired, upload.offset, self.repair)

    def _unreferenced(self) -> Iterator[Finding]:
        suspects: dict[str, Any] = {}
        before: set[str] = set()
        for batch in self._owner_batches():
            asked = {repr(value): value for value in batch if isinstance(value, _VALUES) and ids.is_utf8(value)}
            owners = self._files.find({"_id": {"$in": list(asked.values())}}, {"_id": 1}).limit(-_BATCH)
            owned = {repr(file["_id"]) for file in owners}
            suspects |= {key: asked[key] for key in asked.keys() - owned - before}
            before = set(asked)
            self.chunks += len(batch)
            self.advance(len(batch))
            if len(suspects) >= _BATCH:
                yield from self._settle(suspects)
                suspects = {}
        yield from self._settle(suspects)

    def _owner_batches(self) -> Iterator[list[Any]]:
        """The ``files_id`` of all chunks in order; where the server goes away, the next one goes on."""
        sort, project = {"$sort": {"files_id": 1}}, {"$project": {"_id": 0, "files_id": 1}}
        begin: list[dict[str, Any]] = []
        seen = 0  # of those with the last files_id
        budget = RetryBudget(self._chunks)
        while True:
            # Where no index gives the order the server sorts, best without the data.
            stages = [*begin, *([sort, project] if self._chunks_in_order else [project, sort]), {"$skip": seen}]
            try:
                chunks = self._walk(self._chunks.aggregate(stages, batchSize=_BATCH, allowDiskUse=True))
                while batch := [chunk.get("files_id") for chunk in islice(chunks, _BATCH)]:
                    yield batch
                    budget.renew()
                    if not ids.is_utf8(batch[-1]):
                        seen += len(batch)
                        continue
                    last = {"$match": {"$expr": {"$gte": ["$files_id", {"$literal": batch[-1]}]}}}  # of all types
                    same = sum(1 for _ in takewhile(lambda other: repr(other) == repr(batch[-1]), reversed(batch)))
                    seen = same + (seen if begin == [last] and same == len(batch) else 0)
                    begin = [last]
                return
            except PyMongoError as error:
                if not budget.lasts(error):
                    raise

    def _pictures(self) -> Iterator[Finding]:
        """Kept pictures whose file another tool deleted: what the package deletes has none left."""
        pictures, name = variants.Variants(self.collections), self.collections.variants.full_name
        unowned = pictures.unowned()
        while batch := list(islice(unowned, _BATCH)):
            time.sleep(_PAUSE)  # for a delete that goes on
            for file_id in batch:
                if not (count := pictures.count(file_id)):
                    continue
                if self.repair:
                    pictures.forget(file_id)
                yield Finding("variants", file_id, name, [Problem("unreferenced", count)], 0, self.repair)

    def _settle(self, suspects: Mapping[str, Any]) -> Iterator[Finding]:
        """Look again, and once more after a pause, in which a delete that goes on takes some of the chunks."""
        young = datetime.now(timezone.utc) - GRACE
        dead: dict[str, dict[str, Any]] = {}
        unfinished = self._uploads.unfinished([value for value in suspects.values() if isinstance(value, ObjectId)])
        for found in self._unowned(suspects):
            dated = isinstance(found["newest"], ObjectId)
            fresh = dated and not self.idle and found["newest"].generation_time > young
            if fresh or found["_id"] in unfinished:
                self.uploading += found["count"]
            else:
                dead[repr(found["_id"])] = found
        if dead:
            time.sleep(_PAUSE)
        for found in self._unowned({key: chunks["_id"] for key, chunks in dead.items()}):
            if found != dead[repr(found["_id"])]:
                continue
            dated = isinstance(found["newest"], ObjectId)
            if repaired := self.repair and (dated or self.idle):
                self._delete({"files_id": {"$eq": found["_id"]}})
            note = "" if dated or self.idle else "nothing tells their age"
            problems = [Problem("unreferenced", found["count"])]
            yield Finding("chunks", found["_id"], self._chunks.full_name, problems, found["bytes"], repaired, note)

    def _unowned(self, ids: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What chunks there are of those of *ids* that have no file, which is looked for last of all."""
        chosen = {"$match": {"files_id": {"$in": list(ids.values())}}}
        summed = {"count": {"$sum": 1}, "bytes": {"$sum": SIZE["size"]}, "newest": {"$max": "$_id"}}
        grouped = [chosen, {"$group": {"_id": "$files_id", **summed}}]
        for found in retry(self._chunks, lambda: list(self._walk(self._chunks.aggregate(grouped, batchSize=_BATCH)))):
            if repr(found["_id"]) in ids and not self._exists(found["_id"]):
                yield found

    def _exists(self, file_id: Any) -> bool:
        return self._files.find_one({"_id": {"$eq": file_id}}, {"_id": 1}) is not None

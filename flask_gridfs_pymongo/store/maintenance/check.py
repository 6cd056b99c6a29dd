"""Finds and repairs damage in a bucket, in memory that does not grow with the bucket.

::

    for finding in Check(bucket.collections, repair=True).findings():
        print(finding.subject, finding.name, finding.problems)

One walk along files and chunks (:mod:`.walk`) finds what may be damaged. As others upload and delete meanwhile, this is
examined again, on the primary, before it is reported or deleted.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, Literal, NamedTuple

from bson.objectid import ObjectId
from pymongo import ASCENDING
from pymongo.errors import OperationFailure

from .. import ids, variants
from ..collections import Collections
from ..indexes import WITH_PREVIOUS, collation_of, collation_problem, impossible, index_problem
from ..integrity import NUMBERS, SIZE, SIZES, ChunkAudit, Problem
from ..resumable.uploads import ResumableUploads
from ..retry import is_transient, reason, retry, while_known
from ..versions import Versions
from ..writing.claims import Claims, build_index
from ..writing.marks import finish
from .walk import those_of, walk

ORPHAN_AGE = timedelta(hours=1)
"""the age of the newest chunk without a file after which its upload counts as dead"""
_PAUSE = 0.5  # seconds
_BATCH = 1000  # documents
_BATCH_BYTES = 1024 * 1024


class Finding(NamedTuple):
    """What is wrong with one *subject*; ``chunks`` and ``variants`` are those without a file."""

    subject: Literal["index", "file", "rename", "upload", "chunks", "variants"]
    id: Any
    """the ``_id`` of the file, which may be gone, or the fields of the index"""
    name: Any
    """of the file or the collection"""
    problems: list[Problem]
    bytes: int = 0
    repaired: bool = False
    note: str = ""
    """why it was not repaired, if that is not obvious"""


@dataclass
class Check:
    """Checks every file and every chunk of a bucket once.

    An index is ``impossible`` if its collection is sharded by another key.

    Unreferenced chunks younger than :data:`ORPHAN_AGE`, and those of an unfinished :class:`.Upload`, count as an upload
    in progress (*uploading*). The server must be MongoDB 4.4 or later.

    :param repair: create missing indexes; complete renames that broke off; delete unreferenced chunks, and those past
        the end of a file if its hash shows that they do not belong to it
    :param verify: read the content of all files, and compare their SHA-256 and MD5
    :param idle: nobody writes to the bucket: then all chunks without a file are dead, whatever their age, and so are
        the claims (:mod:`.claims`), which *repair* removes
    :param advance: called with the number of documents in each batch that was checked
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
        self._versions = Versions(self.collections)
        self._uploads = ResumableUploads(self._versions, Claims(self.collections))

    def findings(self) -> Iterator[Finding]:
        """Check everything once; *files*, *chunks*, *bytes* and *uploading* count what was checked.

        :raises pymongo.errors.PyMongoError: if the server does not answer, or refuses what the check needs
        """
        claims = Claims(self.collections)
        if self.idle and self.repair:
            claims.remove_all()
        while claims.remove_old():
            pass
        yield from self._indexes()
        yield from self._expired()
        yield from self._files_and_chunks()
        yield from self._pictures()

    def _indexes(self) -> Iterator[Finding]:
        there: dict[str, Mapping[str, Any]] = {}
        for index in (*self.collections.indexes.needed, *variants.VARIANT_INDEXES):
            collection, fields = self.collections.of(index), ", ".join(field for field, _ in index.keys)
            if index.collection not in there:
                try:
                    # empty if it does not exist yet
                    there[index.collection] = retry(collection, collection.index_information)
                except OperationFailure as refused:
                    if is_transient(refused):
                        raise
                    there[index.collection] = {}
                    yield Finding("index", "", collection.full_name, [Problem("unknown", 1)], note=reason(refused))
                if index.collection == "files" and (note := collation_problem(collation_of(there["files"]))):
                    yield Finding("index", "_id", collection.full_name, [Problem("collation", 1)], note=note)
            problem = index_problem(there[index.collection], index) if there[index.collection] else None
            if not problem:
                continue
            if why := impossible(collection, index):
                note = f"{why}; so {index.loss}"
                yield Finding("index", fields, collection.full_name, [Problem("impossible", 1)], note=note)
                continue
            claimed = partial(self._files.find_one, WITH_PREVIOUS)
            if "partialFilterExpression" in index.options and not retry(self._files, claimed):
                continue
            error = build_index(self.collections, index) if self.repair else ""
            repaired = self.repair and not error
            yield Finding("index", fields, collection.full_name, [Problem(problem, 1)], 0, repaired, error)
            if index.collection == "chunks":
                self._chunks_in_order = repaired or problem != "missing"

    def _files_and_chunks(self) -> Iterator[Finding]:
        renamed, unowned = list[Mapping[str, Any]](), dict[str, Any]()
        projection = NUMBERS if self.verify else SIZES
        for document, file_id, chunks in walk(self.collections, projection, self._chunks_in_order, self._count):
            if document is not None:
                renamed += [document] if "renamedFrom" in document else []
                yield from self._audit(document, chunks)
            elif ids.is_utf8(file_id):
                unowned[repr(file_id)] = file_id
            if len(renamed) + len(unowned) >= _BATCH:
                yield from chain(self._renames(renamed), self._settle(unowned))
                renamed, unowned = [], {}
        yield from chain(self._renames(renamed), self._settle(unowned))

    def _count(self, files: int, chunks: int) -> None:
        self.files += files
        self.chunks += chunks
        self.advance(files + chunks)

    def _audit(self, document: Mapping[str, Any], chunks: Iterable[Mapping[str, Any]] = ()) -> Iterator[Finding]:
        audit = ChunkAudit(document)
        self.bytes += audit.length
        for chunk in chunks:
            audit.add(chunk.get("n"), chunk.get("size", 0))
        if not ids.is_utf8(document["_id"]):
            invalid = [Problem("invalid document", 1)]
            yield Finding("file", document["_id"], document.get("filename"), invalid, note="no query finds it")
        elif self.verify or audit.problems():
            yield from self._examine(document)

    def _examine(self, document: Mapping[str, Any]) -> Iterator[Finding]:
        """Read the whole file, report its problems, and repair it if possible."""
        audit, differing = retry(self._chunks, lambda: self._read(document))
        problems = audit.problems()
        if {problem.kind for problem in problems} <= {"extra"}:
            problems += [Problem(f"{name} mismatch", 1) for name, differs in differing.items() if differs]
        if not problems or not self._exists(document["_id"]):
            return
        only_extra = [problem.kind for problem in problems] == ["extra"]
        note = "it has no hash to show where it ends" if only_extra and not differing else ""
        if repaired := self.repair and only_extra and not note:
            self._delete({"files_id": {"$eq": document["_id"]}, "n": {"$gt": audit.last}})
        yield Finding("file", document["_id"], document.get("filename"), problems, audit.length, repaired, note)

    def _read(self, document: Mapping[str, Any]) -> tuple[ChunkAudit, dict[str, bool]]:
        """Audit a file by its content; for each hash in its document, return whether that of the content differs."""
        audit, hashes = ChunkAudit(document), {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
        known = {name: value.lower() for name in hashes if isinstance(value := document.get(name), str)}
        stored = {name: value for name, value in known.items() if len(value) == 2 * hashes[name].digest_size}
        batch = max(2, min(_BATCH_BYTES // audit.chunk_size, _BATCH))
        own = {"files_id": {"$eq": document["_id"]}}
        found = self._chunks.find(own, {"n": 1, "data": 1}, batch_size=batch, sort=[("n", ASCENDING)])
        for chunk in while_known(found.allow_disk_use(True), self._chunks.database.client):
            content = chunk["data"] if isinstance(chunk.get("data"), bytes) else b""
            if audit.add(chunk.get("n"), len(content)):
                for name in stored:
                    hashes[name].update(content)
            self.advance(1)
        return audit, {name: hashes[name].hexdigest() != value for name, value in stored.items()}

    def _delete(self, selection: Mapping[str, Any]) -> None:
        retry(self._chunks, lambda: self._chunks.delete_many(selection))

    def _expired(self) -> Iterator[Finding]:
        for upload in self._uploads.expired():
            if self.repair:
                self._uploads.remove(upload)
            if not upload.ended:
                expired = [Problem("expired", 1)]
                yield Finding("upload", upload.id, upload.filename, expired, upload.offset, self.repair)

    def _renames(self, marked: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
        """Renames that broke off: what is still marked after a pause, in which one under way may end."""
        if marked:
            time.sleep(_PAUSE)
        for document in marked:
            own = {name: {"$eq": document[name]} for name in ("_id", "renamedFrom")}
            found = retry(self._files, partial(self._files.find_one, own))
            file = found and self._versions.stored(found)
            if not file or file.renamed_from is None:
                continue
            left = len(self._versions.up_to(replace(file, filename=file.renamed_from)))
            if self.repair:
                finish(self._versions, file)
            problems = [Problem(f"left under the name {file.renamed_from!r}", left)]
            yield Finding("rename", file.id, file.filename, problems, 0, self.repair)

    def _pictures(self) -> Iterator[Finding]:
        """Variants of files that another tool deleted; this package deletes them with the file."""
        pictures, name = variants.Variants(self.collections), self.collections.variants.full_name
        unowned = pictures.unowned()
        while batch := list(islice(unowned, _BATCH)):
            time.sleep(_PAUSE)  # for a delete in progress
            for file_id in batch:
                if not (count := pictures.count(file_id)):
                    continue
                if self.repair:
                    pictures.forget(file_id)
                yield Finding("variants", file_id, name, [Problem("unreferenced", count)], 0, self.repair)

    def _settle(self, suspects: Mapping[str, Any]) -> Iterator[Finding]:
        """Examine again, and once more after a pause: meanwhile a delete in progress removes some of the chunks."""
        young = self.collections.clock.now() - ORPHAN_AGE
        dead: dict[str, dict[str, Any]] = {}
        unfinished = self._uploads.unfinished([value for value in suspects.values() if isinstance(value, ObjectId)])
        for found in self._unowned(suspects):
            dated = isinstance(found["newest"], ObjectId)
            fresh = dated and not self.idle and found["newest"].generation_time > young
            if fresh or (isinstance(found["_id"], ObjectId) and found["_id"] in unfinished):
                self.uploading += found["count"]
            else:
                dead[repr(found["_id"])] = found
        if dead:
            time.sleep(_PAUSE)
        for found in self._unowned({key: chunks["_id"] for key, chunks in dead.items()}):
            if found != dead[repr(found["_id"])] or self._exists(found["_id"]):
                continue
            note = "" if self.idle or isinstance(found["newest"], ObjectId) else "their age is unknown"
            if repaired := self.repair and not note:
                self._delete({"files_id": {"$eq": found["_id"]}})
                if self._exists(found["_id"]):
                    repaired, note = False, "their file was stored while they were deleted"
            problems = [Problem("unreferenced", found["count"])]
            yield Finding("chunks", found["_id"], self._chunks.full_name, problems, found["bytes"], repaired, note)

    def _unowned(self, suspects: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks of those of *suspects* that have no file; the files are looked up last."""
        if not suspects:
            return
        # In $in a pattern would match many.
        chosen = {"$match": {"$or": [{"files_id": {"$eq": value}} for value in suspects.values()]}}
        summed: dict[str, Any] = {"count": {"$sum": 1}, "bytes": {"$sum": SIZE}, "newest": {"$max": "$_id"}}
        grouped = [chosen, {"$group": {"_id": "$files_id", **summed}}]
        chunks, client = self._chunks, self._chunks.database.client
        groups = retry(chunks, lambda: list(while_known(chunks.aggregate(grouped, batchSize=_BATCH), client)))
        missing = suspects.keys() - those_of(self._files, *suspects.values())
        yield from (found for found in groups if repr(found["_id"]) in missing)

    def _exists(self, file_id: Any) -> bool:
        return bool(those_of(self._files, file_id))

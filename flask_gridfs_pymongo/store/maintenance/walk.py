"""One walk along all files and chunks of a bucket, in memory that does not grow with it.

::

    for document, file_id, chunks in walk(collections, SIZES, True, lambda files, chunks: None):
        print(file_id, "has no file" if document is None else document["filename"])

Files by ``_id`` and chunks by ``files_id`` have the same order. Others may upload and delete meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

from bson.objectid import ObjectId
from pymongo.errors import PyMongoError

from .. import ids
from ..collections import Collections, Documents
from ..integrity import FIELDS
from ..retry import RetryBudget, retry, while_known

_BATCH = 1000  # documents
_Batches = Iterator[list[dict[str, Any]]]


class Owned(NamedTuple):
    """A file with its chunks, or chunks without a file."""

    document: Mapping[str, Any] | None
    """of the file; None if it is missing"""
    file_id: Any
    """the ``files_id`` of the chunks"""
    chunks: Iterable[Mapping[str, Any]] = ()
    """in the order of their numbers; to be read before the next file"""


def walk(
    collections: Collections, projection: Mapping[str, Any], in_order: bool, count: Callable[[int, int], None]
) -> Iterator[Owned]:
    """Yield each file once, with its chunks, and the chunks of each file that does not exist.

    :param projection: of the chunks
    :param in_order: whether there is an index of the chunks
    :param count: called with the numbers of files and chunks in each batch that was read
    :raises pymongo.errors.PyMongoError: if the server does not answer
    """
    by_file, project = {"$sort": {"files_id": 1, "n": 1}}, {"$project": projection}
    # Without an index the server has to sort: better without the data.
    stages = (by_file, project) if in_order else (project, by_file)
    files, chunks = collections.primary
    all_chunks = chain.from_iterable(_batches(chunks, "files_id", stages, lambda number: count(0, number)))
    groups = groupby(all_chunks, lambda chunk: (repr(chunk.get("files_id")), chunk.get("files_id")))
    group = None
    by_id = ({"$sort": {"_id": 1}}, {"$project": FIELDS})
    for batch in chain(_batches(files, "_id", by_id, lambda number: count(number, 0)), [[]]):
        ahead = OrderedDict((repr(document["_id"]), document) for document in batch)
        while group := group or next(groups, None):
            (key, file_id), found = group
            if key not in ahead and _is_after(files, file_id, batch):
                break
            group = None
            while key in ahead and next(iter(ahead)) != key:
                yield _without_chunks(ahead.popitem(last=False)[1])
            yield Owned(ahead.pop(key, None), file_id, found)
        yield from map(_without_chunks, ahead.values())


def _without_chunks(document: Mapping[str, Any]) -> Owned:
    return Owned(document, document["_id"])


def _batches(
    collection: Documents, field: str, stages: Sequence[Mapping[str, Any]], count: Callable[[int], None]
) -> _Batches:
    """All documents in the order of *field*; if a cursor is lost, another one continues from there."""
    begin: list[dict[str, Any]] = []
    seen = 0  # documents at its beginning
    # Collations of the two collections could make their orders differ.
    options: dict[str, Any] = {"allowDiskUse": True, "batchSize": _BATCH, "collation": {"locale": "simple"}}
    budget = RetryBudget(collection)
    while True:
        try:
            cursor = collection.aggregate([*begin, *stages, {"$skip": seen}], **options)
            documents = while_known(cursor, collection.database.client)
            while batch := list(islice(documents, _BATCH)):
                count(len(batch))
                yield batch
                budget.renew()
                last = batch[-1].get(field)
                if not ids.is_utf8(last):
                    seen += len(batch)
                    continue
                from_last = [{"$match": {"$expr": {"$gte": [f"${field}", {"$literal": last}]}}}]  # of all types
                same = sum(repr(document.get(field)) == repr(last) for document in batch)
                begin, seen = from_last, same + (seen if begin == from_last else 0)
            return
        except PyMongoError as error:
            if not budget.lasts(error):
                raise


def _is_after(files: Documents, file_id: Any, batch: Sequence[Mapping[str, Any]]) -> bool:
    """Whether *file_id* comes after the files of *batch*; the server compares ids of all types."""
    if not batch or not ids.is_utf8(file_id):
        return False
    last = next((document["_id"] for document in reversed(batch) if ids.is_utf8(document["_id"])), file_id)
    if isinstance(file_id, ObjectId) and isinstance(last, ObjectId):
        return file_id >= last
    found = those_of(files, last, file_id)
    return bool(found) and found[-1] == repr(file_id)


def those_of(files: Documents, *file_ids: Any) -> list[str]:
    """Return the ``repr`` of those of *file_ids* that there are files of, in the server's order."""
    chosen = {"$or": [{"_id": {"$eq": file_id}} for file_id in file_ids]}
    found = retry(files, lambda: list(files.find(chosen, {"_id": 1}, sort=[("_id", 1)])))
    return [repr(file["_id"]) for file in found]

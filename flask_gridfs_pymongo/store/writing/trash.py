"""The trash: what was deleted loses its name, until it is restored (:mod:`.restore`) or deleted for good.

The field ``trashed`` takes the place of ``filename``: so nothing finds the file by its name, here and in other tools::

    into_trash(collections, documents, Deletion(at, until, by=None))
    remove(collections, variants, documents)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError, WriteConcernError

from ..collections import Collections, Documents
from ..errors import IndexConflict, Unconfirmed
from ..ids import is_utf8
from ..model import StoredFile, in_order
from ..retry import retry
from ..strict import IN_TRASH, NOT_IN_TRASH
from ..variants import Variants
from ..versions import Versions
from .batches import batches
from .claims import NO_CLAIM

BATCH = 500  # files
_MAX_STAYING = 100  # versions of a name
_NAME_GONE: dict[str, Any] = {"$project": dict.fromkeys(("filename", "renamedFrom", *NO_CLAIM["$unset"]), 0)}
Group = list[dict[str, Any]]  # the documents of one name that were deleted together, the oldest version first


class Deletion(NamedTuple):
    """One act of deleting, by which things go into the trash; see :class:`.Trashed`."""

    at: datetime
    until: datetime
    by: str | None = None


def into_trash(
    collections: Collections,
    documents: Sequence[Mapping[str, Any]],
    deletion: Deletion,
    staying: Mapping[str, Sequence[Any]] | None = None,
) -> int:
    """Move versions into the trash; return how many. After a retry all of them count.

    :param staying: for names of which other versions stay, the ``_id`` of these
    :raises IndexConflict: if a unique index of the application refuses a second file without a name
    :raises Unconfirmed: if the server does not confirm it
    """
    files, ids = collections.files, [one["_id"] for one in documents]
    trashed: dict[str, Any] = {
        "at": deletion.at,
        "until": deletion.until,
        "by": {"$literal": deletion.by},
        "name": {"$ifNull": ["$filename", None]},
    }
    names = {name for one in documents if type(name := one.get("filename")) is str}
    if others := [{"name": name, "ids": there} for name, there in (staying or {}).items() if name in names]:
        same = {"$filter": {"input": {"$literal": others}, "cond": {"$eq": ["$$this.name", "$filename"]}}}
        trashed["part"] = {"$arrayElemAt": [{"$map": {"input": same, "in": "$$this.ids"}}, 0]}
    selection = {"_id": {"$in": ids}, **NOT_IN_TRASH}
    # Another tool may have an array there, into whose elements $set would write.
    change: list[dict[str, Any]] = [{"$project": {"trashed": 0}}, {"$set": {"trashed": trashed}}, _NAME_GONE]
    try:
        return counted(collections, ids, lambda: int(files.update_many(selection, change).modified_count))
    except DuplicateKeyError as error:
        fields = ", ".join((error.details or {}).get("keyPattern", {"filename": 1}))
        raise IndexConflict(
            f"the unique index on {fields} of {files.name} refuses a second file without a name, as in the trash: "
            "create it with partialFilterExpression={'filename': {'$exists': True}}"
        ) from error


def counted(collections: Collections, ids: Sequence[Any], delete: Callable[[], int]) -> int:
    """Return what *delete* returns; after a retry all *ids* count, as the first attempt may have deleted them.

    :raises Unconfirmed: if the server does not confirm it
    """

    def again() -> int:
        delete()
        return len(ids)

    try:
        return retry(collections.files, delete, on_retry=again)
    except WriteConcernError as error:
        raise Unconfirmed(f"{len(ids)} files of {collections.name} may be deleted, or not: {error}") from error


def staying(versions: Versions, files: Sequence[StoredFile]) -> dict[str, list[Any]]:
    """Return the ``_id`` of the newest other versions of each name of *files* that has any."""
    names = list({file.filename for file in files if file.named})
    others = {"filename": {"$in": names}, "_id": {"$nin": [file.id for file in files]}}
    collection, order = versions.collections.primary.files, [("filename", DESCENDING), ("uploadDate", DESCENDING)]
    limit = _MAX_STAYING * len(names)
    found = retry(collection, lambda: list(collection.find(others, {"filename": 1}, sort=order, limit=limit)))
    known = (one for one in found if type(one["filename"]) is str and is_utf8(one["_id"]))
    groups = groupby(known, key=itemgetter("filename"))
    return {name: [one["_id"] for one in islice(group, _MAX_STAYING)] for name, group in groups}


def together(versions: Versions, ids: Sequence[Any]) -> list[Group]:
    """Return what is in the trash with these ``_id``, each with the versions that were deleted together with it."""
    files = versions.collections.primary.files
    found = [file for one in versions.documents(ids) if (file := versions.stored(one)).trashed]
    named = [file for file in found if file.named]
    alone = [[dict(file.document)] for file in found if not file.named]
    if not named:
        return alone
    keys = list(dict.fromkeys(_key(file.document) for file in named))
    wanted = {
        **IN_TRASH,
        "trashed.at": {"$in": list({at for at, _ in keys})},
        "trashed.name": {"$in": list({name for _, name in keys})},
    }
    groups: dict[tuple[datetime, str], Group] = {key: [] for key in keys}
    for document in retry(files, lambda: list(files.find(wanted))):
        if type(document["trashed"]["name"]) is str:  # the query also matches elements of arrays
            groups.get(_key(document), []).append(document)
    return [sorted(group, key=in_order) for group in groups.values() if group] + alone


def _key(document: Mapping[str, Any]) -> tuple[datetime, str]:
    return document["trashed"]["at"], document["trashed"]["name"]


def remove(
    collections: Collections, variants: Variants, documents: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Delete for good what is in the trash, unless it was restored meanwhile.

    :param documents: of versions in the trash
    :return: those that were deleted, by this or at the same time
    """
    files, removed = collections.primary.files, list[Mapping[str, Any]]()
    for batch in batches(documents, BATCH):
        ids = [one["_id"] for one in batch]
        own = {**IN_TRASH, "_id": {"$in": ids}, "trashed.at": {"$in": list({one["trashed"]["at"] for one in batch})}}
        retry(files, partial(files.delete_many, own))
        left = {repr(one["_id"]) for one in retry(files, partial(_ids, files, {"_id": {"$in": ids}}))}
        gone = [one for one in batch if repr(one["_id"]) not in left]
        if gone:
            drop_content(collections, variants, gone)
        removed += gone
    return removed


def drop_content(collections: Collections, variants: Variants, documents: Sequence[Mapping[str, Any]]) -> None:
    """Delete the chunks and variants of files whose *documents* were deleted."""
    collections.delete_chunks([one["_id"] for one in documents])
    if pictures := [one["_id"] for one in documents if variants.may_exist(one)]:
        variants.forget(*pictures)


def _ids(files: Documents, selection: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(files.find(selection, {"_id": 1}))

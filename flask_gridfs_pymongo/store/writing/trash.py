"""The trash: what was deleted loses its name, and gets it back, with its date, if it is restored.

The field ``trashed`` takes the place of ``filename``: so nothing finds the file by its name, here and in other tools::

    into_trash(collections, documents, Deletion(at, until, by=None))
    restore_many(versions, claims, [file_id])
    remove(collections, variants, documents)

The versions of a name that were deleted together are restored together. As in :mod:`.changes`, the newest one claims
the place that it takes, so that of an upload and a restore at the same time one comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

from pymongo import ASCENDING, DESCENDING, UpdateMany, UpdateOne
from pymongo.errors import DuplicateKeyError, WriteConcernError

from ..collections import Collections, Documents
from ..errors import IndexConflict, Unconfirmed
from ..ids import is_utf8
from ..model import StoredFile, in_order, upload_date
from ..retry import retry
from ..strict import IN_TRASH, NOT_IN_TRASH
from ..variants import Variants
from ..versions import Versions
from .batches import Attempts, batches
from .changes import free_name
from .claims import NO_CLAIM, Claims, place
from .marks import as_claim, finish, finish_claiming
from .renames import is_first, write

_ATTEMPTS = 20
_BATCH = 500  # files
_MAX_STAYING = 100  # versions of a name
_MILLISECOND = timedelta(milliseconds=1)
_NAME_GONE: dict[str, Any] = {"$project": dict.fromkeys(("filename", "renamedFrom", *NO_CLAIM["$unset"]), 0)}
_Group = list[dict[str, Any]]  # the documents of one name that were deleted together, the oldest version first


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


def together(versions: Versions, ids: Sequence[Any]) -> list[_Group]:
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
    groups: dict[tuple[datetime, str], _Group] = {key: [] for key in keys}
    for document in retry(files, lambda: list(files.find(wanted))):
        if type(document["trashed"]["name"]) is str:  # the query also matches elements of arrays
            groups.get(_key(document), []).append(document)
    return [sorted(group, key=in_order) for group in groups.values() if group] + alone


def _key(document: Mapping[str, Any]) -> tuple[datetime, str]:
    return document["trashed"]["at"], document["trashed"]["name"]


def restore_many(
    versions: Versions, claims: Claims, ids: Sequence[Any], *, merge: bool = False
) -> list[tuple[StoredFile, StoredFile | Exception]]:
    """Restore what is in the trash with these ``_id``, and the versions that were deleted together with each.

    :return: the newest version of each that was in the trash, and as it is restored, or the error of it
    """
    attempts = Attempts()
    outcomes: list[tuple[StoredFile, StoredFile | Exception]] = []
    for batch in batches(ids, _BATCH):
        groups = together(versions, batch)
        restored = _restore_batch(versions, claims, attempts, groups, merge=merge)
        outcomes += zip((versions.stored(group[-1]) for group in groups), restored, strict=True)
    return outcomes


def _restore_batch(
    versions: Versions, claims: Claims, attempts: Attempts, groups: list[_Group], *, merge: bool
) -> list[StoredFile | Exception]:
    """Restore those whose names are free together, then the others one by one."""
    done = attempts.make(partial(_restore_free, versions, groups)) if len(groups) > 1 else {}
    outcomes: list[StoredFile | Exception] = []
    for number, group in enumerate(groups):
        if isinstance(done, Exception):
            outcomes.append(done)
        elif number in done:
            outcomes.append(done[number])
        else:
            outcomes.append(attempts.make(partial(_restore, versions, claims, group, merge=merge)))
    return outcomes


def _restore_free(versions: Versions, groups: list[_Group]) -> dict[int, StoredFile | Exception]:
    """Restore those whose names are free, each name once; return them by their numbers."""
    files = versions.collections.primary.files
    names = [versions.stored(group[-1]) for group in groups]
    known = [(number, file.filename) for number, file in enumerate(names) if file.named and not file.expired]
    found = versions.of_many({name for _, name in known}, [])
    free = {name: number for number, name in known if found.get(name) == []}
    several = [number for number in free.values() if len(groups[number]) > 1]
    # If this breaks off between the newest versions and the others, these are restored as a part of what is there.
    marks = [(_own(groups[number][:-1]), groups[number][-1]["_id"]) for number in several]
    write(files, [UpdateMany(others, {"$set": {"trashed.part": [newest]}}) for others, newest in marks])
    refused = write(files, [_take(groups[number], name, place(name, None)) for name, number in free.items()])
    taken = {name: number for order, (name, number) in enumerate(free.items()) if order not in refused}
    found = versions.of_many(taken)
    placed = {
        name: number for name, number in taken.items() if is_first(groups[number][-1]["_id"], name, found.get(name, []))
    }
    write(files, [_put_back(groups[number], name) for name, number in taken.items() if name not in placed])
    write(files, [_follow(groups[number][:-1], name) for name, number in placed.items() if number in several])
    return {number: versions.stored(found[name][0]) for name, number in placed.items()}


def _own(group: _Group) -> dict[str, Any]:
    """A query for documents that are in the trash since the same deletion."""
    return {"_id": {"$in": [one["_id"] for one in group]}, "trashed.at": group[0]["trashed"]["at"], "filename": None}


def _take(group: _Group, name: str, claim: Mapping[str, Any]) -> UpdateOne:
    """The newest version takes its name, and claims its place."""
    change = as_claim({"filename": name, "previous": claim}, None)
    return UpdateOne(_own(group[-1:]), {**change, "$unset": {**change["$unset"], "trashed": ""}})


def _follow(group: _Group, name: str) -> UpdateMany:
    return UpdateMany(_own(group), {"$set": {"filename": name}, "$unset": {"trashed": ""}})


def _put_back(group: _Group, name: str) -> UpdateMany:
    own = {"_id": {"$in": [one["_id"] for one in group]}, "filename": name}
    change = {"$set": {"trashed": group[-1]["trashed"]}, "$unset": {"filename": "", **NO_CLAIM["$unset"]}}
    return UpdateMany(own, change)


def _restore(versions: Versions, claims: Claims, group: _Group, *, merge: bool) -> StoredFile:
    """Restore one group; see :meth:`.Bucket.restore`."""
    files, newest = versions.collections.primary.files, versions.stored(group[-1])
    if newest.expired:
        raise FileNotFoundError(f"{newest.filename!r} has expired")
    if not newest.named:
        change: list[dict[str, Any]] = [{"$set": {"filename": "$trashed.name"}}, {"$project": {"trashed": 0}}]
        retry(files, lambda: files.update_many(_own(group), change))
        return _found(versions, newest)
    name = newest.filename
    for _ in range(_ATTEMPTS):
        there = versions.newest(name)
        if there is not None and there.expired:
            free_name(versions, there)
            there = None
        if there is not None:
            finish(versions, there)
        claim, changes = _changes(versions, group, newest, there, merge=merge)
        refused = write(files, changes, ordered=True)
        if refused and not claim:
            raise IndexConflict(f"a unique index of {files.name} refuses another version of {name!r}")
        if refused and claim:  # an upload came first, a rename broke off, or a claim was left behind
            finish_claiming(versions, claim)
            claims.release(claim, later=versions.after(name, there))
        elif not claim or claims.follows(name, newest.id, there, _later(versions, group, name, there)):
            return _found(versions, newest)
        else:
            write(files, [_put_back(group, name)])
    raise IndexConflict(f"{name!r} could not be restored: others write to it at this moment")


def _later(versions: Versions, group: _Group, name: str, there: StoredFile | None) -> dict[str, Any]:
    return {**versions.after(name, there), "$nor": [{"_id": {"$in": [one["_id"] for one in group]}}]}


def _changes(
    versions: Versions, group: _Group, newest: StoredFile, there: StoredFile | None, *, merge: bool
) -> tuple[Mapping[str, Any] | None, list[UpdateOne | UpdateMany]]:
    """Return the claim, if one is needed, and the changes that restore a group beside *there*, the newest version."""
    name, trashed = newest.filename, newest.trashed
    if there is None:
        claim = place(name, None)
        return claim, [_take(group, name, claim), *([_follow(group[:-1], name)] if group[1:] else [])]
    files = versions.collections.primary.files
    same = {"filename": name, "_id": {"$in": list(trashed.part) if trashed else []}}
    if retry(files, lambda: files.find_one(same, {"_id": 1})) is not None:
        if newest.upload_date <= there.upload_date:
            return None, [_follow(group, name)]
        claim = place(name, there.id)
        return claim, [_take(group, name, claim), *([_follow(group[:-1], name)] if group[1:] else [])]
    same_folder = newest.marks_folder and there.marks_folder
    if not merge and not same_folder:
        raise FileExistsError(f"{versions.collections.name} has a file {name!r}")
    return None, _before(group, name, next(iter(versions.in_order(name, ASCENDING, 0, 1, files)), there))


def _before(group: _Group, name: str, first: StoredFile) -> list[UpdateOne | UpdateMany]:
    """The changes that put a group before *first*: versions that are not older get dates just before it."""
    end, changes = first.upload_date, list[UpdateOne | UpdateMany]()
    for document in reversed(group):
        change: dict[str, Any] = {"$set": {"filename": name}, "$unset": {"trashed": ""}}
        if isinstance(document.get("uploadDate"), datetime) and upload_date(document) >= end:
            end -= _MILLISECOND
            change["$set"]["uploadDate"] = end
        changes.append(UpdateOne(_own([document]), change))
    return changes[::-1]


def _found(versions: Versions, newest: StoredFile) -> StoredFile:
    restored = versions.get(newest.id)
    if restored is None:
        raise FileNotFoundError(f"{newest.filename!r} was deleted meanwhile")
    return restored


def remove(
    collections: Collections, variants: Variants, documents: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Delete for good what is in the trash, unless it was restored meanwhile.

    :param documents: of versions in the trash
    :return: those that were deleted, by this or at the same time
    """
    files, removed = collections.primary.files, list[Mapping[str, Any]]()
    for batch in batches(documents, _BATCH):
        ids = [one["_id"] for one in batch]
        own = {**IN_TRASH, "_id": {"$in": ids}, "trashed.at": {"$in": list({one["trashed"]["at"] for one in batch})}}
        retry(files, partial(files.delete_many, own))
        left = {repr(one["_id"]) for one in retry(files, partial(_ids, files, {"_id": {"$in": ids}}))}
        gone = [one for one in batch if repr(one["_id"]) not in left]
        if gone:
            collections.delete_chunks([one["_id"] for one in gone])
        if pictures := [one["_id"] for one in gone if variants.may_exist(one)]:
            variants.forget(*pictures)
        removed += gone
    return removed


def _ids(files: Documents, selection: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(files.find(selection, {"_id": 1}))

"""Restoring from the trash: files get their names back, with their dates.

::

    restore_many(versions, claims, [file_id])

The versions of a name that were deleted together are restored together. As in :mod:`.changes`, the newest one claims
the place that it takes, so that of an upload and a restore at the same time one comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pymongo import ASCENDING, UpdateMany, UpdateOne

from ..errors import IndexConflict
from ..model import StoredFile
from ..retry import retry
from ..versions import Versions
from .batches import Attempts, batches
from .changes import before, free_name
from .claims import NO_CLAIM, Claims, place
from .marks import as_claim, finish, finish_claiming
from .renames import is_first, write
from .trash import BATCH, Group, together

_ATTEMPTS = 20


def restore_many(
    versions: Versions, claims: Claims, ids: Sequence[Any], *, merge: bool = False
) -> list[tuple[StoredFile, StoredFile | Exception]]:
    """Restore what is in the trash: see :meth:`.Bucket.restore_many`."""
    attempts = Attempts()
    outcomes: list[tuple[StoredFile, StoredFile | Exception]] = []
    for batch in batches(ids, BATCH):
        groups = together(versions, batch)
        done = attempts.make(partial(_restore_free, versions, groups)) if len(groups) > 1 else {}
        for number, group in enumerate(groups):
            restored = attempts.make_rest(done, number, partial(_restore, versions, claims, group, merge=merge))
            outcomes.append((versions.stored(group[-1]), restored))
    return outcomes


def _restore_free(versions: Versions, groups: list[Group]) -> dict[int, StoredFile | Exception]:
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


def _own(group: Group) -> dict[str, Any]:
    """A query for documents that are in the trash since the same deletion."""
    return {"_id": {"$in": [one["_id"] for one in group]}, "trashed.at": group[0]["trashed"]["at"], "filename": None}


def _take(group: Group, name: str, claim: Mapping[str, Any]) -> UpdateOne:
    """The newest version takes its name, and claims its place."""
    change = as_claim({"filename": name, "previous": claim}, None)
    return UpdateOne(_own(group[-1:]), {**change, "$unset": {**change["$unset"], "trashed": ""}})


def _follow(group: Group, name: str) -> UpdateMany:
    return UpdateMany(_own(group), {"$set": {"filename": name}, "$unset": {"trashed": ""}})


def _put_back(group: Group, name: str) -> UpdateMany:
    own = {"_id": {"$in": [one["_id"] for one in group]}, "filename": name}
    change = {"$set": {"trashed": group[-1]["trashed"]}, "$unset": {"filename": "", **NO_CLAIM["$unset"]}}
    return UpdateMany(own, change)


def _restore(versions: Versions, claims: Claims, group: Group, *, merge: bool) -> StoredFile:
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


def _later(versions: Versions, group: Group, name: str, there: StoredFile | None) -> dict[str, Any]:
    return {**versions.after(name, there), "$nor": [{"_id": {"$in": [one["_id"] for one in group]}}]}


def _changes(
    versions: Versions, group: Group, newest: StoredFile, there: StoredFile | None, *, merge: bool
) -> tuple[Mapping[str, Any] | None, list[UpdateOne | UpdateMany]]:
    """Return the claim, if one is needed, and the changes that restore a group beside *there*, the newest version."""
    name, trashed = newest.filename, newest.trashed
    if there is not None:
        files = versions.collections.primary.files
        same = {"filename": name, "_id": {"$in": list(trashed.part) if trashed else []}}
        if retry(files, lambda: files.find_one(same, {"_id": 1})) is None:
            if not merge and not (newest.marks_folder and there.marks_folder):
                raise FileExistsError(f"{versions.collections.name} has a file {name!r}")
            first = next(iter(versions.in_order(name, ASCENDING, 0, 1, files)), there)
            change = {"$unset": {"trashed": ""}}
            return None, [UpdateOne(_own([one]), {**change, "$set": fields}) for one, fields in before(first, group)]
        if newest.upload_date <= there.upload_date:
            return None, [_follow(group, name)]
    claim = place(name, there and there.id)
    return claim, [_take(group, name, claim), *([_follow(group[:-1], name)] if group[1:] else [])]


def _found(versions: Versions, newest: StoredFile) -> StoredFile:
    restored = versions.get(newest.id)
    if restored is None:
        raise FileNotFoundError(f"{newest.filename!r} was deleted meanwhile")
    return restored

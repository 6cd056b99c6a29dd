"""Renames of many files in a few round trips for some hundred of them.

As in :mod:`.batches`, what is not settled by the first attempt for all is then done one by one::

    rename_many(versions, claims, {"a.txt": "old/a.txt", "b.txt": "old/b.txt"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from .. import ids
from ..collections import Documents
from ..model import StoredFile
from ..retry import duplicates, retry
from ..strict import check_name
from ..versions import Versions, newest_in
from .batches import Attempts, batches
from .changes import rename
from .claims import NO_CLAIM, Claims, place
from .marks import as_claim, left_behind, mark, unmark

_BATCH = 500  # names
_Check = Callable[[StoredFile], None]
_Note = Callable[[str], Mapping[str, Any]]


class _Rename(NamedTuple):
    old: str
    new: str
    older: list[dict[str, Any]]
    newest: dict[str, Any]
    file: StoredFile
    """the newest version"""


def rename_many(
    versions: Versions,
    claims: Claims,
    names: Mapping[str, str],
    check: _Check | None = None,
    note: _Note | None = None,
) -> dict[str, StoredFile | Exception]:
    """Rename all versions of several names: see :meth:`.Bucket.rename_many`."""
    for name in (*names, *names.values()):
        check_name(name)
    attempts = Attempts()
    outcomes: dict[str, StoredFile | Exception] = {}
    for batch in batches(names.items(), _BATCH):
        done = attempts.make(partial(_rename_batch, versions, batch, check, note))
        for old, new in batch:
            alone = partial(_rename_one, versions, claims, old, new, check, note)
            outcomes[old] = attempts.make_rest(done, old, alone)
    return outcomes


def _rename_one(
    versions: Versions, claims: Claims, old: str, new: str, check: _Check | None, note: _Note | None
) -> StoredFile:
    rename(versions, claims, old, new, check, note and note(old))
    renamed = versions.newest(new)
    if renamed is None:
        raise FileNotFoundError(f"{new!r} was deleted meanwhile")
    return renamed


def _rename_batch(
    versions: Versions,
    names: Sequence[tuple[str, str]],
    check: _Check | None,
    note: _Note | None,
) -> dict[str, StoredFile | Exception]:
    """Rename those that nothing stands in the way of; return them, and what *check* raised for others."""
    files = versions.collections.primary.files
    found = versions.of_many({name for pair in names for name in pair})
    free = {new for _, new in names if new and found.get(new) == []}
    chained = {old for old, _ in names} & {new for _, new in names}  # these are renamed one by one, in their order
    apart = [(old, new) for old, new in names if new in free and chained.isdisjoint((old, new))]
    plain = [one for old, new in apart if (one := _plain(versions, old, new, found.get(old, [])))]
    broken_off = left_behind(versions, {one.old: one.newest["_id"] for one in plain})
    plain = [one for one in plain if one.old not in broken_off]
    refused = {} if check is None else _refused(plain, check)
    plain = [one for one in plain if one.old not in refused]
    conflicts = write(files, [_take(one, note and note(one.old)) for one in plain])
    taken = [one for place, one in enumerate(plain) if place not in conflicts]
    found = versions.of_many([one.new for one in taken], ["previous"])
    placed = [one for one in taken if is_first(one.newest["_id"], one.new, _others(one, found.get(one.new, [])))]
    write(files, [_give_back(one) for one in taken if one not in placed])
    write(files, [change for one in placed for change in _follow(one)], ordered=True)
    return {one.old: _renamed(versions, one) for one in placed} | refused


def _refused(plain: Sequence[_Rename], check: _Check) -> dict[str, StoredFile | Exception]:
    refused: dict[str, StoredFile | Exception] = {}
    for one in plain:
        try:
            check(one.file)
        except PyMongoError:
            raise
        except Exception as error:
            refused[one.old] = error
    return refused


def _plain(versions: Versions, old: str, new: str, documents: list[dict[str, Any]]) -> _Rename | None:
    """The rename, if it is certain which version is the newest, and all can be asked for; else None."""
    newest = newest_in(documents)
    if newest is None or (file := versions.stored(newest)).expired:
        return None
    if "renamedFrom" in newest or not all(ids.is_utf8(document["_id"]) for document in documents):
        return None
    return _Rename(old, new, documents[:-1], newest, file)


def _take(one: _Rename, note: Mapping[str, Any] | None) -> UpdateOne:
    """The newest version takes the new name, and claims its first place; it is marked until the others follow."""
    own = {"_id": {"$eq": one.newest["_id"]}, "filename": {"$in": [one.old, one.new]}}
    fields = {"filename": one.new, "previous": place(one.new, None)}
    if one.older:
        fields = mark(one.newest["_id"], one.older, one.old, one.new)
    return UpdateOne(own, as_claim(fields, note))


def _others(one: _Rename, there: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *there* without older versions: a writer to the new name may have completed the rename already."""
    older = {repr(document["_id"]) for document in one.older}
    return [document for document in there if repr(document["_id"]) not in older]


def is_first(file_id: Any, name: str, there: list[dict[str, Any]]) -> bool:
    """Whether the version *file_id* has its new *name*, and whatever else has it followed knowingly."""
    if not there or repr(there[0]["_id"]) != repr(file_id):
        return False
    return len(there) == 1 or there[1].get("previous") == {"name": name, "_id": file_id}


def _give_back(one: _Rename) -> UpdateOne:
    change = {"$set": {"filename": one.old}, "$unset": {**NO_CLAIM["$unset"], "renamedFrom": ""}}
    return UpdateOne({"_id": {"$eq": one.newest["_id"]}, "filename": one.new}, change)


def _renamed(versions: Versions, one: _Rename) -> StoredFile:
    kept = {name: value for name, value in one.newest.items() if name not in NO_CLAIM["$unset"]}
    return versions.stored({**kept, "filename": one.new})


def _follow(one: _Rename) -> list[UpdateMany | UpdateOne]:
    """The other versions follow; then the newest one forgets the old name."""
    if not one.older:
        return []
    others = {"_id": {"$in": [document["_id"] for document in one.older]}, "filename": one.old}
    return [UpdateMany(others, {"$set": {"filename": one.new}}), *unmark(one.newest["_id"], one.old, one.new)]


def write(files: Documents, changes: Sequence[UpdateOne | UpdateMany], *, ordered: bool = False) -> set[int]:
    """Make *changes*; return the places of those that a unique index refused, after which an *ordered* write ends."""
    if not changes:
        return set()
    try:
        retry(files, partial(files.bulk_write, changes, ordered=ordered))
    except BulkWriteError as error:
        return duplicates(error)
    return set()

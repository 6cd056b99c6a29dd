"""Renames of one file with all its versions, which the next writer completes if they break off.

::

    rename(versions, claims, "notes.txt", "archive/notes.txt")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bson.objectid import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from .. import ids
from ..dav import Dav
from ..model import NOTE, StoredFile, unless_expired, upload_date
from ..retry import retry
from ..strict import NO_ARRAY, check_name, named
from ..versions import Versions
from .claims import NO_CLAIM, Claims, place
from .watch import Watch

_ATTEMPTS = 20
_NOW = {"previousAt": {"$type": "timestamp"}}
_MILLISECOND = timedelta(milliseconds=1)
_BATCH = 1000  # documents


def expire_older(versions: Versions, expired: StoredFile) -> None:
    """Make the versions before *expired* expire, too, so that they stay hidden when a new version follows.

    What the drive keeps of the expired file goes.
    """
    files = versions.collections.primary.files
    takes_keys = {"$or": [{"metadata": {"$exists": False}}, {"metadata": {"$type": "object", **NO_ARRAY}}]}
    change = {"$min": {"metadata.expiresAt": expired.expires_at}}
    older = [document["_id"] for document in with_older(versions, expired)]
    for start in range(0, len(older), _BATCH):
        batch = {"_id": {"$in": older[start : start + _BATCH]}, **takes_keys}
        retry(files, partial(files.update_many, batch, change))
    Dav(versions.collections).drop([expired.filename])


def free_name(versions: Versions, expired: StoredFile) -> None:
    """Remove the name from *expired* and the versions before it; reads continue until these are deleted."""
    expire_older(versions, expired)
    files = versions.collections.primary.files
    gone = versions.after(expired.filename, None) | {"metadata.expiresAt": {"$lte": expired.expires_at}}
    change = {"$unset": {"filename": "", **NO_CLAIM["$unset"]}}
    retry(files, partial(files.update_many, gone, change))


def rename(
    versions: Versions,
    claims: Claims,
    filename: str,
    new: str,
    check: Callable[[StoredFile], None] | None = None,
    note: Mapping[str, Any] | None = None,
) -> int:
    """Rename all versions of *filename* to *new*; what is uploaded meanwhile under the old name stays there.

    The newest one is renamed first, and claims the first place of the new name. If an upload to that name comes first,
    the name is taken; if it comes later, it is the next version. Until the others have followed, the newest one is
    marked, so that the next writer completes what broke off: it has the old name in ``renamedFrom``, which one who
    writes to the new name sees, and claims the places where one who writes to the old name would put a version.

    :param check: called with the newest version just before it is renamed; what it raises ends this
    :param note: the field :data:`.NOTE` for the newest version
    :return: how many versions were renamed, now or by the same call before, if that broke off
    :raises FileNotFoundError: if there is no such file
    :raises FileExistsError: if *new* is taken, unless by a version that has expired
    :raises ValueError: if *new* is empty
    """
    check_name(new)
    if not new:
        raise ValueError("the new name must not be empty")
    for _ in range(_ATTEMPTS):
        with closing(Watch(versions.collections)) as watch:
            there = versions.newest(new)
            if there is not None:
                finish(versions, there, forget=there.renamed_from == filename)
            newest = unless_expired(versions.newest(filename))
            if newest is None:
                return _renamed_before(versions, filename, new, there)
            if finish(versions, newest):
                continue
            if there is not None and not there.expired:
                if finish_claiming(versions, place(new, there.id)):
                    continue
                break
            older = [one for one in versions.documents_up_to(newest, "previous") if one["_id"] != newest.id]
            if check is not None:  # last, so that it sees all that is renamed
                check(newest)
            if there is not None:
                free_name(versions, there)
            if marked := _rename_newest(versions, claims, newest, older, new, note, watch):
                finish(versions, marked, [one["_id"] for one in older], forget=True)
                return 1 + len(older)
    raise FileExistsError(f"{versions.collections.name} has a file {new!r} already")


def finish(versions: Versions, file: StoredFile, older: Sequence[Any] | None = None, *, forget: bool = False) -> bool:
    """Complete the rename of a marked *file*: give the versions before it its name, too, then remove the mark.

    It may be repeated, and done by several at once.

    :param older: the ``_id`` values of these versions, if they are known
    :param forget: keep no claim of the old name: it tells the client that began the rename, and repeats it, that it is
        complete
    :return: whether the file is marked
    """
    files, old = versions.collections.primary.files, file.renamed_from
    if old is None:
        return False
    if older is None:
        older = versions.up_to(replace(file, filename=old))
    for start in range(0, len(older), _BATCH):
        batch = {"_id": {"$in": older[start : start + _BATCH]}, "filename": old}
        retry(files, partial(files.update_many, batch, {"$set": {"filename": file.filename}}))
    last = unmark(file.id, old, file.filename, None if forget else file.id)
    retry(files, lambda: files.bulk_write(last))
    return True


def mark(newest_id: Any, older: Sequence[Mapping[str, Any]], old: str, new: str) -> dict[str, Any]:
    """Return the fields by which the newest version takes a new name, is marked, and claims places under both names.

    :param older: the documents of the versions before it
    """
    after = (place(old, file_id) for file_id in (newest_id, older[-1]["_id"] if older else None, None))
    claims = [one.get("previous") for one in older]
    held = [each for claim in claims for each in (claim if isinstance(claim, list) else [claim])]
    places = [place(new, None), *(each for each in after if each not in held)]
    return {"filename": new, "renamedFrom": old, "previous": places}


def as_claim(fields: Mapping[str, Any], note: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the update that sets *fields*, with a claim among them, and replaces the note beside it."""
    return {"$set": {**fields, **(note or {})}, "$currentDate": _NOW, **({} if note else {"$unset": {NOTE: ""}})}


def unmark(file_id: Any, old: str, new: str, kept: Any = None) -> list[UpdateOne]:
    """Return what ends a rename: removes the mark of the version *file_id*, and all claims under the old name.

    :param kept: the version after which the place stays claimed
    """
    own = {"_id": {"$eq": file_id}, "renamedFrom": old}
    others = {"name": old} if kept is None else {"name": old, "_id": {"$ne": kept}}
    return [
        UpdateOne({"previous": place(old, None), "filename": new, "_id": {"$ne": file_id}}, NO_CLAIM),
        UpdateOne({**own, "previous.1": {"$exists": True}}, {"$pull": {"previous": others}}),
        UpdateOne(own, {"$unset": {"renamedFrom": ""}}),
    ]


def finish_claiming(versions: Versions, *places: Mapping[str, Any]) -> bool:
    """Complete the renames whose versions claim one of these places, though they no longer have its name.

    :return: whether there was one
    """
    files = versions.collections.primary.files
    away = {"previous": {"$in": places}, "filename": {"$nin": [each["name"] for each in places]}}
    names = {versions.stored(document).filename for document in retry(files, lambda: list(files.find(away)))}
    finished = [finish(versions, newest) for name in names if (newest := versions.newest(name))]
    return any(finished)


def left_behind(versions: Versions, newest: Mapping[str, Any]) -> set[str]:
    """Return the names from which a rename broke off: what it has renamed claims the place after the newest one left.

    :param newest: the ``_id`` of the newest version of each name
    """
    files = versions.collections.primary.files
    places = [place(name, file_id) for name, file_id in newest.items()]
    away = {"previous": {"$in": places}, "renamedFrom": {"$in": list(newest)}}
    found = retry(files, lambda: list(files.find(away, {"renamedFrom": 1})))
    return {document["renamedFrom"] for document in found}


def finish_renames_of(versions: Versions, files: Sequence[StoredFile]) -> None:
    """Complete the renames that broke off when they had renamed one of *files*, or all that came after it."""
    collection = versions.collections.primary.files
    own = {"_id": {"$in": [file.id for file in files if ids.is_utf8(file.id)]}}
    later = {"previous": {"$in": [place(file.filename, file.id) for file in files if file.named]}}
    marked = {"$or": [own, later], "renamedFrom": {"$exists": True}}
    for document in retry(collection, lambda: list(collection.find(marked))):
        finish(versions, StoredFile.from_document(document))


def with_older(versions: Versions, newest: StoredFile, *fields: str) -> list[dict[str, Any]]:
    """Return the documents of *newest* and the versions before it, after completing renames of its name.

    :param fields: as in :meth:`.Versions.documents_up_to`
    """
    finish(versions, newest)
    marked = {"previous": place(newest.filename, newest.id), "renamedFrom": newest.filename}
    found = versions.documents_up_to(newest, *fields, "renamedFrom", beside=marked)
    others = [document for document in found if document["filename"] != newest.filename]
    for document in others:
        finish(versions, StoredFile.from_document(document))
    return versions.documents_up_to(newest, *fields) if others else found


def prepend(versions: Versions, newest: StoredFile, first: StoredFile) -> None:
    """Give *newest* and every version before it the name of *first*, and dates before it: see :meth:`.Bucket.prepend`.

    If it is interrupted, the others keep their name, among them *newest*.
    """
    files, end = versions.collections.primary.files, first.upload_date
    changes: list[UpdateOne] = []
    for document in reversed(with_older(versions, newest)):
        change: dict[str, Any] = {"$set": {"filename": first.filename}, **NO_CLAIM}
        if document["_id"] == newest.id:
            # With a claim of a place that nobody wants the note stays as long as claims do.
            claim = place(first.filename, ObjectId())
            change = {"$set": {"filename": first.filename, "previous": claim}, "$currentDate": _NOW}
        if isinstance(document.get("uploadDate"), datetime) and upload_date(document) >= end:
            end -= _MILLISECOND
            change["$set"]["uploadDate"] = end
        changes.append(UpdateOne({"_id": {"$eq": document["_id"]}, "filename": newest.filename}, change))
    changes.reverse()
    for start in range(0, len(changes), _BATCH):
        retry(files, partial(files.bulk_write, changes[start : start + _BATCH]))


def _renamed_before(versions: Versions, filename: str, new: str, there: StoredFile | None) -> int:
    """Return how many versions the same call renamed, after it broke off; *there* is the newest one of *new*."""
    files = versions.collections.primary.files
    if there is not None and there.renamed_from != filename:
        done = {"filename": new, "previous": {"$elemMatch": {"name": filename}}}
        forget = {"$pull": {"previous": {"name": filename}}}
        found = retry(files, lambda: files.find_one_and_update(done, forget))
        there = versions.stored(found) if found else None
    if there is None:
        finish_claiming(versions, place(filename, None))
        raise FileNotFoundError(f"{versions.collections.name} has no file {filename!r}")
    return len(versions.up_to(there))


def _rename_newest(
    versions: Versions,
    claims: Claims,
    newest: StoredFile,
    older: Sequence[Mapping[str, Any]],
    new: str,
    note: Mapping[str, Any] | None,
    watch: Watch,
) -> StoredFile | None:
    """Rename and mark *newest*; None: somebody else wrote to one of the names, or may still do so."""
    files, filename = versions.collections.primary.files, newest.filename
    marked = mark(newest.id, older, filename, new)
    change = as_claim(marked, note)
    own = {"_id": {"$eq": newest.id}, "filename": {"$in": [filename, new]}}
    take = partial(files.find_one_and_update, own, change, return_document=ReturnDocument.AFTER)
    try:
        renamed = retry(files, partial(watch.write, take), on_retry=watch.doubting(take))
    except DuplicateKeyError:  # an upload came first, another rename broke off, or a claim was left behind
        finish_claiming(versions, *marked["previous"])
        claims.release(*marked["previous"], later={"$or": [named(filename), named(new)]})
        return None
    if renamed and (watch.sure or claims.follows(new, newest.id, None, named(new))):
        return versions.stored(renamed)
    back = {"$set": {"filename": filename}, "$unset": {**NO_CLAIM["$unset"], "renamedFrom": ""}}
    retry(files, partial(files.update_one, {**own, "renamedFrom": filename}, back))
    return None

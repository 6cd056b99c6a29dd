"""Renames of one file with all its versions, which the next writer completes if they break off.

::

    rename(versions, claims, "notes.txt", "archive/notes.txt")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bson.objectid import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from ..dav import Dav
from ..model import StoredFile, unless_expired, upload_date
from ..retry import retry
from ..strict import NO_ARRAY, check_name, named
from ..versions import Versions
from .claims import NO_CLAIM, Claims, place
from .marks import NOW, as_claim, finish, finish_claiming, mark, with_older
from .watch import Watch

_ATTEMPTS = 20
_MILLISECOND = timedelta(milliseconds=1)
_BATCH = 1000  # documents


def expire_older(versions: Versions, expired: StoredFile) -> None:
    """Make the versions before *expired* expire, too, so that they stay hidden when a new version follows.

    Its properties and locks on the network drive are deleted.
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
    The parameters, the result and the errors are those of :meth:`.Bucket.rename`.
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


def prepend(versions: Versions, newest: StoredFile, first: StoredFile) -> None:
    """Give *newest* and every version before it the name of *first*, and dates before it: see :meth:`.Bucket.prepend`.

    If it is interrupted, the others keep their name, among them *newest*.
    """
    files = versions.collections.primary.files
    changes: list[UpdateOne] = []
    for document, fields in before(first, with_older(versions, newest)):
        change = {"$set": fields, **NO_CLAIM}
        if document["_id"] == newest.id:
            # With a claim of a place that nobody wants the note stays as long as claims do.
            change = {"$set": {**fields, "previous": place(first.filename, ObjectId())}, "$currentDate": NOW}
        changes.append(UpdateOne({"_id": {"$eq": document["_id"]}, "filename": newest.filename}, change))
    for start in range(0, len(changes), _BATCH):
        retry(files, partial(files.bulk_write, changes[start : start + _BATCH]))


def before(first: StoredFile, documents: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return *documents*, each with the fields by which they become versions before *first*: some get new dates."""
    end = first.upload_date
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for document in reversed(documents):
        fields: dict[str, Any] = {"filename": first.filename}
        if isinstance(document.get("uploadDate"), datetime) and upload_date(document) >= end:
            fields["uploadDate"] = end = end - _MILLISECOND
        found.append((document, fields))
    return found[::-1]


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

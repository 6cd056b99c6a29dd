"""The marks of a rename under way: if it breaks off, the next writer to one of the names completes it.

::

    older = with_older(versions, newest)  # the versions of a name, after completing what broke off
    finish(versions, newest)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo import UpdateOne

from .. import ids
from ..dav import Dav
from ..model import NOTE, StoredFile
from ..retry import retry
from ..versions import Versions
from .claims import NO_CLAIM, place

NOW = {"previousAt": {"$type": "timestamp"}}
"""for ``$currentDate``: the date of a claim"""
_BATCH = 1000  # documents


def finish(versions: Versions, file: StoredFile, older: Sequence[Any] | None = None, *, forget: bool = False) -> bool:
    """Complete the rename of a marked *file*: give the versions before it its name, too, then remove the mark.

    It may be repeated, and done by several at once. The drive's properties of the file move, too, unless this is the
    end of the rename itself.

    :param older: the ``_id`` values of these versions, if this is the end of the rename itself
    :param forget: keep no claim of the old name, from which a client that repeats the rename would see that it is done
    :return: whether the file is marked
    """
    files, old = versions.collections.primary.files, file.renamed_from
    if old is None:
        return False
    broke_off = older is None
    if older is None:
        older = versions.up_to(replace(file, filename=old))
    for start in range(0, len(older), _BATCH):
        batch = {"_id": {"$in": older[start : start + _BATCH]}, "filename": old}
        retry(files, partial(files.update_many, batch, {"$set": {"filename": file.filename}}))
    if broke_off:
        Dav(versions.collections).move({old: file.filename}, late=True)
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
    return {"$set": {**fields, **(note or {})}, "$currentDate": NOW, **({} if note else {"$unset": {NOTE: ""}})}


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

"""Changes to stored files that keep their content: to metadata, expiry and names.

::

    update_metadata(collections, file, {"title": "Notes", "draft": None})
    rename(versions, claims, "notes.txt", "archive/notes.txt")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from ..collections import Collections
from ..model import NOTE, StoredFile, unless_expired
from ..retry import retry
from ..strict import NO_ARRAY, check_name
from ..versions import Versions
from .claims import NO_CLAIM, Claims
from .watch import Watch

_ATTEMPTS = 20
_BATCH = 1000  # documents


def update_metadata(collections: Collections, file: StoredFile, changes: Mapping[str, Any]) -> StoredFile | None:
    """Set keys of a version's metadata one by one, so that concurrent changes to other keys are kept.

    :param changes: new values; None removes a key
    :return: the changed version; None if it was deleted meanwhile
    :raises ValueError: for a key that is empty, holds a dot or NUL, or begins with ``$``
    :raises TypeError: if another tool stored something other than a mapping
    """
    for key in changes:
        if not isinstance(key, str) or not key or key.startswith("$") or "." in key or "\0" in key:
            raise ValueError(f"metadata keys must have no dot, no NUL and no leading '$': {key!r}")
    fields = {f"metadata.{key}": value for key, value in changes.items()}
    update = {
        "$set": {name: value for name, value in fields.items() if value is not None},
        "$unset": {name: "" for name, value in fields.items() if value is None},
    }
    update = {operator: names for operator, names in update.items() if names}  # before 5.0 MongoDB refuses empty ones
    if not update:
        return file
    files, own = collections.files, {"_id": {"$eq": file.id}}
    if "metadata" in file.fields:  # not a mapping
        if file.fields["metadata"] is not None:
            raise TypeError("the file's metadata is not a mapping: another tool put something else there")
        retry(files, lambda: files.update_one({**own, "metadata": None}, {"$set": {"metadata": {}}}))
    changed = retry(files, lambda: files.find_one_and_update(own, update, return_document=ReturnDocument.AFTER))
    return StoredFile.from_document(changed, options=collections.codec_options) if changed else None


def expire_older(versions: Versions, expired: StoredFile) -> None:
    """Make the versions before *expired* expire, too, so that they stay hidden when a new version follows."""
    files = versions.collections.primary.files
    takes_keys = {"$or": [{"metadata": {"$exists": False}}, {"metadata": {"$type": "object", **NO_ARRAY}}]}
    change = {"$min": {"metadata.expiresAt": expired.expires_at}}
    older = versions.up_to(expired)
    for start in range(0, len(older), _BATCH):
        batch = {"_id": {"$in": older[start : start + _BATCH]}, **takes_keys}
        retry(files, partial(files.update_many, batch, change))


def _free_name(versions: Versions, expired: StoredFile) -> None:
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
    the name is taken; if it comes later, it is the next version. Until all others are renamed, the newest one keeps the
    old name in ``renamedFrom``: after an interruption the same call completes the rename.

    :param check: called with the newest version just before it is renamed; what it raises ends this
    :param note: the field :data:`.NOTE` for the newest version
    :return: how many versions were renamed
    :raises FileNotFoundError: if there is no such file
    :raises FileExistsError: if *new* is taken, unless by a version that has expired
    :raises ValueError: if *new* is empty
    """
    check_name(new)
    if not new:
        raise ValueError("the new name must not be empty")
    files = versions.collections.primary.files
    newest = _rename_newest(versions, claims, filename, new, check, note)
    older = versions.up_to(replace(newest, filename=filename))
    change = {"$set": {"filename": new}, **NO_CLAIM}
    for start in range(0, len(older), _BATCH):
        batch = {"_id": {"$in": older[start : start + _BATCH]}, "filename": filename}
        retry(files, partial(files.update_many, batch, change))
    retry(files, partial(files.update_one, {"_id": {"$eq": newest.id}}, {"$unset": {"renamedFrom": ""}}))
    return 1 + len(older)


def prepend(versions: Versions, newest: StoredFile, name: str) -> None:
    """Make *newest* and every version before it the oldest versions of *name*, which has newer ones.

    If it is interrupted, the others keep their name, among them *newest*.
    """
    files = versions.collections.primary.files
    older = [file_id for file_id in versions.up_to(newest) if file_id != newest.id]
    batches = [older[start : start + _BATCH] for start in range(0, len(older), _BATCH)]
    for batch in [*batches, [newest.id]]:
        own = {"_id": {"$in": batch}, "filename": newest.filename}
        retry(files, partial(files.update_many, own, {"$set": {"filename": name}, **NO_CLAIM}))


def _rename_newest(
    versions: Versions,
    claims: Claims,
    filename: str,
    new: str,
    check: Callable[[StoredFile], None] | None,
    note: Mapping[str, Any] | None,
) -> StoredFile:
    files = versions.collections.primary.files
    taken = versions.after(new, None)
    place = {"filename": new, "renamedFrom": filename, "previous": claims.make(new, None)["previous"]}
    change = {
        "$set": {**place, **(note or {})},
        "$currentDate": {"previousAt": {"$type": "timestamp"}},
        **({} if note else {"$unset": {NOTE: ""}}),
    }
    back = {"$set": {"filename": filename}, "$unset": {**NO_CLAIM["$unset"], "renamedFrom": ""}}
    for _ in range(_ATTEMPTS):
        with closing(Watch(versions.collections)) as watch:
            there = versions.newest(new)
            begun = there and retry(files, partial(files.find_one, {"filename": new, "renamedFrom": filename}))
            if begun:
                return versions.stored(begun)
            newest = unless_expired(versions.newest(filename))
            if newest is None:
                raise FileNotFoundError(f"{versions.collections.name} has no file {filename!r}")
            if there is not None and not there.expired:
                break
            if check is not None:
                check(newest)
            if there is not None:
                _free_name(versions, there)
            own = {"_id": {"$eq": newest.id}, "filename": {"$in": [filename, new]}}
            take = partial(files.find_one_and_update, own, change)
            try:
                renamed = retry(files, partial(watch.write, take), on_retry=watch.doubting(take))
            except DuplicateKeyError:  # an upload came first, or a claim was left behind
                claims.release(new, None, taken)
                continue
            if renamed and (watch.sure or claims.follows(new, newest.id, None, taken)):
                return newest
            retry(files, partial(files.update_one, {**own, "renamedFrom": filename}, back))
    raise FileExistsError(f"{versions.collections.name} has a file {new!r} already")

"""How programs save a file over the drive, so that what they do in between costs no version.

Explorer, Office and Finder first put an empty file, and then its content: the empty file is no version. Word and vim
rename the old file, put a new one in its place, and delete the old one: its versions become older ones of the new one.

As long as it has a claim, the document of a version that was made over the drive says by whom::

    made = note(dav)
    saved, before = save_body(request, options, name, check=check, note=made)
    filled(before, made)  # the version to delete, if any
    heir(bucket, file)  # the name to which the versions of a deleted file go, if any
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import request

from ..store import NOTE, Bucket, Dav, StoredFile

_FILLED_WITHIN = timedelta(seconds=60)
_DELETED_WITHIN = timedelta(minutes=10)


def note(dav: Dav, old: str | None = None) -> dict[str, Any]:
    """Return the field of a version's document that says who makes or renames it over the drive, and when.

    :param old: the name before a rename
    """
    user: str = request.environ["wsgidav.auth.user_name"]
    # Hashed, so that documents name nobody and stay small.
    made = {"user": hashlib.sha256(user.encode(errors="surrogatepass")).hexdigest(), "at": dav.now()}
    return {NOTE: made if old is None else {**made, "from": old}}


def filled(before: StoredFile | None, made: Mapping[str, Any]) -> StoredFile | None:
    """Return *before* if it is an empty version that the same user made over the drive less than a minute before.

    :param before: the version that the new one followed
    :param made: the :func:`note` of the new one
    """
    if before is None or before.length or before.damage:
        return None
    noted, now = _noted(before, made), made[NOTE]["at"]
    return before if noted and now - min(noted["at"], before.upload_date) <= _FILLED_WITHIN else None


def renamed_from(file: StoredFile, dav: Dav) -> str | None:
    """Return the name from which this user renamed *file* over the drive in the last ten minutes, or None."""
    if NOTE not in file.document:
        return None
    made = note(dav)
    noted = _noted(file, made) or {}
    old = noted.get("from")
    return old if isinstance(old, str) and made[NOTE]["at"] - noted["at"] <= _DELETED_WITHIN else None


def heir(bucket: Bucket, file: StoredFile) -> str | None:
    """Return the name whose new file takes the versions of *file*, which is to be deleted; None: they are deleted.

    It takes them if this user renamed *file* away from there, and then put or moved the new one there: all that is
    newer there than *file*.
    """
    old = renamed_from(file, bucket.dav)
    if old is None:
        return None
    made, found = note(bucket.dav), None
    for _, later in bucket.versions(old):
        if later.upload_date <= file.upload_date:
            break
        noted = _noted(later, made)
        if noted is None:
            return None
        found = old
        if "from" in noted:  # what is older came with it
            break
    return found


def _noted(file: StoredFile, made: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the note in the document of *file* if it is of the same user as *made*, else None."""
    found = file.document.get(NOTE)
    if not isinstance(found, Mapping) or not isinstance(found.get("at"), datetime):
        return None
    return found if found.get("user") == made[NOTE]["user"] else None

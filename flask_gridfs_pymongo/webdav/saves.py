"""How programs save a file over the drive, so that what they do in between costs no version.

Explorer, Office and Finder first put an empty file, and then its content: the empty file is no version. Word and vim
rename the old file, put a new one in its place, and delete the old one: its versions become older ones of the new one.

As long as it has a claim, the document of a version that was made over the drive says by whom::

    made = note(dav)
    saved, before = save_body(request, options, name, check=check, note=made)
    filled(before, made)  # the version to delete, if any
    followed_by(bucket, file)  # the file whose older versions those of a deleted file become, if any
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import request

from ..http.filenames import compose
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
    # Composed, as the name of what comes there.
    return {NOTE: made if old is None else {**made, "from": compose(old)}}


def filled(before: StoredFile | None, made: Mapping[str, Any]) -> StoredFile | None:
    """Return *before* if it is an empty version that the same user made over the drive less than a minute before.

    :param before: the version that the new one followed
    :param made: the :func:`note` of the new one
    """
    if before is None or before.length or before.damage:
        return None
    # One that was renamed has a later note.
    is_new = made[NOTE]["at"] - before.upload_date <= _FILLED_WITHIN
    return before if is_new and _noted(before, made, _FILLED_WITHIN) else None


def has_arrived(file: StoredFile, newest: StoredFile | None, made: Mapping[str, Any]) -> bool:
    """Return whether *newest* is the copy that the same MOVE of *file* made before it broke off.

    :param newest: what is at the Destination
    :param made: the :func:`note` of this MOVE
    """
    old = made[NOTE].get("from")
    if newest is None or old is None or newest.sha256 != file.sha256 or newest.upload_date <= file.upload_date:
        return False
    noted = _noted(newest, made, _DELETED_WITHIN)
    return noted is not None and bool(noted.get("from") == old)


def renamed_from(file: StoredFile, dav: Dav) -> str | None:
    """Return the name from which this user renamed *file* over the drive in the last ten minutes, or None."""
    if NOTE not in file.document:
        return None
    old = (_noted(file, note(dav), _DELETED_WITHIN) or {}).get("from")
    return old if isinstance(old, str) and old != file.filename else None


def followed_by(bucket: Bucket, file: StoredFile) -> StoredFile | None:
    """Return the version that the versions of *file*, which is to be deleted, will precede; None: they are deleted.

    They become older versions of another file if this user renamed *file* away from there, and then put or moved there
    all that is there now. Its notes say so; dates do not, as what was moved there may be older than *file*.
    """
    old, made, first = renamed_from(file, bucket.dav), note(bucket.dav), None
    if old is None:
        return None
    for _, later in bucket.versions(old):
        noted = _noted(later, made)
        if noted is None or not later.dated:
            return None
        if noted.get("from") == old and noted["at"] < file.document[NOTE]["at"]:
            break  # it was renamed away before *file* was, and came back
        first = later
        if "from" in noted:  # what is older came with it
            break
    return first


def _noted(file: StoredFile, made: Mapping[str, Any], within: timedelta = timedelta.max) -> Mapping[str, Any] | None:
    """Return the note in the document of *file* if it is of the same user as *made*, else None.

    :param within: the time between them at most; the server's clock may have been set back
    """
    found = file.document.get(NOTE)
    if not isinstance(found, Mapping) or not isinstance(found.get("at"), datetime):
        return None
    own = made[NOTE]
    return found if found.get("user") == own["user"] and abs(own["at"] - found["at"]) <= within else None

"""How programs save a file over the drive, so that what they do in between costs no version.

Explorer, Office and Finder first put an empty file, and then its content: the empty file is no version.

As long as it has a claim, the document of a version that was made over the drive says by whom::

    made = note(dav)
    saved, before = save_body(request, options, name, check=check, note=made)
    filled(before, made)  # the version to delete, if any
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import request

from ..store import NOTE, Dav, StoredFile

_FILLED_WITHIN = timedelta(seconds=60)


def note(dav: Dav) -> dict[str, Any]:
    """Return the field of a new version's document that says who makes it over the drive, and since when."""
    user: str = request.environ["wsgidav.auth.user_name"]
    # Hashed, so that documents name nobody and stay small.
    return {NOTE: {"user": hashlib.sha256(user.encode(errors="surrogatepass")).hexdigest(), "at": dav.now()}}


def filled(before: StoredFile | None, made: Mapping[str, Any]) -> StoredFile | None:
    """Return *before* if it is an empty version that the same user made over the drive less than a minute before.

    :param before: the version that the new one followed
    :param made: the :func:`note` of the new one
    """
    if before is None or before.length or before.damage:
        return None
    noted, now = _noted(before, made), made[NOTE]["at"]
    return before if noted and now - min(noted["at"], before.upload_date) <= _FILLED_WITHIN else None


def _noted(file: StoredFile, made: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the note in the document of *file* if it is of the same user as *made*, else None."""
    found = file.document.get(NOTE)
    if not isinstance(found, Mapping) or not isinstance(found.get("at"), datetime):
        return None
    return found if found.get("user") == made[NOTE]["user"] else None

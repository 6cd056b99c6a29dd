"""Changes of a version's metadata.

::

    update_metadata(versions, file, {"title": "Notes", "draft": None})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument

from ..model import StoredFile
from ..retry import retry
from ..strict import NOT_IN_TRASH
from ..versions import Versions


def update_metadata(versions: Versions, file: StoredFile, changes: Mapping[str, Any]) -> StoredFile | None:
    """Set keys one by one, so that concurrent changes to others are kept: see :meth:`.Bucket.update_metadata`.

    :return: the changed version; None if it was deleted meanwhile
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
    files, own = versions.collections.files, {"_id": {"$eq": file.id}, **NOT_IN_TRASH}
    if "metadata" in file.fields:  # not a mapping
        if file.fields["metadata"] is not None:
            raise TypeError("the file's metadata is not a mapping: another tool put something else there")
        retry(files, lambda: files.update_one({**own, "metadata": None}, {"$set": {"metadata": {}}}))
    changed = retry(files, lambda: files.find_one_and_update(own, update, return_document=ReturnDocument.AFTER))
    return versions.stored(changed) if changed else None

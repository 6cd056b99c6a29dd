"""Changes to stored files that leave their content alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument

from .collections import Collections
from .model import StoredFile
from .retry import persist


def update_metadata(collections: Collections, file: StoredFile, changes: Mapping[str, Any]) -> StoredFile | None:
    """Set keys of a revision's metadata, each by itself: of two changes to different keys none is lost.

    :param changes: new values; None removes a key
    :return: the revision as it is then; None where it was deleted meanwhile
    :raises ValueError: for a key that is empty, holds a dot or NUL, or begins with ``$``
    :raises TypeError: where another tool stored something else than a mapping
    """
    for key in changes:
        if not key or key.startswith("$") or "." in key or "\0" in key:
            raise ValueError(f"metadata keys must have no dot, no NUL and no leading '$': {key!r}")
    fields = {f"metadata.{key}": value for key, value in changes.items()}
    update = {
        "$set": {name: value for name, value in fields.items() if value is not None},
        "$unset": {name: "" for name, value in fields.items() if value is None},
    }
    update = {operator: names for operator, names in update.items() if names}  # empty ones are errors before 5.0
    if not update:
        return file
    files, own = collections.files, {"_id": {"$eq": file.id}}
    if "metadata" in file.fields:  # it is no mapping
        if file.fields["metadata"] is not None:
            raise TypeError("the file's metadata is not a mapping: another tool put something else there")
        persist(files, lambda: files.update_one({**own, "metadata": None}, {"$set": {"metadata": {}}}))
    changed = persist(files, lambda: files.find_one_and_update(own, update, return_document=ReturnDocument.AFTER))
    return StoredFile.from_document(changed, options=collections.codec_options) if changed else None

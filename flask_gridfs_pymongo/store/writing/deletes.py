"""Deletion, into the trash or for good: files documents first, as nobody finds chunks and variants without them.

::

    delete_versions(versions, bucket.variants, [file], bucket.deletion())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ..collections import Collections
from ..model import TYPE_FIELDS, StoredFile
from ..variants import Variants
from ..versions import Versions, up_to
from .batches import batches
from .marks import finish_renames_of, with_older
from .trash import Deletion, counted, drop_content, into_trash, staying

_BATCH = 100  # files


def delete_versions(
    versions: Versions, variants: Variants, files: Sequence[StoredFile], deletion: Deletion | None = None
) -> int:
    """Delete versions with their content and variants: see :meth:`.Bucket.delete_many`.

    :param deletion: by which they go into the trash; None: delete them for good
    """
    if files:
        finish_renames_of(versions, files)
    kept = staying(versions, files) if files and deletion else None
    return _delete(versions.collections, variants, [file.document for file in files], deletion, kept)


def delete_all_many(
    versions: Versions, variants: Variants, newest: Sequence[StoredFile], deletion: Deletion | None = None
) -> list[int]:
    """Delete the *newest* versions of some names, and all older ones: see :meth:`.Bucket.delete_all_many`.

    Of files without a name only the version itself is deleted.

    :param deletion: as in :func:`delete_versions`
    """
    counts: list[int] = []
    for batch in batches(newest, _BATCH):
        found: dict[str, list[dict[str, Any]]] = {}
        if len(batch) > 1:
            finish_renames_of(versions, batch)
            found = versions.of_many([file.filename for file in batch], TYPE_FIELDS)
        known = [_up_to(versions, file, found.get(file.filename)) for file in batch]
        deleted = _delete(versions.collections, variants, list(chain(*known)), deletion)
        counts += [deleted] if len(batch) == 1 else [len(documents) if deleted else 0 for documents in known]
    return counts


def _up_to(versions: Versions, file: StoredFile, documents: list[dict[str, Any]] | None) -> Sequence[Mapping[str, Any]]:
    if not file.named:
        return [file.document]
    return with_older(versions, file, *TYPE_FIELDS) if documents is None else up_to(file, documents)


def _delete(
    collections: Collections,
    variants: Variants,
    documents: Sequence[Mapping[str, Any]],
    deletion: Deletion | None,
    kept: Mapping[str, Sequence[Any]] | None = None,
) -> int:
    deleted = 0
    for batch in batches(documents, _BATCH):
        if deletion is None:
            deleted += _delete_batch(collections, variants, batch)
        else:
            deleted += into_trash(collections, batch, deletion, kept)
    return deleted


def _delete_batch(collections: Collections, variants: Variants, documents: Sequence[Mapping[str, Any]]) -> int:
    ids = [one["_id"] for one in documents]
    deleted = counted(collections, ids, lambda: int(collections.files.delete_many({"_id": {"$in": ids}}).deleted_count))
    if deleted:
        drop_content(collections, variants, documents)
    return deleted

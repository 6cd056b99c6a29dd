"""Deletion: first the files documents, then the chunks and variants, which nobody finds without them.

::

    delete_many(bucket.collections, bucket.variants, [file.id], pictures=[])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.errors import WriteConcernError

from ..collections import Collections, Documents
from ..errors import Unconfirmed
from ..retry import retry
from ..variants import Variants


def delete_many(collections: Collections, variants: Variants, ids: Sequence[Any], pictures: Sequence[Any]) -> int:
    """Delete versions with their content and variants; return how many.

    After a retry all of them count, as the first attempt may have deleted them.

    :param pictures: those that may have variants
    :raises Unconfirmed: if the server does not confirm that their documents are deleted
    """
    files: Documents = collections.files
    # A single id may come from a client: a pattern in $in would match many.
    selection = {"_id": {"$eq": ids[0]} if len(ids) == 1 else {"$in": ids}}

    def again() -> int:
        files.delete_many(selection)
        return len(ids)

    try:
        deleted = retry(files, lambda: int(files.delete_many(selection).deleted_count), on_retry=again)
    except WriteConcernError as error:
        raise Unconfirmed(f"{len(ids)} files of {collections.name} may be deleted, or not: {error}") from error
    if deleted:
        collections.delete_chunks(ids)
        if pictures:
            variants.forget(*pictures)
    return deleted

"""Which of many files cannot be read as a whole, found out without reading them.

::

    broken = damaged(bucket.chunks, files)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pymongo.errors import OperationFailure

from ..integrity import SIZE, Judge
from ..model import StoredFile

_BATCH = 100  # files
_PATIENCE = 5  # seconds


def damaged(chunks: Any, files: Sequence[StoredFile]) -> Sequence[StoredFile]:
    """Return those of *files* that have missing, short or doubled chunks, as far as five seconds reach.

    The server tells numbers and sizes; no content is read.

    :param chunks: the bucket's chunks collection
    """
    found = {repr(file.id) for file in files if file.damage}
    deadline = time.monotonic() + _PATIENCE
    for start in range(0, len(files), _BATCH):
        if time.monotonic() > deadline:
            break
        batch = [file for file in files[start : start + _BATCH] if not file.damage]
        judges = {repr(file.id): Judge({"length": file.length, "chunkSize": file.chunk_size}) for file in batch}
        chosen = {"$match": {"files_id": {"$in": [file.id for file in batch]}}}
        in_order = {"$sort": {"files_id": 1, "n": 1}}
        sizes = {"$project": {"_id": 0, "files_id": 1, "n": 1, **SIZE}}
        try:
            stored = list(chunks.aggregate([chosen, in_order, sizes], allowDiskUse=True))
        except (NotImplementedError, OperationFailure):  # mongomock; a server before MongoDB 4.4
            break
        for chunk in stored:
            if judge := judges.get(repr(chunk["files_id"])):
                judge.add(chunk.get("n"), chunk["size"])
        found |= {key for key, judge in judges.items() if judge.problems()}
    return [file for file in files if repr(file.id) in found]

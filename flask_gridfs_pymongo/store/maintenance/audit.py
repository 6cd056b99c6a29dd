"""Finds damaged files among many, without reading their content.

::

    broken = damaged(bucket.chunks, files)
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from pymongo.errors import OperationFailure

from ..collections import Documents
from ..integrity import SIZES, ChunkAudit
from ..model import StoredFile

SCAN_TIMEOUT = 5
"""seconds after which :func:`damaged` stops"""
_BATCH = 100  # files


def damaged(chunks: Documents, files: Sequence[StoredFile]) -> Sequence[StoredFile]:
    """Return those of *files* that have missing, short or duplicate chunks, as far as :data:`SCAN_TIMEOUT` allows.

    The server returns numbers and sizes of chunks, and no content.

    :param chunks: the bucket's chunks collection
    """
    found = {repr(file.id) for file in files if file.damage}
    deadline = time.monotonic() + SCAN_TIMEOUT
    for start in range(0, len(files), _BATCH):
        if time.monotonic() > deadline:
            break
        batch = [file for file in files[start : start + _BATCH] if not file.damage]
        audits = {repr(file.id): ChunkAudit({"length": file.length, "chunkSize": file.chunk_size}) for file in batch}
        chosen = {"$match": {"files_id": {"$in": [file.id for file in batch]}}}
        in_order = {"$sort": {"files_id": 1, "n": 1}}
        try:
            stored = list(chunks.aggregate([chosen, in_order, {"$project": SIZES}], allowDiskUse=True))
        except (NotImplementedError, OperationFailure):  # mongomock; a server before MongoDB 4.4
            break
        for chunk in stored:
            if audit := audits.get(repr(chunk["files_id"])):
                audit.add(chunk.get("n"), chunk["size"])
        found |= {key for key, audit in audits.items() if audit.problems()}
    return [file for file in files if repr(file.id) in found]

"""Content whose chunks are stored, and the files document that :mod:`.commit` makes of it.

::

    content = Content(file_id, length, digest)
    document_of("notes.txt", content, None, None)["contentType"]  # "text/plain"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bson.int64 import Int64
from bson.objectid import ObjectId

from ... import mimetype
from ...images import TYPES
from ..charset import split
from .pipeline import CHUNK_SIZE, Digest
from .watch import Watch


class Content(NamedTuple):
    """Content that is stored in ``fs.chunks`` and has no files document yet."""

    id: ObjectId
    """the chunks' ``files_id``"""
    length: int
    """bytes"""
    digest: Digest
    """of all of it"""
    watch: Watch | None = None
    """of the whole upload; None if it took long, or may have been committed before"""


def document_of(
    filename: str, content: Content, content_type: str | None, fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the files document, without its date and its claim."""
    digest = content.digest
    bare, charset = split(content_type or mimetype.guess(filename, digest.head))
    if charset is None and digest.utf8.valid() and bare.lower().startswith("text/"):
        charset = "utf-8"
    size = digest.pixels.size if mimetype.meaning(bare).lower() in TYPES else None
    return {
        **(fields or {}),
        "_id": content.id,
        "filename": filename,
        "length": Int64(content.length),  # of this type even if it is small, as the specification says
        "chunkSize": CHUNK_SIZE,
        "contentType": bare,
        **({"charset": charset} if charset else {}),
        "metadata": {**((fields or {}).get("metadata") or {}), "contentType": bare},
        "sha256": digest.sha256.hexdigest(),
        **({"pictureSize": list(size)} if size else {}),
    }

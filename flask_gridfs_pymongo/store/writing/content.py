"""Content whose chunks are stored, and the files document that :mod:`.commit` makes of it.

::

    content = Content(file_id, length, sha256, head, is_utf8)
    preview(versions, "notes.txt", content).content_type  # "text/plain"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bson.int64 import Int64
from bson.objectid import ObjectId

from ... import mimetype
from ...images import TYPES
from ...pixels import Size
from ..charset import split
from ..model import StoredFile
from ..versions import Versions
from .pipeline import CHUNK_SIZE
from .watch import Watch


class Content(NamedTuple):
    """Content that is stored in ``fs.chunks`` and has no files document yet."""

    id: ObjectId
    """the chunks' ``files_id``"""
    length: int
    """bytes"""
    sha256: str
    """in hexadecimal"""
    head: bytes
    """the first bytes, for guessing the type if the name does not give it"""
    is_utf8: bool = False
    """whether all of it is UTF-8: then that is the charset if it is text"""
    pixels: Size | None = None
    """if it is a picture"""
    watch: Watch | None = None
    """of the whole upload; None if it took long, or may have been committed before"""


def preview(
    versions: Versions,
    filename: str,
    content: Content,
    content_type: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> StoredFile:
    """Return the file that :class:`.Commit` will make of *content*; only its date will differ."""
    document = document_of(filename, content, content_type, fields)
    return versions.stored(versions.collections.as_read(document))


def document_of(
    filename: str, content: Content, content_type: str | None, fields: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the files document, without its date and its claim."""
    bare, charset = split(content_type or mimetype.guess(filename, content.head))
    if charset is None and content.is_utf8 and bare.lower().startswith("text/"):
        charset = "utf-8"
    return {
        **(fields or {}),
        "_id": content.id,
        "filename": filename,
        "length": Int64(content.length),  # of this type even if it is small, as the specification says
        "chunkSize": CHUNK_SIZE,
        "contentType": bare,
        **({"charset": charset} if charset else {}),
        "metadata": {**((fields or {}).get("metadata") or {}), "contentType": bare},
        "sha256": content.sha256,
        **({"pictureSize": list(content.pixels)} if content.pixels and mimetype.meaning(bare).lower() in TYPES else {}),
    }

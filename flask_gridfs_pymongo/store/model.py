"""What one document of ``fs.files`` means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import bson
from bson.objectid import ObjectId

from .. import mimetype

_KNOWN = frozenset("_id filename length chunkSize uploadDate contentType sha256 previous".split())


class CorruptFile(Exception):
    """A stored file's document and its chunks contradict each other."""


@dataclass(frozen=True)
class StoredFile:
    """One revision of a file, as its files document describes it (GridFS specification, "Files collection").

    Files of other writers may lack a content type and a hash; nothing here ever reads their chunks.
    """

    id: Any
    filename: str
    length: int
    """bytes"""
    chunk_size: int
    """bytes in every chunk but the last"""
    upload_date: datetime
    """in UTC, to the millisecond"""
    content_type: str
    sha256: str | None
    """of the content, in hexadecimal; None where another tool wrote the file"""
    first_chunk: bytes | None = field(default=None, compare=False, repr=False)
    """where it came along with the document"""
    shares_second: bool = field(default=False, compare=False)
    """whether a version beside this one is dated within the same second, so that seconds do not tell them apart"""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """the document's ``metadata``, where that is a mapping; the content type is in it, too"""
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """the document's further fields: an application's own, or those of another tool"""

    @classmethod
    def from_document(
        cls, document: Mapping[str, Any], *, first_chunk: bytes | None = None, shares_second: bool = False
    ) -> StoredFile:
        """Read a files document, also one that another tool wrote."""
        name = document.get("filename")
        filename = name if isinstance(name, str) else ""
        stored = document.get("metadata")
        metadata = stored if isinstance(stored, Mapping) else {}
        nested = metadata.get("contentType")
        content_type = document.get("contentType") or nested
        if not isinstance(content_type, str):
            content_type = mimetype.guess(filename)
        sha256 = document.get("sha256")
        return cls(
            id=document["_id"],
            filename=filename,
            length=int(document["length"]),
            chunk_size=int(document["chunkSize"]),
            upload_date=_upload_date(document),
            content_type=content_type,
            sha256=sha256 if isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) else None,
            first_chunk=first_chunk,
            shares_second=shares_second,
            metadata=metadata,
            fields={name: value for name, value in document.items() if name not in _KNOWN and value is not metadata},
        )

    @cached_property
    def etag(self) -> str:
        """The opaque tag of a strong validator (RFC 9110 section 8.8.3), without its quotes.

        A revision never changes: its ``_id``, length and upload date stand for its content.
        """
        identity = {"_id": self.id, "length": self.length, "uploadDate": self.upload_date}
        return hashlib.sha256(bson.encode(identity)).hexdigest()[:32]

    def chunk_length(self, n: int) -> int:
        """How many bytes chunk *n* must hold."""
        return min(self.chunk_size, self.length - n * self.chunk_size)


def _upload_date(document: Mapping[str, Any]) -> datetime:
    date = document.get("uploadDate")
    if isinstance(date, datetime):
        return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
    identity = document["_id"]
    return identity.generation_time if isinstance(identity, ObjectId) else datetime.fromtimestamp(0, timezone.utc)

"""A version of a file, as its document in ``fs.files`` describes it.

::

    StoredFile.from_document(files.find_one({"filename": "notes.txt"})).content_type
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from bson.objectid import ObjectId

from .. import mimetype
from ..pixels import stored_size
from . import ids
from .charset import is_charset, join, split
from .clock import aware
from .errors import CorruptFile
from .integrity import document_error, is_utf8, whole

_UNKNOWN = frozenset({"", mimetype.UNKNOWN, "binary/octet-stream"})  # what tools write if they do not know the type
TYPE_FIELDS = ("metadata.contentType", "metadata._contentType", "metadata.mimetype", "contentType")
"""where the drivers and most others, Spring, Meteor, and old drivers write the content type"""
_SHA256 = re.compile("[0-9a-f]{64}")
OWN_FIELDS = frozenset(
    "_id filename length chunkSize uploadDate contentType charset sha256 pictureSize".split()
    + "previous previousAt previousBy renamedFrom trashed".split()
)
"""the fields of a files document that the store itself sets and reads"""
NOTE = "previousBy"
"""the field for what a caller wants to know of a version while it has a claim (:mod:`.claims`)"""


class Trashed(NamedTuple):
    """When a file was deleted that is in the trash: the field ``trashed`` of its document, in place of ``filename``."""

    at: datetime
    """by the server's clock; the versions of a name that were deleted together have the same date"""
    until: datetime
    """when it may be deleted for good"""
    by: str | None
    """who deleted it, if that is known"""
    part: Sequence[Any]
    """the ``_id`` of other versions of the name, which stayed; at most 100"""


def is_trashed(document: Mapping[str, Any]) -> bool:
    """Whether the file of a files document is in the trash."""
    found = document.get("trashed")
    return isinstance(found, Mapping) and isinstance(found.get("at"), datetime) and document.get("filename") is None


def local_now() -> datetime:
    """Return the time in UTC by this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class StoredFile:
    """One version of a file, as its files document describes it (GridFS specification, "Files collection").

    Documents that other tools wrote may lack a name, a date, a content type and a hash, and any field may have any
    type. No chunk is read here.
    """

    id: Any
    filename: str
    """empty if the document has none; see :attr:`named`; in the trash, the name that it had"""
    length: int
    """bytes; 0 if the file is damaged"""
    chunk_size: int
    """bytes in every chunk but the last"""
    upload_date: datetime
    """in UTC, to the millisecond; without a date in the document the one of its ObjectId, else 1970"""
    content_type: str
    """without its charset, and by its registered name: ``image/jpeg`` if ``image/jpg`` is stored;
    ``application/octet-stream`` if neither the document nor the name gives a type"""
    sha256: str | None
    """of the content, in hexadecimal; None if another tool wrote the file"""
    charset: str | None = None
    """of text; None if the document has none"""
    pixels: tuple[int, int] | None = None
    """width and height of a picture as it is shown; None: unknown, or it is not a picture"""
    named: bool = True
    """whether the file can be found by its name; otherwise only by its ``_id``"""
    dated: bool = True
    """whether the document has a date; versions without one come before all others"""
    damage: str | None = None
    """why the document is invalid and the content cannot be read; None if it is valid"""
    first_chunk: bytes | None = field(default=None, compare=False, repr=False)
    """if it was fetched together with the document"""
    shares_second: bool = field(default=False, compare=False)
    """whether the version before or after this one has a date in the same second"""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """the document's ``metadata`` if that is a mapping; it also contains the content type"""
    document: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """the files document itself"""
    options: CodecOptions[Any] = field(default=DEFAULT_CODEC_OPTIONS, compare=False, repr=False)
    """of the collection: how a UUID in the ``_id`` is stored"""
    now: Callable[[], datetime] = field(default=local_now, compare=False, repr=False)
    """the clock by which it expires: the server's, if the file comes from a bucket"""

    @classmethod
    def from_document(
        cls,
        document: Mapping[str, Any],
        *,
        options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS,
        first_chunk: bytes | None = None,
        shares_second: bool = False,
        now: Callable[[], datetime] = local_now,
    ) -> StoredFile:
        """Read a files document, also one that another tool wrote."""
        name = document["trashed"].get("name") if is_trashed(document) else document.get("filename")
        filename = name if type(name) is str else ""  # bson.Code is a str, too
        named = type(name) is str and is_utf8(name)
        if not named:
            filename = filename.encode(errors="surrogateescape").decode(errors="replace")
        stored = document.get("metadata")
        metadata = stored if isinstance(stored, Mapping) else {}
        length, chunk_size, sha256 = (document.get(field) for field in ("length", "chunkSize", "sha256"))
        content_type, charset = split(_content_type(document, metadata) or mimetype.guess(filename))
        if charset is None and is_charset(document.get("charset")):
            charset = document["charset"]
        return cls(
            id=document["_id"],
            filename=filename,
            length=whole(length) or 0,
            chunk_size=whole(chunk_size) or 0,
            upload_date=upload_date(document),
            content_type=mimetype.meaning(content_type),
            charset=charset,
            sha256=sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None,
            pixels=stored_size(document.get("pictureSize")),
            named=named,
            dated=isinstance(document.get("uploadDate"), datetime),
            damage=document_error(document) or (None if ids.is_utf8(document["_id"]) else "its _id is not UTF-8"),
            first_chunk=first_chunk,
            shares_second=shares_second,
            metadata=metadata,
            document=document,
            options=options,
            now=now,
        )

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """The other fields of the document: those of the application or of another tool."""
        return {
            name: value
            for name, value in self.document.items()
            if name not in OWN_FIELDS and value is not self.metadata
        }

    @property
    def marks_folder(self) -> bool:
        """Whether it only says that there is a folder: an empty document ``docs/``, as Flysystem writes it."""
        return self.filename.endswith("/") and self.length == 0 and self.damage is None

    @property
    def expires_at(self) -> datetime | None:
        """When the file expires, in UTC: ``metadata.expiresAt``; None: never."""
        date = self.metadata.get("expiresAt")
        return aware(date) if isinstance(date, datetime) else None

    @property
    def renamed_from(self) -> str | None:
        """The name that older versions may still have, as a rename is under way or broke off; None: no rename is."""
        name = self.document.get("renamedFrom")
        return name if type(name) is str else None

    @property
    def trashed(self) -> Trashed | None:
        """When it was deleted, if it is in the trash."""
        if not is_trashed(self.document):
            return None
        at, until, by, part = (self.document["trashed"].get(name) for name in Trashed._fields)
        until = aware(until) if isinstance(until, datetime) else aware(at)
        return Trashed(aware(at), until, by if isinstance(by, str) else None, part if isinstance(part, list) else [])

    @property
    def expired(self) -> bool:
        """Whether the file has expired; it may still be stored."""
        return self.expires_at is not None and self.expires_at <= self.now()

    @cached_property
    def etag(self) -> str:
        """The opaque tag of a strong validator (RFC 9110 section 8.8.3), without its quotes.

        The content of a version never changes, so its ``_id``, length, upload date and hashes (if any) identify it. Its
        content type and charset may be corrected, so they count, too, as stored: by this name, in one field or two.
        """
        date = self.upload_date.isoformat()
        identity = [self.id, self.length, date, self._stored_type, self.sha256, self.document.get("md5")]
        if self.charset is not None and not self._has_charset:
            identity.append(self.charset)
        return hashlib.sha256(ascii(identity).encode()).hexdigest()[:32]

    @property
    def media_type(self) -> str:
        """The content type with its charset, as in a Content-Type field."""
        if self.charset is None or self._has_charset:
            return mimetype.meaning(self._stored_type)
        return join(self.content_type, self.charset)

    @cached_property
    def _stored_type(self) -> str:
        """The content type as stored: earlier releases of this package put the charset into it."""
        return _content_type(self.document, self.metadata) or self.content_type

    @property
    def _has_charset(self) -> bool:
        """Whether the type as stored has a charset."""
        return split(self._stored_type)[1] is not None

    @property
    def key(self) -> str | None:
        """The ``_id`` as text for URLs (:func:`.ids.to_text`); None if no URL can contain it."""
        try:
            return ids.to_text(self.id, self.options)
        except UnicodeEncodeError:
            return None

    def ensure_sound(self) -> None:
        """Make sure that the document is valid.

        :raises CorruptFile: if it is not
        """
        if self.damage is not None:
            raise CorruptFile(f"file {self.key} ({self.filename!r}) is damaged: {self.damage}")

    def chunk_length(self, n: int) -> int:
        """How many bytes chunk *n* must hold."""
        return min(self.chunk_size, self.length - n * self.chunk_size)


def unless_expired(file: StoredFile | None) -> StoredFile | None:
    """Return *file* unless it has expired."""
    return None if file is None or file.expired else file


def _content_type(document: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """The first type in one of :data:`TYPE_FIELDS`; other tools also write ``jpg``, which says nothing."""
    for path in TYPE_FIELDS:
        value = (metadata if "." in path else document).get(path.removeprefix("metadata."))
        if type(value) is not str:
            continue
        bare = value.partition(";")[0].strip().lower()
        if bare not in _UNKNOWN and mimetype.parse(bare) and is_utf8(value):
            return value
    return None


def upload_date(document: Mapping[str, Any]) -> datetime:
    """The date of a files document in UTC; if it has none, when its ObjectId was made, else 1970."""
    date = document.get("uploadDate")
    if isinstance(date, datetime):
        return aware(date)
    identity = document["_id"]
    return identity.generation_time if isinstance(identity, ObjectId) else datetime.fromtimestamp(0, UTC)


def in_order(document: Mapping[str, Any]) -> tuple[bool, datetime, str]:
    """Return the key that sorts a few versions of a name: those without a date first, then by date and ``_id``."""
    return isinstance(document.get("uploadDate"), datetime), upload_date(document), repr(document["_id"])

"""The header fields of tus 1.0.0, a protocol for resumable uploads (https://tus.io/protocols/resumable-upload).

::

    metadata("filename aGVsbG8udHh0")  # {"filename": "hello.txt"}
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from werkzeug.http import http_date

from .conditions import Fields

VERSION = "1.0.0"
CONTENT_TYPE = "application/offset+octet-stream"
ALGORITHMS = ("sha1", "sha256")
"""of Upload-Checksum, as :mod:`hashlib` calls them"""
ANSWER = {"Tus-Resumable": VERSION, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""The fields of every response; the URL of an upload is a secret."""
REQUEST_FIELDS = (
    *("Tus-Resumable", "Upload-Checksum", "Upload-Defer-Length", "Upload-Length", "Upload-Metadata", "Upload-Offset"),
    "X-HTTP-Method-Override",
)
"""The request fields of the protocol"""
ANSWER_FIELDS = (
    *("Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version"),
    *("Upload-Defer-Length", "Upload-Expires", "Upload-Length", "Upload-Metadata", "Upload-Offset"),
)
"""The response fields of the protocol"""

_EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,termination,checksum"
_NAME_KEYS = ("relativePath", "filename", "name")  # of Uppy, tus-js-client and tuspy
_TYPE_KEYS = ("filetype", "type", "contentType")
_NOTHING = ("null", "undefined")  # JavaScript's values as tus-js-client sends them, as texts
_MAX_METADATA = 8192  # characters


class Checksum(NamedTuple):
    """The digest of a PATCH's body, as its client states it."""

    algorithm: str
    digest: bytes


def options(max_size: int | None) -> dict[str, str]:
    """Return the fields that answer OPTIONS.

    :param max_size: bytes in an upload; None: no limit
    """
    fields = {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": _EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    return fields if max_size is None else fields | {"Tus-Max-Size": str(max_size)}


def number(fields: Fields, name: str) -> int | None:
    """Read Upload-Offset or Upload-Length; None if it is missing.

    :raises ValueError: for anything but a whole number of bytes below 2**63
    """
    value = fields.get(name)
    if value is None:
        return None
    if not re.fullmatch("[0-9]{1,19}", value, re.ASCII) or int(value) >= 2**63:
        raise ValueError(f"{name} must be a whole number of bytes, 0 or more")
    return int(value)


def length(fields: Fields) -> int | None:
    """Read the length of a new upload: a number of bytes, or None if it comes later.

    :raises ValueError: unless there is exactly one of Upload-Length and Upload-Defer-Length; for a part of a
        concatenation, which would otherwise become a file of its own
    """
    if "Upload-Concat" in fields:
        raise ValueError("Upload-Concat is not supported here: send the upload as a whole")
    found, deferred = number(fields, "Upload-Length"), fields.get("Upload-Defer-Length")
    if deferred not in (None, "1"):
        raise ValueError("Upload-Defer-Length can only be 1")
    if (found is None) == (deferred is None):
        raise ValueError("A new upload needs either Upload-Length or Upload-Defer-Length: 1")
    return found


def metadata(fields: Fields) -> dict[str, str]:
    """Read Upload-Metadata: keys, each with a text in base64 or without one.

    Bytes that are not UTF-8 become surrogates (:pep:`383`).

    :raises ValueError: if it breaks the protocol's grammar
    """
    value = fields.get("Upload-Metadata") or ""
    if len(value) > _MAX_METADATA:
        raise ValueError(f"Upload-Metadata may have at most {_MAX_METADATA} characters")
    found: dict[str, str] = {}
    for pair in value.split(",") if value.strip() else ():
        key, _, encoded = pair.strip().partition(" ")
        if not key or not key.isascii() or key in found:
            raise ValueError("Upload-Metadata is invalid: a key is empty, not ASCII, or given twice")
        try:
            found[key] = base64.b64decode(encoded.strip(), validate=True).decode(errors="surrogateescape")
        except ValueError:
            raise ValueError(f"Upload-Metadata is invalid: the value of {key!r} is not base64") from None
    return found


def name_of(found: Mapping[str, str]) -> str:
    """Return the file name in Upload-Metadata; empty if it has none.

    The relativePath of a file without a folder is ``null`` or ``undefined``; a file may also have such a name.

    :raises ValueError: for a name that is not UTF-8
    """
    named = [found[key] for key in _NAME_KEYS if found.get(key)]
    name = next((name for name in named if name not in _NOTHING), named[-1] if named else "")
    return _utf8("file name", name)


def type_of(found: Mapping[str, str]) -> str | None:
    """Return the media type in Upload-Metadata, if any.

    :raises ValueError: for one that is not UTF-8
    """
    return next((_utf8("media type", found[key]) for key in _TYPE_KEYS if found.get(key, "null") not in _NOTHING), None)


def _utf8(what: str, text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"The {what} in Upload-Metadata is not UTF-8")
    return text


def checksum(fields: Fields) -> Checksum | None:
    """Read Upload-Checksum; None if it is missing.

    :raises ValueError: for an unknown algorithm, or a digest that is not base64
    """
    value = fields.get("Upload-Checksum")
    if value is None:
        return None
    algorithm, _, encoded = value.partition(" ")
    if algorithm not in ALGORITHMS:
        raise ValueError(f"Upload-Checksum: the algorithm must be one of {', '.join(ALGORITHMS)}")
    try:
        return Checksum(algorithm, base64.b64decode(encoded.strip(), validate=True))
    except ValueError:
        raise ValueError("Upload-Checksum is invalid: its digest is not base64") from None


def state(offset: int, total: int | None, expires: datetime | None) -> dict[str, str]:
    """Return the fields that describe the progress of an upload.

    :param offset: bytes that are stored
    :param total: bytes of the whole upload; None: not known yet
    :param expires: until when it can be resumed; None: it is complete
    """
    fields = {"Upload-Offset": str(offset)}
    fields |= {"Upload-Defer-Length": "1"} if total is None else {"Upload-Length": str(total)}
    return fields if expires is None else fields | {"Upload-Expires": http_date(expires)}

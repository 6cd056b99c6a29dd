"""A file's ``_id``, which may have any BSON type, as text for URLs and as JSON.

::

    to_text(ObjectId("4cf139def4b6a1134c4ea6c4"))  # "4cf139def4b6a1134c4ea6c4"
    to_text("some/id")  # "~GwAAAAJfaWQACAAAAHNvbWUvaWQAAA"
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any

import bson
from bson import json_util
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from bson.errors import BSONError
from bson.objectid import ObjectId

MAX_ID_LENGTH = 1024
"""characters of the text"""


def new(now: datetime) -> ObjectId:
    """Return an ObjectId that was made at *now*, by whichever clock that is."""
    return ObjectId(int(now.timestamp()).to_bytes(4, "big") + ObjectId().binary[4:])


def to_text(
    file_id: Any, options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS, max_length: int = MAX_ID_LENGTH
) -> str | None:
    """Encode an ``_id``, or another value, for a URL.

    :param options: the client's, which say how a UUID is stored
    :param max_length: characters of the text
    :return: the 24 digits of an ObjectId; of any other type ``~`` and the BSON document ``{"_id": value}`` in base64url
        without padding (RFC 4648 section 5); None if that is longer than *max_length*
    :raises UnicodeEncodeError: if a text in it is not UTF-8
    """
    if isinstance(file_id, ObjectId):
        return str(file_id)
    text = f"~{urlsafe_b64encode(bson.encode({'_id': file_id}, codec_options=options)).rstrip(b'=').decode()}"
    return text if len(text) <= max_length else None


def is_utf8(file_id: Any) -> bool:
    """Whether the texts in an ``_id`` are UTF-8: no query can ask for others."""
    if isinstance(file_id, ObjectId):
        return True
    try:
        bson.encode({"_id": file_id})
    except UnicodeEncodeError:
        return False
    except ValueError:  # a UUID, if the client does not say how it is stored
        pass
    return True


def from_text(text: str, options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS, max_length: int = MAX_ID_LENGTH) -> Any:
    """Decode what :func:`to_text` returned.

    :raises ValueError: for any other text
    """
    try:
        value = _value(text, options, max_length)
        if to_text(value, options, max_length) == text:
            return value
    except (ArithmeticError, BSONError, LookupError, RecursionError, TypeError, ValueError):
        pass
    raise ValueError("an id is 24 hexadecimal digits, or ~ and the base64url of the BSON document that has it as _id")


def _value(text: str, options: CodecOptions[Any], max_length: int) -> Any:
    if not text.startswith("~"):
        return ObjectId(text)
    if len(text) > max_length or not re.fullmatch("~[A-Za-z0-9_-]+", text):
        raise ValueError
    padding = "=" * (-len(text[1:]) % 4)
    return bson.decode(urlsafe_b64decode(text[1:] + padding), codec_options=options)["_id"]


def to_json(value: Any, options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS) -> Any:
    """Convert a BSON value for JSON, to MongoDB's Extended JSON (v2, relaxed).

    An ObjectId becomes its 24 digits, and what is not UTF-8 becomes U+FFFD.
    """
    if isinstance(value, ObjectId):
        return str(value)
    json_options = json_util.RELAXED_JSON_OPTIONS.with_options(uuid_representation=options.uuid_representation)
    text = json_util.dumps(value, json_options=json_options, ensure_ascii=False)
    return json.loads(re.sub("[\ud800-\udfff]", "\ufffd", text))

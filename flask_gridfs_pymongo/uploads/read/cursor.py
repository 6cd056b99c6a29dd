"""Where a page of a listing starts, in a query string.

``cursor`` is the key of the row before: the BSON, in base64url, of the name's bytes and the value by which the order
sorts, or of null and the ``_id`` of a file without a name. It means the same for everybody, and grants nothing. As
servers limit the length of URLs, ``after_file`` replaces a long one: the id of a version of this name.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import abort

from ...service.texts import Message
from ...store import Bucket, Key, Visibility, ids, key_of, position
from ..arguments import file_id

_MAX_LENGTH = 16_000  # characters


def read(bucket: Bucket, order: str, args: Mapping[str, str], folder: str | None, shown: Visibility) -> Key | None:
    """Return the key after which the page starts; None if the query string has none.

    :param folder: as in :func:`.by_value.key_of`
    """
    if "after_file" in args:
        file = bucket.get(file_id(args["after_file"], "after_file", bucket))
        if file is None or not file.key or not shown.named(file.filename):
            abort(404, "The file with which this page begins is gone: start the listing again.")
        return key_of(order, file, folder)
    if "cursor" not in args:
        return None
    options = bucket.collections.codec_options
    try:
        match ids.from_text(args["cursor"], options, _MAX_LENGTH):
            case [None, value] if ids.to_text(value, options):  # a key without a name is never longer
                return Key(None, value)
            case [name, value] if type(name) is bytes and position(order, value) == value:
                return Key(name.decode(errors="surrogateescape"), value)
    except ValueError:
        pass
    abort(400, Message("?cursor is not one of this listing: start it again, and take the URL in its next."))


def write(bucket: Bucket, key: Key) -> dict[str, str]:
    """Return the query for :func:`read`, by name and value; the cursor is empty if it would be too long to be read."""
    name = None if key.filename is None else key.filename.encode(errors="surrogateescape")
    return {"cursor": ids.to_text([name, key.value], bucket.collections.codec_options, _MAX_LENGTH) or ""}


def write_short(bucket: Bucket, key: Key) -> dict[str, str]:
    """Return the query for :func:`read` by the id of a file; empty if that is too long for a URL."""
    try:
        text = ids.to_text(key.file_id, bucket.collections.codec_options)
    except UnicodeEncodeError:
        text = None
    return {"after_file": text} if text else {}
